"""What residents are told of what comes next, in both languages; and what a snapshot means."""

from datetime import UTC, datetime, timedelta
from typing import get_args
from uuid import UUID

import pytest

from services.intake.decisions.additions import RATING_REASONS, Ending, Reopening
from services.intake.decisions.courses import Course, course_of
from services.intake.decisions.outlook import (
    CALLED_BACK,
    MISSED,
    PAUSES,
    REASONS,
    REFUSALS,
    STEPS,
    Given,
    next_step,
    rating,
    standing,
    urging,
)
from services.router.decisions.case import CallBack, NotAccepted, PauseReason
from services.router.decisions.policy.terms import ClockName
from shared.events import CaseChanged, CaseSnapshot, ClockSnapshot, OnBreach, Order
from tests.intake.samples import case_event

RECEIVED = datetime(2026, 4, 12, 1, 0, tzinfo=UTC)
HOUR = 3_600_000
TASK = ClockSnapshot(name="report_in/2", generation=1, due=HOUR, on_breach="supervise")
SIGN = ClockSnapshot(name="sign", generation=1, due=HOUR // 2, on_breach="remind")
OBJECT = ClockSnapshot(name="object", generation=1, due=2 * HOUR, on_breach="none")
REPLY = ClockSnapshot(name="reply", generation=1, due=24 * HOUR, on_breach="supervise")
TIER = ClockSnapshot(name="tier", generation=2, due=20 * HOUR, on_breach="promote")
FINAL = ClockSnapshot(name="final_reply", generation=2, due=168 * HOUR, on_breach="supervise")
PAUSE = ClockSnapshot(name="pause", generation=1, due=72 * HOUR, on_breach="supervise")


def snapshot(**more: object) -> CaseSnapshot:
    """A case that somebody holds."""
    event = case_event(UUID(int=1), Order(1, 1), **more)  # type: ignore[arg-type]
    assert isinstance(event.data, CaseChanged)
    return event.data.case


def test_whatever_the_router_says_has_words() -> None:
    assert set(STEPS) == set(get_args(ClockName))
    assert set(MISSED) == set(get_args(OnBreach)) - {"none"}
    assert set(PAUSES) == set(get_args(PauseReason))
    assert set(REFUSALS) == set(get_args(NotAccepted))
    assert set(CALLED_BACK) == set(get_args(CallBack))
    assert set(REASONS) == set(RATING_REASONS)
    said = [*STEPS.values(), *MISSED.values(), *PAUSES.values(), *CALLED_BACK.values()]
    said += [*REASONS.values(), *(words for one in REFUSALS.values() for words in one)]
    for language in ("zh", "en"):
        words = [one[language] for one in said]
        assert all(words)
        assert len(set(words)) == len(words)


@pytest.mark.parametrize(
    ("clocks", "step", "due"),
    [
        pytest.param([REPLY, SIGN, TIER], "sign", HOUR // 2, id="the earliest"),
        pytest.param([REPLY, TASK], "report_in", HOUR, id="a department that was called"),
        pytest.param([REPLY, OBJECT], "reply", 24 * HOUR, id="a right of an office is no promise"),
        pytest.param(
            [TIER.model_copy(update={"paused": True}), PAUSE, REPLY],
            "reply",
            24 * HOUR,
            id="what stands still is not next",
        ),
    ],
)
def test_the_next_promise_is_told_with_its_time_and_what_follows(
    clocks: list[ClockSnapshot], step: str, due: int
) -> None:
    course = course_of(snapshot(clocks=clocks))
    by = RECEIVED + timedelta(milliseconds=due)
    told = next_step(course, by)
    assert told is not None
    assert (told["step"], told["by"], told["late"]) == (step, by, False)
    assert told["zh"] == STEPS[step]["zh"]
    late = next_step(course, by + timedelta(seconds=1))
    assert late is not None
    assert late["late"] is True


def test_when_nothing_runs_nothing_is_promised() -> None:
    course = course_of(snapshot(stage="closed", closed=HOUR, reopened=2))
    assert next_step(course, RECEIVED) is None
    assert standing(course) == {}
    assert (course.closed_at, course.reopened) == (RECEIVED + timedelta(hours=1), 2)


def test_a_pause_more_time_a_refusal_and_a_call_back_are_told_with_their_reasons() -> None:
    course = course_of(
        snapshot(
            clocks=[FINAL, PAUSE],
            paused="waiting_for_petitioner",
            extended=True,
            not_accepted="legal_route",
            called_back="no_answer",
        )
    )
    told = standing(course)
    assert told["paused"] == {
        "reason": "waiting_for_petitioner",
        **PAUSES["waiting_for_petitioner"],
        "until": RECEIVED + timedelta(hours=72),
    }
    assert told["more_time"] == {
        "until": RECEIVED + timedelta(hours=168),
        "zh": "经批准延长，最迟于2026-04-19 09:00给您最终答复。",
        "en": "More time was given: the final answer comes by 2026-04-19 09:00 (Beijing time).",
    }
    assert told["not_accepted"] == {
        "reason": "legal_route",
        **REFUSALS["legal_route"].why,
        "door": REFUSALS["legal_route"].door,
    }
    assert told["called_back"] == {"result": "no_answer", **CALLED_BACK["no_answer"]}


def test_the_final_answers_time_is_told_only_where_it_is_more_than_was_promised() -> None:
    assert course_of(snapshot(clocks=[FINAL])).answer_until is None


def test_a_code_of_a_later_router_is_told_without_its_meaning() -> None:
    told = standing(Course(paused="by_the_moon", not_accepted="x", called_back="y"))
    assert set(told) == {"paused", "not_accepted", "called_back"}
    later = Course(next_step="z", next_by=RECEIVED, if_missed="remind")
    assert next_step(later, RECEIVED) is not None


def test_a_rating_is_offered_with_its_reasons_and_which_of_them_reopen() -> None:
    ending = Ending("closed", RECEIVED, 0)
    told = rating(ending, None, Reopening(timedelta(hours=1)), RECEIVED)
    assert (told["possible"], told["until"]) == (True, RECEIVED + timedelta(hours=1))
    assert told["zh"] == "您可以在2026-04-12 10:00之前评价。"
    assert isinstance(told["reasons"], list)
    assert {one["reason"]: one["reopens"] for one in told["reasons"]} == {
        "not_solved": True,
        "came_back": True,
        "wrong_answer": True,
        "slow": False,
        "unkind": False,
    }


def test_a_rating_that_was_given_is_told_and_not_asked_for_again() -> None:
    given = Given(False, False, "slow", RECEIVED)
    told = rating(Ending("resolved", None, 0), given, Reopening(), RECEIVED)
    assert (told["possible"], told["given"]) == (False, given._asdict())
    assert "reasons" not in told


@pytest.mark.parametrize(
    ("lately", "stage", "left"),
    [(0, None, 3), (2, "signed", 1), (3, "signed", 0), (0, "closed", 0)],
)
def test_how_often_one_may_still_urge_today(lately: int, stage: str | None, left: int) -> None:
    ending = Ending(stage, None, 0)  # type: ignore[arg-type]
    assert urging(5, lately, ending) == {"so_far": 5, "left_today": left}
