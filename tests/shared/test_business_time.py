"""Business time: the published facts, worked examples, and a minute-by-minute oracle 2024 to 2027.

The oracle shares nothing with the code it judges: its days come from the package chinesecalendar
(2027: from the weekday and the fixed holidays), and it walks through every minute.
"""

import csv
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from itertools import pairwise

import chinese_calendar
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.router.data import make_calendar
from shared.business_time import (
    Calendar,
    Due,
    DutyHours,
    Span,
    due,
    due_within_duty,
    explain,
    left,
    parse_calendar,
    parse_duty,
    resumed,
    stretches,
)
from shared.durations import Limit, Unit, parse_limit

CHINA = timezone(timedelta(hours=8))
MINUTE = timedelta(minutes=1)


def load() -> Calendar:
    with make_calendar.FILE.open(encoding="utf-8", newline="") as file:
        return parse_calendar(csv.DictReader(file), version="test")


CALENDAR = load()
GRID = parse_duty("07:00-21:00", CALENDAR)
OFFICES = parse_duty("working_hours", CALENDAR)


def at(text: str) -> datetime:
    """A moment written in local time."""
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


# --- the calendar file ---------------------------------------------------------------------------


def test_the_calendar_file_is_what_the_generator_writes() -> None:
    assert make_calendar.FILE.read_text(encoding="utf-8") == make_calendar.render()


@pytest.mark.parametrize(
    ("now", "left"),
    [
        pytest.param("2026-12-30T12:00", timedelta(days=1.5), id="to the end of the year"),
        pytest.param("2027-01-01T00:00", timedelta(), id="a year whose notice is not there"),
        pytest.param("2025-12-31T12:00", timedelta(days=365.5), id="years in a row together"),
    ],
)
def test_how_long_the_calendar_is_known_for(now: str, left: timedelta) -> None:
    assert CALENDAR.known_for(at(now)) == left


def test_the_file_knows_2026_as_the_state_council_published_it() -> None:
    def days(*spans: tuple[str, str]) -> set[date]:
        return {
            date.fromordinal(day)
            for first, last in spans
            for day in range(
                date.fromisoformat(f"2026-{first}").toordinal(),
                date.fromisoformat(f"2026-{last}").toordinal() + 1,
            )
        }

    assert {day for day in CALENDAR.holidays if day.year == 2026} == days(
        ("01-01", "01-03"),
        ("02-15", "02-23"),
        ("04-04", "04-06"),
        ("05-01", "05-05"),
        ("06-19", "06-21"),
        ("09-25", "09-27"),
        ("10-01", "10-07"),
    )
    assert {day for day in CALENDAR.workdays if day.year == 2026} == {
        date(2026, *day) for day in ((1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10))
    }


@pytest.mark.parametrize(
    ("year", "workdays"),
    [(2024, 251), (2025, 248), (2026, 248)],
)
def test_a_published_year_has_its_number_of_workdays(year: int, workdays: int) -> None:
    first = date(year, 1, 1).toordinal()
    days = [date.fromordinal(first + n) for n in range(366)]
    assert sum(CALENDAR.is_workday(day) for day in days if day.year == year) == workdays
    assert CALENDAR.covers(year)
    assert not CALENDAR.is_provisional(year)


@pytest.mark.parametrize(("year", "listed"), [(2023, False), (2027, True), (2028, False)])
def test_a_year_without_a_notice_has_weekends_and_fixed_holidays(year: int, listed: bool) -> None:
    assert CALENDAR.covers(year) is listed
    assert CALENDAR.is_provisional(year)
    first = date(year, 1, 1).toordinal()
    off = {
        (day.month, day.day)
        for day in map(date.fromordinal, range(first, first + 365))
        if day.weekday() < 5 and not CALENDAR.is_workday(day)
    }
    fixed = {(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)}
    assert off == {day for day in fixed if date(year, *day).weekday() < 5}


