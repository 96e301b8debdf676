"""What is remembered of a case: its clocks as the router says them, and what was done about them.

Times of clocks are the router's milliseconds after the case's start. Memory of a clock: warnings
belong to its start, the breach and its repeats to its generation.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from shared.divisions import Tier
from shared.events import CaseSnapshot, ClockSnapshot, Milliseconds, OnBreach, Order, Track

MILLISECOND: Final = timedelta(milliseconds=1)
CLOSED: Final = frozenset({"closed", "handed_off"})

MOST_REMINDERS: Final = 3
"""So many times a late promise is reminded of: at its breach, and each time `repeat` has passed.

Where the next reminder would come there is a supervision card for the level above, and another one
after each `PATIENCE`, as long as it lasts. [policy reminders] The number does not travel with a
clock: the router's loader takes no policy that says another one.
"""

PATIENCE: Final = 7
"""So many times `repeat` who took note of a broken promise has, before it is said again; so many
lie between two cards. [ours] To take note is not to do: what lasts is never silent for good.
"""


class Clock(NamedTuple):
    """A running promise as the router says it, and what was done about it.

    `warned`: how many of its marks were given since `started`. `fired`: the breach of this
    generation was handled. `repeats`: how many times `repeat` had passed after `due` when it was
    last looked at, or will have when a note that somebody took lapses. Marks are counted, not
    named: a pause or an extension moves them. `later`: what a newer version remembers of it; this
    one keeps that as it is.
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
    owner_office: str | None = None
    warned: int = 0
    fired: bool = False
    repeats: int = 0
    later: tuple[object, ...] = ()


class Given(NamedTuple):
    """Warnings that a clock gave before it stopped: it may run again with the same start."""

    name: str
    started: Milliseconds
    warned: int
    later: tuple[object, ...] = ()


class Accused(NamedTuple):
    """Whom a case accuses, who never hears of it."""

    division: str | None
    office: str | None


class Armed(NamedTuple):
    """What escalation keeps of a case. `said` is the last seq of its orders.

    `traceparent`: the trace of the snapshot that armed it, which its orders carry on. `track` is
    not known of a case that an older version armed, until it is heard of again.
    """

    case_id: UUID
    order: Order
    changed_at: datetime
    started_at: datetime
    tier: Tier | None
    holder: str
    accused_division: str | None
    accused_office: str | None
    open: bool
    clocks: tuple[Clock, ...]
    given: tuple[Given, ...] = ()
    said: int = 0
    traceparent: str | None = None
    track: Track | None = None

    @property
    def accused(self) -> Accused:
        """Whom this case accuses."""
        return Accused(self.accused_division, self.accused_office)


class News(NamedTuple):
    """A snapshot of a case, its place among those of it, when it was made, and its trace."""

    case_id: UUID
    order: Order
    changed_at: datetime
    case: CaseSnapshot
    traceparent: str | None = None


def arm(before: Armed | None, news: News) -> Armed:
    """The case after a snapshot; `before` itself when the snapshot is not newer."""
    if before is not None and news.order <= before.order:
        return before
    case = news.case
    is_open = case.stage not in CLOSED
    running = {clock.name: clock for clock in before.clocks} if before else {}
    given = {one.name: one for one in before.given} if before else {}
    clocks = [
        armed_clock(clock, case, running.pop(clock.name, None), given.pop(clock.name, None))
        for clock in (case.clocks if is_open else ())
    ]
    stopped = [Given(c.name, c.started, c.warned, c.later) for c in running.values() if c.warned]
    return Armed(
        case_id=news.case_id,
        order=news.order,
        changed_at=news.changed_at,
        started_at=case.started_at,
        tier=case.tier,
        holder=case.holder,
        accused_division=case.accused_division,
        accused_office=case.accused_office,
        open=is_open,
        clocks=tuple(clocks),
        given=(*given.values(), *stopped),
        said=before.said if before else 0,
        traceparent=news.traceparent if is_open else None,
        track=case.track,
    )


def armed_clock(
    clock: ClockSnapshot, case: CaseSnapshot, running: Clock | None, given: Given | None
) -> Clock:
    """A clock of a snapshot with what is remembered of it; unsaid, its owner holds the case."""
    remembered = running or given
    warned = remembered.warned if remembered and remembered.started == clock.started else 0
    same = running is not None and running.generation == clock.generation
    return Clock(
        clock.name,
        clock.generation,
        clock.owner_division or case.holder,
        clock.owner_role or case.role,
        clock.started,
        clock.due,
        tuple(sorted(clock.warn)),
        clock.on_breach,
        clock.repeat,
        clock.paused,
        clock.answered,
        clock.owner_office or (None if clock.owner_division else case.office),
        warned,
        running.fired if running and same else False,
        running.repeats if running and same else 0,
        remembered.later if remembered else (),
    )


# ---------------------------------------------------------------- what comes next


def next_of(clock: Clock) -> Milliseconds | None:
    """When a clock does something next: warn, be due, or repeat. None: paused, or never again."""
    if clock.paused:
        return None
    if clock.fired:
        every = every_of(clock)
        wait = PATIENCE if is_told_enough(clock) else 1
        return clock.due + (clock.repeats + wait) * every if every else None
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


def is_told_enough(clock: Clock) -> bool:
    """Whether the reminders of this generation are over: from then on there are cards.

    The time counts, not the notices: after time without a sweep the card comes in their stead, and
    what an older version repeated oftener was told often enough. [ours]
    """
    return clock.on_breach == "remind" and clock.repeats >= MOST_REMINDERS


def noted(clock: Clock, at: Milliseconds) -> Clock:
    """The clock after somebody took note of its breach: nothing is repeated for `PATIENCE`. [E9]

    Who was only reminded, and took note, is not reminded again: the level above gets the card.
    """
    every = every_of(clock)
    if not clock.fired or not every:
        return clock
    passed = (at - clock.due) // every
    ahead = passed + PATIENCE - 1 if clock.on_breach != "remind" else max(passed, MOST_REMINDERS)
    return clock._replace(repeats=max(clock.repeats, ahead))


def every_of(clock: Clock) -> Milliseconds | None:
    """How often a breach is repeated: a right that lapsed is told once."""
    return None if clock.on_breach in ("lapse", "none") else clock.repeat
