"""Every SQL statement of analytics. The counters themselves are `shared.tally`'s tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

from services.analytics.decisions import MEASURES, Contribution, Dimension, Figures, unpack
from shared.census import Known
from shared.events import Order, Topic
from shared.postgres import Pool, Transaction

REBUILD_LOCK = 7_710_011
MOST_STRANGERS = 20_000


class Row(NamedTuple):
    """What a case adds, as of a snapshot."""

    case_id: UUID
    order: Order
    contribution: Contribution


async def replace_older(tx: Transaction, rows: Sequence[Row]) -> dict[UUID, Contribution | None]:
    """Keep the rows that are newer than what is known.

    Returns what each of those cases added before, None for a new case; the others are left out.
    """
    replaced = await tx.fetch(
        """
        insert into contributions as c (case_id, epoch, seq, contribution)
        select * from unnest($1::uuid[], $2::int[], $3::bigint[], $4::text[]) as n (case_id)
        order by n.case_id
        on conflict (case_id) do update
            set epoch = excluded.epoch, seq = excluded.seq, contribution = excluded.contribution
            where (c.epoch, c.seq) < (excluded.epoch, excluded.seq)
        returning new.case_id, old.contribution
        """,
        [row.case_id for row in rows],
        [row.order.epoch for row in rows],
        [row.order.seq for row in rows],
        [row.contribution.pack() for row in rows],
    )
    return {
        row["case_id"]: unpack(row["contribution"]) if row["contribution"] else None
        for row in replaced
    }


async def for_census(
    tx: Transaction, ids: Sequence[UUID], after: UUID, up_to: UUID
) -> dict[UUID, Known]:
    """These cases as they are counted, and those counted as open between two ids."""
    rows = await tx.fetch(
        """
        select case_id, epoch, seq, contribution ~ '"(waiting|in_hand)":' as open
        from contributions where case_id = any($1::uuid[])
        union
        (select case_id, epoch, seq, true from contributions
         where contribution ~ '"(waiting|in_hand)":' and case_id > $2 and case_id <= $3
         order by case_id limit $4)
        """,
        list(ids),
        after,
        up_to,
        MOST_STRANGERS,
    )
    return {
        row["case_id"]: Known(Order(row["epoch"], row["seq"]), None, row["open"]) for row in rows
    }


# ---------------------------------------------------------------- reading the figures


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Transaction]:
    """A transaction whose statements all see the same figures and positions."""
    async with (
        pool.acquire(timeout=10) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


async def figures_by(
    tx: Transaction, dimension: Dimension, within: str = "", width: int = 64
) -> dict[str, Figures]:
    """The figures of each key of a dimension, the unfolded included; zeros are left out.

    Only keys that begin with `within`; keys that are alike in their first `width` letters are one.
    """
    rows = await tx.fetch(
        """
        select split_part(name, '|', 1) as measure,
               left(split_part(key, '|', 1), $3) as key,
               split_part(key, '|', 2) as detail,
               sum(n)::bigint as n
        from (
            select name, key, n from tally where name = any($1::text[])
            union all
            select name, key, n from tally_deltas where name = any($1::text[])
        ) both_
        where starts_with(key, $2)
        group by 1, 2, 3 having sum(n) <> 0
        """,
        [f"{measure}|{dimension}" for measure in MEASURES],
        within,
        width,
    )
    found: defaultdict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for row in rows:
        found[row["key"]][row["measure"], row["detail"]] = row["n"]
    return dict(found)


async def all_counters(tx: Transaction) -> dict[tuple[str, str], int]:
    """Every counter, the unfolded included; zeros are left out."""
    rows = await tx.fetch(
        """
        select name, key, sum(n)::bigint as n
        from (select name, key, n from tally union all select name, key, n from tally_deltas) both_
        group by name, key having sum(n) <> 0
        """
    )
    return {(row["name"], row["key"]): row["n"] for row in rows}


# ---------------------------------------------------------------- rebuilding them


async def begin_rebuild(connection: Transaction) -> bool:
    """Be the only rebuild, as long as this connection lives; False if another is under way."""
    return bool(await connection.fetchval("select pg_try_advisory_lock($1)", REBUILD_LOCK))


async def make_new_tables(connection: Transaction) -> None:
    """Empty tables beside those in use; what an interrupted rebuild left is dropped."""
    await connection.execute(
        """
        drop table if exists rebuilt.contributions, rebuilt.tally, rebuilt.tally_deltas;
        create table rebuilt.contributions (like public.contributions including all)
            with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0,
                  autovacuum_vacuum_threshold = 50000, autovacuum_vacuum_cost_delay = 0);
        create table rebuilt.tally (like public.tally including all) with (fillfactor = 50);
        create table rebuilt.tally_deltas (like public.tally_deltas including all);
        """
    )


async def look_at_new_tables(connection: Transaction) -> None:
    """From here on this connection's statements mean the new tables, where there are such."""
    await connection.execute("set search_path to rebuilt, public")


async def look_at_tables_in_use(connection: Transaction) -> None:
    """From here on this connection's statements mean the tables in use."""
    await connection.execute("set search_path to public")


async def lock_out_writers(tx: Transaction) -> None:
    """Nobody folds a case or a counter until this transaction ends; who reads figures goes on."""
    # The order is that of a consumer's transaction, then that of the folder's: no deadlock.
    await tx.execute("lock table public.contributions in access exclusive mode")
    await tx.execute("lock table public.tally_deltas, public.tally in exclusive mode")


class Compared(NamedTuple):
    """The cases of the tables in use beside those of the rebuilt ones."""

    same: int
    differing: int
    only_in_use_or_newer: int
    only_rebuilt_or_newer: int


async def compare_cases(tx: Transaction) -> Compared:
    """Case by case; where both know the same snapshot, both must add the same."""
    row = await tx.fetchrow(
        """
        select
            count(*) filter (where u.o = r.o and u.contribution = r.contribution) as same,
            count(*) filter (where u.o = r.o and u.contribution <> r.contribution) as differing,
            count(*) filter (where r.o is null or u.o > r.o) as in_use,
            count(*) filter (where u.o is null or u.o < r.o) as rebuilt
        from (select case_id, (epoch, seq) as o, contribution from public.contributions) u
        full join (select case_id, (epoch, seq) as o, contribution from rebuilt.contributions) r
            using (case_id)
        """,
        timeout=600,
    )
    assert row is not None
    return Compared(row["same"], row["differing"], row["in_use"], row["rebuilt"])


async def put_in_place(tx: Transaction) -> None:
    """The new tables become those in use."""
    # The counters are few, so they are replaced as rows and their readers never wait.
    await tx.execute(
        """
        drop table public.contributions;
        alter table rebuilt.contributions set schema public;
        delete from public.tally_deltas;
        delete from public.tally;
        insert into public.tally (name, key, n)
            select name, key, sum(n)
            from (select name, key, n from rebuilt.tally
                  union all
                  select name, key, n from rebuilt.tally_deltas) both_
            group by name, key having sum(n) <> 0;
        drop table rebuilt.tally, rebuilt.tally_deltas;
        """
    )


async def set_positions(tx: Transaction, topic: Topic, offsets: Mapping[int, int]) -> None:
    """Go on from here, whatever the consumer believes: its next batch is fenced and it asks."""
    partitions = sorted(offsets)
    await tx.execute(
        """
        insert into offsets (topic, partition, next_offset)
        select $1, * from unnest($2::int[], $3::bigint[])
        on conflict (topic, partition) do update set next_offset = excluded.next_offset
        """,
        topic.value,
        partitions,
        [offsets[partition] for partition in partitions],
    )
