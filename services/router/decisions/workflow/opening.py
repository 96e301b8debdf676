"""A petition becomes a case; and a case is routed, when it opens and when more is known of it."""

from __future__ import annotations

from datetime import datetime

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.commands import Changed, Open, stepped
from services.router.decisions.policy import Duty, Policy
from services.router.decisions.routing import (
    Assigned,
    Facts,
    HandOff,
    Routed,
    WaitsForDispatcher,
    route,
    smallest_known,
)
from services.router.decisions.tracks import AT_THE_DESK_ONLY
from services.router.decisions.workflow.moving import (
    at_the_desk,
    because,
    drop_inapplicable,
    entered,
    held_by,
)
from shared.divisions import CITY, tier_of
from shared.events import CategoryCode


def opened(command: Open, policy: Policy, now: datetime) -> Changed:
    """Open and route in one step: one event, however many transitions."""
    routed = route(command.facts, policy)
    case = unrouted(command, policy)
    after, transitions = settled(case, routed, command.facts.division, policy, now)
    return stepped(
        case,
        after,
        "opened",
        routed.reason.rule,
        ("received", *transitions),
        {"routing": because(routed.reason, after, policy)},
    )


def unrouted(command: Open, policy: Policy) -> Case:
    """The case of a petition before anybody holds it."""
    return Case(
        id=command.petition,
        number=command.number,
        channel=command.channel,
        kind=command.kind,
        track=policy.settings.unclassified.track,
        stage="registered",
        urgency=policy.settings.unclassified.urgency,
        holder=CITY,
        role="city_dispatcher",
        place=CITY,
        received_at=command.received_at,
        policy=policy.version,
        calendar=policy.calendar.version,
        heard=command.heard,
        contact=command.contact,
        accused=command.facts.accused,
        accused_office=command.facts.accused_office,
        accusation=command.facts.accusation,
        signs=command.facts.signs,
        suspected=suspected(command.facts, policy),
    )


def suspected(facts: Facts, policy: Policy) -> tuple[CategoryCode, ...]:
    """The matters that a reading could not exclude: they hold until a person says otherwise."""
    least = policy.settings.reading.suspicion_threshold
    best = (facts.category,) if facts.category else ()
    return tuple(dict.fromkeys((*best, *(c.code for c in facts.candidates if c.score >= least))))


def settled(
    case: Case, routed: Routed, place: str, policy: Policy, now: datetime
) -> tuple[Case, tuple[str, ...]]:
    """The case where the routing puts it, with the clocks of that place."""
    waits_on = routed.division == case.holder and case.clock("dispatch") is not None
    case = as_routed(case, routed, place, policy)
    begins: tuple[str, ...]
    match routed:
        case Assigned() if routed.track not in AT_THE_DESK_ONLY:
            case = clocks.keep(held_by(case, routed.division, policy), ("dispatch",), now)
            begins = ("received", "assigned", "entered_tier")
            transitions: tuple[str, ...] = ("registered", "classified", "assigned")
        case HandOff():
            begins, transitions = ("received",), ("registered", "waits_for_hand_over")
        case Assigned() | WaitsForDispatcher():
            # Who says something more of a case that waits on has no new time to dispatch it.
            begins = ("received",) if waits_on else ("received", "entered_queue")
            transitions = ("registered", "waits_for_dispatcher")
    case = entered(case, tier_of(routed.division), now)
    case = clocks.reassign(drop_inapplicable(case, policy, now), policy)
    return clocks.start(case, begins, policy, now), transitions


def as_routed(case: Case, routed: Routed, place: str, policy: Policy) -> Case:
    """The case with what the routing says of it; it waits until somebody is to solve it."""
    row = policy.categories.get(routed.category or "")
    known = smallest_known(place, policy)
    nobody = routed.category is None or routed.accused_unknown
    duty = None if nobody else policy.duty(routed.category or "", known)
    lead, assisting = apart_from(case.accused_office, duty)
    return but(
        at_the_desk(case, routed.division),
        track=routed.track,
        category=routed.category,
        urgency=routed.urgency,
        sensitivity=routed.sensitivity,
        restricted=routed.restricted,
        accused_division=routed.accused_division,
        accused_unknown=routed.accused_unknown,
        street_leads=row is not None and not row.community_may_lead,
        lead=lead,
        assisting=assisting,
        place=known,
    )


def apart_from(accused_office: str | None, duty: Duty | None) -> tuple[str | None, tuple[str, ...]]:
    """Who leads and who assists by the duty catalogue, without the accused."""
    if duty is None:
        return None, ()
    lead = None if duty.lead.id == accused_office else duty.lead.id
    return lead, tuple(one.id for one in duty.assisting if one.id != accused_office)
