"""`POST /petitions`: checked, stored for good, answered. The hot route: the body is read raw."""

from __future__ import annotations

from typing import assert_never

from fastapi import Request, Response
from pydantic import ValidationError

from services.intake.api.bodies import Accused, NewPetition, check, schema_of, submission
from services.intake.api.headers import KEY, REPLAYED, TRACE, key_of, key_reused
from services.intake.api.routing import routes
from services.intake.decisions.emergencies import Call
from services.intake.decisions.wording import named
from services.intake.handlers.loops import intake_of
from services.intake.handlers.petitions import (
    Accepted,
    Full,
    OtherBody,
    Outcome,
    Unanswered,
    Unstorable,
)
from shared.divisions import is_within
from shared.http import Problem, busy, invalid, json, officer, process_of, require_json
from shared.identity import Actor
from shared.traces import trace_of


@routes.post(
    "/petitions",
    tags=["petitions"],
    status_code=202,
    summary="Hand in a petition",
    openapi_extra={"parameters": [KEY, TRACE], **schema_of(NewPetition)},
    responses={
        400: {"description": "the body is not readable JSON"},
        413: {"description": "the body is too large"},
        415: {"description": "the body is not `application/json`"},
        422: {"description": "fields are wrong, or the key was used for another petition"},
        429: {"description": "more came than can be stored, and most of it from you"},
        503: {"description": "not now; see `Retry-After`"},
    },
)
async def accept(request: Request) -> Response:
    """202 once the petition is stored for good: its id, public number and query code."""
    require_json(request)
    key = key_of(request)
    raw = await request.body()
    try:
        given = NewPetition.model_validate_json(raw)
    except ValidationError as wrong:
        raise invalid(wrong) from None
    process = process_of(request)
    intake = intake_of(process)
    now = process.clock.now()
    check(given, intake.shelf.policy, now)
    registrar = None if given.on_behalf is None else registrar_of(request, given.accused)
    petition = submission(given, raw, key, now, trace_of(request), registrar)
    try:
        outcome = await intake.commits.accept(petition)
    except Full:
        raise busy("Too many petitions arrive just now; nothing was kept. Try again.", 1) from None
    except Unanswered:
        raise busy(
            "The database went away before it answered. Send it again, best with an"
            " `Idempotency-Key`: then it is kept once, whatever happened."
        ) from None
    policy = intake.shelf.policy
    calls: tuple[Call, ...] = ()
    if policy is not None:
        calls = policy.emergencies.numbers(given.category, given.subject, given.text)
    return answer(outcome, calls)


REGISTRARS = frozenset({
    "hotline_agent", "petition_officer", "grid_worker", "grid_head", "grid_branch_secretary",
    "community_officer", "street_dispatcher", "street_cadre", "district_dispatcher",
    "city_dispatcher",
})  # fmt: skip


def registrar_of(request: Request, accused: Accused | None) -> Actor:
    """Who registers a petition for somebody else: never who is accused by it.

    Petition Regs 30. [law] Raises a 401 or 403 `Problem`.
    """
    who = officer(request)
    if not who.roles & REGISTRARS:
        raise Problem(
            403, "not-your-role", f"To register for a person takes one of: {sorted(REGISTRARS)}"
        )
    if accused is not None and belongs_to(who, accused):
        raise Problem(
            403,
            "not-your-matter",
            "Who is accused takes no petition in: have it registered by a unit above, or by the"
            " person.",
        )
    return who


def belongs_to(who: Actor, accused: Accused) -> bool:
    """Whether an officer is of the accused division, one below it, or the accused office."""
    of_office = who.office is not None and who.office == accused.office
    return of_office or (accused.division is not None and is_within(who.division, accused.division))


def answer(outcome: Outcome, calls: tuple[Call, ...]) -> Response:
    """What the sender is told; of an emergency at once which number to call. [domain B3.1]"""
    match outcome:
        case Accepted(stored, replayed):
            at = f"/petitions/{stored.number}"
            body: dict[str, object] = {
                "id": str(stored.id),
                "number": stored.number,
                "code": stored.query_code,
                "links": {
                    "receipt": f"{at}?code={stored.query_code}",
                    "supplements": f"{at}/supplements?code={stored.query_code}",
                    "urgings": f"{at}/urgings?code={stored.query_code}",
                    "rating": f"{at}/rating?code={stored.query_code}",
                    "readings": f"/petitions/{stored.id}/readings",
                },
            }
            return json(body | named(calls), 202, REPLAYED if replayed else None)
        case OtherBody():
            raise key_reused()
        case Unstorable():
            raise Problem(
                422,
                "not-storable",
                "The database does not take a value of this petition. Nothing was kept.",
            )
        case _:
            assert_never(outcome)
