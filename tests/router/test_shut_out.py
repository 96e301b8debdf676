"""An accusation never reaches who may be accused: nobody there sees it, holds it, or owes in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.decisions.case import Case, snapshot
from services.router.decisions.commands import ApplyOrder, Changed, OfficerCommand, Refused
from services.router.decisions.policy import Policy, Role
from services.router.decisions.routing import Facts
from services.router.decisions.workflow import (
    accused_reads,
    allowed_actions,
    decide,
    may_read,
)
from shared.divisions import CITY, is_within
from shared.identity import Actor
from tests.router.stories import (
    COMMUNITY,
    DISTRICT,
    ESCALATION,
    GRID,
    NEXT_COMMUNITY,
    NEXT_GRID,
    NOON,
    ROUTER,
    RUBBISH,
    STREET,
    command,
    decided,
    done,
    officer,
    opened,
    petition,
    refused,
    sure,
)
from tests.router.trees import places, trees

ALL = frozenset(get_args(Role))


def accusing(division: str = GRID, category: str = RUBBISH) -> Facts:
    """An accusation that names nobody."""
    return replace(sure(category, division), accusation=True)


# ---------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("place", "holder"), [(GRID, COMMUNITY), (COMMUNITY, STREET), (STREET, DISTRICT)]
)
def test_while_nobody_knows_who_is_accused_the_place_is_shut_out(place: str, holder: str) -> None:
    case = opened(accusing(place))
    assert (case.accused_division, case.accused_unknown, case.holder) == (place, True, holder)
    assert snapshot(case, "a unit").accused_division == place
    assert not any(clock.owner_division.startswith(place) for clock in case.clocks)
    for role in ALL:
        actor = officer(place, role)
        assert accused_reads(case, actor)
        assert not may_read(case, actor)
        assert allowed_actions(case, actor) == ()
    assert refused(case, "reply", officer(place, "street_cadre")) == "not_your_area"
    assert may_read(case, officer(holder))


def test_a_street_that_may_be_accused_owes_no_reply() -> None:
    case = opened(accusing(STREET))
    reply = case.clock("reply")
    assert reply is not None
    assert reply.owner_division == DISTRICT


def test_above_a_district_that_may_be_accused_there_is_the_city() -> None:
    case = opened(accusing(DISTRICT))
    assert {case.holder, *(clock.owner_division for clock in case.clocks)} == {CITY}
    assert not may_read(case, officer(STREET))


def test_an_accusation_that_names_no_place_shuts_nobody_out() -> None:
    case = opened(accusing(CITY))
    assert (case.accused_division, case.accused_unknown, case.holder) == (None, True, CITY)


def test_a_person_names_the_accused_and_all_others_may_have_it_again() -> None:
    case = opened(accusing(STREET))
    named = decided(case, command("classify", category=RUBBISH, accused=NEXT_COMMUNITY))
    assert isinstance(named, Changed)
    after = named.case
    assert (after.accused_division, after.accused_unknown) == (NEXT_COMMUNITY, False)
    assert after.restricted
    assert named.detail["accused"] == NEXT_COMMUNITY
    assert may_read(done(after, command("place", division=GRID)), officer(GRID))


def test_who_names_his_own_division_sees_it_no_more() -> None:
    case = opened(accusing(GRID))
    after = done(case, command("classify", category=RUBBISH, accused=COMMUNITY), officer(COMMUNITY))
    assert after.holder == STREET
    assert not may_read(after, officer(COMMUNITY))


@pytest.mark.parametrize("category", [RUBBISH, "R01"])
def test_a_person_says_that_no_division_is_accused(category: str) -> None:
    case = opened(accusing(GRID))
    step = decided(case, command("classify", category=category, accused="none"))
    assert isinstance(step, Changed)
    assert (step.case.accused_division, step.case.accused_unknown) == (None, False)
    assert step.detail["accused"] == "none"
    again = done(opened(accusing(GRID)), command("classify", category=category))
    assert again.accused_division == GRID


def test_another_name_takes_the_place_of_the_first() -> None:
    case = opened(replace(sure(RUBBISH, DISTRICT), accused=COMMUNITY))
    after = done(case, command("classify", category=RUBBISH, accused=NEXT_COMMUNITY))
    assert (after.accused_division, after.cleared) == (NEXT_COMMUNITY, False)
    free = done(case, command("classify", category=RUBBISH, accused="none"))
    assert (free.accused_division, free.restricted) == (None, False)
    named = done(free, command("classify", category=RUBBISH, accused=COMMUNITY))
    assert (named.accused_division, named.restricted) == (COMMUNITY, True)


@pytest.mark.parametrize("accused", ["210204099", "999999"])
def test_only_a_listed_division_can_be_named(accused: str) -> None:
    asked = command("classify", category=RUBBISH, accused=accused)
    assert refused(opened(accusing(GRID)), asked) == "unknown"


def test_a_finer_place_does_not_let_the_wider_division_in() -> None:
    case = done(opened(accusing(STREET)), command("place", division=GRID))
    assert (case.place, case.accused_division, case.holder) == (GRID, STREET, DISTRICT)
    moved = done(opened(accusing(GRID)), command("place", division=NEXT_COMMUNITY))
    assert (moved.accused_division, moved.holder) == (NEXT_COMMUNITY, STREET)


def test_a_reroute_may_not_say_where_it_is_while_the_accused_is_unknown() -> None:
    case = opened(accusing(GRID))
    for division, reason in ((GRID, "agreed"), (NEXT_COMMUNITY, "correction")):
        asked = command("reroute", division=division, reason=reason)
        assert isinstance(decided(case, asked, officer(CITY)), Refused)
    held = done(case, command("reroute", division=NEXT_GRID, reason="agreed"))
    assert (held.holder, held.place, held.accused_division) == (NEXT_GRID, GRID, GRID)
    nowhere = opened(accusing(CITY))
    asked = command("reroute", division=GRID, reason="agreed")
    assert refused(nowhere, asked, officer(CITY)) == "incomplete"


# ---------------------------------------------------------------- any tree, any commands


def divisions_of(case: Case) -> Iterable[str]:
    """Who has anything to do with a case."""
    return (case.holder, *(clock.owner_division for clock in case.clocks))


def nobody_shut_out_has_it(case: Case, policy: Policy) -> None:
    shut_out = case.accused_division
    if case.accused_unknown:
        assert case.place == CITY or is_within(case.place, str(shut_out))
    if shut_out is None:
        return
    assert case.restricted
    assert not any(is_within(division, shut_out) for division in divisions_of(case))
    for division in (shut_out, *(d for d in policy.divisions if is_within(d, shut_out))):
        everything = Actor("somebody", ALL, division)
        assert not may_read(case, everything)
        assert allowed_actions(case, everything) == ()
        decision = decide(case, command("sign"), everything, policy, NOON)
        assert isinstance(decision, Refused)
        assert decision.allowed == ()


def anything(data: st.DataObject, policy: Policy) -> OfficerCommand:
    """A command that may move a case, or name who is accused."""
    division = st.sampled_from(sorted(policy.divisions))
    category = st.sampled_from([RUBBISH, "L99", "R01", "R02", "R05", "S01", "X110", "C01"])
    accused = st.none() | st.just("none") | division
    reason = st.sampled_from(["correction", "workload", "agreed"])
    name = data.draw(st.sampled_from(["classify", "place", "reroute", "return", "promote", "sign"]))
    match name:
        case "classify":
            return command(name, category=data.draw(category), accused=data.draw(accused))
        case "place":
            return command(name, division=data.draw(division))
        case "reroute":
            return command(name, division=data.draw(division), reason=data.draw(reason))
        case "return":
            return command(name, reason="not_in_my_power")
        case "promote":
            return command(name, reason="scale_up")
        case _:
            return command(name)


def breaches(case: Case) -> list[ApplyOrder]:
    """The orders that escalation may give now."""
    return [
        ApplyOrder(case.id, clock.name, clock.generation, case.tier, clock.on_breach)
        for clock in case.clocks
        if (clock.on_breach == "promote" or clock.on_breach == "supervise") and not clock.answered
    ]


@given(data=st.data())
@settings(max_examples=250, deadline=None)
def test_whatever_is_asked_nobody_who_is_shut_out_ever_has_the_case(data: st.DataObject) -> None:
    policy = data.draw(trees())
    facts = Facts(
        division=data.draw(places(policy)),
        category=data.draw(st.sampled_from([None, RUBBISH, "L99", "R01", "R02", "S01", "C01"])),
        basis="given",
        confidence=data.draw(st.sampled_from([0.3, 0.9])),
        accused=data.draw(st.none() | places(policy)),
        accusation=data.draw(st.booleans()),
    )
    step = decide(None, petition(facts), ROUTER, policy, NOON)
    assert isinstance(step, Changed)
    case, now = step.case, NOON
    nobody_shut_out_has_it(case, policy)
    mayor = Actor("somebody", ALL, CITY)
    for _ in range(data.draw(st.integers(0, 8))):
        now += timedelta(hours=data.draw(st.sampled_from([0, 1, 60])))
        order = data.draw(st.sampled_from([None, *breaches(case)]))
        if order is not None:
            decision = decide(case, order, ESCALATION, policy, now)
        else:
            decision = decide(case, anything(data, policy), mayor, policy, now)
        if isinstance(decision, Changed):
            case = decision.case
        nobody_shut_out_has_it(case, policy)
