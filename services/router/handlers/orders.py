"""escalation.events: every order is answered, applied or refused as stale; notices pass by.

What only a newer version can judge is refused too: its clock runs on in the same generation, so
escalation says the order again. [design 6]

A case keeps the (epoch, seq) of the last order it answered. The same record again is a duplicate;
an order that escalation says again has a new seq, and is answered again.
"""

from __future__ import annotations

from collections import Counter as Count
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from prometheus_client import Counter

from services.router import store
from services.router.decisions.case import Case, but
from services.router.decisions.commands import ApplyOrder, Changed, Refused
from services.router.decisions.workflow import decide
from services.router.handlers.measures import count
from services.router.handlers.petitions import uuid_of
from services.router.handlers.policies import Policies
from services.router.handlers.steps import Step, Steps
from services.router.metrics import ORDERS_APPLIED, ORDERS_DUPLICATE, ORDERS_STALE, ORDERS_UNKNOWN
from shared import hearing
from shared.clock import Clock
from shared.events import DeadlineBreached, derived_id
from shared.hearing import Batch, Done, Heard, Unreadable
from shared.identity import service_actor
from shared.postgres import Transaction

ESCALATION = service_actor("escalation")
REFUSED = "order_refused"


@dataclass(slots=True)
class Orders:
    """The handler of escalation.events."""

    policies: Policies
    epoch: int
    clock: Clock

    async def handle(self, batch: Batch, tx: Transaction, now: datetime) -> Done | None:
        """Answer every order of a batch once: one that was heard before changes nothing."""
        orders, nameless = given(batch)
        await hearing.park(tx, nameless)
        if not orders:
            return None
        cases = await store.cases.locked(tx, list({case_id for case_id, _, _ in orders}))
        await self.policies.need(tx, {case.policy for case in cases.values()})
        steps = Steps(now, self.epoch, self.clock, self.policies)
        found: Count[Counter] = Count()
        for case_id, event, order in orders:
            case = cases.get(case_id)
            if case is None:
                found[ORDERS_UNKNOWN] += 1
            elif event.envelope.order <= case.ordered:
                found[ORDERS_DUPLICATE] += 1
            else:
                step = self.answer(case, event, order, now)
                answered = ORDERS_STALE if step.changed.event == REFUSED else ORDERS_APPLIED
                found[answered.labels(order.action)] += 1
                cases[case_id] = steps.take(step)
        await steps.save(tx)
        return partial(count, found)

    def answer(self, case: Case, event: Heard, order: DeadlineBreached, now: datetime) -> Step:
        """Applied, or refused: both are an event with the next seq."""
        order_id = event.envelope.event_id
        command = ApplyOrder(order_id, order.clock, order.generation, order.tier, order.action)
        heard = but(case, ordered=event.envelope.order)
        decision = decide(heard, command, ESCALATION, self.policies.of(case.policy), now)
        if isinstance(decision, Refused):
            decision = refused(heard, decision, order_id, order)
        return Step(
            before=case,
            changed=decision,
            actor=ESCALATION,
            event_id=derived_id("answer", order_id, case.epoch, case.seq),
            caused_by=f"order:{order_id}",
            order=order_id,
            traceparent=event.envelope.traceparent,
        )


def given(batch: Batch) -> tuple[list[tuple[UUID, Heard, DeadlineBreached]], list[Unreadable]]:
    """The orders of a batch with their cases, and those whose key names none."""
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
    return orders, nameless


def refused(case: Case, why: Refused, order_id: UUID, order: DeadlineBreached) -> Changed:
    """A refusal is said with the next seq; the case itself keeps its version."""
    detail = {"order": str(order_id), "clock": order.clock, "says": why.says}
    after = but(case, seq=case.seq + 1)
    return Changed(after, REFUSED, (REFUSED,), f"order/{why.reason}", detail)
