"""Tasks of a case are taken, refused and decided on, done, withdrawn.

An office objects once, and the street decides; when it says no again the district does, and it is
counted. [domain B6; Beijing Subdistrict Regs 44, city]
"""

from __future__ import annotations

from dataclasses import replace

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.clocks import Owner
from services.router.decisions.commands import (
    DecideObjection,
    Decision,
    FinishTask,
    Refused,
    RefuseTask,
    ReportIn,
    WithdrawTask,
    stepped,
)
from services.router.decisions.policy import Policy
from services.router.decisions.routing import apart_from_accused, holder_for
from services.router.decisions.tasks import MAY_DECLINE, Task, TaskState
from services.router.decisions.workflow.asked import Given
from services.router.decisions.workflow.moving import CLOCK_TOLERANCE
from services.router.decisions.workflow.tasking import (
    LONGEST,
    asked,
    in_time,
    kept,
    open_task,
    own_task,
    with_task,
    withdrawn,
)
from shared.business_time import due
from shared.divisions import CITY, dispatcher_of, is_within, parent


def on_report_in(before: Case, after: Case, command: ReportIn, given: Given) -> Decision:
    """The department has it, says when it is on site, and has its time to deal with it."""
    task = own_task(before, command.task, given)
    if isinstance(task, Refused):
        return task
    if not task.asks_to_report:
        says = f"task {task.n} ({task.kind}, {task.state}) asks nobody to report in"
        return Refused("not_allowed_now", says)
    ahead = command.on_site - given.now
    if command.on_site < task.asked_at - CLOCK_TOLERANCE or ahead > LONGEST:
        return Refused("incomplete", "say when it is on site: not before it was asked")
    reported = in_time(before, task, given.now)
    on_site = command.on_site
    after = kept(after, task, "accepted", given.now, on_site=on_site, reported=reported)
    after = clocks.start_task(after, after.tasks[task.n - 1], given.policy, given.now)
    detail = {"task": task.n, "on_site": on_site} | words(command.note)
    return stepped(before, after, "reported_in", "task/report_in", (), detail)


def on_refuse_task(before: Case, after: Case, command: RefuseTask, given: Given) -> Decision:
    """An office objects, or refuses what it was told it has to; a team may not be able to."""
    task = own_task(before, command.task, given)
    if isinstance(task, Refused):
        return task
    if (says := may_not_refuse(task, given)) is not None:
        return Refused("not_allowed_now", says)
    detail = {"task": task.n, "reason": command.reason, "note": command.note}
    rule = f"refuse/{command.reason}"
    if task.kind in MAY_DECLINE:
        after = kept(after, task, "declined", given.now)
        return stepped(before, after, "task_refused", rule, ("declined",), detail)
    again = task.objections >= given.policy.settings.whistle.objection.times
    state: TaskState = "refused" if again else "objected"
    after = clocks.drop(after, (task.clock,), given.now)
    decider = decider_of(task, before, given.policy, above=again)
    task = replace(task, state=state, objections=task.objections + 1, decider=decider)
    after = clocks.start_task(with_task(after, task), task, given.policy, given.now)
    passed = ("refused", "to_the_district") if again else ("objected",)
    return stepped(before, after, "task_refused", rule, passed, detail)


def may_not_refuse(task: Task, given: Given) -> str | None:
    """Why a task may not be refused now; None if it may."""
    if not task.may_be_refused:
        return f"task {task.n} ({task.kind}, {task.state}) cannot be refused"
    objection = given.policy.settings.whistle.objection
    if task.kind in MAY_DECLINE:
        return None
    if task.objections > objection.times:
        return "who decides on refusals has said that this office has to"
    last = due(task.asked_at, objection.limit, given.policy.calendar).at
    if task.objections == 0 and given.now > last:
        return f"the right to object ended {objection.limit} after it was asked"
    return None


def decider_of(task: Task, case: Case, policy: Policy, *, above: bool) -> str:
    """Who decides on an objection: the street; on a refusal the level above that."""
    tier = policy.settings.whistle.objection.decided_by
    first = holder_for(tier, task.division, case.accused_division, policy)
    if not above or first == CITY:
        return first
    return apart_from_accused(parent(first), case.accused_division, policy)


