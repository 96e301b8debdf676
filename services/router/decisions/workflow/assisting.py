"""Who is asked by itself when an office signs a case: those that assist, and the level above.

As the duty catalogue and the policy say, without a person who gives the task. [F29, F30] Not before
it is signed: who leads may still object, and the event that opens a case stays small. [ours]
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.router.decisions.case import Case
from services.router.decisions.clocks import DEPARTMENT, Owner
from services.router.decisions.commands import Decision, Refused
from services.router.decisions.policy import Policy
from services.router.decisions.routing import holder_for
from services.router.decisions.tasks import TaskKind
from services.router.decisions.workflow.tasking import (
    COMMANDING,
    DOES,
    level_above,
    no_room,
    office_may_not,
    with_new_task,
)
from shared.divisions import Tier


def helped(before: Case, decision: Decision, policy: Policy, now: datetime) -> Decision:
    """What a step comes to, with the tasks that begin with it."""
    if isinstance(decision, Refused) or not begins_here(before, decision.case):
        return decision
    case = decision.case
    passed = decision.transitions
    for kind, owner in wanted(case, policy):
        if no_room(case) is None:
            case = with_new_task(case, kind, owner, policy, now)
            passed = (*passed, f"asked/{kind}")
    return decision if case is decision.case else replace(decision, case=case, transitions=passed)


def begins_here(before: Case, case: Case) -> bool:
    """Whether the office that leads the matter has signed for it since this step.

    Where a whistle was blown the street says who comes. A matter that becomes another one has
    other offices that assist.
    """
    leads = case.stage == "signed" and case.office is not None and case.office == case.lead
    if not leads or case.tier not in COMMANDING or case.is_whistled:
        return False
    was = (before.stage, before.desk, before.category)
    return was != (case.stage, case.desk, case.category)


def wanted(case: Case, policy: Policy) -> list[tuple[TaskKind, Owner]]:
    """What is asked, of whom: of each office once in the life of a case, and never of the accused.

    The level above has one copy: where the case goes up, it has the case.
    """
    asks = policy.settings.by_itself
    street = holder_for(Tier.STREET, case.holder, case.accused_division, policy)
    had = {task.office for task in case.tasks if task.kind == "assist"}
    tasks: list[tuple[TaskKind, Owner]] = [
        ("assist", Owner(street, DEPARTMENT, office))
        for office in (case.assisting if asks.assist else ())
        if office not in had
        and office_may_not(case, office, street, DOES["assist"], policy) is None
    ]
    above = level_above(case, policy)
    has_copy = any(task.kind == "copy" for task in case.tasks)
    if case.tier in asks.copy_from and not has_copy and not isinstance(above, Refused):
        tasks.append(("copy", above))
    return tasks
