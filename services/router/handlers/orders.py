"""escalation.events: every order is answered, applied or refused as stale; notices pass by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from prometheus_client import Counter

from services.router import store
from services.router.decisions.case import Case, but
from services.router.decisions.commands import ApplyOrder, Changed, Refused
from services.router.decisions.workflow import decide
from services.router.handlers.petitions import uuid_of
from services.router.handlers.policies import Policies
from services.router.handlers.steps import Step, Steps
from shared import hearing
from shared.clock import Clock
from shared.events import DeadlineBreached, derived_id
from shared.hearing import Batch, Heard, Unreadable
from shared.identity import service_actor
from shared.postgres import Transaction

APPLIED = Counter("casegrid_router_orders_applied", "Orders of escalation applied", ["action"])
STALE = Counter("casegrid_router_orders_stale", "Orders refused as stale", ["action"])
UNKNOWN = Counter("casegrid_router_orders_unknown", "Orders about a case that is not here")
ESCALATION = service_actor("escalation")


@dataclass(slots=True)
class Orders:
    """The handler of escalation.events."""

    policies: Policies
    epoch: int
    clock: Clock

    async def handle(self, batch: Batch, tx: Transaction, now: datetime) -> None:
        """Answer every order of a batch."""
        orders: list[tuple[UUID, Heard, DeadlineBreached]] = []
        nameless: list[Unreadable] = []
        for event in batch.events:
            if not isinstance(event.data, DeadlineBreached):
                continue
            case_id = uuid_of(event.envelope.subject)
            if case_id is None:
                nameless.append(Unreadable(event.record, "the key is not a case's id"))
            else:
                orders.append((case_id, event, event.data))
        await hearing.park(tx, nameless)
        if not orders:
            return
        cases = await store.locked(tx, list({case_id for case_id, _, _ in orders}))
        await self.policies.need(tx, {case.policy for case in cases.values()})
        steps = Steps(now, self.epoch, self.clock, self.policies)
        for case_id, event, order in orders:
            case = cases.get(case_id)
            if case is None:
                UNKNOWN.inc()
                continue
            cases[case_id] = steps.take(self.answer(case, event, order, now))
        await steps.save(tx)

    def answer(self, case: Case, event: Heard, order: DeadlineBreached, now: datetime) -> Step:
        """Applied, or refused: both are an event with the next seq."""
        order_id = event.envelope.event_id
        command = ApplyOrder(order_id, order.clock, order.generation, order.tier, order.action)
        decision = decide(case, command, ESCALATION, self.policies.of(case.policy), now)
        if isinstance(decision, Refused):
            STALE.labels(order.action).inc()
            decision = refused(case, decision, order_id, order)
        else:
            APPLIED.labels(order.action).inc()
        return Step(
            before=case,
            changed=decision,
            actor=ESCALATION,
            event_id=derived_id("answer", order_id, case.epoch, case.seq),
            caused_by=f"order:{order_id}",
            order=order_id,
            traceparent=event.envelope.traceparent,
        )


def refused(case: Case, why: Refused, order_id: UUID, order: DeadlineBreached) -> Changed:
    """A refusal is said with the next seq; the case itself keeps its version."""
    detail = {"order": str(order_id), "clock": order.clock, "says": why.says}
    after = but(case, seq=case.seq + 1)
    return Changed(after, "order_refused", ("order_refused",), f"order/{why.reason}", detail)
