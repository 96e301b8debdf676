"""Notices: who is told of what, and the digests they go out in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from services.escalation.decisions.armed import Armed, Clock, moment
from shared.divisions import CITY, Tier, is_within, parent, tier_of

Reason: TypeAlias = Literal["warning", "reminder", "supervision"]
DIGEST_CASES: Final = 20
ROLES: Final[dict[Tier | None, str]] = {
    Tier.GRID: "grid_head",
    Tier.COMMUNITY: "community_officer",
    Tier.STREET: "street_dispatcher",
    Tier.DISTRICT: "district_dispatcher",
    None: "city_dispatcher",
}
"""Who answers for a division, where a notice is not for the owner of the clock."""


class Notice(NamedTuple):
    """Something that one office is told of one case. It changes no case."""

    division: str
    role: str
    clock: str
    reason: Reason
    due_at: datetime
    case_id: UUID


@dataclass(frozen=True, slots=True)
class Digest:
    """The notices of one sweep to one office about one clock; the oldest cases by name."""

    division: str
    role: str
    clock: str
    reason: Reason
    count: int
    oldest_due_at: datetime
    cases: tuple[UUID, ...]


def breach_reason(clock: Clock) -> Reason | None:
    """What offices are told at a breach. An order tells the router, whose answer is on the case."""
    return "reminder" if clock.on_breach in ("remind", "lapse") else None


def repeat_reason(clock: Clock) -> Reason:
    """What offices are told each time `repeat` has passed while a breach lasts: without end."""
    return "reminder" if clock.on_breach == "remind" else "supervision"


def notices_of(armed: Armed, clock: Clock, reason: Reason | None) -> list[Notice]:
    """Who is told: the owner of the clock, and of what is late the level above too. [policy]"""
    if reason is None:
        return []
    offices = [(clock.owner_division, clock.owner_role)]
    above = reason != "warning" and clock.on_breach != "lapse"
    if above and clock.owner_division != CITY:
        offices.append(office_of(parent(clock.owner_division)))
    due_at = moment(armed, clock.due)
    allowed = dict.fromkeys(shielded(*office, armed.accused_division) for office in offices)
    return [
        Notice(division, role, clock.name, reason, due_at, armed.case_id)
        for division, role in allowed
    ]


def office_of(division: str) -> tuple[str, str]:
    """A division and who answers for it."""
    return division, ROLES[tier_of(division)]


def shielded(division: str, role: str, accused: str | None) -> tuple[str, str]:
    """This office, or the one above the accused: he and all below never hear of an accusation.

    Petition Regs 30, 46. [law] Nobody stands above the city, whose dispatcher is no unit.
    """
    if accused is None or not is_within(division, accused):
        return division, role
    return office_of(CITY if accused == CITY else parent(accused))


def digests(notices: Iterable[Notice]) -> list[Digest]:
    """One digest per office, clock and reason, the longest overdue first. [policy reminders]"""
    groups: dict[tuple[str, str, str, Reason], list[tuple[datetime, UUID]]] = {}
    for n in notices:
        groups.setdefault((n.division, n.role, n.clock, n.reason), []).append((n.due_at, n.case_id))
    made = []
    for key in sorted(groups):
        told = sorted(groups[key])
        cases = tuple(case_id for _, case_id in told[:DIGEST_CASES])
        made.append(Digest(*key, len(told), told[0][0], cases))
    return made
