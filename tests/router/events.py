"""What the router hears and says, as records of Kafka and rows of its own tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from services.router.decisions.case import Case, case_of, case_with
from services.router.handlers.orders import Orders
from services.router.handlers.petitions import Petitions
from services.router.handlers.policies import Policies
from shared import hearing
from shared.clock import Clock
from shared.divisions import Tier
from shared.events import (
    CaseChanged,
    Data,
    DeadlineBreached,
    Envelope,
    Order,
    PetitionReceived,
    PetitionSupplemented,
    Reading,
    Topic,
    derived_id,
    dump,
)
from shared.hearing import Done, Handle, Heard
from shared.kafka import Record
from shared.outbox import headers_of, unpack
from shared.postgres import Pool, Transaction, transaction
from tests.router.stories import GRID, NOON, RUBBISH

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
REAL = Clock()


def petition_id(n: int) -> UUID:
    """The id of a petition, as long as a real one."""
    return UUID(int=(0x018F_5000_0000_7000_8000 << 48) + n)


def receipt(category: str | None = RUBBISH, division: str = GRID, **more: Any) -> PetitionReceived:
    """The first event of a petition, whose reading is sure."""
    reading = Reading(
        category=category, basis="given" if category else "none", division=division,
        placed_by="code", **more.pop("reading", {}),
    )  # fmt: skip
    fields = {
        "type": "casegrid.petition.received.v1",
        "number": "20240520-000001-7",
        "channel": "phone",
        "kind": "report",
        "received_at": NOON,
        "reading": reading,
        "contact": True,
        "policy": 1,
    }
    return PetitionReceived.model_validate(fields | more)


def supplement() -> PetitionSupplemented:
    """The resident added something."""
    return PetitionSupplemented(type="casegrid.petition.supplemented.v1", received_at=NOON)


def breach(
    clock: str, generation: int, tier: Tier | None, action: str = "promote"
) -> DeadlineBreached:
    """An order of escalation."""
    return DeadlineBreached.model_validate(
        {
            "type": "casegrid.deadline.breached.v1",
            "clock": clock,
            "generation": generation,
            "tier": tier,
            "action": action,
            "due_at": NOON,
            "fired_at": NOON,
        }
    )


class Said(NamedTuple):
    """What one event says of which subject, and its place among those of the subject."""

    data: Data
    subject: UUID | str
    seq: int = 1
    epoch: int = 1

    def record(self, topic: Topic, offset: int) -> Record:
        """The record as Kafka gives it."""
        envelope = Envelope(
            event_id=derived_id("test", self.subject, self.epoch, self.seq),
            type=getattr(self.data, "type"),  # noqa: B009
            source="casegrid/test",
            subject=str(self.subject),
            order=Order(self.epoch, self.seq),
            occurred_at=NOON,
            caused_by="http:0197c5a0-0000-7000-8000-000000000001",
            clock="real",
            traceparent=TRACE,
        )
        headers = dict(headers_of(envelope))
        return Record(topic, 0, offset, envelope.subject, dump(self.data), headers, NOON)


def records(topic: Topic, said: Sequence[Said | Record], offset: int = 0) -> list[Record]:
    """Records one after the other."""
    return [
        one if isinstance(one, Record) else one.record(topic, offset + n)
        for n, one in enumerate(said)
    ]


def spoilt(record: Record, value: bytes = b'{"type":') -> Record:
    """The same record with a value that nobody can read."""
    return record._replace(value=value)


class Router:
    """The router's handlers on a database, each batch in one transaction as the skeleton does."""

    def __init__(self, pool: Pool, policies: Policies, epoch: int = 1) -> None:
        self.pool = pool
        self.petitions = Petitions(policies, epoch, REAL)
        self.orders = Orders(policies, epoch, REAL)
        self.offset = 0

    async def hear(self, *said: Said | Record, now: datetime = NOON) -> list[Record]:
        """A batch of intake.events; the records that carried it."""
        return await self.batch(Topic.INTAKE, self.petitions.handle, said, now)

    async def order(self, *said: Said | Record, now: datetime = NOON) -> list[Record]:
        """A batch of escalation.events."""
        return await self.batch(Topic.ESCALATION, self.orders.handle, said, now)

    async def batch(
        self, topic: Topic, handle: Handle, said: Sequence[Said | Record], now: datetime
    ) -> list[Record]:
        """Records, delivered once."""
        batch = records(topic, said, self.offset)
        self.offset += len(batch)
        async with transaction(self.pool) as tx:
            done = await deliver(tx, handle, batch, now)
        if done is not None:
            done()
        return batch


async def deliver(
    tx: Transaction, handle: Handle, batch: Sequence[Record], now: datetime = NOON
) -> Done | None:
    """What the skeleton does with records: decode, park, handle; returns what is to be counted."""
    decoded, unknown = hearing.decoded(batch)
    assert not unknown
    assert decoded is not None
    await hearing.park(tx, decoded.unreadable)
    return await handle(decoded, tx, now)


# ---------------------------------------------------------------- what is in the tables

TABLES = (
    "cases", "duties", "waiting", "history", "blocked_cases", "outbox", "parked", "tally",
    "tally_deltas", "commands",
)  # fmt: skip


async def contents(pool: Pool) -> dict[str, list[str]]:
    """Every row of every table that a case can be in."""
    async with pool.acquire() as connection:
        return {
            table: sorted([repr(row) for row in await connection.fetch(f"select * from {table}")])
            for table in TABLES
        }


async def cases(pool: Pool) -> dict[UUID, Case]:
    """Every case as it stands, in an order of no chance."""
    async with pool.acquire() as connection:
        rows = await connection.fetch("select doc from cases order by case_id")
    found = [case_of(row["doc"]) for row in rows]
    return {case.id: case for case in found}


async def outbox(pool: Pool) -> list[Heard]:
    """What the router said, as a reader decodes it, in order."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "select * from outbox where topic = 'router.events' order by id"
        )
    heard = []
    for row in rows:
        headers = dict(unpack(row["headers"]))
        record = Record(
            Topic.ROUTER, row["lane"], row["id"], row["key"], row["value"], headers, row["said_at"]
        )
        one = hearing.decode(record)
        assert isinstance(one, Heard), one
        heard.append(one)
    return heard


def snapshot_of(heard: Heard) -> CaseChanged:
    """The event's data."""
    assert isinstance(heard.data, CaseChanged)
    return heard.data


async def replayed_history(pool: Pool, case_id: UUID) -> Case:
    """The case as its history tells it: every change applied, one after the other."""
    whole: dict[str, Any] = {}
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "select changed from history where case_id = $1 order by epoch, seq", case_id
        )
    for row in rows:
        whole |= orjson.loads(row["changed"])
    return case_with(whole)
