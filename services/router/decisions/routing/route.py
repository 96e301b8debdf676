"""Who gets a new case first. Pure: the petition's facts and the policy in, one decision out.

The rules stand in order of weight, the first that fits decides (B3 = the first-tier rules):

1. emergencies (B3.1) and legal routes (B3.2) of a sure reading are handed off;
2. what may be a mass incident (B3.6), an emergency (B3.1) or an accusation of somebody not yet
   known (B3.7) waits for a person; so does what nobody could read, name or place (B3.9), and
   what a community calls otherwise that it may not lead (B3.8);
3. else the category's first tier (B3.4), raised by enforcement, several persons (B3.5), urgency
   and sensitivity, held where the address says (B3.9), but never by the accused (B3.7).

Choices of ours:

- A reading is sure when the category was given or confirmed, or its confidence reaches the
  threshold. "Given" is the submitter's word: it routes, but it never confirms a mass incident.
- The sign `enforcement` raises a matter one step only if a community may lead it, only up to the
  street, and only in the tracks service and mediation. A category that a community may not lead
  was listed with its department in mind and stays; the street commands the departments, so there
  is no step above it; a question or a wish needs no enforcement.
- `skip_to` of the policy is the lowest tier that may hold such a matter. It lifts the first tier
  here, and a promotion skips what lies below it.
- A dispatcher's desk is not lifted by urgency: the nearest one is the fastest. It is lifted to the
  street for restricted matters of families R, S and E and for suspected mass incidents.
- Below the threshold, whatever is the best guess or has the share `suspicion_threshold` is
  suspected: better one look too many, or one reader too few.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from services.router.decisions.policy import Policy
from services.router.decisions.routing.facts import (
    Assigned,
    Facts,
    HandOff,
    Routed,
    WaitsForDispatcher,
)
from services.router.decisions.routing.holders import (
    apart_from_accused,
    holder_for,
    is_shielded,
    lowest_tier,
    may_be_accused,
    smallest_known,
)
from services.router.decisions.routing.reasons import Reason, Rule
from shared.divisions import (
    CITY,
    LADDER,
    DivisionCode,
    Tier,
    ancestor,
    dispatcher_of,
    is_within,
    parent,
    tier_of,
)
from shared.events import CategoryRow, Sign, Track, Urgency, Word

_RAISED: Final = {Tier.GRID: Tier.COMMUNITY, Tier.COMMUNITY: Tier.STREET}
_CAN_BE_RAISED: Final[frozenset[Track]] = frozenset({"service", "mediation"})
_STREET_FOR: Final[dict[Rule, Tier]] = {"B3.6/mass-incident-suspected": Tier.STREET}
_SIGN_WORDS: Final[dict[Sign, str]] = {
    "enforcement": "enforcement_words",
    "danger": "danger_words",
    "many_people": "many_people_words",
    "mass_incident_suspected": "mass_incident_words",
}


@dataclass(slots=True)
class _Case:
    """The facts in the light of the policy."""

    facts: Facts
    policy: Policy
    place: DivisionCode
    row: CategoryRow | None
    matters: tuple[CategoryRow, ...]
    accused: str | None
    accused_office: str | None
    accusing: bool
    accused_known: bool
    shut_out: DivisionCode | None
    sensitivity: int
    matched: list[tuple[str, str]]
    rejected: list[tuple[str, Rule]]

    @property
    def accused_unknown(self) -> bool:
        return self.accusing and not self.accused_known


def route(facts: Facts, policy: Policy) -> Routed:
    """Where a petition goes first, and why; the rules of domain B3 as the module says."""
    case = _case(facts, policy)
    row = case.row
    if row is not None and row.track == "handoff":
        return _hand_off(case, row)
    if suspicion := _suspicion(case):
        return _wait(case, suspicion, "U1", at_least=_STREET_FOR.get(suspicion))
    if case.accused_unknown:
        start = None if row is None else row.initial_tier
        case.matched.append(("accusation", _accusation(case)))
        return _wait(case, "B3.7/accused-unknown", _urgency(case), at_least=start)
    if row is None or row.initial_tier is None:
        return _wait(case, _unclear(case), _urgency(case))
    if facts.street_decides and row.community_may_lead:
        return _wait(case, "B3.8/street-decides", row.urgency, at_least=Tier.STREET)
    return _assign(case, row, row.initial_tier)


def _case(facts: Facts, policy: Policy) -> _Case:
    named = policy.categories.get(facts.category) if facts.category else None
    row = named if named is not None and _is_sure(named, facts, policy) else None
    matters = (row,) if row is not None else _suspected(named, facts, policy)
    place = smallest_known(facts.division, policy)
    accusing = _is_accusing(facts, matters, policy)
    accused = _accused(facts)
    case = _Case(
        facts=facts,
        policy=policy,
        place=place,
        row=row,
        matters=matters,
        accused=accused,
        accused_office=_accused_office(facts),
        accusing=accusing,
        accused_known=accused in policy.divisions or _office_is_known(facts, policy),
        shut_out=_shut_out(facts, place, policy) if accusing else None,
        sensitivity=max((matter.sensitivity for matter in matters), default=0),
        matched=[],
        rejected=[],
    )
    if case.place != facts.division:
        case.rejected.append((facts.division, "B3.9/place-too-coarse"))
    _match(case, named)
    return case


def _is_accusing(facts: Facts, matters: Iterable[CategoryRow], policy: Policy) -> bool:
    """Whether somebody is accused, or may be; a person's word that nobody is, ends it."""
    if facts.cleared:
        return False
    accusations = policy.settings.first_tier.accusations
    said = facts.accusation or facts.accused is not None or facts.accused_office is not None
    return said or any(matter.code in accusations for matter in matters)


