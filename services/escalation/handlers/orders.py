"""Orders that got no answer are said again, under the same id.

Only by the process that hears the answers, and only while it keeps up: else the answer may lie
unread. Only after the order left the outbox: else it was not said yet.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.escalation.decisions import pause_after
from services.escalation.handlers.sayings import order_saying
from services.escalation.metrics import ORDERS_SAID_AGAIN
from services.escalation.store import armed, orders
from shared import outbox, postgres, telemetry
from shared.clock import wall
from shared.events import Order, Topic
from shared.outbox import Saying
from shared.postgres import Transaction
from shared.service import Process, Timer

PAGE = 500
MOST_LAG_SECONDS = 5.0


class Again(NamedTuple):
    """How many orders were looked at, and how many of them were said again."""

    taken: int = 0
    said: int = 0


async def say_again_once(tx: Transaction, at: datetime, clock: str) -> Again:
    """Say unanswered orders again whose pause ended by `at` (wall time)."""
    taken = await orders.take_to_say_again(tx, at, PAGE)
    if not taken:
        return Again()
    unsent = await outbox.still_waiting(tx, [one.order.id for one in taken])
    epoch = await outbox.epoch(tx)
    seqs: dict[UUID, int] = {}
    sayings: list[Saying] = []
    saved = []
    for one in taken:
        if one.order.id in unsent:
            saved.append(one._replace(next_say_at=at + pause_after(1)))
            continue
        case_id = one.order.case_id
        seqs[case_id] = seqs.get(case_id, one.case_seq) + 1
        sayings.append(order_saying(one.order, Order(epoch, seqs[case_id]), clock))
        said = one.said + 1
        saved.append(one._replace(said=said, next_say_at=at + pause_after(said)))
    await orders.save(tx, saved)
    await armed.save_said(tx, seqs)
    await outbox.append(tx, sayings)
    return Again(len(taken), len(sayings))


def lag_seconds() -> float:
    """How far behind the router this process hears."""
    (metric,) = telemetry.LAG_SECONDS.labels(Topic.ROUTER).collect()
    return metric.samples[0].value


async def step(process: Process) -> float:
    """Each second, while this process hears the router without lag."""
    hearing_well = f"consume {Topic.ROUTER}" not in process.health.reasons
    if not hearing_well or lag_seconds() >= MOST_LAG_SECONDS:
        return 1.0
    async with postgres.transaction(process.pool, "timer") as tx:
        again = await say_again_once(tx, wall(), process.clock.name)
    ORDERS_SAID_AGAIN.inc(again.said)
    if again.taken:
        process.wake_relay.call()
    return 0.0 if again.taken == PAGE else 1.0


SAY_AGAIN = Timer("say again", "consume", step)
