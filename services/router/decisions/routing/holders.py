"""Which division holds a case: by tier and place, never the accused, never too low."""

from typing import Final

from services.router.decisions.policy import Office, Policy
from services.router.decisions.routing.reasons import Rule
from shared import divisions
from shared.divisions import LADDER, DivisionCode, Tier, ancestor, is_within, parent, tier_of
from shared.events import CategoryCode, CategoryRow, OfficeKind, Urgency

_WITH_OFFICES: Final = (Tier.STREET, Tier.DISTRICT)
_HOLD_NOTHING: Final[frozenset[OfficeKind]] = frozenset({"desk", "outside"})
_SHIELDED_FAMILIES: Final = frozenset("RSE")


def office_for(
    category: str | None, division: str, accused_office: str | None, policy: Policy
) -> str | None:
    """The office that holds a matter in a division; None where the division's own desk does.

    From the street up, where departments are, the lead of the duty catalogue; a grid or community
    that holds a matter leads it itself. An outside body holds no case of ours. [domain B3.8, ours]
    The accused office holds none either: the desk does in its place. Petition Regs 30, 46. [law]
    """
    if category is None or tier_of(DivisionCode(division)) not in _WITH_OFFICES:
        return None
    duty = policy.duty(category, division)
    if duty is None or duty.lead.id == accused_office or not may_hold(duty.lead, category, policy):
        return None
    return duty.lead.id


def may_hold(office: Office, category: CategoryCode, policy: Policy) -> bool:
    """Whether an office may hold a matter where it serves.

    A desk is its division's own, an outside body holds no case of ours, and a body of the community
    holds nothing that a community may not lead. [Beijing 17]
    """
    if office.kind in _HOLD_NOTHING:
        return False
    return not office.of_community or policy.categories[category].community_may_lead


def may_be_accused(office: str | None, policy: Policy) -> bool:
    """Whether an office can be named as the accused: not a desk, whose division is accused then."""
    found = policy.duties.offices.get(office or "")
    return found is not None and found.kind != "desk"


def holder_for(tier: Tier, place: str, accused: str | None, policy: Policy) -> DivisionCode:
    """The division that holds a case of `place` at `tier`: the one it lies in.

    A place known less exactly holds it itself. The accused and everything below it never do: then
    it is the next division above the accused, and above a district the city's dispatcher, which is
    no tier. Petition Regs 30, 46. [law]
    """
    known = smallest_known(place, policy)
    return apart_from_accused(ancestor(known, tier) or known, accused, policy)


def smallest_known(code: str, policy: Policy) -> DivisionCode:
    """The listed division that a code names or lies in; the city if there is none."""
    return divisions.smallest_known(code, policy.divisions)


def lowest_tier(
    row: CategoryRow, urgency: Urgency, policy: Policy, *, begun: bool
) -> tuple[Tier, Rule] | None:
    """The lowest tier that may hold such a matter and the rule that says so; None if any may.

    What a community may not lead starts where the categories say; once it is `begun`, the street
    is the lowest that has it. [Beijing 17]
    """
    skip_to = policy.settings.escalation.skip_to
    floors: list[tuple[Tier, Rule]] = []
    if urgency == "U1":
        floors.append((skip_to.U1, "B3.4/urgent"))
    if is_shielded(row):
        floors.append((skip_to.restricted_report_or_safety, "B3.4/sensitive"))
    if row.code in policy.settings.first_tier.mass_incident:
        floors.append((skip_to.confirmed_mass_incident, "B3.4/mass-incident"))
    if begun and not row.community_may_lead:
        floors.append((Tier.STREET, "B3.8/may-not-lead"))
    return max(floors, key=lambda floor: LADDER.index(floor[0]), default=None)


def is_shielded(row: CategoryRow) -> bool:
    """Whether a matter is restricted and kept from the lowest tiers: reports and safety. [ours]"""
    return row.sensitivity == 2 and row.code[0] in _SHIELDED_FAMILIES


def apart_from_accused(division: DivisionCode, accused: str | None, policy: Policy) -> DivisionCode:
    """The division itself, or the first above it that is neither the accused nor below it."""
    if accused and is_within(division, DivisionCode(accused)):
        return smallest_known(parent(DivisionCode(accused)), policy)
    return division
