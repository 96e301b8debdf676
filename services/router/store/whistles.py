"""What was counted of whistles, by division and office."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from services.router.decisions.scores import TALLY
from shared.divisions import CITY
from shared.postgres import Transaction


class Counts(NamedTuple):
    """What a division, or an office that serves it, did about whistles, ever."""

    division: str
    office: str | None
    deeds: dict[str, int]


async def counts_under(
    tx: Transaction, division: str, office: str | None, after: tuple[str, str], limit: int
) -> list[Counts]:
    """Of the divisions of an area and the offices there, or of one office; in order."""
    rows = await tx.fetch(
        """
        select division, office, jsonb_object_agg(deed, n) as deeds
        from (
            select split_part(key, '/', 1) as division, split_part(key, '/', 2) as office,
                   split_part(key, '/', 3) as deed, sum(n)::bigint as n
            from (
                select key, n from tally where name = $6 and starts_with(key, $1)
                union all
                select key, n from tally_deltas where name = $6 and starts_with(key, $1)
            ) counted
            group by 1, 2, 3 having sum(n) <> 0
        ) deeds
        where (division, office) > ($3, $4) and ($2::text is null or office = $2)
        group by division, office order by division, office limit $5
        """,
        "" if division == CITY else division,
        office,
        *after,
        limit,
        TALLY,
    )
    return [
        Counts(row["division"], row["office"] or None, orjson.loads(row["deeds"])) for row in rows
    ]
