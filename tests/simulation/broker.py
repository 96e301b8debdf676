"""Kafka as a simulation: logs, groups and answers that may not come. Nothing here is ours.

It keeps Kafka's promises and no others: a partition is an ordered log; an answer may be lost with
the batch, or after it was written; a batch whose answer was not waited for may land later; who is
in a group learns of its new share late, and reads on meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaConnectionError

from shared.events import Topic
from shared.kafka import PARTITIONS, Lane, Message, Unknown
from tests.simulation.scheduling import point, rng, tell

SENDING = 3.0
"""A send fails more often than other things: it is the only way out."""

HELD = 4
"""At most so many batches are on their way without anybody waiting for them."""


class Raw(NamedTuple):
    """A record as a client of Kafka gives it."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    timestamp: int


class Broker:
    """The logs of all topics, and the groups."""

    def __init__(self, appended: Callable[[Topic, Raw], None]) -> None:
        self.appended = appended
        self.logs: dict[Lane, list[Raw]] = {
            (topic, n): [] for topic, count in PARTITIONS.items() for n in range(count)
        }
        self.groups: dict[str, dict[str, Client]] = {}
        self.share: dict[str, dict[int, str]] = {}
        self.generation: Counter[str] = Counter()
        self.committed: dict[tuple[str, TopicPartition], int] = {}
        self.up = True
        self.on_their_way: list[tuple[Lane, list[Message]]] = []
        self.now_ms = 0
        self.spoils: Callable[[Lane, Message], bool] = lambda _, __: False

    # ------------------------------------------------------------ out

    def append(self, lane: Lane, messages: Iterable[Message]) -> None:
        """These are written, for good."""
        log = self.logs[lane]
        for message in messages:
            value = b'{"type":' if self.spoils(lane, message) else message.value
            raw = Raw(lane[1], len(log), message.key, value, tuple(message.headers), self.now_ms)
            log.append(raw)
            self.appended(lane[0], raw)

    async def send(
        self, lanes: Mapping[Lane, Sequence[Message]]
    ) -> tuple[dict[Lane, int], dict[Lane, str]]:
        """As `kafka.Sender.send`: how many of each lane were acknowledged. Raises `Unknown`."""
        fate = await point("before sending", "crash", "freeze", "lost", often=SENDING)
        if not self.up:
            raise Unknown("the broker is away")
        if fate == "lost":
            tell(self.lose(lanes))
            raise Unknown("no answer came")
        counts: dict[Lane, int] = {}
        for lane in sorted(lanes):
            messages = lanes[lane]
            counts[lane] = (
                len(messages) if rng().random() < 0.7 else rng().randint(1, len(messages))
            )
            self.append(lane, messages[: counts[lane]])
        tell(f"sends {sum(counts.values())} records")
        where = "after sending, before the answer is noted"
        fate = await point(where, "crash", "freeze", "lost", often=SENDING)
        if fate == "lost":
            tell("gets no answer, though all was written")
            raise Unknown("no answer came")
        return counts, {}

    def lose(self, lanes: Mapping[Lane, Sequence[Message]]) -> str:
        """A send without an answer: some lanes are written, some are not, some later."""
        written = later = 0
        for lane in sorted(lanes):
            batch = list(lanes[lane])
            fate = rng().choice(("written", "never", "later", "later"))
            if fate == "written":
                self.append(lane, batch)
                written += len(batch)
            elif fate == "later" and len(self.on_their_way) < HELD:
                self.on_their_way.append((lane, batch))
                later += len(batch)
        return f"gets no answer: {written} records were written, {later} are on their way"

    def land(self) -> str | None:
        """What was on its way arrives."""
        if not self.on_their_way:
            return None
        lane, messages = self.on_their_way.pop(0)
        self.append(lane, messages)
        return f"{len(messages)} records that nobody waits for land on {lane[0]}/{lane[1]}"

    # ------------------------------------------------------------ groups

    def rebalance(
        self, group: str, chosen: Iterable[str], shuffle: Callable[[list[str]], None]
    ) -> None:
        """The partitions of a group are given anew, to these of its members."""
        members = sorted(set(chosen) & self.groups.get(group, {}).keys())
        topic = Topic(group.partition(".")[2])
        drawn = [members[n % len(members)] for n in range(PARTITIONS[topic])] if members else []
        shuffle(drawn)
        self.share[group] = dict(enumerate(drawn))
        self.generation[group] += 1

    def of(self, group: str, member: str) -> frozenset[TopicPartition]:
        """The share of a member, as the group has it now."""
        topic = group.partition(".")[2]
        mine = self.share.get(group, {})
        return frozenset(TopicPartition(topic, p) for p, who in mine.items() if who == member)

    def end(self, place: TopicPartition) -> int:
        """The offset after the last record."""
        return len(self.logs[Topic(place.topic), place.partition])


