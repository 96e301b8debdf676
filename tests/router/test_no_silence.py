"""Nothing ends in silence: each stage of each track, left alone, is brought up to who must look.

In every stage in which a case waits somebody may act, a promise runs, and breach after breach it
climbs to supervision at the top. What the router has no more orders for escalation says again to
the level above, without end, whoever takes note of it. [X5]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import pytest

from services.escalation.decisions import (
    MOST_REMINDERS,
    PATIENCE,
    Desk,
    News,
    Notice,
    arm,
    digests,
    next_at,
    noted_by,
    sweep,
)
from services.router import tracks_page
from services.router.decisions.case import Case, Clock, snapshot
from services.router.decisions.policy import Policy
from services.router.decisions.tracks import AT_THE_DESK_ONLY, TRACKS
from services.router.decisions.tracks.table import TERMINAL, acting
from services.router.decisions.workflow import allowed_actions
from shared.divisions import CITY, LADDER, next_tier
from shared.events import Order, Stage, Track
from tests.router.stories import (
    BUS,
    DISPUTE,
    FIRE,
    NOON,
    QUESTION,
    RUBBISH,
    WISH,
    done,
    officer,
    opened,
    order,
    resolved,
    sure,
    unclear,
)

PETITIONED, PROJECT = "R04", "W02"


def waiting(track: Track) -> Mapping[Stage, Case]:
    """A case of the track in each stage in which one waits."""
    match track:
        case "service":
            return {
                "registered": opened(unclear()),
                "assigned": opened(sure(RUBBISH)),
                "signed": done(opened(sure(RUBBISH)), "sign"),
                "resolved": resolved(opened(sure(RUBBISH))),
            }
        case "consult":
            asked = opened(sure(QUESTION))
            return {
                "registered": done(asked, "return"),
                "assigned": asked,
                "signed": done(asked, "sign"),
                "resolved": resolved(asked),
            }
        case "handoff":
            return {"registered": opened(sure(FIRE))}
        case "mediation":
            return {"registered": opened(sure(DISPUTE))}
        case "xinfang":
            return {"registered": opened(sure(PETITIONED))}
        case "project":
            return {"registered": opened(sure(PROJECT))}


CASES = {f"{track}-{stage}": case for track in TRACKS for stage, case in waiting(track).items()}
WAITING = [pytest.param(case, id=name) for name, case in CASES.items()]


GIVES_AN_ORDER = ("promote", "supervise")


def breaches(case: Case, now: datetime) -> Iterator[tuple[Case, Clock]]:
    """The case after each order that escalation gives while nobody does anything."""
    while due := [c for c in case.clocks if not c.answered and c.on_breach in GIVES_AN_ORDER]:
        clock = min(due, key=lambda one: one.due_at)
        now = max(now, clock.due_at)
        case = done(case, order(case, clock.name), now=now)
        yield case, clock


def test_a_case_stands_here_for_every_stage_of_every_track_that_waits() -> None:
    for track, table in TRACKS.items():
        cases = waiting(track)
        assert cases.keys() == table.reached() - TERMINAL
        for stage, case in cases.items():
            assert (case.track, case.stage) == (track, stage)


@pytest.mark.parametrize("case", WAITING)
def test_in_every_stage_somebody_may_act_under_a_promise_that_runs(
    case: Case, policy: Policy
) -> None:
    table = TRACKS[case.track]
    assert case.role in acting(table, case.stage), "who holds it can bring it on"
    assert allowed_actions(case, officer(case.holder, case.role))
    clock = case.clock(dict(table.waits)[case.stage])
    assert clock is not None
    assert case.track in policy.clocks[clock.name].tracks  # type: ignore[index]
    assert clock.on_breach in ("promote", "supervise", "remind")
    assert clock.warn_at, "it warns before it breaks"
    assert clock.repeat is not None, "and says again that it is broken"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(opened(unclear(CITY)), id="nobody knows where"),
        pytest.param(opened(sure(BUS)), id="begins at the top"),
        pytest.param(opened(sure(WISH), contact=False), id="nobody to call back"),
        pytest.param(done(opened(sure(RUBBISH)), "pause"), id="stands still"),
        pytest.param(done(opened(sure(RUBBISH)), "extend"), id="asks for more time"),
        pytest.param(done(opened(sure(RUBBISH)), "return"), id="was given back"),
    ],
)
def test_wherever_it_begins_and_whatever_it_waits_for_it_ends_in_supervision(case: Case) -> None:
    last = [after for after, _ in breaches(case, NOON)][-1]
    assert last.supervised > 0
    assert last.pause is None, "an agreed pause ends by itself"
    assert any(clock.repeat for clock in last.clocks if clock.answered), "and is said again"


@pytest.mark.parametrize("case", WAITING)
def test_left_alone_it_is_promoted_and_supervised_and_told_without_end(case: Case) -> None:
    climbed = [case, *(after for after, _ in breaches(case, NOON))]
    for before, after in pairwise(climbed):
        assert after.is_open
        assert (after.supervised, after.tier) != (before.supervised, before.tier)
        assert any(clock.repeat for clock in after.clocks), "never in silence on the way"
    last = climbed[-1]
    assert last.supervised > 0
    for clock in last.clocks:
        assert clock.on_breach in ("supervise", "remind", "none")
        assert clock.on_breach == "none" or clock.repeat is not None
    assert any(clock.on_breach == "supervise" and clock.answered for clock in last.clocks)
    if "tier" in {clock.name for clock in case.clocks}:
        assert last.tier is not None
        assert next_tier(last.tier) is None
        assert [tier for tier in LADDER if tier in last.promotions] == list(LADDER[:-1])


REMINDED_ONLY = {
    ("service", "resolved"),
    *((track, "registered") for track in AT_THE_DESK_ONLY),
}
"""Once answered, the router supervises these no more: reminders end in escalation's own cards."""
TO_ANSWER = {name: case for name, case in CASES.items() if case.track != "handoff"}


