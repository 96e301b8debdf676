"""The business figures of the router's /metrics, from counts that are kept as cases change."""

from __future__ import annotations

from collections import Counter as Count
from datetime import datetime
from typing import get_args

from prometheus_client import Counter, Gauge

from services.router import store
from services.router.decisions.stuck import WAITS_FOR
from services.router.handlers.policies import Policies
from services.router.metrics import (
    BLOCKED_NOW,
    CALENDAR_LEFT,
    NO_TRACK,
    OPEN,
    POLICY,
    PROMOTED,
    WAIT,
    WAIT_AGE,
)
from shared import tally
from shared.divisions import CITY, LADDER
from shared.events import Track
from shared.postgres import Transaction

FIRST_TRACK = get_args(Track)[0]
QUEUES = tuple((queue, tier) for queue in WAITS_FOR for tier in (*LADDER, CITY))


def count(found: Count[Counter]) -> None:
    """Raise the counters of a transaction, once it is committed: undone work counts nowhere."""
    for counter, n in found.items():
        counter.inc(n)


async def measure(tx: Transaction, policies: Policies, now: datetime) -> None:
    """Set the gauges; counts that fell to zero are set to zero, not forgotten."""
    counts = await tally.counts(tx, ["open", "promoted"])
    for labels in known(OPEN):
        counts.setdefault(("open", "/".join(labels)), 0)
    for (name, key), n in counts.items():
        if name == "open":
            OPEN.labels(*key.split("/")).set(n)
        else:
            tier, _, track = key.partition("/")
            PROMOTED.labels(tier, track or NO_TRACK).set(n)
    await measure_waiting(tx, now)
    BLOCKED_NOW.set(await store.blocked.count(tx))
    POLICY.set(policies.newest)
    CALENDAR_LEFT.set(policies.current.calendar.known_for(now).total_seconds())


async def measure_waiting(tx: Transaction, now: datetime) -> None:
    """Count and age of every stuck queue in every tier: one look at an index for each.

    A queue that is empty shows so for one track.
    """
    there = dict.fromkeys([*known(WAIT), *((*queue, FIRST_TRACK) for queue in QUEUES)], 0)
    for (_, key), n in (await tally.counts(tx, ["waiting"])).items():
        queue, tier, track = (*key.split("/"), NO_TRACK)[:3]
        if queue in WAITS_FOR:
            there[queue, tier, track] = n
    for labels, n in there.items():
        WAIT.labels(*labels).set(n)
    since = await store.waiting.oldest(tx, QUEUES)
    for queue, tier in QUEUES:
        age = now - since.get((queue, tier), now)
        WAIT_AGE.labels(queue, tier).set(max(0.0, age.total_seconds()))


def known(gauge: Gauge) -> list[tuple[str, ...]]:
    """The label values that a gauge has already."""
    return [
        tuple(sample.labels.values()) for metric in gauge.collect() for sample in metric.samples
    ]
