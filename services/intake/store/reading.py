"""The reading queue, and the readings; with what was added before, and waits to be said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.petitions import UnreadPetition
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
    urges: bool


async def pending_supplements(tx: Transaction, ids: Sequence[UUID]) -> list[PendingSupplement]:
    """What was added to these petitions before they were read, in order."""
    rows = await tx.fetch(
        """
        select petition_id, id, received_at, traceparent, urges from supplements
        where petition_id = any($1::uuid[]) and not said order by petition_id, id
        """,
        list(ids),
    )
    return [PendingSupplement(*row.values()) for row in rows]


class Read(NamedTuple):
    """A petition that was read, and what had been added to it, in the order in which it is said."""

    petition_id: UUID
    reading: Reading
    added: tuple[UUID, ...] = ()

    @property
    def said_seq(self) -> int:
        """The last event that is said of it now."""
        return 1 + len(self.added)


async def save_read(tx: Transaction, read: Sequence[Read], policy: int, now: datetime) -> None:
    """Keep readings; the petitions leave the queue, and what was added to them counts as said."""
    said = [(added, seq) for one in read for seq, added in enumerate(one.added, start=2)]
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
            update supplements s set said = true, seq = added.seq
            from unnest($7::uuid[], $8::int[]) as added (id, seq) where s.id = added.id
        )
        delete from unread where petition_id = any($1::uuid[])
        """,
        [one.petition_id for one in read],
        [one.reading.state for one in read],
        [dump(one.reading).decode() for one in read],
        [one.said_seq for one in read],
        policy,
        now,
        [added for added, _ in said],
        [seq for _, seq in said],
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


class Unrouted(NamedTuple):
    """The oldest petition that is not routed; `caught_up`: whether all were looked through."""

    oldest: UUID | None
    caught_up: bool


async def oldest_unrouted(tx: Transaction, young: UUID, most: int) -> Unrouted:
    """Look at the next petitions, so many at most, for the oldest that is not routed.

    Where no older one is unrouted this is remembered, up to `young`: older ids may still come.
    """
    row = await tx.fetchrow(
        """
        with following as materialized (
            select petition_id, routed_at from receipts
            where petition_id > (select petition_id from routed_up_to)
            order by petition_id limit 1
        ), page as materialized (
            select petition_id, routed_at from receipts
            where petition_id >= (select petition_id from following)
            order by petition_id
            limit case when (select routed_at is null from following) then 1 else $2 end
        ), first as (
            select petition_id from page where routed_at is null order by petition_id limit 1
        ), passed as (
            update routed_up_to u set petition_id = last.petition_id
            from (select petition_id from page
                  where petition_id < least($1, (select petition_id from first))
                  order by petition_id desc limit 1) last
            where last.petition_id > u.petition_id
        )
        select (select petition_id from first) as oldest, (select count(*) from page) < $2 as whole
        """,
        young,
        most,
    )
    assert row is not None
    return Unrouted(row["oldest"], row["whole"] or row["oldest"] is not None)


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
