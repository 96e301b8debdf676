"""The gauges: exact, and as cheap with ten million open cases as with ten."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import product
from typing import get_args

from prometheus_client import Gauge

from services.escalation.decisions import NO_TRACK, Reason, minute_of
from services.escalation.metrics import (
    OLDEST_OVERDUE,
    OPEN,
    OVERDUE,
    SOON,
    TIERS,
    TRACKS,
    UNACKNOWLEDGED,
    UNANSWERED,
    UNANSWERED_AGE,
    UNFIRED,
    UNHEEDED,
)
from services.escalation.store import armed, figures, notices, orders
from shared import postgres, tally
from shared.postgres import Transaction
from shared.service import Process, Timer

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
REST = 20
"""[ours] A twentieth of this timer's time goes into looking, at most."""


def show(gauge: Gauge, labels: tuple[str, ...], values: Mapping[str, float]) -> None:
    """Set a gauge for all its labels; what is not counted is 0."""
    for label in labels:
        gauge.labels(label).set(values.get(label, 0))


def seconds_since(minute: str | None, now: datetime) -> float:
    """How long ago a minute of `minute_of` ended, in seconds; 0 of none."""
    return 0.0 if minute is None else max(0.0, now.timestamp() - (int(minute) + 1) * 60)


async def show_figures(tx: Transaction, now: datetime, speed: float = 1.0) -> None:
    """Set the gauges; due and overdue are by whole minutes of promise time at `speed`."""
    earliest = await armed.earliest(tx)
    waits = timedelta() if earliest is None else max(now - earliest, timedelta())
    UNFIRED.set(waits.total_seconds() / speed)
    counts = await tally.counts(tx, ["open", "notices"])
    show(OPEN, TIERS, {key: n for (name, key), n in counts.items() if name == "open"})
    reasons = {key: n for (name, key), n in counts.items() if name == "notices"}
    show(UNACKNOWLEDGED, get_args(Reason), reasons)
    due = await figures.due(tx, minute_of(now), minute_of(now + timedelta(hours=1)))
    counted = {(row.tier, row.track or NO_TRACK): row for row in due}
    for each in product(TIERS, TRACKS):
        row = counted.get(each)
        SOON.labels(*each).set(row.soon if row else 0)
        OVERDUE.labels(*each).set(row.overdue if row else 0)
    show(OLDEST_OVERDUE, TIERS, {row.tier: seconds_since(row.oldest, now) for row in due})
    UNHEEDED.set(await notices.unheeded(tx))
    n, seconds = await orders.unanswered(tx)
    UNANSWERED.set(n)
    UNANSWERED_AGE.set(seconds)


async def step(process: Process) -> float:
    """Each second while that is cheap: every minute in which something is overdue is looked at."""
    began = time.monotonic()
    async with process.pool.acquire(timeout=10) as connection:
        await show_figures(connection, process.clock.now(), process.clock.speed)
    return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, REST * (time.monotonic() - began)))


async def forget_zeros(process: Process) -> float:
    """Each minute: minutes in which nothing is due any more."""
    async with postgres.transaction(process.pool, "timer") as tx:
        await tally.forget_zeros(tx, "due")
    return 60.0


FIGURES = Timer("figures", "sweep", step)
FORGET_ZEROS = Timer("forget zeros", "sweep", forget_zeros)
