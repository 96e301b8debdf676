"""The logs of a topic without a group: how far they reach, and all that they hold."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.events import Topic
from shared.kafka.connection import connection
from shared.kafka.records import Record, record_of
from shared.kafka.topics import PARTITIONS
from shared.settings import Settings


class Extent(NamedTuple):
    """The first offset that a partition still holds, and the one after the last."""

    beginning: int
    end: int


def outside(position: int, extent: Extent) -> str | None:
    """Why nobody can go on at this position, or None.

    Beyond the end: the log is another one than the position speaks of. Before the beginning: what
    was not read yet has expired, in a compacted log too: compaction leaves holes and never moves
    the beginning. Either needs a person.
    """
    if position > extent.end:
        return (
            f"position {position} lies beyond the end {extent.end}: this is another log than the"
            " one we read; look, then `positions reset`"
        )
    if position < extent.beginning:
        return (
            f"{extent.beginning - position} records from position {position} on expired unread;"
            " look, then `positions reset`"
        )
    return None


async def extents_of(
    raw: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, Extent]:
    """How far these partitions reach."""
    ends: Mapping[TopicPartition, int] = await raw.end_offsets(partitions)
    beginnings: Mapping[TopicPartition, int] = await raw.beginning_offsets(partitions)
    return {p: Extent(beginnings[p], ends[p]) for p in partitions}


@asynccontextmanager
async def reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group."""
    consumer = AIOKafkaConsumer(
        **connection(settings), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


def partitions_of(settings: Settings, topic: Topic) -> list[TopicPartition]:
    """All partitions of a topic, as aiokafka calls them."""
    return [TopicPartition(settings.topic_prefix + topic, p) for p in range(PARTITIONS[topic])]


async def extents(settings: Settings, topic: Topic) -> dict[int, Extent]:
    """How far each partition of a topic reaches."""
    async with reader(settings) as raw:
        found = await extents_of(raw, partitions_of(settings, topic))
    return {p.partition: extent for p, extent in found.items()}


async def end_offsets(settings: Settings, topic: Topic) -> dict[int, int]:
    """The offset after the last record of each partition."""
    return {p: extent.end for p, extent in (await extents(settings, topic)).items()}


async def read_to_end(
    settings: Settings, topic: Topic, since: Mapping[int, int] | None = None
) -> AsyncIterator[tuple[list[Record], int, int]]:
    """Every record of a topic up to the ends it has now, without a group; `since` these offsets.

    Yields (records, read so far, records in all by offset); the caller keeps the last offsets.
    """
    async with reader(settings) as consumer:
        partitions = partitions_of(settings, topic)
        consumer.assign(partitions)
        reach = {
            p: Extent(min(max(extent.beginning, (since or {}).get(p.partition, 0)), extent.end),
                      extent.end)
            for p, extent in (await extents_of(consumer, partitions)).items()
        }  # fmt: skip
        for partition, extent in reach.items():
            consumer.seek(partition, extent.beginning)
        total = sum(extent.end - extent.beginning for extent in reach.values())
        positions = {p: extent.beginning for p, extent in reach.items()}
        while any(positions[p] < reach[p].end for p in partitions):
            fetched = await consumer.getmany(timeout_ms=500, max_records=2_000)
            records = [
                record_of(topic, raw)
                for p, raws in fetched.items()
                for raw in raws
                if raw.offset < reach[p].end
            ]
            for p in partitions:
                positions[p] = await consumer.position(p)
            read = sum(min(positions[p], reach[p].end) - reach[p].beginning for p in partitions)
            yield records, read, total