YEAR = {"date": "2026", "kind": "published"}


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([YEAR, {"date": "2026-01-01", "kind": "feast"}], "row 2026-01-01,feast: write"),
        ([YEAR, {"date": "2026", "kind": "holiday"}], "row 2026,holiday: write"),
        ([{"date": "2026-01-01", "kind": "published"}], "row 2026-01-01,published: write"),
        ([YEAR, {"date": "2026-02-29", "kind": "holiday"}], "2026-02-29: there is no such day"),
        ([YEAR, {"date": "2025-05-01", "kind": "holiday"}], "the year 2025 has no row"),
        ([YEAR, {"date": "2026", "kind": "provisional"}], "said twice"),
        (
            [
                YEAR,
                {"date": "2026-05-09", "kind": "holiday"},
                {"date": "2026-05-09", "kind": "workday"},
            ],
            "row 2026-05-09,workday: this date is said twice",
        ),
    ],
)
def test_a_wrong_calendar_row_is_refused_by_name(rows: list[dict[str, str]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_calendar(rows, version="test")


def test_a_time_zone_with_other_rules_is_refused() -> None:
    with pytest.raises(ValueError, match="'Europe/Berlin' are not known"):
        parse_calendar([YEAR], version="test", timezone="Europe/Berlin")


# --- worked examples -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "limit", "expected"),
    [
        pytest.param("2026-02-17T23:50", "24h", "2026-02-18T23:50", id="hours run on holidays"),
        pytest.param("2026-03-06T10:00:07", "15s", "2026-03-06T10:00:22", id="seconds"),
        pytest.param(
            "2026-03-02T09:00", "5wd", "2026-03-09T17:30", id="the first day is not counted"
        ),
        pytest.param("2026-03-02T23:59", "1wd", "2026-03-03T17:30", id="not even its last minute"),
        pytest.param("2026-02-13T09:00", "2wd", "2026-02-24T17:30", id="a make-up Saturday counts"),
        pytest.param("2026-09-30T09:00", "3wd", "2026-10-10T17:30", id="the golden week does not"),
        pytest.param("2026-03-06T10:00", "15d", "2026-03-23T24:00", id="Saturday rolls to Monday"),
        pytest.param("2026-02-13T10:00", "15d", "2026-02-28T24:00", id="a working Saturday stays"),
        pytest.param(
            "2026-09-01T10:00", "30d", "2026-10-08T24:00", id="a holiday rolls to its end"
        ),
        pytest.param("2026-03-02T00:00", "7d", "2026-03-09T24:00", id="the last day ends at 24:00"),
        pytest.param("2026-03-02T08:30", "4wh", "2026-03-02T14:00", id="lunch is no working time"),
        pytest.param("2026-03-02T13:30", "4wh", "2026-03-02T17:30", id="used up at closing"),
        pytest.param("2026-03-02T10:00", "2wh", "2026-03-02T12:00", id="used up at noon"),
        pytest.param("2026-03-02T17:00", "1wh", "2026-03-03T09:00", id="over night"),
        pytest.param("2026-03-06T17:30", "2wh", "2026-03-09T10:30", id="over the weekend"),
        pytest.param("2026-02-13T17:00", "4wh", "2026-02-14T12:00", id="into a make-up Saturday"),
        pytest.param(
            "2026-02-14T17:00:30", "2wh", "2026-02-24T10:00:30", id="over Spring Festival"
        ),
        pytest.param("2024-10-12T12:30", "15wh", "2024-10-15T12:00", id="two days of 7.5 hours"),
    ],
)
def test_a_limit_is_due(start: str, limit: str, expected: str) -> None:
    end = midnight_after(expected) if expected.endswith("24:00") else at(expected)
    found = due(at(start), parse_limit(limit), CALENDAR)
    assert found == Due(end, provisional=False)
    assert found.at.tzinfo is UTC


def midnight_after(text: str) -> datetime:
    return at(text.removesuffix("T24:00")) + timedelta(days=1)


@pytest.mark.parametrize(
    ("start", "duty", "expected"),
    [
        pytest.param("2026-03-07T21:00", GRID, "2026-03-08T08:00", id="closing is outside"),
        pytest.param("2026-03-07T20:59", GRID, "2026-03-07T21:59", id="begun on duty it runs on"),
        pytest.param("2026-02-17T03:00", GRID, "2026-02-17T08:00", id="every day is every day"),
        pytest.param("2026-02-17T07:00", GRID, "2026-02-17T08:00", id="opening is inside"),
        pytest.param("2026-03-06T18:00", OFFICES, "2026-03-09T09:30", id="Friday night, Monday"),
        pytest.param("2026-03-06T12:10", OFFICES, "2026-03-06T14:30", id="at lunch"),
        pytest.param("2026-02-14T07:00", OFFICES, "2026-02-14T09:30", id="a make-up Saturday"),
        pytest.param("2026-02-15T10:00", OFFICES, "2026-02-24T09:30", id="Spring Festival"),
    ],
)
def test_a_limit_waits_for_duty_hours(start: str, duty: DutyHours, expected: str) -> None:
    hour = Limit(1, Unit.HOURS)
    assert due_within_duty(at(start), hour, duty, CALENDAR) == Due(at(expected), provisional=False)


@pytest.mark.parametrize(
    ("start", "limit", "provisional"),
    [
        ("2026-12-31T09:00", "500h", False),
        ("2026-12-30T09:00", "1d", False),
        ("2026-12-31T09:00", "1d", True),
        ("2026-12-30T09:00", "1wd", False),
        ("2026-12-31T09:00", "1wd", True),
        ("2026-12-31T16:30", "1wh", False),
        ("2026-12-31T16:31", "1wh", True),
        ("2023-12-29T09:00", "5wd", True),
        ("2030-06-01T09:00", "1wh", True),
    ],
)
def test_a_promise_is_provisional_if_a_year_without_a_notice_had_a_say(
    start: str, limit: str, provisional: bool
) -> None:
    assert due(at(start), parse_limit(limit), CALENDAR).provisional is provisional


def test_duty_hours_of_offices_ask_the_calendar_too() -> None:
    night, hour = at("2026-12-31T18:00"), Limit(1, Unit.HOURS)
    assert due_within_duty(night, hour, OFFICES, CALENDAR).provisional
    assert not due_within_duty(night, hour, GRID, CALENDAR).provisional


def test_a_start_without_a_time_zone_is_refused() -> None:
    naive = datetime(2026, 3, 2, 9, 0)  # noqa: DTZ001
    for limit in ("1h", "1d", "1wd", "1wh"):
        with pytest.raises(ValueError, match="time zone"):
            due(naive, parse_limit(limit), CALENDAR)
    with pytest.raises(ValueError, match="time zone"):
        due_within_duty(naive, Limit(1, Unit.HOURS), GRID, CALENDAR)


# --- the oracle ----------------------------------------------------------------------------------

ORIGIN = at("2024-01-01T00:00")
DAYS = 365 * 4 + 1 + 366  # 2024 to 2028: limits that start late in 2027 end in 2028
FIXED_2027 = {(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)}


def office_day(day: date) -> bool:
    if day.year <= 2026:
        return bool(chinese_calendar.is_workday(day))
    return day.weekday() < 5 and (day.month, day.day) not in FIXED_2027


DATES = [date(2024, 1, 1) + timedelta(days=n) for n in range(DAYS)]
WORKS = [office_day(day) for day in DATES]
OFFICE_MINUTES = [510 <= minute < 720 or 810 <= minute < 1050 for minute in range(1440)]
WORKING = [works and minute for works in WORKS for minute in OFFICE_MINUTES]


def minute_of(start: datetime) -> int:
    return (start - ORIGIN) // MINUTE


def moment(minute: int) -> datetime:
    return ORIGIN + minute * MINUTE


def asked(first: int, last: int) -> bool:
    """Whether these days reach into the years without a notice."""
    return DATES[last].year > 2026 or DATES[first].year > 2026


def walk_hours(start: datetime, limit: timedelta, counts: Callable[[int], bool]) -> datetime:
    """Uses up the limit in the minutes that count, the first of them perhaps in part."""
    minute, here = minute_of(start), start
    while True:
        ends = moment(minute + 1)
        if counts(minute):
            if ends - here >= limit:
                return here + limit
            limit -= ends - here
        minute, here = minute + 1, ends


def walk_days(start: datetime, amount: int, counts: list[bool], closing: int) -> tuple[int, int]:
    """The minute at which the period ends, and the day that was the last before it was moved."""
    minute, ended, last = minute_of(start), 0, 0
    today = minute // 1440
    while True:
        minute += 1
        day = (minute - 1) // 1440
        if day == today or minute - day * 1440 != closing:
            continue
        ended += counts[day]
        if ended == amount and not last:
            last = day
        if last and WORKS[day]:
            return minute, last


def oracle(start: datetime, limit: Limit) -> Due:
    today = minute_of(start) // 1440
    match limit.unit:
        case Unit.SECONDS:
            return Due(start + timedelta(seconds=limit.amount), provisional=False)
        case Unit.MINUTES:
            return Due(walk_hours(start, limit.amount * MINUTE, lambda _: True), provisional=False)
        case Unit.HOURS:
            every = walk_hours(start, limit.amount * 60 * MINUTE, lambda _: True)
            return Due(every, provisional=False)
        case Unit.WORKING_HOURS:
            end = walk_hours(start, limit.amount * 60 * MINUTE, WORKING.__getitem__)
            return Due(end, asked(today, minute_of(end - timedelta.resolution) // 1440))
        case Unit.CALENDAR_DAYS:
            minute, last = walk_days(start, limit.amount, [True] * DAYS, 1440)
            return Due(moment(minute), asked(last, minute // 1440 - 1))
        case Unit.WORKING_DAYS:
            minute, last = walk_days(start, limit.amount, WORKS, 1050)
            return Due(moment(minute), asked(today + 1, last))


def near(days: list[date]) -> st.SearchStrategy[int]:
    """Days on and about these."""
    return st.builds(
        lambda day, off: max(0, (day - DATES[0]).days + off),
        st.sampled_from(days),
        st.integers(-3, 3),
    )


exceptional = [day for day, works in zip(DATES, WORKS, strict=True) if works != (day.weekday() < 5)]
edges = [0, 510, 720, 810, 1050, 1440, 420, 1260]
starts = st.builds(
    lambda day, minute, microseconds: min(
        moment(day * 1440 + minute) + timedelta(microseconds=microseconds),
        at("2027-12-31T23:59:59"),
    ),
    st.integers(0, 365 * 4) | near(exceptional),
    st.integers(0, 1439)
    | st.builds(lambda a, b: max(0, a + b), st.sampled_from(edges), st.integers(-1, 1)),
    st.just(0) | st.integers(0, 59_999_999),
)
limits = st.one_of(
    st.builds(Limit, st.integers(1, 40), st.just(Unit.WORKING_HOURS)),
    st.builds(Limit, st.integers(1, 20), st.just(Unit.WORKING_DAYS)),
    st.builds(Limit, st.integers(1, 30), st.just(Unit.CALENDAR_DAYS)),
    st.builds(Limit, st.integers(1, 360), st.just(Unit.HOURS)),
    st.builds(Limit, st.integers(1, 6480), st.just(Unit.MINUTES)),
    st.builds(Limit, st.integers(1, 600), st.just(Unit.SECONDS)),
)


@settings(max_examples=600, deadline=None)
@given(starts, limits)
@example(at("2026-12-31T17:30"), Limit(1, Unit.WORKING_HOURS))
@example(at("2027-12-31T23:59:59"), Limit(20, Unit.WORKING_DAYS))
def test_a_limit_is_due_when_a_walk_through_every_minute_says(
    start: datetime, limit: Limit
) -> None:
    assert due(start, limit, CALENDAR) == oracle(start, limit)
    assert due(start.astimezone(UTC), limit, CALENDAR) == oracle(start, limit)


@settings(max_examples=300, deadline=None)
@given(starts, limits, st.sampled_from(["07:00-21:00", "working_hours"]))
def test_duty_hours_are_waited_for_minute_by_minute(
    start: datetime, limit: Limit, hours: str
) -> None:
    opening, minute = start, minute_of(start)
    while not (WORKING[minute] if hours == "working_hours" else 420 <= minute % 1440 < 1260):
        minute += 1
        opening = moment(minute)
    expected = oracle(opening, limit)
    waited = hours == "working_hours" and asked(minute_of(start) // 1440, minute // 1440)
    found = due_within_duty(start, limit, parse_duty(hours, CALENDAR), CALENDAR)
    assert found == Due(expected.at, expected.provisional or waited)


@settings(max_examples=300, deadline=None)
@given(starts, limits)
def test_the_counted_stretches_add_up_to_the_limit(start: datetime, limit: Limit) -> None:
    spans = explain(start, limit, CALENDAR)
    assert spans[-1].end == due(start, limit, CALENDAR).at
    assert spans[0].start >= start
    assert all(span.start < span.end for span in spans)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    counted = sum((span.end - span.start for span in spans), timedelta())
    match limit.unit:
        case Unit.WORKING_DAYS:
            assert len(spans) == limit.amount
            assert all(WORKS[minute_of(span.start) // 1440] for span in spans)
        case Unit.CALENDAR_DAYS:
            assert spans[0].end - spans[0].start == timedelta(days=limit.amount)
            moved = range(minute_of(spans[0].end) // 1440 - 1, minute_of(spans[-1].end) // 1440 - 1)
            assert not any(WORKS[day] for day in moved)
        case Unit.WORKING_HOURS:
            assert counted == timedelta(hours=limit.amount)
            assert all(WORKING[minute_of(span.start)] for span in spans)
        case _:
            assert spans[0].start == start
            assert len(spans) == 1


@settings(max_examples=300, deadline=None)
@given(starts, limits, st.fractions(0, 1))
def test_what_is_left_at_a_moment_is_what_is_still_to_be_counted(
    start: datetime, limit: Limit, part: Fraction
) -> None:
    end = due(start, limit, CALENDAR).at
    moment = start + (end - start) * float(part)
    found = left(moment, end, limit.unit, CALENDAR)
    spans = stretches(moment, end, limit.unit, CALENDAR)
    to_come = sum((span.end - span.start for span in spans), timedelta())
    at_first = left(start, end, limit.unit, CALENDAR)
    match limit.unit:
        case Unit.WORKING_DAYS:
            assert (found, at_first) == (len(spans), limit.amount)
        case Unit.CALENDAR_DAYS:
            assert found == to_come.days
            moved = end - explain(start, limit, CALENDAR)[0].end
            assert at_first == limit.amount + moved.days
        case _:
            assert found * timedelta(microseconds=1) == to_come
    assert left(end, end, limit.unit, CALENDAR) == 0


# --- standing still ------------------------------------------------------------------------------

lengths = st.one_of(
    st.timedeltas(timedelta(0), timedelta(hours=9)), st.timedeltas(timedelta(0), timedelta(days=40))
)


@settings(max_examples=400, deadline=None)
@given(starts, limits, st.floats(0, 1.2), lengths)
def test_what_was_left_before_a_pause_is_left_after_it(
    start: datetime, limit: Limit, part: float, length: timedelta
) -> None:
    promised = due(start, limit, CALENDAR)
    pause = Span(start + (promised.at - start) * part, start + (promised.at - start) * part)
    pause = Span(pause.start, pause.end + length)
    found = resumed(promised, limit.unit, pause, CALENDAR)
    if pause.start >= promised.at:
        assert found == promised
        return
    assert found.at > pause.end
    assert found.at >= promised.at
    if limit.unit not in (Unit.WORKING_DAYS, Unit.CALENDAR_DAYS):
        left = left_of(limit.unit, pause.start, promised.at)
        assert left_of(limit.unit, pause.end, found.at) == left
        return
    closing, counts = (1440, [True] * DAYS) if limit.unit is Unit.CALENDAR_DAYS else (1050, WORKS)
    began, last = minute_of(pause.start) // 1440, minute_of(promised.at - resolution) // 1440
    to_come = sum(counts[day] for day in range(began + 1, last + 1))
    today = minute_of(pause.end) // 1440
    if to_come:
        assert found.at == moment(walk_days(pause.end, to_come, counts, closing)[0])
    elif WORKS[today] and pause.end < moment(today * 1440 + closing):
        assert found.at == moment(today * 1440 + closing)
    else:
        days = 1 if closing == 1050 else 0
        following = next(day for day in range(today + days * WORKS[today], DAYS) if WORKS[day])
        assert found.at == moment(following * 1440 + closing)


resolution = timedelta.resolution


def left_of(unit: Unit, start: datetime, end: datetime) -> timedelta:
    """What is left of a promise, time for time."""
    if unit is not Unit.WORKING_HOURS:
        return end - start
    return sum(
        (
            min(end, moment(m + 1)) - max(start, moment(m))
            for m in range(minute_of(start), minute_of(end - resolution) + 1)
            if WORKING[m]
        ),
        timedelta(),
    )


@pytest.mark.parametrize(
    ("due_at", "unit", "since", "until", "expected"),
    [
        pytest.param("2026-11-06T17:00", "wh", "2026-11-06T10:00", "2026-11-07T10:00",
                     "2026-11-09T15:30", id="five and a half worked hours are left over a weekend"),
        pytest.param("2026-11-06T17:30", "wd", "2026-11-04T10:00", "2026-11-09T09:00",
                     "2026-11-11T17:30", id="two working days are left"),
        pytest.param("2026-11-06T17:30", "wd", "2026-11-06T10:00", "2026-11-06T16:00",
                     "2026-11-06T17:30", id="a pause within the last day moves nothing"),
        pytest.param("2026-11-06T17:30", "wd", "2026-11-06T10:00", "2026-11-06T18:00",
                     "2026-11-09T17:30", id="one beyond its closing moves it to the next"),
        pytest.param("2026-11-11T00:00", "d", "2026-11-05T10:00", "2026-11-06T09:00",
                     "2026-11-12T00:00", id="five days are left"),
        pytest.param("2026-11-11T00:00", "d", "2026-11-05T10:00", "2026-11-08T09:00",
                     "2026-11-14T00:00", id="as many of them when it goes on on a Sunday"),
        pytest.param("2026-11-11T00:00", "d", "2026-11-05T10:00", "2026-11-09T09:00",
                     "2026-11-17T00:00", id="and the last one is moved if it is a day of rest"),
        pytest.param("2026-11-05T12:00", "h", "2026-11-05T12:00", "2026-11-09T09:00",
                     "2026-11-05T12:00", id="what was due already stays due"),
    ],
)  # fmt: skip
def test_a_promise_that_stood_still(
    due_at: str, unit: str, since: str, until: str, expected: str
) -> None:
    promised = Due(at(due_at), provisional=False)
    found = resumed(promised, Unit(unit), Span(at(since), at(until)), CALENDAR)
    assert found == Due(at(expected), provisional=False)
