"""What is armed, and what happens when its time comes. Computes no date and reads no policy.

`arm` merges a snapshot of the router into what is remembered of a case; `sweep` says what is due
now. The router's times are milliseconds after the case's start and stay so here. Memory of a
clock: warnings belong to its start, the breach and its repeats to its generation.

After time without a sweep nothing is caught up one by one: a clock gives one notice (the latest
mark) or one order, and its next repeat lies in the future. [ours]
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias, assert_never
from uuid import UUID

from shared.divisions import CITY, Tier, is_within, parent, tier_of
from shared.events import CaseSnapshot, ClockSnapshot, Milliseconds, OnBreach, Order, derived_id

MILLISECOND: Final = timedelta(milliseconds=1)
CLOSED: Final = frozenset({"closed", "handed_off"})
DIGEST_CASES: Final = 20
UNSAID: Final = "none"

Action: TypeAlias = Literal["promote", "supervise"]
Reason: TypeAlias = Literal["warning", "reminder", "supervision"]

ROLES: Final[dict[Tier | None, str]] = {
    Tier.GRID: "grid_head",
    Tier.COMMUNITY: "community_officer",
    Tier.STREET: "street_dispatcher",
    Tier.DISTRICT: "district_dispatcher",
    None: "city_dispatcher",
}
"""Who answers for a division, where a notice is not for the owner of the clock."""


class Clock(NamedTuple):
    """A running promise as the router says it, and what was done about it.

    `warned`: how many of its marks were given since `started`. `fired`: the breach of this
    generation was handled. `repeats`: how many times `repeat` had passed after `due` when it was
    last looked at. Marks are counted, not named: a pause or an extension moves them.
    """

    name: str
    generation: int
    owner_division: str
    owner_role: str
    started: Milliseconds
    due: Milliseconds
    warn: tuple[Milliseconds, ...]
    on_breach: OnBreach
    repeat: Milliseconds | None
    paused: bool
    answered: bool
    warned: int = 0
    fired: bool = False
    repeats: int = 0


MEMORY: Final = Clock._fields.index("warned")


class Given(NamedTuple):
    """Warnings that a clock gave before it stopped: it may run again with the same start."""

    name: str
    started: Milliseconds
    warned: int


class Armed(NamedTuple):
    """What escalation keeps of a case. `said` is the last seq of its orders."""

    case_id: UUID
    order: Order
    changed_at: datetime
    started_at: datetime
    tier: Tier | None
    holder: str
    accused_division: str | None
    open: bool
    clocks: tuple[Clock, ...]
    given: tuple[Given, ...] = ()
    said: int = 0


class News(NamedTuple):
    """A snapshot of a case, its place among those of the case, and when the router made it."""

    case_id: UUID
    order: Order
    changed_at: datetime
    case: CaseSnapshot


class OrderGiven(NamedTuple):
    """Promote this case one tier, or supervise it, because of this clock. Always under this id."""

    id: UUID
    case_id: UUID
    clock: str
    generation: int
    action: Action
    tier: Tier | None
    due_at: datetime
    fired_at: datetime


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


class Swept(NamedTuple):
    """What a sweep makes of a case. `late`: per breach, promise time since it could be known."""

    armed: Armed
    orders: tuple[OrderGiven, ...]
    notices: tuple[Notice, ...]
    late: tuple[timedelta, ...]


def order_id(case_id: UUID, clock: str, generation: int, action: Action) -> UUID:
    """The event id of the order that this breach gives."""
    return derived_id("order", case_id, clock, generation, action)


# ---------------------------------------------------------------- arm


def arm(before: Armed | None, news: News) -> Armed:
    """The case after a snapshot; `before` itself when the snapshot is not newer."""
    if before is not None and news.order <= before.order:
        return before
    case = news.case
    is_open = case.stage not in CLOSED
    running = {clock.name: clock for clock in before.clocks} if before else {}
    given = {one.name: one for one in before.given} if before else {}
    clocks = [
        armed_clock(clock, running.pop(clock.name, None), given.pop(clock.name, None))
        for clock in (case.clocks if is_open else ())
    ]
    stopped = [Given(c.name, c.started, c.warned) for c in running.values() if c.warned]
    return Armed(
        case_id=news.case_id,
        order=news.order,
        changed_at=news.changed_at,
        started_at=case.started_at,
        tier=case.tier,
        holder=case.holder,
        accused_division=case.accused_division,
        open=is_open,
        clocks=tuple(clocks),
        given=(*given.values(), *stopped),
        said=before.said if before else 0,
    )


def armed_clock(clock: ClockSnapshot, running: Clock | None, given: Given | None) -> Clock:
    """A clock of a snapshot with what is remembered of it."""
    remembered = running or given
    warned = remembered.warned if remembered and remembered.started == clock.started else 0
    same = running is not None and running.generation == clock.generation
    return Clock(
        clock.name,
        clock.generation,
        clock.owner_division,
        clock.owner_role,
        clock.started,
        clock.due,
        tuple(sorted(clock.warn)),
        clock.on_breach,
        clock.repeat,
        clock.paused,
        clock.answered,
        warned,
        running.fired if running and same else False,
        running.repeats if running and same else 0,
    )


def answered(before: Armed | None, after: Armed) -> list[UUID]:
    """The orders that this change answers: another generation, no such clock, or marked so."""
    if before is None:
        return []
    now = {clock.name: clock for clock in after.clocks}
    ids = []
    for clock in before.clocks:
        action = action_of(clock)
        if not clock.fired or action is None:
            continue
        current = now.get(clock.name)
        if current is None or current.generation != clock.generation or current.answered:
            ids.append(order_id(before.case_id, clock.name, clock.generation, action))
    return ids


# ---------------------------------------------------------------- sweep


def sweep(armed: Armed, now: datetime) -> Swept:
    """What is due at `now` (promise time): warnings, breaches, repeats; at most one per clock."""
    at = (now - armed.started_at) // MILLISECOND
    clocks: list[Clock] = []
    orders: list[OrderGiven] = []
    notices: list[Notice] = []
    late: list[timedelta] = []
    for clock in armed.clocks:
        happens = what_happens(clock, at)
        match happens:
            case "nothing":
                clocks.append(clock)
            case "warning":
                clocks.append(done(clock, bisect_right(clock.warn, at)))
                notices += notices_of(armed, clock, "warning")
            case "breach":
                clocks.append(breached(clock, at))
                late.append(now - max(moment(armed, clock.due), armed.changed_at))
                if action := action_of(clock):
                    orders.append(order_of(armed, clock, action, now))
                notices += notices_of(armed, clock, breach_reason(clock))
            case "repeat":
                clocks.append(done(clock, clock.warned, repeats_by(clock, at)))
                notices += notices_of(armed, clock, repeat_reason(clock))
            case _:
                assert_never(happens)
    after = armed._replace(clocks=tuple(clocks), said=armed.said + len(orders))
    return Swept(after, tuple(orders), tuple(notices), tuple(late))


def what_happens(
    clock: Clock, at: Milliseconds
) -> Literal["nothing", "warning", "breach", "repeat"]:
    """What a clock does at `at`: nothing before `next_of` says so, and one thing then."""
    following = next_of(clock)
    if following is None or at < following:
        return "nothing"
    if clock.fired:
        return "repeat"
    return "breach" if at >= clock.due else "warning"


def next_of(clock: Clock) -> Milliseconds | None:
    """When a clock does something next: warn, be due, or repeat. None: paused, or never again."""
    if clock.paused:
        return None
    if clock.fired:
        every = every_of(clock)
        return clock.due + (clock.repeats + 1) * every if every else None
    if clock.warned < len(clock.warn):
        return min(clock.warn[clock.warned], clock.due)
    return clock.due


def next_at(armed: Armed) -> datetime | None:
    """The earliest warning, due time or repeat of a case, in promise time."""
    times = [time for clock in armed.clocks if (time := next_of(clock)) is not None]
    return moment(armed, min(times)) if times else None


def moment(armed: Armed, after: Milliseconds) -> datetime:
    """The promise time of an offset from the case's start."""
    return armed.started_at + timedelta(milliseconds=after)


