"""Points at which a process may be told to kill itself, to see that nothing is lost or doubled.

`CASEGRID_FAIL_AT=router.after_batch_commit` kills a process of the router the first time that it
passes there, as `kill -9` would; `CASEGRID_FAIL_AT=before_send:3` any process, the third time. Off
unless it is set. `POINTS` are all there are, and who passes them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Step: TypeAlias = Literal["batch", "accept", "read", "command", "sweep", "timer"]
"""A transaction: `before_…_commit` and `after_…_commit` are its points."""

EVERYBODY = ("intake", "router", "escalation", "analytics")
SPEAKERS = ("intake", "router", "escalation")
"""Analytics takes no command, and says nothing as long as the census finds nothing amiss."""

POINTS: Mapping[str, tuple[str, ...]] = {
    "before_batch_commit": EVERYBODY,
    "after_batch_commit": EVERYBODY,
    "before_accept_commit": ("intake",),
    "after_accept_commit": ("intake",),
    "before_read_commit": ("intake",),
    "after_read_commit": ("intake",),
    "before_command_commit": SPEAKERS,
    "after_command_commit": SPEAKERS,
    "before_sweep_commit": ("escalation",),
    "after_sweep_commit": ("escalation",),
    "before_timer_commit": EVERYBODY,
    "after_timer_commit": EVERYBODY,
    "before_send": SPEAKERS,
    "after_send": SPEAKERS,
    "after_delete": SPEAKERS,
}


class Plan(NamedTuple):
    """Where to die: `service` None is any; the `times`-th passing is the last."""

    service: str | None
    point: str
    times: int


def plan_of(text: str) -> Plan:
    """What `CASEGRID_FAIL_AT` says: `[service.]point[:times]`. Raises `ValueError`."""
    where, _, times = text.partition(":")
    service, _, point = where.rpartition(".")
    if point not in POINTS:
        raise ValueError(f"no failpoint is called {point!r}; there are: {', '.join(POINTS)}")
    if service and service not in POINTS[point]:
        raise ValueError(f"{service!r} never passes {point}: {', '.join(POINTS[point])} do")
    if times and not (times.isdecimal() and int(times) > 0):
        raise ValueError(f"{times!r} says not how often it is passed: 1, 2, 3 …")
    return Plan(service or None, point, int(times or 1))


@dataclass(slots=True)
class Armed:
    """The point at which this process dies, and how often it may still pass it."""

    point: str
    left: int


_armed: Armed | None = None


def arm(service: str, text: str | None) -> None:
    """This process is of that service; `text` is its `CASEGRID_FAIL_AT`, if it has one."""
    global _armed
    plan = plan_of(text) if text else None
    mine = plan is not None and plan.service in (None, service)
    _armed = Armed(plan.point, plan.times) if plan is not None and mine else None


def passing(point: str) -> None:
    """This process is here. It may be the last thing that it does."""
    if _armed is None or _armed.point != point:
        return
    _armed.left -= 1
    if _armed.left == 0:
        os.write(2, f"failpoint {point}: killed\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
