"""What if: when a promise would be due, and each stretch that would be counted. Pure.

A case that never was is put where the caller says, and lives through the pauses and the extension
that he names, by the same functions as any other; its account is what is told. [E22]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal, NamedTuple, get_args
from uuid import UUID

from services.router.decisions import clocks
from services.router.decisions.account import Account, Counted, Line, Told
from services.router.decisions.case import Case, Clock, Extension, Pause, but
from services.router.decisions.policy import ClockName, ClockRule, Policy
from services.router.decisions.policy.statutes import CLOCK_LIMITS, STATUTES
from shared import business_time
from shared.business_time import Span
from shared.divisions import CITY, dispatcher_of, parse_code, tier_of
from shared.durations import Unit, parse_limit
from shared.events import Order, Track, Urgency

NOBODY: Final = UUID(int=0)
HELD_BY_TIERS: Final[frozenset[Track]] = frozenset({"service", "consult"})
"""The tracks whose cases are held by a tier; of the others the desk's promises are told."""
MOST_PAUSES: Final = 50
DAY: Final = timedelta(days=1)

COUNTING: Final[dict[Unit, tuple[str, str]]] = {
    Unit.WORKING_HOURS: (
        "仅计工作日的工作时间",
        "only time within the working hours of working days counts [city]",
    ),
    Unit.WORKING_DAYS: (
        "民法典第201条、第203条：开始当日不计入，届满日至停止业务活动时截止",
        "Civil Code (民法典) art. 201 and 203: the first day is not counted, the last ends at"
        " closing time [law]",
    ),
    Unit.CALENDAR_DAYS: (
        "民法典第201条、第203条：开始当日不计入，末日为法定休假日的顺延",
        "Civil Code (民法典) art. 201 and 203: the first day is not counted; if the last is a day"
        " of rest it ends with the next day that is none [law]",
    ),
}
ELAPSED: Final = (
    "民法典第201条第2款：按小时计算，昼夜节假日连续计算",
    "Civil Code (民法典) art. 201(2): time elapses through nights and holidays [law]",
)


class Asked(NamedTuple):
    """What the caller would know. Without a clock, of all that the policy gives such a case."""

    start: datetime
    division: str
    clock: str | None
    track: Track | None
    urgency: Urgency | None
    category: str | None
    pauses: tuple[Pause, ...]
    extension: tuple[datetime, datetime] | None
    """Granted when, until when."""


class Wrong(NamedTuple):
    """What cannot be answered: which field, and what to write instead."""

    field: str
    says: str


class SpecialDay(NamedTuple):
    """A day that is not what its weekday says, or on which nothing can end."""

    day: date
    kind: Literal["holiday", "make_up_workday", "weekend"]
    provisional: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """A promise that would be made: its last word, what it counted, and by which days and rules."""

    clock: Clock
    line: Line
    moment: str
    urgency: Urgency
    track: Track
    spans: tuple[tuple[Counted, tuple[Span, ...]], ...]
    days: tuple[SpecialDay, ...]
    provisional: bool
    basis: str
    counting: tuple[str, str]


def explained(asked: Asked, policy: Policy) -> tuple[Explained, ...] | Wrong:
    """Each promise that is asked for, or what is wrong with the question."""
    if wrong := wrong_place(asked, policy) or wrong_clock(asked, policy):
        return wrong
    case = supposed(asked, policy)
    if asked.clock is not None:
        rules = [policy.clocks[asked.clock]]  # type: ignore[index]
    else:
        rules = [rule for rule in policy.clocks.values() if clocks.applies(rule, case, policy)]
    if wrong := wrong_changes(asked, rules, policy):
        return wrong
    answers = []
    for rule in rules:
        one = lived(rule, case, asked, policy)
        if isinstance(one, Wrong):
            return one
        answers.append(one)
    return tuple(answers)


# ---------------------------------------------------------------- what cannot be answered


def wrong_place(asked: Asked, policy: Policy) -> Wrong | None:
    """A start that no calendar speaks of, a division or a category that nobody knows."""
    year = asked.start.astimezone(policy.calendar.zone).year
    if not policy.calendar.covers(year):
        known = ", ".join(map(str, sorted(policy.calendar.listed)))
        return Wrong("start", f"the calendar speaks of {known} only: name a start in one of them")
    if asked.division != CITY and asked.division not in policy.divisions:
        return Wrong("division", "no division of this code is known: see /divisions/city")
    if asked.category is not None and asked.category not in policy.categories:
        return Wrong("category", "no category of this code is known in this policy")
    return None


