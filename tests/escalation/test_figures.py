"""The gauges are exact: compared with a count of every case after random work."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from services.escalation.__main__ import SERVICE
from services.escalation.decisions import NO_TRACK, Armed, first_due
from services.escalation.handlers import SWEEP, handle, show_figures, sweep_once
from services.escalation.metrics import TRACKS
from services.escalation.store import armed
from shared import tally
from shared.clock import Clock, wall
from shared.divisions import Tier
from shared.events import CaseSnapshot, Track
from shared.postgres import Pool, Transaction
from shared.service import Process
from shared.settings import Settings
from tests.escalation.stories import (
    HOUR,
    MINUTE,
    at,
    batch,
    case,
    clock,
    heard,
    sign_clock,
    tier_clock,
)

TIERS = [*Tier, None]


def gauge(name: str, **labels: str) -> float:
    """What a gauge of escalation shows."""
    value = REGISTRY.get_sample_value(f"casegrid_escalation_{name}", labels)
    assert value is not None
    return value


def by_tier(name: str) -> dict[str, float]:
    """A gauge by tier, without zeros."""
    tiers = [tier or "none" for tier in TIERS]
    return {tier: n for tier in tiers if (n := gauge(name, tier=tier))}


def by_both(name: str) -> dict[tuple[str, str], float]:
    """A gauge by tier and track, without zeros."""
    each = [(tier or "none", track) for tier in TIERS for track in TRACKS]
    return {one: n for one in each if (n := gauge(name, tier=one[0], track=one[1]))}


def minute(then: datetime) -> int:
    return int(then.timestamp()) // 60


def expected(
    cases: list[Armed], now: datetime
) -> tuple[Counter[str], Counter[tuple[str, str]], Counter[tuple[str, str]], dict[str, float]]:
    """Open, due within the hour, overdue, and how long the oldest is, each case looked at."""
    there = [one for one in cases if one.open]
    dues = [
        ((one.tier or "none", one.track or NO_TRACK), minute(due))
        for one in there
        if (due := first_due(one))
    ]
    this, later = minute(now), minute(now + timedelta(hours=1))
    return (
        Counter(one.tier or "none" for one in there),
        Counter(each for each, due in dues if this <= due < later),
        Counter(each for each, due in dues if due < this),
        {
            tier: now.timestamp() - (min(old) + 1) * 60
            for tier in {tier for (tier, _), _ in dues}
            if (old := [due for (one, _), due in dues if one == tier and due < this])
        },
    )


def any_case(rng: random.Random, seq: int) -> CaseSnapshot:
    """Some clocks, some tier; now and then closed."""
    clocks = [
        tier_clock(seq, rng.randrange(1, 300) * MINUTE, on_breach=rng.choice(["promote", "none"])),
        sign_clock(generation=seq, due=rng.randrange(1, 300) * MINUTE, paused=rng.random() < 0.3),
        clock(generation=seq),
    ]
    stage = "closed" if rng.random() < 0.2 else "signed"
    running = rng.sample(clocks, rng.randrange(0, 4))
    track = rng.choice(get_args(Track))
    return case(*running, stage=stage, tier=rng.choice(TIERS), track=track)


async def test_the_gauges_are_exact_after_random_work(tx: Transaction) -> None:
    rng = random.Random(3)
    ids = [UUID(int=n) for n in range(1, 81)]
    seqs = dict.fromkeys(ids, 0)
    for step in range(1, 41):
        now = at(step * 7 * MINUTE + rng.randrange(MINUTE))
        events = []
        for one in rng.sample(ids, 15):
            seqs[one] += 1
            events.append(heard(seqs[one], any_case(rng, seqs[one]), one))
        await handle(batch(*events, *rng.sample(events, 3)), tx, now)
        await sweep_once(tx, now)
        if rng.random() < 0.5:
            await tally.fold(tx)
            await tally.forget_zeros(tx, "due")
        cases = [found for one in ids if (found := await armed.find(tx, one))]
        await show_figures(tx, now)
        assert (
            by_tier("open_cases"),
            by_both("due_within_hour"),
            by_both("overdue_cases"),
            by_tier("overdue_oldest_seconds"),
        ) == expected(cases, now)
        assert gauge("orders_unanswered") == await tx.fetchval("select count(*) from orders")
    assert gauge("orders_unanswered") > 0
    await tx.execute("update orders set first_said_at = clock_timestamp() - interval '1 h'")
    await show_figures(tx, now)
    assert gauge("orders_oldest_seconds") == pytest.approx(3600, abs=30)
    await tx.execute("delete from orders")
    await show_figures(tx, now)
    assert gauge("orders_oldest_seconds") == 0


async def test_what_an_older_version_armed_is_counted_once_all_the_same(tx: Transaction) -> None:
    """It has no track, and neither has its count; nor what that version takes away again."""
    due = f"{minute(at(HOUR)):010d}/grid"
    await handle(batch(heard(1, case(tier_clock(due=HOUR)))), tx, at(0))
    await tx.execute("update armed set track = null")
    await tx.execute("update tally_deltas set key = $1 where name = 'due'", due)
    await show_figures(tx, at(3 * HOUR))
    assert by_both("overdue_cases") == {("grid", NO_TRACK): 1}
    assert gauge("overdue_oldest_seconds", tier="grid") == 2 * 3600 - 60
    await handle(batch(heard(2, case(tier_clock(due=HOUR)))), tx, at(0))
    await show_figures(tx, at(3 * HOUR))
    assert by_both("overdue_cases") == {("grid", "service"): 1}

    # An older version closes it meanwhile: it takes away what it would have counted.
    await tx.execute("insert into tally_deltas (name, key, n) values ('due', $1, -1)", due)
    await show_figures(tx, at(3 * HOUR))
    assert sum(by_both("overdue_cases").values()) == 0
    assert by_tier("overdue_oldest_seconds") == {}


async def test_minutes_that_came_to_nothing_are_forgotten(tx: Transaction) -> None:
    await handle(batch(heard(1, case(tier_clock()))), tx, at(0))
    await tally.fold(tx)
    await handle(batch(heard(2, case(tier_clock(2, 9 * HOUR)))), tx, at(0))
    await tally.fold(tx)
    assert await tx.fetchval("select count(*) from tally where name = 'due'") == 2
    await tally.forget_zeros(tx, "due")
    assert await tx.fetchval("select count(*) from tally where name = 'due'") == 1


async def test_what_was_fired_is_counted_by_action_tier_and_reason(tx: Transaction) -> None:
    await handle(batch(heard(1, case(sign_clock()))), tx, at(0))
    await sweep_once(tx, at(HOUR))
    await show_figures(tx, at(HOUR))
    assert gauge("notices_unacknowledged", reason="reminder") == 2
    assert gauge("notices_unacknowledged", reason="warning") == 0


@pytest.mark.parametrize(
    ("minutes", "speed", "waits"),
    [
        pytest.param(29, 1, 0, id="nothing is due yet"),
        pytest.param(31, 1, 60, id="a minute late"),
        pytest.param(90, 720, 5, id="an hour late on a fast clock: five seconds"),
    ],
)
async def test_how_long_what_is_due_waits_for_the_sweep(
    tx: Transaction, minutes: int, speed: float, waits: float
) -> None:
    await show_figures(tx, at(0))
    assert gauge("unfired_oldest_seconds") == 0
    await handle(batch(heard(1, case(sign_clock(warn=())))), tx, at(0))
    await show_figures(tx, at(minutes * MINUTE), speed)
    assert gauge("unfired_oldest_seconds") == waits
    await sweep_once(tx, at(minutes * MINUTE))
    await show_figures(tx, at(minutes * MINUTE), speed)
    assert gauge("unfired_oldest_seconds") == 0


def late_within() -> list[float]:
    """How many breaches were found within a second, 10, a minute, 10 minutes, and in all."""
    name = "casegrid_escalation_fired_late_seconds_bucket"
    ends = ("1.0", "10.0", "60.0", "600.0", "+Inf")
    found = [REGISTRY.get_sample_value(name, {"le": end}) for end in ends]
    return [n for n in found if n is not None]


@pytest.mark.parametrize(
    ("late", "within"),
    [
        # Up to the sweep some time passes too: a good deal of it on a machine with other work.
        (0.01, [1, 1, 1, 1, 1]),
        (1.1, [0, 1, 1, 1, 1]),
        (30, [0, 0, 1, 1, 1]),
        (570, [0, 0, 0, 1, 1]),
        (601, [0, 0, 0, 0, 1]),
    ],
)
async def test_how_late_a_breach_is_found_is_told_apart_in_wall_seconds(
    escalation_dsn: str, pool: Pool, late: float, within: list[int]
) -> None:
    settings = Settings.model_validate({"database_url": escalation_dsn})
    async with pool.acquire() as tx:
        await handle(batch(heard(1, case(tier_clock()))), tx, at(0))
    before = late_within()
    fast = Clock(speed=60, base=at(5 * HOUR) + timedelta(minutes=late), base_utc=wall())
    await SWEEP.step(Process(SERVICE, settings, fast, pool))
    assert [n - was for n, was in zip(late_within(), before, strict=True)] == within
