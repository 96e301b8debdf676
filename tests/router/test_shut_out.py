"""An accusation never reaches who may be accused: nobody there sees it, holds it, or owes in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.decisions.case import Case, snapshot
from services.router.decisions.clocks import DEPARTMENT
from services.router.decisions.commands import (
    ApplyOrder,
    Changed,
    Classify,
    OfficerCommand,
    Refused,
)
from services.router.decisions.policy import Policy, Role
from services.router.decisions.routing import (
    Facts,
    Reason,
    may_be_accused,
    route,
    sentence,
)
from services.router.decisions.workflow import (
    accused_reads,
    allowed_actions,
    decide,
    may_read,
)
from shared.divisions import CITY, DivisionCode, dispatcher_of, is_within
from shared.identity import Actor
from tests.router.stories import (
    COMMUNITY,
    DISTRICT,
    ESCALATION,
    GRID,
    LAMP,
    MANHOLE,
    NEXT_COMMUNITY,
    NEXT_GRID,
    NOON,
    ROUTER,
    RUBBISH,
    STREET,
    command,
    decided,
    done,
    examples,
    officer,
    opened,
    petition,
    refused,
    shipped_policy,
    sure,
)
from tests.router.trees import places, trees, with_offices

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


@pytest.mark.parametrize("category", [LAMP, "L05", "S01", "E0403"])
def test_while_nobody_knows_who_is_accused_no_office_has_a_part_in_it(category: str) -> None:
    case = opened(accusing(GRID, category))
    duty = shipped_policy().duty(category, STREET)
    assert duty is not None
    no_office_has_a_part_in_it(case, shipped_policy())
    assert not may_read(case, of_office(duty.lead.id))
    if category == "E0403":
        return
    given = command("reroute", division=STREET, office="municipal-works", reason="agreed")
    assert refused(case, given, officer(CITY)) == "not_your_area"
    held = done(case, command("reroute", division=STREET, reason="agreed"), officer(CITY))
    assert (held.stage, held.role) == ("assigned", "street_dispatcher")
    no_office_has_a_part_in_it(held, shipped_policy())
    named = done(held, command("classify", category=category, accused=NEXT_COMMUNITY))
    assert duty.lead.id in offices_of(named)


# ---------------------------------------------------------------- an office is accused


def against(office: str, category: str = LAMP, division: str = GRID) -> Facts:
    """An accusation of an office."""
    return replace(sure(category, division), accused_office=office, accusation=True)


def of_office(office: str, division: str = STREET) -> Actor:
    return Actor("somebody", ALL, division, office)


def test_the_desk_of_the_division_holds_what_the_accused_office_would() -> None:
    case = opened(against("lighting"))
    assert (case.holder, case.office, case.role) == (STREET, None, "street_dispatcher")
    assert (case.lead, case.restricted, case.accused_unknown) == (None, True, False)
    assert case.accused_division is None
    assert {clock.owner_office for clock in case.clocks} == {None}
    assert snapshot(case, "a unit").accused_office == "lighting"
    others = opened(against("sanitation"))
    assert (others.office, others.restricted) == ("lighting", True)


def test_the_desk_of_the_street_leads_what_starts_below_it() -> None:
    lead = shipped_policy().duty("L05", STREET)
    assert lead is not None
    case = opened(against(lead.lead.id, "L05"))
    final = case.clock("final_reply")
    assert final is not None
    assert case.holder == COMMUNITY
    assert (final.owner_division, final.owner_role, final.owner_office) == (
        STREET, "street_dispatcher", None,
    )  # fmt: skip
    passed = done(case, "verify", officer(GRID))
    assert (passed.holder, passed.office) == (STREET, None)
    risen = done(passed, "promote")
    final = risen.clock("final_reply")
    assert final is not None
    assert (risen.holder, final.owner_division) == (DISTRICT, DISTRICT)


def test_the_accused_office_assists_in_nothing() -> None:
    helper = opened(sure(MANHOLE)).assisting[0]
    assert helper not in opened(against(helper, MANHOLE)).assisting


def test_nobody_of_the_accused_office_sees_the_case_in_whatever_division() -> None:
    case = opened(against("lighting"))
    for division in (GRID, STREET, DISTRICT, CITY):
        actor = of_office("lighting", division)
        assert accused_reads(case, actor)
        assert not may_read(case, actor)
        assert allowed_actions(case, actor) == ()
        assert refused(case, "sign", actor) == "not_your_area"
    assert may_read(case, officer(STREET))


def test_it_is_not_given_to_the_accused_office() -> None:
    case = opened(against("lighting"))

    def give(office: str) -> OfficerCommand:
        return command("reroute", division=STREET, office=office, reason="competence")

    assert refused(case, give("lighting"), officer(STREET)) == "not_your_area"
    given = done(case, give("municipal-works"), officer(STREET))
    assert given.office == "municipal-works"
    assert refused(given, give("lighting"), officer(STREET)) == "not_your_area"


def test_a_person_names_an_office_and_it_has_the_case_no_more() -> None:
    case = done(opened(sure(LAMP)), "sign", of_office("lighting"))
    said = command("classify", category=LAMP, accused_office="lighting", note="they did it")
    step = decided(case, said)
    assert isinstance(step, Changed)
    assert step.detail["accused_office"] == "lighting"
    after = step.case
    assert (after.holder, after.office, after.signed_by) == (STREET, None, None)
    assert not may_read(after, of_office("lighting"))
    free = done(after, command("classify", category=LAMP, accused="none"))
    assert (free.office, free.restricted, free.accused_office) == ("lighting", False, None)


def test_who_is_named_takes_the_place_of_who_was_shut_out_before() -> None:
    case = opened(accusing(STREET))
    office = done(case, command("classify", category=RUBBISH, accused_office="sanitation"))
    assert (office.accused_division, office.accused_office) == (None, "sanitation")
    assert not office.accused_unknown
    division = done(office, command("classify", category=RUBBISH, accused=NEXT_COMMUNITY))
    assert (division.accused_division, division.accused_office) == (NEXT_COMMUNITY, None)
    both = done(
        division,
        command("classify", category=RUBBISH, accused=NEXT_COMMUNITY, accused_office="sanitation"),
    )
    assert (both.accused_division, both.accused_office) == (NEXT_COMMUNITY, "sanitation")
    same = done(both, command("classify", category=LAMP))
    assert (same.accused_division, same.accused_office) == (NEXT_COMMUNITY, "sanitation")


@pytest.mark.parametrize("office", ["nobody", "street-office"])
def test_an_office_that_nobody_knows_cannot_be_named_nor_a_desk(office: str) -> None:
    asked = command("classify", category=RUBBISH, accused_office=office)
    assert refused(opened(sure(RUBBISH)), asked) == "unknown"


def test_nobody_and_an_office_are_not_accused_at_once() -> None:
    with pytest.raises(ValueError, match="no office is accused either"):
        command("classify", category=RUBBISH, accused="none", accused_office="sanitation")


@pytest.mark.parametrize("office", ["nobody", "street-office"])
def test_a_petition_that_accuses_an_office_nobody_knows_accuses_somebody(office: str) -> None:
    case = opened(replace(sure(RUBBISH), accused_office=office))
    assert (case.accused_division, case.accused_unknown, case.holder) == (GRID, True, COMMUNITY)
    assert not may_read(case, of_office(office, CITY))


def test_why_it_came_says_which_office_has_no_part_in_it() -> None:
    reason = decided_reason(against("lighting"))
    assert ("accused_office", "lighting") in reason.matched
    policy = shipped_policy()
    assert "The office complained about (lighting) has no part in it." in sentence(
        reason, "en", policy
    )
    assert "路灯管理处" in sentence(reason, "zh", policy)


def decided_reason(facts: Facts) -> Reason:
    return route(facts, shipped_policy()).reason


# ---------------------------------------------------------------- any tree, any commands


CATEGORIES = (RUBBISH, LAMP, "L05", "L99", "S01", "C01", "R01", "R02", "R05", "X110", "H04")


def divisions_of(case: Case) -> Iterable[str]:
    """Who has anything to do with a case."""
    return (case.holder, *(clock.owner_division for clock in case.clocks))


def offices_of(case: Case) -> Iterable[str | None]:
    """Which offices have anything to do with a case."""
    owners = (clock.owner_office for clock in case.clocks)
    return (case.office, case.lead, *case.assisting, *owners)


def nobody_shut_out_has_it(case: Case, policy: Policy) -> None:
    if case.accused_unknown:
        assert case.place == CITY or is_within(case.place, str(case.accused_division))
        no_office_has_a_part_in_it(case, policy)
    said = snapshot(case, "a unit")
    assert (said.accused_division, said.accused_office) == (
        case.accused_division,
        case.accused_office,
    )
    of_an_office(case)
    if case.accused_division is not None:
        no_division_that_is_shut_out_has_it(case, case.accused_division, policy)
    if case.accused_office is not None:
        the_accused_office_has_no_part_in_it(case, case.accused_office, policy)


def no_office_has_a_part_in_it(case: Case, policy: Policy) -> None:
    """Any of them may be the accused."""
    assert not any(offices_of(case))
    assert case.restricted
    for division in (CITY, case.holder, case.place):
        for office in (*policy.duties.offices, "nobody"):
            learns_nothing(case, Actor("somebody", ALL, division, office), policy)


def of_an_office(case: Case) -> None:
    """A role of departments is an office's, and an office's role is that."""
    assert (case.role == DEPARTMENT) == (case.office is not None)
    if case.office is None:
        assert case.role == dispatcher_of(DivisionCode(case.holder))
    for clock in case.clocks:
        assert (clock.owner_role == DEPARTMENT) == (clock.owner_office is not None)


def no_division_that_is_shut_out_has_it(case: Case, shut_out: str, policy: Policy) -> None:
    assert case.restricted
    assert not any(is_within(division, shut_out) for division in divisions_of(case))
    for division in (shut_out, *(d for d in policy.divisions if is_within(d, shut_out))):
        learns_nothing(case, Actor("somebody", ALL, division), policy)
        for office in policy.duties.offices:
            learns_nothing(case, Actor("somebody", ALL, division, office), policy)


def the_accused_office_has_no_part_in_it(case: Case, accused: str, policy: Policy) -> None:
    assert case.restricted
    assert accused not in offices_of(case)
    assert not (case.accused_unknown and may_be_accused(accused, policy))
    for division in (CITY, case.holder, case.place, *policy.divisions):
        learns_nothing(case, Actor("somebody", ALL, division, accused), policy)


def learns_nothing(case: Case, actor: Actor, policy: Policy) -> None:
    """He does not read it, and may do nothing."""
    assert accused_reads(case, actor)
    assert not may_read(case, actor)
    assert allowed_actions(case, actor) == ()
    decision = decide(case, command("sign"), actor, policy, NOON)
    assert isinstance(decision, Refused)
    assert decision.allowed == ()


def what_is_known_of_the_accused_stands(
    before: Case, after: Case, asked: OfficerCommand | ApplyOrder
) -> None:
    """Only a person's word changes who is accused, and then it is as he said."""
    named = isinstance(asked, Classify) and (asked.accused or asked.accused_office)
    if not named:
        assert (after.accused, after.accused_office) == (before.accused, before.accused_office)
        return
    assert isinstance(asked, Classify)
    assert after.accused_office == asked.accused_office
    assert after.accused_division == (None if asked.accused == "none" else asked.accused)
    assert not after.accused_unknown


