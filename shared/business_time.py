"""Business time: when a limit that starts now is due. Pure: calendar and start are arguments.

    parse_calendar(rows, version=…)   holidays and make-up workdays of the published years
    parse_duty("07:00-21:00", …)      when somebody is there
    due(start, limit, calendar)       the promise, and whether it may still change
    due_within_duty(…)                the same, from the opening when it comes at night
    resumed(promised, unit, pause, …) when it is due after it stood still for a while
    explain(start, limit, calendar)   the stretches of time that were counted
    stretches(start, end, unit, …)    the same between any two moments
    opening(start, duty, calendar)    from when a limit is counted that waits for duty hours
    left(moment, due_at, unit, …)     what of a promise is left at a moment

How the units count, and why:

s, min, h   elapsed time, through nights and holidays. Civil Code 201(2). [law]
d           calendar days: the first day is not counted (Civil Code 201(1)), the last ends at 24:00
            (203(2)); if it is a statutory day of rest it moves to the next day that is none
            (203(1)). [law]  Day of rest (法定休假日) is read as every official day off: the days of
            the yearly State Council notice and weekends, except weekend days that the notice makes
            workdays. The article's forerunner said so ("a Sunday or other statutory day of rest",
            General Principles of Civil Law 154(3)), and it is the safe side for residents: no
            right of theirs ends on a day when every office is shut. [ours]
wd          working days: the first day is not counted, the last ends at closing time (Civil Code
            203(2)). [law]
wh          working hours: only time within the working hours of working days. [city]

The Civil Code binds civil matters; to count petitions by it is our choice. [ours]

Days are days in China: one time, UTC+8, without daylight saving since 1991, so a fixed offset is
enough and no time-zone database is asked. Inside, a moment is (ordinal of the local day,
microseconds since its midnight).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cached_property
from typing import NamedTuple, assert_never

from shared.durations import DAY, MINUTE, Limit, Segment, Unit, parse_hours

_SECOND = MINUTE // 60
_MICROSECOND = timedelta(microseconds=1)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_ZONES = {"Asia/Shanghai": timezone(timedelta(hours=8), "Asia/Shanghai")}

# The holidays with a date of their own: Regulations on Public Holidays (全国年节及纪念日放假办法)
# art. 2 as amended by State Council Order 795, from 2025. The lunar ones wait for the notice.
_FIXED_HOLIDAYS = ((1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3))


class Due(NamedTuple):
    """`at`, in UTC, a promise is due; `provisional` if a year without a notice had a say in it."""

    at: datetime
    provisional: bool


class Span(NamedTuple):
    """A stretch of time, in UTC."""

    start: datetime
    end: datetime


class DutyHours(NamedTuple):
    """When somebody is there: on every day, or on working days only."""

    segments: tuple[Segment, ...]
    every_day: bool


class _Year(NamedTuple):
    first: int  # ordinal of 1 January
    workdays: tuple[int, ...]  # their ordinals
    before: tuple[int, ...]  # for each day of the year, how many workdays lie before it
    provisional: bool


@dataclass(frozen=True)
class Calendar:
    """The working days and hours of one version of the calendar.

    `published` are the years whose State Council notice is in `holidays` and `workdays` (weekend
    days made workdays); `listed` are all years the data speaks of, those without a notice too.
    """

    version: str
    zone: timezone
    working_hours: tuple[Segment, ...]
    holidays: frozenset[date]
    workdays: frozenset[date]
    published: frozenset[int]
    listed: frozenset[int]

    def covers(self, year: int) -> bool:
        """Whether the data speaks of this year at all."""
        return year in self.listed

    def is_provisional(self, year: int) -> bool:
        """Whether the notice is missing, so that weekends and fixed-date holidays must do."""
        return year not in self.published

    def known_for(self, now: datetime) -> timedelta:
        """How long until a year begins whose notice is not published; 0 in one."""
        year = now.astimezone(self.zone).year
        while not self.is_provisional(year):
            year += 1
        return max(timedelta(), datetime(year, 1, 1, tzinfo=self.zone) - now)

    def is_workday(self, day: date) -> bool:
        """Whether offices work on this day."""
        if day in self.workdays:
            return True
        if day.weekday() >= 5 or day in self.holidays:
            return False
        return not (self.is_provisional(day.year) and (day.month, day.day) in _FIXED_HOLIDAYS)

    @cached_property
    def _years(self) -> dict[int, _Year]:
        return {}

    def _year(self, year: int) -> _Year:
        table = self._years.get(year)
        if table is None:
            first = date(year, 1, 1).toordinal()
            workdays: list[int] = []
            before: list[int] = []
            for day in range(first, date(year, 12, 31).toordinal() + 1):
                before.append(len(workdays))
                if self.is_workday(date.fromordinal(day)):
                    workdays.append(day)
            table = _Year(first, tuple(workdays), tuple(before), self.is_provisional(year))
            self._years[year] = table
        return table

    def _workday(self, day: int, number: int) -> tuple[int, bool]:
        """The workday number 0, 1, … on or after `day`; whether a provisional year was asked."""
        year = date.fromordinal(day).year
        table = self._year(year)
        provisional = table.provisional
        number += table.before[day - table.first]
        while number >= len(table.workdays):
            number -= len(table.workdays)
            year += 1
            table = self._year(year)
            provisional = provisional or table.provisional
        return table.workdays[number], provisional

    def _after_work(self, start: datetime, amount: int) -> tuple[int, int, bool]:
        """The day and time when so many microseconds are worked; whether a provisional year was
        asked."""
        day, time = self._local(start)
        first, _ = self._workday(day, 0)
        worked = amount
        if first == day:
            worked += self._worked_until(time)
        # Used up exactly, it ends at closing and not at the next opening: hence the - 1 and + 1.
        days, rest = divmod(worked - 1, self._worked_per_day)
        last, provisional = self._workday(day, days)
        for begin, end in self.working_hours:
            if rest < end - begin:
                break
            rest -= end - begin
        return last, begin + rest + 1, provisional

    def _worked_until(self, time: int) -> int:
        """What is worked of a working day by this time of it."""
        return sum(min(time, end) - begin for begin, end in self.working_hours if time > begin)

    def _worked(self, start: datetime, end: datetime) -> int:
        """The microseconds worked between two moments."""
        first, begin = self._local(start)
        last, finish = self._local(end)
        worked = self._workdays(first, last - 1) * self._worked_per_day
        for day, time, sign in ((first, begin, -1), (last, finish, 1)):
            if self.is_workday(date.fromordinal(day)):
                worked += sign * self._worked_until(time)
        return worked

    def _workdays(self, first: int, last: int) -> int:
        """How many working days there are from one day to another, both counted."""
        days = range(first, last + 1)
        return sum(self.is_workday(date.fromordinal(day)) for day in days)

    @cached_property
    def _worked_per_day(self) -> int:
        return sum(end - begin for begin, end in self.working_hours)

    def _local(self, moment: datetime) -> tuple[int, int]:
        since = moment - self._origin
        return since.days + _EPOCH_DAY, since.seconds * _SECOND + since.microseconds

    def _utc(self, day: int, time: int) -> datetime:
        return self._origin + timedelta(days=day - _EPOCH_DAY, microseconds=time)

    @cached_property
    def _origin(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=self.zone).astimezone(UTC)


def due(start: datetime, limit: Limit, calendar: Calendar) -> Due:
    """When a limit that starts at `start` is due; ValueError if `start` has no time zone."""
    if start.tzinfo is None:
        raise ValueError("a start needs its time zone")
    match limit.unit:
        case Unit.SECONDS:
            return Due(start.astimezone(UTC) + timedelta(seconds=limit.amount), provisional=False)
        case Unit.MINUTES:
            return Due(start.astimezone(UTC) + timedelta(minutes=limit.amount), provisional=False)
        case Unit.HOURS:
            return Due(start.astimezone(UTC) + timedelta(hours=limit.amount), provisional=False)
        case Unit.CALENDAR_DAYS:
            first, _ = calendar._local(start)
            last, provisional = calendar._workday(first + limit.amount, 0)
            time = DAY
        case Unit.WORKING_DAYS:
            first, _ = calendar._local(start)
            last, provisional = calendar._workday(first + 1, limit.amount - 1)
            time = calendar.working_hours[-1].closes
        case Unit.WORKING_HOURS:
            last, time, provisional = calendar._after_work(start, limit.amount * 60 * MINUTE)
        case _:
            assert_never(limit.unit)
    return Due(calendar._utc(last, time), provisional)


def due_within_duty(start: datetime, limit: Limit, duty: DutyHours, calendar: Calendar) -> Due:
    """When a limit is due that, outside the duty hours, waits for their next opening. [ours]

    From there it runs like any other, past closing too. ValueError if `start` has no time zone.
    """
    if start.tzinfo is None:
        raise ValueError("a start needs its time zone")
    begins = opening(start, duty, calendar)
    promised = due(begins.at, limit, calendar)
    return Due(promised.at, begins.provisional or promised.provisional)


def resumed(promised: Due, unit: Unit, pause: Span, calendar: Calendar) -> Due:
    """When a promise is due that stood still for a while: what was left of it is left again. [ours]

    Elapsed time and working hours are left to the microsecond. Of days as many are left as were to
    come on the day on which the pause began: days of which a part was paused are not counted off.
    A pause that begins when the promise is due already changes nothing.
    """
    if pause.start >= promised.at:
        return promised
    today, _ = calendar._local(pause.end)
    began, _ = calendar._local(pause.start)
    ends, _ = calendar._local(promised.at - _MICROSECOND)
    match unit:
        case Unit.SECONDS | Unit.MINUTES | Unit.HOURS:
            return Due(promised.at + (pause.end - pause.start), promised.provisional)
        case Unit.WORKING_HOURS:
            left = calendar._worked(pause.start, promised.at)
            last, time, provisional = calendar._after_work(pause.end, max(1, left))
        case Unit.CALENDAR_DAYS:
            last, provisional = calendar._workday(today + ends - began, 0)
            time = DAY
        case Unit.WORKING_DAYS:
            time = calendar.working_hours[-1].closes
            over = calendar._utc(today, time) <= pause.end
            left = calendar._workdays(began + 1, ends) or int(over)
            last, provisional = calendar._workday(today + (left > 0), max(0, left - 1))
        case _:
            assert_never(unit)
    return Due(calendar._utc(last, time), promised.provisional or provisional)


def opening(start: datetime, duty: DutyHours, calendar: Calendar) -> Due:
    """`start` itself within the duty hours, else the moment when they next begin."""
    today, time = calendar._local(start)
    day, provisional = (today, False) if duty.every_day else calendar._workday(today, 0)
    if day == today:
        for opens, closes in duty.segments:
            if time < closes:
                return Due(calendar._utc(day, max(time, opens)), provisional)
        day, provisional = (today + 1, False) if duty.every_day else calendar._workday(today, 1)
    return Due(calendar._utc(day, duty.segments[0].opens), provisional)


def explain(start: datetime, limit: Limit, calendar: Calendar) -> tuple[Span, ...]:
    """The stretches of time that `due` counted, in order; the last one ends when the limit is due.

    Elapsed units give one stretch, working hours each one worked, working days one a day; calendar
    days the days counted and, if the last was a day of rest, then the days it was moved by.
    ValueError like `due`.
    """
    end = due(start, limit, calendar).at
    if limit.unit is Unit.CALENDAR_DAYS:
        first, _ = calendar._local(start)
        midnight, counted = calendar._utc(first, DAY), calendar._utc(first + limit.amount, DAY)
        return (Span(midnight, counted), Span(counted, end))[: 1 + (counted < end)]
    return stretches(start, end, limit.unit, calendar)


def stretches(start: datetime, end: datetime, unit: Unit, calendar: Calendar) -> tuple[Span, ...]:
    """The stretches of time between two moments that count in a unit, in order.

    Of days, working or not, none counts on which the first moment lies.
    """
    first, _ = calendar._local(start)
    last, _ = calendar._local(end - _MICROSECOND)
    begin, hours = start.astimezone(UTC), calendar.working_hours
    match unit:
        case Unit.SECONDS | Unit.MINUTES | Unit.HOURS:
            return (Span(begin, end),) if begin < end else ()
        case Unit.CALENDAR_DAYS:
            midnight = calendar._utc(first, DAY)
            return (Span(midnight, end),) if midnight < end else ()
        case Unit.WORKING_DAYS:
            begin, hours = calendar._utc(first, DAY), (Segment(0, DAY),)
        case Unit.WORKING_HOURS:
            pass
        case _:
            assert_never(unit)
    spans = (
        Span(max(begin, calendar._utc(day, opens)), min(end, calendar._utc(day, closes)))
        for day in range(first, last + 1)
        if calendar.is_workday(date.fromordinal(day))
        for opens, closes in hours
    )
    return tuple(span for span in spans if span.start < span.end)


def left(moment: datetime, due_at: datetime, unit: Unit, calendar: Calendar) -> int:
    """What of a promise is left at a moment: microseconds, of days those to come; 0 if it is late.

    A pause leaves it as it is. Of days, the one that runs has been counted already; a pause that
    lasts over the last of them gives that one back.
    """
    if moment >= due_at:
        return 0
    match unit:
        case Unit.SECONDS | Unit.MINUTES | Unit.HOURS:
            return (due_at - moment) // _MICROSECOND
        case Unit.WORKING_HOURS:
            return calendar._worked(moment, due_at)
        case Unit.CALENDAR_DAYS | Unit.WORKING_DAYS:
            today, _ = calendar._local(moment)
            last, _ = calendar._local(due_at - _MICROSECOND)
            days = last - today
            return days if unit is Unit.CALENDAR_DAYS else calendar._workdays(today + 1, last)
        case _:
            assert_never(unit)


def parse_duty(text: str, calendar: Calendar) -> DutyHours:
    """Duty hours as the policy writes them: "07:00-21:00" is every day, or "working_hours".

    ValueError for anything else.
    """
    if text == "working_hours":
        return DutyHours(calendar.working_hours, every_day=False)
    return DutyHours(parse_hours([text]), every_day=True)


def parse_calendar(
    rows: Iterable[Mapping[str, str]],
    *,
    version: str,
    timezone: str = "Asia/Shanghai",
    working_hours: Iterable[str] = ("08:30-12:00", "13:30-17:30"),
) -> Calendar:
    """The calendar that the rows of the data file say, with the working hours of the policy.

    A row has `date` and `kind`: a day is a `holiday` or a `workday`, a year is `published` or
    `provisional`. ValueError, naming the row, for anything else, a date said twice, or a day whose
    year has no row; and for a time zone whose rules are not known here.
    """
    if timezone not in _ZONES:
        raise ValueError(f"the rules of time zone {timezone!r} are not known, only of {[*_ZONES]}")
    said = _dates_by_kind(rows)
    published = frozenset(map(int, said["published"]))
    return Calendar(
        version=version,
        zone=_ZONES[timezone],
        working_hours=parse_hours(working_hours),
        holidays=frozenset(map(_day, said["holiday"])),
        workdays=frozenset(map(_day, said["workday"])),
        published=published,
        listed=published | frozenset(map(int, said["provisional"])),
    )


_DAY_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEAR_TEXT = re.compile(r"[0-9]{4}")
_ROWS = {
    "holiday": _DAY_TEXT,
    "workday": _DAY_TEXT,
    "published": _YEAR_TEXT,
    "provisional": _YEAR_TEXT,
}
_ROW_RULE = "write YYYY-MM-DD with holiday or workday, or YYYY with published or provisional"


def _dates_by_kind(rows: Iterable[Mapping[str, str]]) -> dict[str, set[str]]:
    said: dict[str, set[str]] = {kind: set() for kind in _ROWS}
    seen: set[str] = set()
    for row in rows:
        text, kind = row["date"], row["kind"]
        if kind not in _ROWS or not _ROWS[kind].fullmatch(text):
            raise ValueError(f"calendar row {text},{kind}: {_ROW_RULE}")
        if text in seen:
            raise ValueError(f"calendar row {text},{kind}: this date is said twice")
        seen.add(text)
        said[kind].add(text)
    for day in said["holiday"] | said["workday"]:
        if day[:4] not in seen:
            raise ValueError(f"calendar row {day}: the year {day[:4]} has no row")
    return said


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as impossible:
        raise ValueError(f"calendar row {text}: there is no such day") from impossible