def wrong_clock(asked: Asked, policy: Policy) -> Wrong | None:
    """A clock that the policy does not know, or not for such a case."""
    if asked.clock is None:
        return None
    rule = policy.clocks.get(asked.clock)  # type: ignore[call-overload]
    if rule is None or rule.name == clocks.PAUSE:
        names = ", ".join(name for name in policy.clocks if name != clocks.PAUSE)
        return Wrong("clock", f"name one of: {names}; a pause ends when it was agreed to")
    track = track_of(asked, policy)
    if track not in rule.tracks:
        tracks = ", ".join(sorted(rule.tracks))
        return Wrong("track", f"{rule.name} is promised in these tracks only: {tracks}")
    if rule.name == "tier" and asked.division == CITY:
        return Wrong("division", "the city is no tier: name a division below it")
    return None


def wrong_changes(asked: Asked, rules: list[ClockRule], policy: Policy) -> Wrong | None:
    """Pauses and an extension that the policy would not give."""
    stands_still = policy.settings.escalation.pause.clocks
    if asked.pauses and not any(rule.name in stands_still for rule in rules):
        return Wrong("pauses", f"only {' and '.join(stands_still)} may stand still: leave them out")
    if len(asked.pauses) > MOST_PAUSES:
        return Wrong("pauses", f"name {MOST_PAUSES} at most")
    before = asked.start
    for n, pause in enumerate(asked.pauses):
        if wrong := wrong_pause(pause, before, policy):
            return Wrong(f"pauses.{n}.{wrong.field}", wrong.says)
        before = pause.until
    return None if asked.extension is None else wrong_extension(asked, *asked.extension)


def wrong_extension(asked: Asked, granted: datetime, until: datetime) -> Wrong | None:
    """More time: for which promise, and when it is granted."""
    if asked.clock not in clocks.EXTENDED:
        names = " or ".join(clocks.EXTENDED)
        return Wrong("extension", f"only {names} is extended: name it as the clock")
    if not asked.start <= granted < until:
        return Wrong("extension", "it is granted after the start and before its own end")
    if any(pause.since <= granted < pause.until for pause in asked.pauses):
        return Wrong("extension.granted_at", "nothing is granted while the promise stands still")
    return None


def wrong_pause(pause: Pause, before: datetime, policy: Policy) -> Wrong | None:
    """One pause: its reason, its order, its length."""
    rules = policy.settings.escalation
    if pause.reason not in rules.pause_only_for:
        return Wrong("reason", f"the policy pauses for: {', '.join(rules.pause_only_for)}")
    if pause.since < before:
        return Wrong("from", "pauses follow one another, and begin after the start")
    if pause.until <= pause.since:
        return Wrong("to", "a pause ends after it began")
    if pause.until - pause.since > rules.pause.at_most:
        hours = rules.pause.at_most.total_seconds() / 3600
        return Wrong("to", f"a pause lasts {hours:.0f} hours at most")
    return None


# ---------------------------------------------------------------- the case that never was


def track_of(asked: Asked, policy: Policy) -> Track:
    """The track that was named, else the category's, else the first that has the clock."""
    if asked.track is not None:
        return asked.track
    if asked.category is not None:
        return policy.categories[asked.category].track
    rule = policy.clocks.get(asked.clock or "")  # type: ignore[call-overload]
    tracks = get_args(Track) if rule is None else [t for t in get_args(Track) if t in rule.tracks]
    return tracks[0]  # type: ignore[no-any-return]


def supposed(asked: Asked, policy: Policy) -> Case:
    """A case that begins where and when the caller says, with a contact and nobody accused."""
    row = policy.categories.get(asked.category or "")
    track, tier = track_of(asked, policy), tier_of(parse_code(asked.division))
    held = track in HELD_BY_TIERS and tier is not None
    return Case(
        id=NOBODY,
        number="",
        channel="phone",
        kind="help",
        track=track,
        stage="assigned" if held else "registered",
        urgency=asked.urgency
        or (policy.settings.unclassified.urgency if row is None else row.urgency),
        holder=asked.division,
        role=dispatcher_of(asked.division),
        place=asked.division,
        received_at=asked.start,
        policy=policy.version,
        calendar=policy.calendar.version,
        heard=Order(0, 0),
        category=asked.category,
        tier=tier,
        lowest_tier=tier,
        contact=True,
    )


def lived(rule: ClockRule, case: Case, asked: Asked, policy: Policy) -> Explained | Wrong:
    """One promise of that case, through all that the caller supposes."""
    account = Account(policy)
    start = asked.start
    promise = clocks.due_of(rule, case, start, policy)
    clock = clocks.new_clock(rule, case, 1, start, promise, policy)
    case = but(case, clocks=(clock,), generations={rule.name: 1})
    account.hear(supposing(case, start, "started", "supposed"))
    for moment, change in changes_of(asked, rule, policy):
        after = changed(case, rule.name, moment, change, policy)
        if isinstance(after, Wrong):
            return after
        case = after
        if isinstance(change, datetime):
            account.hear(supposing(case, moment, "extended", "extended"))
        else:
            account.hear(supposing(case, moment, "paused", f"pause/{change.reason}"))
            case = clocks.going_on(case, policy, change.until)
            account.hear(supposing(case, change.until, "resumed", "resumed"))
    last = case.clock(rule.name)
    assert last is not None
    return told(rule, last, account, case, policy)


