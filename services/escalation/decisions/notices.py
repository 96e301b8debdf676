"""Notices: who is told of what, and the digests they go out in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from services.escalation.decisions.armed import Armed, Clock, moment
from shared.divisions import CITY, dispatcher_of, is_within, parent

Reason: TypeAlias = Literal["warning", "reminder", "supervision"]
DIGEST_CASES: Final = 20


class Desk(NamedTuple):
    """Who is told: a role in a division, of an office that serves it or of the division itself."""

    division: str
    role: str
    office: str | None = None

    @property
    def subject(self) -> str:
        """What its digests are about on Kafka: `division/role`, of an office `division/role/id`."""
        return "/".join(filter(None, self))


class Notice(NamedTuple):
    """Something that one desk is told of one case. It changes no case."""

    desk: Desk
    clock: str
    reason: Reason
    due_at: datetime
    case_id: UUID


@dataclass(frozen=True, slots=True)
class Digest:
    """The notices of one sweep to one desk about one clock; the oldest cases by name."""

    desk: Desk
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
    desks = [Desk(clock.owner_division, clock.owner_role, clock.owner_office)]
    if reason != "warning" and clock.on_breach != "lapse":
        desks += above(desks[0], reason)
    due_at = moment(armed, clock.due)
    allowed = dict.fromkeys(shielded(desk, armed) for desk in desks)
    return [Notice(desk, clock.name, reason, due_at, armed.case_id) for desk in allowed]


def above(owner: Desk, reason: Reason) -> list[Desk]:
    """The level above an owner, which hears of what is late.

    Above a division it is the next division. Above an office it is the desk of the division that
    it serves: the street commands its departments. A breach that lasts is supervised from outside
    too, by the next division: else a case at the top would be known to its own district only.
    [ours] Nobody stands above the city.
    """
    commands = [] if owner.office is None else [desk_of(owner.division)]
    outside = owner.office is None or reason == "supervision"
    if not outside or owner.division == CITY:
        return commands
    return [*commands, desk_of(parent(owner.division))]


def desk_of(division: str) -> Desk:
    """A division's own desk: who answers for it."""
    return Desk(division, dispatcher_of(division))


def shielded(desk: Desk, armed: Armed) -> Desk:
    """This desk, or who is told instead: the accused and all below never hear of an accusation.

    For an accused office it is the desk of the division, for an accused division the one above.
    Petition Regs 30, 46. [law] Nobody stands above the city, whose dispatcher is no unit.
    """
    if desk.office is not None and desk.office == armed.accused_office:
        desk = desk_of(desk.division)
    accused = armed.accused_division
    if accused is None or not is_within(desk.division, accused):
        return desk
    return desk_of(CITY if accused == CITY else parent(accused))


def digests(notices: Iterable[Notice]) -> list[Digest]:
    """One digest per desk, clock and reason, the longest overdue first. [policy reminders]"""
    groups: dict[tuple[Desk, str, Reason], list[tuple[datetime, UUID]]] = {}
    for n in notices:
        groups.setdefault((n.desk, n.clock, n.reason), []).append((n.due_at, n.case_id))
    made = []
    for desk, clock, reason in sorted(groups, key=in_order):
        told = sorted(groups[desk, clock, reason])
        cases = tuple(case_id for _, case_id in told[:DIGEST_CASES])
        made.append(Digest(desk, clock, reason, len(told), told[0][0], cases))
    return made


def in_order(group: tuple[Desk, str, Reason]) -> tuple[str, ...]:
    """The place of a digest among those of a sweep: by its desk's subject, clock and reason."""
    desk, clock, reason = group
    return desk.subject, clock, reason
