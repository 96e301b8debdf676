"""Which promises run, whose they are and until when. Pure: the policy and `now` are arguments.

A clock starts at a *moment* (received, entered_queue, assigned, entered_tier, signed, resolved)
as the policy file says under `from`. Every start, stop and change of owner raises its generation,
which is never reset. Clocks are promises of time to a person: `received` is always the server's
`received_at`, whatever happened before; of a case that was reopened it is that moment.

A due time is derived, never shifted: the limit from its start, then each pause and the extension in
the order in which they came (`due_of`). So what is stored can always be computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from services.router.decisions.case import Case, Clock, Extension, Pause, but
from services.router.decisions.policy import ClockRule, ClockWhen, Policy
from services.router.decisions.routing import apart_from_accused, holder_for, office_for
from services.router.decisions.tasks import Task
from shared.business_time import Due, DutyHours, Span, due, due_within_duty, opening, resumed
from shared.divisions import CITY, Tier, dispatcher_of, is_within, next_tier, tier_of
from shared.durations import Limit, Unit, elapsed
from shared.events import OnBreach, promise_of

DEPARTMENT = "department_officer"
REACHABLE_ON_FOOT = (Tier.GRID, Tier.COMMUNITY)
PAUSE = "pause"
EXTENDED = ("tier", "final_reply")


class Promise(NamedTuple):
    """When a clock is due, whether that may still change, and the limit from its start."""

    at: datetime
    provisional: bool
    limit: Limit


class Owner(NamedTuple):
    """Whose promise a clock is. Without an office it is the division's own."""

    division: str
    role: str
    office: str | None = None


def rule_of(clock: str, policy: Policy) -> ClockRule:
    """What the policy says of a clock of a case; of a task's own, of the promise that it is."""
    return policy.clocks[promise_of(clock)]  # type: ignore[index]


def owner_of_clock(clock: str, case: Case, policy: Policy) -> Owner:
    """The owner of a running clock: a task's is of whoever has to do something about it."""
    task = case.task_of(clock)
    if task is None:
        return owner_of(rule_of(clock, policy), case, policy)
    return owner_of_task(task, case, policy)


def owner_of_task(task: Task, case: Case, policy: Policy) -> Owner:
    """Who has to do something about a task: who was asked, or who decides on his objection."""
    if task.promise != "objection":
        return Owner(task.division, task.role, task.office)
    assert task.decider is not None
    decider = apart_from_accused(task.decider, case.accused_division, policy)
    return Owner(decider, dispatcher_of(decider))


def owner_of(rule: ClockRule, case: Case, policy: Policy) -> Owner:
    """The owner of a clock: a division and a role in it, never the accused or below it."""
    match rule.owner:
        case "street_cadre":
            street = holder_for(Tier.STREET, case.place, case.accused_division, policy)
            if tier_of(street) is not Tier.STREET:
                # The cadre's deputy, where no street is known or may answer. [domain B1]
                return Owner(case.holder, case.role, case.office)
            return Owner(street, "street_cadre")
        case "grid_team":
            return Owner(case.place, "grid_team")
        case "hotline":
            return Owner(CITY, "hotline_agent")
        case "lead_office":
            return lead_of(case, policy)
        case _:
            return Owner(case.holder, case.role, case.office)


def lead_of(case: Case, policy: Policy) -> Owner:
    """Who leads: the holder, but of what only starts below the street its lead office there.

    Where no office may have it, the desk of the street leads.
    """
    holder = Owner(case.holder, case.role, case.office)
    starts_here = case.street_leads and tier_of(case.holder) in REACHABLE_ON_FOOT
    if case.stage == "registered" or not starts_here:
        return holder
    street = holder_for(Tier.STREET, case.place, case.accused_division, policy)
    office = office_of(case, street, policy)
    role = dispatcher_of(street) if office is None else DEPARTMENT
    return Owner(street, role, office)


def office_of(case: Case, division: str, policy: Policy) -> str | None:
    """The office that is to hold a case in a division; None where its own desk does.

    Nobody but desks while it is not known who is accused: it may be any office, and is likeliest
    the one that would lead. Petition Regs 30, 46. [law]
    """
    if case.accused_unknown:
        return None
    return office_for(case.category, division, case.accused_office, policy)


