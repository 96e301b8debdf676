"""What the stack's services say of themselves: their /metrics, read and put together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import httpx

from deploy.local.environment import SERVICES
from shared.divisions import CITY, Tier
from shared.events import Topic
from shared.scraped import Page

WAITING, UNSIGNED, SIGNED, RESOLVED = "registered", "assigned", "signed", "resolved"
TIERS = (*(tier.value for tier in Tier), CITY)
ROUTED = "casegrid_intake_accept_to_routed_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Reading:
    """All services' metrics at one moment (monotonic seconds); a silent service is left out."""

    at: float
    pages: Mapping[str, Page]


async def read(client: httpx.AsyncClient, urls: Mapping[str, str]) -> Reading:
    """Ask every service at once."""
    at = time.monotonic()
    pages = await asyncio.gather(*(page_of(client, urls[name]) for name in SERVICES))
    return Reading(
        at, {name: page for name, page in zip(SERVICES, pages, strict=True) if page is not None}
    )


async def page_of(client: httpx.AsyncClient, url: str) -> Page | None:
    """One service's metrics; None when it does not answer."""
    try:
        answer = await client.get(f"{url}/metrics")
    except httpx.TransportError:
        return None
    return Page(answer.text) if answer.status_code == httpx.codes.OK else None


@dataclass(frozen=True, slots=True)
class TierRow:
    """The open cases of one tier, or of the city's desk."""

    tier: str
    open: int
    waiting: int
    unsigned: int
    signed: int
    resolved: int
    due_soon: int
    overdue: int
    promoted: int


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service: ready (1), degraded (0.5) or silent (None); its outbox, lag and parked."""

    name: str
    ready: float | None
    outbox: int
    outbox_age: float
    lag_seconds: float
    lag_records: int
    parked: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One picture of the stack. Rates and waiting times are of the last seconds; counts are not.

    `orders` are counted since escalation started, by action; `notices` are those that nobody has
    acknowledged, by reason. `solved_in_grid` is the share of those closed as solved, NaN of none.
    `routed` is accept-to-routed in seconds by quantile, None of none.
    """

    tiers: Sequence[TierRow]
    services: Sequence[ServiceRow]
    events: Mapping[str, float]
    accepted: float
    routed: Mapping[float, float | None]
    orders: Mapping[str, int]
    stale: int
    unanswered: int
    notices: Mapping[str, int]
    closed: int
    solved_in_grid: float

    @property
    def open(self) -> int:
        """All open cases."""
        return sum(row.open for row in self.tiers)

    @property
    def overdue(self) -> int:
        """All open cases with a promise past its time."""
        return sum(row.overdue for row in self.tiers)

    @property
    def promoted(self) -> int:
        """All promotions ever."""
        return sum(row.promoted for row in self.tiers)


def figures(before: Reading, now: Reading) -> Figures:
    """What two readings say together; rates are of the time between them."""
    nothing = Page("")
    intake, router, escalation, analytics = (now.pages.get(name, nothing) for name in SERVICES)
    return Figures(
        tiers=[tier_row(tier, router, escalation) for tier in TIERS],
        services=[service_row(name, now.pages.get(name)) for name in SERVICES],
        events=events_per_second(before, now),
        accepted=rate(before, now, "intake", "casegrid_intake_accepted_total"),
        routed=waiting_times(before.pages.get("intake", nothing), intake),
        orders=whole(escalation.by("casegrid_escalation_orders_total", "action")),
        stale=int(router.total("casegrid_router_orders_stale_total")),
        unanswered=int(escalation.total("casegrid_escalation_orders_unanswered")),
        notices=whole(escalation.by("casegrid_escalation_notices_unacknowledged", "reason")),
        closed=int(analytics.total("casegrid_analytics_cases_closed")),
        solved_in_grid=analytics.total("casegrid_analytics_solved_in_grid_basis_points") / 10_000,
    )


def whole(numbers: Mapping[str, float]) -> dict[str, int]:
    """Counts as whole numbers."""
    return {name: int(number) for name, number in numbers.items()}


def tier_row(tier: str, router: Page, escalation: Page) -> TierRow:
    """One tier: its queues as the router counts them, its promises as escalation does."""
    stages = whole(router.by("casegrid_router_open_cases", "stage", tier=tier))
    # The promise of a case that names no district has no tier: escalation says "none".
    owner = "none" if tier == CITY else tier
    return TierRow(
        tier=tier,
        open=sum(stages.values()),
        waiting=stages.get(WAITING, 0),
        unsigned=stages.get(UNSIGNED, 0),
        signed=stages.get(SIGNED, 0),
        resolved=stages.get(RESOLVED, 0),
        due_soon=int(escalation.total("casegrid_escalation_due_within_hour", tier=owner)),
        overdue=int(escalation.total("casegrid_escalation_overdue_cases", tier=owner)),
        promoted=int(router.total("casegrid_router_promoted_cases", tier=tier)),
    )


def service_row(name: str, page: Page | None) -> ServiceRow:
    """How one service is."""
    if page is None:
        return ServiceRow(name, None, 0, 0.0, 0.0, 0, 0)
    return ServiceRow(
        name=name,
        ready=page.total("casegrid_ready"),
        outbox=int(page.total("casegrid_outbox_depth")),
        outbox_age=page.total("casegrid_outbox_age_seconds"),
        lag_seconds=page.largest("casegrid_consumer_lag_seconds"),
        lag_records=int(page.total("casegrid_consumer_lag_records")),
        parked=int(page.total("casegrid_parked")),
    )


def events_per_second(before: Reading, now: Reading) -> dict[str, float]:
    """What was said on each topic."""
    said = "casegrid_events_said_total"
    return {
        topic.value: sum(rate(before, now, name, said, topic=topic.value) for name in SERVICES)
        for topic in Topic
    }


def rate(before: Reading, now: Reading, service: str, name: str, **only: str) -> float:
    """How fast a counter of a service grew, a second; 0 where that cannot be known."""
    seconds = now.at - before.at
    if seconds <= 0 or service not in before.pages or service not in now.pages:
        return 0.0
    grown = now.pages[service].total(name, **only) - before.pages[service].total(name, **only)
    # A counter that fell belongs to a process that was started again.
    return max(0.0, grown) / seconds


def waiting_times(before: Page, now: Page) -> dict[float, float | None]:
    """The median and the 99th percentile of accept-to-routed between two readings."""
    earlier = before.by(ROUTED, "le")
    grown = sorted(
        (float(le), count - earlier.get(le, 0.0)) for le, count in now.by(ROUTED, "le").items()
    )
    return {q: quantile(q, grown) for q in (0.5, 0.99)}


def quantile(q: float, buckets: Sequence[tuple[float, float]]) -> float | None:
    """A quantile out of cumulative buckets (upper bound, count), evenly spread within each.

    None of nothing; what lies above the last finite bound is told as that bound.
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    wanted = q * buckets[-1][1]
    for (low, fewer), (high, count) in pairwise([(0.0, 0.0), *buckets]):
        if count >= wanted:
            if high == float("inf"):
                return low
            return low + (high - low) * (wanted - fewer) / (count - fewer)
    return None
