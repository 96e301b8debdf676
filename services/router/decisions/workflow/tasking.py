"""Tasks of a case are given: who may have one, and by when."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.clocks import DEPARTMENT, REACHABLE_ON_FOOT, Owner
from services.router.decisions.commands import Decision, GiveTask, Refused, stepped
from services.router.decisions.policy import Policy
from services.router.decisions.routing import apart_from_accused, holder_for
from services.router.decisions.tasks import MOST_OPEN, MOST_TASKS, Task, TaskKind, TaskState
from services.router.decisions.workflow.asked import Given
from services.router.decisions.workflow.guards import has_to
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
    """The case with one task more, that somebody gave, and its clock."""
    return with_new_task(case, kind, owner, given.policy, given.now, **more)


def with_new_task(
    case: Case, kind: TaskKind, owner: Owner, policy: Policy, now: datetime, **more: Any
) -> Case:
    """The case with one task more, of who has the case, and its clock."""
    task = Task(
        n=len(case.tasks) + 1,
        kind=kind,
        division=owner.division,
        role=owner.role,
        office=owner.office,
        by=case.desk,
        asked_at=now,
        **more,
    )
    case = but(case, tasks=(*case.tasks, task))
    return clocks.start_task(case, task, policy, now)


def may_be_accused(who: str, case: Case) -> bool:
    """Whether a division or office is accused, or may be: while nobody knows, every office."""
    if who != CITY and not who.isdigit():
        return case.accused_unknown or who == case.accused_office
    return case.accused_division is not None and is_within(who, case.accused_division)


# ---------------------------------------------------------------- what becomes of one


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


def withdrawn(case: Case, task: Task, now: datetime) -> Case:
    """The case after a task is void: what was missed by now is recorded."""
    case = clocks.drop(case, (task.clock,), now)
    return with_task(case, replace(task, state="withdrawn"))
