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
from shared.http import Problem, json, officer, process_of
from shared.identity import Actor
from shared.postgres import Transaction, transaction


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
async def text(request: Request, petition_id: UUID) -> Response:
    """What the resident said, and who registered it for them.

    Needs a token; who looks is recorded.
    """
    who = officer(request)
    async with transaction(process_of(request).pool) as tx:
        petition = await in_area(tx, request, petition_id, who)
        added = await petitions.supplements(tx, petition_id)
        rated = await additions.ratings(tx, petition_id)
        await petitions.note_view(tx, petition_id, who)
    return json(
        {
            "id": str(petition_id),
            "number": petition.number,
            "subject": petition.subject,
            "text": petition.text,
            "place": petition.place_words,
            "supplements": [one._asdict() for one in added],
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
