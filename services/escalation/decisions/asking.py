"""Who is told that something is asked of him: whoever has a new task, and the street of a whistle.

A snapshot says it: a task is a promise of its own (`report_in/3`), and its owner changes with its
state. [F91, article: the community whistles, the street commands, departments report in]
"""

from __future__ import annotations

from services.escalation.decisions.armed import Armed, Clock, moment
from services.escalation.decisions.notices import About, Desk, Notice, desk_of, shielded
from shared.events import promise_of


def asked(before: Armed | None, after: Armed) -> list[Notice]:
    """Whoever has to do something about a task since this snapshot, and had not before.

    Who reports in and then goes on with the same task is not told of what he said himself.
    """
    tasks = [clock for clock in after.clocks if task_of(clock)]
    if not tasks:
        return []
    known = {(task_of(clock), owner_of(clock)) for clock in before.clocks} if before else set()
    return [
        notice(after, owner_of(clock), clock, "task")
        for clock in tasks
        if (task_of(clock), owner_of(clock)) not in known
    ]


def commanded(case: Armed) -> list[Notice]:
    """The desk that commands after a whistle: it has the case, under its earliest promise."""
    desk = desk_of(case.holder)
    own = [clock for clock in case.clocks if owner_of(clock) == desk]
    return [notice(case, desk, min(own, key=lambda one: one.due), "whistle")] if own else []


def task_of(clock: Clock) -> str:
    """The number of the task that a clock is of; empty for a promise of the case itself."""
    return clock.name.partition("/")[2]


def owner_of(clock: Clock) -> Desk:
    """Whose promise a clock is."""
    return Desk(clock.owner_division, clock.owner_role, clock.owner_office)


def notice(case: Armed, desk: Desk, clock: Clock, about: About) -> Notice:
    """What a desk is told of a promise that it has now, if it is not accused."""
    told = shielded(desk, case.accused)
    due_at = moment(case, clock.due)
    return Notice(told, promise_of(clock.name), "warning", due_at, case.case_id, about)
