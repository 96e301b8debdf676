"""From records to what was said: decoding, positions as rows, and the parked table.

A record is `Heard`, or `Unreadable` (theirs: parked, with the reason). A type that the contract
does not know is neither: readers are deployed before writers, so its partition stops.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from shared.events import MODELS, Data, Envelope, Order, Topic
from shared.kafka import Record
from shared.outbox import pack, unpack
from shared.postgres import Transaction

TOO_MANY_IN_A_ROW = 100


class Heard(NamedTuple):
    """An event as it was said, and the record that carried it."""

    record: Record
    envelope: Envelope
    data: Data


class Unreadable(NamedTuple):
    """A record that breaks the contract; `reason` never quotes its content."""

    record: Record
    reason: str


class UnknownType(NamedTuple):
    """A record of a type or version that this code does not know."""

    record: Record
    type: str


Decoded: TypeAlias = Heard | Unreadable | UnknownType


@dataclass(frozen=True, slots=True)
class Batch:
    """What a handler is given: records in order within each partition."""

    topic: Topic
    events: Sequence[Heard]
    unreadable: Sequence[Unreadable] = ()


Handle = Callable[[Batch, Transaction, datetime], Awaitable[None]]
"""Everything that a batch changes happens in this transaction; `now` is promise time."""


class Fenced(Exception):
    """Another process moved our positions on: what we were making is undone (weather)."""


@dataclass(slots=True)
class Progress:
    """Where this process is on a topic, for metrics and lag tools."""

    offsets: dict[int, int] = field(default_factory=dict)
    appended_at: datetime | None = None


def names_of(model: type[Data]) -> set[str]:
    """Every name of a field in this model and those derived from it."""
    names = {one for name, field in model.model_fields.items() for one in (name, field.alias)}
    return {name for name in names if name}.union(*map(names_of, model.__subclasses__()))


FIELD_NAMES = names_of(Data)


def reason_of(error: ValidationError) -> str:
    """What broke, by field and kind; never the value or a key, which could be anybody's."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(place_of, problem['loc']))}: {problem['type']}" for problem in problems[:5]
    )


def place_of(part: str | int) -> str:
    """A step on the way to what broke: a name of the contract or a number, as it is."""
    return str(part) if isinstance(part, int) or part in FIELD_NAMES else "(key)"


def decode(record: Record) -> Decoded:
    """Read one record against the contract."""
    headers = record.headers
    try:
        name = headers["ce_type"].decode()
        envelope = Envelope(
            event_id=UUID(headers["ce_id"].decode()),
            type=name,
            source=headers["ce_source"].decode(),
            subject=record.key,
            order=Order(int(headers["ce_epoch"]), int(headers["ce_seq"])),
            occurred_at=datetime.fromisoformat(headers["ce_time"].decode()),
            caused_by=headers["ce_causedby"].decode(),
            clock=headers["ce_clock"].decode(),
            traceparent=headers["traceparent"].decode() if "traceparent" in headers else None,
        )
    except KeyError as missing:
        return Unreadable(record, f"header {missing.args[0]} is missing")
    except ValueError as wrong:
        return Unreadable(record, f"a header is not readable: {type(wrong).__name__}")
    if envelope.occurred_at.tzinfo is None:
        return Unreadable(record, "header ce_time has no time zone")
    model = MODELS[record.topic].get(name)
    if model is None:
        return UnknownType(record, name)
    if record.value is None:
        return Unreadable(record, "the value is empty")
    try:
        data = model.model_validate_json(record.value)
    except ValidationError as wrong:
        return Unreadable(record, reason_of(wrong))
    return Heard(record, envelope, data)


def decoded(records: Sequence[Record]) -> tuple[Batch | None, dict[int, str]]:
    """A batch up to the first unknown type of each partition, and those partitions."""
    events: list[Heard] = []
    unreadable: list[Unreadable] = []
    stopped: dict[int, str] = {}
    for record in records:
        if record.partition in stopped:
            continue
        match decode(record):
            case Heard() as heard:
                events.append(heard)
            case Unreadable() as bad:
                unreadable.append(bad)
            case UnknownType(_, name):
                stopped[record.partition] = name
    if not events and not unreadable:
        return None, stopped
    return Batch(records[0].topic, events, unreadable), stopped


def next_offsets(batch: Batch) -> tuple[dict[int, int], dict[int, int]]:
    """(first, after the last) offset of each partition in a batch."""
    first: dict[int, int] = {}
    after: dict[int, int] = {}
    for record in [e.record for e in batch.events] + [u.record for u in batch.unreadable]:
        p, offset = record.partition, record.offset
        first[p] = min(first.get(p, offset), offset)
        after[p] = max(after.get(p, 0), offset + 1)
    return first, after


# ---------------------------------------------------------------- positions are rows


async def positions(tx: Transaction, topic: Topic, partitions: Sequence[int]) -> dict[int, int]:
    """Where this database is on each partition."""
    rows = await tx.fetch(
        """
        select partition, next_offset from offsets
        where topic = $1 and partition = any($2::int[])
        """,
        topic.value,
        list(partitions),
    )
    return {row["partition"]: row["next_offset"] for row in rows}


async def advance(
    tx: Transaction, topic: Topic, expected: Mapping[int, int], after: Mapping[int, int]
) -> None:
    """Move the positions in the transaction of what they stand for.

    Raises `Fenced` when a position is not where this process believes it is.
    """
    partitions = sorted(after)
    moved = await tx.fetch(
        """
        insert into offsets as o (topic, partition, next_offset)
        select $1, * from unnest($2::int[], $4::bigint[])
        on conflict (topic, partition) do update set next_offset = excluded.next_offset
        where o.next_offset = ($3::bigint[])[array_position($2::int[], o.partition)]
        returning partition
        """,
        topic.value,
        partitions,
        [expected.get(p, 0) for p in partitions],
        [after[p] for p in partitions],
    )
    if len(moved) != len(partitions):
        raise Fenced(f"{topic}: {len(partitions) - len(moved)} positions were moved by another")


# ---------------------------------------------------------------- parked


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


async def replayed(tx: Transaction, ids: Sequence[int]) -> None:
    """These were handled after all."""
    await tx.execute(
        """
        update parked set settled_at = clock_timestamp(), settled_as = 'replayed'
        where id = any($1::bigint[])
        """,
        list(ids),
    )


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
