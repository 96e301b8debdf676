"""The sweep: oldest first, a bounded page per transaction, shared with others by `skip locked`."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from prometheus_client import Counter, Histogram

from services.escalation.decisions import (
    NO_TIER,
    Digest,
    OrderGiven,
    Swept,
    digests,
    pause_after,
    sweep,
)
from services.escalation.handlers.sayings import notice_saying, order_saying
from services.escalation.store import armed, notices, orders
from services.escalation.store.notices import Posted
from shared import outbox, postgres, tally
from shared.clock import Clock
from shared.events import Order, derived_id
from shared.outbox import Saying
from shared.postgres import Transaction
from shared.service import Process, Timer

PAGE = 500
REAL = Clock().name
LONGEST_SLEEP, SHORTEST_SLEEP = 1.0, 0.005

ORDERS = Counter(
    "casegrid_escalation_orders",
    "Orders to the router, by the tier of the case",
    ["action", "tier"],
)
NOTICES = Counter("casegrid_escalation_notices", "Digests posted to offices", ["reason"])
LATE = Histogram(
    "casegrid_escalation_fired_late_seconds",
    "Wall seconds from a breach that could be known to the sweep that found it",
    buckets=(0.1, 0.5, 1, 10, 60, 600),
)
PAGE_CASES = Histogram(
    "casegrid_escalation_sweep_page_cases", "Cases of a page that was not empty",
    buckets=(1, 5, 20, 50, 100, 200, 500),
)  # fmt: skip
PAGE_SECONDS = Histogram(
    "casegrid_escalation_sweep_page_seconds", "A page that was not empty, start to commit",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)  # fmt: skip


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


async def post(
    tx: Transaction, told: Sequence[Digest], now: datetime, epoch: int, clock: str
) -> list[Saying]:
    """Put these digests into the lists of their offices, and say so."""
    if not told:
        return []
    subjects = [digest.desk.subject for digest in told]
    seqs = await notices.next_seqs(tx, Count(subjects))
    posted: list[Posted] = []
    sayings: list[Saying] = []
    for subject, digest in zip(subjects, told, strict=True):
        order = Order(epoch, seqs[subject])
        seqs[subject] += 1
        notice = Posted(derived_id("notice", subject, *order), digest, now)
        posted.append(notice)
        sayings.append(notice_saying(notice, order, clock))
    await notices.insert(tx, posted)
    await tally.add(tx, Count(("notices", digest.reason) for digest in told))
    return sayings


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
