"""Whole lives of cases through the router's own handlers: how many a second, and their bytes.

Each case has twelve events, eleven of them commands in transactions of their own, as HTTP gives
them; the database is a real one with safe commits, and eight officers work at once.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from bench.costs import cpu_by_process
from bench.run import free_ports
from deploy.local.postgres import Postgres
from services.router.handlers.commands import Commands
from services.router.handlers.petitions import Petitions
from services.router.handlers.policies import Policies, load_default
from shared import postgres
from shared.clock import Clock
from shared.divisions import CITY
from shared.events import Envelope, Order, PetitionReceived, Topic, dump
from shared.hearing import Batch, Heard
from shared.identity import Actor
from shared.kafka import Record
from shared.outbox import headers_of

MIGRATIONS: Final = Path(__file__).parents[1] / "services" / "router" / "migrations"
GRID: Final = "210212001001001"
NEXT_GRID: Final = "210212001001002"
AT_ONCE: Final = 8
BATCH: Final = 200
ABLE: Final = frozenset(
    {
        "grid_head", "grid_worker", "community_officer", "street_cadre", "street_dispatcher",
        "district_dispatcher", "city_dispatcher",
    }
)  # fmt: skip
DOER, CHECKER = Actor("doer", ABLE, CITY), Actor("checker", ABLE, CITY)


SIZES: Final = """
    select pg_current_wal_lsn() - '0/0'::pg_lsn as wal,
           pg_database_size(current_database()) - pg_total_relation_size('outbox') as kept
    """


class Command(NamedTuple):
    """What is asked, and by whom."""

    body: Mapping[str, str]
    who: Actor = DOER


def life(at: str) -> list[Command]:
    """From the opening to the archive, with a wrong desk, a step up and a step back on the way."""
    return [
        Command({"command": "classify", "category": "E0102"}),
        Command({"command": "place", "division": NEXT_GRID}),
        Command({"command": "sign"}),
        Command({"command": "verify", "at": at, "finding": "a heap", "evidence": "photo 1"}),
        Command({"command": "reroute", "division": GRID, "reason": "correction"}),
        Command({"command": "sign"}),
        Command({"command": "promote", "reason": "beyond_authority"}),
        Command({"command": "sign"}),
        Command({"command": "reply", "text": "今天清理，由社区负责"}),
        Command({"command": "resolve", "result": "清理完毕"}),
        Command({"command": "close", "callback": "answered"}, CHECKER),
    ]


@dataclass(frozen=True, slots=True)
class Lived:
    """What it came to: wall seconds, and the bytes of what was said and kept."""

    lives: int
    events: int
    seconds: float
    event_bytes: float
    opened_bytes: float
    largest_bytes: int
    history_bytes: float
    refused: int
    cpu_us: Mapping[str, float]
    """CPU of one event: of the handlers, and of PostgreSQL."""
    wal_bytes: float
    database_bytes: float
    """Of one event; the event in the outbox, which is gone once it is sent, is not in it."""

    @property
    def per_second(self) -> float:
        """Whole lives a second."""
        return self.lives / self.seconds


async def live(data: Path, lives: int) -> Lived:
    """Give this many cases their whole lives in a database of their own."""
    shutil.rmtree(data, ignore_errors=True)
    server = Postgres(data / "postgres", free_ports().postgres)
    server.start()
    try:
        server.prepare(["casegrid_lives"])
        dsn = server.dsn("casegrid_lives")
        await postgres.migrate(dsn, "router", MIGRATIONS)
        async with postgres.open_pool(dsn, AT_ONCE, 5_000, "lives") as pool:
            return await Lives(pool, lives, lambda: cpu_seconds(server)).run()
    finally:
        server.stop()


def cpu_seconds(server: Postgres) -> float:
    """What PostgreSQL has used so far."""
    return sum(cpu_by_process({"postgres": server.pids()}).values())


def not_asked() -> float:
    """Whoever does not ask what PostgreSQL uses."""
    return 0.0


class Lives:
    """The router's handlers on one database; `cpu`: the seconds that PostgreSQL has used."""

    def __init__(
        self, pool: postgres.Pool, lives: int, cpu: Callable[[], float] = not_asked
    ) -> None:
        self.pool, self.clock, self.cpu = pool, Clock(), cpu
        self.policies = Policies(pool)
        self.ids = [uuid7() for _ in range(lives)]
        self.refused = 0

    async def run(self) -> Lived:
        """Open all, then work through them."""
        await load_default(self.pool, 1, self.clock)
        async with self.pool.acquire() as connection:
            await self.policies.refresh(connection)
            before = await connection.fetchrow(SIZES)
        used, theirs = time.process_time(), self.cpu()
        begun = time.monotonic()
        for n in range(0, len(self.ids), BATCH):
            await self.open(self.ids[n : n + BATCH])
        queue: asyncio.Queue[UUID] = asyncio.Queue()
        for id_ in self.ids:
            queue.put_nowait(id_)
        async with asyncio.TaskGroup() as officers:
            for _ in range(AT_ONCE):
                officers.create_task(self.work(queue))
        seconds = time.monotonic() - begun
        used, theirs = time.process_time() - used, self.cpu() - theirs
        async with self.pool.acquire() as connection:
            after = await connection.fetchrow(SIZES)
            row = await connection.fetchrow(
                """
                select count(*) as events, avg(octet_length(value))::float8 as event_bytes,
                       max(octet_length(value)) as largest,
                       (select avg(octet_length(value))::float8 from outbox
                        where convert_from(headers, 'utf8') like '%case.opened%') as opened,
                       (select avg(pg_column_size(h))::float8 from history h) as history
                from outbox where topic = 'router.events'
                """
            )
        assert row is not None
        assert before is not None
        assert after is not None
        events = row["events"]
        return Lived(
            len(self.ids), events, seconds, row["event_bytes"], row["opened"],
            row["largest"], row["history"], self.refused,
            cpu_us={"router": used / events * 1e6, "postgres": theirs / events * 1e6},
            wal_bytes=float(after["wal"] - before["wal"]) / events,
            database_bytes=(after["kept"] - before["kept"]) / events,
        )  # fmt: skip

    async def open(self, ids: Sequence[UUID]) -> None:
        """A batch of petitions."""
        now = self.clock.now()
        events = [received(id_, now) for id_ in ids]
        handler = Petitions(self.policies, 1, self.clock)
        async with postgres.transaction(self.pool) as tx:
            done = await handler.handle(Batch(Topic.INTAKE, events, []), tx, now)
        if done is not None:
            done()

    async def work(self, queue: asyncio.Queue[UUID]) -> None:
        """An officer: case after case, each to its end."""
        commands = Commands(self.policies, 1, self.clock)
        while not queue.empty():
            id_ = queue.get_nowait()
            for n, asked in enumerate(life(self.clock.now().isoformat())):
                raw, now = orjson.dumps(asked.body), self.clock.now()
                async with postgres.transaction(self.pool) as tx:
                    answer = await commands.give(tx, id_, raw, asked.who, f"{id_}/{n}", None, now)
                self.refused += getattr(answer, "status", 404) != 200


def received(id_: UUID, now: datetime) -> Heard:
    """A petition as the router hears it."""
    reading: dict[str, Any] = {
        "category": "E0102", "division": GRID, "basis": "given", "placed_by": "code",
    }  # fmt: skip
    data = PetitionReceived.model_validate(
        {
            "type": "casegrid.petition.received.v1", "number": f"bench-{id_.hex[:8]}",
            "channel": "app", "kind": "report", "received_at": now - timedelta(seconds=1),
            "reading": reading, "contact": True, "policy": 1,
        }
    )  # fmt: skip
    envelope = Envelope(
        event_id=id_,
        type=data.type,
        source="bench",
        subject=str(id_),
        order=Order(1, 1),
        occurred_at=now,
        caused_by="bench",
        clock=Clock().name,
    )
    headers = dict(headers_of(envelope))
    record = Record(Topic.INTAKE, 0, 0, str(id_), dump(data), headers, datetime.now(UTC))
    return Heard(record, envelope, data)
