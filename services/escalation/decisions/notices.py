"""Notices: who is told of what, the digests they go out in, and how those rise and are pushed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias
from uuid import UUID

from services.escalation.decisions.armed import (
    MILLISECOND,
    Accused,
    Armed,
    Clock,
    is_told_enough,
    moment,
    noted,
)
from shared.divisions import CITY, dispatcher_of, is_within, parent
from shared.events import promise_of

Reason: TypeAlias = Literal["warning", "reminder", "supervision"]
About: TypeAlias = Literal["promotion", "whistle", "task"]
"""What else there is to say than that a promise is, or will be, late: `promotion`, an order (a
reminder); `whistle` and `task`, that something is asked (a warning). Who knows these not reads the
reason alone."""

DIGEST_CASES: Final = 20
"""So many cases, the longest overdue, a digest tells others by name."""

RISES_AFTER: Final = timedelta(hours=24)
"""Promise time in which somebody takes note of a notice; then it goes one level up.

A day, as long as a reply may take: whatever the hour it was posted at, there was a shift in it.
What is urgent does not wait for it: its clock promotes. [ours]
"""

KEPT_FOR: Final = timedelta(days=90)
"""Promise time that a notice is kept for after it is over; a case's history stays. [ours]"""

MOST_PUSHES: Final = 12
"""So often a notice is pushed in vain, in about six hours of wall time. [ours]"""

TITLES: Final[dict[Reason | About, tuple[str, str]]] = {
    "warning": ("即将超时", "about to be late"),
    "reminder": ("已到期", "past its due time"),
    "supervision": ("督办:仍未办结", "supervised: still not done"),
    "promotion": ("逾期升级:已令上报一级", "past its due time: ordered one tier up"),
    "whistle": ("社区吹哨:请街道指挥", "a whistle was blown: the street commands"),
    "task": ("请办理", "a task: you are asked"),
}


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
    about: About | None = None


@dataclass(frozen=True, slots=True)
class Digest:
    """The notices of one sweep to one desk about one clock; the longest overdue case first.

    `cases`: all of them; what an older version posted knows the first of `count` only.
    `raised_from`: the notice that stood below and that nobody took note of; the first of them, if
    it was raised several times.
    """

    desk: Desk
    clock: str
    reason: Reason
    count: int
    oldest_due_at: datetime
    cases: tuple[UUID, ...]
    raised_from: UUID | None = None
    about: About | None = None

    @property
    def named(self) -> tuple[UUID, ...]:
        """The cases that others are told by name."""
        return self.cases[:DIGEST_CASES]


def breach_reason(clock: Clock) -> Reason | None:
    """What offices are told at a breach, which this clock has had.

    An order is theirs to know too: that a case is promoted away from them, or supervised. [F91]
    """
    match clock.on_breach:
        case "remind":
            return repeat_reason(clock)
        case "lapse":
            return "reminder"
        case "promote":
            return None if clock.answered else "reminder"
        case "supervise":
            return None if clock.answered else "supervision"
        case "none":
            return None


def repeat_reason(clock: Clock) -> Reason:
    """What offices are told when `repeat` has passed once more, as this clock remembers.

    A breach is never left in silence: after the reminders there are cards, without end. [policy]
    """
    is_reminder = clock.on_breach == "remind" and not is_told_enough(clock)
    return "reminder" if is_reminder else "supervision"


def notices_of(armed: Armed, clock: Clock, reason: Reason | None) -> list[Notice]:
    """Who is told: the owner of the clock, and of what is late the level above too. [policy]

    The cards after the reminders are for the level above only, once the owner was reminded.
    """
    if reason is None:
        return []
    owner = Desk(clock.owner_division, clock.owner_role, clock.owner_office)
    desks = [owner]
    if reason != "warning" and clock.on_breach != "lapse":
        desks += above(owner, reason)
    if reason == "supervision" and clock.on_breach == "remind" and clock.fired:
        desks = desks[1:] or desks
    due_at = moment(armed, clock.due)
    allowed = dict.fromkeys(shielded(desk, armed.accused) for desk in desks)
    promise = promise_of(clock.name)
    # Nobody is reminded of a clock that promotes: its order is what it says.
    about: About | None = None
    if clock.on_breach == "promote" and reason == "reminder":
        about = "promotion"
    return [Notice(desk, promise, reason, due_at, armed.case_id, about) for desk in allowed]


