"""What the gauges show, read from counts that are kept with each change."""

from __future__ import annotations

from typing import NamedTuple

from shared.postgres import Transaction


class Due(NamedTuple):
    """Open cases of a tier and a track whose earliest promise is past, or due within the hour.

    `track` is empty where an older version counted. `oldest`: the minute of the promise of the
    whole tier that is overdue longest, if any is.
    """

    tier: str
    track: str
    overdue: int
    soon: int
    oldest: str | None


async def due(tx: Transaction, minute: str, hour_later: str) -> list[Due]:
    """Overdue before this minute, and due from it until an hour later.

    While two versions run, one takes away without a track what the other counted with it: only
    their sum says how many of a tier a minute has.
    """
    rows = await tx.fetch(
        """
        with due as (
            select split_part(key, '/', 1) as minute, split_part(key, '/', 2) as tier,
                   split_part(key, '/', 3) as track, sum(n)::bigint as n
            from (
                select key, n from tally where name = 'due' and key < $2
                union all
                select key, n from tally_deltas where name = 'due' and key < $2
            ) both_ group by key having sum(n) <> 0
        ), late as (
            select tier, min(minute) as oldest from (
                select minute, tier from due where minute < $1 group by 1, 2 having sum(n) > 0
            ) minutes group by tier
        )
        select tier, track,
               coalesce(sum(n) filter (where minute < $1), 0)::bigint as overdue,
               coalesce(sum(n) filter (where minute >= $1), 0)::bigint as soon,
               oldest
        from due left join late using (tier) group by tier, track, oldest
        """,
        minute,
        hour_later,
    )
    return [Due(*row.values()) for row in rows]
