"""What must hold of a case before a command, beside its stage and who gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from services.router.decisions.case import Case
from services.router.decisions.policy import Role
from services.router.decisions.tasks import Task, TaskKind
from services.router.decisions.tracks import GRID_TEAM, HOLDERS
from services.router.decisions.tracks.table import Guard, Step
from shared.divisions import Tier
from shared.identity import Actor

STANDS_FOR: Mapping[str, frozenset[Role]] = {
    "department_officer": frozenset({"department_officer", "office_head"}),
    "grid_volunteer": GRID_TEAM | {"grid_volunteer"},
    "grid_head": GRID_TEAM,
    "street_dispatcher": frozenset({"street_dispatcher", "street_cadre"}),
}
"""Who may do what is asked of a role; of any other role nobody else."""
OF_AN_OFFICE: Final = STANDS_FOR["department_officer"]
"""Who speaks for the office that holds a case; others of the division speak for the division."""


def why_not(case: Case, step: Step, actor: Actor) -> str | None:
    """Why this step is not for now, as the first guard that does not hold says; None if all do."""
    for guard in step.guards:
        holds, says = GUARDS[guard]
        if not holds(case, actor):
            return says
    return None


def has_to(case: Case, task: Task, actor: Actor) -> bool:
    """Whether it is for the actor to do something about a task now: he owns its clock."""
    return owns(case, task.clock, actor)


def owns(case: Case, name: str, actor: Actor) -> bool:
    """Whether a clock runs, and it is for the actor to do what it asks."""
    clock = case.clock(name)
    if clock is None:
        return False
    roles = STANDS_FOR.get(clock.owner_role, frozenset({clock.owner_role}))
    return (
        bool(actor.roles & roles)
        and actor.office in (None, clock.owner_office)
        and actor.acts_for(clock.owner_division)
    )


def any_own(holds: Callable[[Task], bool]) -> Callable[[Case, Actor], bool]:
    """Whether a task that is for the actor to do something about is so."""
    return lambda case, actor: any(
        holds(task) and has_to(case, task, actor) for task in case.open_tasks
    )


def solved_it(case: Case, actor: Actor) -> bool:
    """Whether the actor is of the unit that solved it: the desk that has it, whoever said so.

    The hotline is a unit of its own, wherever its people sit. [F58; Beijing 23: the hotline calls]
    """
    if actor.subject == case.resolved_by:
        return True
    if actor.division != case.holder or actor.roles & HOLDERS == {"hotline_agent"}:
        return False
    office = actor.office or (None if actor.roles.isdisjoint(OF_AN_OFFICE) else case.office)
    return office == case.office


def extension_is_asked(case: Case, _: Actor) -> bool:
    """Whether somebody asked for more time, and nobody answered yet."""
    return case.extension is not None and case.extension.granted_at is None


def has_task(case: Case, kind: TaskKind) -> bool:
    """Whether such a task is open."""
    return any(task.kind == kind for task in case.open_tasks)


def whistle_may_be_asked_for(case: Case, _: Actor) -> bool:
    """Whether a grid has it, and nobody has asked or blown yet."""
    return case.tier is Tier.GRID and not case.is_whistled and not has_task(case, "whistle")


def whistle_may_be_blown(case: Case, _: Actor) -> bool:
    """Whether a community has it, or its grid asked, and it was not blown yet."""
    asked = case.tier is Tier.COMMUNITY or has_task(case, "whistle")
    return asked and not case.is_whistled


def is_disputed(case: Case) -> bool:
    """Whether an arbiter is asked whose it is, or an office says that a task is not its own."""
    disputes = any(task.is_disputed for task in case.open_tasks)
    return disputes or case.arbitration == "asked"


GUARDS: Final[Mapping[Guard, tuple[Callable[[Case, Actor], bool], str]]] = {
    "runs": (
        lambda case, _: case.pause is None,
        "its promises stand still: resume it first",
    ),
    "stands_still": (
        lambda case, _: case.pause is not None,
        "its promises run: there is no pause to end",
    ),
    "never_extended": (
        lambda case, _: case.extension is None,
        "more time was asked for already, and is given once",
    ),
    "extension_asked": (extension_is_asked, "nobody asks for more time: extend it first"),
    "handed_on": (
        lambda case, _: case.given_by is not None,
        "nobody handed it on, or somebody has touched it since: there is nothing to take back",
    ),
    "by_another": (
        lambda case, actor: not solved_it(case, actor),
        "another unit than the one that solved it calls and closes: the hotline, or a desk above",
    ),
    "result_is_seen": (
        lambda case, _: not has_task(case, "result"),
        "whoever received it first has not looked at what came of the whistle",
    ),
    "may_answer": (
        lambda case, actor: "street_cadre" in actor.roles or owns(case, "reply", actor),
        "a cadre of the street answers: only where the place lies in no street its holder does",
    ),
    "somebody_to_call": (
        lambda case, _: case.contact,
        "there is nobody to call: the result is published, and it is closed",
    ),
    "may_be_asked_for": (
        whistle_may_be_asked_for,
        "only a grid that has it asks its community to blow, once at a time",
    ),
    "may_be_blown": (
        whistle_may_be_blown,
        "a community blows for what it has, or what its grid asked it to, once at a time",
    ),
    "disputed": (
        lambda case, _: is_disputed(case) and not has_task(case, "conference"),
        "nobody disputes whose it is, or a conference is called already",
    ),
    "confers": (
        any_own(lambda task: task.kind == "conference"),
        "no conference is called, or another desk called it",
    ),
    "is_to_report": (
        any_own(lambda task: task.asks_to_report),
        "nobody asks this office to report in, or it did",
    ),
    "may_refuse": (
        any_own(lambda task: task.may_be_refused),
        "nothing is asked here that may still be refused",
    ),
    "is_to_decide": (
        any_own(lambda task: task.is_disputed),
        "no objection waits for a decision from here",
    ),
    "has_to_do": (
        any_own(lambda task: task.may_be_done),
        "nothing is asked here that is done by saying so: report in, decide or blow first",
    ),
    "has_asked": (
        lambda case, _: any(task.may_be_withdrawn for task in case.open_tasks),
        "nobody is asked to do anything that may be withdrawn",
    ),
    "may_be_returned": (
        lambda case, _: case.arbitration != "decided",
        "the arbiter said who has it: it may not be returned; promote it if it is beyond you",
    ),
}
