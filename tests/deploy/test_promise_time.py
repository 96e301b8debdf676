"""Promise time over many runs: it never steps back, and time off is no time."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.promise_time import EVERY, CannotResume, PromiseTime, Saved, resumed
from shared.clock import Clock, wall

FIRST = datetime(2026, 3, 2, 9, tzinfo=UTC)
SPEEDS = st.sampled_from([0.5, 2.0, 60.0, 720.0, 3600.0])
SPANS = st.floats(0, 100_000).map(lambda seconds: timedelta(seconds=seconds))


class Run(NamedTuple):
    """A run that lasts `on`, was last saved `unsaved` before its end, and is followed by `off`."""

    on: timedelta
    off: timedelta
    unsaved: timedelta
    killed: bool


RUNS = st.lists(
    st.builds(
        Run, SPANS, SPANS, st.floats(0, EVERY.total_seconds()).map(lambda s: timedelta(seconds=s)),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip


class Told(NamedTuple):
    """The first and the last promise time that a run told."""

    first: datetime
    last: datetime


def through(runs: list[Run], speed: float) -> list[Told]:
    """What a stack tells that goes through these runs."""
    now, saved, told = FIRST, None, []
    for run in runs:
        clock = resumed(saved, speed, now)
        ended = now + run.on
        told.append(Told(clock.at(now), clock.at(ended)))
        saved_at = max(now, ended - run.unsaved) if run.killed else ended
        saved = Saved(clock.at(saved_at), saved_at, speed, stopped=not run.killed)
        now = ended + run.off
    return told


@given(RUNS, SPEEDS)
def test_promise_time_never_steps_back_however_the_runs_ended(
    runs: list[Run], speed: float
) -> None:
    told = through(runs, speed)
    assert all(before.last <= after.first for before, after in pairwise(told))


@given(RUNS, SPEEDS)
def test_time_off_adds_nothing(runs: list[Run], speed: float) -> None:
    told = through([run._replace(killed=False) for run in runs], speed)
    on = sum((run.on for run in runs), timedelta())
    assert abs(told[-1].last - FIRST - on * speed) < timedelta(milliseconds=1)


@given(RUNS, SPEEDS)
def test_a_killed_run_costs_a_few_seconds_at_most(runs: list[Run], speed: float) -> None:
    told = through([run._replace(killed=True) for run in runs], speed)
    for before, after in pairwise(told):
        rounding = timedelta(microseconds=1)
        assert after.first - before.last <= timedelta(seconds=12) * speed + rounding


@given(SPANS, SPANS, SPEEDS)
def test_a_wall_that_was_set_back_does_not_set_promises_back(
    on: timedelta, back: timedelta, speed: float
) -> None:
    clock = resumed(None, speed, FIRST)
    saved = Saved(clock.at(FIRST + on), FIRST + on, speed, stopped=False)
    last = clock.at(FIRST + on + EVERY)
    earlier = FIRST + on - back - timedelta(microseconds=1)
    assert resumed(saved, speed, earlier).at(earlier) >= last


@given(RUNS)
def test_at_speed_1_it_is_always_the_real_time(runs: list[Run]) -> None:
    now = FIRST
    for run, told in zip(runs, through(runs, 1), strict=True):
        assert told == (now, now + run.on)
        now += run.on + run.off
    assert resumed(None, 1, FIRST) == Clock()


def test_data_of_another_speed_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "promise_time.json"
    fast = PromiseTime(file, 720)
    fast.begin()
    fast.end()
    with pytest.raises(CannotResume, match=f"{tmp_path}.* at speed 720, not at 1.*--data.*--speed"):
        PromiseTime(file, 1).begin()
    assert json.loads(file.read_text())["speed"] == 720


def test_the_next_run_goes_on_where_the_last_one_stood(tmp_path: Path) -> None:
    file = tmp_path / "promise_time.json"
    first = PromiseTime(file, 720)
    clock = first.begin()
    first.end()
    stood = datetime.fromisoformat(json.loads(file.read_text())["promise"])
    assert clock.base is not None
    assert clock.base < stood <= clock.now()

    again = PromiseTime(file, 720).begin()

    assert again.base == stood
    assert again.base_utc is not None
    assert abs(again.base_utc - wall()) < timedelta(seconds=5)


def test_an_unreadable_file_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "promise_time.json"
    file.write_text('{"promise": "yesterday"}')
    with pytest.raises(CannotResume, match=r"promise_time\.json is unreadable"):
        PromiseTime(file, 720).check()