@pytest.mark.parametrize("case", TO_ANSWER.values(), ids=TO_ANSWER)
def test_answered_and_left_alone_it_is_still_told_without_end(case: Case) -> None:
    answered = done(case, "reply", officer(CITY, "street_cadre", "city_dispatcher"))
    if not answered.is_open:
        assert case.track == "consult", "the answer was the matter, and ended it"
        return
    assert answered.clock(dict(TRACKS[case.track].waits)[answered.stage]) is not None
    last = [answered, *(after for after, _ in breaches(answered, NOON))][-1]
    assert any(clock.on_breach in ("supervise", "remind") and clock.repeat for clock in last.clocks)
    assert (last.supervised == 0) is ((case.track, case.stage) in REMINDED_ONLY)


def left_alone(case: Case) -> Case:
    """The case after every order that comes while nobody does anything."""
    return [case, *(after for after, _ in breaches(case, NOON))][-1]


def answered(case: Case) -> Case:
    """The case after the resident was answered."""
    return done(case, "reply", officer(CITY, "street_cadre", "city_dispatcher"))


AT_THE_END = {
    **{name: left_alone(case) for name, case in CASES.items()},
    **{f"{name} answered": left_alone(answered(case)) for name, case in TO_ANSWER.items()},
}
LEFT_OPEN = [pytest.param(case, id=name) for name, case in AT_THE_END.items() if case.is_open]


def told_and_noted(case: Case, of: int) -> Iterator[tuple[datetime, Sequence[Notice]]]:
    """When the desks are told of a case that stands still, each taking note of all at once.

    So many times; it is an error if nothing more would be said.
    """
    state = arm(None, News(case.id, Order(1, case.seq), case.receipt, snapshot(case, "")))
    while of:
        at = next_at(state)
        assert at is not None, "silence"
        swept = sweep(state, at)
        assert not swept.orders, "every order was answered"
        state = swept.armed
        for digest in digests(swept.notices):
            state = noted_by(digest.desk, digest, state, at, at)
        if swept.notices:
            of -= 1
            yield at, swept.notices


@pytest.mark.parametrize("case", LEFT_OPEN)
def test_at_the_end_somebody_who_may_act_is_told_again_and_again(case: Case) -> None:
    every = min(clock.repeat for clock in case.clocks if clock.repeat)
    for name in {clock.name for clock in case.clocks if clock.repeat}:
        times = [at for at, told in told_and_noted(case, 300) if name in {n.clock for n in told}]
        assert times, f"nobody hears of {name} any more"
    told = list(told_and_noted(case, 300))[-30:]
    assert max(b[0] - a[0] for a, b in pairwise(told)) <= (PATIENCE + MOST_REMINDERS) * every
    desks = {notice.desk for _, notices in told for notice in notices}
    acts = [desk for desk in desks if allowed_actions(case, officer(desk.division, desk.role))]
    assert acts, f"none of {desks} may bring it on"


@pytest.mark.parametrize("case", LEFT_OPEN)
def test_at_the_end_the_owner_is_not_alone_with_it(case: Case) -> None:
    desks = {notice.desk for _, told in told_and_noted(case, 60) for notice in told}
    owners = {Desk(c.owner_division, c.owner_role, c.owner_office) for c in case.clocks}
    assert desks - owners or owners == {Desk(CITY, "city_dispatcher")}


# ---------------------------------------------------------------- docs/tracks.md


def test_the_page_says_how_long_a_note_lasts() -> None:
    assert tracks_page.NOTE_LASTS == PATIENCE


def test_the_page_is_current() -> None:
    says = "say: python -m services.router.tracks_page"
    assert tracks_page.FILE.read_text(encoding="utf-8") == tracks_page.render(), says


@pytest.mark.parametrize("case", WAITING)
def test_the_page_names_the_promises_that_run(case: Case, policy: Policy) -> None:
    told = tracks_page.running(TRACKS[case.track], policy)[case.stage]
    names = {rule.name for rule in told}
    assert {clock.name for clock in case.clocks} <= names
    # What may be missing hangs on the case: a visit that was paid, a place without a grid.
    assert names - {clock.name for clock in case.clocks} <= {"verify"}


def test_the_page_shows_every_state_of_every_track_and_its_commands(policy: Policy) -> None:
    lines = tracks_page.render().splitlines()
    assert set(tracks_page.ORDER) == TRACKS.keys()
    for name, table in TRACKS.items():
        for stage in table.reached() - TERMINAL:
            row = f"| {tracks_page.words(name)} | {tracks_page.words(stage)} | "
            (found,) = [line for line in lines if line.startswith(row)]
            assert f"**{dict(table.waits)[stage]}**" in found
            assert "`casegrid_" in found
        start = lines.index(f"## {tracks_page.words(name)}")
        drawn = lines[start : lines.index("```", start)]
        for step in table.steps:
            for source in step.sources:
                for target in set(step.targets) - {source}:
                    arrow = f"    {source} --> {target} : "
                    (line,) = [one for one in drawn if one.startswith(arrow)]
                    assert step.command in line.removeprefix(arrow).split(", ")
