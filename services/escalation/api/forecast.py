"""What happens to the cases of a unit in the next hours if nobody acts, over HTTP."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.escalation.api.area import division_of, officer_of
from services.escalation.api.cursors import case_after, case_cursor
from services.escalation.decisions import Armed, Foreseen, Outcome, foreseen, promoted_to
from services.escalation.store import forecast
from services.escalation.store.forecast import Count, Reader
from shared.divisions import Tier, tier_of
from shared.http import json, officer, process_of

routes = APIRouter(tags=["time"])
LONGEST_HOURS = 168


@dataclass(frozen=True, slots=True)
class Owner:
    """Who can prevent it: a role in a division, of an office where the promise is an office's."""

    division: str
    role: str
    office: str | None


@dataclass(frozen=True, slots=True)
class Destination:
    """The unit that a promotion gives the case to; without a tier it is the city's dispatcher."""

    division: str
    tier: Tier | None


@dataclass(frozen=True, slots=True)
class Coming:
    """A promise that breaks at `due_at` (`late`: that is past), and what is done then.

    `promote`: one tier up, at least to `to`. `supervise`: somebody above looks at it. `remind`: the
    owner and the level above are told.
    """

    due_at: datetime
    late: bool
    action: Outcome
    to: Destination | None
    clock: str
    generation: int
    owner: Owner


@dataclass(frozen=True, slots=True)
class ComingCase:
    """A case and all that happens to it within the hours, first what comes first."""

    case: str
    tier: Tier | None
    holder: str
    coming: list[Coming]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What happens from `at` until `until` (promise time).

    `counts`: cases by action and by the tier they are in now (`none`: in no tier).
    """

    unit: str
    office: str | None
    hours: int
    at: datetime
    until: datetime
    counts: dict[Outcome, dict[str, int]]
    cases: list[ComingCase]
    next: str | None


@routes.get(
    "/forecast",
    response_model=Forecast,
    summary="Which cases will be promoted or supervised, and which promises break, if nobody acts",
)
async def forecast_of_unit(
    request: Request,
    unit: Annotated[
        str | None,
        Query(description="cases held here or below: a division code or `city`; else your own"),
    ] = None,
    hours: Annotated[
        int, Query(ge=1, le=LONGEST_HOURS, description="how far to look, in hours of promise time")
    ] = 24,
    cursor: Annotated[
        str | None, Query(max_length=200, description="the `next` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="cases on a page, at most")] = 50,
) -> Response:
    """Open cases by when their first promise breaks, why, and who can prevent it.

    What was paused, answered or broken before is not there, nor what a promotion starts afresh.
    Who acts for an office sees the cases that owe his office something. Counts are of all hours,
    over the first 10,000 cases. A page may be short: only without a `next` is it the last.
    """
    who = officer(request)
    division = who.division if unit is None else division_of(unit)
    officer_of(request, division, who.office)
    after = case_after(cursor)
    process = process_of(request)
    now = process.clock.now()
    until = now + timedelta(hours=hours)
    reader = Reader(division, who.division, who.office)
    async with process.pool.acquire(timeout=10) as connection:
        counted = await forecast.counts(connection, [until], reader)
        entries, following = await forecast.page(connection, until, reader, after, limit)
    shown = (coming_case(one.case, until, now) for one in entries if one.shown)
    return json(
        Forecast(
            division,
            who.office,
            hours,
            now,
            until,
            by_action(counted),
            [one for one in shown if one.coming],
            case_cursor(following) if following else None,
        )
    )


def by_action(counted: Iterable[Count]) -> dict[Outcome, dict[str, int]]:
    """Cases by action and tier."""
    counts: dict[Outcome, dict[str, int]] = {}
    for one in counted:
        counts.setdefault(one.outcome, {})[one.tier] = one.cases
    return counts


def coming_case(case: Armed, until: datetime, now: datetime) -> ComingCase:
    """A case and what happens to it."""
    to = promoted_to(case)
    destination = None if to is None else Destination(to, tier_of(to))
    return ComingCase(
        str(case.case_id),
        case.tier,
        case.holder,
        [coming(one, now, destination) for one in foreseen(case, until)],
    )


def coming(one: Foreseen, now: datetime, destination: Destination | None) -> Coming:
    """A promise that breaks; a destination is a promotion's only."""
    return Coming(
        one.at,
        one.at <= now,
        one.outcome,
        destination if one.outcome == "promote" else None,
        one.clock,
        one.generation,
        Owner(*one.owner),
    )
