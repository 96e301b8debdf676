"""What a snapshot of a case means to the resident: what comes next, and what came of it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from shared.events import CaseSnapshot, ClockSnapshot, OnBreach, promise_of

PAUSE = "pause"
FINAL_REPLY = "final_reply"


class Course(NamedTuple):
    """How a case goes on; times are promise time. Every field is a column of `receipts`.

    `next_step` is the next promise: what is to happen by `next_by`, and what its
    breach does. `answer_until`: the final reply was given so much time, more than was promised.
    `policy` is the version under which the case lives.
    """

    next_step: str | None = None
    next_by: datetime | None = None
    if_missed: OnBreach | None = None
    paused: str | None = None
    paused_until: datetime | None = None
    answer_until: datetime | None = None
    called_back: str | None = None
    not_accepted: str | None = None
    closed_at: datetime | None = None
    reopened: int | None = None
    policy: int | None = None


def course_of(case: CaseSnapshot) -> Course:
    """How a case goes on, as its snapshot says.

    A clock whose breach does nothing is a right of an office, and no promise to the resident.
    """

    def at(clock: ClockSnapshot | None) -> datetime | None:
        return None if clock is None else moment(case, clock.due)

    clocks = {clock.name: clock for clock in case.clocks}
    promises = (one for one in case.clocks if not one.paused and one.on_breach != "none")
    following = min(promises, key=lambda one: one.due, default=None)
    return Course(
        next_step=None if following is None else promise_of(following.name),
        next_by=at(following),
        if_missed=None if following is None else following.on_breach,
        paused=case.paused,
        paused_until=at(clocks.get(PAUSE)) if case.paused else None,
        answer_until=at(clocks.get(FINAL_REPLY)) if case.extended else None,
        called_back=case.called_back,
        not_accepted=case.not_accepted,
        closed_at=None if case.closed is None else moment(case, case.closed),
        reopened=case.reopened,
        policy=case.policy,
    )


def moment(case: CaseSnapshot, after: int) -> datetime:
    """So many milliseconds after the case was received."""
    return case.started_at + timedelta(milliseconds=after)
