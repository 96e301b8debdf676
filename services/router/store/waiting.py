"""Which cases stand in a stuck queue, and since when: for the age of the oldest.

A version that knows other queues may work beside this one: it leaves them to each other's rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.router.decisions.stuck import WAITS_FOR, Wait
from shared.postgres import Transaction

RECOUNT_LOCK = 7_710_012


async def of(tx: Transaction, case_ids: Sequence[UUID]) -> dict[UUID, set[Wait]]:
    """Where these cases are said to wait."""
    rows = await tx.fetch(
        """
        select case_id, queue, tier, since, track from waiting
        where case_id = any($1::uuid[]) and queue = any($2::text[])
        """,
        list(case_ids),
        list(WAITS_FOR),
    )
    found: dict[UUID, set[Wait]] = {}
    for row in rows:
        case_id, *wait = row.values()
        found.setdefault(case_id, set()).add(Wait(*wait))
    return found


async def forget(tx: Transaction, case_ids: Sequence[UUID]) -> None:
    """Where these cases wait is written anew."""
    await tx.execute(
        "delete from waiting where case_id = any($1::uuid[]) and queue = any($2::text[])",
        list(case_ids),
        list(WAITS_FOR),
    )


async def add(tx: Transaction, waits: Mapping[UUID, Sequence[Wait]]) -> None:
    """Where these cases wait. A row that an older version left standing is no hindrance."""
    rows = [(case_id, *wait) for case_id, found in waits.items() for wait in found]
    await tx.execute(
        """
        insert into waiting (case_id, queue, tier, since, track)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[])
        on conflict (case_id, queue) do update
            set tier = excluded.tier, since = excluded.since, track = excluded.track
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


async def forget_closed(tx: Transaction) -> None:
    """Cases that are closed wait nowhere, whatever a version that knew no queues left of them.

    One look at a case for each that waits.
    """
    await tx.execute(
        """
        delete from waiting w
        where queue = any($1::text[])
          and not (select open from cases c where c.case_id = w.case_id)
        """,
        list(WAITS_FOR),
    )


async def recount(tx: Transaction) -> int:
    """Count again how many cases wait in each queue; says how many counts were wrong.

    Its cost is bounded by the cases that wait. Rows and counts are seen as of one moment, and the
    difference is appended: who adds or folds meanwhile does no harm, only another recount would.
    """
    await tx.execute("select pg_advisory_xact_lock($1)", RECOUNT_LOCK)
    return int(
        await tx.fetchval(
            """
            with counted as (
                select concat_ws('/', queue, tier, track) as key, count(*) as n from waiting
                where queue = any($1::text[]) group by queue, tier, track
            ), known as (
                select key, sum(n)::bigint as n from (
                    select key, n from tally where name = 'waiting'
                    union all
                    select key, n from tally_deltas where name = 'waiting'
                ) both_ where split_part(key, '/', 1) = any($1::text[]) group by key
            ), wrong as (
                insert into tally_deltas (name, key, n)
                select 'waiting', key, coalesce(counted.n, 0) - coalesce(known.n, 0)
                from counted full join known using (key)
                where coalesce(counted.n, 0) <> coalesce(known.n, 0)
                returning key
            )
            select count(*) from wrong
            """,
            list(WAITS_FOR),
        )
    )
