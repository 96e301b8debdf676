"""The checks of the tables: divisions, places, categories, vocabulary, calendar.

Each function gives what the rows say, indexed, and adds to `problems` whatever does not hold.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import date
from math import inf
from typing import Final, get_args

from services.router.decisions.policy.parts import CalendarDay, Part, typed_rows
from services.router.decisions.policy.problems import Problem
from services.router.decisions.policy.settings import Settings
from services.router.decisions.policy.statutes import broken_by_category
from shared.business_time import Calendar, parse_calendar
from shared.divisions import CITY, DivisionCode, parent, parse_code
from shared.durations import Limit, parse_limit
from shared.events import (
    CategoryRow,
    ClassRow,
    DivisionRow,
    ModelRow,
    PlaceRow,
    Sign,
    WordRow,
)

_SIGNS: Final = frozenset(f"sign:{name}" for name in get_args(Sign))


def read_divisions(part: Part, problems: list[Problem]) -> dict[str, DivisionRow]:
    """The divisions by code: each with a code of the right length, and below one that exists."""
    found: dict[str, DivisionRow] = {}
    rows = list(typed_rows(part, DivisionRow, problems))
    for n, row in rows:
        problems.extend(part.problem(row.code, said, row=n) for said in _division(row))
        if row.code in found:
            problems.append(part.problem(row.code, "this code is said twice", row=n))
        found[row.code] = row
    for n, row in rows:
        above = _above(row.code)
        if above is not None and above not in found:
            message = f"its parent {above} is not in the list"
            problems.append(part.problem(row.code, message, row=n))
    return found


def _division(row: DivisionRow) -> Iterator[str]:
    if row.code == CITY:
        yield "the city is not listed: it is where petitions without a district wait"
    elif not _is_code(row.code):
        yield "a division code has 6, 9, 12 or 15 digits"
    if not row.name.strip():
        yield "name is missing"
    days = [_day(text) for text in (row.valid_from, row.valid_to)]
    if "" in days:
        yield "valid_from and valid_to are days: write YYYY-MM-DD"
    elif days[0] and days[1] and days[0] >= days[1]:
        yield f"valid_to {days[1]} is not after valid_from {days[0]}"


def _day(text: str | None) -> str | None:
    """The day as it is written, None where there is none, empty where it is no day."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text).isoformat()
    except ValueError:
        return ""
    return day if day == text else ""


def _is_code(text: str) -> bool:
    try:
        parse_code(text)
    except ValueError:
        return False
    return True


def _above(code: str) -> str | None:
    if code == CITY or not _is_code(code):
        return None
    above = parent(DivisionCode(code))
    return None if above == CITY else above


def read_categories(
    part: Part, problems: list[Problem]
) -> tuple[dict[str, CategoryRow], dict[str, Limit]]:
    """The categories by code, and the own limits of those that have one."""
    found: dict[str, CategoryRow] = {}
    limits: dict[str, Limit] = {}
    for n, row in typed_rows(part, CategoryRow, problems):
        problems.extend(part.problem(row.code, said, row=n) for said in _category(row))
        if row.code in found:
            problems.append(part.problem(row.code, "this code is said twice", row=n))
        found[row.code] = row
        if row.resolve_limit is not None:
            try:
                limits[row.code] = parse_limit(row.resolve_limit)
            except ValueError as unreadable:
                problems.append(part.problem(row.code, f"resolve_limit: {unreadable}", row=n))
    return found, limits


def _category(row: CategoryRow) -> Iterator[str]:
    if not row.code.strip() or not row.zh.strip() or not row.en.strip() or not row.lead.strip():
        yield "code, zh, en and lead may not be empty"
    if row.track == "handoff" and row.initial_tier is not None:
        yield f"a matter that is handed off has no first tier, but says {row.initial_tier}"
    if row.track == "handoff" and row.resolve_limit is not None:
        yield f"a matter that is handed off has no limit of ours, but says {row.resolve_limit}"
    if row.track != "handoff" and row.initial_tier is None:
        yield "initial_tier is missing"
    if not 0 <= row.sensitivity <= 2:
        yield f"sensitivity says {row.sensitivity}, but is 0, 1 or 2"
    if broken := broken_by_category(row):
        yield f"resolve_limit {broken}"


