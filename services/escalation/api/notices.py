"""What a division, or an office there, was told, over HTTP."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.escalation import handlers
from services.escalation.api.area import division_of, officer_of
from services.escalation.api.cursors import notice_after
from services.escalation.decisions import may_note
from services.escalation.store import notices
from services.escalation.store.notices import Acknowledged, Posted
from shared import postgres
from shared.http import Problem, cursor_of, json, officer, process_of

routes = APIRouter(tags=["time"])


@routes.get("/notices/{unit}", summary="What a division, or the city, was told; newest first")
async def notices_of_unit(
    request: Request,
    unit: str,
    role: Annotated[
        str | None, Query(pattern="^[a-z_]{1,40}$", description="only for this role")
    ] = None,
    office: Annotated[
        str | None,
        Query(
            pattern=r"^[^\x00]+$", max_length=60, description="only of this office in the division"
        ),
    ] = None,
    everything: Annotated[
        bool, Query(alias="all", description="those that were acknowledged, or ended, too")
    ] = False,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Digests that no person took note of yet, and how many there are (counted to 10,000).

    Who acts for an office sees those of his office only.
    """
    division = division_of(unit)
    office = office or officer(request).office
    officer_of(request, division, office)
    after = notice_after(cursor) if cursor else None
    async with process_of(request).pool.acquire(timeout=10) as connection:
        waiting = await notices.unacknowledged(connection, division, role, office)
        page = await notices.newest(
            connection, division, role, office, after, limit, everything=everything
        )
    last = page[-1] if len(page) == limit else None
    return json(
        {
            "unit": division,
            "office": office,
            "unacknowledged": waiting,
            "notices": [shown_notice(posted) for posted in page],
            "next": cursor_of([last.posted_at, str(last.id)]) if last else None,
        }
    )


def shown_notice(posted: Posted) -> dict[str, Any]:
    """A notice as its desk sees it."""
    taken = posted.acknowledged
    return posted.plain() | {
        "unheeded_at": posted.unheeded_at,
        "pushed_at": posted.pushed_at,
        "ended_at": posted.ended_at,
        "acknowledged": taken and {"at": taken.at, "role": taken.role, "by": taken.by},
    }


@routes.post("/notices/{notice_id}/acknowledge", summary="I took note of this")
async def acknowledge(request: Request, notice_id: UUID) -> Response:
    """The notice as it is then. A second time changes nothing: the first person stays.

    Who has the role that was told may, and who answers for that division or for one above.
    """
    officer(request)
    process = process_of(request)
    async with postgres.transaction(process.pool, "command") as tx:
        posted = await notices.find(tx, notice_id)
        if posted is None:
            raise Problem(404, "notice-not-known", "There is no notice of this id.")
        desk = posted.digest.desk
        who = officer_of(request, desk.division, desk.office)
        role = may_note(who, desk)
        if role is None:
            raise Problem(
                403, "not-your-desk", f"This was told to the {desk.role}: he takes note, or above."
            )
        taken = Acknowledged(process.clock.now(), role, who.subject)
        posted = await handlers.acknowledge(tx, posted, taken)
    return json(shown_notice(posted))
