"""Nothing ends in silence: each stage of each track, left alone, is brought up to who must look.

In every stage in which a case waits somebody may act, a promise runs, and breach after breach it
climbs to supervision at the top, where it is said again without end. [X5]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise

import pytest

from services.router import tracks_page
from services.router.decisions.case import Case, Clock
from services.router.decisions.policy import Policy
from services.router.decisions.tracks import AT_THE_DESK_ONLY, TRACKS
from services.router.decisions.tracks.table import TERMINAL, acting
from services.router.decisions.workflow import allowed_actions
from shared.divisions import CITY, LADDER, next_tier
from shared.events import Stage, Track
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


WAITING = [
    pytest.param(case, id=f"{track}-{stage}")
    for track in TRACKS
    for stage, case in waiting(track).items()
]


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
"""Once answered, the router supervises these no more: reminders end in escalation's own card."""


@pytest.mark.parametrize("case", [one for one in WAITING if "handoff" not in str(one.id)])
def test_answered_and_left_alone_it_is_still_told_without_end(case: Case) -> None:
    answered = done(case, "reply", officer(CITY, "street_cadre", "city_dispatcher"))
    if not answered.is_open:
        assert case.track == "consult", "the answer was the matter, and ended it"
        return
    assert answered.clock(dict(TRACKS[case.track].waits)[answered.stage]) is not None
    last = [answered, *(after for after, _ in breaches(answered, NOON))][-1]
    assert any(clock.on_breach in ("supervise", "remind") and clock.repeat for clock in last.clocks)
    assert (last.supervised == 0) is ((case.track, case.stage) in REMINDED_ONLY)


# ---------------------------------------------------------------- docs/tracks.md


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