def action_of(clock: Clock) -> Action | None:
    """The order that a breach of this clock gives; none once it is marked answered."""
    if clock.answered or (clock.on_breach != "promote" and clock.on_breach != "supervise"):
        return None
    return clock.on_breach


def every_of(clock: Clock) -> Milliseconds | None:
    """How often a breach is repeated: a right that lapsed is told once."""
    return None if clock.on_breach in ("lapse", "none") else clock.repeat


def repeats_by(clock: Clock, at: Milliseconds) -> int:
    """How many repeats have come by `at`: several at once count as one that was given."""
    every = every_of(clock)
    return (at - clock.due) // every if every else 0


def breached(clock: Clock, at: Milliseconds) -> Clock:
    """The breach was handled: what its marks would have warned of is here."""
    return done(clock, max(clock.warned, len(clock.warn)), repeats_by(clock, at))


def done(clock: Clock, warned: int, repeats: int | None = None) -> Clock:
    """The clock with what was done about it; `repeats` once its breach was handled."""
    return Clock._make((*clock[:MEMORY], warned, repeats is not None, repeats or 0))


def order_of(armed: Armed, clock: Clock, action: Action, now: datetime) -> OrderGiven:
    """The order to the router: it judges by generation and tier."""
    return OrderGiven(
        id=order_id(armed.case_id, clock.name, clock.generation, action),
        case_id=armed.case_id,
        clock=clock.name,
        generation=clock.generation,
        action=action,
        tier=armed.tier,
        due_at=moment(armed, clock.due),
        fired_at=now,
    )


def pause_after(said: int) -> timedelta:
    """Wall time until an order said that many times is said again: 1, 2, 4 … 60 minutes."""
    return timedelta(minutes=min(2 ** min(said - 1, 6), 60))


# ---------------------------------------------------------------- notices


def breach_reason(clock: Clock) -> Reason | None:
    """What offices are told at a breach. An order tells the router, whose answer is on the case."""
    return "reminder" if clock.on_breach in ("remind", "lapse") else None


def repeat_reason(clock: Clock) -> Reason:
    """What offices are told while a breach lasts. The policy's most reminders are the router's."""
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


# ---------------------------------------------------------------- figures


def first_due(armed: Armed) -> datetime | None:
    """The earliest promise of a case that an office must keep; a right that lapses is none."""
    dues = [c.due for c in armed.clocks if not c.paused and c.on_breach not in ("lapse", "none")]
    return moment(armed, min(dues)) if dues else None


def minute_of(at: datetime) -> str:
    """A minute of promise time, as text that sorts."""
    return f"{int(at.timestamp()) // 60:010d}"


def counted_as(armed: Armed | None) -> Sequence[tuple[str, str]]:
    """Under which (name, key) of the tally a case counts: open by tier, due by minute and tier."""
    if armed is None or not armed.open:
        return ()
    tier = armed.tier or UNSAID
    due = first_due(armed)
    if due is None:
        return (("open", tier),)
    return ("open", tier), ("due", f"{minute_of(due)}/{tier}")
