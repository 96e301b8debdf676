"""Orders to the router: what a breach gives, and what answers it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias
from uuid import UUID

from services.escalation.decisions.armed import Armed, Clock, moment
from shared.divisions import Tier
from shared.events import derived_id

Action: TypeAlias = Literal["promote", "supervise"]


class OrderGiven(NamedTuple):
    """Promote this case one tier, or supervise it, because of this clock. Always under this id."""

    id: UUID
    case_id: UUID
    clock: str
    generation: int
    action: Action
    tier: Tier | None
    due_at: datetime
    fired_at: datetime
    traceparent: str | None = None


def order_id(case_id: UUID, clock: str, generation: int, action: Action) -> UUID:
    """The event id of the order that this breach gives."""
    return derived_id("order", case_id, clock, generation, action)


def action_of(clock: Clock) -> Action | None:
    """The order that a breach of this clock gives; none once it is marked answered."""
    if clock.answered or (clock.on_breach != "promote" and clock.on_breach != "supervise"):
        return None
    return clock.on_breach


def order_of(armed: Armed, clock: Clock, action: Action, now: datetime) -> OrderGiven:
    """The order to the router: it judges by generation and tier."""
    return OrderGiven(
        id=order_id(armed.case_id, clock.name, clock.generation, action),
        case_id=armed.case_id,
        clock=clock.name,
        generation=clock.generation,
        action=action,
        tier=armed.tier,
        due_at=moment(armed, clock.due),
        fired_at=now,
        traceparent=armed.traceparent,
    )


def pause_after(said: int) -> timedelta:
    """Wall time until an order said that many times is said again: 1, 2, 4 … 60 minutes."""
    return timedelta(minutes=min(2 ** min(said - 1, 6), 60))


def answered(before: Armed | None, after: Armed) -> list[UUID]:
    """The orders that this change answers: another generation, no such clock, or marked so."""
    if before is None:
        return []
    now = {clock.name: clock for clock in after.clocks}
    ids = []
    for clock in before.clocks:
        action = action_of(clock)
        if not clock.fired or action is None:
            continue
        current = now.get(clock.name)
        if current is None or current.generation != clock.generation or current.answered:
            ids.append(order_id(before.case_id, clock.name, clock.generation, action))
    return ids