def on_decide_objection(
    before: Case, after: Case, command: DecideObjection, given: Given
) -> Decision:
    """It is not theirs, and the task is over; or they have to, and are asked again."""
    task = own_task(before, command.task, given)
    if isinstance(task, Refused):
        return task
    if not task.is_disputed:
        return Refused("not_allowed_now", f"nobody objects to task {task.n}: it is {task.state}")
    upheld = command.decision == "uphold"
    state: TaskState = "released" if upheld else "asked"
    after = kept(after, task, state, given.now, decider=None)
    passed: tuple[str, ...] = ("upheld",) if upheld else ("overruled",)
    if upheld:
        after, more = all_reported(after, given)
        passed = (*passed, *more)
    else:
        again = after.tasks[task.n - 1]
        after = clocks.start_task(after, again, given.policy, given.now)
    detail = {"task": task.n, "note": command.note}
    rule = f"objection/{command.decision}"
    return stepped(before, after, "objection_decided", rule, passed, detail)


# ---------------------------------------------------------------- done


def on_finish_task(before: Case, after: Case, command: FinishTask, given: Given) -> Decision:
    """Done; when every department is, the first receiver has the result. [domain B6]"""
    task = own_task(before, command.task, given)
    if isinstance(task, Refused):
        return task
    if refused := may_not_finish(task, command):
        return refused
    finished = in_time(before, task, given.now)
    after = kept(after, task, "done", given.now, finished=finished)
    more: tuple[str, ...] = ()
    if task.kind == "result":
        after, more = rated_by_receiver(after, good=bool(command.good)), ("whistle_closed",)
    elif task.kind == "report_in":
        after, more = all_reported(after, given)
    detail: dict[str, object] = {"task": task.n, "result": command.result}
    detail |= {} if command.good is None else {"good": command.good}
    return stepped(before, after, "task_done", f"done/{task.kind}", ("task_done", *more), detail)


def may_not_finish(task: Task, command: FinishTask) -> Refused | None:
    """Why a task is not done by saying so; None if it is."""
    if not task.may_be_done:
        says = f"task {task.n} ({task.kind}, {task.state}) is not done by saying so"
        return Refused("not_allowed_now", f"{says}: report in, decide, or blow first")
    if (task.kind == "result") != (command.good is not None):
        says = "`good` is what the first receiver says of a result, and he has to say it"
        return Refused("incomplete", says)
    return None


def rated_by_receiver(case: Case, *, good: bool) -> Case:
    """The whistle is over; what its first receiver says is said of each department that was in."""
    assert case.whistle is not None
    tasks = tuple(
        replace(task, good=good)
        if task.kind == "report_in" and task.state == "done" and task.good is None
        else task
        for task in case.tasks
    )
    return but(case, tasks=tasks, whistle=replace(case.whistle, state="closed"))


def all_reported(case: Case, given: Given) -> tuple[Case, tuple[str, ...]]:
    """When no department has anything left to do, the result goes to the first receiver."""
    reports = [task for task in case.tasks if task.kind == "report_in"]
    left = any(task.is_open for task in reports)
    since = None if case.whistle is None else case.whistle.at
    did = any(task.state == "done" and since and task.asked_at >= since for task in reports)
    if left or not did:
        return case, ()
    return with_result(case, given)


def with_result(case: Case, given: Given) -> tuple[Case, tuple[str, ...]]:
    """The result of a whistle goes to whoever had the case first, never to who is accused."""
    whistle = case.whistle
    if whistle is None or whistle.state not in ("blown", "commanded"):
        return case, ()
    accused = case.accused_division
    if accused is not None and is_within(whistle.first, accused):
        return but(case, whistle=replace(whistle, state="void")), ()
    owner = Owner(whistle.first, dispatcher_of(whistle.first))
    case = asked(but(case, whistle=replace(whistle, state="result")), "result", owner, given)
    return case, ("result_to_first_receiver",)


def on_withdraw_task(before: Case, after: Case, command: WithdrawTask, given: Given) -> Decision:
    """Who has the case needs it no longer; a result is the first receiver's to look at."""
    task = open_task(before, command.task)
    if isinstance(task, Refused):
        return task
    if not task.may_be_withdrawn:
        return Refused("not_allowed_now", "the first receiver looks at the result")
    after = withdrawn(after, task, given.now)
    after, more = all_reported(after, given) if task.kind == "report_in" else (after, ())
    detail = {"task": task.n, "note": command.note}
    rule, passed = f"withdrawn/{task.kind}", ("task_withdrawn", *more)
    return stepped(before, after, "task_withdrawn", rule, passed, detail)


def words(note: str | None) -> dict[str, str]:
    """A note, where there is one."""
    return {} if note is None else {"note": note}
