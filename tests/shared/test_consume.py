"""Hearing on the real broker: three kinds of failure, the fence, and what stops a partition."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from functools import partial

import asyncpg
import pytest
from prometheus_client import REGISTRY

from deploy.local.postgres import SUPERUSER, Postgres
from shared import hearing
from shared.clock import wall
from shared.events import Topic
from shared.hearing import TOO_MANY_IN_A_ROW, Batch
from shared.kafka import Message
from shared.kafka.connection import admin
from shared.postgres import Transaction, migrate, open_pool, transaction
from shared.service import Process, consume, through_weather
from shared.settings import Settings
from tests.shared.listener.__main__ import SERVICE, handle
from tests.shared.sayings import (
    LANE,
    ONE,
    OTHER_LANE,
    TWO,
    eventually,
    heard,
    listening,
    message,
    reason,
    say,
    until_heard,
    until_well,
    with_header,
)

LOOP = f"consume {Topic.INTAKE}"


async def parked(process: Process) -> list[str]:
    """Why records wait for a person."""
    async with transaction(process.pool) as tx:
        return [one.reason for one in await hearing.parked_all(tx, 1_000)]


STRANGE = {
    "a header without a value": ("ce_seq", None),
    "a seq of twenty digits": ("ce_seq", b"9" * 20),
    "an epoch that no table holds": ("ce_epoch", b"2147483648"),
    "a negative seq": ("ce_seq", b"-1"),
    "a zero byte": ("ce_causedby", b"a\x00b"),
    "no UTF-8": ("ce_causedby", b"\xff\xfe"),
    "a time before all time": ("ce_time", b"0001-01-01T00:00:00+14:00"),
    "a time without a zone": ("ce_time", b"2026-01-01T00:00:00"),
    "no id": ("ce_id", b"12"),
}


@pytest.mark.parametrize("header", STRANGE.values(), ids=STRANGE.keys())
async def test_what_is_no_header_of_ours_is_parked_and_the_next_is_heard(
    process: Process, header: tuple[str, bytes]
) -> None:
    await say(process.settings, with_header(message(ONE, 1), *header), message(ONE, 2))
    async with listening(process):
        await until_heard(process, ONE, [2])
    (why,) = await parked(process)
    assert "header" in why


async def test_a_key_that_no_table_holds_is_parked_and_the_next_is_heard(process: Process) -> None:
    # It may lie on another lane than what is said of ONE.
    await say(process.settings, message(ONE, 1)._replace(key=b"a\x00b"), message(ONE, 2))
    async with listening(process):
        await until_heard(process, ONE, [2])
        await eventually(lambda: parked(process), lambda found: len(found) == 1)
    assert await parked(process) == ["the key holds a zero byte"]


async def test_kafka_is_told_the_positions_afterwards_for_its_lag_tools(process: Process) -> None:
    settings = process.settings
    await say(settings, *(message(ONE, seq) for seq in (1, 2, 3)), message(TWO, 1))
    async with listening(process):
        await until_heard(process, ONE, [1, 2, 3])
        await until_heard(process, TWO, [1])

        async def told() -> dict[int, int]:
            async with admin(settings) as client:
                group = settings.topic_prefix + f"listener.{Topic.INTAKE}"
                found = await client.list_consumer_group_offsets(group)
            return {place.partition: at.offset for place, at in found.items() if at.offset}

        assert await eventually(told, lambda at: at == {LANE: 3, OTHER_LANE: 1})
        async with transaction(process.pool) as tx:
            kept = await hearing.positions(tx, Topic.INTAKE, range(12))
        assert kept == {LANE: 3, OTHER_LANE: 1}


async def test_events_of_another_promise_clock_are_heard_and_counted(process: Process) -> None:
    of = {"topic": Topic.INTAKE.value}
    foreign = partial(REGISTRY.get_sample_value, "casegrid_foreign_clock_events_total", of)
    before = foreign() or 0
    await say(process.settings, message(ONE, 1), with_header(message(ONE, 2), "ce_clock", b"x720"))
    async with listening(process):
        await until_heard(process, ONE, [1, 2])
        assert "clock" in process.health.reasons
        await say(process.settings, message(ONE, 3))
        await until_heard(process, ONE, [1, 2, 3])
        await until_well(process)
    assert foreign() == before + 1


async def test_a_value_that_breaks_the_contract_is_parked_and_the_next_is_heard(
    process: Process,
) -> None:
    values = (
        b"",
        b"{}",
        b"\xff",
        b'{"type":"casegrid.petition.supplemented.v1\\u0000"}',
        b'{"type":"' + random.Random(1).randbytes(1_000_000).replace(b'"', b"'") + b'"}',
    )
    broken = [message(ONE, n)._replace(value=value) for n, value in enumerate(values, 1)]
    for one in broken:  # one batch would be too large
        await say(process.settings, one)
    await say(process.settings, message(ONE, 9))
    async with listening(process):
        await until_heard(process, ONE, [9])
    assert len(await parked(process)) == len(values)


async def test_a_bug_ends_the_process_and_moves_nothing(process: Process) -> None:
    await say(process.settings, message(ONE, 1), message(ONE, 2, "bug"))
    with pytest.raises(ExceptionGroup) as ended:
        async with listening(process):
            await asyncio.sleep(30)
    assert ended.group_contains(RuntimeError)
    assert await heard(process, ONE) == []
    async with transaction(process.pool) as tx:
        assert await hearing.positions(tx, Topic.INTAKE, range(12)) == {}


async def test_weather_is_waited_out_and_nothing_is_heard_twice(process: Process) -> None:
    await say(process.settings, message(ONE, 1))
    async with listening(process):
        await until_heard(process, ONE, [1])
        async with transaction(process.pool) as other:
            await other.execute("lock table heard in exclusive mode")
            await say(process.settings, message(ONE, 2), message(ONE, 3))
            assert await reason(process, LOOP) == "LockNotAvailableError"
        await until_heard(process, ONE, [1, 2, 3])
        await until_well(process)


async def test_of_two_that_believe_to_be_at_the_same_place_one_is_fenced(process: Process) -> None:
    """A zombie's transaction fails, and it goes on from where the other one was."""
    of = {"topic": Topic.INTAKE.value}
    fenced = partial(REGISTRY.get_sample_value, "casegrid_batches_fenced_total", of)
    before = fenced() or 0
    async with process.pool.acquire() as tx:
        await hearing.advance(tx, Topic.INTAKE, {LANE: 0}, {LANE: 0})
    moved = asyncio.Event()

    async def slow(batch: Batch, tx: Transaction, now: datetime) -> None:
        await handle(batch, tx, now)
        if not moved.is_set():
            moved.set()
            async with transaction(process.pool) as other:
                await hearing.advance(other, Topic.INTAKE, {LANE: 0}, {LANE: 2})

    await say(process.settings, *(message(ONE, seq) for seq in range(1, 5)))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(consume(process, Topic.INTAKE, slow))
        await until_heard(process, ONE, [3, 4])
        task.cancel()
    assert fenced() == before + 1


