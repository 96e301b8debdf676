"""Orders of escalation: applied, or refused as stale."""

from __future__ import annotations

from datetime import datetime

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.commands import ApplyOrder, Changed, Decision, Refused, stepped
from services.router.decisions.policy import Policy
from services.router.decisions.workflow.moving import promoted


def answer(case: Case, order: ApplyOrder, policy: Policy, now: datetime) -> Decision:
    """Apply an order, or refuse it as stale: judged by generation and tier, never by a clock.

    What stands still is not broken: in a pause only what was late before goes up. The pause goes
    along, as the case waits for the same whoever has it; the next tier's own time runs, so that
    somebody there looks at it. [ours]
    """
    clock = case.clock(order.clock)
    if not case.is_open:
        return Refused("stale", f"the case is {case.stage}")
    if clock is None or clock.generation != order.generation:
        current = case.generations.get(order.clock, 0)
        return Refused(
            "stale", f"generation {order.generation} of {order.clock} is past ({current})"
        )
    if clock.answered:
        return Refused("stale", f"generation {order.generation} of {order.clock} was answered")
    if order.action != clock.on_breach:
        return Refused("stale", f"a breach of {order.clock} means {clock.on_breach}")
    if order.clock == clocks.PAUSE:
        return ran_out(case, policy, now)
    if order.action == "supervise":
        return supervised(case, order)
    if order.tier != case.tier:
        return Refused("stale", f"the case is in tier {case.tier}, not in {order.tier}")
    return promoted(case, policy, now, f"clock/{order.clock}", {})


def ran_out(case: Case, policy: Policy, now: datetime) -> Changed:
    """An agreed pause has lasted as long as it may: somebody above looks, and promises go on."""
    after = clocks.going_on(but(case, supervised=case.supervised + 1), policy, now)
    passed = ("supervised", "resumed")
    return stepped(case, after, "supervised", f"clock/{clocks.PAUSE}", passed)


def supervised(case: Case, order: ApplyOrder) -> Changed:
    """Somebody above looks at it: neither state, holder nor content changes, so no version."""
    after = clocks.answered(but(case, supervised=case.supervised + 1), order.clock)
    after = but(after, seq=case.seq + 1)
    return Changed(after, "supervised", ("supervised",), f"clock/{order.clock}")