class Client:
    """What `shared.kafka.Consumer` asks of aiokafka's consumer, on the simulated broker."""

    def __init__(self, broker: Broker, group: str, member: str) -> None:
        self.broker, self.group, self.member = broker, group, member
        self.view: frozenset[TopicPartition] = frozenset()
        self.generation = 0
        self.at: dict[TopicPartition, int] = {}
        self.resting: set[TopicPartition] = set()
        self.asked: dict[TopicPartition, int] = {}
        self.listener: ConsumerRebalanceListener | None = None
        self.deaf = False

    async def start(self) -> None:
        """Find the broker."""
        if not self.broker.up:
            raise KafkaConnectionError("the broker is away")

    async def stop(self) -> None:
        """Leave the group."""
        self.broker.groups.get(self.group, {}).pop(self.member, None)

    def subscribe(self, _: list[str], listener: ConsumerRebalanceListener) -> None:
        """Join the group; the share comes with its next rebalance."""
        self.listener = listener
        self.broker.groups.setdefault(self.group, {})[self.member] = self

    def assignment(self) -> frozenset[TopicPartition]:
        """What this member believes to be its share."""
        return self.view

    def partitions_for_topic(self, _: str) -> set[int]:
        """There is such a topic."""
        return {0}

    async def learn(self) -> None:
        """Hear of the share as it is now: after each rebalance another, be it of the same."""
        generation = self.broker.generation[self.group]
        if generation != self.generation:
            self.generation = generation
            self.view = now = self.broker.of(self.group, self.member)
            self.at.clear()
            self.resting.clear()
            assert self.listener is not None
            await self.listener.on_partitions_assigned(now)

    async def end_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Where the logs end."""
        if not self.broker.up:
            raise KafkaConnectionError("the broker is away")
        return {place: self.broker.end(place) for place in places}

    async def beginning_offsets(
        self, places: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Nothing expires here."""
        return dict.fromkeys(places, 0)

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Go on there."""
        self.at[place] = offset

    def pause(self, place: TopicPartition) -> None:
        """Read no further."""
        self.resting.add(place)

    def resume(self, place: TopicPartition) -> None:
        """Read on."""
        self.resting.discard(place)

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        """Some of what is there; an order between partitions is not promised."""
        if not self.broker.up:
            return {}
        if not self.deaf:
            await self.learn()
        found: dict[TopicPartition, list[Any]] = {}
        for place in sorted(self.view - self.resting):
            begin = self.at.setdefault(place, self.broker.committed.get((self.group, place), 0))
            waiting = self.broker.logs[Topic(place.topic), place.partition][begin:]
            self.asked[place] = self.broker.now_ms
            if waiting and rng().random() < 0.7:
                found[place] = list(waiting[: rng().randint(1, min(len(waiting), max_records))])
                self.at[place] = begin + len(found[place])
        if found:
            await point("with fetched records in hand", "crash", "freeze", "freeze", often=2)
        return found

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Where Kafka believes the group to be: there it goes on after a rebalance, unless led."""
        if not self.broker.up:
            raise KafkaConnectionError("the broker is away")
        self.broker.committed |= {(self.group, place): n for place, n in offsets.items()}

    def highwater(self, place: TopicPartition) -> int:
        """Where the log ends."""
        return self.broker.end(place)

    def last_poll_timestamp(self, place: TopicPartition) -> int | None:
        """When it was last asked."""
        return self.asked.get(place)