def changes_of(
    asked: Asked, rule: ClockRule, policy: Policy
) -> list[tuple[datetime, Pause | datetime]]:
    """The pauses, and the end of the extension by when it is granted, in order of time."""
    changes: list[tuple[datetime, Pause | datetime]] = []
    if rule.name in policy.settings.escalation.pause.clocks:
        changes += [(pause.since, pause) for pause in asked.pauses]
    if asked.extension is not None:
        changes.append(asked.extension)
    return sorted(changes, key=lambda one: one[0])


def changed(
    case: Case, name: str, moment: datetime, change: Pause | datetime, policy: Policy
) -> Case | Wrong:
    """The case after a pause began or an extension was granted."""
    clock = case.clock(name)
    assert clock is not None
    due_at = clock.due_at.astimezone(policy.calendar.zone).isoformat()
    if clocks.is_late(clock, moment):
        field = "pauses" if isinstance(change, Pause) else "extension"
        return Wrong(field, f"{name} is due {due_at}, and what is late runs on: leave out the rest")
    if isinstance(change, Pause):
        return clocks.paused(case, change, policy, moment)
    more = change - clock.due_at
    percent = policy.settings.escalation.extension.at_most_percent
    most = (clock.due_at - clock.started_at) * percent / 100
    if not timedelta(0) < more <= most:
        last = (clock.due_at + most).astimezone(policy.calendar.zone).isoformat()
        says = f"{name} is due {due_at}: name a later time, {last} at most"
        return Wrong("extension.until", says)
    return clocks.extended(case, Extension(change, more, "", moment), policy, moment)


def supposing(case: Case, at: datetime, event: str, rule: str) -> Told:
    """A step of a case that never was: nobody did it."""
    return Told(at, event, (event,), rule, "", "", case)


# ---------------------------------------------------------------- what is told of it


def told(rule: ClockRule, clock: Clock, account: Account, case: Case, policy: Policy) -> Explained:
    """The promise as it stands at the end, counted until it is due."""
    lines = account.upto(clock.due_at)
    line = next(one for one in reversed(lines) if one.name == rule.name)
    unit = parse_limit(line.limit).unit
    ended = [span._replace(end=span.end or clock.due_at) for span in line.spans]
    dues = clocks.dues_of(rule, case, clock.started_at, policy)
    return Explained(
        clock=clock,
        line=line,
        moment=rule.start,
        urgency=case.urgency,
        track=case.track,
        spans=tuple((span, counted_in(span, unit, policy)) for span in ended),
        days=tuple(special_days(line, unit, policy)),
        provisional=min(dues, key=lambda one: one.at).provisional,
        basis=basis_of(rule.name, policy),
        counting=COUNTING.get(unit, ELAPSED),
    )


def counted_in(span: Counted, unit: Unit, policy: Policy) -> tuple[Span, ...]:
    """The stretches of a span that count."""
    if span.state != "counted" or span.end is None:
        return ()
    return business_time.stretches(span.start, span.end, unit, policy.calendar)


def special_days(line: Line, unit: Unit, policy: Policy) -> Iterator[SpecialDay]:
    """The holidays and make-up days in a promise that asks for them.

    Of calendar days only those of rest matter that moved the end, weekends too.
    """
    calendar = policy.calendar
    first, end = (at.astimezone(calendar.zone).date() for at in (line.start, line.due_at))
    if unit in (Unit.WORKING_DAYS, Unit.WORKING_HOURS):
        for n in range((end - first).days + 1):
            day = first + n * DAY
            if day in calendar.holidays or calendar.is_workday(day) is not (day.weekday() < 5):
                yield special(day, policy)
    elif unit is Unit.CALENDAR_DAYS:
        # It is due at the midnight after its last day, a working day.
        for n in range(sum(one.amount for one in line.added), 0, -1):
            yield special(end - (n + 1) * DAY, policy)


def special(day: date, policy: Policy) -> SpecialDay:
    """A day that is not what its weekday says, or of a weekend."""
    calendar = policy.calendar
    kind: Literal["holiday", "make_up_workday", "weekend"] = "holiday"
    if calendar.is_workday(day):
        kind = "make_up_workday"
    elif day.weekday() >= 5 and day not in calendar.holidays:
        kind = "weekend"
    return SpecialDay(day, kind, calendar.is_provisional(day.year))


def basis_of(name: ClockName, policy: Policy) -> str:
    """Where a promise comes from: the article of its limit, or what the policy file says."""
    key = CLOCK_LIMITS.get(name)
    law = next((one.law for one in STATUTES if one.key == key), None)
    return policy.settings.clocks[name].source if law is None else law
