"""Residents follow their petition by number and query code, without an account."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import Annotated

from fastapi import Query, Request, Response

from services.intake.api.routing import routes
from services.intake.decisions.additions import ENDED, Ending, Reopening, today
from services.intake.decisions.outlook import Given, next_step, rating, standing, urging
from services.intake.decisions.policy import Policy
from services.intake.decisions.wording import STAGES, Receipt, named, status, steps
from services.intake.handlers.codes import WrongCodes
from services.intake.handlers.loops import intake_of
from services.intake.store import additions, receipts
from services.intake.store.additions import KeptRating, Urgings
from services.intake.store.receipts import Found
from shared.http import Problem, json, process_of
from shared.identity import issue_resident
from shared.postgres import Transaction
from shared.settings import Settings

Code = Annotated[str, Query(description="the query code that came with the number")]
NO_CODE = "-" * 8
ANSWERS_SECONDS = 900
"""[ours] So long a receipt opens the answers; whoever reads on asks for the receipt again."""


@routes.get("/petitions/{number}", tags=["receipts"], summary="How far a petition got")
async def receipt(request: Request, number: str, code: Code) -> Response:
    """When it was stored, read, published and routed (promise time), and where it is now.

    What comes next and by when, what stands in its way, and what the resident may do. Of an
    emergency, while it is open, whom to call. [domain B3.1]
    """
    process = process_of(request)
    now = process.clock.now()
    async with process.pool.acquire(timeout=10) as connection:
        found = await of_holder(connection, number, code, intake_of(process).wrong_codes)
        urged = await additions.urgings(connection, found.petition_id, today(now)[0])
        rated = await additions.ratings(connection, found.petition_id)
        shelf = intake_of(process).shelf
        rules = await shelf.reopening(connection, found.receipt.course.policy)
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
            "next": next_step(seen.course, now),
        }
        | standing(seen.course)
        | may_do(seen, urged, rated, rules, now)
        | ({"registered": found.registered._asdict()} if found.registered else {})
        | whom_to_call(found, shelf.policy)
        | where_the_answers_are(found, process.settings)
    )


def where_the_answers_are(found: Found, settings: Settings) -> dict[str, object]:
    """What the router shows to whoever holds this receipt: the words are kept there alone. [F40]

    Nothing where there is no case yet, or where this stack issues no tokens.
    """
    if found.receipt.stage is None or settings.token_secret is None:
        return {}
    secret = settings.token_secret.get_secret_value()
    return {
        "answers": {
            "service": "router",
            "path": f"/cases/{found.petition_id}/answers",
            "token": issue_resident(secret, found.petition_id, ANSWERS_SECONDS),
            "seconds": ANSWERS_SECONDS,
        }
    }


def may_do(
    seen: Receipt,
    urged: Urgings,
    rated: Sequence[KeptRating],
    rules: Reopening,
    now: datetime,
) -> dict[str, object]:
    """How often the resident urged and may urge, what he said of it and what he may say."""
    ending = Ending(seen.stage, seen.course.closed_at, seen.course.reopened or 0)
    given = next(
        (
            Given(one.solved, one.satisfied, one.reason, one.received_at)
            for one in rated
            if one.ending == ending.reopened
        ),
        None,
    )
    return {
        "urgings": urging(*urged, ending),
        "rating": rating(ending, given, rules, now),
    }


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
