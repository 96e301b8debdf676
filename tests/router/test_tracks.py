"""Tables that would leave a case in silence are refused; the project's own keep their word."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from services.router.decisions.policy import Policy, Role
from services.router.decisions.tracks import AT_THE_DESK_ONLY, TRACKS
from services.router.decisions.tracks.table import (
    TERMINAL,
    Step,
    TrackRefused,
    TrackTable,
    leads_out,
    prove,
)
from shared.events import Stage, Track

OFFICERS: frozenset[Role] = frozenset({"grid_head"})


def row(command: str, source: Stage, *targets: Stage) -> Step:
    """A step that a grid head may take."""
    return Step(command, frozenset({source}), targets, OFFICERS)  # type: ignore[arg-type]


GOOD = TrackTable(
    name="service",
    initial=frozenset({"registered"}),
    steps=(
        row("reroute", "registered", "assigned"),
        row("reply", "assigned"),
        row("resolve", "assigned", "closed"),
    ),
    waits=(("registered", "dispatch"), ("assigned", "sign")),
)


def with_steps(*more: Step) -> TrackTable:
    return replace(GOOD, steps=(*GOOD.steps, *more))


def test_a_table_that_leads_every_case_to_an_end_under_a_clock_is_taken() -> None:
    assert prove(GOOD) is GOOD
    assert GOOD.reached() == {"registered", "assigned", "closed"}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        pytest.param(with_steps(row("close", "resolved", "closed")),
                     "no step leads to resolved", id="a stage that nothing leads to"),
        pytest.param(with_steps(row("close", "resolved", "closed"),
                                row("return", "resolved", "resolved")),
                     "no step leads to resolved", id="a stage that only leads to itself"),
        pytest.param(replace(GOOD, initial=frozenset({"registered", "signed"})),
                     "nothing leads out of signed", id="a stage where a case may begin and stay"),
        pytest.param(with_steps(row("sign", "assigned", "signed"),
                                row("reply", "signed"), row("promote", "signed", "signed")),
                     "nothing leads out of signed", id="a stage that steps do not leave"),
        pytest.param(with_steps(row("return", "closed", "registered")),
                     "a step leaves closed, which is an end", id="an end that is none"),
        pytest.param(with_steps(row("reply", "closed")),
                     "a step leaves closed, which is an end", id="an end where something happens"),
        pytest.param(replace(GOOD, waits=(("registered", "dispatch"),)),
                     "no clock runs in assigned", id="a stage without a clock"),
        pytest.param(with_steps(replace(row("sign", "assigned", "assigned"), roles=frozenset())),
                     "nobody may sign", id="a step that nobody may take"),
        pytest.param(replace(GOOD, steps=(*GOOD.steps[:2],
                             replace(GOOD.steps[2], roles=frozenset({"resident"})))),
                     "no officer can bring a case out of assigned", id="only a resident may act"),
        pytest.param(replace(GOOD, waits=(*GOOD.waits, ("closed", "sign"))),
                     "sign is named for closed, where nobody waits", id="a clock for an end"),
        pytest.param(replace(GOOD, waits=(*GOOD.waits, ("signed", "tier"))),
                     "tier is named for signed, where nobody waits", id="a clock for no stage"),
        pytest.param(replace(GOOD, waits=(("assigned", "tier"), *GOOD.waits)),
                     "two clocks are named for assigned", id="a stage with two clocks"),
    ],
)  # fmt: skip
def test_a_table_that_would_leave_a_case_in_silence_is_refused(
    table: TrackTable, says: str
) -> None:
    with pytest.raises(TrackRefused, match=f"service: {says}"):
        prove(table)


def test_every_track_of_the_contract_has_a_proven_table() -> None:
    assert TRACKS.keys() == set(get_args(Track))
    for name, table in TRACKS.items():
        assert prove(table).name == name


@pytest.mark.parametrize("table", TRACKS.values(), ids=TRACKS)
def test_every_stage_that_waits_has_a_clock_that_the_policy_gives_its_track(
    table: TrackTable, policy: Policy
) -> None:
    waits = dict(table.waits)
    assert waits.keys() == table.reached() - TERMINAL
    for stage, clock in waits.items():
        rule = policy.clocks[clock]  # type: ignore[index]
        assert table.name in rule.tracks, (stage, clock)
        if stage == "registered" and table.name != "handoff":
            assert clock in policy.settings.unclassified.clocks


@pytest.mark.parametrize("table", TRACKS.values(), ids=TRACKS)
def test_every_clock_that_a_table_names_is_one_of_the_policy(
    table: TrackTable, policy: Policy
) -> None:
    moments = {rule.start for rule in policy.clocks.values()}
    for step in table.steps:
        assert {*step.fulfils, *step.ends} <= policy.clocks.keys()
        assert set(step.starts) <= moments


@pytest.mark.parametrize("track", sorted(AT_THE_DESK_ONLY))
def test_a_track_without_a_table_of_its_own_yet_is_never_a_dead_end(track: Track) -> None:
    table = TRACKS[track]
    assert table.reached() == {"registered", "handed_off"}
    assert leads_out(table, "registered")
    assert [step.command for step in table.steps if step.anew] == ["classify", "place"]


def test_one_row_answers_for_each_command_and_stage() -> None:
    for table in TRACKS.values():
        for step in table.steps:
            for stage in step.sources:
                rows = [s for s in table.steps if s.command == step.command and stage in s.sources]
                assert rows == [table.step(step.command, stage)]
