"""How the city is at this moment: what each service says of itself, and what its tables hold.

A service that does not answer still has its tables, and the broker its topics: so it can be seen
what waits for it. What could not be asked is None, never 0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Final

import httpx

from services.operations.places import Place
from services.operations.tables import Rows, rows_of
from services.router.decisions.stuck import STUCK_QUEUES, WAITING, StuckQueue
from shared.clock import wall
from shared.scraped import Page

SILENT: Final = "silent"
NOT_ASKED: Final = "not asked"
PATIENCE: Final = httpx.Timeout(3.0)
DAY: Final = 86_400.0
LONG: Final = {
    "CasegridOutboxStuck": 30.0,
    "CasegridLagging": 60.0,
    "CasegridUnread": 60.0,
    "CasegridUnrouted": 300.0,
    "CasegridDeadlineNotFired": 30.0,
    "CasegridOrdersUnanswered": 300.0,
    "CasegridProjectionOld": 300.0,
    "CasegridCensusOld": 10_800.0,
}
"""Wall seconds after which something is worth a look, by the alert that wakes somebody for it: a
test compares them. An alert asks that it lasts as well; a look is a moment."""
LONG_WAITS: Final = {
    "call_back": 7 * DAY,
    "more_time": 7 * DAY,
    "hand_over": 4 * DAY,
    "dispatcher": 3 * DAY,
    "city_desk": 3 * DAY,
    "arbiter": 3 * DAY,
}
"""Seconds of promise time that a case may wait for a person, by queue, as CasegridQueueStuck has
it; a pause has an end of its own."""


@dataclass(frozen=True, slots=True)
class ServiceSight:
    """One service. Ages in wall seconds.

    `state` as /readyz says it, or silent, and `lag_seconds` are of the one process that answered,
    of `processes` that carry or could carry its outbox; all else is of all of them together.
    `behind`: records on the topics that its positions have not reached.
    """

    name: str
    state: str
    processes: int | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    lag_seconds: float | None = None
    behind: int | None = None
    unsaid: int | None = None
    unsaid_seconds: float | None = None
    parked: int | None = None
    census_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class QueueSight:
    """A place where work can stand still; `oldest` in seconds where that is known."""

    name: str
    holds: str
    owner: str
    n: int | None
    oldest: float | None

    @property
    def is_stuck(self) -> bool:
        """Whether it stands for longer than it may."""
        return (self.oldest or 0.0) > LONG_WAITS.get(self.name, inf)


@dataclass(frozen=True, slots=True)
class CitySight:
    """All of it. `due_next` is promise time, `now` too; the others are counts and wall seconds."""

    at: datetime
    now: datetime
    services: Sequence[ServiceSight]
    queues: Sequence[QueueSight]
    due_next: datetime | None
    unfired_seconds: float | None
    overdue: int | None
    due_within_hour: int | None
    orders_unanswered: int | None
    oldest_order_seconds: float | None
    unread: int | None
    oldest_unread_seconds: float | None
    oldest_unrouted_seconds: float | None
    away: Sequence[str]

    @property
    def wants(self) -> list[str]:
        """What a person should look at, in plain words; nothing where all is well."""
        return [*self.away, *(said for one in self.services for said in wants(one)), *self._late()]

    def _late(self) -> list[str]:
        ages = (
            (self.oldest_unread_seconds, "CasegridUnread", "a petition waits to be read for"),
            (self.oldest_unrouted_seconds, "CasegridUnrouted", "a petition waits to be routed for"),
            (self.unfired_seconds, "CasegridDeadlineNotFired",
             "what is due is not fired: it waits for"),
            (self.oldest_order_seconds, "CasegridOrdersUnanswered",
             "the router has not answered an order for"),
        )  # fmt: skip
        stuck = [
            f"{queue.name} is stuck ({queue.owner}): the oldest waits for {queue.oldest:,.0f} s"
            for queue in self.queues
            if queue.is_stuck
        ]
        return [*late(ages), *stuck]


def late(ages: Sequence[tuple[float | None, str, str]]) -> list[str]:
    """In words, each age that is beyond the limit of its alert."""
    return [f"{says} {age:,.0f} s" for age, alert, says in ages if (age or 0.0) > LONG[alert]]


def wants(one: ServiceSight) -> list[str]:
    """What of a service a person should look at."""
    said = []
    if one.state not in ("ready", NOT_ASKED):
        why = "; ".join(f"{loop}: {reason}" for loop, reason in one.reasons.items())
        said.append(f"{one.name} is {one.state}{f': {why}' if why else ''}")
    if one.parked:
        said.append(f"{one.name} has parked {one.parked}: casegrid parked list")
    # Nobody's case waits for the figures.
    behind = "CasegridProjectionOld" if one.name == "analytics" else "CasegridLagging"
    ages = (
        (one.unsaid_seconds, "CasegridOutboxStuck", f"{one.name} has not said an event for"),
        (one.lag_seconds, behind, f"{one.name} is behind by"),
        (one.census_seconds, "CasegridCensusOld", f"{one.name} has not counted all for"),
    )
    return said + late(ages)


async def look(places: Sequence[Place]) -> CitySight:
    """Ask everybody at once."""
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        answers = await asyncio.gather(*(answer_of(client, place) for place in places))
    asked = await asyncio.gather(*(rows_of(place) for place in places))
    found = {place.name: rows for place, rows in zip(places, asked, strict=True)}
    services = [
        sight(place, answer, found[place.name])
        for place, answer in zip(places, answers, strict=True)
    ]
    pages = {place.name: a.page for place, a in zip(places, answers, strict=True) if a.page}
    router, intake, escalation = found["router"], found["intake"], found["escalation"]
    return CitySight(
        at=wall(),
        now=places[0].settings.clock().now(),
        services=services,
        queues=[queue_sight(queue, pages) for queue in STUCK_QUEUES],
        due_next=escalation.due_next,
        unfired_seconds=escalation.unfired,
        overdue=escalation.overdue,
        due_within_hour=escalation.soon,
        orders_unanswered=escalation.unanswered,
        oldest_order_seconds=escalation.oldest_order,
        unread=intake.unread,
        oldest_unread_seconds=intake.unread_seconds,
        oldest_unrouted_seconds=intake.unrouted,
        away=[away for rows in (intake, router, escalation, found["analytics"])
              for away in rows.away],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said."""

    state: str
    reasons: Mapping[str, str] = field(default_factory=dict)
    page: Page | None = None


