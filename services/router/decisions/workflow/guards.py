"""What must hold of a case before a command, beside its stage and who gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from services.router.decisions.case import Case
from services.router.decisions.tracks.table import Guard, Step
from shared.identity import Actor


def why_not(case: Case, step: Step, actor: Actor) -> str | None:
    """Why this step is not for now, as the first guard that does not hold says; None if all do."""
    for guard in step.guards:
        holds, says = GUARDS[guard]
        if not holds(case, actor):
            return says
    return None


def extension_is_asked(case: Case, _: Actor) -> bool:
    """Whether somebody asked for more time, and nobody answered yet."""
    return case.extension is not None and case.extension.granted_at is None


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
        lambda case, actor: actor.subject != case.resolved_by,
        "another person than who resolved it must look before it is closed",
    ),
    "somebody_to_call": (
        lambda case, _: case.contact,
        "there is nobody to call: the result is published, and it is closed",
    ),
    "may_be_returned": (
        lambda case, _: case.arbitration != "decided",
        "the arbiter said who has it: it may not be returned; promote it if it is beyond you",
    ),
}
