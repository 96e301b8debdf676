"""What could not be read: kept with the reason, until a person settles it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from shared.events import Topic
from shared.hearing.decoding import Batch, Done, Handle, UnknownType, Unreadable, decode
from shared.kafka import Record
from shared.outbox import pack, unpack
from shared.postgres import Transaction

TOO_MANY_IN_A_ROW = 100


async def park(tx: Transaction, unreadable: Sequence[Unreadable]) -> None:
    """Keep what could not be read, with the reason and where it lay; a second time is none."""
    if not unreadable:
        return
    records = [bad.record for bad in unreadable]
    await tx.execute(
        """
        insert into parked (topic, partition, "offset", key, headers, value, appended_at, reason)
        select * from unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::bytea[],
                             $6::bytea[], $7::timestamptz[], $8::text[])
        on conflict do nothing
        """,
        [record.topic.value for record in records],
        [record.partition for record in records],
        [record.offset for record in records],
        [record.key.replace("\x00", "") for record in records],
        [pack_any(record.headers) for record in records],
        [record.value for record in records],
        [record.appended_at for record in records],
        [bad.reason for bad in unreadable],
    )


def pack_any(headers: Mapping[str, bytes]) -> bytes:
    """Headers of a stranger: what is not UTF-8 is kept readable."""
    return pack(
        (name, value.decode("utf-8", "replace").encode()) for name, value in headers.items()
    )


async def parked_under(tx: Transaction, topic: Topic, keys: Sequence[str]) -> dict[str, int]:
    """How many records of a topic wait under each of these keys."""
    rows = await tx.fetch(
        """
        select key, count(*) as n from parked
        where key = any($2::text[]) and topic = $1 and settled_at is null group by key
        """,
        topic.value,
        list(keys),
    )
    return {row["key"]: row["n"] for row in rows}


class StillParked(Exception):
    """A parked record that cannot be heard now either; the message says why, and quotes nothing."""


class Parked(NamedTuple):
    """A parked record: its row, why, and since when."""

    id: int
    record: Record
    reason: str
    parked_at: datetime


async def parked_of(tx: Transaction, key: str) -> list[Parked]:
    """What waits under a key, in the order it came."""
    rows = await tx.fetch(
        """
        select id, topic, partition, "offset", key, headers, value, appended_at, reason, parked_at
        from parked where key = $1 and settled_at is null order by id for update
        """,
        key,
    )
    return [parked_row(row) for row in rows]


async def parked_all(tx: Transaction, limit: int) -> list[Parked]:
    """The oldest waiting records."""
    rows = await tx.fetch(
        """
        select id, topic, partition, "offset", key, headers, value, appended_at, reason, parked_at
        from parked where settled_at is null order by id limit $1
        """,
        limit,
    )
    return [parked_row(row) for row in rows]


def parked_row(row: asyncpg.Record) -> Parked:
    """A row of the parked table."""
    record = Record(
        Topic(row["topic"]),
        row["partition"],
        row["offset"],
        row["key"],
        row["value"],
        dict(unpack(row["headers"])),
        row["appended_at"],
    )
    return Parked(row["id"], record, row["reason"], row["parked_at"])


async def parked_one(tx: Transaction, parked_id: int) -> Parked | None:
    """One that waits. It is not locked: whoever settles it says that it still waits."""
    row = await tx.fetchrow(
        """
        select id, topic, partition, "offset", key, headers, value, appended_at, reason, parked_at
        from parked where id = $1 and settled_at is null
        """,
        parked_id,
    )
    return None if row is None else parked_row(row)


async def replayed(tx: Transaction, ids: Sequence[int]) -> None:
    """These were handled after all."""
    await tx.execute(
        """
        update parked set settled_at = clock_timestamp(), settled_as = 'replayed'
        where id = any($1::bigint[])
        """,
        list(ids),
    )


async def replay(tx: Transaction, one: Parked, handle: Handle, now: datetime) -> Done | None:
    """Hear a parked record by itself, as its lane would have; it is settled then.

    Raises `StillParked` where it is as unreadable as before, or its handler parks it again; the
    transaction is to be rolled back then.
    """
    event = decode(one.record)
    if isinstance(event, UnknownType):
        raise StillParked("its type is unknown to this version")
    if isinstance(event, Unreadable):
        raise StillParked(event.reason)
    # Its place is free for so long: whether the handler parks it again can be seen.
    mine = await tx.fetchval(
        """
        update parked set settled_at = clock_timestamp(), settled_as = 'replayed',
                          partition = -1 - partition
        where id = $1 and settled_at is null returning id
        """,
        one.id,
    )
    if mine is None:
        raise StillParked("somebody else settled it at this moment")
    done = await handle(Batch(one.record.topic, [event]), tx, now)
    again = await tx.fetchval(
        """
        select reason from parked
        where topic = $1 and partition = $2 and "offset" = $3 and settled_at is null
        """,
        one.record.topic.value,
        one.record.partition,
        one.record.offset,
    )
    if again is not None:
        raise StillParked(again)
    await tx.execute("update parked set partition = -1 - partition where id = $1", one.id)
    return done


async def discard(tx: Transaction, parked_id: int, reason: str) -> bool:
    """Give one up, for a reason that is kept with it; says whether it was waiting."""
    done = await tx.fetchval(
        """
        update parked set settled_at = clock_timestamp(), settled_as = 'discarded: ' || $2
        where id = $1 and settled_at is null returning id
        """,
        parked_id,
        reason,
    )
    return done is not None


async def parked_count(tx: Transaction) -> int:
    """How many wait, up to 10,000."""
    return int(
        await tx.fetchval(
            "select count(*) from (select 1 from parked where settled_at is null limit 10000) few"
        )
    )


async def count_in_a_row(tx: Transaction, topic: Topic, parked: int, good: int) -> int:
    """How many records in a row were unreadable, remembered across restarts."""
    if not parked:
        if good:
            await tx.execute("delete from parked_in_a_row where topic = $1", topic.value)
        return 0
    return int(
        await tx.fetchval(
            """
            insert into parked_in_a_row as r (topic, n) values ($1, $2)
            on conflict (topic) do update
                set n = case when $3 then 0 else r.n end + excluded.n
            returning n
            """,
            topic.value,
            parked,
            good > 0,
        )
    )


async def in_a_row(tx: Transaction, topic: Topic) -> int:
    """How many records in a row were unreadable."""
    return int(
        await tx.fetchval("select n from parked_in_a_row where topic = $1", topic.value) or 0
    )


async def resume(tx: Transaction) -> None:
    """An operator looked: read on."""
    await tx.execute("delete from parked_in_a_row")
