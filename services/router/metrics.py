"""Every metric of the router's own: name, meaning, labels. docs/metrics.md is made from it."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import Counter, Gauge

from services.router.decisions.stuck import WAITING, WAITING_AGE, WAITS_FOR
from shared.divisions import CITY, LADDER
from shared.events import Stage, Track
from shared.telemetry import Labels

NO_TRACK: Final = "unknown"
"""Of what a version counted that did not count by track."""

LABELS: Final[Labels] = {
    "tier": (*LADDER, CITY),
    "track": (*get_args(Track), NO_TRACK),
    "stage": get_args(Stage),
    "queue": WAITS_FOR,
    "action": ("promote", "supervise"),
}

OPEN = Gauge(
    "casegrid_router_open_cases", "Open cases, by tier, track and stage", ["tier", "track", "stage"]
)
PROMOTED = Gauge(
    "casegrid_router_promoted_cases", "Promotions out of a tier, ever", ["tier", "track"]
)
WAIT = Gauge(
    WAITING, "Cases in a stuck queue, by queue, tier and track", ["queue", "tier", "track"]
)
WAIT_AGE = Gauge(
    WAITING_AGE, "How long the oldest waits there, in promise time; 0: none", ["queue", "tier"]
)
MENDED = Counter(
    "casegrid_router_waiting_mended", "Cases whose place in the stuck queues was set right"
)
RECOUNTED = Counter("casegrid_router_waiting_recounted", "Counts of stuck queues that were wrong")
OPENED = Counter("casegrid_router_cases_opened", "Cases opened and routed")
BLOCKED_NOW = Gauge(
    "casegrid_router_blocked_petitions", "Petitions whose events wait behind a parked one"
)
BLOCKED = Counter("casegrid_router_petitions_blocked", "Petitions that began to wait for a person")
DUPLICATES = Counter("casegrid_router_duplicates", "Events of petitions that were heard before")
POLICY = Gauge("casegrid_router_policy_version", "The policy version in force")
CALENDAR_LEFT = Gauge(
    "casegrid_router_calendar_left_seconds",
    "Promise time until a year begins whose holidays are not published yet; 0: it has begun",
)

ORDERS_APPLIED = Counter(
    "casegrid_router_orders_applied", "Orders of escalation applied", ["action"]
)
ORDERS_STALE = Counter("casegrid_router_orders_stale", "Orders refused as stale", ["action"])
ORDERS_UNKNOWN = Counter("casegrid_router_orders_unknown", "Orders about a case that is not here")
ORDERS_DUPLICATE = Counter("casegrid_router_orders_duplicate", "Orders that were answered before")

REPUBLISHED = Counter("casegrid_router_republished", "Cases said again because a listener asked")
CASES_UNKNOWN = Counter(
    "casegrid_router_census_unknown", "Cases that a listener has and the router not"
)
