"""The notice lists of the desks, and the place of each digest among those of its desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg

from services.escalation.decisions import Accused, Desk, Digest
from shared.postgres import Transaction

COUNTED = 10_000


class Acknowledged(NamedTuple):
    """When a person took note (promise time), in which role, and who."""

    at: datetime
    role: str
    by: str


class Posted(NamedTuple):
    """A digest in the list of its desk.

    `unheeded_at` (promise time): nobody had taken note in time, and it was raised if there is a
    desk above. `pushed_at` (wall time): it got out by another way too. `ended_at` (promise time):
    what it tells of was over before anybody took note.
    """

    id: UUID
    digest: Digest
    posted_at: datetime
    acknowledged: Acknowledged | None = None
    unheeded_at: datetime | None = None
    pushed_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether it waits for nobody any more."""
        return self.acknowledged is not None or self.ended_at is not None

    def plain(self) -> dict[str, Any]:
        """As others read it, in the list or pushed: no words, and no name of a person."""
        digest = self.digest
        return {
            "id": str(self.id),
            "division": digest.desk.division,
            "role": digest.desk.role,
            "office": digest.desk.office,
            "clock": digest.clock,
            "reason": digest.reason,
            "about": digest.about,
            "count": digest.count,
            "oldest_due_at": digest.oldest_due_at,
            "cases": [str(case_id) for case_id in digest.named],
            "posted_at": self.posted_at,
            "raised_from": digest.raised_from and str(digest.raised_from),
        }


class Unheeded(NamedTuple):
    """A notice that stands too long. `heeded`: somebody below or above it took note meanwhile.

    `is_over`: none of its cases has that promise any more.
    """

    posted: Posted
    heeded: bool
    is_over: bool


class Attempt(NamedTuple):
    """A notice that is being pushed, for the n-th time."""

    posted: Posted
    attempts: int


class Pushed(NamedTuple):
    """What came of an attempt: when it got out, or is tried again, if ever (wall time)."""

    id: UUID
    pushed_at: datetime | None
    push_at: datetime | None


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
                             posted_at, office, raised_from, about)
        select n.id, n.division, n.role, n.clock, n.reason, n.count, n.oldest_due_at,
               ($8::uuid[])[n.first : n.last], n.posted_at, n.office, n.raised_from, n.about
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[],
                    $7::timestamptz[], $9::int[], $10::int[], $11::timestamptz[], $12::text[],
                    $13::uuid[], $14::text[])
            as n (id, division, role, clock, reason, count, oldest_due_at, first, last, posted_at,
                  office, raised_from, about)
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
        [p.digest.raised_from for p in posted],
        [p.digest.about for p in posted],
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

    The acknowledged, and those that ended, are left out unless wanted.
    """
    rows = await tx.fetch(
        """
        select id, division, role, office, clock, reason, count, oldest_due_at, cases, posted_at,
               acknowledged_at, acknowledged_role, acknowledged_by, raised_from, unheeded_at,
               pushed_at, about
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


async def find(tx: Transaction, notice_id: UUID) -> Posted | None:
    """A notice as it is now."""
    row = await tx.fetchrow(
        """
        select id, division, role, office, clock, reason, count, oldest_due_at, cases, posted_at,
               acknowledged_at, acknowledged_role, acknowledged_by, raised_from, unheeded_at,
               pushed_at, about
        from notices where id = $1
        """,
        notice_id,
    )
    return posted_of(row) if row else None


async def take(tx: Transaction, notice_id: UUID) -> Posted | None:
    """A notice, locked until the transaction ends."""
    row = await tx.fetchrow(
        """
        select id, division, role, office, clock, reason, count, oldest_due_at, cases, posted_at,
               acknowledged_at, acknowledged_role, acknowledged_by, raised_from, unheeded_at,
               pushed_at, about
        from notices where id = $1 for update
        """,
        notice_id,
    )
    return posted_of(row) if row else None


async def acknowledge(tx: Transaction, posted: Posted, who: Acknowledged) -> dict[str, int]:
    """A person took note of this one, and so of the earlier ones of the same desk, promise and
    cases; says how many those are, by reason."""
    desk = posted.digest.desk
    rows = await tx.fetch(
        """
        with noted as (
            update notices
            set acknowledged_at = $2, acknowledged_role = $3, acknowledged_by = $4
            where id in (
                select id from notices
                where division = $5 and acknowledged_at is null
                  and (id = $1 or role = $6 and office is not distinct from $7 and clock = $8
                       and posted_at < $9 and cases <@ $10::uuid[] and count = cardinality(cases))
                order by id for update
            )
            returning reason
        )
        select reason, count(*) as n from noted group by reason
        """,
        posted.id,
        who.at,
        who.role,
        who.by,
        desk.division,
        desk.role,
        desk.office,
        posted.digest.clock,
        posted.posted_at,
        posted.digest.cases,
    )
    return {row["reason"]: row["n"] for row in rows}


# ---------------------------------------------------------------- raised


async def take_unheeded(tx: Transaction, before: datetime, limit: int) -> list[Unheeded]:
    """Notices posted by then that nobody took note of, oldest first; others pass over them."""
    rows = await tx.fetch(
        """
        select id, division, role, office, clock, reason, count, oldest_due_at, cases, posted_at,
               acknowledged_at, acknowledged_role, acknowledged_by, raised_from, unheeded_at,
               pushed_at, about,
               exists (select 1 from notices o
                       where o.id = n.raised_from and o.acknowledged_at is not null)
               or exists (select 1 from notices o
                          where o.raised_from = n.raised_from and o.acknowledged_at is not null)
                   as heeded,
               count = cardinality(cases) and not exists (
                   select 1 from unnest(cases) c (id) left join armed a on a.case_id = c.id
                   where a.case_id is null or exists (
                       select 1 from json_array_elements(a.clocks) k
                       where split_part(k ->> 0, '/', 1) = n.clock)
               ) as is_over
        from notices n
        where acknowledged_at is null and unheeded_at is null and posted_at <= $1
        order by posted_at limit $2 for update of n skip locked
        """,
        before,
        limit,
    )
    return [Unheeded(posted_of(row), row["heeded"], row["is_over"]) for row in rows]


