"""A process may be told to die at a point of its work; a name that nobody knows is refused."""

import os
import signal
import subprocess
import sys
from typing import get_args

import pytest
from pydantic import ValidationError

from shared.failpoints import POINTS, Step, plan_of
from shared.settings import Settings
from tests.servers import ROOT

PASS_THREE_TIMES = """
import sys
from shared.failpoints import arm, passing
arm("router", sys.argv[1])
for n in range(3):
    passing("before_send")
    passing("after_send")
    print(n + 1, flush=True)
"""


def passed(text: str) -> tuple[int, list[str]]:
    """How a process of the router ends that passes twice three points, and how far it came."""
    done = subprocess.run(
        [sys.executable, "-c", PASS_THREE_TIMES, text],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout.split()


def test_a_process_dies_the_third_time_that_it_passes() -> None:
    assert passed("router.after_send:3") == (-signal.SIGKILL, ["1", "2"])
    assert passed("before_send:2") == (-signal.SIGKILL, ["1"])


def test_without_a_point_or_at_one_of_another_service_it_lives() -> None:
    assert passed("") == (0, ["1", "2", "3"])
    assert passed("intake.after_send") == (0, ["1", "2", "3"])


@pytest.mark.parametrize(
    "text",
    ["nowhere", "router.nowhere", "router.before_sweep_commit", "after_send:0", "after_send:often"],
)
def test_what_is_never_passed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no failpoint|never passes|says not how often"):
        plan_of(text)
    with pytest.raises(ValidationError):
        Settings(database_url="postgresql://nowhere", fail_at=text)


def test_a_service_that_is_told_an_unknown_point_does_not_start_and_names_all() -> None:
    told = {"CASEGRID_DATABASE_URL": "postgresql://nowhere", "CASEGRID_FAIL_AT": "router.nowhere"}
    done = subprocess.run(
        [sys.executable, "-m", "services.router", "serve"],
        cwd=ROOT,
        env=os.environ | told,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "CASEGRID_FAIL_AT" in done.stderr
    assert all(point in done.stderr for point in POINTS)


def test_every_step_has_a_point_before_and_one_after_its_commit() -> None:
    wanted = {f"{when}_{step}_commit" for step in get_args(Step) for when in ("before", "after")}
    assert {point for point in POINTS if point.endswith("_commit")} == wanted
