"""Queues: mine, my office's, a division's, and all of my area with their counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from services.router import store
from services.router.api.cursors import PAGE, line_after, line_cursor, queue_after
from services.router.decisions.case import case_of
from services.router.decisions.workflow import allowed_actions, may_read
from services.router.handlers.policies import Policies, policies_of
from services.router.store.cases import NEVER
from services.router.store.queues import QueueEntry
from shared import postgres, tally
from shared.divisions import CITY, parse_code
from shared.http import Problem, cursor_of, json, officer, process_of
from shared.identity import Actor

routes = APIRouter(tags=["queues"])
STAGES = ("registered", "assigned", "signed", "resolved")
QUEUES = 1_000
Limit = Annotated[int, Query(ge=1, le=PAGE)]


@routes.get("/queues", summary="All queues of my area that hold something, with counts")
async def get_queues(
    request: Request,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=QUEUES)] = QUEUES,
) -> Response:
    """By division and office: cases held by stage, clocks owned by name, and how many are mine."""
    who, process = officer(request), process_of(request)
    after = ("", "") if cursor is None else queue_after(cursor)
    async with process.pool.acquire(timeout=10) as connection:
        found = await store.queues.counts_under(connection, who.division, who.office, after, limit)
        mine = await store.queues.count_of_person(connection, who.subject)
    last = found[-1] if len(found) == limit else None
    following = None if last is None else cursor_of([last.division, last.office or ""])
    queues = [one._asdict() for one in found]
    return json({"mine": mine, "queues": queues, "cursor": following})


@routes.get("/queues/mine", summary="The open cases that I signed")
async def get_mine(request: Request, cursor: str | None = None, limit: Limit = 50) -> Response:
    """By due date."""
    who, process = officer(request), process_of(request)
    after = line_after(cursor)
    async with process.pool.acquire(timeout=10) as connection:
        entries = await store.queues.page_of_person(connection, who.subject, after, limit)
        held = await store.queues.count_of_person(connection, who.subject)
    return json({"held": held} | listed(entries, limit, process.clock.now(), who))


@routes.get("/queues/offices/{office}", summary="Cases an office holds and clocks it owns")
async def get_queue_of_office(
    request: Request,
    office: str,
    division: str | None = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    """By due date, in a division and what lies in it; the caller's own where none is named."""
    who, process = officer(request), process_of(request)
    policies = policies_of(process)
    found = policies.current.duties.offices.get(office)
    if found is None:
        raise Problem(404, "no-such-office", "No office of this id is known: see /offices.")
    if who.office not in (None, office):
        raise Problem(403, "not-your-office", f"Your token acts for the office {who.office} only.")
    area = known_area(division or who.division, who, policies)
    after = line_after(cursor)
    async with process.pool.acquire(timeout=10) as connection:
        entries = await store.queues.page_of_office(connection, office, area, after, limit)
        counts = await store.queues.counts_under(connection, area, office, ("", ""), QUEUES)
    return json(
        {
            "office": office,
            "name": {"zh": found.zh, "en": found.en},
            "division": area,
            "held": summed([one.held for one in counts]),
            "owned": summed([one.owned for one in counts]),
        }
        | listed(entries, limit, process.clock.now(), who)
    )


@routes.get("/queues/{division}", summary="Cases held and clocks owned")
async def get_queue(
    request: Request, division: str, cursor: str | None = None, limit: Limit = 50
) -> Response:
    """Emergencies that wait first, then by due date. Division code, or `city`.

    Needs a token whose area holds the division.
    """
    who, process = officer(request), process_of(request)
    policies = policies_of(process)
    known_area(division, who, policies)
    if who.office is not None:
        raise Problem(403, "not-your-office", f"Your queue is /queues/offices/{who.office}.")
    after = line_after(cursor)
    async with process.pool.acquire(timeout=10) as connection:
        entries = await store.queues.page(connection, division, after, limit)
        held, owned = await counts_of(connection, division, policies)
    name = policies.name_of(division, policies.newest)
    return json(
        {"division": division, "name": name, "held": held, "owned": owned}
        | listed(entries, limit, process.clock.now(), who)
    )


def known_area(division: str, who: Actor, policies: Policies) -> str:
    """A listed division in the caller's area. Raises a 403 or 404 `Problem`."""
    if division != CITY and division not in policies.current.divisions:
        raise Problem(404, "no-such-division", "No division of this code is known.")
    if not who.acts_for(parse_code(division)):
        raise Problem(403, "not-your-area", f"Your token acts for {who.division} only.")
    return division


async def counts_of(
    connection: postgres.Transaction, division: str, policies: Policies
) -> tuple[dict[str, int], dict[str, int]]:
    """How many cases a division holds by stage, and how many clocks it owns on others' cases."""
    held = await tally.count_of(connection, "queue", [f"{division}/{stage}" for stage in STAGES])
    clocks = policies.current.clocks
    owned = await tally.count_of(connection, "owned", [f"{division}/{name}" for name in clocks])
    return (
        {key.rpartition("/")[2]: n for key, n in held.items() if n},
        {key.rpartition("/")[2]: n for key, n in owned.items() if n},
    )


def summed(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    """Counts of several queues as one."""
    sums: dict[str, int] = {}
    for one in counts:
        for name, n in one.items():
            sums[name] = sums.get(name, 0) + n
    return sums


def listed(entries: Sequence[QueueEntry], limit: int, now: datetime, who: Actor) -> dict[str, Any]:
    """The lines of a page and where the next one begins."""
    following = line_cursor(entries[-1]) if len(entries) == limit else None
    lines = [line for entry in entries if (line := entry_view(entry, now, who))]
    return {"entries": lines, "cursor": following}


def entry_view(entry: QueueEntry, now: datetime, who: Actor) -> dict[str, Any] | None:
    """A line of a queue; none for those who may not know of the case."""
    case = case_of(entry.doc)
    if not may_read(case, who):
        return None
    why: Literal["held", "clock"] = "clock" if entry.clock else "held"
    return {
        "case": str(case.id),
        "number": case.number,
        "why": why,
        "clock": entry.clock or None,
        "due_at": None if entry.due_at == NEVER else entry.due_at,
        "overdue": entry.due_at < now,
        "stage": case.stage,
        "track": case.track,
        "category": case.category,
        "urgency": case.urgency,
        "tier": case.tier,
        "holder": case.holder,
        "office": case.office,
        "role": entry.role,
        "place": case.place,
        "verified": case.verified,
        "replied": case.replied,
        "contact": case.contact,
        "received_at": case.received_at,
        "version": case.version,
        "actions": allowed_actions(case, who),
    }
