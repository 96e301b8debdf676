"""Which cases stand in a stuck queue, and since when: for the age of the oldest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.router.decisions.stuck import Wait
from shared.postgres import Transaction


async def forget(tx: Transaction, case_ids: Sequence[UUID]) -> None:
    """Where these cases wait is written anew."""
    await tx.execute("delete from waiting where case_id = any($1::uuid[])", list(case_ids))


async def add(tx: Transaction, waits: Mapping[UUID, Sequence[Wait]]) -> None:
    """Where these cases wait. A row that an older version left standing is no hindrance."""
    rows = [(case_id, *wait) for case_id, found in waits.items() for wait in found]
    await tx.execute(
        """
        insert into waiting (case_id, queue, tier, since)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
        on conflict (case_id, queue) do update set tier = excluded.tier, since = excluded.since
        """,
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def oldest(
    tx: Transaction, queues: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], datetime]:
    """Since when the oldest case waits in each of these (queue, tier); one look-up for each."""
    rows = await tx.fetch(
        """
        select asked.queue, asked.tier, first.since
        from unnest($1::text[], $2::text[]) as asked (queue, tier), lateral (
            select since from waiting w
            where w.queue = asked.queue and w.tier = asked.tier order by since limit 1
        ) first
        """,
        [queue for queue, _ in queues],
        [tier for _, tier in queues],
    )
    return {(row["queue"], row["tier"]): row["since"] for row in rows}
