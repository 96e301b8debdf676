"""When a resident may rate and urge, and in which order all was said. No database."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.intake.decisions.additions import (
    RATING_REASONS,
    Ending,
    Later,
    NoRating,
    Reopening,
    no_rating,
    numbered,
    reopening,
    today,
)
from shared.events import SettingsRow, Stage

CLOSED_AT = datetime(2026, 4, 12, 1, 0, tzinfo=UTC)
RULES = Reopening(within=timedelta(hours=360))
LAST = CLOSED_AT + timedelta(hours=360)


@pytest.mark.parametrize(
    ("stage", "closed_at", "rated", "now", "why"),
    [
        pytest.param(None, None, [], CLOSED_AT, "not_done", id="not routed yet"),
        pytest.param("assigned", None, [], CLOSED_AT, "not_done", id="assigned"),
        pytest.param("signed", None, [], CLOSED_AT, "not_done", id="being handled"),
        pytest.param("handed_off", CLOSED_AT, [], CLOSED_AT, "not_done", id="another body's"),
        pytest.param("resolved", None, [], LAST, None, id="resolved, and not closed yet"),
        pytest.param("resolved", None, [0], LAST, None, id="rated before it was reopened"),
        pytest.param("resolved", None, [0, 1], LAST, "rated", id="rated since"),
        pytest.param("closed", CLOSED_AT, [], LAST, None, id="the last moment"),
        pytest.param(
            "closed", CLOSED_AT, [], LAST + timedelta(seconds=1), "too_late", id="too late"
        ),
        pytest.param("closed", None, [], LAST, None, id="closed before we kept when"),
    ],
)
def test_a_case_may_be_rated_once_each_time_it_ended_while_it_may_come_back(
    stage: Stage | None,
    closed_at: datetime | None,
    rated: list[int],
    now: datetime,
    why: NoRating | None,
) -> None:
    assert no_rating(Ending(stage, closed_at, reopened=1), rated, RULES, now) == why


@pytest.mark.parametrize(
    ("said", "rules"),
    [
        pytest.param({"within": "2h"}, Reopening(timedelta(hours=2)), id="the window"),
        pytest.param({"reasons": ["slow"]}, Reopening(reasons=("slow",)), id="the reasons"),
        pytest.param({}, Reopening(), id="an older version"),
    ],
)
def test_the_policy_says_how_long_and_for_what(said: dict[str, object], rules: Reopening) -> None:
    rows = [SettingsRow(name="version", value=1)]
    assert reopening(rows) == Reopening()
    assert reopening([*rows, SettingsRow(name="escalation", value={"reopen": said})]) == rules


def test_a_window_of_working_days_is_refused() -> None:
    with pytest.raises(ValueError, match="5wd is not elapsed time"):
        reopening([SettingsRow(name="escalation", value={"reopen": {"within": "5wd"}})])


@pytest.mark.parametrize("hour", [15, 16], ids=["before midnight", "after midnight"])
def test_a_day_is_a_day_in_beijing(hour: int) -> None:
    now = datetime(2026, 4, 12, hour, 59, tzinfo=UTC)
    began, ends = today(now)
    assert began == datetime(2026, 4, 11 + (hour == 16), 16, tzinfo=UTC)
    assert ends - began == timedelta(days=1)


def later(n: int, seq: int | None) -> Later:
    """What was said later: the `n`th by its id."""
    return Later(UUID(int=0), UUID(int=n), seq, CLOSED_AT, None)


@pytest.mark.parametrize(
    ("said", "order"),
    [
        pytest.param([later(1, 2), later(2, 3)], [1, 2], id="as their ids"),
        # Ids are made before the lock is waited for: who came first may be said last.
        pytest.param([later(1, 3), later(2, 2)], [2, 1], id="not as their ids"),
        pytest.param([later(2, None), later(1, None)], [1, 2], id="of an older intake"),
        pytest.param(
            [later(4, None), later(3, 2), later(2, 4), later(1, None)], [3, 1, 2, 4], id="of both"
        ),
    ],
)
def test_what_was_said_later_has_its_seqs_gapless_from_two(
    said: list[Later], order: list[int]
) -> None:
    found = numbered(said)
    assert [seq for seq, _ in found] == list(range(2, 2 + len(said)))
    assert [one.id.int for _, one in found] == order


def test_some_reasons_reopen_and_others_do_not() -> None:
    reopens = set(Reopening().reasons)
    assert reopens < set(RATING_REASONS)
