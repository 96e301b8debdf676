"""Counts that cost the same with ten cases and with ten million.

A transaction appends its net changes; one folder sums and deletes them each second. So no two
transactions wait for the same counter, and a reader sums the folded and the few unfolded rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from shared.postgres import Transaction

FOLD_LOCK = 7_710_003


async def add(tx: Transaction, deltas: Counter[tuple[str, str]]) -> None:
    """Add these net changes of (name, key) when the transaction commits."""
    changed = [(name, key, n) for (name, key), n in deltas.items() if n]
    if not changed:
        return
    await tx.execute(
        """
        insert into tally_deltas (name, key, n)
        select * from unnest($1::text[], $2::text[], $3::bigint[])
        """,
        *map(list, zip(*changed, strict=True)),
    )


async def fold(tx: Transaction) -> int:
    """Sum what was appended into the counts; one folder at a time. Returns rows folded."""
    if not await tx.fetchval("select pg_try_advisory_xact_lock($1)", FOLD_LOCK):
        return 0
    return int(
        await tx.fetchval(
            """
            with gone as (
                delete from tally_deltas where id in
                    (select id from tally_deltas order by id limit 50000)
                returning name, key, n
            ), sums as (
                select name, key, sum(n)::bigint as n from gone group by name, key
            ), kept as (
                insert into tally as t (name, key, n) select name, key, n from sums where n <> 0
                order by name, key
                on conflict (name, key) do update set n = t.n + excluded.n
            )
            select count(*) from gone
            """
        )
    )


async def counts(tx: Transaction, names: Sequence[str]) -> dict[tuple[str, str], int]:
    """The counts of these names, the unfolded included; zeros are left out."""
    rows = await tx.fetch(
        """
        select name, key, sum(n)::bigint as n from (
            select name, key, n from tally where name = any($1::text[])
            union all
            select name, key, n from tally_deltas where name = any($1::text[])
        ) both_ group by name, key having sum(n) <> 0
        """,
        list(names),
    )
    return {(row["name"], row["key"]): row["n"] for row in rows}


async def count_of(tx: Transaction, name: str, keys: Sequence[str]) -> dict[str, int]:
    """The counts of some keys of one name, the unfolded included."""
    rows = await tx.fetch(
        """
        select key, sum(n)::bigint as n from (
            select key, n from tally where name = $1 and key = any($2::text[])
            union all
            select key, n from tally_deltas where name = $1 and key = any($2::text[])
        ) both_ group by key
        """,
        name,
        list(keys),
    )
    return {row["key"]: row["n"] for row in rows}


async def forget_zeros(tx: Transaction, name: str) -> None:
    """Rows of this name that came to nothing are not kept."""
    await tx.execute("delete from tally where name = $1 and n = 0", name)
