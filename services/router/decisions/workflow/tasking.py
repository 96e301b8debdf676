"""Tasks of a case: given, taken, refused and decided on, done, and void when they no longer stand.

An office objects once, and the street decides; when it says no again the district does, and it is
counted. [domain B6; Beijing Subdistrict Regs 44, city]
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.clocks import DEPARTMENT, REACHABLE_ON_FOOT, Owner
from services.router.decisions.commands import (
    DecideObjection,
    Decision,
    FinishTask,
    GiveTask,
    Refused,
    RefuseTask,
    ReportIn,
    WithdrawTask,
    stepped,
)
from services.router.decisions.policy import Policy
from services.router.decisions.routing import apart_from_accused, holder_for
from services.router.decisions.tasks import (
    MAY_DECLINE,
    MOST_OPEN,
    MOST_TASKS,
    Task,
    TaskKind,
    TaskState,
)
from services.router.decisions.workflow.asked import Given
from services.router.decisions.workflow.guards import has_to, is_disputed
from services.router.decisions.workflow.moving import CLOCK_TOLERANCE
from shared.business_time import due
from shared.divisions import CITY, Tier, ancestor, dispatcher_of, is_within, parent, tier_of
from shared.events import OfficeKind

LONGEST: Final = timedelta(days=90)
"""[ours] No deadline of a task and no conference lies further ahead."""
COMMANDING: Final = frozenset({Tier.STREET, Tier.DISTRICT})
DOES: Final[dict[TaskKind, frozenset[OfficeKind]]] = {
    "report_in": frozenset({"department", "utility"}),
    "assist": frozenset({"department", "utility", "committee"}),
    "team": frozenset({"committee"}),
}
"""The sorts of offices for such a task. A desk is its division's own, an outside body not ours."""


# ---------------------------------------------------------------- given


def on_give_task(before: Case, after: Case, command: GiveTask, given: Given) -> Decision:
    """Somebody is asked to do something; an office, a team, the adviser, or the level above."""
    if refused := no_room(before) or deadline_is_wrong(command.until, given.now):
        return refused
    owner = whom(before, command, given.policy)
    if isinstance(owner, Refused):
        return owner
    after = asked(after, command.kind, owner, given, until=command.until)
    if before.whistle is not None and command.kind == "report_in":
        after = but(after, whistle=replace(before.whistle, state="commanded"))
    passed = ("commanded",) if command.kind == "report_in" else (f"asked/{command.kind}",)
    detail = {"task": after.tasks[-1].n, "kind": command.kind, "note": command.note}
    return stepped(before, after, "task_given", f"task/{command.kind}", passed, detail)


def no_room(case: Case) -> Refused | None:
    """Why a case takes no more tasks; None if it does."""
    if len(case.open_tasks) >= MOST_OPEN:
        return Refused("not_allowed_now", f"it has {MOST_OPEN} open tasks: withdraw one first")
    if len(case.tasks) >= MOST_TASKS:
        return Refused("not_allowed_now", f"it had {MOST_TASKS} tasks already: promote it")
    return None


def deadline_is_wrong(until: datetime | None, now: datetime) -> Refused | None:
    """Why a task cannot have this deadline; None if it can."""
    if until is None or now < until <= now + LONGEST:
        return None
    return Refused("incomplete", f"a deadline lies ahead, and {LONGEST.days} days at most")


def whom(case: Case, command: GiveTask, policy: Policy) -> Owner | Refused:
    """Who gets a task, or why nobody may."""
    match command.kind:
        case "report_in" | "assist":
            return office_for_task(case, command, policy)
        case "copy" if command.office is None:
            return level_above(case, policy)
        case "team" if command.office is not None:
            return office_for_task(case, command, policy)
        case "team" | "adviser" if command.office is None:
            return near_the_place(case, command.kind, policy)
        case _:
            return Refused("incomplete", f"a task of the kind {command.kind} is of no office")


def office_for_task(case: Case, command: GiveTask, policy: Policy) -> Owner | Refused:
    """The office that is named, where it serves the street or district that has the case."""
    whistled = case.whistle is not None and case.whistle.state in ("blown", "commanded")
    if command.kind == "report_in" and not whistled:
        return Refused("not_allowed_now", "departments report in after a whistle: ask it to assist")
    if command.kind != "team" and case.tier not in COMMANDING:
        says = "a grid or community commands no office: ask for the whistle, or blow it"
        return Refused("not_allowed_now", says)
    if command.office is None:
        return Refused("incomplete", "name the office")
    street = holder_for(Tier.STREET, case.holder, case.accused_division, policy)
    if refused := office_may_not(case, command.office, street, DOES[command.kind], policy):
        return refused
    return Owner(street, DEPARTMENT, command.office)


def office_may_not(
    case: Case, office: str, division: str, kinds: frozenset[OfficeKind], policy: Policy
) -> Refused | None:
    """Why an office may have no task of a case; None if it may. Petition Regs 30, 46. [law]"""
    found = policy.office(office)
    if found is None:
        return Refused("unknown", f"there is no office {office[:40]!r} today")
    if may_be_accused(office, case):
        return Refused("not_your_area", "this office may have no part in this case")
    if found.kind not in kinds:
        sorts = ", ".join(sorted(kinds))
        return Refused("not_allowed_now", f"{found.en} is no {sorts}: it has no such task")
    if not found.serves(division):
        return Refused("not_your_area", f"{found.en} does nothing in {division}")
    if office == case.office or any(task.office == office for task in case.open_tasks):
        return Refused("not_allowed_now", f"{found.en} has it, or a task in it, already")
    return None


