"""The heartbeat: one process sends it, each stage feels it once, and nothing else ever sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from shared import telemetry
from shared.census import Voice
from shared.clock import wall
from shared.events import Topic
from shared.hearing import Batch, Heard, Unreadable, decode
from shared.heartbeat import Heart, On, beat_once, feeling, show_ages
from shared.kafka import PARTITIONS, Record
from shared.outbox import unpack
from shared.postgres import Pool, Transaction, transaction
from tests.shared.sayings import AT, ONE, message

EVERY = timedelta(seconds=30)
INTAKE, ROUTER = Voice("intake", 1, "real"), Voice("router", 3, "real")
LANES = range(PARTITIONS[Topic.INTAKE])


async def said(tx: Transaction) -> list[Heard]:
    """What lies in the outbox, as whoever hears it reads it; then it is gone, as after a relay."""
    rows = await tx.fetch("with gone as (delete from outbox returning *) table gone order by id")
    found = [
        decode(
            Record(
                Topic(row["topic"]), row["lane"], n, row["key"], row["value"],
                dict(unpack(row["headers"])), wall(),
            )
        )
        for n, row in enumerate(rows)
    ]  # fmt: skip
    assert all(isinstance(one, Heard) for one in found)
    return [one for one in found if isinstance(one, Heard)]


class Rest:
    """A handler that keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[Batch] = []

    async def __call__(self, batch: Batch, tx: Transaction, now: datetime) -> None:
        self.given.append(batch)


def petition(seq: int = 1) -> Heard:
    made = message(ONE, seq)
    record = Record(Topic.INTAKE, 0, seq, made.key.decode(), made.value, dict(made.headers), wall())
    heard = decode(record)
    assert isinstance(heard, Heard)
    return heard


def of(events: Sequence[Heard], *unreadable: Unreadable) -> Batch:
    return Batch(Topic.INTAKE, events, unreadable)


async def rows(tx: Transaction) -> int:
    return int(await tx.fetchval("select count(*) from heartbeats"))


async def test_a_beat_goes_to_every_partition_in_order(tx: Transaction) -> None:
    for n in (1, 2):
        assert await beat_once(tx, INTAKE, AT, AT + n * EVERY, EVERY)
        beats = await said(tx)
        assert sorted(one.record.partition for one in beats) == list(LANES)
        assert {one.envelope.order.seq for one in beats} == {n}
        assert len({one.envelope.event_id for one in beats}) == len(LANES)


async def test_one_of_many_processes_sends_it(pool: Pool) -> None:
    async def one() -> bool:
        async with transaction(pool) as tx:
            return await beat_once(tx, INTAKE, AT, AT, EVERY)

    assert sorted(await asyncio.gather(*(one() for _ in range(5)))) == [False] * 4 + [True]


async def test_it_is_sent_every_30_seconds_and_not_before_the_last_one_was_said(
    tx: Transaction,
) -> None:
    assert await beat_once(tx, INTAKE, AT, AT, EVERY)
    later = AT + timedelta(hours=1)
    assert not await beat_once(tx, INTAKE, AT, later, EVERY), "with the broker away none piles up"
    assert len(await said(tx)) == len(LANES)
    assert not await beat_once(tx, INTAKE, AT, AT + EVERY * 0.9, EVERY)
    assert await beat_once(tx, INTAKE, AT, later, EVERY)


async def test_a_heart_that_is_off_never_beats(tx: Transaction) -> None:
    assert not await Heart(timedelta(0)).beat(tx, INTAKE, AT)
    assert not await said(tx)


async def test_it_is_said_on_once_under_a_number_of_the_speakers_own(tx: Transaction) -> None:
    hear = feeling(Rest(), On(Topic.ROUTER, ROUTER))
    for n in (1, 2):
        assert await beat_once(tx, INTAKE, AT, AT + n * EVERY, EVERY)
        beats = await said(tx)
        for _ in range(2):  # a producer may write a record twice
            await hear(of(beats), tx, AT)
        on = await said(tx)
        assert {one.record.topic for one in on} == {Topic.ROUTER}
        assert sorted(one.record.partition for one in on) == list(LANES)
        assert {tuple(one.envelope.order) for one in on} == {(3, n)}
        assert {one.data for one in on} == {one.data for one in beats}


async def test_of_a_backlog_the_newest_counts_and_no_row_is_added(tx: Transaction) -> None:
    backlog: list[Heard] = []
    for n in range(50):
        assert await beat_once(tx, INTAKE, AT, AT + n * EVERY, EVERY)
        backlog += await said(tx)
    await feeling(Rest())(of(backlog), tx, AT)
    assert await tx.fetchval("select min(beat_at) from heartbeats") == AT + 49 * EVERY
    assert await rows(tx) == len(LANES) + 1


async def test_the_handler_is_given_the_rest_and_a_beat_alone_does_not_wake_it(
    tx: Transaction,
) -> None:
    rest = Rest()
    hear = feeling(rest)
    await beat_once(tx, INTAKE, AT, AT, EVERY)
    first, *others = await said(tx)
    await hear(of(others), tx, AT)
    assert rest.given == []
    one, two = petition(1), petition(2)
    bad = Unreadable(first.record, "cut off")
    await hear(of([one, first, two], bad), tx, AT)
    await hear(of([one]), tx, AT)
    assert rest.given == [of([one, two], bad), of([one])]


def age(stage: str) -> float:
    value = REGISTRY.get_sample_value("casegrid_heartbeat_age_seconds", {"stage": stage})
    assert value is not None
    return value


async def test_the_age_is_that_of_the_partition_furthest_behind(
    tx: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = AT + timedelta(minutes=10)
    monkeypatch.setattr(telemetry, "wall", lambda: now)
    began = AT + timedelta(minutes=1)
    await show_ages(tx, "router", began)
    assert age("routed") == age("ordered") == 540, "none was felt since the process began"
    for minute in (2, 5):
        await beat_once(tx, INTAKE, AT, AT + timedelta(minutes=minute), EVERY)
        beats = await said(tx)
        heard = beats if minute == 2 else beats[1:]
        await feeling(Rest())(of(heard), tx, AT)
    await show_ages(tx, "router", began)
    await show_ages(tx, "intake", began)
    assert age("routed") == 480, "one partition stands still"
    assert age("sent") == 300
    await feeling(Rest())(of(beats), tx, AT)
    await show_ages(tx, "router", began)
    assert age("routed") == 300
    now += timedelta(minutes=1)
    assert age("routed") == 360, "it grows while nobody looks again"