def above(owner: Desk, reason: Reason) -> list[Desk]:
    """The level above an owner, which hears of what is late.

    Above a division it is the next division. Above an office it is the desk of the division that
    it serves: the street commands its departments. A breach that lasts is supervised from outside
    too, by the next division: else a case at the top would be known to its own district only.
    [ours] Nobody stands above the city, but its dispatcher above the others there.
    """
    at_the_top = owner.division == CITY and owner != desk_of(CITY)
    commands = [desk_of(owner.division)] if owner.office is not None or at_the_top else []
    outside = owner.office is None or reason == "supervision"
    if not outside or owner.division == CITY:
        return commands
    return [*commands, desk_of(parent(owner.division))]


def desk_of(division: str) -> Desk:
    """A division's own desk: who answers for it."""
    return Desk(division, dispatcher_of(division))


def shielded(desk: Desk, accused: Accused) -> Desk:
    """This desk, or who is told instead: the accused and all below never hear of an accusation.

    For an accused office it is the desk of the division, for an accused division the one above.
    Petition Regs 30, 46. [law] Nobody stands above the city, whose dispatcher is no unit.
    """
    if desk.office is not None and desk.office == accused.office:
        desk = desk_of(desk.division)
    if accused.division is None or not is_within(desk.division, accused.division):
        return desk
    return desk_of(CITY if accused.division == CITY else parent(accused.division))


Group: TypeAlias = tuple[Desk, str, Reason, About | None]


def digests(notices: Iterable[Notice]) -> list[Digest]:
    """One digest per desk, clock and reason, the longest overdue first. [policy reminders]"""
    groups: dict[Group, dict[UUID, datetime]] = {}
    for n in notices:
        # A case with several tasks for one desk is told once, by the one that is due first.
        cases_due = groups.setdefault((n.desk, n.clock, n.reason, n.about), {})
        cases_due[n.case_id] = min(n.due_at, cases_due.get(n.case_id, n.due_at))
    made = []
    for group in sorted(groups, key=in_order):
        desk, clock, reason, about = group
        told = sorted((due_at, case_id) for case_id, due_at in groups[group].items())
        cases = tuple(case_id for _, case_id in told)
        made.append(Digest(desk, clock, reason, len(told), told[0][0], cases, about=about))
    return made


def in_order(group: Group) -> tuple[str, ...]:
    """The place of a digest among those of a sweep: by its desk's subject, clock and reason."""
    desk, clock, reason, about = group
    return desk.subject, clock, reason, about or ""


def raised(id_: UUID, digest: Digest, accused: Iterable[Accused]) -> Digest | None:
    """What the desk above is told because nobody took note of this notice; None at the top.

    `accused`: of the cases that it names. It goes past those above whom any of them accuses by now.
    """
    up = above(digest.desk, "reminder")
    if not up:
        return None
    desk = up[0]
    for one in accused:
        desk = shielded(desk, one)
    return replace(digest, desk=desk, raised_from=digest.raised_from or id_)


def noted_by(desk: Desk, digest: Digest, case: Armed, posted_at: datetime, at: datetime) -> Armed:
    """The case after a desk took note, at `at`, of a digest that names it: its chain stops. [E9]

    It stops for the promises that were broken by then, of owners at this desk or below it. Who
    takes note of a warning has been warned; if the promise breaks all the same, he hears of it.
    """
    if digest.reason == "warning":
        return case
    offset = (at - case.started_at) // MILLISECOND
    clocks = tuple(
        noted(clock, offset)
        if promise_of(clock.name) == digest.clock
        and moment(case, clock.due) <= posted_at
        and is_within(clock.owner_division, desk.division)
        and desk.office in (None, clock.owner_office)
        else clock
        for clock in case.clocks
    )
    return case._replace(clocks=clocks)


def title(digest: Digest) -> dict[str, str]:
    """A line in Chinese and in English for whoever gets a notice by another way than the list."""
    chinese, english = TITLES[digest.about or digest.reason]
    if digest.raised_from is not None:
        chinese, english = f"逾期无人查阅,{chinese}", f"nobody took note: {english}"
    cases = "1 case" if digest.count == 1 else f"{digest.count} cases"
    return {
        "zh": f"{chinese}({digest.clock},{digest.count} 件)",
        "en": f"{english} ({digest.clock}, {cases})",
    }
