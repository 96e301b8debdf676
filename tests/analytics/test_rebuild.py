"""Counting anew from the real Kafka into the real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from services.analytics import store
from services.analytics.__main__ import SERVICE
from services.analytics.decisions import checksum, contribution, differences
from services.analytics.handlers.cases import on_cases
from services.analytics.handlers.rebuild import AlreadyRunning, Rebuilt, rebuild, told
from shared import audit, hearing, kafka, postgres, service, tally
from shared.events import CaseSnapshot, Topic, dump
from shared.hearing import Fenced, UnknownType
from shared.kafka import Lane, Message, lane_of
from shared.outbox import headers_of
from shared.postgres import Pool, transaction
from shared.service import Process
from shared.settings import Settings
from tests.analytics.stories import STARTED, case, changed, clock, closed, envelope
from tests.servers import KafkaServer

Told = Sequence[tuple[UUID, int, CaseSnapshot]]


@pytest.fixture
async def settings(analytics_dsn: str, kafka_server: KafkaServer) -> Settings:
    """A service's settings, with topics of the test's own."""
    made = Settings.model_validate(
        {
            "database_url": analytics_dsn,
            "kafka_bootstrap": kafka_server.bootstrap,
            "topic_prefix": f"{uuid4().hex}.",
        }
    )
    await kafka.create_topics(made)
    return made


async def say(settings: Settings, messages: Sequence[tuple[UUID, Message]]) -> None:
    """Write records as the router's relay does."""
    lanes: defaultdict[Lane, list[Message]] = defaultdict(list)
    for case_id, message in messages:
        lanes[Topic.ROUTER, lane_of(Topic.ROUTER, str(case_id))].append(message)
    sender = kafka.Sender(settings)
    counts, refused = await sender.send(lanes)
    await sender.drop()
    assert sum(counts.values()) == len(messages)
    assert not refused


def message(case_id: UUID, seq: int, snapshot: CaseSnapshot) -> tuple[UUID, Message]:
    value, headers = dump(changed(snapshot)), headers_of(envelope(case_id, (1, seq)))
    return case_id, Message(str(case_id).encode(), value, headers)


async def consume(settings: Settings, pool: Pool) -> None:
    """Hear the topic to its end, as the service does, from where its database is."""
    async with transaction(pool) as tx:
        known = await hearing.positions(tx, Topic.ROUTER, range(12))
    async for records, _, _ in kafka.read_to_end(settings, Topic.ROUTER):
        new = [record for record in records if record.offset >= known.get(record.partition, 0)]
        batch, _ = hearing.decoded(new)
        if batch is None:
            continue
        first, after = hearing.next_offsets(batch)
        async with transaction(pool) as tx:
            await hearing.park(tx, batch.unreadable)
            await on_cases(batch, tx, STARTED)
            await hearing.advance(tx, Topic.ROUTER, {p: known.get(p, 0) for p in first}, after)
        known.update(after)


async def checksum_now(pool: Pool) -> str:
    async with transaction(pool) as tx:
        return checksum(await store.all_counters(tx))


async def rebuilt(settings: Settings) -> Rebuilt:
    return await rebuild(settings, "li", "in doubt", lambda read, of: None)


LIVES: Told = [
    (UUID(int=n), seq, snapshot)
    for n in range(40)
    for seq, snapshot in enumerate(
        [
            case(place=f"21020400500{n % 9}001"),
            case(stage="signed", clocks=[clock("reply", -1)]),
            closed(),
        ][: n % 3 + 1],
        start=1,
    )
]
LAST = {case_id: snapshot for case_id, _, snapshot in LIVES}
EXPECTED = checksum(differences((None, contribution(one, STARTED)) for one in LAST.values()))


async def test_a_rebuild_at_the_same_positions_gives_the_same_figures(
    settings: Settings, pool: Pool
) -> None:
    await say(settings, [message(*one) for one in LIVES])
    await consume(settings, pool)
    found = await rebuilt(settings)
    assert (found.records, found.ahead, found.behind) == (len(LIVES), 0, 0)
    async with transaction(pool) as tx:
        (noted,) = await audit.acts(tx, 2)
    assert noted[1:] == ("li", "rebuild", "the figures", "in doubt")
    assert found.before == found.after == EXPECTED == await checksum_now(pool)
    assert found.cases == store.Compared(40, 0, 0, 0)
    assert "equal: the figures were right" in told(found)
    again = await rebuilt(settings)
    assert again.after == EXPECTED


async def test_wrong_figures_are_found_out_and_replaced(settings: Settings, pool: Pool) -> None:
    await say(settings, [message(*one) for one in LIVES])
    await consume(settings, pool)
    async with transaction(pool) as tx:
        await tx.execute("update contributions set contribution = '[{},{}]' where seq = 1")
        await tx.execute("update tally_deltas set n = n + 1")
    found = await rebuilt(settings)
    assert found.before != found.after == EXPECTED == await checksum_now(pool)
    assert found.cases.differing == 14
    assert any(line.startswith("NOT equal") for line in told(found))


