"""Residents say more of their petition: they add to it, urge, and rate how it was handled.

Each is for whoever knows the number and its code, and is answered once it is stored for good.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import ceil
from typing import Annotated, Self, TypeVar

from fastapi import Request, Response
from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from uuid_utils.compat import uuid7

from services.intake.api.bodies import SAYS, Body, schema_of
from services.intake.api.headers import (
    KEY,
    REPLAYED,
    TRACE,
    hash_under,
    key_of,
    key_reused,
)
from services.intake.api.receipts import Code, of_holder
from services.intake.api.routing import routes
from services.intake.decisions.additions import (
    URGINGS_A_DAY,
    Addition,
    NoRating,
    Rating,
)
from services.intake.decisions.wording import in_beijing
from services.intake.handlers import additions
from services.intake.handlers.additions import Kept, NothingToHurry, NotNow, TooOften
from services.intake.handlers.loops import intake_of, voice_of
from services.intake.handlers.petitions import OtherBody
from services.intake.store.receipts import Found
from shared.events import RatingReason
from shared.http import Problem, invalid, json, process_of, require_json
from shared.postgres import Transaction, transaction
from shared.traces import trace_of

Given = TypeVar("Given", bound=Body)
Outcome = TypeVar("Outcome")

Words = Annotated[str, Field(min_length=1, max_length=20_000), SAYS]


class NewSupplement(Body):
    """What a resident adds."""

    text: Words


class NewUrging(Body):
    """Please hurry. `text`: what the resident says beside it."""

    text: Words | None = None


class NewRating(Body):
    """How it was handled: whether it is solved, whether the resident is satisfied.

    `reason`: what is wrong, where something is.
    """

    solved: bool
    satisfied: bool
    reason: RatingReason | None = None
    text: Words | None = None

    @model_validator(mode="after")
    def says_what_is_wrong(self) -> Self:
        """Where something is wrong it has a reason, and only there."""
        good = self.solved and self.satisfied
        if not good and self.reason is None:
            raise PydanticCustomError("no_reason", "say under reason what is wrong")
        if good and self.reason is not None:
            raise PydanticCustomError("reason", "a reason says what is wrong: leave it out")
        if self.solved and self.reason in ("not_solved", "came_back"):
            raise PydanticCustomError("solved", 'by this reason it is not: say "solved": false')
        return self


@routes.post(
    "/petitions/{number}/supplements",
    tags=["receipts"],
    status_code=202,
    summary="Add to a petition",
    openapi_extra={"parameters": [KEY, TRACE], **schema_of(NewSupplement)},
)
async def supplement(request: Request, number: str, code: Code) -> Response:
    """202 once what was added is stored for good."""
    given, raw = await read(request, NewSupplement)
    added = addition(request, given.text, raw)

    async def keep(tx: Transaction, found: Found) -> Kept | OtherBody:
        voice = voice_of(process_of(request))
        return await additions.supplement(tx, found.petition_id, added, voice)

    found, outcome = await by_holder(request, number, code, keep)
    return told(request, found, outcome)


@routes.post(
    "/petitions/{number}/urgings",
    tags=["receipts"],
    status_code=202,
    summary="Ask to hurry",
    openapi_extra={"parameters": [KEY, TRACE], **schema_of(NewUrging)},
    responses={
        409: {"description": "there is nothing to hurry: the case is closed"},
        429: {"description": "not more often on one day; see `Retry-After`"},
    },
)
async def urge(request: Request, number: str, code: Code) -> Response:
    """202 once it is counted. Whoever holds the case sees how often the resident urged."""
    given, raw = await read(request, NewUrging)
    # An urging under the key of a supplement with the same words is another request.
    urging = addition(request, given.text, b"urging " + raw)._replace(urges=True)

    async def keep(tx: Transaction, found: Found) -> additions.Urged:
        return await additions.urge(tx, found.petition_id, urging, voice_of(process_of(request)))

    found, outcome = await by_holder(request, number, code, keep)
    match outcome:
        case TooOften(again_at):
            left = process_of(request).clock.wall_until(again_at).total_seconds()
            raise Problem(
                429,
                "urged-too-often",
                f"You urged {URGINGS_A_DAY} times today, and that is counted. You may again from"
                f" {in_beijing(again_at)} (Beijing time).",
                headers={"Retry-After": str(max(1, ceil(left)))},
            )
        case NothingToHurry():
            raise Problem(
                409,
                "nothing-to-hurry",
                "The case is closed, or was handed over to another body. If the matter is still"
                " there and the receipt says that you may rate it, say so by a rating.",
            )
        case kept:
            return told(request, found, kept)


@routes.post(
    "/petitions/{number}/rating",
    tags=["receipts"],
    status_code=202,
    summary="Rate how it was handled",
    openapi_extra={"parameters": [KEY, TRACE], **schema_of(NewRating)},
    responses={409: {"description": "not now: not dealt with yet, rated already, or too late"}},
)
async def rate(request: Request, number: str, code: Code) -> Response:
    """202 once it is stored for good; once each time that the case was dealt with.

    Some reasons open the case again: the receipt says which.
    """
    given, raw = await read(request, NewRating)
    process = process_of(request)
    rating = rating_of(request, given, raw)

    async def keep(tx: Transaction, found: Found) -> additions.Rated:
        rules = await intake_of(process).shelf.reopening(tx, found.receipt.course.policy)
        return await additions.rate(tx, found.petition_id, rating, rules, voice_of(process))

    found, outcome = await by_holder(request, number, code, keep)
    if isinstance(outcome, NotNow):
        raise not_now(outcome)
    return told(request, found, outcome)


async def read(request: Request, body: type[Given]) -> tuple[Given, bytes]:
    """The body of a request, and its octets. Raises a 415, 400 or 422 `Problem`."""
    require_json(request)
    raw = await request.body()
    try:
        return body.model_validate_json(raw), raw
    except ValidationError as wrong:
        raise invalid(wrong) from None


async def by_holder(
    request: Request,
    number: str,
    code: str,
    keep: Callable[[Transaction, Found], Awaitable[Outcome]],
) -> tuple[Found, Outcome]:
    """What comes of it where the code is right, in one transaction. Raises a 404 or 429."""
    process = process_of(request)
    async with transaction(process.pool, "command") as tx:
        found = await of_holder(tx, number, code, intake_of(process).wrong_codes)
        outcome = await keep(tx, found)
    process.wake_relay.call()
    return found, outcome


def told(request: Request, found: Found, outcome: Kept | OtherBody) -> Response:
    """The answer to what was kept. Raises a 422 `Problem` for a key with another body."""
    if isinstance(outcome, OtherBody):
        raise key_reused()
    answer = {
        "id": str(outcome.id),
        "number": found.receipt.number,
        "received_at": outcome.received_at,
    }
    return json(answer, 202, REPLAYED if outcome.replayed else None)


def addition(request: Request, text: str | None, raw: bytes) -> Addition:
    """What a resident adds, received now (promise time)."""
    key, now = key_of(request), process_of(request).clock.now()
    return Addition(uuid7(), text, now, key, hash_under(key, raw), trace_of(request))


def rating_of(request: Request, given: NewRating, raw: bytes) -> Rating:
    """What a resident says of how it was handled, received now (promise time)."""
    key = key_of(request)
    return Rating(
        uuid7(),
        given.solved,
        given.satisfied,
        given.reason,
        given.text,
        process_of(request).clock.now(),
        key,
        hash_under(key, raw),
        trace_of(request),
    )


NOT_NOW: dict[NoRating, tuple[str, str]] = {
    "not_done": (
        "not-dealt-with-yet",
        "The case is not dealt with yet, as far as the receipt knows. It may be rated then.",
    ),
    "rated": (
        "rated-already",
        "You have rated this already. Where the case is opened again, it may be rated once more"
        " when it is dealt with.",
    ),
    "too_late": (
        "too-late-to-rate",
        "It could be rated until {until} (Beijing time). If the matter is still there, hand in a"
        " new petition.",
    ),
}


def not_now(refused: NotNow) -> Problem:
    """The 409 of a case that may not be rated now."""
    slug, says = NOT_NOW[refused.why]
    until = "" if refused.until is None else in_beijing(refused.until)
    return Problem(409, slug, says.format(until=until))