def level_above(case: Case, policy: Policy) -> Owner | Refused:
    """The desk one level above the holder, never the accused or below it. [F30]"""
    if case.holder == CITY:
        return Refused("not_allowed_now", "nobody stands above the city")
    above = apart_from_accused(parent(case.holder), case.accused_division, policy)
    return Owner(above, dispatcher_of(above))


def near_the_place(case: Case, kind: Literal["team", "adviser"], policy: Policy) -> Owner | Refused:
    """The volunteers of the grid or community where it is, or the adviser of the community."""
    on_foot = tier_of(case.place) in REACHABLE_ON_FOOT
    community = ancestor(case.place, Tier.COMMUNITY)
    if not on_foot or community is None:
        return Refused("incomplete", "say in which community it is first: place it")
    if case.accused_unknown or clocks.accused_within(case):
        return Refused("not_your_area", "nobody there may have a part in this case")
    if kind == "adviser":
        return Owner(community, "legal_adviser")
    return Owner(case.place, "grid_volunteer")


def asked(case: Case, kind: TaskKind, owner: Owner, given: Given, **more: Any) -> Case:
    """The case with one task more, and its clock."""
    task = Task(
        n=len(case.tasks) + 1,
        kind=kind,
        division=owner.division,
        role=owner.role,
        office=owner.office,
        by=case.desk,
        asked_at=given.now,
        **more,
    )
    case = but(case, tasks=(*case.tasks, task))
    return clocks.start_task(case, task, given.policy, given.now)


# ---------------------------------------------------------------- answered


def own_task(case: Case, n: int, given: Given) -> Task | Refused:
    """The open task of this number, if it is the actor's to do something about."""
    task = open_task(case, n)
    if isinstance(task, Refused):
        return task
    if not has_to(case, task, given.actor):
        return Refused("not_your_area", f"it is not for you to say what becomes of task {n} now")
    return task


def open_task(case: Case, n: int) -> Task | Refused:
    """The open task of this number."""
    task = case.task(n)
    if task is None:
        return Refused("unknown", f"this case has no task {n}")
    if not task.is_open:
        return Refused("not_allowed_now", f"task {n} is over: it is {task.state}")
    return task


def in_time(case: Case, task: Task, now: datetime) -> bool:
    """Whether the promise that a task has now is kept, if it is fulfilled now."""
    clock = case.clock(task.clock)
    return clock is not None and not clocks.is_late(clock, now)


def with_task(case: Case, task: Task) -> Case:
    """The case with this task as it is now."""
    return but(case, tasks=tuple(task if one.n == task.n else one for one in case.tasks))


def kept(case: Case, task: Task, state: TaskState, now: datetime, **more: Any) -> Case:
    """The case after what was promised of a task was done."""
    case = clocks.keep(case, (task.clock,), now)
    return with_task(case, replace(task, state=state, **more))


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


def withdrawn(case: Case, task: Task, now: datetime) -> Case:
    """The case after a task is void: what was missed by now is recorded."""
    case = clocks.drop(case, (task.clock,), now)
    return with_task(case, replace(task, state="withdrawn"))


def words(note: str | None) -> dict[str, str]:
    """A note, where there is one."""
    return {} if note is None else {"note": note}


# ---------------------------------------------------------------- void


def tidied(case: Case, now: datetime) -> Case:
    """The case after any step: tasks that nobody may or need do where it is now are void."""
    for task in case.open_tasks:
        if not stands(task, case):
            case = withdrawn(case, task, now)
    whistle = case.whistle
    if whistle is not None and whistle.is_on and not whistle_stands(case):
        case = but(case, whistle=replace(whistle, state="void"))
    return case


def stands(task: Task, case: Case) -> bool:
    """Whether a task still is one: its clock runs, nobody of it is accused, and it is of use."""
    if case.clock(task.clock) is None or is_shut_out(task, case):
        return False
    held = case.stage in ("assigned", "signed")
    match task.kind:
        case "conference":
            return is_disputed(case)
        case "result":
            return held or case.stage == "resolved"
        case "whistle":
            return held and case.tier is Tier.GRID and is_within(case.holder, task.division)
        case "report_in" | "assist":
            return held and case.tier in COMMANDING
        case _:
            return held


def is_shut_out(task: Task, case: Case) -> bool:
    """Whether who has a task is accused, or may be. Petition Regs 30, 46. [law]"""
    named = [task.division, *task.members, *filter(None, [task.office])]
    no_desk = task.role in ("grid_volunteer", "legal_adviser")
    return (case.accused_unknown and no_desk) or any(may_be_accused(one, case) for one in named)


def may_be_accused(who: str, case: Case) -> bool:
    """Whether a division or office is accused, or may be: while nobody knows, every office."""
    if who != CITY and not who.isdigit():
        return case.accused_unknown or who == case.accused_office
    return case.accused_division is not None and is_within(who, case.accused_division)


def whistle_stands(case: Case) -> bool:
    """Whether something can still come of a whistle where the case is now."""
    assert case.whistle is not None
    if case.whistle.state == "result":
        return any(task.kind == "result" for task in case.open_tasks)
    return case.stage in ("assigned", "signed") and case.tier in COMMANDING
