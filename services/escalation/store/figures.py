"""What the gauges show, read from counts that are kept with each change."""

from __future__ import annotations

from typing import NamedTuple

from shared.postgres import Transaction


class DueByTier(NamedTuple):
    """Open cases of a tier whose earliest promise is past, or is due within the hour.

    `oldest`: the minute of the promise that is overdue longest, if any is.
    """

    tier: str
    overdue: int
    soon: int
    oldest: str | None


async def due_by_tier(tx: Transaction, minute: str, hour_later: str) -> list[DueByTier]:
    """Overdue before this minute, and due from it until an hour later, by tier."""
    rows = await tx.fetch(
        """
        select split_part(key, '/', 2) as tier,
               coalesce(sum(n) filter (where key < $1), 0)::bigint as overdue,
               coalesce(sum(n) filter (where key >= $1), 0)::bigint as soon,
               min(split_part(key, '/', 1)) filter (where key < $1) as oldest
        from (
            select key, sum(n) as n from (
                select key, n from tally where name = 'due' and key < $2
                union all
                select key, n from tally_deltas where name = 'due' and key < $2
            ) both_ group by key having sum(n) <> 0
        ) summed group by 1
        """,
        minute,
        hour_later,
    )
    return [DueByTier(*row.values()) for row in rows]


async def open_orders(tx: Transaction) -> int:
    """How many orders have no answer, up to 100,000."""
    return int(await tx.fetchval("select count(*) from (select 1 from orders limit 100000) few"))
