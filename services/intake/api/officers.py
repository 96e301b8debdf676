"""Officers look at the readings of petitions in their area, and at the words under audit.

Whoever may not see a petition is told the same as about one that does not exist: an accused unit
must not learn that there is an accusation.
"""

from __future__ import annotations

from uuid import UUID

from fastapi import Request, Response

from services.intake.api.routing import routes
from services.intake.decisions.petitions import Accusations, Accused, may_see
from services.intake.handlers.loops import intake_of
from services.intake.store import additions, petitions, reading
from services.intake.store.petitions import Guarded
from shared.events import Reading
from shared.http import (
    Problem,
    cursor_of,
    invalid_cursor,
    json,
    officer,
    parts_of,
    process_of,
)
from shared.identity import Actor
from shared.postgres import Transaction, transaction

PAGE = 100


@routes.get(
    "/petitions/{petition_id}/readings",
    tags=["officers"],
    summary="What was read, and which words spoke",
)
async def readings(request: Request, petition_id: UUID) -> Response:
    """All readings of a petition in the officer's area, the first one first. Needs a token."""
    who = officer(request)
    async with process_of(request).pool.acquire(timeout=10) as connection:
        await in_area(connection, request, petition_id, who)
        kept = await reading.readings_of(connection, petition_id)
    return json(
        [
            {
                "n": one.n,
                "policy": one.policy,
                "read_at": one.read_at,
                "reading": Reading.model_validate_json(one.doc).model_dump(mode="json"),
            }
            for one in kept
        ]
    )


@routes.get(
    "/petitions/{petition_id}/text", tags=["officers"], summary="The words themselves, under audit"
)
async def text(request: Request, petition_id: UUID, cursor: str | None = None) -> Response:
    """What the resident said, and who registered it for them.

    Needs a token; who looks is recorded. Of what was added a page of 100; while there is a `cursor`
    more was.
    """
    who = officer(request)
    after = UUID(int=0) if cursor is None else supplement_after(cursor)
    async with transaction(process_of(request).pool) as tx:
        petition = await in_area(tx, request, petition_id, who)
        added = await petitions.supplements(tx, petition_id, after, PAGE + 1)
        rated = await additions.ratings(tx, petition_id)
        await petitions.note_view(tx, petition_id, who)
    return json(
        {
            "id": str(petition_id),
            "number": petition.number,
            "subject": petition.subject,
            "text": petition.text,
            "place": petition.place_words,
            "supplements": [
                {"text": one.text, "urges": one.urges, "received_at": one.received_at}
                for one in added[:PAGE]
            ],
            "cursor": cursor_of([str(added[PAGE - 1].id)]) if len(added) > PAGE else None,
            "ratings": [
                {
                    "solved": one.solved,
                    "satisfied": one.satisfied,
                    "reason": one.reason,
                    "text": one.text,
                    "received_at": one.received_at,
                }
                for one in rated
            ],
        }
        | ({"registered": petition.registration._asdict()} if petition.registration else {})
    )


def supplement_after(cursor: str) -> UUID:
    """The addition that a cursor names. Raises a 422 `Problem`."""
    (id_,) = parts_of(cursor, 1)
    try:
        return UUID(id_)
    except (TypeError, ValueError, AttributeError) as wrong:
        raise invalid_cursor() from wrong


async def in_area(tx: Transaction, request: Request, petition_id: UUID, who: Actor) -> Guarded:
    """A petition that this officer may see. Raises a 404 `Problem`."""
    policy = intake_of(process_of(request)).shelf.policy
    rules = Accusations() if policy is None else policy.accusations
    found = await petitions.guarded(tx, petition_id)
    if found is not None:
        read = Reading.model_validate_json(found.reading) if found.reading else None
        accused = Accused(found.accused, found.accused_office, found.accused_unknown)
        if may_see(who, accused, read, rules, found.parts) and not found.shut_out.has(who):
            return found
    raise Problem(404, "no-such-petition", "There is no such petition in your area.")
