"""Residents follow their petition by number and query code, without an account, and add to it."""

from __future__ import annotations

import secrets
import time
from math import ceil
from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import ValidationError

from services.intake.api.bodies import NewSupplement, addition, schema_of
from services.intake.api.headers import KEY, REPLAYED, TRACE, key_of, key_reused, trace_of
from services.intake.api.routing import routes
from services.intake.decisions.policy import Policy
from services.intake.decisions.wording import STAGES, named, status, steps
from services.intake.handlers import petitions
from services.intake.handlers.codes import WrongCodes
from services.intake.handlers.loops import intake_of, voice_of
from services.intake.handlers.petitions import OtherBody
from services.intake.store import receipts
from services.intake.store.receipts import Found
from shared.http import Problem, invalid, json, process_of, require_json
from shared.postgres import Transaction, transaction

Code = Annotated[str, Query(description="the query code that came with the number")]
NO_CODE = "-" * 8
ENDED = ("closed", "handed_off")


@routes.get("/petitions/{number}", tags=["receipts"], summary="How far a petition got")
async def receipt(request: Request, number: str, code: Code) -> Response:
    """When it was stored, read, published and routed (promise time), and where it is now.

    Of an emergency, while it is open, whom to call. [domain B3.1]
    """
    process = process_of(request)
    async with process.pool.acquire(timeout=10) as connection:
        found = await of_holder(connection, number, code, intake_of(process).wrong_codes)
    seen = found.receipt
    where = None
    if seen.stage is not None:
        where = {
            "unit": seen.unit,
            "stage": seen.stage,
            "stage_words": STAGES[seen.stage],
            "next_deadline": seen.next_deadline,
        }
    return json(
        {
            "id": str(found.petition_id),
            "number": seen.number,
            "steps": steps(seen),
            "where": where,
            "status": status(seen),
        }
        | ({"registered": found.registered._asdict()} if found.registered else {})
        | whom_to_call(found, intake_of(process).shelf.policy)
    )


def whom_to_call(found: Found, policy: Policy | None) -> dict[str, object]:
    """The numbers that the first answer named, said again until somebody took it over.

    Or until a person said that it is something else.
    """
    if policy is None or found.handed_over or found.receipt.stage in ENDED:
        return {}
    decided = found.decided
    if decided is not None and decided not in policy.emergencies.calls:
        return {}
    said = found.said if decided is None else found.said._replace(category=decided)
    return named(policy.emergencies.numbers(*said))


@routes.post(
    "/petitions/{number}/supplements",
    tags=["receipts"],
    status_code=202,
    summary="Add to a petition",
    openapi_extra={"parameters": [KEY, TRACE], **schema_of(NewSupplement)},
)
async def supplement(request: Request, number: str, code: Code) -> Response:
    """202 once what was added is stored for good."""
    require_json(request)
    key = key_of(request)
    raw = await request.body()
    try:
        given = NewSupplement.model_validate_json(raw)
    except ValidationError as wrong:
        raise invalid(wrong) from None
    process = process_of(request)
    added = addition(given, raw, key, process.clock.now(), trace_of(request))
    async with transaction(process.pool, "command") as tx:
        found = await of_holder(tx, number, code, intake_of(process).wrong_codes)
        kept = await petitions.supplement(tx, found.petition_id, added, voice_of(process))
    if isinstance(kept, OtherBody):
        raise key_reused()
    process.wake_relay.call()
    told = {
        "id": str(kept.id),
        "number": found.receipt.number,
        "received_at": kept.received_at,
    }
    return json(told, 202, REPLAYED if kept.replayed else None)


async def of_holder(tx: Transaction, number: str, code: str, wrong_codes: WrongCodes) -> Found:
    """The petition of somebody who knows its code.

    Raises one and the same 404 `Problem` for an unknown number and a wrong code, after the same
    comparison: an answer never says which numbers there are. After many of them, a 429.
    """
    number = number.replace("\0", "")
    left = wrong_codes.seconds_left(number, time.monotonic())
    if left > 0:
        raise Problem(
            429,
            "too-many-wrong-codes",
            "Too many wrong codes came for this number. Wait as long as `Retry-After` says.",
            headers={"Retry-After": str(ceil(left))},
        )
    found = await receipts.by_number(tx, number)
    expected = found.query_code if found else NO_CODE
    given = code.strip().upper().encode()
    if not secrets.compare_digest(given, expected.encode()) or found is None:
        wrong_codes.wrong(number, time.monotonic())
        raise Problem(
            404, "no-such-petition", "No petition has this number and this code. Check both."
        )
    return found
