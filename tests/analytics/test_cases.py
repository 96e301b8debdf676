"""Folding snapshots on the real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.analytics import store
from services.analytics.decisions import (
    DIMENSIONS,
    CounterKey,
    Share,
    checksum,
    contribution,
    differences,
    picture,
)
from services.analytics.handlers.cases import on_cases
from shared import hearing, tally
from shared.divisions import Tier
from shared.events import CaseSnapshot
from shared.hearing import Heard
from shared.postgres import Pool, transaction
from tests.analytics.stories import STARTED, Steps, arrivals, batch, case, clock, closed, heard

CASES = [UUID(int=n) for n in range(1, 30)]


async def fold(pool: Pool, events: Sequence[Heard]) -> None:
    async with transaction(pool) as tx:
        await on_cases(batch(events), tx, STARTED)


async def counters(pool: Pool) -> dict[CounterKey, int]:
    async with transaction(pool) as tx:
        return await store.all_counters(tx)


def figures_of(last: Sequence[CaseSnapshot]) -> dict[CounterKey, int]:
    return dict(differences((None, contribution(one, STARTED)) for one in last))


async def test_redelivery_of_a_whole_batch_changes_nothing(pool: Pool) -> None:
    events = [heard(id_, (1, seq), case(version=seq)) for seq in (1, 2) for id_ in CASES]
    events += [heard(id_, (1, 3), closed()) for id_ in CASES[::2]]
    await fold(pool, events)
    once = await counters(pool)
    await fold(pool, events)
    await fold(pool, events[10:40])
    assert await counters(pool) == once
    assert once == figures_of([closed()] * 15 + [case()] * 14)


async def test_an_older_snapshot_is_ignored_and_a_newer_one_replaces(pool: Pool) -> None:
    await fold(pool, [heard(CASES[0], (1, 5), case(tier=Tier.STREET))])
    await fold(pool, [heard(CASES[0], (1, 4), case())])
    assert await counters(pool) == figures_of([case(tier=Tier.STREET)])
    await fold(pool, [heard(CASES[0], (1, 6), closed())])
    assert await counters(pool) == figures_of([closed()])


async def test_a_restored_router_is_heard_again_under_its_greater_epoch(pool: Pool) -> None:
    await fold(pool, [heard(CASES[0], (1, 9), closed())])
    await fold(pool, [heard(CASES[0], (2, 4), case())])
    await fold(pool, [heard(CASES[0], (1, 10), closed())])
    assert await counters(pool) == figures_of([case()])


async def test_reopening_takes_back_what_was_solved_in_the_grid(pool: Pool) -> None:
    await fold(pool, [heard(CASES[0], (1, 1), closed())])
    await fold(pool, [heard(CASES[0], (1, 2), case(reopened=1))])
    async with transaction(pool) as tx:
        shown = picture((await store.figures_by(tx, "tier"))["grid"])
    assert (shown.open, shown.closed, shown.reopened) == (1, 0, 1)
    assert shown.solved_in_grid.denominator == 0
    assert shown.on_time == {}


async def test_snapshots_that_are_outdated_are_counted_after_the_commit(pool: Pool) -> None:
    def outdated() -> float:
        name = "casegrid_analytics_outdated_snapshots_total"
        return REGISTRY.get_sample_value(name) or 0

    events = batch([heard(CASES[0], (1, seq), case()) for seq in (1, 2)])
    before = outdated()
    async with transaction(pool) as tx:
        done = await on_cases(events, tx, STARTED)
    assert outdated() == before
    done()
    assert outdated() == before + 1


async def test_an_overdue_promise_is_late_while_it_runs_and_late_when_it_was_fulfilled(
    pool: Pool,
) -> None:
    running = case(clocks=[clock("reply", 1_000)])
    late, past = timedelta(hours=1), timedelta(seconds=2)
    told = [
        heard(CASES[0], (1, 1), running),
        heard(CASES[0], (1, 2), running, STARTED + past),
        heard(CASES[0], (1, 3), case(on_time={"reply": False}), STARTED + late),
    ]
    shown = []
    for one in told:
        await fold(pool, [one])
        async with transaction(pool) as tx:
            figures = picture((await store.figures_by(tx, "tier"))["grid"])
        shown.append((figures.on_time.get("reply"), figures.overdue.get("reply")))
    assert shown == [(None, None), (Share(0, 1, 0), 1), (Share(0, 1, 0), 0)]


async def test_folding_the_deltas_changes_no_figure(pool: Pool) -> None:
    await fold(pool, [heard(id_, (1, 1), case()) for id_ in CASES])
    await fold(pool, [heard(id_, (1, 2), closed()) for id_ in CASES[:5]])
    before = await counters(pool)
    async with transaction(pool) as tx:
        assert await tally.fold(tx) > 0
    assert await counters(pool) == before


async def test_a_record_without_a_case_id_is_parked_and_the_others_count(pool: Pool) -> None:
    strange = heard(CASES[0], (1, 1), case())
    strange = strange._replace(envelope=replace(strange.envelope, subject="not a case"))
    await fold(pool, [strange, heard(CASES[1], (1, 1), case())])
    assert await counters(pool) == figures_of([case()])
    async with transaction(pool) as tx:
        (parked,) = await hearing.parked_all(tx, 10)
    assert parked.reason == "the key is not the id of a case"


async def test_a_batch_costs_at_most_two_statements_whatever_its_size(pool: Pool) -> None:
    statements: list[str] = []
    async with transaction(pool) as tx:
        # With its first batch a connection asks for the types of the arguments too.
        await on_cases(batch([heard(CASES[0], (1, 1), case())]), tx, STARTED)
        for size in (1, len(CASES)):
            statements.clear()
            with tx.query_logger(lambda query: statements.append(query.query)):
                events = [heard(id_, (1, 1 + size), closed()) for id_ in CASES[:size]]
                await on_cases(batch(events), tx, STARTED)
                await asyncio.sleep(0)  # asyncpg tells its loggers a turn later
            assert 1 <= len(statements) <= 2, statements


async def test_the_counters_a_batch_moves_do_not_grow_with_its_cases(pool: Pool) -> None:
    async with transaction(pool) as tx:
        await on_cases(batch(heard(id_, (1, 1), case()) for id_ in CASES), tx, STARTED)
        assert await tx.fetchval("select count(*) from tally_deltas") == len(DIMENSIONS)


async def test_divisions_are_summed_along_their_codes(pool: Pool) -> None:
    places = ["city", "210204", "210204005001001", "210204005001002", "210204006", "210202001"]
    await fold(
        pool,
        [heard(id_, (1, 1), case(place=place)) for id_, place in zip(CASES, places, strict=False)],
    )
    async with transaction(pool) as tx:
        districts = await store.figures_by(tx, "division", "", 6)
        streets = await store.figures_by(tx, "division", "210204", 9)
    assert {key: picture(group).open for key, group in districts.items()} == {
        "city": 1,
        "210204": 4,
        "210202": 1,
    }
    assert {key: picture(group).open for key, group in streets.items()} == {
        "210204": 1,
        "210204005": 2,
        "210204006": 1,
    }


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arrivals(), st.integers(1, 5))
async def test_any_order_with_duplicates_gives_the_figures_of_the_last_snapshots(
    pool: Pool, told: tuple[dict[int, CaseSnapshot], Steps], size: int
) -> None:
    last, steps = told
    async with transaction(pool) as tx:
        await tx.execute("truncate contributions, tally, tally_deltas")
    events = [heard(CASES[n], (1, seq), one) for n, seq, one in steps]
    for start in range(0, len(events), size):
        await fold(pool, events[start : start + size])
    expected = figures_of(list(last.values()))
    assert await counters(pool) == expected
    assert checksum(await counters(pool)) == checksum(expected)
