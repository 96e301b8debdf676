"""What is asked of escalation: the clocks of a case, and the notices of a desk."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, TypeAdapter

from services.escalation import handlers
from services.escalation.decisions import (
    Armed,
    Clock,
    moment,
    next_at,
    next_of,
    order_id,
)
from services.escalation.store import armed, notices, orders
from services.escalation.store.notices import Acknowledged, Posted
from shared import postgres
from shared.divisions import is_within, parse_code
from shared.http import Problem, cursor_of, json, officer, parts_of, process_of
from shared.identity import Actor

routes = APIRouter(tags=["time"])
PLACE = TypeAdapter(tuple[AwareDatetime, UUID])


def may_see(who: Actor, case: Armed) -> bool:
    """Whether a case lies in an officer's area, and owes his office something if he has one.

    The accused never sees it: a division with all below it, or an office. While it is not known who
    is accused no office owes anything. Petition Regs 30, 46. [law]
    """
    accused = case.accused_division
    is_accused = accused is not None and is_within(who.division, accused)
    is_accused |= who.office is not None and who.office == case.accused_office
    concerned = who.office in (None, *(clock.owner_office for clock in case.clocks))
    return who.acts_for(case.holder) and concerned and not is_accused


def officer_of(request: Request, division: str, office: str | None) -> Actor:
    """Who asks, if that is an officer for this division, and for this office where he has one.

    Raises a 401 or 403 `Problem`.
    """
    who = officer(request)
    if not who.acts_for(division):
        raise Problem(
            403, "not-your-area", "Your token is for another area: ask the office that holds this."
        )
    if who.office not in (None, office):
        raise Problem(403, "not-your-office", f"Your token acts for the office {who.office} only.")
    return who


# ---------------------------------------------------------------- clocks of a case


@routes.get("/cases/{case_id}/clocks", summary="The promises that run on a case, and what was done")
async def clocks(request: Request, case_id: UUID) -> Response:
    """Due times, warnings given, breaches, orders and their answers; times are promise time.

    A case that one may not see is answered like one that is not there.
    """
    who = officer(request)
    process = process_of(request)
    async with process.pool.acquire(timeout=10) as connection:
        case = await armed.find(connection, case_id)
        if case is None or not may_see(who, case):
            raise Problem(
                404,
                "no-such-case",
                "There is no such case in your area yet. If it was accepted just now, ask again.",
                headers={"Retry-After": "1"},
            )
        ids = {clock.name: order_id_of(case, clock) for clock in case.clocks}
        is_open = await orders.still_open(connection, [one for one in ids.values() if one])
    now = process.clock.now()
    shown = sorted(case.clocks, key=lambda clock: (clock.due, clock.name))
    return json(
        {
            "case": str(case.case_id),
            "open": case.open,
            "tier": case.tier,
            "holder": case.holder,
            "as_of": {"epoch": case.order.epoch, "seq": case.order.seq, "at": case.changed_at},
            "next_at": next_at(case),
            "clocks": [
                shown_clock(case, clock, now)
                | {"order": shown_order(clock, ids[clock.name], is_open)}
                for clock in shown
            ],
        }
    )


def order_id_of(case: Armed, clock: Clock) -> UUID | None:
    """The order that the breach of this generation gave, if any."""
    if not clock.fired or clock.on_breach not in ("promote", "supervise"):
        return None
    return order_id(case.case_id, clock.name, clock.generation, clock.on_breach)


def shown_order(clock: Clock, id_: UUID | None, is_open: set[UUID]) -> dict[str, Any] | None:
    """The order of a clock, and whether the router answered it."""
    if id_ is None:
        return None
    state = "pending" if id_ in is_open else "answered"
    return {"id": str(id_), "action": clock.on_breach, "state": state}


def shown_clock(case: Armed, clock: Clock, now: datetime) -> dict[str, Any]:
    """A clock as a person reads it."""
    following = next_of(clock)
    due_at = moment(case, clock.due)
    return {
        "name": clock.name,
        "generation": clock.generation,
        "owner": {"division": clock.owner_division, "role": clock.owner_role}
        | ({"office": clock.owner_office} if clock.owner_office else {}),
        "started_at": moment(case, clock.started),
        "due_at": due_at,
        "paused": clock.paused,
        "breached": not clock.paused and due_at <= now,
        "on_breach": clock.on_breach,
        "repeats_given": clock.repeats,
        "warnings": [
            {"at": moment(case, mark), "given": n < clock.warned}
            for n, mark in enumerate(clock.warn)
        ],
        "next_at": None if following is None else moment(case, following),
    }


# ---------------------------------------------------------------- notices of a desk


@routes.get("/notices/{unit}", summary="What a division, or the city, was told; newest first")
async def notices_of_unit(
    request: Request,
    unit: str,
    role: Annotated[
        str | None, Query(pattern="^[a-z_]{1,40}$", description="only for this role")
    ] = None,
    office: Annotated[
        str | None,
        Query(
            pattern=r"^[^\x00]+$", max_length=60, description="only of this office in the division"
        ),
    ] = None,
    everything: Annotated[
        bool, Query(alias="all", description="the acknowledged ones too")
    ] = False,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Digests that no person took note of yet, and how many there are (counted to 10,000).

    Who acts for an office sees those of his office only.
    """
    try:
        division = parse_code(unit)
    except ValueError as wrong:
        raise Problem(422, "invalid-division", str(wrong)) from wrong
    office = office or officer(request).office
    officer_of(request, division, office)
    after = place_of(cursor) if cursor else None
    async with process_of(request).pool.acquire(timeout=10) as connection:
        waiting = await notices.unacknowledged(connection, division, role, office)
        page = await notices.newest(
            connection, division, role, office, after, limit, everything=everything
        )
    last = page[-1] if len(page) == limit else None
    return json(
        {
            "unit": division,
            "office": office,
            "unacknowledged": waiting,
            "notices": [shown_notice(posted) for posted in page],
            "next": cursor_of([last.posted_at, str(last.id)]) if last else None,
        }
    )


