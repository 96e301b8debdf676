"""A case, why it came here, and what happened to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from services.router import store
from services.router.api.cursors import PAGE, step_after
from services.router.api.steps import (
    BEGINNING,
    END,
    LOOKED_AT,
    case_at,
    order_of,
    paged,
    stood,
)
from services.router.decisions.case import CASE, Case, Clock
from services.router.decisions.policy import Policy
from services.router.decisions.routing import Reason, sentence
from services.router.decisions.workflow import allowed_actions, may_read
from services.router.handlers.policies import Policies, policies_of
from services.router.store.history import HistoryRow
from shared.http import Problem, cursor_of, json, officer, process_of
from shared.identity import Actor
from shared.service import Process

routes = APIRouter(tags=["cases"])


def no_such_case() -> Problem:
    """The same answer whether it is not there, not yet there, or not for the caller."""
    return Problem(
        404,
        "no-such-case",
        "No case of this id is open to you. A petition just sent gets its case within a moment:"
        " try again.",
        headers={"Retry-After": "1"},
    )


async def readable(request: Request, case_id: UUID) -> tuple[Case, Actor, Process]:
    """The case, if the caller may read it. Raises a 404 `Problem`."""
    who, process = officer(request), process_of(request)
    async with process.pool.acquire(timeout=10) as connection:
        case = await store.cases.find(connection, case_id)
        if case is None or not may_read(case, who):
            raise no_such_case()
        await policies_of(process).need(connection, {case.policy})
    return case, who, process


@routes.get("/cases/{case_id}", summary="A case and what you may do with it")
async def get_case(
    request: Request, case_id: UUID, at: Annotated[AwareDatetime | None, Query()] = None
) -> Response:
    """Needs a token whose area holds the case. `ETag` is its version, for `If-Match`.

    With `at`, a moment of promise time, the case as it stood then: for those who may read it now
    and might have read it then. It has no `ETag` and no actions.
    """
    case, who, process = await readable(request, case_id)
    if at is not None:
        return json(past_view(await as_of(process, case_id, at, who), process, at))
    return json(case_view(case, process, who), headers={"ETag": f'"{case.version}"'})


async def as_of(process: Process, case_id: UUID, at: datetime, who: Actor) -> Case:
    """A case as it stood. Raises a 404 `Problem` for a moment before it, or not for the caller."""
    async with process.pool.acquire(timeout=10) as connection:
        case = await case_at(connection, case_id, at.astimezone(UTC))
    if case is None:
        raise Problem(404, "not-yet-opened", "There was no such case at that time yet.")
    if not may_read(case, who):
        raise no_such_case()
    return case


SHOWN_AS_IT_IS = {
    "id", "number", "version", "channel", "kind", "track", "stage", "urgency", "tier", "category",
    "received_at", "signs", "handed_over", "entered", "left", "promotions", "on_time",
    "supervised", "verified", "replied", "returns", "outcome", "closed_at", "closing_tier",
    "restricted", "policy", "calendar", "arbitration", "pause", "urged", "call_backs",
    "called_back", "satisfied", "not_accepted", "reopened", "tasks", "whistle",
}  # fmt: skip


def extension_view(case: Case) -> dict[str, Any] | None:
    """More time that was asked for, and when it was granted, if it was."""
    asked = case.extension
    if asked is None:
        return None
    return {"until": asked.until, "asked_at": asked.asked_at, "granted_at": asked.granted_at}


def past_view(case: Case, process: Process, at: datetime) -> dict[str, Any]:
    """The case as it stood; nobody does anything in the past."""
    return plain_view(case, policies_of(process), at) | {"as_of": at}


def case_view(case: Case, process: Process, who: Actor) -> dict[str, Any]:
    """The case as an officer sees it, with what he may do next."""
    view = plain_view(case, policies_of(process), process.clock.now())
    return view | {"actions": allowed_actions(case, who)}


def plain_view(case: Case, policies: Policies, now: datetime) -> dict[str, Any]:
    """The case in words that need no code book."""
    row = policies.of(case.policy).categories.get(case.category or "")
    plain: dict[str, Any] = CASE.dump_python(case, mode="json", include=SHOWN_AS_IT_IS)
    for shown, task in zip(plain["tasks"], case.tasks, strict=True):
        shown |= task.strange
    return plain | {
        "category_name": None if row is None else {"zh": row.zh, "en": row.en},
        "holder": unit_view(case.holder, case, policies)
        | {"role": case.role, "office": office_view(case.office, case, policies)},
        "extension": extension_view(case),
        "lead": office_view(case.lead, case, policies),
        "assisting": [office_view(office, case, policies) for office in case.assisting],
        "place": unit_view(case.place, case, policies),
        "clocks": [clock_view(clock, now) for clock in case.clocks],
        "next_deadline": case.next_deadline,
    }


def unit_view(division: str, case: Case, policies: Policies) -> dict[str, str]:
    """A division by its code, and in words as the case's policy names it."""
    return {"division": division, "name": policies.name_of(division, case.policy)}


