"""The only file that knows aiokafka: topics as code, records in, batches out.

Positions are the caller's: a `Listener` asks for them when partitions are assigned and seeks
there. What Kafka itself remembers of a group is written afterwards, for lag tools only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from struct import unpack_from
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAlreadyExistsError,
)
from aiokafka.helpers import create_ssl_context

from shared.events import Topic
from shared.settings import Settings

logger = logging.getLogger(__name__)

WEATHER = (KafkaError, OSError, TimeoutError)
"""The broker is away or busy: try again later."""

DAY_MS = 24 * 3600 * 1000
KEEP = str(30 * DAY_MS)
BATCH_BYTES = 900_000  # under the broker's default limit of 1 MiB for a batch
COMMON = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1048588"}
COMPACTED = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": KEEP,
    "delete.retention.ms": KEEP,
}
KEPT = {"cleanup.policy": "delete", "retention.ms": KEEP}
PARTITIONS: dict[Topic, int] = {
    Topic.INTAKE: 12,
    Topic.ROUTER: 12,
    Topic.ESCALATION: 12,
    Topic.POLICY: 1,
}
TOPIC_SETTINGS: dict[Topic, dict[str, str]] = {
    Topic.INTAKE: COMMON | KEPT,
    Topic.ROUTER: COMMON | COMPACTED,
    Topic.ESCALATION: COMMON | KEPT,
    Topic.POLICY: COMMON | {"cleanup.policy": "compact"},
}


class Record(NamedTuple):
    """A record as it lies on a topic; `appended_at` is the broker's time."""

    topic: Topic
    partition: int
    offset: int
    key: str
    value: bytes | None
    headers: dict[str, bytes]
    appended_at: datetime


class Message(NamedTuple):
    """A record to be said: its lane is a partition of its topic."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


Lane = tuple[Topic, int]


@dataclass(frozen=True, slots=True)
class TopicDiffers:
    """A topic of the broker that is not as the code says."""

    topic: str
    what: str
    wanted: str
    found: str


def lane_of(topic: Topic, key: str) -> int:
    """The partition that Kafka's own partitioner gives a key (murmur2, positive, modulo)."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS[topic]


