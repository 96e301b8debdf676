"""The forecast: it names what the sweep will do, the rows say when, and the gauges count it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.escalation.__main__ import SERVICE
from services.escalation.decisions import (
    Armed,
    Breaks,
    arm,
    breaks,
    foreseen,
    may_see,
    promoted_to,
    sweep,
)
from services.escalation.handlers import FORESEE, census, handle, show_forecast, sweep_once
from services.escalation.store import armed as store
from services.escalation.store import forecast
from services.escalation.store.forecast import BEGINNING, WHOLE_CITY, Reader
from shared.clock import Clock, wall
from shared.divisions import Tier, is_within
from shared.events import CaseSnapshot, ClockSnapshot
from shared.identity import Actor
from shared.postgres import Pool, Transaction, migrate
from tests.escalation.conftest import MIGRATIONS
from tests.escalation.stories import (
    CASE,
    COMMUNITY,
    DISTRICT,
    GRID,
    HOUR,
    MINUTE,
    STREET,
    armed,
    at,
    batch,
    case,
    clock,
    heard,
    news,
    sign_clock,
    tier_clock,
)
from tests.escalation.test_figures import TIERS, gauge
from tests.escalation.test_sweep import process_at

FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)


def named(state: Armed, hours: float) -> list[tuple[str, str, datetime]]:
    """(clock, outcome, when) of what is foreseen within these hours of the start."""
    return [(o.clock, o.outcome, o.at) for o in foreseen(state, at(int(hours * HOUR)))]


# ---------------------------------------------------------------- what will happen


def test_what_breaks_is_named_in_due_order_up_to_the_horizon() -> None:
    state = armed(clock(), tier_clock(), sign_clock())
    sign = ("sign", "remind", at(HOUR // 2))
    tier = ("tier", "promote", at(5 * HOUR))
    reply = ("reply", "supervise", at(24 * HOUR))
    assert named(state, 24) == [sign, tier, reply]
    assert named(state, 23.9) == [sign, tier]
    assert named(state, 0.4) == []


@pytest.mark.parametrize(
    ("fields", "outcomes"),
    [
        pytest.param({}, ["promote"], id="runs"),
        pytest.param({"paused": True}, [], id="stands still"),
        pytest.param({"answered": True}, [], id="was answered"),
        pytest.param({"on_breach": "supervise"}, ["supervise"], id="supervise"),
        pytest.param({"on_breach": "remind"}, ["remind"], id="remind"),
        pytest.param({"on_breach": "lapse"}, [], id="a right that lapses"),
        pytest.param({"on_breach": "none"}, [], id="nothing happens"),
    ],
)
def test_a_clock_is_foreseen_if_its_breach_does_something(
    fields: dict[str, object], outcomes: list[str]
) -> None:
    state = armed(tier_clock().model_copy(update=fields))
    assert [one.outcome for one in foreseen(state, at(5 * HOUR))] == outcomes
    assert [one is not None for one in breaks(state)].count(True) == len(outcomes)


def test_what_is_late_is_foreseen_until_it_was_done_and_a_repeat_is_not() -> None:
    state = armed(tier_clock(), sign_clock())
    assert [name for name, *_ in named(state, 9)] == ["sign", "tier"]
    done = sweep(state, at(9 * HOUR)).armed
    assert named(done, 100) == []
    assert breaks(done) == Breaks(None, None, None)


def test_an_earlier_warning_hides_no_breach() -> None:
    assert breaks(armed(clock(), tier_clock(), sign_clock())) == Breaks(
        at(5 * HOUR), at(24 * HOUR), at(HOUR // 2)
    )
    two = armed(clock(due=7 * HOUR), clock("final_reply", due=6 * HOUR, warn=()))
    assert breaks(two) == Breaks(None, at(6 * HOUR), None)


@pytest.mark.parametrize(
    ("fields", "to"),
    [
        pytest.param({}, COMMUNITY, id="one tier up"),
        pytest.param({"tier": Tier.COMMUNITY, "holder": COMMUNITY}, STREET, id="to the street"),
        pytest.param({"tier": Tier.STREET, "holder": STREET}, DISTRICT, id="to the district"),
        pytest.param({"tier": Tier.DISTRICT, "holder": DISTRICT}, None, id="above there is none"),
        pytest.param({"tier": None, "holder": "city"}, None, id="in no tier"),
        pytest.param({"accused_division": COMMUNITY}, STREET, id="never to the accused"),
        pytest.param({"accused_division": DISTRICT}, "city", id="above the accused district"),
    ],
)
def test_where_a_promotion_leads(fields: dict[str, object], to: str | None) -> None:
    assert promoted_to(armed(tier_clock(), **fields)) == to


@pytest.mark.parametrize(
    ("fields", "owner"),
    [
        pytest.param({}, (STREET, "street_cadre", "lighting"), id="the owner"),
        pytest.param(
            {"accused_office": "lighting"}, (STREET, "street_dispatcher", None), id="its desk"
        ),
        pytest.param(
            {"accused_division": STREET}, (DISTRICT, "district_dispatcher", None), id="above it"
        ),
    ],
)
def test_who_could_prevent_it_is_never_the_accused(
    fields: dict[str, object], owner: tuple[str, str, str | None]
) -> None:
    (coming,) = foreseen(armed(clock(owner_office="lighting"), **fields), at(24 * HOUR))
    assert tuple(coming.owner) == owner


# ---------------------------------------------------------------- the sweep does what was foreseen

DIVISIONS = st.sampled_from([GRID, COMMUNITY, STREET, DISTRICT])
clocks = st.builds(
    lambda name, started, length, warn, fields: clock(
        name,
        started=started * HOUR,
        due=(started + length) * HOUR,
        warn=tuple((started + length * part // 4) * HOUR for part in warn),
        **fields,
    ),
    st.sampled_from(["reply", "tier", "sign", "final_reply"]),
    st.integers(0, 20),
    st.integers(0, 60),
    st.sets(st.integers(0, 5), max_size=3),
    st.fixed_dictionaries(
        {
            "generation": st.integers(1, 3),
            "paused": st.booleans(),
            "answered": st.booleans(),
            "on_breach": st.sampled_from(["promote", "supervise", "remind", "lapse", "none"]),
            "repeat": st.sampled_from([None, HOUR, 24 * HOUR]),
            "owner_division": DIVISIONS,
        }
    ),
)
snapshots = st.builds(
    lambda running, stage: case(*running, stage=stage),
    st.lists(clocks, max_size=4, unique_by=lambda one: one.name),
    st.sampled_from(["assigned", "assigned", "assigned", "closed"]),
)
Life = Sequence[tuple[CaseSnapshot, int]]


def lived(life: Life) -> tuple[Armed, int]:
    """A case after these snapshots, each with a sweep so many hours later; and the hour."""
    state: Armed | None = None
    now = 0
    for seq, (snapshot, hours) in enumerate(life, start=1):
        state = arm(state, news(seq, snapshot))
        now += hours
        state = sweep(state, at(now * HOUR)).armed
    assert state is not None
    return state, now


@given(
    life=st.lists(st.tuples(snapshots, st.integers(0, 30)), min_size=1, max_size=3),
    last=snapshots,
    ahead=st.integers(0, 80),
    naps=st.lists(st.integers(1, 80), max_size=4),
)
def test_the_sweep_does_exactly_what_was_foreseen(
    life: Life, last: CaseSnapshot, ahead: int, naps: list[int]
) -> None:
    before, now = lived(life)
    state = arm(before, news(len(life) + 1, last))
    until = now + ahead
    expected = foreseen(state, at(until * HOUR))
    orders, reminded = [], []
    for hour in sorted({until, *(now + nap for nap in naps if nap <= ahead)}):
        swept = sweep(state, at(hour * HOUR))
        orders += [(o.due_at, o.clock, o.generation, o.action) for o in swept.orders]
        broken = {c.name for c in state.clocks if not c.fired}
        reminded += [
            (state.started_at + timedelta(milliseconds=c.due), c.name)
            for c in swept.armed.clocks
            if c.fired and c.name in broken and c.on_breach == "remind"
        ]
        state = swept.armed
    assert sorted(orders) == sorted(
        (one.at, one.clock, one.generation, one.outcome)
        for one in expected
        if one.outcome != "remind"
    )
    assert sorted(reminded) == [(o.at, o.clock) for o in expected if o.outcome == "remind"]
    assert [one.at for one in expected] == sorted(one.at for one in expected)


@given(
    life=st.lists(st.tuples(snapshots, st.integers(0, 30)), min_size=1, max_size=3),
    hours=st.integers(0, 200),
)
def test_the_columns_of_a_case_say_the_first_of_each_outcome(life: Life, hours: int) -> None:
    state, _ = lived(life)
    until = at(hours * HOUR)
    first: dict[str, datetime] = {}
    for one in foreseen(state, until):
        first.setdefault(one.outcome, one.at)
    kept = dict(zip(("promote", "supervise", "remind"), breaks(state), strict=True))
    assert first == {name: when for name, when in kept.items() if when and when <= until}


# ---------------------------------------------------------------- what the rows say


def any_clock(rng: random.Random, name: str, seq: int) -> ClockSnapshot:
    """Some promise, now and then answered or standing still."""
    return clock(
        name,
        generation=seq,
        due=rng.randrange(1, 3000) * MINUTE,
        warn=tuple(sorted(rng.sample(range(HOUR, 40 * HOUR), 2))),
        on_breach=rng.choice(["promote", "supervise", "remind", "lapse", "none"]),
        paused=rng.random() < 0.2,
        answered=rng.random() < 0.2,
        owner_office=rng.choice([None, "lighting", "drainage"]),
    )


def any_case(rng: random.Random, seq: int) -> CaseSnapshot:
    """Some holder, some clocks, some accused; now and then closed."""
    names = rng.sample(["reply", "tier", "sign", "final_reply"], rng.randrange(5))
    return case(
        *(any_clock(rng, name, seq) for name in names),
        stage="closed" if rng.random() < 0.1 else "signed",
        tier=rng.choice(TIERS),
        holder=rng.choice([GRID, COMMUNITY, STREET, DISTRICT, "210202", "city"]),
        accused_division=rng.choice([None, None, None, GRID, STREET, "city"]),
        accused_office=rng.choice([None, None, "drainage"]),
    )


async def some_cases(tx: Transaction, rng: random.Random, steps: int = 12) -> list[Armed]:
    """Cases after random snapshots and sweeps."""
    ids = [UUID(int=n) for n in range(1, 61)]
    seqs = dict.fromkeys(ids, 0)
    for step in range(steps):
        now = at(step * 100 * MINUTE + rng.randrange(MINUTE))
        events = []
        for one in rng.sample(ids, 20):
            seqs[one] += 1
            events.append(heard(seqs[one], any_case(rng, seqs[one]), one))
        await handle(batch(*events), tx, now)
        await sweep_once(tx, now)
    return [found for one in ids if (found := await store.find(tx, one))]


async def kept(tx: Transaction) -> dict[UUID, Breaks]:
    """What the rows say of each case."""
    rows = await store.for_census(tx, [], FIRST, LAST)
    return {one.case_id: columns for one, _, columns in rows}


async def test_the_rows_say_it_after_any_work(tx: Transaction) -> None:
    cases = await some_cases(tx, random.Random(7), steps=30)
    assert await kept(tx) == {one.case_id: breaks(one) for one in cases if one.open}
    rows = await tx.fetch("select * from armed")
    assert all(
        row["due_at"] == min(filter(None, map(row.get, Breaks._fields)), default=None)
        for row in rows
    )
    closed = [row["due_at"] for row in rows if not row["open"]]
    assert set(closed) == {None}


async def test_what_was_armed_before_there_was_a_forecast_is_in_it(
    escalation_dsn: str, tx: Transaction
) -> None:
    cases = await some_cases(tx, random.Random(8))
    await tx.execute(
        """
        alter table armed drop column due_at, drop column promotes_at, drop column supervises_at,
            drop column reminds_at;
        delete from schema_migrations where name like '%forecast.sql'
        """
    )
    (again,) = await migrate(escalation_dsn, "escalation", MIGRATIONS)
    assert again.endswith("_forecast.sql")
    assert await kept(tx) == {one.case_id: breaks(one) for one in cases if one.open}


async def test_a_row_that_says_another_time_does_not_pass_the_census(tx: Transaction) -> None:
    await handle(batch(heard(1, case(tier_clock(), clock()))), tx, at(0))
    sound = (await census.look(tx, [CASE], FIRST, LAST))[CASE]
    assert sound.fingerprint != census.UNSOUND
    for column in ("promotes_at", "supervises_at"):
        await tx.execute(f"update armed set {column} = {column} + interval '1 day'")
        assert (await census.look(tx, [CASE], FIRST, LAST))[CASE].fingerprint == census.UNSOUND
        await tx.execute(f"update armed set {column} = {column} - interval '1 day'")


# ---------------------------------------------------------------- who sees what, and how many


def readers() -> list[tuple[Reader, Actor]]:
    """Everybody who asks about every unit of his area."""
    units = [GRID, COMMUNITY, STREET, DISTRICT, "210202", "city"]
    return [
        (Reader(unit, division, office), Actor("o", frozenset(), division, office))
        for division in units
        for unit in units
        if is_within(unit, division)
        for office in (None, "lighting", "drainage")
    ]


async def test_everybody_sees_and_counts_what_he_may_see_in_due_order(tx: Transaction) -> None:
    cases = await some_cases(tx, random.Random(9))
    until = at(40 * HOUR)
    there = [one for one in cases if foreseen(one, until)]
    seen = 0
    for reader, who in readers():
        his = [o for o in there if is_within(o.holder, reader.unit) and may_see(who, o)]
        expected = sorted((foreseen(one, until)[0].at, one.holder, one.case_id) for one in his)
        entries, following = await forecast.page(tx, until, reader, BEGINNING, 100)
        assert ([tuple(entry.place) for entry in entries], following) == (expected, None)
        assert all(entry.shown for entry in entries)
        counts = await forecast.counts(tx, [until], reader)
        assert {(c.outcome, c.tier): c.cases for c in counts} == counted(his, until)
        seen += len(expected)
    assert seen > 150


def counted(cases: Sequence[Armed], until: datetime) -> Counter[tuple[str, str]]:
    """Cases by what happens to them and by tier, each looked at."""
    return Counter(
        (outcome, one.tier or "none")
        for one in cases
        for outcome in {coming.outcome for coming in foreseen(one, until)}
    )


async def test_of_too_many_the_nearest_are_looked_at(
    tx: Transaction, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = range(1, 31)
    events = [
        heard(1, case(sign_clock(owner_office="lighting" if n % 10 == 0 else "drainage",
                                 due=n * MINUTE)), UUID(int=100 - n))
        for n in minutes
    ]  # fmt: skip
    await handle(batch(*events), tx, at(0))
    (count,) = await forecast.counts(tx, [at(HOUR)], WHOLE_CITY, most=20)
    assert (count.outcome, count.cases) == ("remind", 20)
    monkeypatch.setattr(forecast, "LOOKED_AT", 7)
    lighting = Reader(STREET, STREET, "lighting")
    found, place, pages = [], BEGINNING, 0
    while True:
        entries, following = await forecast.page(tx, at(HOUR), lighting, place, 50)
        found += [entry.place.due_at for entry in entries if entry.shown]
        pages += 1
        if following is None:
            break
        assert following > place
        place = following
    assert found == [at(n * MINUTE) for n in (10, 20, 30)]
    assert pages == 5


async def test_the_gauges_count_every_case_by_action_tier_and_hours(tx: Transaction) -> None:
    cases = await some_cases(tx, random.Random(10))
    now = at(12 * 100 * MINUTE)
    for shift in (0, 20):
        then = now + timedelta(hours=shift)
        await show_forecast(tx, then)
        for hours in (1, 4, 24):
            expected = counted(cases, then + timedelta(hours=hours))
            assert hours < 24 or expected.total() > 10
            shown = {
                (action, tier or "none"): value
                for action in ("promote", "supervise", "remind")
                for tier in TIERS
                if (value := gauge("forecast", action=action, tier=tier or "none",
                                   hours=str(hours)))
            }  # fmt: skip
            assert shown == expected
    await tx.execute("truncate armed")
    await show_forecast(tx, now)
    assert gauge("forecast", action="promote", tier="grid", hours="24") == 0


async def test_the_timer_shows_it_and_comes_again_within_a_minute(
    escalation_dsn: str, pool: Pool, tx: Transaction
) -> None:
    await handle(batch(heard(1, case(tier_clock()))), tx, at(0))
    frozen = Clock(speed=1e-9, base=at(2 * HOUR), base_utc=wall())
    assert FORESEE in SERVICE.timers
    pause = await FORESEE.step(process_at(escalation_dsn, pool, frozen))
    assert 1 <= pause <= 60
    shown = [gauge("forecast", action="promote", tier="grid", hours=n) for n in ("1", "4", "24")]
    assert shown == [0, 1, 1]


@pytest.mark.parametrize(
    ("accused", "division", "sees"),
    [
        pytest.param("city", "city", True, id="nobody stands above the city"),
        pytest.param("city", DISTRICT, False, id="all below it are shut out"),
        pytest.param(STREET, DISTRICT, True, id="above the accused"),
        pytest.param(STREET, STREET, False, id="the accused"),
    ],
)
def test_who_sees_an_accusation(accused: str, division: str, sees: bool) -> None:
    who = Actor("o", frozenset(), division)
    assert may_see(who, armed(tier_clock(), accused_division=accused)) is sees