def anything(data: st.DataObject, case: Case, policy: Policy, now: datetime) -> OfficerCommand:
    """Any command of an officer, to anywhere and anybody; often to those who are in it already."""
    moves = ["classify", "reroute"] * 3
    name = data.draw(st.sampled_from([*sorted(examples(now)), *moves]))
    division = st.sampled_from([*sorted(policy.divisions), *within(policy, case.holder)])
    concerned = [one for one in (case.accused_office, case.office, case.lead) if one]
    office = st.none() | st.sampled_from([*concerned * 2, *policy.duties.offices, "nobody"])
    match name:
        case "classify":
            accused = data.draw(st.none() | st.just("none") | division)
            named = None if accused == "none" else data.draw(office)
            category = data.draw(st.just(case.category or RUBBISH) | st.sampled_from(CATEGORIES))
            return command(name, category=category, accused=accused, accused_office=named)
        case "place":
            return command(name, division=data.draw(division))
        case "reroute":
            reason = data.draw(st.sampled_from(["correction", "workload", "agreed"]))
            return command(
                name, division=data.draw(division), office=data.draw(office), reason=reason
            )
        case "close":
            tried = data.draw(st.sampled_from(["answered", "no_contact"]))
            return command(name, callback=tried)
        case _:
            return examples(now)[name]


