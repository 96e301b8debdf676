"""Positions are rows: what happens where the log does not reach there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared import hearing, kafka, telemetry
from shared.events import Topic
from shared.kafka import Consumer
from shared.kafka.connection import admin
from shared.postgres import transaction
from shared.service import Process
from shared.settings import Settings
from tests.shared.sayings import (
    LANE,
    ONE,
    TWO,
    eventually,
    expire,
    listening,
    message,
    reason,
    replace_topics,
    say,
    until_heard,
    until_well,
)

STOPPED = f"partition {Topic.INTAKE}/{LANE}"


def stopped_partitions() -> float:
    """The gauge of this process."""
    (metric,) = telemetry.STOPPED_PARTITIONS.labels(Topic.INTAKE).collect()
    return metric.samples[0].value


def expired() -> float:
    """The gauge of this process."""
    (metric,) = telemetry.EXPIRED.labels(Topic.INTAKE).collect()
    return metric.samples[0].value


def missed() -> float:
    """The counter of this process."""
    (metric,) = telemetry.MISSED.labels(Topic.INTAKE).collect()
    return metric.samples[0].value


async def reset(process: Process, partition: int, to: int) -> None:
    """What an operator does."""
    async with transaction(process.pool) as tx:
        await hearing.move(tx, Topic.INTAKE, partition, to)


async def hear_five(process: Process) -> None:
    """Five events of one subject are heard, and the process is stopped."""
    await say(process.settings, *(message(ONE, seq) for seq in range(1, 6)))
    async with listening(process):
        await until_heard(process, ONE, range(1, 6))
        await until_well(process)


async def test_a_position_beyond_the_end_stops_its_partition_until_a_person_moves_it(
    process: Process,
) -> None:
    await hear_five(process)
    await replace_topics(process.settings)
    await say(process.settings, message(ONE, 6), message(ONE, 7), message(TWO, 1))
    async with listening(process):
        assert "position 5 lies beyond the end 2" in await reason(process, STOPPED)
        assert stopped_partitions() == 1
        await until_heard(process, TWO, [1])
        await until_heard(process, ONE, range(1, 6))
        await reset(process, LANE, 0)
        await until_heard(process, ONE, range(1, 8))
        await until_well(process)
        assert stopped_partitions() == 0


async def test_a_log_that_is_replaced_by_an_empty_one_meanwhile_is_noticed(
    process: Process,
) -> None:
    await say(process.settings, *(message(ONE, seq) for seq in range(1, 6)))
    async with listening(process):
        await until_heard(process, ONE, range(1, 6))
        await replace_topics(process.settings)
        assert "another log" in await reason(process, STOPPED)
        await reset(process, LANE, 0)
        await say(process.settings, message(ONE, 6))
        await until_heard(process, ONE, range(1, 7))


async def test_a_log_that_is_replaced_by_a_shorter_one_meanwhile_is_noticed(
    process: Process,
) -> None:
    await say(process.settings, *(message(ONE, seq) for seq in range(1, 6)))
    async with listening(process):
        await until_heard(process, ONE, range(1, 6))
        await replace_topics(process.settings)
        await say(process.settings, message(ONE, 6))
        assert "another log" in await reason(process, STOPPED)
        await until_heard(process, ONE, range(1, 6))


async def test_records_that_expired_unread_stop_their_partition_and_are_counted(
    process: Process,
) -> None:
    await hear_five(process)
    await say(process.settings, *(message(ONE, seq) for seq in range(6, 11)))
    await expire(process.settings, Topic.INTAKE, LANE, 8)
    before = missed()
    async with listening(process):
        assert "3 records from position 5 on expired unread" in await reason(process, STOPPED)
        assert missed() - before == 3
        assert expired() == 3, "as long as nobody settles it, whoever looks sees it"
        await reset(process, LANE, 8)
        await until_heard(process, ONE, [*range(1, 6), 9, 10])
        await until_well(process)
        assert missed() - before == 3
        assert expired() == 0


async def first_batch(consumer: Consumer) -> list[kafka.Record]:
    """Whatever comes first."""
    return await eventually(consumer.batch, bool)


async def test_records_that_expire_behind_the_back_of_a_consumer_stop_the_partition_too(
    settings: Settings,
) -> None:
    await say(settings, message(ONE, 1))
    rows: dict[int, int] = {}
    async with Consumer(settings, Topic.INTAKE, "test", told(rows)) as consumer:
        await first_batch(consumer)
        rows[LANE] = 1
        consumer.handled(rows)
        # Nothing is fetched ahead while the records come and go.
        place = TopicPartition(consumer.name, LANE)
        consumer.raw.pause(place)
        await consumer.batch(timeout_ms=1_000)
        await say(settings, *(message(ONE, seq) for seq in range(2, 8)))
        await expire(settings, Topic.INTAKE, LANE, 4)
        consumer.raw.resume(place)

        async def look() -> dict[int, kafka.Stopped]:
            assert await consumer.batch() == []
            return consumer.stopped

        await eventually(look, bool)
        assert "3 records from position 1 on expired unread" in consumer.stopped[LANE].reason
        assert consumer.missed == 3


ROUTER_LANE = kafka.lane_of(Topic.ROUTER, ONE)


async def compacted(settings: Settings) -> None:
    """Seven records of one subject, of which the broker keeps only the last two."""
    name = settings.topic_prefix + Topic.ROUTER
    soon = {
        "cleanup.policy": "compact", "segment.ms": "50", "min.compaction.lag.ms": "0",
        "min.cleanable.dirty.ratio": "0.01",
    }  # fmt: skip
    async with admin(settings) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, soon)])
    for seq in range(1, 8):
        await say(settings, message(ONE, seq), topic=Topic.ROUTER)
        await asyncio.sleep(0.1)

    async def kept() -> list[int]:
        """The offsets that are left."""
        found = kafka.read_to_end(settings, Topic.ROUTER)
        return [record.offset async for records, _, _ in found for record in records]

    await eventually(kept, lambda offsets: offsets == [5, 6])


def told(rows: Mapping[int, int]) -> kafka.Positions:
    """The positions of a database that holds these rows."""

    async def positions(_: Topic, __: Sequence[int]) -> Mapping[int, int]:
        return rows

    return positions


async def test_holes_in_a_compacted_topic_are_no_loss(settings: Settings) -> None:
    await compacted(settings)
    async with Consumer(settings, Topic.ROUTER, "test", told({ROUTER_LANE: 2})) as consumer:
        # A batch ends with a segment.
        assert [record.offset for record in await first_batch(consumer)] == [5]
        assert consumer.known[ROUTER_LANE] == 2
        consumer.handled({ROUTER_LANE: 6})
        assert [record.offset for record in await first_batch(consumer)] == [6]
        assert not consumer.stopped
        assert consumer.missed == 0


async def test_a_client_that_goes_on_elsewhere_is_led_back_and_nothing_is_passed_over(
    settings: Settings,
) -> None:
    await say(settings, *(message(ONE, seq) for seq in range(1, 8)), topic=Topic.ROUTER)
    rows = {ROUTER_LANE: 0}
    async with Consumer(settings, Topic.ROUTER, "test", told(rows)) as consumer:
        assert await eventually(lambda: consumer.batch(limit=2), bool)
        rows[ROUTER_LANE] = 2
        consumer.handled(rows)
        consumer.raw.seek(TopicPartition(consumer.name, ROUTER_LANE), 5)
        assert [record.offset for record in await first_batch(consumer)] == [2, 3, 4, 5, 6]
        assert not consumer.stopped
        assert consumer.missed == 0


async def test_the_beginning_of_a_compacted_log_is_lost_like_any_other(settings: Settings) -> None:
    await say(settings, *(message(ONE, seq) for seq in range(1, 8)), topic=Topic.ROUTER)
    name = settings.topic_prefix + Topic.ROUTER
    # Only a topic that is not compacted lets its first records be deleted at will.
    change = ConfigResource(ConfigResourceType.TOPIC, name, {"cleanup.policy": "delete"})
    async with admin(settings) as client:
        await client.alter_configs([change])
    await expire(settings, Topic.ROUTER, ROUTER_LANE, 5)
    async with Consumer(settings, Topic.ROUTER, "test", told({ROUTER_LANE: 2})) as consumer:

        async def look() -> dict[int, kafka.Stopped]:
            assert await consumer.batch() == []
            return consumer.stopped

        await eventually(look, bool)
        assert "3 records from position 2 on expired" in consumer.stopped[ROUTER_LANE].reason
        assert consumer.missed == 3