def place_of(cursor: str) -> tuple[datetime, UUID]:
    """Where a page begins. Raises a 422 `Problem`."""
    try:
        posted_at, id_ = PLACE.validate_python(parts_of(cursor, 2))
        return posted_at.astimezone(UTC), id_
    except (ValueError, OverflowError) as wrong:
        raise Problem(
            422, "invalid-cursor", "The cursor is not one of ours: leave it out to begin anew."
        ) from wrong


def shown_notice(posted: Posted) -> dict[str, Any]:
    """A notice as its desk sees it."""
    digest, taken = posted.digest, posted.acknowledged
    return {
        "id": str(posted.id),
        "division": digest.desk.division,
        "role": digest.desk.role,
        "office": digest.desk.office,
        "clock": digest.clock,
        "reason": digest.reason,
        "count": digest.count,
        "oldest_due_at": digest.oldest_due_at,
        "cases": [str(case_id) for case_id in digest.cases],
        "posted_at": posted.posted_at,
        "raised_from": digest.raised_from and str(digest.raised_from),
        "unheeded_at": posted.unheeded_at,
        "pushed_at": posted.pushed_at,
        "acknowledged": taken and {"at": taken.at, "role": taken.role, "by": taken.by},
    }


@routes.post("/notices/{notice_id}/acknowledge", summary="I took note of this")
async def acknowledge(request: Request, notice_id: UUID) -> Response:
    """The notice as it is then. A second time changes nothing: the first person stays."""
    officer(request)
    process = process_of(request)
    async with postgres.transaction(process.pool, "command") as tx:
        posted = await notices.take(tx, notice_id)
        if posted is None:
            raise Problem(404, "notice-not-known", "There is no notice of this id.")
        desk = posted.digest.desk
        who = officer_of(request, desk.division, desk.office)
        role = desk.role if desk.role in who.roles else min(who.roles)
        taken = Acknowledged(process.clock.now(), role, who.subject)
        posted = await handlers.acknowledge(tx, posted, taken)
    return json(shown_notice(posted))
