"""What if: the rows of domain B4 by hand, across the National Day week of 2026.

1 to 7 October 2026 are off; 20 September and 10 October, a Sunday and a Saturday, are worked.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from services.router.decisions.case import Pause
from services.router.decisions.whatif import Asked, Explained, Wrong, explained
from shared.divisions import CITY
from tests.router.stories import (
    COMMUNITY,
    DISTRICT,
    GRID,
    HOUR,
    LAMP,
    LOCAL,
    RUBBISH,
    STREET,
    at,
    shipped_policy,
)

EVE = "2026-09-30 16:00"  # the Wednesday before the week


def question(start: str, clock: str | None = None, division: str = GRID, **more: object) -> Asked:
    """What is asked of the shipped policy."""
    plain = Asked(at(start), division, clock, None, None, None, (), None)
    return plain._replace(**more)  # type: ignore[arg-type]


def answered(asked: Asked) -> Explained:
    """The one promise that was asked for."""
    told = explained(asked, shipped_policy())
    assert not isinstance(told, Wrong), told
    (one,) = told
    return one


def local(moment: datetime) -> str:
    return moment.astimezone(LOCAL).strftime("%Y-%m-%d %H:%M")


def waiting(start: str, end: str) -> Pause:
    return Pause("waiting_for_petitioner", at(start), at(end))


@pytest.mark.parametrize(
    ("clock", "urgency", "division", "start", "limit", "due"),
    [
        ("dispatch", "U3", STREET, EVE, "5min", "2026-09-30 16:05"),
        ("handover", "U1", GRID, EVE, "5min", "2026-09-30 16:05"),
        ("sign", "U2", GRID, "2026-09-30 23:00", "30min", "2026-09-30 23:30"),
        ("sign", "U1", GRID, "2026-10-03 23:00", "10min", "2026-10-03 23:10"),
        ("sign", "U3", GRID, "2026-10-03 23:00", "30min", "2026-10-04 07:30"),
        ("sign", "U3", STREET, "2026-09-30 18:00", "30min", "2026-10-08 09:00"),
        ("sign", "U3", STREET, "2026-10-09 18:00", "30min", "2026-10-10 09:00"),
        ("verify", "U2", GRID, "2026-10-01 03:00", "1h", "2026-10-01 04:00"),
        ("verify", "U4", GRID, "2026-10-01 03:00", "1h", "2026-10-01 08:00"),
        ("reply", "U3", GRID, EVE, "24h", "2026-10-01 16:00"),
        ("object", "U3", STREET, EVE, "4wh", "2026-10-08 11:00"),
        ("object", "U3", STREET, "2026-10-09 16:00", "4wh", "2026-10-10 11:00"),
        ("final_reply", "U1", GRID, EVE, "2h", "2026-09-30 18:00"),
        ("final_reply", "U2", GRID, EVE, "24h", "2026-10-01 16:00"),
        ("final_reply", "U3", GRID, EVE, "168h", "2026-10-07 16:00"),
        ("final_reply", "U4", GRID, EVE, "360h", "2026-10-15 16:00"),
        ("callback", "U3", GRID, EVE, "48h", "2026-10-02 16:00"),
        ("report_in", "U2", DISTRICT, EVE, "30min", "2026-09-30 16:30"),
        ("report_in", "U4", DISTRICT, EVE, "24h", "2026-10-01 16:00"),
        ("approval", "U3", STREET, EVE, "5wd", "2026-10-13 17:30"),
        ("forward", "U3", DISTRICT, "2026-09-20 10:00", "15d", "2026-10-09 00:00"),
        ("written_notice", "U3", DISTRICT, "2026-09-20 10:00", "15d", "2026-10-09 00:00"),
        ("decide", "U3", DISTRICT, "2026-08-03 10:00", "60d", "2026-10-09 00:00"),
        ("review", "U3", CITY, "2026-09-03 10:00", "30d", "2026-10-09 00:00"),
        ("rereview", "U3", CITY, "2026-08-21 10:00", "30d", "2026-09-21 00:00"),
        ("ask_review", "U3", GRID, "2026-09-10 10:00", "30d", "2026-10-11 00:00"),
        ("ask_rereview", "U3", GRID, "2026-09-11 10:00", "30d", "2026-10-13 00:00"),
        ("mediate", "U3", STREET, "2026-09-03 10:00", "30d", "2026-10-09 00:00"),
        ("confirm", "U3", STREET, "2026-09-10 10:00", "30d", "2026-10-11 00:00"),
    ],
)  # fmt: skip
def test_the_rows_of_the_clock_table(
    clock: str, urgency: str, division: str, start: str, limit: str, due: str
) -> None:
    told = answered(question(start, clock, division, urgency=urgency))
    assert (told.line.limit, local(told.clock.due_at)) == (limit, due)
    assert told.clock.due_at == told.spans[-1][0].end == told.line.due_at
    assert sum(span.counted for span, _ in told.spans) == told.line.amount + sum(
        one.amount for one in told.line.added
    )
    assert told.basis


@pytest.mark.parametrize(
    ("division", "urgency", "limit"),
    [
        (GRID, "U2", "288min"),
        (GRID, "U3", "2016min"),
        (COMMUNITY, "U3", f"{2016 + 2520}min"),
        (STREET, "U4", f"{4320 + 5400 + 6480}min"),
        (DISTRICT, "U2", "1440min"),
    ],
)
def test_a_tier_has_its_share_and_the_unused_ones_below(
    division: str, urgency: str, limit: str
) -> None:
    told = answered(question(EVE, "tier", division, urgency=urgency))
    assert told.line.limit == limit
    assert told.clock.due_at - told.clock.started_at == int(limit[:-3]) * timedelta(minutes=1)


def test_the_stretches_and_days_of_working_hours_across_the_week() -> None:
    told = answered(question(EVE, "object", STREET))
    ((span, stretches),) = told.spans
    assert span.state == "counted"
    assert [(local(one.start), local(one.end)) for one in stretches] == [
        ("2026-09-30 16:00", "2026-09-30 17:30"),
        ("2026-10-08 08:30", "2026-10-08 11:00"),
    ]
    assert [(str(day.day), day.kind) for day in told.days] == [
        (f"2026-10-0{n}", "holiday") for n in range(1, 8)
    ]  # fmt: skip
    assert not told.provisional


def test_five_working_days_use_the_saturday_that_is_worked() -> None:
    told = answered(question(EVE, "approval", STREET))
    days = [local(one.start)[:10] for _, stretches in told.spans for one in stretches]
    assert days == ["2026-10-08", "2026-10-09", "2026-10-10", "2026-10-12", "2026-10-13"]
    assert ("2026-10-10", "make_up_workday") in [(str(d.day), d.kind) for d in told.days]
    assert "203" in told.counting[1]


def test_calendar_days_that_end_within_the_week_end_after_it() -> None:
    told = answered(question("2026-09-20 10:00", "forward", DISTRICT))
    assert [(one.why, one.amount) for one in told.line.added] == [("rest_days", 3)]
    assert [str(day.day) for day in told.days] == ["2026-10-05", "2026-10-06", "2026-10-07"]
    assert "art. 22" in told.basis


def test_at_night_a_promise_waits_for_the_opening() -> None:
    told = answered(question("2026-10-03 23:00", "verify", GRID, urgency="U3"))
    assert [(span.state, local(span.start)) for span, _ in told.spans] == [
        ("before_opening", "2026-10-03 23:00"),
        ("counted", "2026-10-04 07:00"),
    ]


def test_a_promise_in_a_year_without_a_notice_is_provisional() -> None:
    told = answered(question("2026-12-30 10:00", "decide", DISTRICT))
    assert told.provisional
    assert not answered(question("2026-12-30 10:00", "object", STREET)).provisional


# ---------------------------------------------------------------- standing still, more time


def test_what_stood_still_has_left_what_it_had_left_and_warns_so_much_later() -> None:
    plain = answered(question(EVE, "final_reply", urgency="U3"))
    pause = waiting("2026-10-04 16:00", "2026-10-06 16:00")
    told = answered(question(EVE, "final_reply", urgency="U3", pauses=(pause,)))
    assert told.clock.due_at == plain.clock.due_at + 48 * HOUR
    assert [span.state for span, _ in told.spans] == ["counted", "paused", "counted"]
    assert [span.counted for span, _ in told.spans] == [n * 3_600_000_000 for n in (96, 0, 72)]
    moved = [a - b for a, b in zip(told.clock.warn_at, plain.clock.warn_at, strict=True)]
    assert moved == [0 * HOUR, 48 * HOUR, 48 * HOUR]


def test_a_pause_lets_the_other_limit_of_a_tier_be_the_earlier_one() -> None:
    """4 working hours lie before 33.6 hours, until a pause costs them more than it costs these."""
    start = "2026-09-30 10:00"
    alone = answered(question(start, "tier", category=RUBBISH))
    assert (alone.line.limit, local(alone.clock.due_at)) == ("4wh", "2026-09-30 15:30")
    pause = waiting("2026-09-30 10:30", "2026-09-30 17:00")
    told = answered(question(start, "tier", category=RUBBISH, pauses=(pause,)))
    assert (told.line.limit, local(told.clock.due_at)) == ("2016min", "2026-10-02 02:06")
    assert [span.state for span, _ in told.spans] == ["counted", "paused", "counted"]


def test_more_time_is_told_apart_from_the_limit() -> None:
    granted, until = at("2026-10-02 10:00"), at("2026-10-10 16:00")
    told = answered(question(EVE, "final_reply", urgency="U3", extension=(granted, until)))
    assert told.clock.due_at == until
    assert [(one.why, one.amount) for one in told.line.added] == [("extension", 72 * 3_600_000_000)]


def test_without_a_clock_the_policy_chooses() -> None:
    told = explained(question(EVE, category=LAMP, division=GRID), shipped_policy())
    assert not isinstance(told, Wrong)
    assert [one.line.name for one in told] == [
        "sign", "verify", "reply", "tier", "final_reply", "object", "callback",
    ]  # fmt: skip
    at_the_desk = explained(question(EVE, track="mediation", division=STREET), shipped_policy())
    assert not isinstance(at_the_desk, Wrong)
    assert [one.line.name for one in at_the_desk] == ["dispatch", "reply"]


# ---------------------------------------------------------------- what cannot be answered

GOOD = waiting("2026-10-04 16:00", "2026-10-05 16:00")


@pytest.mark.parametrize(
    ("asked", "field", "says"),
    [
        pytest.param(question("2031-01-01 10:00", "reply"), "start", "2024, 2025, 2026, 2027"),
        pytest.param(question(EVE, "reply", "210299"), "division", "/divisions/city"),
        pytest.param(question(EVE, category="Z98"), "category", "no category"),
        pytest.param(question(EVE, "nap"), "clock", "dispatch, handover, sign"),
        pytest.param(question(EVE, "pause"), "clock", "when it was agreed to"),
        pytest.param(question(EVE, "decide", track="service"), "track", "xinfang"),
        pytest.param(question(EVE, "tier", CITY), "division", "below it"),
        pytest.param(question(EVE, "reply", pauses=(GOOD,)), "pauses", "tier and final_reply"),
        pytest.param(question(EVE, "final_reply", pauses=(GOOD, GOOD)), "pauses.1.from", "follow"),
        pytest.param(
            question(EVE, "final_reply", pauses=(waiting("2026-10-04 16:00", "2026-10-04 16:00"),)),
            "pauses.0.to", "ends after",
        ),
        pytest.param(
            question(EVE, "final_reply", pauses=(waiting("2026-10-04 16:00", "2026-11-04 16:00"),)),
            "pauses.0.to", "360 hours",
        ),
        pytest.param(
            question(EVE, "final_reply", urgency="U1", pauses=(GOOD,)), "pauses", "is late runs on",
        ),
        pytest.param(
            question(EVE, "reply", extension=(at(EVE), at("2026-10-09 10:00"))),
            "extension", "tier or final_reply",
        ),
        pytest.param(
            question(EVE, "final_reply", extension=(at("2026-09-29 10:00"), at(EVE))),
            "extension", "after the start",
        ),
        pytest.param(
            question(EVE, "final_reply", pauses=(GOOD,),
                     extension=(at("2026-10-05 10:00"), at("2026-10-20 10:00"))),
            "extension.granted_at", "stands still",
        ),
        pytest.param(
            question(EVE, "final_reply", extension=(at(EVE), at("2026-12-09 10:00"))),
            "extension.until", "at most",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_says_what_to_do(asked: Asked, field: str, says: str) -> None:
    wrong = explained(asked, shipped_policy())
    assert isinstance(wrong, Wrong)
    assert wrong.field == field
    assert says in wrong.says
