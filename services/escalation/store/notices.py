"""The notice lists of the desks, and the place of each digest among those of its desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from services.escalation.decisions import Desk, Digest
from shared.postgres import Transaction

COUNTED = 10_000


class Acknowledged(NamedTuple):
    """When a person took note (promise time), in which role, and who."""

    at: datetime
    role: str
    by: str


class Posted(NamedTuple):
    """A digest in the list of its desk."""

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
    """Put these into their desks' lists."""
    # An array of arrays must be a rectangle: the cases travel as one list and their numbers.
    await tx.execute(
        """
        insert into notices (id, division, role, clock, reason, count, oldest_due_at, cases,
                             posted_at, office)
        select n.id, n.division, n.role, n.clock, n.reason, n.count, n.oldest_due_at,
               ($8::uuid[])[n.first : n.last], n.posted_at, n.office
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[],
                    $7::timestamptz[], $9::int[], $10::int[], $11::timestamptz[], $12::text[])
            as n (id, division, role, clock, reason, count, oldest_due_at, first, last, posted_at,
                  office)
        """,
        [p.id for p in posted],
        [p.digest.desk.division for p in posted],
        [p.digest.desk.role for p in posted],
        [p.digest.clock for p in posted],
        [p.digest.reason for p in posted],
        [p.digest.count for p in posted],
        [p.digest.oldest_due_at for p in posted],
        *slices([p.digest.cases for p in posted]),
        [p.posted_at for p in posted],
        [p.digest.desk.office for p in posted],
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
    office: str | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
    *,
    everything: bool,
) -> list[Posted]:
    """A page of a division's list, or of one office's there, newest first.

    The acknowledged are left out unless wanted.
    """
    rows = await tx.fetch(
        """
        select id, division, role, office, clock, reason, count, oldest_due_at, cases, posted_at,
               acknowledged_at, acknowledged_role, acknowledged_by
        from notices
        where division = $1 and ($2::text is null or role = $2)
          and ($3::text is null or office = $3)
          and ($4 or acknowledged_at is null)
          and ($5::timestamptz is null or (posted_at, id) < ($5, $6::uuid))
        order by posted_at desc, id desc limit $7
        """,
        division,
        role,
        office,
        everything,
        *(after or (None, None)),
        limit,
    )
    return [posted_of(row) for row in rows]


async def unacknowledged(
    tx: Transaction, division: str, role: str | None, office: str | None
) -> dict[str, int]:
    """How many notices of a division, or of one office there, wait for a person, by reason.

    Counted to 10,000.
    """
    rows = await tx.fetch(
        """
        select reason, count(*) as n from (
            select reason from notices
            where division = $1 and ($2::text is null or role = $2)
              and ($3::text is null or office = $3) and acknowledged_at is null
            limit $4
        ) few group by reason
        """,
        division,
        role,
        office,
        COUNTED,
    )
    return {row["reason"]: row["n"] for row in rows}


async def take(tx: Transaction, notice_id: UUID) -> Posted | None:
    """A notice, locked until the transaction ends."""
    row = await tx.fetchrow(
        """
        select id, division, role, office, clock, reason, count, oldest_due_at, cases, posted_at,
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
        Desk(row["division"], row["role"], row["office"]),
        row["clock"],
        row["reason"],
        row["count"],
        row["oldest_due_at"],
        tuple(row["cases"]),
    )
    return Posted(row["id"], digest, row["posted_at"], acknowledged)
