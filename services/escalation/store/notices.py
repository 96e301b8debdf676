"""The notice lists of the offices, and the place of each digest among those of its office."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from services.escalation.decisions import Digest
from shared.postgres import Transaction

COUNTED = 10_000


class Acknowledged(NamedTuple):
    """When a person took note (promise time), in which role, and who."""

    at: datetime
    role: str
    by: str


class Posted(NamedTuple):
    """A digest in the list of its office."""

    id: UUID
    digest: Digest
    posted_at: datetime
    acknowledged: Acknowledged | None = None


async def next_seqs(tx: Transaction, subjects: dict[str, int]) -> dict[str, int]:
    """Take the next n places of each subject, without a gap; gives the first one taken."""
    ordered = sorted(subjects)
    rows = await tx.fetch(
        """
        insert into said as s (subject, seq)
        select * from unnest($1::text[], $2::bigint[])
        on conflict (subject) do update set seq = s.seq + excluded.seq
        returning subject, seq
        """,
        ordered,
        [subjects[subject] for subject in ordered],
    )
    return {row["subject"]: row["seq"] - subjects[row["subject"]] + 1 for row in rows}


async def insert(tx: Transaction, posted: Sequence[Posted]) -> None:
    """Put these into their offices' lists."""
    # An array of arrays must be a rectangle: the cases travel as one list and their numbers.
    await tx.execute(
        """
        insert into notices (id, division, role, clock, reason, count, oldest_due_at, cases,
                             posted_at)
        select n.id, n.division, n.role, n.clock, n.reason, n.count, n.oldest_due_at,
               ($8::uuid[])[n.first : n.last], n.posted_at
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[],
                    $7::timestamptz[], $9::int[], $10::int[], $11::timestamptz[])
            as n (id, division, role, clock, reason, count, oldest_due_at, first, last, posted_at)
        """,
        [p.id for p in posted],
        [p.digest.division for p in posted],
        [p.digest.role for p in posted],
        [p.digest.clock for p in posted],
        [p.digest.reason for p in posted],
        [p.digest.count for p in posted],
        [p.digest.oldest_due_at for p in posted],
        *slices([p.digest.cases for p in posted]),
        [p.posted_at for p in posted],
    )


def slices(lists: Sequence[Sequence[UUID]]) -> tuple[list[UUID], list[int], list[int]]:
    """Lists as one, with the first and last place of each, counted from 1."""
    whole: list[UUID] = []
    first: list[int] = []
    last: list[int] = []
    for one in lists:
        first.append(len(whole) + 1)
        whole.extend(one)
        last.append(len(whole))
    return whole, first, last


async def newest(
    tx: Transaction,
    division: str,
    role: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
    *,
    everything: bool,
) -> list[Posted]:
    """A page of a division's list, newest first, the acknowledged left out unless wanted."""
    rows = await tx.fetch(
        """
        select id, division, role, clock, reason, count, oldest_due_at, cases, posted_at,
               acknowledged_at, acknowledged_role, acknowledged_by
        from notices
        where division = $1 and ($2::text is null or role = $2)
          and ($3 or acknowledged_at is null)
          and ($4::timestamptz is null or (posted_at, id) < ($4, $5::uuid))
        order by posted_at desc, id desc limit $6
        """,
        division,
        role,
        everything,
        *(after or (None, None)),
        limit,
    )
    return [posted_of(row) for row in rows]


async def unacknowledged(tx: Transaction, division: str, role: str | None) -> dict[str, int]:
    """How many of a division's notices wait for a person, by reason; counted to 10,000."""
    rows = await tx.fetch(
        """
        select reason, count(*) as n from (
            select reason from notices
            where division = $1 and ($2::text is null or role = $2) and acknowledged_at is null
            limit $3
        ) few group by reason
        """,
        division,
        role,
        COUNTED,
    )
    return {row["reason"]: row["n"] for row in rows}


async def take(tx: Transaction, notice_id: UUID) -> Posted | None:
    """A notice, locked until the transaction ends."""
    row = await tx.fetchrow(
        """
        select id, division, role, clock, reason, count, oldest_due_at, cases, posted_at,
               acknowledged_at, acknowledged_role, acknowledged_by
        from notices where id = $1 for update
        """,
        notice_id,
    )
    return posted_of(row) if row else None


async def acknowledge(tx: Transaction, notice_id: UUID, who: Acknowledged) -> None:
    """A person took note of this one."""
    await tx.execute(
        """
        update notices set acknowledged_at = $2, acknowledged_role = $3, acknowledged_by = $4
        where id = $1
        """,
        notice_id,
        who.at,
        who.role,
        who.by,
    )


def posted_of(row: asyncpg.Record) -> Posted:
    """A row of the table."""
    acknowledged = row["acknowledged_at"] and Acknowledged(
        row["acknowledged_at"], row["acknowledged_role"], row["acknowledged_by"]
    )
    digest = Digest(
        row["division"],
        row["role"],
        row["clock"],
        row["reason"],
        row["count"],
        row["oldest_due_at"],
        tuple(row["cases"]),
    )
    return Posted(row["id"], digest, row["posted_at"], acknowledged)
