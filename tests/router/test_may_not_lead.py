"""What a community may not lead may start there, to be verified, but is never led there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.decisions.case import Case
from services.router.decisions.commands import Changed, Refused
from services.router.decisions.policy import Duty
from services.router.decisions.routing import office_for
from services.router.decisions.workflow import allowed_actions
from shared.divisions import CITY, Tier
from tests.router.stories import (
    COMMUNITY,
    DISTRICT,
    GRID,
    LADDER,
    NEXT_COMMUNITY,
    NEXT_GRID,
    NOON,
    STREET,
    command,
    decided,
    done,
    examples,
    officer,
    opened,
    order,
    refused,
    shipped_policy,
    sure,
    unclear,
)

STARTS_LOW = sorted(
    row.code
    for row in shipped_policy().categories.values()
    if not row.community_may_lead and row.initial_tier in (Tier.GRID, Tier.COMMUNITY)
)
LEADERS = (STREET, DISTRICT)
ANY_OFFICE = sorted(shipped_policy().duties.offices)
OF_DESKS = [id_ for id_, one in shipped_policy().duties.offices.items() if one.kind == "desk"]
ITS_OWN = "L99"  # a community may lead it


def test_six_categories_start_where_they_may_not_be_led() -> None:
    assert STARTS_LOW == ["E0107", "H02", "L05", "S01", "S02", "S99"]


@pytest.mark.parametrize("category", STARTS_LOW)
def test_it_is_signed_and_verified_where_it_starts_and_resolved_where_it_is_led(
    category: str,
) -> None:
    case = opened(sure(category))
    assert (case.holder, case.street_leads) == (COMMUNITY, True)
    case = done(case, "sign")
    assert "resolve" not in allowed_actions(case, officer(CITY))
    decision = decided(case, "resolve")
    assert isinstance(decision, Refused)
    assert decision.reason == "not_allowed_now"
    assert "promote or return" in decision.says
    assert {"promote", "return"} <= set(decision.allowed)
    assert "resolve" not in decision.allowed
    led = done(case, "verify", officer(GRID))
    duty = shipped_policy().duty(category, STREET)
    assert duty is not None
    # A desk of the catalogue is the street's own; any other lead office holds it there.
    lead = None if duty.lead.kind == "desk" else duty.lead.id
    assert (led.holder, led.office, led.tier) == (STREET, lead, Tier.STREET)
    assert done(led, "resolve").stage == "resolved"
    assert done(case, "promote").holder == STREET


@pytest.mark.parametrize("category", [*STARTS_LOW, "E0103"])
@pytest.mark.parametrize("division", [GRID, COMMUNITY, NEXT_GRID, NEXT_COMMUNITY])
def test_nobody_reroutes_it_down_to_be_led(category: str, division: str) -> None:
    waits = done(done(opened(sure(category)), "promote"), "return")
    asked = command("reroute", division=division, reason="workload")
    matter = shipped_policy().categories[category]
    if matter.community_may_lead:
        assert done(waits, asked, officer(CITY)).holder == division
    else:
        assert refused(waits, asked, officer(CITY)) == "not_your_area"
        held = done(waits, command("reroute", division=STREET, reason="agreed"), officer(CITY))
        assert refused(held, asked, officer(CITY)) == "not_your_area"


def test_what_was_begun_is_not_sent_to_the_community_again_by_classifying_or_placing_it() -> None:
    waits = done(done(opened(sure("S01")), "promote"), "return")
    for asked in (command("classify", category="S01"), command("place", division=GRID)):
        again = done(waits, asked, officer(CITY))
        assert again.holder == STREET
    seen = done(done(opened(sure("S01")), "verify", officer(GRID)), "return")
    assert done(seen, command("classify", category="S01"), officer(CITY)).holder == STREET
    fresh = done(opened(unclear(GRID)), command("classify", category="S01"))
    assert fresh.holder == COMMUNITY


def test_a_promotion_from_a_grid_passes_over_the_community() -> None:
    case = replace(opened(sure("S01")), holder=GRID, tier=Tier.GRID)
    assert done(case, order(case)).holder == STREET


@pytest.mark.parametrize("office", [*OF_DESKS, "residents-committee"])
def test_no_desk_and_no_body_of_the_community_is_given_it_in_the_street(office: str) -> None:
    led = done(opened(sure("L05")), "promote")
    asked = command("reroute", division=STREET, office=office, reason="agreed")
    assert refused(led, asked, officer(CITY)) in ("not_allowed_now", "not_your_area")
    its_own = done(opened(sure(ITS_OWN)), "promote")
    if office == "residents-committee":
        assert done(its_own, asked, officer(CITY)).office == office
    else:
        assert refused(its_own, asked, officer(CITY)) == "not_allowed_now"


def test_a_catalogue_that_names_a_body_of_the_community_gives_it_to_the_street() -> None:
    policy = shipped_policy()
    duty = Duty(policy.duties.offices["residents-committee"], ())
    entries = {**policy.duties.entries, ("L05", "*"): [duty], (ITS_OWN, "*"): [duty]}
    policy = replace(policy, duties=replace(policy.duties, entries=entries))
    for category, office in (("L05", None), (ITS_OWN, "residents-committee")):
        assert office_for(category, STREET, None, policy) == office


@pytest.mark.parametrize("who", [COMMUNITY, STREET, CITY])
def test_a_community_that_calls_it_otherwise_gives_it_to_the_street_to_decide(who: str) -> None:
    case = done(opened(sure("L05")), "sign")
    role = "community_officer" if who == COMMUNITY else "street_dispatcher"
    step = decided(case, command("classify", category=ITS_OWN), officer(who, role))
    assert isinstance(step, Changed)
    after = step.case
    if who != COMMUNITY:
        assert (after.holder, after.stage, after.category) == (COMMUNITY, "signed", ITS_OWN)
        return
    assert (after.holder, after.stage, after.role) == (STREET, "registered", "street_dispatcher")
    assert after.clock("dispatch") is not None
    assert step.rule == "B3.8/street-decides"
    assert allowed_actions(after, officer(COMMUNITY)) == ()
    back = done(after, command("classify", category=ITS_OWN))
    assert (back.holder, back.stage) == (COMMUNITY, "assigned")
    again = done(after, command("classify", category="L05"))
    assert (again.holder, again.street_leads) == (COMMUNITY, True)


def test_the_duty_dispatcher_of_an_emergency_says_himself_that_it_is_none() -> None:
    fire = opened(sure("X119"))
    assert (fire.holder, fire.street_leads) == (GRID, True)
    assert done(fire, command("classify", category="E0102")).holder == GRID


def test_a_community_does_not_end_it_as_an_emergency_either() -> None:
    case = opened(sure("L05"))
    fire = done(case, command("classify", category="X119"))
    assert (fire.track, fire.holder) == ("handoff", STREET)
    assert allowed_actions(fire, officer(COMMUNITY)) == ()


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_is_asked_it_is_led_by_the_street_or_above(data: st.DataObject) -> None:
    case = opened(
        sure(data.draw(st.sampled_from(STARTS_LOW)), data.draw(st.sampled_from(LADDER))),
        contact=data.draw(st.booleans()),
    )
    for _ in range(data.draw(st.integers(1, 10))):
        asked = some_command(data)
        by = data.draw(st.sampled_from([CITY, case.holder, case.holder]))
        decision = decided(case, asked, officer(by, *every_role()))  # type: ignore[arg-type]
        if not isinstance(decision, Changed):
            continue
        before, case = case, decision.case
        led_below(before, case, getattr(asked, "command", ""), by)


def led_below(before: Case, after: Case, name: str, by: str) -> None:
    """Below the street a case is only where routing put it first, and it does not end there.

    Nor does the community make it its own, there or in the name of a body of its own above.
    """
    if after.track == "handoff":
        above = by in LEADERS or by == CITY
        assert before.track == "handoff" or above or after.holder == STREET
        return
    office = shipped_policy().duties.offices.get(after.office or "")
    assert office is None or office.kind not in ("desk", "outside")
    if after.street_leads:
        assert office is None or not office.of_community
    elif before.street_leads and before.holder not in (*LEADERS, CITY):
        assert by in LEADERS or by == CITY or (after.holder, after.stage) == (STREET, "registered")
    if not after.street_leads or after.holder in (*LEADERS, CITY):
        return
    assert after.stage in ("registered", "assigned", "signed")
    if after.stage != "registered" and after.holder != before.holder:
        assert name in ("classify", "place")
        assert not before.verified
        assert before.highest_tier in (None, Tier.GRID, Tier.COMMUNITY)


def some_command(data: st.DataObject) -> object:
    """A command, to anywhere."""
    name = data.draw(st.sampled_from(sorted(examples(NOON))))
    anywhere = st.sampled_from([*LADDER, NEXT_GRID, NEXT_COMMUNITY])
    if name == "reroute":
        office = data.draw(st.none() | st.sampled_from(ANY_OFFICE))
        return command(name, division=data.draw(anywhere), office=office, reason="agreed")
    if name == "place":
        return command(name, division=data.draw(anywhere))
    if name == "classify":
        return command(name, category=data.draw(st.sampled_from([*STARTS_LOW, ITS_OWN, "X119"])))
    return examples(NOON)[name]


def every_role() -> tuple[str, ...]:
    """All roles at once."""
    return tuple(sorted(shipped_policy().settings.roles))