def applies(rule: ClockRule, case: Case, policy: Policy) -> bool:
    """Whether the policy gives this case this clock."""
    if case.track not in rule.tracks:
        return False
    waiting = case.stage == "registered" and case.track != "handoff"
    if waiting and rule.name not in policy.settings.unclassified.clocks:
        return False
    if rule.name == "reply" and case.replied:
        return False
    return waiting if rule.when == "waiting_for_dispatcher" else is_so(rule.when, case)


def is_so(when: ClockWhen | None, case: Case) -> bool:
    """Whether a case is as a clock wants it."""
    match when:
        case None:
            return True
        case "place_known":
            # A visit needs an address: a team cannot verify "somewhere in this street". [ours]
            on_foot = tier_of(case.place) in REACHABLE_ON_FOOT
            return on_foot and not case.verified and not accused_within(case)
        case "contact_known":
            return case.contact
        case "paused":
            return case.pause is not None
        case _:
            return False


def accused_within(case: Case) -> bool:
    """Whether the place of a case lies with who is shut out of it: he is never asked to look."""
    return case.accused_division is not None and is_within(case.place, case.accused_division)


def due_of(rule: ClockRule, case: Case, start: datetime, policy: Policy) -> Promise:
    """When a clock that starts at `start` is due, with all that changed its time since."""
    return min(dues_of(rule, case, start, policy), key=lambda one: one.at)


def dues_of(rule: ClockRule, case: Case, start: datetime, policy: Policy) -> list[Promise]:
    """The same of every limit that the promise has; the earliest counts."""
    first = first_due_of(rule, case, start, policy)
    return [lengthened(one, rule.name, case, start, policy) for one in first]


def first_due_of(rule: ClockRule, case: Case, start: datetime, policy: Policy) -> list[Promise]:
    """The due times that were promised at the start; the earliest counts."""
    if rule.name == PAUSE:
        assert case.pause is not None
        return [Promise(case.pause.until, False, in_seconds(case.pause.until - start))]
    legal = case.category in policy.settings.first_tier.legal_route
    limit = rule.limit_for(case.urgency, legal_route=legal)
    if limit is None:
        return tier_dues(case, start, policy)
    hours = duty_hours_of(rule, case, policy)
    if hours is not None:
        return [Promise(*due_within_duty(start, limit, hours, policy.calendar), limit)]
    return [Promise(*due(start, limit, policy.calendar), limit)]


def duty_hours_of(rule: ClockRule, case: Case, policy: Policy) -> DutyHours | None:
    """The hours that a promise waits for when it begins outside them; None: it waits for none."""
    duty = policy.settings.duty_hours
    if (
        rule.name not in duty.apply_to.clocks
        or case.urgency not in duty.apply_to.urgency
        or duty.around_the_clock
    ):
        return None
    at_the_grid = rule.owner == "grid_team" or case.tier is Tier.GRID
    return policy.duty_hours["grid" if at_the_grid else "offices"]


def counted_from(rule: ClockRule, case: Case, start: datetime, policy: Policy) -> datetime:
    """From when a promise that starts at `start` is counted: then, or from the next opening."""
    hours = duty_hours_of(rule, case, policy)
    return start if hours is None else opening(start, hours, policy.calendar).at


def tier_dues(case: Case, start: datetime, policy: Policy) -> list[Promise]:
    """Entered tier + share of the final reply, or the matter's own limit, afresh in each tier.

    [ours] A case that starts higher keeps the unused shares of the tiers below.
    """
    assert case.tier is not None
    percent = policy.tier_percent(case.tier, case.lowest_tier or case.tier)
    final_reply = policy.clocks["final_reply"].limit_for(case.urgency)
    assert final_reply is not None
    length = elapsed(final_reply) * percent / 100
    dues = [Promise(start + length, False, in_seconds(length))]
    own = policy.resolve_limits.get(case.category or "")
    if own is not None:
        dues.append(Promise(*due(start, own, policy.calendar), own))
    return dues


