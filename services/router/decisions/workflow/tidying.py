"""Tasks that nobody may or need do any more, where a case is after a step, are void."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.router.decisions.case import Case, but
from services.router.decisions.tasks import Task
from services.router.decisions.workflow.guards import is_disputed
from services.router.decisions.workflow.tasking import COMMANDING, may_be_accused, withdrawn
from shared.divisions import Tier, is_within


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


def whistle_stands(case: Case) -> bool:
    """Whether something can still come of a whistle where the case is now."""
    assert case.whistle is not None
    if case.whistle.state == "result":
        return any(task.kind == "result" for task in case.open_tasks)
    return case.stage in ("assigned", "signed") and case.tier in COMMANDING