async def test_two_processes_share_a_topic_and_hear_each_event_once(process: Process) -> None:
    subjects = [f"case-{n}" for n in range(40)]
    other = Process(process.service, process.settings, process.clock, process.pool)
    async with listening(process):
        await say(process.settings, *(message(subject, 1) for subject in subjects))
        async with listening(other):
            for seq in range(2, 12):
                await say(process.settings, *(message(subject, seq) for subject in subjects))

            async def count() -> int:
                async with process.pool.acquire() as tx:
                    return int(await tx.fetchval("select count(*) from heard"))

            await eventually(count, lambda n: n >= 11 * len(subjects))
    for subject in subjects:
        assert await heard(process, subject) == list(range(1, 12))


async def test_many_unreadable_in_a_row_stop_it_until_a_person_says_resume(
    process: Process,
) -> None:
    broken = [message(ONE, n)._replace(value=b"{}") for n in range(TOO_MANY_IN_A_ROW)]
    await say(process.settings, *broken)
    async with listening(process):
        assert "parked resume" in await reason(process, f"parked {Topic.INTAKE}")
        await say(process.settings, message(TWO, 1))
    # Remembered across restarts.
    later = Process(process.service, process.settings, process.clock, process.pool)
    async with listening(later):
        assert "parked resume" in await reason(later, f"parked {Topic.INTAKE}")
        assert await heard(later, TWO) == []
        assert later.lags[Topic.INTAKE].seconds(wall()) > 0
        async with transaction(later.pool) as tx:
            await hearing.resume(tx)
        await until_heard(later, TWO, [1])
        await until_well(later)


