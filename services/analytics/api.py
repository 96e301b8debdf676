"""The figures over HTTP: aggregates only, never a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.analytics import decisions, store
from services.analytics.decisions import DIMENSIONS, Dimension, Figures, Picture
from services.analytics.handlers.cases import records_behind
from shared import hearing
from shared.divisions import CITY, parse_code
from shared.events import Topic
from shared.http import Problem, json, process_of
from shared.kafka import PARTITIONS
from shared.postgres import Transaction

routes = APIRouter(tags=["figures"])

BY_DEFAULT: tuple[Dimension, ...] = tuple(d for d in DIMENSIONS if d != "category")
HIDDEN = (
    "Restricted cases and matters of sensitivity 2 are counted in their district and in the city,"
    " and in no division below. Tier, track, channel, kind, urgency and category are counted for"
    " the whole city only, so that no small group of one place can be told apart."
)


@dataclass(frozen=True, slots=True)
class AsOf:
    """Up to where router.events is counted: next offset of each partition; what waits there.

    `records_behind` is null where this process does not hear the topic itself.
    """

    topic: str
    next_offsets: dict[str, int]
    records_behind: int | None


@dataclass(frozen=True, slots=True)
class Stats:
    """The figures of the city or of one division, and of its groups."""

    division: str
    figures: Picture
    by: dict[str, dict[str, Picture]]
    as_of: AsOf
    hidden: str = HIDDEN


@dataclass(frozen=True, slots=True)
class Checksum:
    """SHA-256 over all counters that are not zero."""

    sha256: str
    counters: int
    as_of: AsOf


@routes.get("/stats", response_model=Stats, summary="Counts and shares, of a place or by groups")
async def stats(
    request: Request,
    division: Annotated[
        str, Query(description="6, 9, 12 or 15 digits, or city: all that lies in it")
    ] = CITY,
    dimension: Annotated[
        Dimension | None,
        Query(description="break the city down by this; a division only by `division`"),
    ] = None,
) -> Response:
    """How many cases stand where, what was solved in the grid, and which promises were kept.

    Shares are basis points, rounded down, with both numbers; null when there is nothing to share.
    Without `dimension` the city is broken down by all but category, a division by those below it.
    """
    code = checked(division, dimension)
    chosen = (dimension,) if dimension else BY_DEFAULT if code == CITY else ("division",)
    async with store.snapshot(process_of(request).pool) as tx:
        groups = {name: await groups_of(tx, name, code) for name in chosen}
        as_of = await as_of_now(tx)
    whole = decisions.together(groups[chosen[0]].values())
    by: dict[str, dict[str, Picture]] = {
        name: {key: decisions.picture(group) for key, group in sorted(found.items())}
        for name, found in groups.items()
    }
    return json(Stats(code, decisions.picture(whole), by, as_of))


@routes.get("/stats/checksum", response_model=Checksum, summary="One number for all figures")
async def checksum(request: Request) -> Response:
    """Equal before and after a rebuild at the same positions."""
    async with store.snapshot(process_of(request).pool) as tx:
        counters = await store.all_counters(tx)
        as_of = await as_of_now(tx)
    return json(Checksum(decisions.checksum(counters), len(counters), as_of))


def checked(division: str, dimension: Dimension | None) -> str:
    """The division asked for. Raises a 422 `Problem`."""
    try:
        code = parse_code(division)
    except ValueError as wrong:
        raise Problem(422, "invalid-division", f"`division`: {wrong}.") from wrong
    if code != CITY and dimension not in (None, "division"):
        raise Problem(
            422,
            "city-only",
            f"`{dimension}` is counted for the whole city only. Leave out `division`, or ask for"
            " `dimension=division` to see the divisions within it.",
        )
    return code


async def groups_of(tx: Transaction, dimension: Dimension, code: str) -> dict[str, Figures]:
    """The figures by the keys of a dimension; of divisions, those one step below `code`."""
    if dimension != "division":
        return await store.figures_by(tx, dimension)
    within = "" if code == CITY else code
    return await store.figures_by(tx, dimension, within, decisions.width_below(code))


async def as_of_now(tx: Transaction) -> AsOf:
    """Where the figures of this transaction stand."""
    topic = Topic.ROUTER
    positions = await hearing.positions(tx, topic, range(PARTITIONS[topic]))
    offsets = {str(partition): positions[partition] for partition in sorted(positions)}
    return AsOf(topic.value, offsets, records_behind())
