"""The one place where a case changes: `decide(case, command, actor, policy, now)`.

Pure. It reads the track's table for who may do what when, and `clocks` for the promises; it gives
`Changed` with the next case, or `Refused` with the reason and what would be allowed.

opening    a petition becomes a case, and a case is routed     orders     of escalation
moving     from holder to holder, tier to tier                 officers   a person's commands
access     who may read a case, and who may do what with it    guards     what must hold before
desk       what a dispatcher decides                           returning  not mine: to an arbiter
pausing    promises stand still, or have more time             ending     to its end, and back
wording    what the resident is told, in words of one's own or of a template
whistling  the whistle, and joint conferences                  tasking    what others are to do
answering  what they say of it                                 tidying    tasks that are void
assisting  who is asked by itself                              newer      what only a newer knows
"""

from datetime import datetime

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.commands import (
    ApplyOrder,
    Changed,
    Command,
    Decision,
    OfficerCommand,
    Open,
    Rate,
    Refused,
    Republish,
    Supplement,
    stepped,
)
from services.router.decisions.policy import Policy
from services.router.decisions.workflow.access import (
    accused_reads,
    allowed_actions,
    may_know,
    may_read,
)
from services.router.decisions.workflow.assisting import helped
from services.router.decisions.workflow.ending import rated
from services.router.decisions.workflow.newer import is_strange, judged
from services.router.decisions.workflow.officers import by_officer, tidily
from services.router.decisions.workflow.opening import opened
from services.router.decisions.workflow.orders import answer
from shared.identity import SYSTEM, Actor

__all__ = ["accused_reads", "allowed_actions", "decide", "may_know", "may_read"]


def decide(
    case: Case | None, command: Command, actor: Actor, policy: Policy, now: datetime
) -> Decision:
    """What a command makes of a case. Every change goes through here.

    A case lives under the divisions of the day on which its petition was received, and with the
    offices of today: one that is gone is given nothing any more. Of a case that only a newer
    version knows whole, what that alone can judge is refused.
    """
    if case is None or not is_strange(case, policy):
        return decided(case, command, actor, policy, now)
    return judged(case, command, policy, lambda known: decided(known, command, actor, policy, now))


def decided(
    case: Case | None, command: Command, actor: Actor, policy: Policy, now: datetime
) -> Decision:
    """The same of a case that this version knows."""
    if isinstance(command, Open):
        if case is not None:
            return Refused("stale", "the case is open already")
        return opened(command, of_the_day(policy, command.received_at, now), now)
    if case is None:
        return Refused("unknown", "there is no such case yet")
    policy = of_the_day(policy, case.received_at, now)
    return helped(case, of_case(case, command, actor, policy, now), policy, now)


def of_case(
    case: Case,
    command: Supplement | Rate | Republish | ApplyOrder | OfficerCommand,
    actor: Actor,
    policy: Policy,
    now: datetime,
) -> Decision:
    """What a command makes of a case that is open here."""
    match command:
        case Supplement() | Rate():
            return tidily(by_resident(case, command, policy, now), now)
        case Republish():
            return Changed(but(case, seq=case.seq + 1), "republished", ("republished",), "census")
        case ApplyOrder():
            if SYSTEM not in actor.roles:
                return Refused("not_your_role", "only escalation gives orders")
            return tidily(answer(case, command, policy, now), now)
        case _:
            return by_officer(case, command, actor, policy, now)


def of_the_day(policy: Policy, received_at: datetime, now: datetime) -> Policy:
    """The policy with the divisions that existed when a petition was received, today's offices."""
    received, today = (at.astimezone(policy.calendar.zone).date() for at in (received_at, now))
    return policy.on(received, today)


def by_resident(case: Case, command: Supplement | Rate, policy: Policy, now: datetime) -> Changed:
    """What the resident says of his petition."""
    if isinstance(command, Rate):
        return rated(case, command, policy, now)
    return supplemented(case, command, policy, now)


def supplemented(case: Case, command: Supplement, policy: Policy, now: datetime) -> Changed:
    """The resident added something, or urged; who waited for him waits no longer. [F52]"""
    after = but(case, heard=command.heard, urged=case.urged + command.urges)
    passed: tuple[str, ...] = ("urged",) if command.urges else ("supplemented",)
    if case.pause is not None and case.pause.reason == "waiting_for_petitioner":
        after = clocks.going_on(after, policy, now)
        passed = (*passed, "resumed")
    return stepped(case, after, "supplemented", "petition", passed)