def _accused(facts: Facts) -> DivisionCode | None:
    """Who is named; the city is where petitions without a district wait, not a unit."""
    named = None if facts.cleared or facts.accused == CITY else facts.accused
    return DivisionCode(named) if named else None


def _accused_office(facts: Facts) -> str | None:
    """The office that is named."""
    return None if facts.cleared else facts.accused_office


def _office_is_known(facts: Facts, policy: Policy) -> bool:
    """Whether an office is named that there is, or was."""
    return may_be_accused(_accused_office(facts), policy)


def _shut_out(facts: Facts, place: DivisionCode, policy: Policy) -> DivisionCode | None:
    """Which division never sees or holds an accusation: the accused; while unknown, the one named.

    That is where it happened, or the wider one that was shut out before or that was accused and
    is not listed: only the name of the accused makes it narrower. The city is nobody's division.
    Of an accused office no division is shut out by that alone.
    """
    accused = _accused(facts)
    if accused in policy.divisions:
        return accused
    if accused is None and _office_is_known(facts, policy):
        return None
    wider = [code for code in (accused, facts.shut_out) if code and is_within(place, code)]
    shut_out = min((*wider, place), key=len)
    return None if shut_out == CITY else shut_out


def _is_sure(named: CategoryRow, facts: Facts, policy: Policy) -> bool:
    if facts.confirmed:
        return True
    if facts.failed or named.code in policy.settings.first_tier.mass_incident:
        return False
    return (
        facts.basis == "given" or facts.confidence >= policy.settings.reading.confidence_threshold
    )


def _suspected(named: CategoryRow | None, facts: Facts, policy: Policy) -> tuple[CategoryRow, ...]:
    found = {} if named is None else {named.code: named}
    for candidate in facts.candidates:
        row = policy.categories.get(candidate.code)
        if row is not None and candidate.score >= policy.settings.reading.suspicion_threshold:
            found[row.code] = row
    return tuple(found.values())


