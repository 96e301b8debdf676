"""Officers' commands on a case."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from pydantic import ValidationError

from services.router.api.cases import no_such_case
from services.router.decisions.commands import OFFICER_COMMAND, OfficerCommand
from services.router.handlers.commands import Commands, KeyTaken, NotAnswered
from services.router.handlers.policies import policies_of
from shared import postgres
from shared.http import Problem, busy, invalid, officer, process_of, require_json, spelt_out
from shared.traces import trace_of

routes = APIRouter(tags=["cases"])


def schema() -> dict[str, Any]:
    """Every command, spelt out."""
    return {"oneOf": spelt_out(OFFICER_COMMAND.json_schema())["oneOf"]}


@routes.post(
    "/cases/{case_id}/commands",
    summary="Sign, verify, reply, resolve, promote … one case",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema()}},
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
    who, process = officer(request), process_of(request)
    require_json(request)
    if not idempotency_key:
        raise Problem(
            400, "key-missing", "Send an `Idempotency-Key` header: any text that is new to you."
        )
    seen = version_of(if_match)
    command = parse(await request.body())
    commands = Commands(policies_of(process), process.epoch, process.clock, trace_of(request))
    try:
        async with postgres.transaction(process.pool, "command") as tx:
            answer = await commands.give(
                tx,
                case_id,
                # Without what was left unsaid: a field of a later version makes no other body.
                OFFICER_COMMAND.dump_json(command, exclude_defaults=True),
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
        case "newer_version":
            return Problem(
                503,
                "newer-version",
                "A newer version of the service has a part in this case, and it alone can say what"
                " becomes of that. It is being rolled out: send the same request again.",
                headers={"Retry-After": "1"},
            )
    return busy("unreachable")
