"""What a dispatcher decides: what it is about, where it is, and who is to have it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.commands import (
    NOBODY,
    Classify,
    Decision,
    Place,
    Refused,
    Reroute,
    Return,
    stepped,
)
from services.router.decisions.policy import Policy
from services.router.decisions.routing import (
    Assigned,
    Facts,
    Routed,
    holder_for,
    office_for,
    route,
)
from services.router.decisions.tracks.table import Step
from services.router.decisions.workflow.moving import (
    LADDER,
    at_the_desk,
    drop_inapplicable,
    entered,
    held_by,
    lowest_holder,
)
from services.router.decisions.workflow.opening import as_routed, settled
from shared.divisions import CITY, Tier, is_within, parent, tier_of
from shared.events import Candidate

HANDLES = frozenset({Tier.STREET, Tier.DISTRICT})


def on_classify(
    before: Case, _: Case, command: Classify, __: Step, policy: Policy, now: datetime
) -> Decision:
    """A person says what it is about: routed at once, clocks counted from receipt."""
    if command.category not in policy.categories:
        return Refused("unknown", f"there is no category {command.category[:20]!r}")
    said = but(before, category=command.category, confirmed=True, suspected=())
    if command.signs is not None:
        said = but(said, signs=command.signs)
    detail: dict[str, object] = {"note": command.note} if command.note else {}
    if command.accused is not None:
        if command.accused != NOBODY and command.accused not in policy.divisions:
            return Refused("unknown", f"there is no division {command.accused!r}")
        said = with_accused(said, command.accused)
        detail["accused"] = command.accused
    return rerouted_by_facts(before, said, "classified", before.place, detail, policy, now)


def with_accused(case: Case, named: str) -> Case:
    """A person says who is accused, or that no division is: it takes the place of all before."""
    nobody = named == NOBODY
    return but(case, accused=None if nobody else named, cleared=nobody)


def on_place(
    before: Case, _: Case, command: Place, __: Step, policy: Policy, now: datetime
) -> Decision:
    """A person says where it is: routed at once when the matter is known.

    That is no word on the matter: what its reading suspects, a person has still to look at.
    """
    if command.division not in policy.divisions:
        return Refused("unknown", f"there is no division {command.division[:20]!r}")
    detail = {"note": command.note} if command.note else {}
    return rerouted_by_facts(before, before, "placed", command.division, detail, policy, now)


def rerouted_by_facts(
    before: Case,
    said: Case,
    event: str,
    place: str,
    detail: Mapping[str, object],
    policy: Policy,
    now: datetime,
) -> Decision:
    """Route again with what a person said; where it stays, whoever holds it goes on.

    What runs from receipt goes on from receipt; the time of a desk is that desk's. [F26, ours]
    """
    facts = Facts(
        division=place,
        category=said.category,
        basis="given" if said.category else "none",
        confirmed=said.confirmed,
        candidates=tuple(Candidate(code=code, score=1.0) for code in said.suspected),
        signs=said.signs,
        placed_by="code",
        accused=said.accused,
        accusation=said.accusation,
        cleared=said.cleared,
        shut_out=before.accused_division,
        begun=before.verified or before.highest_tier in HANDLES,
    )
    routed = route(facts, policy)
    if stays(before, routed, policy):
        after = but(as_routed(said, routed, place, policy), **desk_of(before))
        after = clocks.reassign(drop_inapplicable(after, policy, now), policy)
        after = clocks.start(after, ("received",), policy, now)
        transitions: tuple[str, ...] = ("corrected",)
    else:
        left = clocks.drop(said, ("sign", "tier", "object"), now)
        after, transitions = settled(left, routed, place, policy, now)
    detail = {**detail, "corrected": corrections(before, after), "routing": routed.reason}
    return stepped(before, after, event, routed.reason.rule, (event, *transitions), detail)


def stays(before: Case, routed: Routed, policy: Policy) -> bool:
    """Whether a case that somebody holds stays with him after it was routed again."""
    return (
        before.stage in ("assigned", "signed")
        and isinstance(routed, Assigned)
        and routed.track == before.track
        and routed.division == before.holder
        and office_for(routed.category, routed.division, policy) == before.office
    )


def desk_of(case: Case) -> dict[str, Any]:
    """Who holds a case, as the fields that a desk has."""
    return {
        "stage": case.stage,
        "office": case.office,
        "role": case.role,
        "signed_by": case.signed_by,
    }


def corrections(before: Case, after: Case) -> dict[str, object]:
    """What is said otherwise than before, and what it was. [F26]"""
    pairs = {
        "category": (before.category, after.category),
        "place": (before.place, after.place),
        "signs": (before.signs, after.signs),
        "urgency": (before.urgency, after.urgency),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def on_return(
    before: Case, after: Case, command: Return, step: Step, policy: Policy, now: datetime
) -> Decision:
    """To the dispatcher one level above the holder."""
    if before.holder == CITY:
        return Refused("not_allowed_now", "the city is the last desk: reroute it instead")
    desk = holder_for_desk(parent(before.holder), before, policy)
    after = but(at_the_desk(after, desk), returns=before.returns + 1)
    after = entered(after, tier_of(desk), now)
    after = clocks.reassign(drop_inapplicable(after, policy, now), policy)
    after = clocks.start(after, step.starts, policy, now)
    detail = {"reason": command.reason, "note": command.note}
    return stepped(before, after, "returned", f"return/{command.reason}", (), detail)


def holder_for_desk(division: str, case: Case, policy: Policy) -> str:
    """That division, or the next above the accused."""
    return holder_for(tier_of(division) or Tier.DISTRICT, division, case.accused_division, policy)


def on_reroute(
    before: Case, after: Case, command: Reroute, step: Step, policy: Policy, now: datetime
) -> Decision:
    """To the division a dispatcher names; never the accused or below it.

    Another holder in the same tier goes on with its time: only a tier that is entered has its own.
    """
    refused = may_not_hold(before, command, policy)
    if refused:
        return refused
    place = place_after(before, command)
    if before.accused_unknown and place != before.place:
        says = "who is accused is not known: classify it with `accused`, or say where it is first"
        return Refused("incomplete", says)
    tier = tier_of(command.division)
    after = held_by(but(after, place=place), command.division, policy, command.office)
    after = entered(after, tier, now)
    after = clocks.reassign(drop_inapplicable(after, policy, now), policy)
    goes_on = before.tier is tier and after.clock("tier") is not None
    begins = [moment for moment in step.starts if not (goes_on and moment == "entered_tier")]
    after = clocks.start(after, begins, policy, now)
    detail = {"reason": command.reason, "note": command.note, "office": after.office}
    return stepped(before, after, "rerouted", f"reroute/{command.reason}", (), detail)


def may_not_hold(case: Case, command: Reroute, policy: Policy) -> Refused | None:
    """Why a case may not be given to this division and office; None if it may."""
    division = command.division
    if case.category is None:
        return Refused("incomplete", "say what it is about first: classify it")
    if division not in policy.divisions:
        return Refused("unknown", f"there is no division {division[:20]!r}")
    same = command.office in (None, case.office)
    if division == case.holder and same and case.stage != "registered":
        return Refused("not_allowed_now", "this division holds it already")
    if holder_for_desk(division, case, policy) != division:
        return Refused("not_your_area", "this division may not hold this case")
    floor = lowest_holder(case, policy)
    tier = tier_of(division)
    if floor is not None and tier is not None and LADDER.index(tier) < LADDER.index(floor):
        return Refused("not_your_area", f"such a matter is held in tier {floor} or above")
    return None if command.office is None else office_may_not(command.office, division, policy)


def office_may_not(office: str, division: str, policy: Policy) -> Refused | None:
    """Why an office may hold nothing in this division; None if it may."""
    found = policy.duties.offices.get(office)
    if found is None:
        return Refused("unknown", f"there is no office {office[:40]!r}")
    if found.kind == "outside":
        return Refused("not_allowed_now", "an outside body holds no case: hand it over")
    if tier_of(division) not in HANDLES or not found.serves(division):
        return Refused("not_your_area", f"{found.en} holds nothing in {division}")
    return None


def place_after(case: Case, command: Reroute) -> str:
    """A division within the place says it finer; one outside it corrects it, if it says so."""
    finer = is_within(command.division, case.place)
    outside = not is_within(case.place, command.division)
    corrected = outside and command.reason == "correction"
    return command.division if finer or corrected else case.place
