"""The router over HTTP: cases, why they came, queues, and officers' commands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import ValidationError

from services.router import store
from services.router.decisions.case import CASE, Case, Clock
from services.router.decisions.commands import OFFICER_COMMAND, OfficerCommand
from services.router.decisions.routing import Reason, sentence
from services.router.decisions.workflow import accused_reads, allowed_actions, may_read
from services.router.handlers.commands import Commands, KeyTaken, NotAnswered
from services.router.handlers.policies import Policies
from shared import postgres, tally
from shared.divisions import CITY, parse_code
from shared.events import Order
from shared.http import (
    Problem,
    actor,
    busy,
    cursor_of,
    invalid,
    json,
    parts_of,
    process_of,
    require_json,
)
from shared.identity import Actor
from shared.service import Process

routes = APIRouter()
PAGE = 100
BEGINNING = (datetime.fromisoformat("0001-01-01T00:00:00+00:00"), UUID(int=0), "")


def policies_of(process: Process) -> Policies:
    """The policy versions that this process has read."""
    assert isinstance(process.state, Policies)
    return process.state


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
    who, process = actor(request), process_of(request)
    async with process.pool.acquire(timeout=10) as connection:
        case = await store.case(connection, case_id)
        if case is None or not may_read(case, who):
            raise no_such_case()
        await policies_of(process).need(connection, {case.policy})
    return case, who, process


def clock_view(clock: Clock, now: datetime) -> dict[str, Any]:
    """A running clock in words that need no code book."""
    return {
        "name": clock.name,
        "generation": clock.generation,
        "owner": {"division": clock.owner_division, "role": clock.owner_role},
        "started_at": clock.started_at,
        "due_at": clock.due_at,
        "overdue": now > clock.due_at,
        "on_breach": clock.on_breach,
    }


def case_view(case: Case, process: Process, who: Actor) -> dict[str, Any]:
    """The case as an officer sees it, with what he may do next."""
    policies = policies_of(process)
    policy = policies.of(case.policy)
    now = process.clock.now()
    row = policy.categories.get(case.category or "")
    plain: dict[str, Any] = CASE.dump_python(
        case,
        mode="json",
        include={
            "id",
            "number",
            "version",
            "channel",
            "kind",
            "track",
            "stage",
            "urgency",
            "tier",
            "category",
            "received_at",
            "entered",
            "left",
            "promotions",
            "on_time",
            "supervised",
            "verified",
            "replied",
            "returns",
            "outcome",
            "closed_at",
            "closing_tier",
            "restricted",
            "policy",
            "calendar",
        },
    )
    return plain | {
        "category_name": None if row is None else {"zh": row.zh, "en": row.en},
        "holder": {
            "division": case.holder,
            "name": policies.name_of(case.holder, case.policy),
            "role": case.role,
        },
        "place": {"division": case.place, "name": policies.name_of(case.place, case.policy)},
        "clocks": [clock_view(clock, now) for clock in case.clocks],
        "next_deadline": case.next_deadline,
        "actions": allowed_actions(case, who),
    }  # fmt: skip


@routes.get("/cases/{case_id}", tags=["cases"], summary="A case and what you may do with it")
async def get_case(request: Request, case_id: UUID) -> Response:
    """Needs a token whose area holds the case. `ETag` is its version, for `If-Match`."""
    case, who, process = await readable(request, case_id)
    return json(case_view(case, process, who), headers={"ETag": f'"{case.version}"'})


@routes.get("/cases/{case_id}/routing", tags=["cases"], summary="Why did this come to me?")
async def get_routing(request: Request, case_id: UUID) -> Response:
    """Each routing decision: rule, policy version, inputs matched, candidates rejected."""
    case, _, process = await readable(request, case_id)
    policy = policies_of(process).of(case.policy)
    async with process.pool.acquire(timeout=10) as connection:
        decisions = await store.routings(connection, case_id)
    views = []
    for at, event, rule, said in decisions:
        reason = reason_of(said)
        views.append(
            {
                "at": at,
                "event": event,
                "rule": rule,
                "policy": reason.policy,
                "matched": dict(reason.matched),
                "rejected": [{"division": d, "rule": r} for d, r in reason.rejected],
                "en": sentence(reason, "en", policy),
                "zh": sentence(reason, "zh", policy),
            }
        )
    return json({"case": str(case.id), "holder": case.holder, "decisions": views})


def reason_of(said: dict[str, Any]) -> Reason:
    """A stored reason."""
    return Reason(
        rule=said["rule"],
        policy=said["policy"],
        matched=tuple((name, value) for name, value in said["matched"]),
        rejected=tuple((division, rule) for division, rule in said["rejected"]),
    )


@routes.get("/cases/{case_id}/history", tags=["cases"], summary="What happened, step by step")
async def get_history(
    request: Request,
    case_id: UUID,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> Response:
    """Who did what when, by which rule, and which fields it set; oldest first."""
    case, _, process = await readable(request, case_id)
    after = Order(0, 0) if cursor is None else step_after(cursor)
    async with process.pool.acquire(timeout=10) as connection:
        rows = await store.history(connection, case_id, after, limit)
    steps = [
        {
            "epoch": row.epoch,
            "seq": row.seq,
            "version": row.version,
            "at": row.at,
            "event": row.event,
            "transitions": row.transitions,
            "rule": row.rule,
            "actor": row.actor,
            "role": row.role,
            "division": row.division,
            "detail": orjson.loads(row.detail),
            "changed": orjson.loads(row.changed),
        }
        for row in rows
    ]
    following = cursor_of([rows[-1].epoch, rows[-1].seq]) if len(rows) == limit else None
    return json({"case": str(case.id), "steps": steps, "cursor": following})


def step_after(cursor: str) -> Order:
    """The step that a cursor names. Raises a 422 `Problem`."""
    epoch, seq = parts_of(cursor, 2)
    if not all(isinstance(part, int) and 0 <= part < 2**31 for part in (epoch, seq)):
        raise invalid_cursor()
    return Order(epoch, seq)


def line_after(cursor: str) -> tuple[datetime, UUID, str]:
    """The line of a queue that a cursor names. Raises a 422 `Problem`."""
    due_at, case_id, clock = parts_of(cursor, 3)
    try:
        line = (datetime.fromisoformat(due_at), UUID(case_id), str(clock))
    except (TypeError, ValueError, AttributeError) as wrong:
        raise invalid_cursor() from wrong
    if line[0].tzinfo is None or "\x00" in line[2]:
        raise invalid_cursor()
    return line


def invalid_cursor() -> Problem:
    """The 422 for a cursor that is not ours."""
    return Problem(
        422, "invalid-cursor", "The cursor is not one of ours: leave it out to begin anew."
    )


@routes.get("/queues/{division}", tags=["queues"], summary="Cases held and clocks owned")
async def get_queue(
    request: Request,
    division: str,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 50,
) -> Response:
    """By due date. Division code, or `city`; needs a token whose area holds the division."""
    who, process = actor(request), process_of(request)
    policies = policies_of(process)
    known = division == CITY or division in policies.current.divisions
    if not known:
        raise Problem(404, "no-such-division", "No division of this code is known.")
    if not who.acts_for(parse_code(division)):
        raise Problem(403, "not-your-area", f"Your token acts for {who.division} only.")
    after = BEGINNING if cursor is None else line_after(cursor)
    async with process.pool.acquire(timeout=10) as connection:
        entries = await store.queue(connection, division, after, limit)
        held, owned = await counts_of(connection, division, policies)
    lines = [line for entry in entries if (line := entry_view(entry, process.clock.now(), who))]
    following = None
    if len(entries) == limit:
        last = entries[-1]
        following = cursor_of([last.due_at.isoformat(), str(last.case_id), last.clock])
    name = policies.name_of(division, policies.newest)
    return json(
        {
            "division": division,
            "name": name,
            "held": held,
            "owned": owned,
            "entries": lines,
            "cursor": following,
        }
    )


STAGES = ("registered", "assigned", "signed", "resolved")


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


def entry_view(entry: store.QueueEntry, now: datetime, who: Actor) -> dict[str, Any] | None:
    """A line of a queue; none for those who may not know of the case."""
    case = CASE.validate_json(entry.doc)
    if accused_reads(case, who):
        return None
    why: Literal["held", "clock"] = "clock" if entry.clock else "held"
    return {
        "case": str(case.id),
        "number": case.number,
        "why": why,
        "clock": entry.clock or None,
        "due_at": None if entry.due_at == store.NEVER else entry.due_at,
        "overdue": entry.due_at < now,
        "stage": case.stage,
        "track": case.track,
        "category": case.category,
        "urgency": case.urgency,
        "tier": case.tier,
        "holder": case.holder,
        "role": entry.role,
        "place": case.place,
        "received_at": case.received_at,
        "version": case.version,
        "actions": allowed_actions(case, who),
    }


@routes.post(
    "/cases/{case_id}/commands",
    tags=["cases"],
    summary="Sign, verify, reply, resolve, promote … one case",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": OFFICER_COMMAND.json_schema(ref_template="#/{model}")
                }
            },
        }
    },
)
async def post_command(
    request: Request,
    case_id: UUID,
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    if_match: Annotated[str | None, Header(max_length=40)] = None,
) -> Response:
    """One command. `Idempotency-Key` makes it safe to repeat; `If-Match` is the `ETag` you saw."""
    who, process = actor(request), process_of(request)
    require_json(request)
    if not idempotency_key:
        raise Problem(
            400, "key-missing", "Send an `Idempotency-Key` header: any text that is new to you."
        )
    seen = version_of(if_match)
    command = parse(await request.body())
    commands = Commands(policies_of(process), process.epoch, process.clock)
    try:
        async with postgres.transaction(process.pool) as tx:
            answer = await commands.give(
                tx,
                case_id,
                OFFICER_COMMAND.dump_json(command),
                who,
                idempotency_key,
                seen,
                process.clock.now(),
            )
    except KeyTaken:
        answer = NotAnswered("other_body")
    if isinstance(answer, NotAnswered):
        raise not_answered(answer)
    process.wake_relay.call()
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    media_type = "application/json" if answer.status == 200 else "application/problem+json"
    return Response(answer.body, answer.status, headers, media_type=media_type)


def parse(body: bytes) -> OfficerCommand:
    """The command of a body. Raises a 400 or 422 `Problem`."""
    try:
        return OFFICER_COMMAND.validate_json(body)
    except ValidationError as wrong:
        raise invalid(wrong) from wrong


def version_of(if_match: str | None) -> int | None:
    """The version that the caller saw; None for `*`. Raises a 428 or 400 `Problem`."""
    if if_match is None:
        raise Problem(
            428,
            "if-match-missing",
            "Send `If-Match` with the `ETag` of the case you saw, or `*` to act on any version.",
        )
    if if_match == "*":
        return None
    plain = if_match.removeprefix("W/").strip('"')
    if not plain.isdecimal():
        raise Problem(400, "if-match-unreadable", 'An `ETag` looks like `"3"`.')
    return int(plain)


def not_answered(why: NotAnswered) -> Problem:
    """The problem for a command that was not looked at."""
    match why.why:
        case "no_such_case":
            return no_such_case()
        case "other_body":
            return Problem(
                422,
                "key-used",
                "This Idempotency-Key was used for another command: choose a new one.",
            )
        case "other_version":
            return Problem(
                412,
                "changed-meanwhile",
                f"The case is at version {why.version} now: look at it again.",
                headers={"ETag": f'"{why.version}"'},
            )
    return busy("unreachable")


@routes.get("/policy", tags=["policy"], summary="The policy in force")
async def get_policy(request: Request) -> Response:
    """Version, number of divisions, categories; the limits are in the policy file."""
    policy = policies_of(process_of(request)).current
    return json(
        {
            "version": policy.version,
            "calendar": policy.calendar.version,
            "divisions": len(policy.divisions),
            "categories": len(policy.categories),
        }
    )
