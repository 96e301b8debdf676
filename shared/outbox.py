"""Say this when the transaction commits; and the relay that carries it to Kafka.

A handler appends `Saying`s to its transaction. One relay per service reads the oldest rows of all
lanes, sends one batch per lane, and deletes what the broker acknowledged. Two relays would
overtake each other, so each holds a session lock; reading "after the last id" would skip rows
that commit late, so it always starts at the oldest row.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID

import orjson

from shared.events import Data, Envelope, Topic, dump
from shared.failpoints import passing
from shared.kafka import Lane, Message, lane_of, read_to_end, size_of
from shared.postgres import Transaction
from shared.settings import Settings

RELAY_LOCK = 7_710_002
ROUND = 2_000


class Saying(NamedTuple):
    """An event to be said when the transaction commits."""

    topic: Topic
    envelope: Envelope
    data: Data


class Row(NamedTuple):
    """A waiting row of the outbox."""

    id: int
    lane: Lane
    message: Message


Sent: TypeAlias = tuple[dict[Lane, int], dict[Lane, str]]
"""How many of each lane were acknowledged, and why a lane was refused for good."""

Send = Callable[[Mapping[Lane, Sequence[Message]]], Awaitable[Sent]]


def headers_of(envelope: Envelope) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0, binary mode; `epoch`, `seq`, `causedby` and `clock` are our extensions."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(envelope.event_id).encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_time", envelope.occurred_at.isoformat().encode()),
        ("content-type", b"application/json"),
        ("ce_epoch", str(envelope.order.epoch).encode()),
        ("ce_seq", str(envelope.order.seq).encode()),
        ("ce_causedby", envelope.caused_by.encode()),
        ("ce_clock", envelope.clock.encode()),
    ]
    if envelope.traceparent:
        headers.append(("traceparent", envelope.traceparent.encode()))
    return headers


def pack(headers: Iterable[tuple[str, bytes]]) -> bytes:
    """Headers as the outbox keeps them."""
    return orjson.dumps([(name, value.decode()) for name, value in headers])


def unpack(packed: bytes) -> list[tuple[str, bytes]]:
    """The headers of an outbox row."""
    return [(name, value.encode()) for name, value in orjson.loads(packed)]


async def append(tx: Transaction, sayings: Sequence[Saying]) -> None:
    """Say these when the transaction commits, in this order."""
    if not sayings:
        return
    envelopes = [saying.envelope for saying in sayings]
    await tx.execute(
        """
        insert into outbox (topic, lane, event_id, key, headers, value)
        select topic, lane, event_id, key, headers, value
        from unnest($1::text[], $2::smallint[], $3::uuid[], $4::text[], $5::bytea[], $6::bytea[])
            with ordinality as n (topic, lane, event_id, key, headers, value, place)
        order by place
        """,
        [saying.topic.value for saying in sayings],
        [lane_of(saying.topic, saying.envelope.subject) for saying in sayings],
        [envelope.event_id for envelope in envelopes],
        [envelope.subject for envelope in envelopes],
        [pack(headers_of(envelope)) for envelope in envelopes],
        [dump(saying.data) for saying in sayings],
    )


async def epoch(tx: Transaction) -> int:
    """The epoch of this database: raised when it was restored from a backup."""
    return int(await tx.fetchval("select epoch from epochs"))


async def raise_epoch(tx: Transaction, said: int = 0) -> int:
    """This database was restored from a backup: what it says from now on counts anew.

    `said`: the greatest epoch of this service that its topic shows. The backup may be of before
    another restore, whose epoch the database does not remember.
    """
    return int(
        await tx.fetchval("update epochs set epoch = greatest(epoch, $1) + 1 returning epoch", said)
    )


def own_topic(service: str) -> Topic:
    """Where a service says what it has to say."""
    return Topic(f"{service}.events")


async def epoch_said(
    settings: Settings, service: str, since: Mapping[int, int] | None = None
) -> int:
    """The greatest epoch that a service's own topic shows, beyond these offsets; 0 of nothing.

    What lies there and is no record of ours is passed by.
    """
    greatest = 0
    async for records, _, _ in read_to_end(settings, own_topic(service), since):
        for record in records:
            said = record.headers.get("ce_epoch", b"")
            if said.isdigit() and len(said) < 10:
                greatest = max(greatest, int(said))
    return greatest


async def waiting(tx: Transaction) -> tuple[int, float]:
    """How many rows wait, and the age of the oldest in seconds."""
    row = await tx.fetchrow(
        """
        select (select count(*) from (select 1 from outbox limit 100001) few) as depth,
               coalesce(extract(epoch from clock_timestamp() -
                   (select said_at from outbox order by id limit 1)), 0)::float8 as age
        """
    )
    assert row is not None
    return row["depth"], row["age"]


async def still_waiting(tx: Transaction, event_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these events have not left the outbox yet."""
    rows = await tx.fetch(
        "select event_id from outbox where event_id = any($1::uuid[])", list(event_ids)
    )
    return {row["event_id"] for row in rows}


async def oldest(tx: Transaction, resting: Sequence[Lane]) -> list[Row]:
    """The oldest waiting rows of all lanes that are not resting."""
    rows = await tx.fetch(
        """
        select id, topic, lane, key, headers, value from outbox
        where $1::text[] = '{}' or not (topic || '/' || lane) = any($1::text[])
        order by id limit $2
        """,
        [f"{topic}/{lane}" for topic, lane in resting],
        ROUND,
    )
    return [
        Row(
            row["id"],
            (Topic(row["topic"]), row["lane"]),
            Message(row["key"].encode(), row["value"], unpack(row["headers"])),
        )
        for row in rows
    ]


async def delete(tx: Transaction, ids: Sequence[int]) -> None:
    """These were acknowledged."""
    await tx.execute("delete from outbox where id = any($1::bigint[])", list(ids))


class RelayRound(NamedTuple):
    """What a round did; `more` when rows are left for the next at once.

    `sent_bytes` are those of keys, headers and values, before compression.
    """

    sent: Counter[Topic]
    sent_bytes: Counter[Topic]
    refused: dict[Lane, str]
    more: bool


async def relay_once(tx: Transaction, send: Send, resting: Sequence[Lane] = ()) -> RelayRound:
    """Carry the oldest rows to Kafka: one batch per lane, await all, one delete.

    Raises `shared.kafka.Unknown` when an answer is missing; nothing is deleted then.
    """
    rows = await oldest(tx, resting)
    lanes: dict[Lane, list[Row]] = {}
    for row in rows:
        lanes.setdefault(row.lane, []).append(row)
    if not lanes:
        return RelayRound(Counter(), Counter(), {}, more=False)
    passing("before_send")
    counts, refused = await send({k: [row.message for row in v] for k, v in lanes.items()})
    passing("after_send")
    done = [row for lane, n in counts.items() for row in lanes[lane][:n]]
    await delete(tx, [row.id for row in done])
    passing("after_delete")
    sent = Counter(row.lane[0] for row in done)
    sent_bytes: Counter[Topic] = Counter()
    for row in done:
        sent_bytes[row.lane[0]] += size_of(row.message)
    return RelayRound(sent, sent_bytes, refused, more=len(rows) == ROUND or len(done) < len(rows))


class Wake:
    """Tells the relay that something was committed; it looks every 20 ms anyway."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def call(self) -> None:
        """Something was committed."""
        self.event.set()

    async def wait(self, seconds: float) -> None:
        """Until the call, or that long."""
        try:
            async with asyncio.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            return
        finally:
            self.event.clear()