async def test_a_service_that_never_heard_is_whole_after_a_rebuild_and_goes_on_from_there(
    settings: Settings, pool: Pool
) -> None:
    await say(settings, [message(*one) for one in LIVES])
    found = await rebuilt(settings)
    assert (found.ahead, found.behind) == (0, len(LIVES))
    assert any("behind" in line for line in told(found))
    assert await checksum_now(pool) == EXPECTED
    async with transaction(pool) as tx:
        positions = await hearing.positions(tx, Topic.ROUTER, range(12))
    ends = await kafka.end_offsets(settings, Topic.ROUTER)
    assert positions == {p: end for p, end in ends.items() if end}
    await say(settings, [message(UUID(int=99), 1, case())])
    await consume(settings, pool)
    assert await checksum_now(pool) != EXPECTED
    later = await rebuilt(settings)
    assert later.before == later.after
    assert later.ahead == later.behind == 0


async def test_a_consumer_that_was_ahead_is_fenced_and_loses_nothing(
    settings: Settings, pool: Pool
) -> None:
    await say(settings, [message(*one) for one in LIVES])
    await consume(settings, pool)
    lane = lane_of(Topic.ROUTER, str(UUID(int=1)))
    async with transaction(pool) as tx:
        (before,) = (await hearing.positions(tx, Topic.ROUTER, [lane])).values()
        # As if more had come between the ends that the rebuild read and its last step.
        await hearing.advance(tx, Topic.ROUTER, {lane: before}, {lane: before + 3})
    found = await rebuilt(settings)
    assert (found.ahead, found.behind) == (3, 0)
    assert found.cases == store.Compared(40, 0, 0, 0)
    assert any("3 records ahead" in line for line in told(found))
    with pytest.raises(Fenced):
        async with transaction(pool) as tx:
            await hearing.advance(tx, Topic.ROUTER, {lane: before + 3}, {lane: before + 4})
    await consume(settings, pool)
    assert await checksum_now(pool) == EXPECTED


async def keep_folding(pool: Pool) -> None:
    """Fold and read the counters, as the service's timers do."""
    while True:
        async with transaction(pool) as tx:
            await tally.fold(tx)
        await checksum_now(pool)
        await asyncio.sleep(0.01)


async def caught_up(settings: Settings, pool: Pool) -> None:
    """Wait until the service has heard all that there is."""
    ends = await kafka.end_offsets(settings, Topic.ROUTER)
    while True:
        async with transaction(pool) as tx:
            if await hearing.positions(tx, Topic.ROUTER, range(12)) == ends:
                return
        await asyncio.sleep(0.05)


def round_(n: int) -> list[tuple[UUID, Message]]:
    """Every case's nth snapshot."""
    return [message(UUID(int=i), n, closed() if n % 2 else case()) for i in range(200)]


async def test_a_service_that_runs_meanwhile_goes_on_and_ends_with_the_right_figures(
    settings: Settings, pool: Pool
) -> None:
    process = Process(SERVICE, settings, settings.clock(), pool)
    await say(settings, round_(1))
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(service.consume(process, Topic.ROUTER, on_cases)),
            group.create_task(keep_folding(pool)),
        ]
        await caught_up(settings, pool)
        for n in range(2, 13):
            await say(settings, round_(n))
            if n % 4 == 0:
                found = await rebuilt(settings)
                assert found.cases.differing == 0
        await caught_up(settings, pool)
        for task in tasks:
            task.cancel()
    assert await checksum_now(pool) == checksum(
        differences((None, contribution(case(), STARTED)) for _ in range(200))
    )
    last = await rebuilt(settings)
    assert (last.ahead, last.behind) == (0, 0)
    assert last.before == last.after


async def test_the_unreadable_is_parked_and_the_service_stops_where_it_does_not_know_a_type(
    settings: Settings, pool: Pool
) -> None:
    one = UUID(int=1)
    _, good = message(one, 1, case())
    unknown = good._replace(
        headers=[
            (name, b"casegrid.case.archived.v9" if name == "ce_type" else value)
            for name, value in good.headers
        ]
    )
    await say(settings, [(one, good), (one, good._replace(value=b"{}")), (one, unknown)])
    await say(settings, [message(one, 2, closed())])
    found = await rebuilt(settings)
    assert (found.records, found.unreadable, found.unknown) == (4, 1, 1)
    assert found.after == checksum(differences([(None, contribution(closed(), STARTED))]))
    async with transaction(pool) as tx:
        assert len(await hearing.parked_all(tx, 10)) == 1
        ((lane, position),) = (await hearing.positions(tx, Topic.ROUTER, range(12))).items()
    assert position == 2
    async for records, _, _ in kafka.read_to_end(settings, Topic.ROUTER):
        for record in records:
            if (record.partition, record.offset) == (lane, position):
                assert isinstance(hearing.decode(record), UnknownType)


async def test_two_rebuilds_of_one_database_are_one_too_many(
    settings: Settings, analytics_dsn: str
) -> None:
    other = await postgres.connect(analytics_dsn, "other")
    assert await store.begin_rebuild(other)
    with pytest.raises(AlreadyRunning):
        await rebuilt(settings)
    await other.close()


async def test_what_an_interrupted_rebuild_left_does_not_stop_the_next(
    settings: Settings, pool: Pool
) -> None:
    await say(settings, [message(*one) for one in LIVES])
    async with transaction(pool) as tx:
        await store.make_new_tables(tx)
        await tx.execute("insert into rebuilt.tally values ('in_hand|tier', 'grid', 1000)")
    assert (await rebuilt(settings)).after == EXPECTED