def check_places(part: Part, divisions: Iterable[str], problems: list[Problem]) -> None:
    """Every place lies in a listed division and is where its coordinates may be."""
    known = frozenset(divisions)
    for n, row in typed_rows(part, PlaceRow, problems):
        if not row.name.strip():
            problems.append(part.problem("-", "name is missing", row=n))
        if row.division not in known:
            message = f"lies in {row.division}, which is not a listed division"
            problems.append(part.problem(row.name, message, row=n))
        if not _on_earth(row):
            message = "lat (-90 to 90) and lon (-180 to 180) come together"
            problems.append(part.problem(row.name, message, row=n))


def _on_earth(row: PlaceRow) -> bool:
    if row.lat is None or row.lon is None:
        return row.lat is row.lon
    return -90 <= row.lat <= 90 and -180 <= row.lon <= 180


def check_vocabulary(part: Part, categories: Iterable[str], problems: list[Problem]) -> None:
    """Every word speaks once for a category or sign that exists."""
    known = frozenset(categories) | _SIGNS
    seen: set[tuple[str, str]] = set()
    for n, row in typed_rows(part, WordRow, problems):
        if not row.word.strip():
            problems.append(part.problem("-", "word is missing", row=n))
        if row.means not in known:
            message = f"speaks for {row.means}, which is neither a category nor a sign"
            problems.append(part.problem(row.word, message, row=n))
        if not 0 <= row.weight < inf:  # 0 says nothing and shields the shorter words inside
            problems.append(part.problem(row.word, "weight must be 0 or more", row=n))
        if (row.word, row.means) in seen:
            problems.append(part.problem(row.word, f"said twice for {row.means}", row=n))
        seen.add((row.word, row.means))


def check_classes(
    classes: Part, model: Part, categories: Iterable[str], problems: list[Problem]
) -> None:
    """Every class is of a listed category, every weight of a listed class."""
    known = frozenset(categories)
    named: set[str] = set()
    for n, row in typed_rows(classes, ClassRow, problems):
        if row.category not in known:
            problems.append(classes.problem(row.category, "is not a listed category", row=n))
        named.add(row.matter_class)
    for n, weight in typed_rows(model, ModelRow, problems):
        if weight.matter_class not in named:
            message = f"speaks for {weight.matter_class}, to which no category belongs"
            problems.append(model.problem(weight.word, message, row=n))
        if not -inf < weight.weight < inf:
            problems.append(model.problem(weight.word, "weight must be a number", row=n))


def read_calendar(
    part: Part,
    settings: Settings | None,
    years: Iterable[int],
    problems: list[Problem],
) -> Calendar | None:
    """The calendar, if its rows hold and speak of every year in `years` and of none with a gap.

    Its version is a digest of what it says, so that a policy without a new notice keeps it.
    Without settings (they are being refused) any hours do: the rows are checked all the same.
    """
    rows = [row.model_dump() for _, row in typed_rows(part, CalendarDay, problems)]
    hours = ("00:00-24:00",) if settings is None else settings.calendar.working_hours
    said = hashlib.sha256(json.dumps([rows, hours]).encode()).hexdigest()
    try:
        calendar = parse_calendar(rows, version=said[:8], working_hours=hours)
    except ValueError as wrong:
        # The message names the row; a year is also the beginning of its days, so the longest wins.
        named = [n for n, row in enumerate(rows) if row["date"] in str(wrong)]
        at = max(named, key=lambda n: (len(rows[n]["date"]), n), default=None)
        problems.append(part.problem("-" if at is None else rows[at]["date"], str(wrong), row=at))
        return None
    listed = calendar.listed
    whole = range(min(listed), max(listed) + 1) if listed else ()
    for year in sorted({*whole, *years} - listed):
        problems.append(part.problem(str(year), "the calendar says nothing about this year"))
    return calendar
