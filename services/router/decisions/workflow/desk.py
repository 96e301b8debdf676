"""What a dispatcher decides: what it is about, where it is, and who is to have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.router.decisions import clocks
from services.router.decisions.case import Case, Extension, but
from services.router.decisions.commands import (
    NOBODY,
    Classify,
    Decision,
    Place,
    Refused,
    Reroute,
    stepped,
)
from services.router.decisions.policy import Policy
from services.router.decisions.routing import (
    Assigned,
    Facts,
    Routed,
    may_be_accused,
    may_hold,
    route,
)
from services.router.decisions.workflow.access import BELOW_THE_STREET, only_starts_here
from services.router.decisions.workflow.asked import Given
from services.router.decisions.workflow.moving import (
    because,
    drop_inapplicable,
    entered,
    held_by,
    lowest_holder,
    moved_reason,
)
from services.router.decisions.workflow.opening import as_routed, settled
from services.router.decisions.workflow.returning import (
    arbiter_of,
    goes_round,
    holder_for_desk,
    to_the_arbiter,
)
from shared.divisions import LADDER, Tier, is_within, tier_of
from shared.durations import elapsed
from shared.events import Candidate, Urgency

HANDLES = frozenset({Tier.STREET, Tier.DISTRICT})


def on_classify(before: Case, _: Case, command: Classify, given: Given) -> Decision:
    """A person says what it is about: routed at once, clocks counted from receipt.

    A community that has what it may not lead does not make it its own by another name: the street
    decides. [Beijing 17]
    """
    policy, actor = given.policy, given.actor
    if command.category not in policy.categories:
        return Refused("unknown", f"there is no category {command.category[:20]!r}")
    said = but(before, category=command.category, confirmed=True, suspected=())
    if command.signs is not None:
        said = but(said, signs=command.signs)
    detail: dict[str, object] = {"note": command.note} if command.note else {}
    if command.accused is not None or command.accused_office is not None:
        if refused := names_nobody(command, policy):
            return refused
        said = with_accused(said, command.accused, command.accused_office)
        named = {"accused": command.accused, "accused_office": command.accused_office}
        detail |= {name: who for name, who in named.items() if who is not None}
    # Of an emergency that nobody had before, its duty dispatcher says himself that it is none.
    begun = before.track != "handoff" or before.highest_tier is not None
    below = tier_of(actor.division) in BELOW_THE_STREET
    street_decides = only_starts_here(before) and begun and below
    facts = facts_of(before, said, before.place, street_decides=street_decides)
    return rerouted_by_facts(before, said, facts, "classified", detail, given)


def names_nobody(command: Classify, policy: Policy) -> Refused | None:
    """Why there is nobody of the names that a person accuses; None if there is."""
    division, office = command.accused, command.accused_office
    if division not in (None, NOBODY) and division not in policy.divisions:
        return Refused("unknown", f"there is no division {division!r}")
    if office is not None and not may_be_accused(office, policy):
        says = f"there is no office {office[:40]!r}; of a desk, name its division with `accused`"
        return Refused("unknown", says)
    return None


def with_accused(case: Case, division: str | None, office: str | None) -> Case:
    """A person says who is accused, or that nobody is: it takes the place of all before."""
    nobody = division == NOBODY
    accused = None if nobody else division
    return but(case, accused=accused, accused_office=office, cleared=nobody)


def on_place(before: Case, _: Case, command: Place, given: Given) -> Decision:
    """A person says where it is: routed at once when the matter is known.

    That is no word on the matter: what its reading suspects, a person has still to look at.
    """
    if command.division not in given.policy.divisions:
        return Refused("unknown", f"there is no division {command.division[:20]!r}")
    detail = {"note": command.note} if command.note else {}
    facts = facts_of(before, before, command.division)
    return rerouted_by_facts(before, before, facts, "placed", detail, given)


def facts_of(before: Case, said: Case, place: str, *, street_decides: bool = False) -> Facts:
    """What is known of a case when it is routed again with what a person said."""
    return Facts(
        division=place,
        category=said.category,
        basis="given" if said.category else "none",
        confirmed=said.confirmed,
        candidates=tuple(Candidate(code=code, score=1.0) for code in said.suspected),
        signs=said.signs,
        placed_by="code",
        accused=said.accused,
        accused_office=said.accused_office,
        accusation=said.accusation,
        cleared=said.cleared,
        shut_out=before.accused_division,
        begun=before.verified or before.highest_tier in HANDLES,
        street_decides=street_decides,
    )


def rerouted_by_facts(
    before: Case,
    said: Case,
    facts: Facts,
    event: str,
    detail: Mapping[str, object],
    given: Given,
) -> Decision:
    """Route again with what a person said; where it stays, whoever holds it goes on.

    What runs from receipt goes on from receipt; the time of a desk is that desk's, and is cut to
    what the matter has now. [F26, ours]
    """
    policy, now = given.policy, given.now
    routed = route(facts, policy)
    if routed.urgency != before.urgency:
        said = but(said, extension=kept_of(said.extension, routed.urgency, policy))
    after = as_routed(said, routed, facts.division, policy)
    if stays(before, after, routed, policy):
        after = but(after, **desk_of(before))
        after = clocks.reassign(drop_inapplicable(after, policy, now), policy)
        after = clocks.shortened(after, ("sign", "tier"), policy, now)
        after = clocks.start(after, ("received",), policy, now)
        transitions: tuple[str, ...] = ("corrected",)
    else:
        left = clocks.drop(said, ("sign", "tier", "object"), now)
        after, transitions = settled(left, routed, facts.division, policy, now)
    reason = because(routed.reason, after, policy)
    detail = {**detail, "corrected": corrections(before, after), "routing": reason}
    return stepped(before, after, event, reason.rule, (event, *transitions), detail)


def kept_of(given: Extension | None, urgency: Urgency, policy: Policy) -> Extension | None:
    """What was granted stays, and is given once; no more than the new promise may have. [ours]

    What was only asked for, was asked for another promise: it may be asked for again.
    """
    if given is None or given.granted_at is None:
        return None
    limit = policy.clocks["final_reply"].limit_for(urgency)
    assert limit is not None
    most = elapsed(limit) * policy.settings.escalation.extension.at_most_percent / 100
    return replace(given, by=min(given.by, most))


def stays(before: Case, after: Case, routed: Routed, policy: Policy) -> bool:
    """Whether a case that somebody holds stays with him after it was routed again."""
    if before.stage not in ("assigned", "signed") or not isinstance(routed, Assigned):
        return False
    office = clocks.office_of(after, routed.division, policy)
    # The street's own desk commands what was whistled for, whoever would lead it.
    commands = before.is_whistled and before.office is None
    return (
        routed.track == before.track
        and routed.division == before.holder
        and (office == before.office or commands)
    )


def desk_of(case: Case) -> dict[str, Any]:
    """Who holds a case, as the fields that a desk has."""
    kept = ("stage", "office", "role", "signed_by", "assignee", "given_by", "arbitration")
    return {name: getattr(case, name) for name in kept}


def corrections(before: Case, after: Case) -> dict[str, object]:
    """What is said otherwise than before, and what it was. [F26]"""
    pairs = {
        "category": (before.category, after.category),
        "place": (before.place, after.place),
        "signs": (before.signs, after.signs),
        "urgency": (before.urgency, after.urgency),
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def on_reroute(before: Case, after: Case, command: Reroute, given: Given) -> Decision:
    """To the division a dispatcher names; never the accused or below it.

    Another holder in the same tier goes on with its time: only a tier that is entered has its own.
    Back to where it was before is for the arbiter to say. [X9]
    """
    policy, now = given.policy, given.now
    refused = may_not_hold(before, command, policy)
    if refused:
        return refused
    place = place_after(before, command)
    if before.accused_unknown and place != before.place:
        says = "who is accused is not known: classify it with `accused`, or say where it is first"
        return Refused("incomplete", says)
    tier = tier_of(command.division)
    held = held_by(but(after, place=place), command.division, policy, command.office)
    round_ = goes_round(before, held)
    decides = before.arbitration == "asked" or (round_ and given.actor.acts_for(arbiter_of(before)))
    if round_ and not decides:
        return to_the_arbiter(before, after, "rerouted", f"reroute/{command.reason}", given)
    handed_on = before.holder if before.stage == "registered" else given.actor.division
    after = but(held, given_by=handed_on, arbitration="decided" if decides else None)
    after = entered(after, tier, now)
    after = clocks.reassign(drop_inapplicable(after, policy, now), policy)
    goes_on = before.tier is tier and after.clock("tier") is not None
    starts = given.step.starts
    begins = [moment for moment in starts if not (goes_on and moment == "entered_tier")]
    after = clocks.start(after, begins, policy, now)
    rule = f"reroute/{command.reason}"
    reason = moved_reason("moved/rerouted", rule, before, after, policy)
    detail = {"reason": command.reason, "note": command.note, "office": after.office}
    transitions = ("rerouted", "arbitrated") if decides else ("rerouted",)
    return stepped(before, after, "rerouted", rule, transitions, {**detail, "routing": reason})


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
    if command.office is None:
        return None
    return office_may_not(case, command.office, division, policy)


def office_may_not(case: Case, office: str, division: str, policy: Policy) -> Refused | None:
    """Why an office may not hold a case in this division; None if it may."""
    found = policy.office(office)
    if found is None:
        return Refused("unknown", f"there is no office {office[:40]!r} today")
    if case.accused_unknown or office == case.accused_office:
        return Refused("not_your_area", "this office may not hold this case")
    if found.kind == "outside":
        return Refused("not_allowed_now", "an outside body holds no case: hand it over")
    if found.kind == "desk":
        return Refused("not_allowed_now", "a desk is its division's own: name the division alone")
    if tier_of(division) not in HANDLES or not found.serves(division):
        return Refused("not_your_area", f"{found.en} holds nothing in {division}")
    if not may_hold(found, case.category or "", policy):
        return Refused("not_your_area", f"{found.en} is of a community, which may not lead this")
    return None


def place_after(case: Case, command: Reroute) -> str:
    """A division within the place says it finer; one outside it corrects it, if it says so."""
    finer = is_within(command.division, case.place)
    outside = not is_within(case.place, command.division)
    corrected = outside and command.reason == "correction"
    return command.division if finer or corrected else case.place