def _suspicion(case: _Case) -> Rule | None:
    """What only a person may confirm or dismiss, at once; a confirmed category has been judged."""
    lists = case.policy.settings.first_tier
    if case.facts.confirmed:
        return None
    mass = [row.code for row in case.matters if row.code in lists.mass_incident]
    if mass or "mass_incident_suspected" in case.facts.signs:
        return "B3.6/mass-incident-suspected"
    for row in case.matters:
        if row.track == "handoff" and row.code not in lists.legal_route:
            case.matched.append(("suspected", row.code))
            if words := _spoke(case.facts.words, row.code):
                case.matched.append(("suspected_words", words))
            return "B3.1/emergency-suspected"
    return None


def _accusation(case: _Case) -> str:
    """What says that somebody is accused: the category that spoke, else the submitter."""
    accusations = case.policy.settings.first_tier.accusations
    return ", ".join(row.code for row in case.matters if row.code in accusations) or "submitter"


def _unclear(case: _Case) -> Rule:
    if case.facts.failed:
        return "B3.9/reading-failed"
    named = case.facts.category in case.policy.categories
    return "B3.9/not-sure" if named else "B3.9/no-category"


def _urgency(case: _Case) -> Urgency:
    if case.row is not None:
        return case.row.urgency
    unclassified = case.policy.settings.unclassified
    if "danger" in case.facts.signs:
        return unclassified.urgency_on_danger_signs
    return unclassified.urgency


def _hand_off(case: _Case, row: CategoryRow) -> HandOff:
    lists = case.policy.settings.first_tier
    legal = row.code in lists.legal_route
    mass = "mass_incident_suspected" in case.facts.signs and not case.facts.confirmed
    lifted_by: Rule = "B3.6/mass-incident-suspected" if mass else "B3.8/street-decides"
    at_least = Tier.STREET if mass or case.facts.street_decides else None
    division = _desk(case, at_least, lifted_by)
    return HandOff(
        division=division,
        role=dispatcher_of(division),
        track="handoff",
        urgency=row.urgency,
        category=row.code,
        sensitivity=row.sensitivity,
        restricted=case.accusing or legal or row.sensitivity == 2,
        accused_division=case.shut_out,
        accused_unknown=case.accused_unknown,
        legal_route=legal,
        follow_up=row.code in lists.follow_up,
        reason=_reason(case, "B3.2/legal-route" if legal else "B3.1/emergency"),
    )


def _wait(
    case: _Case, rule: Rule, urgency: Urgency, at_least: Tier | None = None
) -> WaitsForDispatcher:
    division = _desk(case, at_least, rule)
    row = case.row
    return WaitsForDispatcher(
        division=division,
        role=dispatcher_of(division),
        track=case.policy.settings.unclassified.track if row is None else row.track,
        urgency=urgency,
        category=None if row is None else row.code,
        sensitivity=case.sensitivity,
        restricted=case.accusing or case.sensitivity == 2,
        accused_division=case.shut_out,
        accused_unknown=case.accused_unknown,
        reason=_reason(case, rule),
    )


def _desk(case: _Case, at_least: Tier | None, lifted_by: Rule) -> DivisionCode:
    """The dispatcher's desk: of the smallest division known, unless a rule lifts it."""
    desk = case.place
    if case.accused_unknown and desk != CITY:
        case.rejected.append((desk, "B3.7/accused-unknown"))
        desk = smallest_known(parent(desk), case.policy)
    if any(is_shielded(row) for row in case.matters):
        skip_to = case.policy.settings.escalation.skip_to
        desk = _lift(case, desk, skip_to.restricted_report_or_safety, "B3.4/sensitive")
    if at_least is not None:
        desk = _lift(case, desk, at_least, lifted_by)
    apart = apart_from_accused(desk, case.shut_out, case.policy)
    if apart != desk:
        rule: Rule = "B3.7/accused-unknown" if case.accused_unknown else "B3.7/accused"
        case.rejected.append((desk, rule))
    return apart


