"""The sweep: oldest first, a bounded page per transaction, shared with others by `skip locked`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from services.escalation.decisions import (
    NO_TIER,
    Digest,
    OrderGiven,
    Swept,
    digests,
    pause_after,
    sweep,
)
from services.escalation.handlers.notices import REAL, post
from services.escalation.handlers.sayings import order_saying
from services.escalation.metrics import LATE, NOTICES, ORDERS, PAGE_CASES, PAGE_SECONDS
from services.escalation.store import armed, orders
from shared import outbox, postgres
from shared.events import Order
from shared.outbox import Saying
from shared.postgres import Transaction
from shared.service import Process, Timer

PAGE = 500
LONGEST_SLEEP, SHORTEST_SLEEP = 1.0, 0.005


class Page(NamedTuple):
    """What one transaction of the sweep did."""

    cases: int
    orders: Sequence[OrderGiven] = ()
    digests: Sequence[Digest] = ()
    late: Sequence[timedelta] = ()


async def sweep_once(tx: Transaction, now: datetime, clock: str = REAL) -> int:
    """Do what is due at `now` (promise time) for a page of cases; says for how many.

    `clock`: the name of the clock that `now` was read from.
    """
    return (await sweep_page(tx, now, clock)).cases


async def sweep_page(tx: Transaction, now: datetime, clock: str) -> Page:
    """Load, decide, save, announce: the oldest page of what is due."""
    due = await armed.take_due(tx, now, PAGE)
    if not due:
        return Page(0)
    swept = [sweep(case, now) for case in due]
    told = digests(notice for one in swept for notice in one.notices)
    await armed.save_swept(tx, [one.armed for one in swept])
    sayings: list[Saying] = []
    given = [order for one in swept for order in one.orders]
    if given or told:
        epoch = await outbox.epoch(tx)
        if given:
            await orders.insert(tx, given, pause_after(1))
        sayings += order_sayings(swept, epoch, clock)
        sayings += await post(tx, told, now, epoch, clock)
        await outbox.append(tx, sayings)
    return Page(len(due), given, told, [late for one in swept for late in one.late])


def order_sayings(swept: Iterable[Swept], epoch: int, clock: str) -> list[Saying]:
    """The orders of these cases, each with the next seq of its case."""
    return [
        order_saying(order, Order(epoch, seq), clock)
        for one in swept
        for seq, order in enumerate(one.orders, one.armed.said - len(one.orders) + 1)
    ]


def note(page: Page, speed: float) -> None:
    """What a committed page did, for the metrics."""
    PAGE_CASES.observe(page.cases)
    for order in page.orders:
        ORDERS.labels(order.action, order.tier or NO_TIER).inc()
    for digest in page.digests:
        NOTICES.labels(digest.reason).inc()
    for late in page.late:
        LATE.observe(late.total_seconds() / speed)


async def step(process: Process) -> float:
    """A page; then at once the next, or sleep until the next case is due."""
    started = process.clock.now()
    async with postgres.transaction(process.pool, "sweep") as tx:
        page = await sweep_page(tx, started, process.clock.name)
        following = None if page.cases == PAGE else await armed.earliest(tx)
    if page.cases:
        took = (process.clock.now() - started).total_seconds() / process.clock.speed
        PAGE_SECONDS.observe(took)
        note(page, process.clock.speed)
        process.wake_relay.call()
    if page.cases == PAGE:
        return 0.0
    if following is None:
        return LONGEST_SLEEP
    left = process.clock.wall_until(following).total_seconds()
    return min(LONGEST_SLEEP, max(SHORTEST_SLEEP, left))


SWEEP = Timer("sweep", "sweep", step)
