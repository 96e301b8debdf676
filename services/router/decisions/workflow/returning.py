"""Not mine: back to a desk, to an arbiter where it would go round, or taken back by who gave it.

A case is returned once. The second time, and where it would come back to one of its peers, the
dispatcher of the lowest division above all that had it is the arbiter; whom he names keeps it.
[F28, X9; a unit that was named may not return it: Weifang]
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.commands import Decision, Recall, Refused, Return, stepped
from services.router.decisions.policy import Policy
from services.router.decisions.routing import holder_for
from services.router.decisions.workflow.asked import Given
from services.router.decisions.workflow.moving import (
    at_the_desk,
    drop_inapplicable,
    entered,
    moved_reason,
)
from shared.divisions import CITY, Tier, is_within, parent, tier_of


def on_return(before: Case, after: Case, command: Return, given: Given) -> Decision:
    """To the dispatcher one level above the holder; the second time to the arbiter."""
    if before.holder == CITY:
        return Refused("not_allowed_now", "the city is the last desk: reroute it instead")
    if (says := too_late(before, given.now)) is not None:
        return Refused("not_allowed_now", says)
    after = but(after, returns=before.returns + 1)
    rule = f"return/{command.reason}"
    detail = {"reason": command.reason, "note": command.note}
    if before.returns:
        return to_the_arbiter(before, after, "returned", rule, given, detail)
    after = waiting_at(after, parent(before.holder), given.policy, given.now)
    reason = moved_reason("moved/returned", rule, before, after, given.policy)
    return stepped(before, after, "returned", rule, (), {**detail, "routing": reason})


def too_late(case: Case, now: datetime) -> str | None:
    """Why the right to object is gone: it ends so long after signing. None while it is not."""
    right = case.clock("object")
    if right is None or now <= right.due_at:
        return None
    return (
        f"the right to object ended {right.limit} after it was signed: promote it if it is beyond"
        " you, or ask your dispatcher to reroute it"
    )


def to_the_arbiter(
    before: Case,
    after: Case,
    event: str,
    rule: str,
    given: Given,
    detail: Mapping[str, object] | None = None,
) -> Decision:
    """It goes to the arbiter by itself."""
    after = waiting_at(after, arbiter_of(before), given.policy, given.now)
    after = but(after, arbitration="asked")
    reason = moved_reason("moved/to-arbiter", rule, before, after, given.policy)
    passed = (event, "to_arbiter")
    return stepped(before, after, event, rule, passed, {**(detail or {}), "routing": reason})


def waiting_at(case: Case, desk: str, policy: Policy, now: datetime) -> Case:
    """The case at a dispatcher's desk, under his clock: never who is accused, but the one above.

    Petition Regs 30, 46. [law]
    """
    desk = holder_for_desk(desk, case, policy)
    after = entered(at_the_desk(case, desk), tier_of(desk), now)
    after = clocks.reassign(drop_inapplicable(after, policy, now), policy)
    return clocks.start(after, ("entered_queue",), policy, now)


def arbiter_of(case: Case) -> str:
    """The lowest division above all that had it; the city above all districts."""
    had = {desk.partition("/")[0] for desk in (*case.had_by, case.desk)}
    division = case.holder
    while division != CITY:
        division = parent(division)
        if all(is_within(one, division) for one in had):
            break
    return division


def goes_round(before: Case, held: Case) -> bool:
    """Whether it would come back to one that had it before, and who has it is no part of that one.

    Down to where it came from, or up again, is the ladder and no round.
    """
    if held.desk not in before.had_by[:-1]:
        return False
    one, other = before.holder, held.holder
    return one == other or not (is_within(one, other) or is_within(other, one))


def holder_for_desk(division: str, case: Case, policy: Policy) -> str:
    """That division, or the next above the accused."""
    return holder_for(tier_of(division) or Tier.DISTRICT, division, case.accused_division, policy)


def on_recall(before: Case, after: Case, _: Recall, given: Given) -> Decision:
    """Back to the desk that handed it on: nobody has touched it. [F39]"""
    assert before.given_by is not None
    after = waiting_at(after, before.given_by, given.policy, given.now)
    reason = moved_reason("moved/recalled", "step/recall", before, after, given.policy)
    return stepped(before, after, "recalled", "step/recall", (), {"routing": reason})