def _lift(case: _Case, desk: DivisionCode, at_least: Tier, rule: Rule) -> DivisionCode:
    lifted = ancestor(desk, at_least) or desk
    if lifted != desk:
        case.rejected.append((desk, rule))
    return lifted


def _assign(case: _Case, row: CategoryRow, first: Tier) -> Assigned | WaitsForDispatcher:
    tier, rule = _first_tier(case, row, first)
    case.matched.append(("tier", tier.value))
    case.matched.append(("urgency", row.urgency))
    if ancestor(case.place, tier) is None:
        coarse: Rule = "B3.9/no-district" if case.place == CITY else "B3.9/place-too-coarse"
        return _wait(case, coarse, row.urgency)
    wanted = holder_for(tier, case.place, None, case.policy)
    division = holder_for(tier, case.place, case.shut_out, case.policy)
    if division != wanted:
        rule = "B3.7/accused"
        case.rejected.append((wanted, rule))
    held_at = tier_of(division)
    if held_at is None:
        return _wait(case, rule, row.urgency)
    return Assigned(
        division=division,
        role=dispatcher_of(division),
        tier=held_at,
        track=row.track,
        urgency=row.urgency,
        category=row.code,
        sensitivity=row.sensitivity,
        restricted=case.accusing or row.sensitivity == 2,
        accused_division=case.shut_out,
        accused_unknown=case.accused_unknown,
        reason=_reason(case, rule),
    )


def _first_tier(case: _Case, row: CategoryRow, first: Tier) -> tuple[Tier, Rule]:
    """The first tier and the rule that had the last word on it; what it passed over is noted."""
    steps: list[tuple[Tier, Rule]] = [(first, "B3.4/category-tier")]
    signs = case.facts.signs
    if row.track in _CAN_BE_RAISED and first in _RAISED:
        if "enforcement" in signs and row.community_may_lead:
            steps.append((_RAISED[first], "B3.4/enforcement"))
        elif "many_people" in signs and first is Tier.GRID:
            steps.append((Tier.COMMUNITY, "B3.5/many-people"))
    floor = lowest_tier(row, row.urgency, case.policy, begun=case.facts.begun)
    if floor is not None and LADDER.index(floor[0]) > LADDER.index(steps[-1][0]):
        steps.append(floor)
    for (passed, _), (_, rule) in pairwise(steps):
        if candidate := ancestor(case.place, passed):
            case.rejected.append((candidate, rule))
    return steps[-1]


def _reason(case: _Case, rule: Rule) -> Reason:
    rejected = dict.fromkeys(case.rejected)
    return Reason(rule, case.policy.version, tuple(case.matched), tuple(rejected))


def _match(case: _Case, named: CategoryRow | None) -> None:
    """The inputs of the decision, as they are shown."""
    facts, matched = case.facts, case.matched
    if facts.category is not None:
        matched.append(("category" if case.row is not None else "suggested", facts.category))
        matched.append(("basis", "confirmed" if facts.confirmed else facts.basis))
        if facts.basis != "given" and not facts.confirmed:
            threshold = case.policy.settings.reading.confidence_threshold
            matched.append(("confidence", f"{facts.confidence:.2f}"))
            matched.append(("threshold", f"{threshold:.2f}"))
    if named is not None and (words := _spoke(facts.words, named.code)):
        matched.append(("words", words))
    for sign, name in _SIGN_WORDS.items():
        if sign in facts.signs:
            matched.append((name, _spoke(facts.words, f"sign:{sign}") or sign))
    matched.append(("place", case.place))
    matched.append(("placed_by", facts.placed_by))
    named_in_it = {
        "place_name": facts.place,
        "accused": case.accused,
        "accused_office": case.accused_office,
    }
    matched.extend((name, value) for name, value in named_in_it.items() if value is not None)


def _spoke(words: Iterable[Word], means: str) -> str:
    return ", ".join(word.word for word in words if word.means == means)
