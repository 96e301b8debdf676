"""The clock account: what was counted of every promise of a case, by which calendar, and why. Pure.

    account = Account(policy)
    account.hear(step)        each step of the history, in order
    account.upto(now)         every promise with its spans, in the order in which they were made

A promise has a limit; each of its spans counted some of it, or nothing. At any time

    limit + what was added = what the spans counted + what is left

to the microsecond, or to the day where days are counted. What is added has its reason: an
extension, a grace, days of rest at the end, a day that a pause gives back. Whatever else changes
a limit makes another promise, counted anew from the same start; the one before it is replaced.
[X6]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

from services.router.decisions import clocks
from services.router.decisions.case import Case, Clock
from services.router.decisions.clocks import Owner, Promise
from services.router.decisions.policy import ClockRule, Policy
from services.router.decisions.tasks import TaskState
from services.router.decisions.tracks import TRACKS
from services.router.decisions.workflow.newer import strange_clocks
from shared import business_time
from shared.business_time import Due, Span
from shared.durations import Unit

State = Literal["counted", "paused", "before_opening", "overdue"]
Begun = Literal[
    "started", "reopened", "opened", "carried", "paused", "resumed", "extended", "ran_out"
]
End = Literal["met", "broken", "lapsed", "void", "replaced"]
CountsIn = Literal["seconds", "working_seconds", "days", "working_days"]

IN_DAYS: Final = frozenset({Unit.CALENDAR_DAYS, Unit.WORKING_DAYS})
COUNTS_IN: Final[dict[Unit, CountsIn]] = {
    Unit.SECONDS: "seconds",
    Unit.MINUTES: "seconds",
    Unit.HOURS: "seconds",
    Unit.WORKING_HOURS: "working_seconds",
    Unit.CALENDAR_DAYS: "days",
    Unit.WORKING_DAYS: "working_days",
}
MICROSECOND: Final = timedelta(microseconds=1)
WORKING_HOUR: Final = timedelta(hours=1) // MICROSECOND
HAS_A_CODE: Final = frozenset({"pause", "return", "reroute", "promote", "reopen", "not_accepted"})
"""The rules that name a reason of a closed list behind their slash: never words of a person."""
COMMAND_OF: Final = {
    "signed": "sign",
    "verified": "verify",
    "replied": "reply",
    "resolved": "resolve",
    "closed": "close",
    "rerouted": "reroute",
    "not_accepted": "not_accept",
    "handed_over": "hand_over",
}
"""The command behind an event, of those that fulfil promises by the track's table."""


NOT_DONE: Final[frozenset[TaskState]] = frozenset({"withdrawn", "objected", "refused"})
"""How a task stands after what was asked for was not done, and is not owed any more."""


class Told(NamedTuple):
    """A step as the history tells it, and the case after it; who did it by role and division."""

    at: datetime
    event: str
    transitions: tuple[str, ...]
    rule: str
    role: str
    division: str
    case: Case


class Added(NamedTuple):
    """What a promise was given beyond its limit, in what it counts in; a cut is negative."""

    why: Literal["extension", "grace", "rest_days", "pause"]
    amount: int
    step: Told


class Stretch(NamedTuple):
    """A stretch of a promise as the fold keeps it: what it was due in that time goes with it."""

    start: datetime
    paused: bool
    due_at: datetime
    owner: Owner
    begun: tuple[Begun, ...]
    step: Told


class Counted(NamedTuple):
    """A span of a promise: what it counted, whose it was, what began it; open without an end."""

    state: State
    start: datetime
    end: datetime | None
    counted: int
    owner: Owner
    begun: tuple[Begun, ...]
    step: Told


@dataclass(slots=True)
class Kept:
    """A promise under way: its limit, whence it counts, its stretches, what was added, its end."""

    rule: ClockRule
    clock: Clock
    limit: Promise
    counts_from: datetime
    amount: int
    step: Told
    stretches: list[Stretch] = field(default_factory=list)
    added: list[Added] = field(default_factory=list)
    ended: tuple[End, Told] | None = None

    @property
    def unit(self) -> Unit:
        """In what it counts."""
        return self.limit.limit.unit

    @property
    def still_since(self) -> datetime:
        """Since when it stands still, whoever it was carried to since then."""
        since = self.stretches[-1].start
        for stretch in reversed(self.stretches):
            if not stretch.paused:
                break
            since = stretch.start
        return since


