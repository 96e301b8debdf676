"""The stuck queues after a version that kept none: set right by the census, and counted again."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from services.router.__main__ import SERVICE, recount
from services.router.decisions.stuck import waits
from services.router.handlers import stuck
from services.router.handlers.census import Census
from services.router.handlers.policies import Policies
from shared import tally
from shared.events import Topic
from shared.hearing import Batch
from shared.postgres import Pool, transaction
from shared.service import Process
from tests.router.costs import rows_read
from tests.router.events import REAL, Router, Said, cases, petition_id, receipt
from tests.router.stories import FIRE, NOON, STREET
from tests.router.test_handlers import Days, the_counts_are_those_of_the_cases
from tests.statements import spoken


async def walked(pool: Pool, policies: Policies) -> None:
    """The census after one whole walk over the cases."""
    census = Census(policies, 1, REAL)
    more = True
    while more:
        async with transaction(pool) as tx:
            more = await census.walk_on(tx)


async def counts(pool: Pool) -> dict[tuple[str, str], int]:
    async with pool.acquire() as connection:
        return await tally.counts(connection, ["waiting"])


def told() -> list[float]:
    """How many cases and how many counts were set right, ever."""
    names = ("mended", "recounted")
    found = [REGISTRY.get_sample_value(f"casegrid_router_waiting_{one}_total") for one in names]
    return [value or 0.0 for value in found]


async def wrong(pool: Pool) -> set[tuple[object, ...]]:
    """What waits and is not kept, and what is kept and does not wait."""
    found = await cases(pool)
    expected = {(case.id, *wait) for case in found.values() for wait in waits(case)}
    async with pool.acquire() as connection:
        rows = await connection.fetch("select case_id, queue, tier, since, track from waiting")
    return {tuple(row) for row in rows} ^ expected


async def the_queues_are_right(pool: Pool) -> None:
    found = await cases(pool)
    assert await wrong(pool) == set()
    await the_counts_are_those_of_the_cases(pool, found)


@pytest.mark.parametrize("seed", range(4))
async def test_what_an_older_version_left_is_set_right(
    pool: Pool, policies: Policies, process: Process, seed: int
) -> None:
    days = Days(pool, policies, seed)
    await days.pass_(20)
    before = told()
    async with transaction(pool) as tx:
        # It says nothing of what comes and goes: of some no row, of some an old one or one without
        # a track, no count.
        await tx.execute(
            """
            create table old as select * from waiting;
            delete from waiting where get_byte(uuid_send(case_id), 15) % 2 = 0;
            """
        )
    await days.pass_(20)
    async with transaction(pool) as tx:
        await tx.execute(
            """
            insert into waiting select * from old on conflict do nothing;
            drop table old;
            update waiting set track = null where get_byte(uuid_send(case_id), 15) % 3 = 0;
            insert into tally_deltas (name, key, n)
            values ('waiting', 'dispatcher/street', -7), ('waiting', 'pause/grid/service', 3);
            """
        )
    await recount(process)
    left = await wrong(pool)
    await walked(pool, policies)
    await the_queues_are_right(pool)
    mended, recounted = (now - then for now, then in zip(told(), before, strict=True))
    assert (mended > 0) == bool(left)
    assert recounted > 0


async def test_a_recount_is_right_while_cases_come_and_counts_are_folded(
    pool: Pool, policies: Policies, process: Process
) -> None:
    router = Router(pool, policies)
    async with transaction(pool) as tx:
        await tx.execute(
            "insert into tally_deltas (name, key, n) values ('waiting', 'hand_over/city', -50)"
        )

    async def come() -> None:
        for n in range(0, 60, 3):
            ids = [petition_id(n + i) for i in range(3)]
            await router.hear(*(Said(receipt(FIRE, STREET), id_) for id_ in ids))

    async def fold() -> None:
        for _ in range(30):
            async with transaction(pool) as tx:
                await tally.fold(tx)
            await asyncio.sleep(0)

    async def again() -> None:
        for _ in range(15):
            await recount(process)

    await asyncio.gather(come(), fold(), again(), again())
    await the_queues_are_right(pool)
    assert min((await counts(pool)).values()) > 0


async def test_a_case_that_is_asked_for_and_is_not_here_is_counted(
    pool: Pool, policies: Policies
) -> None:
    await Router(pool, policies).hear(Said(receipt(FIRE), petition_id(1)))
    names = ("router_republished_total", "router_census_unknown_total")

    def counted() -> list[float]:
        return [REGISTRY.get_sample_value(f"casegrid_{name}") or 0.0 for name in names]

    before = counted()
    asked = Batch(Topic.ANALYTICS, [])
    async with transaction(pool) as tx:
        ids = [petition_id(1), petition_id(2)]
        await Census(policies, 1, REAL).republish(tx, ids, asked, NOON)
    assert [now - was for now, was in zip(counted(), before, strict=True)] == [1, 1]


async def test_queues_of_a_newer_version_are_left_to_it(
    pool: Pool, policies: Policies, process: Process
) -> None:
    router = Router(pool, policies)
    await router.hear(Said(receipt(FIRE), petition_id(1)))
    async with transaction(pool) as tx:
        await tx.execute(
            """
            insert into waiting select case_id, 'weather', 'city', since from waiting;
            insert into tally_deltas (name, key, n) values ('waiting', 'weather/city', 1)
            """
        )
    await walked(pool, policies)
    await recount(process)
    assert (await counts(pool))["waiting", "weather/city"] == 1
    async with pool.acquire() as connection:
        assert await connection.fetchval("select count(*) from waiting where queue = 'weather'")


CLOSED, OPEN, WAITING = 3_000, 1_000, 5


async def test_a_recount_reads_what_waits_and_no_more(pool: Pool, router: Router) -> None:
    await router.hear(*(Said(receipt(FIRE), petition_id(n)) for n in range(WAITING)))
    async with transaction(pool) as tx:
        await tx.execute(
            """
            insert into cases select gen_random_uuid(), number, n <= $2::int, holder, role, stage,
                   next_deadline, version, epoch, seq, doc, office, signed_by, rank, counted_until
            from (select * from cases limit 1) one, generate_series(1, $1::int + $2) n
            """,
            CLOSED,
            OPEN,
        )
        await tx.execute("analyze cases, waiting, tally, tally_deltas")
        async with spoken(tx) as said:
            await stuck.recount(tx)
        read = await rows_read(tx, [one for one in said if "waiting" in one.query])
    # Twice those that wait: once whether their cases are closed, once to count them.
    assert read["waiting"] == 2 * WAITING
    assert read["cases"] <= WAITING


def test_it_is_counted_again_at_the_start() -> None:
    assert [timer.step for timer in SERVICE.timers if timer.name == "recount"] == [recount]
