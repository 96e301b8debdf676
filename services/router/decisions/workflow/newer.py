"""A case of which only a newer version knows all: what this one may still decide, and what not.

While versions work side by side, an older one carries promises and tasks that it does not know.
Steps that leave the case where it is do not touch them. Where a case moves, ends or stands still
they may have to move, end or stand still with it: that only the newer version can say. [ours]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter
from typing import Final

from services.router.decisions.case import MAY_LACK, Case, but
from services.router.decisions.commands import ApplyOrder, Command, Decision, Refused
from services.router.decisions.policy import Policy
from shared.events import promise_of

STANDS: Final = attrgetter(
    "track", "stage", "urgency", "holder", "office", "role", "tier", "place", "restricted",
    "accused_division", "accused_office", "accused_unknown", "pause", "extension", "whistle",
)  # fmt: skip
"""Where a case stands: while all this stays, its promises and tasks stay too."""
NOT_OURS: Final = Refused(
    "newer_version",
    "a newer version of the service has a part in this case, and it alone can say what becomes of"
    " that",
)


def strange_clocks(case: Case, policy: Policy) -> frozenset[str]:
    """The promises of a case that this version does not know, and those of strange tasks."""
    return frozenset(
        clock.name
        for clock in case.clocks
        if (promise := promise_of(clock.name)) not in policy.clocks
        or (promise != clock.name and case.task_of(clock.name) is None)
    )


def is_strange(case: Case, policy: Policy) -> bool:
    """Whether there are promises, tasks or facts of a case that this version cannot judge.

    What it may do without, and reads nothing from, is none: it is written back as it was.
    """
    return (
        (case.unknown is not None and not MAY_LACK.isdisjoint(case.unknown))
        or any(task.strange for task in case.tasks)
        or bool(strange_clocks(case, policy))
    )


def judged(
    case: Case, command: Command, policy: Policy, decide: Callable[[Case], Decision]
) -> Decision:
    """What a command makes of such a case: decided on the part that this version knows."""
    strange = strange_clocks(case, policy)
    if isinstance(command, ApplyOrder) and command.clock in strange:
        return NOT_OURS
    known = but(case, clocks=tuple(one for one in case.clocks if one.name not in strange))
    decision = decide(known)
    if isinstance(decision, Refused):
        return decision
    after = decision.case
    if STANDS(after) != STANDS(known):
        return NOT_OURS

    def was_set(key: str) -> bool:
        # What this step says is newer than what could not be read.
        return getattr(after, key, None) != getattr(known, key, None)

    left_out = tuple(one for one in case.clocks if one.name in strange)
    unread = {key: said for key, said in (case.unknown or {}).items() if not was_set(key)}
    after = but(after, clocks=(*after.clocks, *left_out), unknown=unread or None)
    return replace(decision, case=after)
