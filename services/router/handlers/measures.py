"""The business figures of the router's /metrics, from counts that are kept as cases change."""

from __future__ import annotations

from collections import Counter as Count

from prometheus_client import Counter, Gauge

from services.router import store
from services.router.handlers.policies import Policies
from shared import tally
from shared.postgres import Transaction

OPEN = Gauge(
    "casegrid_router_open_cases", "Open cases, by tier, track and stage", ["tier", "track", "stage"]
)
PROMOTED = Gauge("casegrid_router_promoted_cases", "Promotions out of a tier, ever", ["tier"])
BLOCKED_NOW = Gauge(
    "casegrid_router_blocked_petitions", "Petitions whose events wait behind a parked one"
)
POLICY = Gauge("casegrid_router_policy_version", "The policy version in force")


def count(found: Count[Counter]) -> None:
    """Raise the counters of a transaction, once it is committed: undone work counts nowhere."""
    for counter, n in found.items():
        counter.inc(n)


async def measure(tx: Transaction, policies: Policies) -> None:
    """Set the gauges; counts that fell to zero are set to zero, not forgotten."""
    counts = await tally.counts(tx, ["open", "promoted"])
    for labels in known(OPEN):
        counts.setdefault(("open", "/".join(labels)), 0)
    for (name, key), n in counts.items():
        if name == "open":
            OPEN.labels(*key.split("/")).set(n)
        else:
            PROMOTED.labels(key).set(n)
    BLOCKED_NOW.set(await store.blocked.count(tx))
    POLICY.set(policies.newest)


def known(gauge: Gauge) -> list[tuple[str, ...]]:
    """The label values that a gauge has already."""
    return [
        tuple(sample.labels.values()) for metric in gauge.collect() for sample in metric.samples
    ]