def unknown(seq: int) -> Message:
    """A type of a later version."""
    return with_header(message(ONE, seq), "ce_type", b"casegrid.petition.imagined.v9")


async def test_an_unknown_type_stops_its_partition_whose_lag_keeps_ageing(
    process: Process,
) -> None:
    await say(process.settings, message(ONE, 1), unknown(2), message(ONE, 3))
    async with listening(process):
        assert "imagined" in await reason(process, f"partition {Topic.INTAKE}/{LANE}")
        await say(process.settings, message(TWO, 1))
        await until_heard(process, TWO, [1])
        assert await heard(process, ONE) == [1]

        async def lag() -> float:
            return process.lags[Topic.INTAKE].seconds(wall())

        await eventually(lag, lambda seconds: seconds > 6)
        assert LOOP not in process.health.reasons
        # A process that knows the type heard it: this one goes on behind it.
        async with transaction(process.pool) as tx:
            await hearing.move(tx, Topic.INTAKE, LANE, 2)
        await until_heard(process, ONE, [1, 3])
        assert await eventually(lag, lambda seconds: seconds < 1) == 0


async def test_the_lag_grows_while_the_database_is_away(
    settings: Settings, own_postgres: Callable[[], Postgres]
) -> None:
    server = own_postgres()
    dsn = server.dsn("postgres", SUPERUSER)
    await migrate(dsn, "listener", SERVICE.migrations)
    async with open_pool(dsn, 4, 2_000, "test") as pool:
        process = Process(SERVICE, settings, settings.clock(), pool)

        async def lag() -> float:
            return process.lags[Topic.INTAKE].seconds(wall())

        await say(settings, message(ONE, 1))
        async with listening(process):
            await until_heard(process, ONE, [1])
            assert await eventually(lag, lambda seconds: not seconds) == 0
            server.kill()
            await say(settings, message(ONE, 2))
            assert await reason(process, LOOP)
            await eventually(lag, lambda seconds: seconds > 4)
            server.start()
            await eventually(lag, lambda seconds: not seconds)
            await until_heard(process, ONE, [1, 2])


async def test_nothing_is_said_of_a_topic_that_is_not_there_but_that(
    unheard: Settings, dsn: str
) -> None:
    async with open_pool(dsn, 2, 2_000, "test") as pool:
        process = Process(SERVICE, unheard, unheard.clock(), pool)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(
                through_weather(process, LOOP, lambda: consume(process, Topic.INTAKE, handle))
            )

            async def why() -> str | None:
                return process.health.reasons.get(LOOP)

            await eventually(why, lambda found: found == "the topic is not there")
            assert process.lags[Topic.INTAKE].seconds(wall()) > 0
            task.cancel()


async def test_a_database_error_that_quotes_a_row_is_a_bug(process: Process) -> None:
    await say(process.settings, message(ONE, 13))
    with pytest.raises(ExceptionGroup) as ended:
        async with listening(process):
            await asyncio.sleep(30)
    assert ended.group_contains(asyncpg.CheckViolationError)