async def answer_of(client: httpx.AsyncClient, place: Place) -> Answer:
    """Readiness and metrics of one service."""
    if place.url is None:
        return Answer(NOT_ASKED)
    try:
        ready = (await client.get(f"{place.url}/readyz")).json()
        metrics = await client.get(f"{place.url}/metrics")
        return Answer(ready["status"], ready["reasons"], Page(metrics.text))
    except (httpx.HTTPError, ValueError, KeyError) as silent:
        return Answer(SILENT, {place.url: type(silent).__name__})


def queue_sight(queue: StuckQueue, pages: Mapping[str, Page]) -> QueueSight:
    """One stuck queue, as its keepers' metrics count it."""
    keepers = tuple(pages) if queue.keeper == "each service" else (queue.keeper,)
    asked = [pages[keeper] for keeper in keepers if keeper in pages]
    only = {"queue": queue.name} if queue.metrics[0] == WAITING else {}
    n = oldest = None
    if asked:
        n = int(sum(total(page, queue.metrics[0], only) for page in asked))
        ages = [name for name in queue.metrics[1:] if name.endswith("_seconds")]
        oldest = max((page.largest(age, **only) for page in asked for age in ages), default=None)
    return QueueSight(queue.name, queue.holds, queue.owner, n, oldest)


def total(page: Page, name: str, only: Mapping[str, str]) -> float:
    """The sum of a gauge, or of a counter."""
    return page.total(name, **only) + page.total(f"{name}_total", **only)


def sight(place: Place, answer: Answer, rows: Rows) -> ServiceSight:
    """Both together."""
    return ServiceSight(
        name=place.name,
        state=answer.state,
        processes=rows.processes,
        reasons=answer.reasons,
        lag_seconds=answer.page.largest("casegrid_consumer_lag_seconds") if answer.page else None,
        behind=rows.behind,
        unsaid=rows.unsaid,
        unsaid_seconds=rows.unsaid_seconds,
        parked=rows.parked,
        census_seconds=rows.census_seconds,
    )