async def accused_of(tx: Transaction, case_ids: Sequence[UUID]) -> dict[UUID, Accused]:
    """Whom these cases accuse; those that accuse nobody are left out."""
    rows = await tx.fetch(
        """
        select case_id, accused_division, accused_office from armed
        where case_id = any($1::uuid[])
          and (accused_division is not null or accused_office is not null)
        """,
        case_ids,
    )
    return {row["case_id"]: Accused(row["accused_division"], row["accused_office"]) for row in rows}


async def mark_unheeded(tx: Transaction, ids: Sequence[UUID], at: datetime) -> None:
    """These stood too long, and are not looked at again."""
    await tx.execute("update notices set unheeded_at = $2 where id = any($1::uuid[])", ids, at)


async def unheeded(tx: Transaction) -> int:
    """How many notices stood too long and wait for a person still, up to 10,000."""
    return int(
        await tx.fetchval(
            """
            select count(*) from (
                select 1 from notices
                where acknowledged_at is null and unheeded_at is not null limit $1
            ) few
            """,
            COUNTED,
        )
    )


# ---------------------------------------------------------------- over


async def end_of_closed(tx: Transaction, case_ids: Sequence[UUID], at: datetime) -> dict[str, int]:
    """End the notices of these cases that tell of no open case: how many, by reason."""
    rows = await tx.fetch(
        """
        with ended as (
            update notices set acknowledged_at = $2 where id in (
                select id from notices n
                where acknowledged_at is null and cases && $1::uuid[] and count = cardinality(cases)
                  and not exists (select 1 from unnest(cases) c (id)
                                  join armed a on a.case_id = c.id and a.open)
                order by id for update
            ) returning reason
        )
        select reason, count(*) as n from ended group by reason
        """,
        case_ids,
        at,
    )
    return {row["reason"]: row["n"] for row in rows}


async def end(tx: Transaction, ids: Sequence[UUID], at: datetime) -> None:
    """These are over; they are locked by `tx`."""
    await tx.execute("update notices set acknowledged_at = $2 where id = any($1::uuid[])", ids, at)


async def forget(tx: Transaction, before: datetime, limit: int) -> int:
    """Delete notices that were over by then, the oldest first; says how many."""
    done = await tx.execute(
        """
        delete from notices where id in (
            select id from notices where acknowledged_at <= $1
            order by acknowledged_at limit $2 for update skip locked
        )
        """,
        before,
        limit,
    )
    return int(done.split()[-1])


# ---------------------------------------------------------------- pushed


async def take_to_push(
    tx: Transaction, at: datetime, lease: timedelta, limit: int
) -> list[Attempt]:
    """Notices to be pushed by `at` (wall time); they are nobody else's until the lease is over."""
    rows = await tx.fetch(
        """
        update notices n set push_at = $1::timestamptz + $2::interval,
                             push_attempts = push_attempts + 1
        where id in (
            select id from notices
            where acknowledged_at is null and push_at is not null and push_at <= $1
            order by push_at limit $3 for update skip locked
        )
        returning id, division, role, office, clock, reason, count, oldest_due_at, cases, posted_at,
                  acknowledged_at, acknowledged_role, acknowledged_by, raised_from, unheeded_at,
                  pushed_at, about, push_attempts
        """,
        at,
        lease,
        limit,
    )
    return [Attempt(posted_of(row), row["push_attempts"]) for row in rows]


async def save_pushed(tx: Transaction, done: Sequence[Pushed]) -> None:
    """What came of these attempts; one that got out by another lease stays so."""
    await tx.execute(
        """
        update notices n set pushed_at = d.pushed_at, push_at = d.push_at
        from unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) as d (id, pushed_at, push_at)
        where n.id = d.id and n.pushed_at is null
        """,
        [one.id for one in done],
        [one.pushed_at for one in done],
        [one.push_at for one in done],
    )


async def to_push(tx: Transaction) -> int:
    """How many notices wait to be pushed, up to 10,000."""
    return int(
        await tx.fetchval(
            """
            select count(*) from (
                select 1 from notices where acknowledged_at is null and push_at is not null limit $1
            ) few
            """,
            COUNTED,
        )
    )


async def not_pushed(tx: Transaction) -> int:
    """How many notices were pushed in vain to the end and wait for a person, up to 10,000."""
    return int(
        await tx.fetchval(
            """
            select count(*) from (
                select 1 from notices
                where acknowledged_at is null and push_at is null and pushed_at is null limit $1
            ) few
            """,
            COUNTED,
        )
    )


def posted_of(row: asyncpg.Record) -> Posted:
    """A row of the table; over without a role: with its cases."""
    over_at, role = row["acknowledged_at"], row["acknowledged_role"]
    acknowledged = Acknowledged(over_at, role, row["acknowledged_by"]) if role else None
    digest = Digest(
        Desk(row["division"], row["role"], row["office"]),
        row["clock"],
        row["reason"],
        row["count"],
        row["oldest_due_at"],
        tuple(row["cases"]),
        row["raised_from"],
        row["about"],
    )
    return Posted(
        row["id"],
        digest,
        row["posted_at"],
        acknowledged,
        row["unheeded_at"],
        row["pushed_at"],
        None if role else over_at,
    )
