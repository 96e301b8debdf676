"""Every metric of escalation's own: name, meaning, labels. docs/metrics.md is made from it."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import Counter, Gauge, Histogram

from services.escalation.decisions import NO_TIER, NO_TRACK, OUTCOMES, Reason
from shared.divisions import Tier
from shared.events import Track
from shared.telemetry import Labels

TIERS: Final = (*Tier, NO_TIER)
TRACKS: Final = (*get_args(Track), NO_TRACK)
HOURS: Final = (1, 4, 24)

LABELS: Final[Labels] = {
    "tier": TIERS,
    "track": TRACKS,
    "action": OUTCOMES,
    "reason": get_args(Reason),
    "hours": tuple(map(str, HOURS)),
    "result": ("arrived", "failed"),
}

OPEN = Gauge("casegrid_escalation_open_cases", "Open cases", ["tier"])
SOON = Gauge(
    "casegrid_escalation_due_within_hour", "Open cases whose earliest promise is due within 1 h",
    ["tier", "track"],
)  # fmt: skip
OVERDUE = Gauge(
    "casegrid_escalation_overdue_cases", "Open cases with a promise past its minute",
    ["tier", "track"],
)  # fmt: skip
OLDEST_OVERDUE = Gauge(
    "casegrid_escalation_overdue_oldest_seconds",
    "How long the promise that is overdue longest has been, in promise time; 0: none",
    ["tier"],
)
UNFIRED = Gauge(
    "casegrid_escalation_unfired_oldest_seconds",
    "Wall seconds that what is due longest waits for the sweep; 0: nothing waits",
)
FORECAST = Gauge(
    "casegrid_escalation_forecast",
    "Open cases that will be promoted, supervised or reminded of within these hours of promise time"
    " if nobody acts",
    ["action", "tier", "hours"],
)

LATE = Histogram(
    "casegrid_escalation_fired_late_seconds",
    "Wall seconds from a breach that could be known to the sweep that found it",
    # Within a second is the promise; 1, 10, 60 and 600 are where lateness is told apart. [E19]
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

ORDERS = Counter(
    "casegrid_escalation_orders", "Orders to the router, by the tier of the case",
    ["action", "tier"],
)  # fmt: skip
ORDERS_SAID_AGAIN = Counter(
    "casegrid_escalation_orders_said_again", "Orders that got no answer in time"
)
UNANSWERED = Gauge("casegrid_escalation_orders_unanswered", "Orders without an answer")
UNANSWERED_AGE = Gauge(
    "casegrid_escalation_orders_oldest_seconds",
    "Wall seconds that the oldest order has had no answer; 0: none waits",
)

NOTICES = Counter("casegrid_escalation_notices", "Digests that a sweep posted", ["reason"])
UNACKNOWLEDGED = Gauge(
    "casegrid_escalation_notices_unacknowledged", "Notices that no person took note of", ["reason"]
)
UNHEEDED = Gauge(
    "casegrid_escalation_notices_unheeded",
    "Notices that no person took note of in time, nor since; counted to 10,000",
)
RAISED = Counter("casegrid_escalation_notices_raised", "Notices that went one level up", ["reason"])
PUSHED = Counter(
    "casegrid_escalation_notices_pushed", "Attempts to push a notice, by what came of it",
    ["result"],
)  # fmt: skip
TO_PUSH = Gauge(
    "casegrid_escalation_notices_to_push", "Notices that wait to be pushed; counted to 10,000"
)
NOT_PUSHED = Gauge(
    "casegrid_escalation_notices_not_pushed",
    "Notices pushed in vain to the end that nobody took note of; counted to 10,000",
)
