"""intake.events: open cases, add to them; a gap or an unreadable event parks its petition.

The router applies a petition's events one after the other, at last + 1 or at a greater epoch. A
lower one is a duplicate. Where one cannot be applied, it and all later ones of the petition are
parked in order, and `parked replay` runs them through the same code.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter as Count
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Literal, assert_never
from uuid import UUID

from prometheus_client import Counter

from services.router import store
from services.router.decisions.case import Case
from services.router.decisions.commands import Changed, Open, Rate, Refused, Supplement
from services.router.decisions.routing import Facts
from services.router.decisions.workflow import decide
from services.router.handlers.measures import count
from services.router.handlers.policies import Policies
from services.router.handlers.steps import Step, Steps
from services.router.metrics import BLOCKED, DUPLICATES, OPENED
from shared import hearing
from shared.clock import Clock
from shared.events import (
    Order,
    PetitionRated,
    PetitionReceived,
    PetitionSupplemented,
    derived_id,
)
from shared.hearing import Batch, Done, Heard, Unreadable
from shared.identity import service_actor
from shared.kafka import Record
from shared.postgres import Transaction

logger = logging.getLogger(__name__)

ROUTER = service_actor("router")
UNKNOWN_ORDER = Order(sys.maxsize, 0)


@dataclass(slots=True)
class Sorted:
    """What one batch comes to: steps to save, records to park, petitions that wait from now.

    `counts` are counted when it is committed.
    """

    steps: Steps
    cases: dict[UUID, Case]
    waiting: set[UUID]
    park: list[Unreadable] = field(default_factory=list)
    block: dict[UUID, str] = field(default_factory=dict)
    counts: Count[Counter] = field(default_factory=Count)


@dataclass(slots=True)
class Petitions:
    """The handler of intake.events."""

    policies: Policies
    epoch: int
    clock: Clock

    async def handle(self, batch: Batch, tx: Transaction, now: datetime) -> Done:
        """Open and change the cases of a batch; park what cannot be applied yet."""
        broken = {
            case_id: bad.reason
            for bad in batch.unreadable
            if (case_id := uuid_of(bad.record.key)) is not None
        }
        ids = {e for event in batch.events if (e := uuid_of(event.envelope.subject))}
        waiting = await store.blocked.among(tx, [*ids, *broken])
        cases = await store.cases.locked(tx, list(ids))
        await self.policies.need(tx, {case.policy for case in cases.values()})
        steps = Steps(now, self.epoch, self.clock, self.policies)
        found = Sorted(steps, cases, waiting)
        offsets = {
            case_id: bad.record.offset
            for bad in reversed(batch.unreadable)
            if (case_id := uuid_of(bad.record.key)) is not None
        }
        for event in batch.events:
            self.sort(event, found, offsets)
        new = {k: v for k, v in (broken | found.block).items() if k not in waiting}
        await steps.save(tx)
        await hearing.park(tx, found.park)
        if new:
            await store.blocked.block(tx, list(new), list(new.values()))
            found.counts[BLOCKED] += len(new)
        return partial(count, found.counts)

    def sort(self, event: Heard, found: Sorted, broken: Mapping[UUID, int]) -> None:
        """Apply one event, or say that it waits."""
        case_id = uuid_of(event.envelope.subject)
        if case_id is None:
            found.park.append(Unreadable(event.record, "the key is not a petition's id"))
            return
        case = found.cases.get(case_id)
        where = place(case, event.envelope.order)
        if where == "duplicate":
            found.counts[DUPLICATES] += 1
            return
        behind = broken.get(case_id, event.record.offset) < event.record.offset
        if case_id in found.waiting or case_id in found.block or behind:
            found.park.append(Unreadable(event.record, "waits behind a parked event"))
            return
        match where:
            case "gap":
                heard = case.heard.seq if case else 0
                reason = f"gap: event {event.envelope.order.seq} came after {heard}"
                found.park.append(Unreadable(event.record, reason))
                found.block[case_id] = reason
            case "next" if case is None and not isinstance(event.data, PetitionReceived):
                reason = "the first event of a petition must be its receipt"
                found.park.append(Unreadable(event.record, reason))
                found.block[case_id] = reason
            case "next":
                if waits := self.apply(case_id, case, event, found):
                    found.park.append(Unreadable(event.record, waits))
                    found.block[case_id] = waits
            case never:
                assert_never(never)

    def apply(self, case_id: UUID, case: Case | None, event: Heard, found: Sorted) -> str | None:
        """The next event of a petition; why it waits, where only a newer version can judge it."""
        if case is not None and isinstance(event.data, PetitionReceived):
            # Intake was restored and says it again: the case is open, only the guard moves on.
            found.cases[case_id] = found.steps.hear(case, event.envelope.order)
            return None
        policy = self.policies.current if case is None else self.policies.of(case.policy)
        command = command_of(case_id, event)
        decision = decide(case, command, ROUTER, policy, found.steps.now)
        if isinstance(decision, Refused):
            if decision.reason == "newer_version":
                return decision.says
            raise AssertionError(f"{event.envelope.type} at {event.envelope.order}: {decision}")
        if case is None:
            found.counts[OPENED] += 1
        found.cases[case_id] = found.steps.take(step_of(case, decision, event))
        return None


def step_of(case: Case | None, decision: Changed, event: Heard) -> Step:
    """The step that an event of a petition made."""
    opening = case is None
    return Step(
        before=case,
        changed=decision,
        actor=ROUTER,
        event_id=derived_id("case", event.envelope.event_id),
        caused_by=f"event:{event.envelope.event_id}",
        appended_at=event.record.appended_at if opening else None,
        traceparent=event.envelope.traceparent,
    )


def uuid_of(key: str) -> UUID | None:
    """The petition that a key names."""
    try:
        return UUID(key)
    except ValueError:
        return None


def place(case: Case | None, order: Order) -> Literal["next", "duplicate", "gap"]:
    """Whether an event is the next of its petition, was heard before, or comes after a gap."""
    if case is None:
        return "next" if order.seq == 1 else "gap"
    if order <= case.heard:
        return "duplicate"
    if order.epoch > case.heard.epoch or order.seq == case.heard.seq + 1:
        return "next"
    return "gap"


def command_of(case_id: UUID, event: Heard) -> Open | Supplement | Rate:
    """What an event of a petition asks of its case."""
    match event.data:
        case PetitionReceived() as petition:
            return Open(
                petition=case_id,
                number=petition.number,
                channel=petition.channel,
                kind=petition.kind,
                received_at=petition.received_at,
                contact=petition.contact,
                facts=Facts.of(petition),
                heard=event.envelope.order,
            )
        case PetitionSupplemented() as more:
            return Supplement(event.envelope.order, more.urges)
        case PetitionRated() as rating:
            return Rate(event.envelope.order, rating.solved, rating.satisfied, rating.reason)
        case other:
            raise AssertionError(f"{type(other).__name__} is not an event of intake")


async def replay(
    tx: Transaction, petitions: Petitions, case_id: UUID, now: datetime
) -> tuple[int, list[str]]:
    """Run what is parked of a petition through the handler, in order.

    Returns how many were applied, and why the first that was not could not be. The petition goes
    on by itself once nothing of it is parked. What could not be read counts as applied when intake
    has said it again under the same (epoch, seq).
    """
    await store.blocked.among(tx, [case_id])
    parked = await hearing.parked_of(tx, str(case_id))
    decoded = [(one, hearing.decode(one.record)) for one in parked]
    readable = [(one, event) for one, event in decoded if isinstance(event, Heard)]
    unreadable = [one for one, event in decoded if not isinstance(event, Heard)]
    readable.sort(key=lambda pair: pair[1].envelope.order)
    cases = await store.cases.locked(tx, [case_id])
    await petitions.policies.need(tx, {case.policy for case in cases.values()})
    steps = Steps(now, petitions.epoch, petitions.clock, petitions.policies)
    found = Sorted(steps, cases, set())
    done: list[int] = []
    for one, event in readable:
        before = len(found.park)
        petitions.sort(event, found, {})
        if len(found.park) > before:
            break
        done.append(one.id)
    case = found.cases.get(case_id)
    again = [one for one in unreadable if case is not None and order_of(one.record) <= case.heard]
    done += [one.id for one in again]
    await steps.save(tx)
    await hearing.replayed(tx, done)
    left = [one.reason for one in unreadable if one not in again]
    left += [bad.reason for bad in found.park]
    if not left:
        await store.blocked.unblock(tx, case_id)
    return len(done), left


def order_of(record: Record) -> Order:
    """The place that the headers of an unreadable record give it; beyond all others if none."""
    try:
        return Order(int(record.headers["ce_epoch"]), int(record.headers["ce_seq"]))
    except (KeyError, ValueError):
        return UNKNOWN_ORDER
