"""What this machine can do with nothing in between: rows into one table, records to Kafka.

The rows are petitions' bodies in batches of 200, each batch a transaction that is on disk when it
is answered. The records are those of router.events, sent as the relay sends them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import asyncpg
from uuid_utils.compat import uuid7

from shared.clock import wall
from shared.events import Topic
from shared.kafka import PARTITIONS, Lane, Message, Sender, create_topics
from shared.settings import Settings

BATCH = 200
SECONDS = 3.0
PREFIX = "raw."

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    Write: TypeAlias = Callable[[Connection, Sequence[str]], Awaitable[None]]


class Limit(NamedTuple):
    """A raw limit: rows or records, and millions of bytes, in a second."""

    name: str
    per_second: float
    mb_per_second: float


async def by_unnest(connection: Connection, docs: Sequence[str]) -> None:
    """One batch as arrays."""
    now = wall()
    await connection.execute(
        "insert into raw select * from unnest($1::uuid[], $2::timestamptz[], $3::text[])",
        [uuid7() for _ in docs],
        [now] * len(docs),
        docs,
    )


async def by_copy(connection: Connection, docs: Sequence[str]) -> None:
    """One batch by COPY."""
    now = wall()
    await connection.copy_records_to_table("raw", records=[(uuid7(), now, doc) for doc in docs])


WAYS: dict[str, Write] = {"unnest": by_unnest, "COPY": by_copy}


async def rows(dsn: str, docs: Sequence[str], seconds: float = SECONDS) -> list[Limit]:
    """Rows a second into a table of the database `dsn`, each way, by one and two connections."""
    batches = [docs[n : n + BATCH] for n in range(0, len(docs) - BATCH + 1, BATCH)]
    size = sum(len(doc.encode()) for batch in batches for doc in batch) / (len(batches) * BATCH)
    connections = [await asyncpg.connect(dsn) for _ in range(2)]
    limits = []
    try:
        for way, write in WAYS.items():
            for n in (1, 2):
                await connections[0].execute("drop table if exists raw")
                await connections[0].execute(
                    "create table raw (id uuid primary key, at timestamptz, doc text)"
                )
                done = await asyncio.gather(
                    *(written(c, write, batches, seconds) for c in connections[:n])
                )
                name = f"PostgreSQL, {way}, {n} connection{'s' * (n > 1)}"
                limits.append(Limit(name, sum(done), sum(done) * size / 1e6))
    finally:
        for connection in connections:
            await connection.close()
    return limits


async def written(
    connection: Connection, write: Write, batches: Sequence[Sequence[str]], seconds: float
) -> float:
    """Rows a second on one connection."""
    started, done = time.perf_counter(), 0
    for batch in cycle(batches):
        await write(connection, batch)
        done += len(batch)
        if time.perf_counter() - started > seconds:
            break
    return done / (time.perf_counter() - started)


async def records(
    settings: Settings, messages: Sequence[Message], seconds: float = SECONDS
) -> Limit:
    """Records a second to 12 lanes of a topic, one batch per lane at a time."""
    settings = settings.model_copy(update={"topic_prefix": PREFIX})
    await create_topics(settings)
    lanes: dict[Lane, list[Message]] = {}
    for n, message in enumerate(messages):
        lanes.setdefault((Topic.ROUTER, n % PARTITIONS[Topic.ROUTER]), []).append(message)
    size = sum(
        len(m.key) + len(m.value) + sum(len(k) + len(v) for k, v in m.headers) for m in messages
    ) / len(messages)
    sender = Sender(settings)
    try:
        await sender.send(lanes)
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            counts, _ = await sender.send(lanes)
            done += sum(counts.values())
        rate = done / (time.perf_counter() - started)
    finally:
        await sender.drop()
    return Limit("Kafka, 12 lanes, nothing in between", rate, rate * size / 1e6)