def office_view(office: str | None, case: Case, policies: Policies) -> dict[str, str] | None:
    """An office by its id, and in words."""
    found = policies.of(case.policy).duties.offices.get(office or "")
    return None if found is None else {"office": found.id, "zh": found.zh, "en": found.en}


def clock_view(clock: Clock, now: datetime) -> dict[str, Any]:
    """A running clock in words that need no code book."""
    return {
        "name": clock.name,
        "generation": clock.generation,
        "owner": {"division": clock.owner_division, "role": clock.owner_role}
        | ({"office": clock.owner_office} if clock.owner_office else {}),
        "started_at": clock.started_at,
        "due_at": clock.due_at,
        "overdue": now > clock.due_at,
        "on_breach": clock.on_breach,
    }


Limit = Annotated[int, Query(ge=1, le=PAGE)]


@routes.get("/cases/{case_id}/routing", summary="Why did this come to me?")
async def get_routing(
    request: Request, case_id: UUID, cursor: str | None = None, limit: Limit = PAGE
) -> Response:
    """Each decision about where it goes, the newest first, and each move by a person or a clock.

    Rule, policy version, inputs matched, candidates rejected, and the office that has it by which
    entry of the duty catalogue. A page may hold few or none; while there is a `cursor` more follow.
    """
    case, who, process = await readable(request, case_id)
    before = END if cursor is None else step_after(cursor)
    policy = policies_of(process).of(case.policy)
    async with process.pool.acquire(timeout=10) as connection:
        rows = await store.history.page_before(connection, case_id, before, LOOKED_AT + 1)
        left = order_of(rows[1]) if len(rows) > LOOKED_AT else None
        steps = await stood(connection, case_id, rows[-LOOKED_AT:], who)
    details = [(one, orjson.loads(one.row.detail)) for one in reversed(steps) if one.known]
    found = [(one, detail["routing"]) for one, detail in details if "routing" in detail]
    page, following = paged(found, limit, lambda pair: pair[0].order, left)
    views = [decision_view(one.row, reason_of(said), policy) for one, said in page]
    return json(
        {"case": str(case.id), "holder": case.holder, "decisions": views, "cursor": following}
    )


def decision_view(row: HistoryRow, reason: Reason, policy: Policy) -> dict[str, Any]:
    """A routing decision: what was matched and rejected, and the reason in words."""
    return {
        "at": row.at,
        "event": row.event,
        "rule": row.rule,
        "policy": reason.policy,
        "matched": dict(reason.matched),
        "rejected": [{"division": d, "rule": r} for d, r in reason.rejected],
        "en": sentence(reason, "en", policy),
        "zh": sentence(reason, "zh", policy),
    }


def reason_of(said: dict[str, Any]) -> Reason:
    """A stored reason."""
    return Reason(
        rule=said["rule"],
        policy=said["policy"],
        matched=tuple((name, value) for name, value in said["matched"]),
        rejected=tuple((division, rule) for division, rule in said["rejected"]),
    )


@routes.get("/cases/{case_id}/history", summary="What happened, step by step")
async def get_history(
    request: Request, case_id: UUID, cursor: str | None = None, limit: Limit = PAGE
) -> Response:
    """Who did what when, by which rule, and which fields it set; oldest first.

    `caused_by` names what brought it about by its id: an event of intake, an order, a command.

    Whoever was shut out for a time is told nothing of that time. A page may hold fewer than asked
    for; while there is a `cursor` more follow.
    """
    case, who, process = await readable(request, case_id)
    after = BEGINNING if cursor is None else step_after(cursor)
    async with process.pool.acquire(timeout=10) as connection:
        rows = await store.history.page(connection, case_id, after, limit + 1)
        steps = await stood(connection, case_id, rows[:limit], who)
    following = cursor_of([*steps[-1].order]) if len(rows) > limit else None
    views = [step_view(one.row) for one in steps if one.known]
    return json({"case": str(case.id), "steps": views, "cursor": following})


def step_view(row: HistoryRow) -> dict[str, Any]:
    """A step of the history, with what it said and which fields it set."""
    plain = row._asdict()
    for hidden in ("case_id", "whole"):
        del plain[hidden]
    return plain | {"detail": orjson.loads(row.detail), "changed": orjson.loads(row.changed)}
