"""The sweep on the real PostgreSQL: each thing once, whoever sweeps, and in its order."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from services.escalation.__main__ import SERVICE
from services.escalation.handlers import PAGE, SWEEP, handle, sweep_once
from services.escalation.store import armed
from shared.clock import Clock, wall
from shared.divisions import Tier
from shared.postgres import Pool, Transaction, transaction
from shared.service import Process
from shared.settings import Settings
from tests.escalation.stories import (
    CASE,
    COMMUNITY,
    GRID,
    HOUR,
    MINUTE,
    STARTED,
    STREET,
    at,
    batch,
    case,
    clock,
    heard,
    notices_in,
    only_orders,
    orders_in,
    relayed,
    sign_clock,
    tier_clock,
)


async def arm_cases(tx: Transaction, n: int) -> list[UUID]:
    """Cases whose tier clocks are due a minute after each other, the first heard of last."""
    ids = [UUID(int=i) for i in range(n, 0, -1)]
    events = [heard(1, case(tier_clock(due=i * MINUTE)), one) for i, one in enumerate(ids, start=1)]
    await handle(batch(*reversed(events)), tx, at(0))
    return ids


async def test_an_order_says_all_that_the_router_needs(tx: Transaction) -> None:
    await handle(batch(heard(1, case(tier_clock()))), tx, at(0))
    assert await sweep_once(tx, at(5 * HOUR) - timedelta(milliseconds=1)) == 0
    assert await sweep_once(tx, at(5 * HOUR)) == 1
    (said,) = only_orders(await relayed(tx))
    ((subject, order),) = orders_in([said])
    assert subject == str(CASE)
    assert (order.clock, order.generation, order.tier) == ("tier", 1, Tier.GRID)
    assert (order.action, order.due_at, order.fired_at) == ("promote", at(5 * HOUR), at(5 * HOUR))
    assert tuple(said.envelope.order) == (1, 1)
    assert said.envelope.clock == "real"


async def test_nothing_is_said_twice_and_a_sweep_that_failed_is_done_again(pool: Pool) -> None:
    async with transaction(pool) as tx:
        await handle(batch(heard(1, case(tier_clock()))), tx, at(0))

    async def broken() -> None:
        async with transaction(pool) as tx:
            assert await sweep_once(tx, at(6 * HOUR)) == 1
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await broken()
    async with transaction(pool) as tx:
        assert await sweep_once(tx, at(6 * HOUR)) == 1
        assert await sweep_once(tx, at(6 * HOUR)) == 0
        assert len(only_orders(await relayed(tx))) == 1


async def test_orders_of_a_case_have_gapless_places(tx: Transaction) -> None:
    await handle(batch(heard(1, case(tier_clock(), clock(due=5 * HOUR, warn=())))), tx, at(0))
    await sweep_once(tx, at(5 * HOUR))
    await handle(batch(heard(2, case(tier_clock(2, 9 * HOUR)))), tx, at(5 * HOUR))
    await sweep_once(tx, at(9 * HOUR))
    said = only_orders(await relayed(tx))
    assert [(o.action, o.generation) for _, o in orders_in(said)] == [
        ("promote", 1),
        ("supervise", 1),
        ("promote", 2),
    ]
    assert [tuple(one.envelope.order) for one in said] == [(1, 1), (1, 2), (1, 3)]


async def test_a_page_is_the_oldest_and_is_bounded(tx: Transaction) -> None:
    ids = await arm_cases(tx, PAGE + 20)
    assert await sweep_once(tx, at(24 * HOUR)) == PAGE
    assert {subject for subject, _ in orders_in(await relayed(tx))} == set(map(str, ids[:PAGE]))
    assert await armed.earliest(tx) == at((PAGE + 1) * MINUTE)
    assert await sweep_once(tx, at(24 * HOUR)) == 20
    assert await sweep_once(tx, at(24 * HOUR)) == 0


async def test_two_sweepers_at_once_fire_once(pool: Pool) -> None:
    async with transaction(pool) as tx:
        ids = await arm_cases(tx, 2 * PAGE + 100)

    async def sweeper() -> int:
        done = 0
        while True:
            async with transaction(pool) as tx:
                page = await sweep_once(tx, at(48 * HOUR))
            done += page
            if page == 0:
                return done

    counts = await asyncio.gather(sweeper(), sweeper(), sweeper())
    async with pool.acquire() as tx:
        orders = orders_in(await relayed(tx))
    assert sum(counts) == len(ids) == len(orders)
    assert {subject for subject, _ in orders} == set(map(str, ids))


async def test_what_one_sweeper_holds_another_leaves_alone(pool: Pool) -> None:
    async with transaction(pool) as tx:
        await arm_cases(tx, 3)
    async with transaction(pool) as one:
        assert await sweep_once(one, at(HOUR)) == 3
        async with transaction(pool) as other:
            assert await sweep_once(other, at(HOUR)) == 0
    async with transaction(pool) as later:
        assert await sweep_once(later, at(HOUR)) == 0


async def test_a_sweep_gives_one_digest_per_office_clock_and_reason(tx: Transaction) -> None:
    ids = [UUID(int=n) for n in range(1, 31)]
    snapshot = case(sign_clock(repeat=24 * HOUR), clock())
    await handle(batch(*(heard(1, snapshot, one) for one in ids)), tx, at(0))
    await sweep_once(tx, at(13 * HOUR))
    said = await relayed(tx)
    found = {(n.division, n.role, n.clock, n.reason): n.count for n in notices_in(said)}
    assert found == {
        (GRID, "grid_head", "sign", "reminder"): 30,
        (COMMUNITY, "community_officer", "sign", "reminder"): 30,
        (STREET, "street_cadre", "reply", "warning"): 30,
    }
    assert {len(n.cases) for n in notices_in(said)} == {20}
    assert {n.oldest_due_at for n in notices_in(said)} == {at(30 * MINUTE), at(24 * HOUR)}
    rows = await tx.fetch("select id, count, cardinality(cases) as named from notices")
    assert {row["id"] for row in rows} == {one.envelope.event_id for one in said}
    assert {(row["count"], row["named"]) for row in rows} == {(30, 30)}


async def test_notices_of_an_office_have_gapless_places(tx: Transaction) -> None:
    await handle(batch(heard(1, case(sign_clock(), sign_clock("verify")))), tx, at(0))
    for hours in (1, 2, 3):
        await sweep_once(tx, at(hours * HOUR))
    places: dict[str, list[tuple[int, ...]]] = {}
    for one in await relayed(tx):
        places.setdefault(one.envelope.subject, []).append(tuple(one.envelope.order))
    assert places == {
        f"{GRID}/grid_head": [(1, n) for n in range(1, 7)],
        f"{COMMUNITY}/community_officer": [(1, n) for n in range(1, 7)],
    }


async def test_an_office_has_digests_and_places_of_its_own(tx: Transaction) -> None:
    lighting = sign_clock(owner_division=STREET, owner_office="lighting")
    drainage = sign_clock("verify", owner_division=STREET, owner_office="drainage")
    ids = [UUID(int=n) for n in range(1, 4)]
    await handle(batch(*(heard(1, case(lighting, drainage), one) for one in ids)), tx, at(0))
    for hours in (1, 2):
        await sweep_once(tx, at(hours * HOUR))
    said = await relayed(tx)
    assert {(n.office, n.clock, n.count) for n in notices_in(said)} == {
        ("lighting", "sign", 3),
        ("drainage", "verify", 3),
        (None, "sign", 3),
        (None, "verify", 3),
    }
    places: dict[str, list[int]] = {}
    for one in said:
        places.setdefault(one.envelope.subject, []).append(one.envelope.order.seq)
    assert places == {
        f"{STREET}/grid_head/lighting": [1, 2],
        f"{STREET}/grid_head/drainage": [1, 2],
        f"{STREET}/street_dispatcher": [1, 2, 3, 4],
    }
    rows = await tx.fetch("select distinct division, office from notices order by office")
    assert [tuple(row) for row in rows] == [
        (STREET, "drainage"),
        (STREET, "lighting"),
        (STREET, None),
    ]


async def test_no_notice_about_the_accused_reaches_them_or_below(tx: Transaction) -> None:
    snapshot = case(sign_clock(), clock(), restricted=True, accused_division=STREET)
    await handle(batch(heard(1, snapshot)), tx, at(0))
    for hours in range(1, 60, 5):
        await sweep_once(tx, at(hours * HOUR))
    said = await relayed(tx)
    assert {n.division for n in notices_in(said)} == {"210204"}
    assert {row["division"] for row in await tx.fetch("select division from notices")} == {"210204"}


# ---------------------------------------------------------------- the timer


def process_at(dsn: str, pool: Pool, clock: Clock) -> Process:
    """A process of the service that runs no loop."""
    settings = Settings.model_validate({"database_url": dsn})
    return Process(SERVICE, settings, clock, pool)


async def test_the_timer_sleeps_until_the_next_case_and_at_most_a_second(
    escalation_dsn: str, pool: Pool
) -> None:
    fast = Clock(speed=3600, base=STARTED, base_utc=wall())
    process = process_at(escalation_dsn, pool, fast)
    assert await SWEEP.step(process) == 1.0
    async with transaction(pool) as tx:
        await handle(batch(heard(1, case(tier_clock(due=50 * HOUR)))), tx, at(0))
    assert await SWEEP.step(process) == 1.0
    soon = round((fast.now() - STARTED) / timedelta(milliseconds=1)) + HOUR // 2
    async with transaction(pool) as tx:
        await handle(batch(heard(2, case(tier_clock(due=soon)))), tx, at(0))
    pause = await SWEEP.step(process)
    assert 0.005 <= pause <= 0.5
    await asyncio.sleep(0.6)
    assert await SWEEP.step(process) == 1.0
    async with pool.acquire() as tx:
        (said,) = only_orders(await relayed(tx))
    assert said.envelope.clock == fast.name


async def test_the_timer_goes_on_at_once_after_a_full_page(escalation_dsn: str, pool: Pool) -> None:
    async with transaction(pool) as tx:
        await arm_cases(tx, PAGE + 1)
    process = process_at(escalation_dsn, pool, Clock())
    assert await SWEEP.step(process) == 0.0
    assert await SWEEP.step(process) > 0.0
    async with pool.acquire() as tx:
        assert len(orders_in(await relayed(tx))) == PAGE + 1


async def test_orders_stand_in_one_digest_per_office(tx: Transaction) -> None:
    ids = await arm_cases(tx, 30)
    await sweep_once(tx, at(24 * HOUR))
    said = notices_in(await relayed(tx))
    assert {(n.division, n.role, n.clock, n.reason, n.about, n.count) for n in said} == {
        (GRID, "grid_head", "tier", "reminder", "promotion", 30),
        (COMMUNITY, "community_officer", "tier", "reminder", "promotion", 30),
    }
    waiting = await tx.fetch("select cases, push_at is not null as to_push from notices")
    assert {(frozenset(row["cases"]), row["to_push"]) for row in waiting} == {
        (frozenset(ids), True)
    }
