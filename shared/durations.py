"""How the policy writes time: limits ("4wh") and opening hours ("08:30-12:00"). Values only.

What they mean for a start and a calendar is said in `shared.business_time`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

MINUTE = 60_000_000  # in microseconds, like every time of day
DAY = 24 * 60 * MINUTE


class Unit(StrEnum):
    """How a limit is counted; `shared.business_time` says it in full."""

    SECONDS = "s"
    MINUTES = "min"
    HOURS = "h"
    CALENDAR_DAYS = "d"
    WORKING_DAYS = "wd"
    WORKING_HOURS = "wh"


@dataclass(frozen=True, slots=True)
class Limit:
    """How long something may take, e.g. 4 working hours; `str` gives back what the policy wrote."""

    amount: int
    unit: Unit

    def __post_init__(self) -> None:
        if self.amount < 1:
            raise ValueError(f"a limit is at least 1, not {self}")

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


_LIMIT = re.compile(r"([1-9][0-9]{0,4})(s|min|h|d|wd|wh)")


def parse_limit(text: str) -> Limit:
    """The limit that the policy or a category writes as "4wh"; ValueError for anything else."""
    found = _LIMIT.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is not a limit: write 1 to 99999 and a unit (s, min, h, d, wd or wh),"
            ' as in "4wh"'
        )
    return Limit(int(found[1]), Unit(found[2]))


_ELAPSED = {
    Unit.SECONDS: timedelta(seconds=1),
    Unit.MINUTES: timedelta(minutes=1),
    Unit.HOURS: timedelta(hours=1),
}


def elapsed(limit: Limit) -> timedelta:
    """The length of a limit in elapsed time; ValueError for working time and calendar days."""
    try:
        return _ELAPSED[limit.unit] * limit.amount
    except KeyError:
        raise ValueError(f"{limit} is not elapsed time: write s, min or h") from None


class Segment(NamedTuple):
    """Opening hours within a day, in microseconds after local midnight; `closes` is outside."""

    opens: int
    closes: int


_HOURS = re.compile(r"([0-9]{2}):([0-5][0-9])-([0-9]{2}):([0-5][0-9])")


def parse_hours(texts: Iterable[str]) -> tuple[Segment, ...]:
    """Opening hours as the policy writes them, ["08:30-12:00", "13:30-17:30"].

    ValueError unless each is HH:MM-HH:MM within a day and they follow one another.
    """
    segments: list[Segment] = []
    earliest = 0
    for text in texts:
        found = _HOURS.fullmatch(text)
        if found is None:
            raise ValueError(f'{text!r} is not opening hours: write them as in "08:30-12:00"')
        hour, minute, to_hour, to_minute = map(int, found.groups())
        segment = Segment((hour * 60 + minute) * MINUTE, (to_hour * 60 + to_minute) * MINUTE)
        if not earliest <= segment.opens < segment.closes <= DAY:
            raise ValueError(f"{text!r}: opening hours must follow one another and end by 24:00")
        segments.append(segment)
        earliest = segment.closes
    if not segments:
        raise ValueError("opening hours are missing")
    return tuple(segments)