class Line(NamedTuple):
    """A promise of the account as it is read.

    `amount` is its limit, `left` what is left of it; with `counts_in` they are microseconds, or
    days.
    """

    name: str
    limit: str
    counts_in: CountsIn
    amount: int
    added: tuple[Added, ...]
    left: int
    start: datetime
    due_at: datetime
    spans: tuple[Counted, ...]
    step: Told
    ended: tuple[End, Told] | None


class Account:
    """The account of one case, step by step.

    `strange` are the promises that only a newer version can reckon: from where it has a part in
    them, nothing is told of them here.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.promises: list[Kept] = []
        self.running: dict[str, Kept] = {}
        self.strange: set[str] = set()
        self.before: Case | None = None

    def hear(self, step: Told) -> None:
        """One step more. Of what lies between two steps that are heard nothing is told."""
        before, after = self.before, step.case
        self.strange |= strange_clocks(after, self.policy)
        were = () if before is None else before.clocks
        for clock in were:
            assert before is not None
            if clock.name not in self.strange:
                self.changed(clock, after.clock(clock.name), before, step)
        names = {clock.name for clock in were} | self.strange
        for clock in after.clocks:
            if clock.name not in names:
                self.make(clock, step)
        self.before = after

    def upto(self, now: datetime) -> list[Line]:
        """Every promise that was ever made, with what was counted by now."""
        return [
            self.line(kept, now) for kept in self.promises if kept.clock.name not in self.strange
        ]

    # ------------------------------------------------------------ what a step does to a promise

    def changed(self, old: Clock, new: Clock | None, before: Case, step: Told) -> None:
        """A promise ended, was replaced, stood still, went on, has more time or another owner."""
        kept = self.running[old.name]
        if new is None:
            self.end(kept, how_it_ended(kept, before, step), step)
        elif new.started_at != old.started_at:
            self.end(kept, how_it_ended(kept, before, step), step)
            self.make(new, step)
        elif self.is_another(kept, new, before, step):
            late = clocks.is_late(old, step.at)
            self.end(kept, "broken" if late else "replaced", step)
            self.make(new, step)
        else:
            self.go_on(kept, new, before, step)

    def is_another(self, kept: Kept, new: Clock, before: Case, step: Told) -> bool:
        """Whether a promise with this start is another one: its limit or its time was changed.

        Two limits may run side by side, and after a pause the other may be the earlier one.
        """
        if new.limit != kept.clock.limit:
            return True
        if new.due_at == kept.clock.due_at:
            return False
        resumed = kept.clock.paused and not new.paused
        if not resumed and not is_extended(before, step.case):
            return True
        earliest = self.earliest(kept.rule, new, step.case)
        return earliest.at == new.due_at and earliest.limit != kept.limit.limit

    def go_on(self, kept: Kept, new: Clock, before: Case, step: Told) -> None:
        """The same promise with another owner, at rest or running again, or with more time."""
        old = kept.clock
        begun: list[Begun] = []
        if owner_of(new) != owner_of(old):
            begun.append("carried")
        if new.paused and not old.paused:
            begun.append("paused")
        if old.paused and not new.paused:
            begun.append("resumed")
        if new.due_at != old.due_at:
            extended = is_extended(before, step.case)
            had = kept.still_since if old.paused else step.at
            if extended:
                begun.append("extended")
            gain = self.left(kept, step.at, new.due_at) - self.left(kept, had, old.due_at)
            self.add(kept, "extension" if extended else "pause", gain, step)
        kept.clock = new
        if begun:
            self.stretch(kept, step.at, tuple(begun), step, paused=new.paused)

    def make(self, clock: Clock, step: Told) -> None:
        """A promise is made, from its start: what changed its time since then is counted in."""
        case, policy = step.case, self.policy
        rule = clocks.rule_of(clock.name, policy)
        start = clock.started_at
        promised = self.earliest(rule, clock, case)
        task = case.task_of(clock.name)
        firsts = [promised] if task else clocks.first_due_of(rule, case, start, policy)
        first = next(one for one in firsts if one.limit == promised.limit)
        begins = clocks.counted_from(rule, case, clocks.begins_for_task(task, start), policy)
        amount = amount_of(first, begins)
        kept = Kept(rule, clock, promised, begins, amount, step)
        self.promises.append(kept)
        self.running[clock.name] = kept
        again: Begun = "reopened" if "reopened" in step.transitions else "started"
        due = Due(first.at, first.provisional)
        self.add(kept, "rest_days", self.left(kept, begins, due.at) - amount, step)
        self.stretch(kept, start, (again,), step, due_at=due.at)
        for change in clocks.changes_since(rule.name, case, start, policy):
            due = self.counted_in(kept, due, change, step)
        still = case.pause.since if clock.paused and case.pause is not None else None
        if due.at != clock.due_at:
            moment = still or step.at
            had = self.left(kept, moment, due.at)
            self.add(kept, "grace", self.left(kept, moment, clock.due_at) - had, step)
            self.stretch(kept, moment, (again,), step)
        if still is not None:
            self.stretch(kept, still, ("paused",), step, paused=True)

    def counted_in(self, kept: Kept, due: Due, change: Span | clocks.Granted, step: Told) -> Due:
        """A pause or an extension that came before this promise was made, and since its start."""
        after = clocks.after_change(due, kept.unit, change, self.policy)
        had = self.left(kept, change.start, due.at)
        if isinstance(change, Span):
            if change.start >= due.at:
                return due
            self.stretch(kept, change.start, ("paused",), step, paused=True, due_at=due.at)
            self.stretch(kept, change.end, ("resumed",), step, due_at=after.at)
            self.add(kept, "pause", self.left(kept, change.end, after.at) - had, step)
        else:
            self.stretch(kept, change.start, ("extended",), step, due_at=after.at)
            self.add(kept, "extension", self.left(kept, change.start, after.at) - had, step)
        return after

    def earliest(self, rule: ClockRule, clock: Clock, case: Case) -> Promise:
        """Of the limits that a promise has, the one that counts; a task has one."""
        task = case.task_of(clock.name)
        if task is not None:
            return clocks.due_of_task(task, rule, case, clock.started_at, self.policy)
        dues = clocks.dues_of(rule, case, clock.started_at, self.policy)
        return min(dues, key=lambda one: one.at)

    def end(self, kept: Kept, how: End, step: Told) -> None:
        """It runs no longer."""
        kept.ended = (how, step)
        del self.running[kept.clock.name]

    def stretch(
        self,
        kept: Kept,
        start: datetime,
        begun: tuple[Begun, ...],
        step: Told,
        *,
        paused: bool = False,
        due_at: datetime | None = None,
    ) -> None:
        """From this moment on it is so."""
        due_at = due_at or kept.clock.due_at
        kept.stretches.append(Stretch(start, paused, due_at, owner_of(kept.clock), begun, step))

    def add(
        self,
        kept: Kept,
        why: Literal["extension", "grace", "rest_days", "pause"],
        amount: int,
        step: Told,
    ) -> None:
        """Something was added to what it may count, or cut from it."""
        if amount:
            kept.added.append(Added(why, amount, step))

    # ------------------------------------------------------------ how it is read

    def left(self, kept: Kept, moment: datetime, due_at: datetime) -> int:
        """What is left of a promise; all of it before it begins to count."""
        moment = max(moment, kept.counts_from)
        return business_time.left(moment, due_at, kept.unit, self.policy.calendar)

    def line(self, kept: Kept, now: datetime) -> Line:
        """A promise with its spans; one that runs is counted until now."""
        end = now if kept.ended is None else kept.ended[1].at
        spans = tuple(self.spans(kept, end))
        last = kept.stretches[-1]
        read_at = kept.still_since if last.paused else end
        return Line(
            name=kept.clock.name,
            limit=str(kept.limit.limit),
            counts_in=COUNTS_IN[kept.unit],
            amount=kept.amount,
            added=tuple(kept.added),
            left=self.left(kept, read_at, last.due_at),
            start=kept.clock.started_at,
            due_at=kept.clock.due_at,
            spans=spans,
            step=kept.step,
            ended=kept.ended,
        )

    def spans(self, kept: Kept, end: datetime) -> Iterator[Counted]:
        """Its stretches until a moment, cut where it begins to count and where it is due."""
        starts = [one.start for one in kept.stretches[1:]]
        for stretch, until in zip(kept.stretches, [*starts, end], strict=True):
            open_ = kept.ended is None and stretch is kept.stretches[-1]
            pieces = list(self.pieces(kept, stretch, until))
            for n, piece in enumerate(pieces, 1):
                yield piece._replace(end=None) if open_ and n == len(pieces) else piece

    def pieces(self, kept: Kept, stretch: Stretch, end: datetime) -> Iterator[Counted]:
        """One stretch, cut where it begins to count and where it is due."""
        due_at, step, owner = stretch.due_at, stretch.step, stretch.owner
        if stretch.paused:
            yield Counted("paused", stretch.start, end, 0, owner, stretch.begun, step)
            return
        begun, start = stretch.begun, stretch.start
        cuts: tuple[tuple[State, Begun, datetime], ...] = (
            ("before_opening", "opened", kept.counts_from),
            ("counted", "ran_out", due_at),
            ("overdue", "ran_out", max(end, due_at)),
        )
        for state, what_follows, until in cuts:
            if until < start or (until == start and (until < end or state == "before_opening")):
                continue
            upto = min(until, end)
            counted = 0
            if state == "counted":
                counted = self.left(kept, start, due_at) - self.left(kept, upto, due_at)
            yield Counted(state, start, upto, counted, owner, begun, step)
            if upto == end:
                return
            start, begun = upto, (what_follows,)


def owner_of(clock: Clock) -> Owner:
    """Whose promise a clock is."""
    return Owner(clock.owner_division, clock.owner_role, clock.owner_office)


def amount_of(first: Promise, begins: datetime) -> int:
    """How much a limit is, in what it counts in."""
    match first.limit.unit:
        case Unit.CALENDAR_DAYS | Unit.WORKING_DAYS:
            return first.limit.amount
        case Unit.WORKING_HOURS:
            return first.limit.amount * WORKING_HOUR
        case _:
            # A share of a limit may be no whole second; what was promised is exact.
            return (first.at - begins) // MICROSECOND


def is_extended(before: Case, after: Case) -> bool:
    """Whether more time was granted by this step."""
    return not has_more(before) and has_more(after)


def has_more(case: Case) -> bool:
    """Whether more time was granted."""
    return case.extension is not None and case.extension.granted_at is not None


def how_it_ended(kept: Kept, before: Case, step: Told) -> End:
    """Whether a promise that runs no longer was met or broken, or is void: nobody owes it now."""
    if clocks.is_late(kept.clock, step.at):
        return "lapsed" if kept.rule.on_breach in ("none", "lapse") else "broken"
    task = before.task_of(kept.clock.name)
    if task is not None:
        after = step.case.task(task.n)
        return "void" if after is None or after.state in NOT_DONE else "met"
    return "met" if is_kept(kept.rule.name, before, step) else "void"


def is_kept(name: str, before: Case, step: Told) -> bool:
    """Whether this step did what was promised.

    What was recorded for the first time was kept now; later runs are told by the track's table.
    """
    after = step.case
    if name not in after.on_time:
        return False
    if name not in before.on_time:
        return True
    if name == "dispatch" and after.stage == "assigned":
        return True
    if name == "callback" and step.event == "called_back":
        return after.stage != "assigned"
    row = TRACKS[before.track].step(COMMAND_OF.get(step.event, ""), before.stage)
    return row is not None and name in row.fulfils


def reason_of(step: Told) -> str | None:
    """The code of the reason of a step; None where its rule names none."""
    kind, _, code = step.rule.partition("/")
    return code if kind in HAS_A_CODE and code else None
