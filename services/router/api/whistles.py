"""The scores of whistles: both sides, divisions and offices, never persons. [Beijing 33, city]"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request, Response

from services.router import store
from services.router.api.cursors import PAGE, queue_after
from services.router.decisions.scores import Deed
from services.router.store.whistles import Counts
from shared.http import cursor_of, json, officer, process_of

routes = APIRouter(tags=["whistles"])


@routes.get("/whistles", summary="Who blew, who commanded, who reported in, and how well")
async def get_whistles(
    request: Request,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> Response:
    """By division and office in the caller's area, or of his own office; shares in basis points.

    `needed`: of the departments called, those that had to come. `reported`, `done`: of those that
    did, how many in time. `rated`: of the results that the first receiver looked at, the good ones.
    """
    who, process = officer(request), process_of(request)
    after = ("", "") if cursor is None else queue_after(cursor)
    async with process.pool.acquire(timeout=10) as connection:
        found = await store.whistles.counts_under(
            connection, who.division, who.office, after, limit
        )
    last = found[-1] if len(found) == limit else None
    following = None if last is None else cursor_of([last.division, last.office or ""])
    return json({"units": [unit_score(one) for one in found], "cursor": following})


def unit_score(counts: Counts) -> dict[str, Any]:
    """What a unit did, counted, and the shares with both of their numbers."""
    deeds = {deed: counts.deeds.get(deed, 0) for deed in get_args(Deed)}
    return {
        "division": counts.division,
        "office": counts.office,
        "counts": {deed: n for deed, n in deeds.items() if n},
        "needed": share(deeds["commanded"] - deeds["released"], deeds["commanded"]),
        "reported": share_of(deeds, "reported_in_time", "reported_late"),
        "done": share_of(deeds, "done_in_time", "done_late"),
        "rated": share_of(deeds, "good", "bad"),
    }


def share_of(deeds: Mapping[str, int], well: Deed, ill: Deed) -> dict[str, int] | None:
    """How many of two were the better one."""
    return share(deeds[well], deeds[well] + deeds[ill])


def share(part: int, whole: int) -> dict[str, int] | None:
    """So many of so many; none of nothing."""
    return None if not whole else {"of": whole, "n": part, "bp": part * 10_000 // whole}
