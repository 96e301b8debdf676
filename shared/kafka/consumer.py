"""Records in: one consumer of one topic in one group, at the positions of our own database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError

from shared.events import Topic
from shared.kafka.connection import WEATHER, connection
from shared.kafka.logs import extents_of, outside
from shared.kafka.records import Record, record_of
from shared.kafka.topics import COMPACTED_TOPICS
from shared.settings import Settings

Positions = Callable[[Topic, Sequence[int]], Awaitable[Mapping[int, int]]]


class Stopped(NamedTuple):
    """Why a partition is read no further, the position row at which it was stopped, and how many
    records from there on are gone."""

    reason: str
    position: int
    expired: int = 0


class Joined(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes that the group gave us our share, be it nothing."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """What is in the making is fenced by the offset rows."""

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """The next batch asks our database where to go on."""
        self.consumer.joined = True


class Consumer:
    """One consumer of one topic in one group; reads whatever is there, up to a limit.

    `known` holds the position rows of our own database, by partition: what the next batch of that
    partition is expected to start at. A partition that is not `placed` is looked up before it is
    read, and `stopped` when the log does not reach there: aiokafka would go on elsewhere without a
    word. A stopped partition is read again when its row is another one (`doubt`).

    `missed` counts records that the log held no more when we came. A hole in a compacted topic is
    ordinary and not counted; but a hole before what was fetched is believed only by who has just
    `sought` that place: else it is as likely that the client went on elsewhere.
    """

    def __init__(self, settings: Settings, topic: Topic, group: str, positions: Positions) -> None:
        self.topic = topic
        self.name = settings.topic_prefix + topic
        self.positions = positions
        self.known: dict[int, int] = {}
        self.placed: set[int] = set()
        self.sought: set[int] = set()
        self.stopped: dict[int, Stopped] = {}
        self.ends: dict[int, int] = {}
        self.joined = False
        self.missed = 0
        # A rebalance makes a new one, whose positions are Kafka's own until we seek.
        self.share: object = None
        self.raw = self.client(settings, settings.topic_prefix + group)

    def client(self, settings: Settings, group: str) -> AIOKafkaConsumer:
        """Who speaks to Kafka for us."""
        return AIOKafkaConsumer(
            **connection(settings),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=250,
            session_timeout_ms=10_000,
            max_poll_interval_ms=300_000,
            metadata_max_age_ms=10_000,  # a topic that was made again is heard again by then
        )

    async def __aenter__(self) -> Consumer:
        """Join the group. A start that fails leaves nothing behind."""
        try:
            await self.raw.start()
        except BaseException:
            await self.__aexit__()
            raise
        self.raw.subscribe([self.name], listener=Joined(self))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the group; bounded, also with the broker dead."""
        with suppress(*WEATHER):
            async with asyncio.timeout(5):
                await self.raw.stop()

    def assigned(self) -> list[int]:
        """The partitions that are ours at the moment."""
        return [p.partition for p in self.raw.assignment()]

    def hears(self) -> bool:
        """Whether the group gave us our share (it may be nothing) of a topic that is there."""
        return self.joined and self.raw.partitions_for_topic(self.name) is not None

    def forget(self) -> None:
        """Something was undone: ask the database again where we are."""
        self.placed.clear()

    def handled(self, after: Mapping[int, int]) -> None:
        """The rows are here now."""
        self.known.update(after)

    async def place(self, partitions: Sequence[int]) -> None:
        """Go to where our own database says that we are, or stop where that is nowhere."""
        rows = await self.positions(self.topic, partitions)
        reach = await extents_of(self.raw, [TopicPartition(self.name, p) for p in partitions])
        for place in reach.keys() & self.raw.assignment():
            partition, extent = place.partition, reach[place]
            # Never heard: there is nothing that we could have missed.
            row = rows.get(partition, extent.beginning)
            last = self.stopped.pop(partition, None)
            if last is not None and last.position == row:
                self.stop(partition, *last)
            elif (reason := outside(row, extent)) is not None:
                expired = max(0, extent.beginning - row)
                self.missed += expired
                self.stop(partition, reason, row, expired)
            else:
                self.raw.resume(place)
                self.raw.seek(place, row)
                self.sought.add(partition)
            self.ends[partition] = extent.end
            self.known[partition] = row
            self.placed.add(partition)

    def stop(self, partition: int, reason: str, position: int, expired: int = 0) -> None:
        """Read no further on this partition until its position row is another one."""
        self.stopped[partition] = Stopped(reason, position, expired)
        with suppress(IllegalStateError):  # no longer ours
            self.raw.pause(TopicPartition(self.name, partition))

    def doubt(self) -> None:
        """Look up again what looks wrong: a stopped partition, a position beyond the end.

        Somebody may have moved the row; a log may have been replaced by an empty one.
        """
        self.placed -= {
            p for p in self.assigned() if p in self.stopped or self.known.get(p, 0) > self.end(p)
        }

    async def batch(self, limit: int = 200, timeout_ms: int = 250) -> list[Record]:
        """Whatever is there, up to `limit` records, in order within each partition."""
        share = self.raw.assignment()
        if share is not self.share:
            self.share = share
            self.placed.clear()
        new = [p for p in self.assigned() if p not in self.placed]
        if new:
            await self.place(new)
        fetched = await self.raw.getmany(timeout_ms=timeout_ms, max_records=limit)
        if self.raw.assignment() is not share:
            # A new share begins where Kafka believes us to be: read again after the next `place`.
            return []
        good = [raws for place, raws in fetched.items() if await self.follows(place, raws)]
        if self.raw.assignment() is not share:
            return []
        return [record_of(self.topic, raw) for raws in good for raw in raws]

    async def follows(self, place: TopicPartition, raws: Sequence[Any]) -> bool:
        """Whether these go on where we are; stops the partition where they do not."""
        if not raws or place.partition not in self.placed or place.partition in self.stopped:
            return False
        expected = self.known[place.partition]
        if raws[0].offset < expected:
            reason = (
                f"offset {raws[0].offset} came where {expected} was due: this is another log than"
                " the one we read; look, then `positions reset`"
            )
            self.stop(place.partition, reason, expected)
            return False
        certain = place.partition in self.sought
        self.sought.discard(place.partition)
        if raws[0].offset > expected and not certain:
            self.placed.discard(place.partition)
            return False
        gone = raws[-1].offset + 1 - expected - len(raws)
        if not gone or self.topic in COMPACTED_TOPICS:
            return True
        self.missed += gone
        extent = (await extents_of(self.raw, [place]))[place]
        if (expired := outside(expected, extent)) is not None:
            self.stop(place.partition, expired, expected, gone)
            return False
        return True

    async def tell_kafka(self) -> bool:
        """Write our positions to Kafka, for its lag tools; says whether it took them in time."""
        mine = set(self.assigned())
        offsets = {
            TopicPartition(self.name, p): o
            for p, o in self.known.items()
            if p in mine and p not in self.stopped
        }
        if not offsets:
            return True
        try:
            async with asyncio.timeout(3):
                await self.raw.commit(offsets)
        except WEATHER:
            return False
        return True

    def end(self, partition: int) -> int:
        """The offset after the last record, as far as known."""
        highwater: int | None = self.raw.highwater(TopicPartition(self.name, partition))
        return self.ends.get(partition, 0) if highwater is None else highwater

    def behind(self) -> int:
        """Records between our positions and the ends of our partitions, as far as known."""
        return sum(self.behind_on().values())

    def behind_on(self) -> dict[int, int]:
        """The same of each partition."""
        return {p: max(0, self.end(p) - self.known.get(p, 0)) for p in self.assigned()}

    def read_up(self) -> dict[int, datetime]:
        """The partitions of which everything was handled, and when the broker last said so."""
        found: dict[int, datetime] = {}
        for partition, position in self.known.items():
            place = TopicPartition(self.name, partition)
            if partition in self.stopped or place not in self.raw.assignment():
                continue
            asked: int | None = self.raw.last_poll_timestamp(place)
            if asked is not None and position >= self.end(partition):
                found[partition] = datetime.fromtimestamp(asked / 1000, UTC)
        return found