def murmur2(data: bytes) -> int:
    """Kafka's hash of a key: aiokafka's own takes four times as long, once for each event.

    A test holds it to aiokafka's over keys of every length.
    """
    words, tail = divmod(len(data), 4)
    h = 0x9747B28C ^ len(data)
    for k in unpack_from(f"<{words}I", data):
        k = k * 0x5BD1E995 & 0xFFFFFFFF
        k = (k ^ k >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        h = h * 0x5BD1E995 & 0xFFFFFFFF ^ k
    if tail:
        h = (h ^ int.from_bytes(data[words * 4 :], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ h >> 15


def connection(settings: Settings) -> dict[str, Any]:
    """Where the broker is and how to speak to it: TLS and SASL as the settings say."""
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": protocol,
        "request_timeout_ms": settings.kafka_request_timeout_ms,
    }
    if protocol.endswith("SSL"):
        options["ssl_context"] = create_ssl_context(
            cafile=settings.kafka_ca_file,
            certfile=settings.kafka_cert_file,
            keyfile=settings.kafka_key_file,
        )
    if protocol.startswith("SASL"):
        password = settings.kafka_password
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    return options


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin connection."""
    client = AIOKafkaAdminClient(**connection(settings))
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing; says which. Never changes one that exists."""
    created = []
    async with admin(settings) as client:
        there = set(await client.list_topics())
        for topic, partitions in PARTITIONS.items():
            name = settings.topic_prefix + topic
            if name in there:
                continue
            configs = TOPIC_SETTINGS[topic] | {
                "min.insync.replicas": str(settings.kafka_min_insync)
            }
            new = NewTopic(name, partitions, settings.kafka_replication, topic_configs=configs)
            response = await client.create_topics([new], timeout_ms=20_000)
            for name_, code, *message in response.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise KafkaError(f"topic {name_} was not created: {code} {message}")
            created.append(name)
    if created:
        await see_topics(settings, created)
    return created


async def see_topics(settings: Settings, names: Sequence[str]) -> None:
    """Wait until the brokers have told each other of new topics. Raises `TimeoutError`."""
    async with asyncio.timeout(20), admin(settings) as client:
        while True:
            described = await client.describe_topics(list(names))
            if all(topic["error_code"] == 0 and topic["partitions"] for topic in described):
                return
            await asyncio.sleep(0.1)


async def check_topics(settings: Settings) -> list[TopicDiffers]:
    """Compare every topic of the broker with the code."""
    differs: list[TopicDiffers] = []
    async with admin(settings) as client:
        names = {settings.topic_prefix + topic: topic for topic in PARTITIONS}
        described = {t["topic"]: t for t in await client.describe_topics(list(names))}
        for name, topic in names.items():
            found = len(described[name]["partitions"]) if name in described else 0
            if found != PARTITIONS[topic]:
                differs.append(TopicDiffers(name, "partitions", str(PARTITIONS[topic]), str(found)))
                continue
            resource = ConfigResource(ConfigResourceType.TOPIC, name)
            (response,) = await client.describe_configs([resource])
            values = {entry[0]: entry[1] for entry in response.resources[0][4]}
            differs += [
                TopicDiffers(name, key, wanted, str(values.get(key)))
                for key, wanted in TOPIC_SETTINGS[topic].items()
                if values.get(key) != wanted
            ]
    return differs


Positions = Callable[[Topic, Sequence[int]], Awaitable[Mapping[int, int]]]


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Forgets positions in a rebalance, and does no I/O: aiokafka would swallow its failure."""

    def __init__(self, known: dict[int, int]) -> None:
        self.known = known

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """What is in the making is fenced by the offset rows."""
        for partition in revoked:
            self.known.pop(partition.partition, None)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """The next batch asks our database where to go on."""
        for partition in assigned:
            self.known.pop(partition.partition, None)


class Consumer:
    """One consumer of one topic in one group; reads whatever is there, up to a limit.

    `known` holds the position rows of our own database, by partition: what the next batch of that
    partition is expected to start at. A partition without one is looked up before it is read.
    """

    def __init__(self, settings: Settings, topic: Topic, group: str, positions: Positions) -> None:
        self.topic = topic
        self.name = settings.topic_prefix + topic
        self.positions = positions
        self.known: dict[int, int] = {}
        self.stopped: set[int] = set()
        self.missed = 0
        self.raw = AIOKafkaConsumer(
            **connection(settings),
            group_id=settings.topic_prefix + group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=250,
            session_timeout_ms=10_000,
            max_poll_interval_ms=300_000,
        )

    async def __aenter__(self) -> Consumer:
        """Join the group. A start that fails leaves nothing behind."""
        try:
            await self.raw.start()
        except BaseException:
            await self.__aexit__()
            raise
        self.raw.subscribe([self.name], listener=Listener(self.known))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave the group; bounded, also with the broker dead."""
        with suppress(*WEATHER):
            async with asyncio.timeout(5):
                await self.raw.stop()

    def assigned(self) -> list[int]:
        """The partitions that are ours at the moment."""
        return [p.partition for p in self.raw.assignment()]

    def forget(self) -> None:
        """Something was undone: ask the database again where we are."""
        self.known.clear()

    async def seek(self, partitions: Sequence[int]) -> None:
        """Go to where our own database says that we are."""
        rows = await self.positions(self.topic, partitions)
        for partition in partitions:
            try:
                self.raw.seek(TopicPartition(self.name, partition), rows.get(partition, 0))
            except IllegalStateError:  # revoked while we asked
                continue
            self.known[partition] = rows.get(partition, 0)

    async def batch(self, limit: int = 200, timeout_ms: int = 250) -> list[Record]:
        """Whatever is there, up to `limit` records, in order within each partition."""
        new = [p for p in self.assigned() if p not in self.known]
        if new:
            await self.seek(new)
        fetched = await self.raw.getmany(timeout_ms=timeout_ms, max_records=limit)
        records: list[Record] = []
        for partition, raws in fetched.items():
            expected = self.known.get(partition.partition)
            if expected is None or partition.partition in self.stopped:
                continue
            self.missed += max(0, raws[0].offset - expected) if raws else 0
            records += [record_of(self.topic, raw) for raw in raws if raw.offset >= expected]
        return records

    def stop_partition(self, partition: int) -> None:
        """Read no further on this partition until the process starts again."""
        self.stopped.add(partition)
        with suppress(IllegalStateError):
            self.raw.pause(TopicPartition(self.name, partition))

    async def tell_kafka(self) -> bool:
        """Write our positions to Kafka, for its lag tools; says whether it took them in time."""
        mine = set(self.assigned())
        offsets = {TopicPartition(self.name, p): o for p, o in self.known.items() if p in mine}
        if not offsets:
            return True
        try:
            async with asyncio.timeout(3):
                await self.raw.commit(offsets)
        except WEATHER:
            return False
        return True

    def behind(self) -> int:
        """Records between our positions and the ends of our partitions, as far as known."""
        total = 0
        for partition, position in self.known.items():
            if partition in self.assigned():
                end = self.raw.highwater(TopicPartition(self.name, partition))
                total += max(0, (end or 0) - position)
        return total


def record_of(topic: Topic, raw: Any) -> Record:
    """Our record of aiokafka's."""
    return Record(
        topic,
        raw.partition,
        raw.offset,
        raw.key.decode("utf-8", "replace") if raw.key else "",
        raw.value,
        dict(raw.headers),
        datetime.fromtimestamp(raw.timestamp / 1000, UTC),
    )


class Unknown(Exception):
    """No answer came in time: the batch may have been written, or may not."""


class Sender:
    """Sends one batch per lane at once and says which were acknowledged.

    Not idempotent on purpose: an idempotent aiokafka producer never lets a batch expire, so with
    the broker gone its sends and its stop hang for ever.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.producer: AIOKafkaProducer | None = None

    async def started(self) -> AIOKafkaProducer:
        """The producer; a new one after an unknown answer."""
        if self.producer is None:
            producer = AIOKafkaProducer(
                **connection(self.settings),
                acks="all",
                enable_idempotence=False,
                compression_type="lz4",
                max_batch_size=BATCH_BYTES,
                linger_ms=0,
            )
            self.producer = producer
            try:
                await producer.start()
            except BaseException:
                await self.drop()
                raise
        return self.producer

    async def drop(self) -> None:
        """Forget the producer; bounded, also with the broker dead."""
        producer, self.producer = self.producer, None
        if producer is not None:
            with suppress(*WEATHER):
                async with asyncio.timeout(5):
                    await producer.stop()

    async def send(
        self, lanes: Mapping[Lane, Sequence[Message]]
    ) -> tuple[dict[Lane, int], dict[Lane, str]]:
        """Send what fits into one batch per lane.

        Returns how many of each lane were acknowledged, and why a lane was refused for good.
        Raises `Unknown` when any answer is missing: nothing may be concluded then.
        """
        try:
            producer = await self.started()
            async with asyncio.timeout(self.settings.kafka_request_timeout_ms / 1000 * 2):
                counts: dict[Lane, int] = {}
                futures: dict[Lane, Awaitable[object]] = {}
                for lane, messages in lanes.items():
                    batch = producer.create_batch()
                    for message in messages:
                        if (
                            batch.append(
                                timestamp=None,
                                key=message.key,
                                value=message.value,
                                headers=message.headers,
                            )
                            is None
                        ):
                            break
                    counts[lane] = batch.record_count()
                    name = self.settings.topic_prefix + lane[0]
                    futures[lane] = await producer.send_batch(batch, name, partition=lane[1])
                answers = await asyncio.gather(*futures.values(), return_exceptions=True)
        except WEATHER as lost:
            await self.drop()
            raise Unknown(type(lost).__name__) from lost
        refused: dict[Lane, str] = {}
        for lane, answer in zip(futures, answers, strict=True):
            if isinstance(answer, MessageSizeTooLargeError):
                refused[lane] = type(answer).__name__
                del counts[lane]
            elif isinstance(answer, BaseException):
                await self.drop()
                raise Unknown(type(answer).__name__) from answer
        return counts, refused


async def read_to_end(
    settings: Settings, topic: Topic
) -> AsyncIterator[tuple[list[Record], int, int]]:
    """Every record of a topic up to the ends it has now, without a group.

    Yields (records, read so far, records in all by offset); the caller keeps the last offsets.
    """
    name = settings.topic_prefix + topic
    consumer = AIOKafkaConsumer(
        **connection(settings), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(name, p) for p in range(PARTITIONS[topic])]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.beginning_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, starts[partition])
        total = sum(ends[p] - starts[p] for p in partitions)
        positions = dict(starts)
        while any(positions[p] < ends[p] for p in partitions):
            fetched = await consumer.getmany(timeout_ms=500, max_records=2_000)
            records = [
                record_of(topic, raw)
                for p, raws in fetched.items()
                for raw in raws
                if raw.offset < ends[p]
            ]
            for p in partitions:
                positions[p] = await consumer.position(p)
            read = sum(min(positions[p], ends[p]) - starts[p] for p in partitions)
            yield records, read, total
    finally:
        await consumer.stop()


async def end_offsets(settings: Settings, topic: Topic) -> dict[int, int]:
    """The offset after the last record of each partition."""
    name = settings.topic_prefix + topic
    consumer = AIOKafkaConsumer(**connection(settings), enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(name, p) for p in range(PARTITIONS[topic])]
        ends = await consumer.end_offsets(partitions)
        return {p.partition: end for p, end in ends.items()}
    finally:
        await consumer.stop()
