"""The reading queue, the readings, and supplements: what waits to be said, and what was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.petitions import Addition, UnreadPetition
from shared.events import Reading, dump
from shared.postgres import Transaction


async def unread_page(tx: Transaction, limit: int) -> list[UnreadPetition]:
    """The oldest unread petitions that nobody else reads, locked in the queue."""
    rows = await tx.fetch(
        """
        with page as materialized (
            select petition_id from unread order by petition_id limit $1
            for update skip locked
        )
        select id, number, kind, channel, subject, text, category, place_code, lat, lon,
               place_words, accused, accused_office, accused_unknown, happened_at, received_at,
               contact, traceparent
        from page join petitions on id = petition_id order by id
        """,
        limit,
    )
    return [UnreadPetition(*row.values()) for row in rows]


class PendingSupplement(NamedTuple):
    """A supplement that waits until its petition is read."""

    petition_id: UUID
    id: UUID
    received_at: datetime
    traceparent: str | None


async def pending_supplements(tx: Transaction, ids: Sequence[UUID]) -> list[PendingSupplement]:
    """What was added to these petitions before they were read, in order."""
    rows = await tx.fetch(
        """
        select petition_id, id, received_at, traceparent from supplements
        where petition_id = any($1::uuid[]) and not said order by petition_id, id
        """,
        list(ids),
    )
    return [PendingSupplement(*row.values()) for row in rows]


class Read(NamedTuple):
    """A petition that was read, and how many events are said of it."""

    petition_id: UUID
    reading: Reading
    said_seq: int


async def save_read(tx: Transaction, read: Sequence[Read], policy: int, now: datetime) -> None:
    """Keep readings; the petitions leave the queue, and their supplements count as said."""
    await tx.execute(
        """
        with news as (
            select * from unnest($1::uuid[], $2::text[], $3::text[], $4::int[])
                as t (petition_id, state, doc, said_seq)
        ), kept as (
            insert into readings (petition_id, n, policy, state, doc, read_at)
            select petition_id, 1, $5, state, doc::jsonb, $6 from news
        ), told as (
            update receipts r set read_at = $6, said_seq = news.said_seq
            from news where r.petition_id = news.petition_id
        ), said as (
            update supplements s set said = true
            from news where s.petition_id = news.petition_id and news.said_seq > 1 and not s.said
        )
        delete from unread where petition_id = any($1::uuid[])
        """,
        [one.petition_id for one in read],
        [one.reading.state for one in read],
        [dump(one.reading).decode() for one in read],
        [one.said_seq for one in read],
        policy,
        now,
    )


async def queue(tx: Transaction) -> tuple[int, UUID | None]:
    """How many petitions wait to be read (counted up to 100,001), and the oldest."""
    row = await tx.fetchrow(
        """
        select (select count(*) from (select 1 from unread limit 100001) few) as depth,
               (select petition_id from unread order by petition_id limit 1) as oldest
        """
    )
    assert row is not None
    return row["depth"], row["oldest"]


async def behind(tx: Transaction, most_unread: int, most_waiting: int) -> tuple[int, int]:
    """How many petitions are unread and how many events wait to be said, up to these.

    The outbox is counted only where the span of its ids says that there may be so many.
    """
    row = await tx.fetchrow(
        """
        select (select count(*) from (select 1 from unread limit $1) few) as unread,
               case when (select max(id) from outbox) - (select min(id) from outbox) < $2 - 1
                    then 0
                    else (select count(*) from (select 1 from outbox limit $2) few) end as waiting
        """,
        most_unread,
        most_waiting,
    )
    assert row is not None
    return row["unread"], row["waiting"]


class KeptReading(NamedTuple):
    """A reading as it was made; `doc` is JSON."""

    n: int
    policy: int
    doc: str
    read_at: datetime


async def readings_of(tx: Transaction, petition_id: UUID) -> list[KeptReading]:
    """All readings of a petition, the first one first."""
    rows = await tx.fetch(
        "select n, policy, doc::text, read_at from readings where petition_id = $1 order by n",
        petition_id,
    )
    return [KeptReading(*row.values()) for row in rows]


async def waits_to_be_read(tx: Transaction, petition_id: UUID) -> bool:
    """Whether a petition is unread; if so it stays unread until this transaction ends."""
    found = await tx.fetchval("select 1 from unread where petition_id = $1 for update", petition_id)
    return found is not None


async def add_supplement(
    tx: Transaction, petition_id: UUID, added: Addition, *, said: bool
) -> bool:
    """Keep what a resident added; False if there is something under its key already."""
    # One who has this key and has not committed yet is waited for.
    new = await tx.fetchval(
        """
        insert into supplements (petition_id, said, id, text, received_at, idempotency_key,
                                 body_hash, traceparent)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (petition_id, idempotency_key) where idempotency_key is not null do nothing
        returning id
        """,
        petition_id,
        said,
        *added,
    )
    return new is not None


class KeptSupplement(NamedTuple):
    """What was kept under an idempotency key."""

    id: UUID
    received_at: datetime
    body_hash: bytes


async def supplement_of_key(tx: Transaction, petition_id: UUID, key: str) -> KeptSupplement:
    """What was added to a petition under this key, which is known to be there."""
    row = await tx.fetchrow(
        """
        select id, received_at, body_hash from supplements
        where petition_id = $1 and idempotency_key = $2
        """,
        petition_id,
        key,
    )
    assert row is not None
    return KeptSupplement(*row.values())