def in_seconds(length: timedelta) -> Limit:
    """Elapsed time as a limit; written in minutes where that is exact."""
    seconds = max(1, round(length.total_seconds()))
    whole = seconds % 60 == 0
    return Limit(seconds // 60 if whole else seconds, Unit.MINUTES if whole else Unit.SECONDS)


def lengthened(first: Promise, name: str, case: Case, start: datetime, policy: Policy) -> Promise:
    """What was promised, after the pauses and the extension that came since, in their order."""
    promise = Due(first.at, first.provisional)
    for change in changes_since(name, case, start, policy):
        promise = after_change(promise, first.limit.unit, change, policy)
    return Promise(promise.at, promise.provisional, first.limit)


class Granted(NamedTuple):
    """More time that was given at a moment."""

    start: datetime
    by: timedelta


def changes_since(name: str, case: Case, start: datetime, policy: Policy) -> list[Span | Granted]:
    """The pauses that are over and the extension that changed a promise since its start."""
    changes: list[Span | Granted] = []
    if name in policy.settings.escalation.pause.clocks:
        changes += [pause for pause in case.pauses if pause.start >= start]
    extension = case.extension
    granted = None if extension is None else extension.granted_at
    if name in EXTENDED and extension is not None and granted is not None and granted >= start:
        changes.append(Granted(granted, extension.by))
    return sorted(changes, key=lambda one: one.start)


def after_change(promise: Due, unit: Unit, change: Span | Granted, policy: Policy) -> Due:
    """When it is due after one pause or extension."""
    if isinstance(change, Span):
        return resumed(promise, unit, change, policy.calendar)
    return Due(promise.at + change.by, promise.provisional)


def warnings(start: datetime, due_at: datetime, policy: Policy) -> tuple[datetime, ...]:
    """When a clock warns before its breach, each mark at most once."""
    length = due_at - start
    return tuple(start + length * percent / 100 for percent in policy.warn_percents(length))


def on_breach(rule: ClockRule, case: Case, policy: Policy) -> tuple[OnBreach, timedelta | None]:
    """What a breach does and how often it is said again; above the last tier is supervision."""
    if rule.on_breach == "promote" and case.tier is not None and next_tier(case.tier) is None:
        top = policy.settings.escalation.at_the_top
        every = top.supervise_every_U1 if case.urgency == "U1" else top.supervise_every
        return "supervise", every
    return rule.on_breach, rule.repeat_for(case.urgency)


def start(case: Case, moments: Iterable[str], policy: Policy, now: datetime) -> Case:
    """Start, afresh, every clock of these moments that applies to the case as it now stands.

    A clock that runs from receipt and is past already, because the matter was classified late, is
    due after the policy's grace. [ours] What was missed by then stays missed.
    """
    wanted = set(moments)
    running = {clock.name: clock for clock in case.clocks}
    on_time = dict(case.on_time)
    generations = dict(case.generations)
    calendar = case.calendar
    for name, rule in policy.clocks.items():
        if rule.start not in wanted or not applies(rule, case, policy):
            continue
        from_receipt = rule.start == "received"
        begun = case.receipt if from_receipt else now
        when = due_of(rule, case, begun, policy)
        when_at = with_grace(when.at, policy, now)
        before = running.get(name)
        if from_receipt and is_made(before, when.at, when_at):
            continue
        if before is not None and is_late(before, now):
            on_time[name] = False
        generations[name] = generations.get(name, 0) + 1
        promise = when._replace(at=when_at)
        running[name] = new_clock(rule, case, generations[name], begun, promise, policy)
        if when.provisional:
            calendar = f"{policy.calendar.version}/provisional"
    clocks = tuple(running.values())
    return but(case, clocks=clocks, generations=generations, calendar=calendar, on_time=on_time)


def with_grace(due_at: datetime, policy: Policy, now: datetime) -> datetime:
    """The due time of a promise that is made now; one that is past has the policy's grace."""
    return due_at if due_at > now else now + policy.settings.unclassified.grace_after_classifying


def is_made(clock: Clock | None, due_at: datetime, graced: datetime) -> bool:
    """Whether this promise runs already: from receipt it is made once, not with each step.

    A grace is given once: what is past for the second time keeps the due time that it has.
    """
    if clock is None:
        return False
    return clock.due_at == due_at or (graced != due_at and clock.due_at <= graced)


def new_clock(
    rule: ClockRule,
    case: Case,
    generation: int,
    begun: datetime,
    promise: Promise,
    policy: Policy,
) -> Clock:
    """A clock of this generation."""
    does, repeat = on_breach(rule, case, policy)
    owner = owner_of(rule, case, policy)
    return Clock(
        name=rule.name,
        generation=generation,
        owner_division=owner.division,
        owner_role=owner.role,
        owner_office=owner.office,
        started_at=begun,
        due_at=promise.at,
        warn_at=warnings(begun, promise.at, policy),
        on_breach=does,
        repeat=repeat,
        limit=str(promise.limit),
    )


def is_late(clock: Clock, now: datetime) -> bool:
    """Whether a promise is broken by now: none is while it stands still."""
    return not clock.paused and now > clock.due_at


def keep(case: Case, names: Iterable[str], now: datetime) -> Case:
    """These promises were fulfilled: stop their clocks and record whether in time.

    A clock may run several times in the life of a case, as the tier clock does, and each task has
    its own: the promise was on time only if it was so each time. Once missed, the promise of that
    name stays missed.
    """
    names = set(names)
    on_time = dict(case.on_time)
    for clock in case.clocks:
        if clock.name in names:
            promise = promise_of(clock.name)
            on_time[promise] = on_time.get(promise, True) and not is_late(clock, now)
    return stop(case, names, on_time)


def drop(case: Case, names: Iterable[str], now: datetime) -> Case:
    """These promises are void: stop their clocks. One that was missed by now is recorded so.

    Nothing is recorded of one that was not due yet: it was neither kept nor broken.
    """
    names = set(names)
    missed = {promise_of(c.name): False for c in case.clocks if c.name in names and is_late(c, now)}
    return stop(case, names, {**case.on_time, **missed})


def stop(case: Case, names: Collection[str], on_time: Mapping[str, bool]) -> Case:
    """Stop these clocks; `on_time` is what is recorded of the promises of the case from now on."""
    ended = [clock.name for clock in case.clocks if clock.name in names]
    if not ended:
        return case
    generations = dict(case.generations)
    for name in ended:
        generations[name] += 1
    running = tuple(clock for clock in case.clocks if clock.name not in names)
    return but(case, clocks=running, generations=generations, on_time=on_time)


def shortened(case: Case, names: Collection[str], policy: Policy, now: datetime) -> Case:
    """After a correction: what these promises have too much is cut, from the start that they had.

    Never lengthened: a promise that was made stands. What would be past already is due after the
    policy's grace. [ours]
    """
    generations = dict(case.generations)
    clocks: list[Clock] = []
    for clock in case.clocks:
        if clock.name in names:
            rule = rule_of(clock.name, policy)
            promise = due_of(rule, case, clock.started_at, policy)
            promise = promise._replace(at=with_grace(promise.at, policy, now))
            if promise.at < clock.due_at:
                generations[clock.name] += 1
                generation = generations[clock.name]
                clock = new_clock(rule, case, generation, clock.started_at, promise, policy)
        clocks.append(clock)
    return but(case, clocks=tuple(clocks), generations=generations)


def reassign(case: Case, policy: Policy) -> Case:
    """After a change of holder: clocks whose owner changed get him, and a new generation.

    The promise itself goes on: its start and due time stay, so no warning is given twice.
    """
    generations = dict(case.generations)
    clocks: list[Clock] = []
    for clock in case.clocks:
        owner = owner_of_clock(clock.name, case, policy)
        if owner == (clock.owner_division, clock.owner_role, clock.owner_office):
            clocks.append(clock)
            continue
        generations[clock.name] += 1
        clocks.append(
            replace(
                clock,
                generation=generations[clock.name],
                owner_division=owner.division,
                owner_role=owner.role,
                owner_office=owner.office,
                answered=False,
            )
        )
    return but(case, clocks=tuple(clocks), generations=generations)


def start_task(case: Case, task: Task, policy: Policy, now: datetime) -> Case:
    """Start, afresh, the clock that a task has in its state."""
    rule = policy.clocks[task.promise]  # type: ignore[index]
    promise = due_of_task(task, rule, case, now, policy)
    generations = {**case.generations, task.clock: case.generations.get(task.clock, 0) + 1}
    owner = owner_of_task(task, case, policy)
    clock = replace(
        new_clock(rule, case, generations[task.clock], now, promise, policy),
        name=task.clock,
        owner_division=owner.division,
        owner_role=owner.role,
        owner_office=owner.office,
    )
    calendar = f"{policy.calendar.version}/provisional" if promise.provisional else case.calendar
    clocks = (*case.clocks, clock)
    return but(case, clocks=clocks, generations=generations, calendar=calendar)


def due_of_task(
    task: Task, rule: ClockRule, case: Case, start: datetime, policy: Policy
) -> Promise:
    """When something must be done about a task: by its own deadline, or by the policy's limit.

    A conference has its limit from the day on which it meets. A deadline that is past when a task
    is asked for again has the policy's grace.
    """
    own = task.until if rule.name != "objection" and rule.name != "report_in" else None
    if own is not None:
        at = with_grace(own, policy, start)
        return Promise(at, False, in_seconds(at - start))
    return due_of(rule, case, begins_for_task(task, start), policy)


def begins_for_task(task: Task | None, start: datetime) -> datetime:
    """From when the clock of a task has its limit; without a task, from its start."""
    return start if task is None else max(start, task.meets_at or start)


def answered(case: Case, name: str) -> Case:
    """The order of this clock's generation was answered; the breach itself stands."""
    return but(
        case,
        clocks=tuple(
            replace(clock, answered=True) if clock.name == name else clock for clock in case.clocks
        ),
    )


# ---------------------------------------------------------------- standing still, more time


def paused(case: Case, pause: Pause, policy: Policy, now: datetime) -> Case:
    """These promises stand still; what is late already is late, and runs on. [ours]"""
    names = policy.settings.escalation.pause.clocks
    case = changed(
        but(case, pause=pause),
        lambda clock: (
            replace(clock, paused=True)
            if clock.name in names and not is_late(clock, now)
            else clock
        ),
    )
    return start(case, ("paused",), policy, now)


def going_on(case: Case, policy: Policy, now: datetime) -> Case:
    """The pause is over: what was left of each promise is left again."""
    if case.pause is None:
        return case
    span = Span(case.pause.since, now)
    before = but(stop(case, (PAUSE,), case.on_time), pause=None)
    after = but(before, pauses=(*case.pauses, span))
    more = More(before, after, span.start, now - span.start)
    return changed(after, lambda clock: later(clock, more, policy) if clock.paused else clock)


def extended(case: Case, extension: Extension, policy: Policy, now: datetime) -> Case:
    """More time for the final reply, and as much for the tier that has it now.

    What was missed by now stays missed.
    """
    missed = {c.name: False for c in case.clocks if c.name in EXTENDED and is_late(c, now)}
    granted = replace(extension, granted_at=now)
    after = but(case, extension=granted, on_time={**case.on_time, **missed})
    more = More(case, after, now, extension.by)
    return changed(
        after, lambda clock: later(clock, more, policy) if clock.name in EXTENDED else clock
    )


class More(NamedTuple):
    """More time since a moment: the case before and after it was given, and how much it was."""

    before: Case
    after: Case
    since: datetime
    length: timedelta


def later(clock: Clock, more: More, policy: Policy) -> Clock:
    """A clock with more time: derived anew, or, where a grace had set it, as much later.

    The marks that were passed stay where they are, so that no warning is given twice.
    """
    rule, start = rule_of(clock.name, policy), clock.started_at
    if due_of(rule, more.before, start, policy).at == clock.due_at:
        due_at = due_of(rule, more.after, start, policy).at
    else:
        due_at = clock.due_at + more.length
    moved = due_at - clock.due_at
    marks = tuple(mark if mark <= more.since else mark + moved for mark in clock.warn_at)
    return replace(clock, due_at=due_at, warn_at=marks, paused=False, answered=False)


def changed(case: Case, change: Callable[[Clock], Clock]) -> Case:
    """The case with its clocks changed; those that are other clocks now are a new generation."""
    generations = dict(case.generations)
    clocks: list[Clock] = []
    for clock in case.clocks:
        after = change(clock)
        if after != clock:
            generations[clock.name] += 1
            after = replace(after, generation=generations[clock.name])
        clocks.append(after)
    return but(case, clocks=tuple(clocks), generations=generations)
