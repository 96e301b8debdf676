"""The clocks of a case over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.escalation.decisions import (
    Armed,
    Clock,
    may_see,
    moment,
    next_at,
    next_of,
    order_id,
)
from services.escalation.store import armed, orders
from shared.http import Problem, json, officer, process_of

routes = APIRouter(tags=["time"])


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
