"""The queues: cases that a division holds, and clocks that it owns on those that others hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import orjson

from services.router.decisions.case import Case, duties
from shared.divisions import CITY
from shared.postgres import Transaction


class Place(NamedTuple):
    """A place in a queue: emergencies that wait first (rank 0), then by due date."""

    rank: int
    due_at: datetime
    case_id: UUID
    clock: str


BEGINNING = Place(0, datetime(1, 1, 1, tzinfo=UTC), UUID(int=0), "")


class QueueEntry(NamedTuple):
    """A line of a queue: a case held there (`clock` empty) or a clock owned there."""

    rank: int
    due_at: datetime
    case_id: UUID
    clock: str
    role: str
    doc: bytes


class QueueCounts(NamedTuple):
    """What a queue holds by stage, and the clocks by name that it owns on others' cases."""

    division: str
    office: str | None
    held: dict[str, int]
    owned: dict[str, int]


async def forget_duties(tx: Transaction, case_ids: Sequence[UUID]) -> None:
    """The clocks that others own on these cases are written anew."""
    await tx.execute("delete from duties where case_id = any($1::uuid[])", list(case_ids))


async def add_duties(tx: Transaction, cases: Sequence[Case]) -> None:
    """The clocks that others own on these cases."""
    rows = [
        (case.id, duty.clock, duty.division, duty.office, duty.role, duty.due_at)
        for case in cases
        for duty in duties(case)
    ]
    if not rows:
        return
    await tx.execute(
        """
        insert into duties (case_id, clock, division, office, role, due_at)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[],
                             $6::timestamptz[])
        """,
        *map(list, zip(*rows, strict=True)),
    )


async def page(tx: Transaction, division: str, after: Place, limit: int) -> list[QueueEntry]:
    """Cases held and clocks owned by a division, in order, after a place in the listing."""
    rows = await tx.fetch(
        """
        select * from (
            (select rank, next_deadline as due_at, case_id, '' as clock, role, doc from cases
             where open and holder = $1 and (rank, next_deadline, case_id) > ($2::smallint, $3, $4)
             order by rank, next_deadline, case_id limit $5)
            union all
            (select 1::smallint, d.due_at, d.case_id, d.clock, d.role, c.doc
             from duties d join cases c using (case_id)
             where d.division = $1 and d.office is null
               and (d.due_at, d.case_id, d.clock) > ($6, $7, $8)
             order by d.due_at, d.case_id, d.clock limit $5)
        ) both_ order by rank, due_at, case_id, clock limit $5
        """,
        division,
        *after[:3],
        limit,
        *(after if after.rank else BEGINNING)[1:],
    )
    return [entry_of(row) for row in rows]


async def page_of_office(
    tx: Transaction,
    office: str,
    division: str,
    after: Place,
    limit: int,
) -> list[QueueEntry]:
    """Cases held and clocks owned by an office in a division and what lies in it, by due date.

    What waits at a desk is of no office, nor signed by anybody: emergencies stand in neither queue.
    """
    rows = await tx.fetch(
        """
        select * from (
            (select 1::smallint as rank, next_deadline as due_at, case_id, '' as clock, role, doc
             from cases
             where open and office = $1 and starts_with(holder, $2)
               and (next_deadline, case_id) > ($3, $4)
             order by next_deadline, case_id limit $6)
            union all
            (select 1::smallint, d.due_at, d.case_id, d.clock, d.role, c.doc
             from duties d join cases c using (case_id)
             where d.office = $1 and starts_with(d.division, $2)
               and (d.due_at, d.case_id, d.clock) > ($3, $4, $5)
             order by d.due_at, d.case_id, d.clock limit $6)
        ) both_ order by due_at, case_id, clock limit $6
        """,
        office,
        "" if division == CITY else division,
        *after[1:],
        limit,
    )
    return [entry_of(row) for row in rows]


async def page_of_person(
    tx: Transaction, subject: str, after: Place, limit: int
) -> list[QueueEntry]:
    """The open cases that a person signed, by due date."""
    rows = await tx.fetch(
        """
        select 1::smallint as rank, next_deadline as due_at, case_id, '' as clock, role, doc
        from cases
        where open and signed_by = $1 and (next_deadline, case_id) > ($2, $3)
        order by next_deadline, case_id limit $4
        """,
        subject,
        *after[1:3],
        limit,
    )
    return [entry_of(row) for row in rows]


async def count_of_person(tx: Transaction, subject: str) -> dict[str, int]:
    """How many open cases a person signed, by stage."""
    rows = await tx.fetch(
        "select stage, count(*) as n from cases where open and signed_by = $1 group by stage",
        subject,
    )
    return {row["stage"]: row["n"] for row in rows}


async def counts_under(
    tx: Transaction, division: str, office: str | None, after: tuple[str, str], limit: int
) -> list[QueueCounts]:
    """The queues in a division, or those of one office there, that hold anything; in order."""
    rows = await tx.fetch(
        """
        select division, office, jsonb_object_agg(what, n) filter (where held) as held,
               jsonb_object_agg(what, n) filter (where not held) as owned
        from (
            select split_part(key, '/', 1) as division,
                   case when offices then split_part(key, '/', 2) else '' end as office,
                   split_part(key, '/', case when offices then 3 else 2 end) as what,
                   held, sum(n)::bigint as n
            from (
                select name, key, n from tally
                where name in ('queue', 'owned', 'office', 'office owned')
                  and starts_with(key, $1)
                union all
                select name, key, n from tally_deltas
                where name in ('queue', 'owned', 'office', 'office owned')
                  and starts_with(key, $1)
            ) counted, lateral (
                select name in ('office', 'office owned') as offices,
                       name in ('queue', 'office') as held
            ) kind
            group by 1, 2, 3, 4 having sum(n) <> 0
        ) queues
        where (division, office) > ($3, $4) and ($2::text is null or office = $2)
        group by division, office order by division, office limit $5
        """,
        "" if division == CITY else division,
        office,
        *after,
        limit,
    )
    return [
        QueueCounts(
            row["division"],
            row["office"] or None,
            orjson.loads(row["held"] or "{}"),
            orjson.loads(row["owned"] or "{}"),
        )
        for row in rows
    ]


def entry_of(row: asyncpg.Record) -> QueueEntry:
    """A line as it is read."""
    return QueueEntry(
        row["rank"], row["due_at"], row["case_id"], row["clock"], row["role"], row["doc"].encode()
    )
