"""How far petitions are on their way, asked of the four databases and of Kafka.

`look` asks only for rows that are few, so that it may be asked while the load runs: positions are
rows, and each petition is one event on intake.events and, as long as no clock runs out, one on
router.events. `held` reads every id of every stage, afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from bench.ledger import Stage
from shared.events import Topic
from shared.kafka import Message, Record, read_to_end
from shared.outbox import ROUND
from shared.settings import Settings

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
OPENED = "casegrid.case.opened.v1"
POLICY_SECONDS = 60.0
RECEIVED = "casegrid.petition.received.v1"
STANDINGS = (
    "waiting", "in_hand", "solved_in_grid", "solved_higher", "consult_answered", "handed_off",
    "closed_otherwise",
)  # fmt: skip
"""A case has one of them (analytics): their counts add up to all cases counted."""


class Standing(NamedTuple):
    """Petitions that passed each stage; `waiting` are rows of queues and outboxes."""

    accepted: int
    read: int
    routed: int
    armed: int
    counted: int
    known: int
    waiting: int

    @property
    def through(self) -> int:
        """Petitions that are through all stages, the resident's receipt included."""
        return min(self.routed, self.armed, self.counted, self.known)


class Probe:
    """Four connections that ask."""

    def __init__(self, connections: Mapping[str, Connection], settings: Settings) -> None:
        self.connections = connections
        self.settings = settings

    async def look(self) -> Standing:
        """Where petitions stand now."""
        intake, router, escalation, analytics = await asyncio.gather(
            self._intake(),
            self._heard("router", Topic.INTAKE),
            self._heard("escalation", Topic.ROUTER),
            self._heard("analytics", Topic.ROUTER),
        )
        return Standing(
            accepted=intake["accepted"],
            read=intake["accepted"] - intake["unread"],
            routed=router["heard"],
            armed=escalation["heard"],
            counted=analytics["heard"],
            known=intake["heard"],
            waiting=intake["unread"] + intake["waiting"] + router["waiting"],
        )

    async def _intake(self) -> asyncpg.Record:
        row = await self.connections["intake"].fetchrow(
            """
            select (select case when is_called then last_value else 0 end
                    from petition_numbers) as accepted,
                   (select count(*) from unread) as unread,
                   (select coalesce(sum(next_offset), 0)::bigint from offsets
                    where topic = 'router.events') as heard,
                   (select count(*) from outbox) as waiting
            """
        )
        assert row is not None
        return row

    async def _heard(self, service: str, topic: Topic) -> asyncpg.Record:
        row = await self.connections[service].fetchrow(
            """
            select (select coalesce(sum(next_offset), 0)::bigint from offsets
                    where topic = $1) as heard,
                   (select count(*) from outbox) as waiting
            """,
            topic.value,
        )
        assert row is not None
        return row

    async def wait_for_policy(self) -> None:
        """Until intake has a policy to read by: before it, petitions are taken and not read."""
        async with asyncio.timeout(POLICY_SECONDS):
            while True:
                if await self.connections["intake"].fetchval("select 1 from policy_versions"):
                    return
                await asyncio.sleep(0.1)

    async def routed_at(self) -> dict[UUID, float]:
        """When each case was routed, by its own account: seconds of promise time since 1970."""
        rows = await self.connections["intake"].fetch(
            "select petition_id, routed_at from receipts where routed_at is not null"
        )
        return {row["petition_id"]: row["routed_at"].timestamp() for row in rows}

    async def held(self) -> list[Stage]:
        """The ids that each stage holds, in the order of the way."""
        ids = self._ids
        counted = await ids("analytics", "select case_id from contributions")
        tallied = await self.connections["analytics"].fetchval(
            """
            select coalesce(sum(n), 0)::bigint
            from (select name, n from tally union all select name, n from tally_deltas) both_
            where name = any($1::text[])
            """,
            [f"{standing}|tier" for standing in STANDINGS],
        )
        opened = "select case_id from history where event = 'opened'"
        receipts = "select petition_id from receipts where routed_at is not null"
        return [
            Stage("accepted", await ids("intake", "select id from petitions")),
            Stage("read", await ids("intake", "select petition_id from readings")),
            Stage("routed", await ids("router", "select case_id from cases")),
            Stage("in the history", await ids("router", opened)),
            Stage("armed", await ids("escalation", "select case_id from armed")),
            Stage("counted", counted, tallied),
            Stage("told to residents", await ids("intake", receipts)),
        ]

    async def _ids(self, service: str, query: str) -> list[UUID]:
        return [row[0] for row in await self.connections[service].fetch(query, timeout=120)]


@asynccontextmanager
async def probing(dsn: Callable[[str], str], settings: Settings) -> AsyncIterator[Probe]:
    """A probe of the databases that `dsn` names by service."""
    async with AsyncExitStack() as stack:
        connections: dict[str, Connection] = {}
        for service in ("intake", "router", "escalation", "analytics"):
            connection = await asyncpg.connect(dsn(service), timeout=10)
            stack.push_async_callback(connection.close)
            connections[service] = connection
        yield Probe(connections, settings)


class Published(NamedTuple):
    """What lies on a topic about petitions: each first event, when it was appended (seconds since
    1970), how large all records are before compression, and some of them."""

    stage: Stage
    appended_at: dict[UUID, float]
    records: int
    value_bytes: int
    bytes: int
    some: list[Message]


async def published(settings: Settings, topic: Topic, name: str, first: str) -> Published:
    """Read a topic to its end: `first` is the type of the event that a petition has once."""
    ids: list[UUID] = []
    appended_at: dict[UUID, float] = {}
    some: list[Message] = []
    records = value_bytes = header_bytes = 0
    async for batch, _, _ in read_to_end(settings, topic):
        for record in batch:
            if len(some) < ROUND:
                some.append(message_of(record))
            records += 1
            value_bytes += len(record.value or b"")
            header_bytes += sum(len(k) + len(v) for k, v in record.headers.items())
            if record.headers.get("ce_type") == first.encode():
                petition = UUID(record.key)
                ids.append(petition)
                appended_at[petition] = record.appended_at.timestamp()
    stage, size = Stage(name, ids), value_bytes + header_bytes
    return Published(stage, appended_at, records, value_bytes, size, some)


def message_of(record: Record) -> Message:
    """A record as it could be said again."""
    return Message(record.key.encode(), record.value or b"", list(record.headers.items()))
