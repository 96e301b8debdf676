"""Real PostgreSQL, real transactions; what may happen around a commit happens here."""

from __future__ import annotations

from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from shared import outbox
from tests.simulation.scheduling import CURRENT, point, tell

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

LOCK_MS = 25
"""Whoever waits for somebody frozen waits in vain: the world stands still meanwhile."""


READING = 0.4
"""There are many readings in a transaction: each is less likely to be a place to stand still."""


class Database:
    """One service's database: a few connections, and whether it can be reached."""

    def __init__(self, service: str, dsn: str) -> None:
        self.service, self.dsn = service, dsn
        self.up = True
        self.idle: list[Connection] = []
        self.tables: list[str] = []

    async def connection(self) -> Connection:
        """A connection that nobody uses."""
        if self.idle:
            return self.idle.pop()
        return await asyncpg.connect(
            self.dsn,
            server_settings={
                "lock_timeout": str(LOCK_MS),
                "timezone": "UTC",
                "jit": "off",
                "plan_cache_mode": "force_custom_plan",
                "application_name": f"simulation {self.service}",
            },
        )

    def give_back(self, connection: Connection) -> None:
        """It may be used again."""
        if not connection.is_closed():
            self.idle.append(connection)

    async def empty(self, keeps: frozenset[str]) -> None:
        """As it was before anything happened."""
        connection = await self.connection()
        if not self.tables:
            rows = await connection.fetch(
                "select tablename from pg_tables where schemaname = 'public' order by 1"
            )
            self.tables = [row["tablename"] for row in rows if row["tablename"] not in keeps]
        await connection.execute(f"truncate {', '.join(self.tables)} restart identity")
        await connection.execute("update epochs set epoch = 1")
        await connection.execute("insert into census default values")
        self.give_back(connection)

    async def backup(self) -> dict[str, bytes]:
        """Everything that it holds."""
        connection = await self.connection()
        kept = {}
        for table in self.tables:
            rows = BytesIO()
            await connection.copy_from_table(table, output=rows, format="binary")
            kept[table] = rows.getvalue()
        self.give_back(connection)
        return kept

    async def restore(self, kept: dict[str, bytes]) -> None:
        """As it was at the backup, in a new epoch."""
        connection = await self.connection()
        async with connection.transaction():
            await connection.execute(f"truncate {', '.join(self.tables)}")
            for table, rows in kept.items():
                await connection.copy_to_table(table, source=BytesIO(rows), format="binary")
            await outbox.raise_epoch(connection)
        self.give_back(connection)

    async def rows(self, sql: str, *values: object) -> list[asyncpg.Record]:
        """What it holds, for whoever looks at the world from outside."""
        connection = await self.connection()
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            self.give_back(connection)

    async def close(self) -> None:
        """The end of the run."""
        for connection in self.idle:
            await connection.close()
        self.idle.clear()


class Pool:
    """What a process takes for its pool of connections."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def acquire(self, *, timeout: float | None = None) -> Lease:
        """A connection for a while."""
        return Lease(self.database)


class Lease:
    """`async with pool.acquire() as connection`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.held: Connection | None = None

    async def __aenter__(self) -> Held:
        if not self.database.up:
            raise ConnectionRefusedError(f"the database of {self.database.service} is away")
        self.held = await self.database.connection()
        return Held(self.held)

    async def __aexit__(self, *_: object) -> None:
        assert self.held is not None
        self.database.give_back(self.held)


class Held:
    """A connection; its outermost transaction has points around its commit."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.deep = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    async def fetch(self, *query: Any, **how: Any) -> Any:
        """Rows; whoever has read them may stand still before he writes what he makes of them."""
        rows = await self.connection.fetch(*query, **how)
        if self.deep:
            await point("after reading", "freeze", often=READING)
        return rows

    def transaction(self, **how: Any) -> Any:
        """The outermost one, or a savepoint in it."""
        real = self.connection.transaction(**how)
        return real if self.deep else Outermost(self, real)


class Outermost:
    """A transaction, committed for good or not at all; whoever commits may not learn which."""

    def __init__(self, held: Held, real: Any) -> None:
        self.held, self.real = held, real

    async def __aenter__(self) -> None:
        self.held.deep = True
        await self.real.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.held.deep = False
        if error is not None:
            await self.real.rollback()
            return
        await self.may_be_stopped()
        await self.real.commit()
        if await point("after its commit", "crash", "freeze", "lost") == "lost":
            raise lost("after its commit: done, and it does not know")

    async def may_be_stopped(self) -> None:
        """What happens before the commit; whatever it is, all is undone."""
        try:
            fate = await point("before its commit", "crash", "freeze", "lost")
        except BaseException:
            await self.real.rollback()
            raise
        if fate == "lost":
            await self.real.rollback()
            raise lost("before its commit: undone")


def lost(when: str) -> Exception:
    """The connection is gone."""
    if CURRENT.get() is not None:
        tell(f"loses its connection {when}")
    return asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