def within(policy: Policy, holder: str) -> list[str]:
    """The holder, as a division to be asked for; the city is none."""
    return [holder] if holder in policy.divisions else []


def anybody(data: st.DataObject, case: Case, policy: Policy) -> Actor:
    """A dispatcher of the city or of where the case is, for the division or for an office."""
    division = data.draw(st.sampled_from([CITY, CITY, case.holder, case.place]))
    office = data.draw(st.sampled_from([None, None, case.office, *sorted(policy.duties.offices)]))
    return Actor("somebody", ALL, division, office)


def breaches(case: Case) -> list[ApplyOrder]:
    """The orders that escalation may give now."""
    return [
        ApplyOrder(case.id, clock.name, clock.generation, case.tier, clock.on_breach)
        for clock in case.clocks
        if (clock.on_breach == "promote" or clock.on_breach == "supervise") and not clock.answered
    ]


@st.composite
def petitions(draw: st.DrawFn, policy: Policy) -> Facts:
    """What a petition says: perhaps of a division, an office or nobody that he is accused."""
    place = draw(places(policy) | st.sampled_from(sorted(policy.divisions, key=len)[-3:]))
    category = draw(st.sampled_from([None, *CATEGORIES]))
    duty = policy.duty(category, place) if category else None
    lead = [] if duty is None else [duty.lead.id] * 3
    named = st.sampled_from([*lead, *policy.duties.offices, "nobody"])
    return Facts(
        division=place,
        category=category,
        basis=draw(st.sampled_from(["given", "given", "given", "suggested"])),
        signs=draw(st.sampled_from([(), ("enforcement",), ("many_people",)])),
        accused=draw(st.none() | st.none() | places(policy)),
        accused_office=draw(st.none() | named),
        accusation=draw(st.sampled_from([False, False, False, True])),
    )


@given(data=st.data())
@settings(max_examples=600, deadline=None)
def test_whatever_is_asked_nobody_who_is_shut_out_ever_has_the_case(data: st.DataObject) -> None:
    policy = data.draw(with_offices(data.draw(trees()), CATEGORIES))
    facts = data.draw(petitions(policy))
    step = decide(None, petition(facts, contact=data.draw(st.booleans())), ROUTER, policy, NOON)
    assert isinstance(step, Changed)
    case, now = step.case, NOON
    assert case.accused_office == facts.accused_office
    nobody_shut_out_has_it(case, policy)
    for _ in range(data.draw(st.integers(2, 10))):
        now += timedelta(hours=data.draw(st.sampled_from([0, 1, 60])))
        order = data.draw(st.none() | st.none() | st.sampled_from([None, *breaches(case)]))
        asked = anything(data, case, policy, now) if order is None else order
        actor = anybody(data, case, policy) if order is None else ESCALATION
        decision = decide(case, asked, actor, policy, now)
        if isinstance(decision, Changed):
            assert not accused_reads(case, actor)
            what_is_known_of_the_accused_stands(case, decision.case, asked)
            case = decision.case
        nobody_shut_out_has_it(case, policy)
