"""How limits and opening hours are written, and what is refused."""

import pytest

from shared.durations import MINUTE, Limit, Segment, Unit, parse_hours, parse_limit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("15s", Limit(15, Unit.SECONDS)),
        ("5min", Limit(5, Unit.MINUTES)),
        ("168h", Limit(168, Unit.HOURS)),
        ("30d", Limit(30, Unit.CALENDAR_DAYS)),
        ("15wd", Limit(15, Unit.WORKING_DAYS)),
        ("4wh", Limit(4, Unit.WORKING_HOURS)),
    ],
)
def test_a_limit_reads_and_writes_as_the_policy_has_it(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit
    assert str(limit) == text


@pytest.mark.parametrize(
    "text",
    ["", "-", "4", "wh", "0h", "-1h", "1.5h", "4 wh", "4WH", "4m", "4wh\n", "123456h", "４h"],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a limit"):
        parse_limit(text)


def test_a_limit_of_nothing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="at least 1, not 0wd"):
        Limit(0, Unit.WORKING_DAYS)


def test_opening_hours_are_segments_of_the_day() -> None:
    assert parse_hours(["08:30-12:00", "13:30-24:00"]) == (
        Segment(510 * MINUTE, 720 * MINUTE),
        Segment(810 * MINUTE, 1440 * MINUTE),
    )


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([], "missing"),
        (["8:30-12:00"], "is not opening hours"),
        (["08:60-12:00"], "is not opening hours"),
        (["12:00-08:30"], "follow one another"),
        (["12:00-12:00"], "follow one another"),
        (["13:30-17:30", "08:30-12:00"], "follow one another"),
        (["08:30-12:00", "11:59-17:30"], "follow one another"),
        (["08:30-24:01"], "end by 24:00"),
    ],
)
def test_opening_hours_that_make_no_day_are_refused(texts: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_hours(texts)
