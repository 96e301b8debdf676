"""PostgreSQL: the pool, the transaction, the migration runner. No SQL of any service.

A `Transaction` is a connection inside a transaction, and the only thing a store's functions take.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolAcquireContext

from shared import telemetry
from shared.failpoints import Step, passing

if TYPE_CHECKING:
    Transaction: TypeAlias = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Transaction = asyncpg.Connection
    Pool = asyncpg.Pool

logger = logging.getLogger(__name__)
SKELETON = Path(__file__).parent / "migrations"
OUTSIDE = "-- outside a transaction"
"""How a migration begins whose statements run one by one: `create index concurrently`."""
MIGRATION_LOCK_MS = 1_000
MIGRATION_TRIES = 300
"""[ours] So often a migration asks for its locks: some ten minutes."""

WEATHER = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What passes by itself: the same transaction may be tried again."""


FROZEN_SECONDS = 8
"""So long a process may stand still in a transaction and keep its locks: others of its service are
to have taken over by 15 s."""


def session(lock_timeout_ms: int, name: str, idle_seconds: int) -> dict[str, str]:
    """The settings of each connection: no lock is waited for, or held by a frozen process, without
    end, and time is UTC. `idle_seconds`: between two statements of a transaction."""
    return {
        "application_name": name,
        "timezone": "UTC",
        "lock_timeout": str(lock_timeout_ms),
        "idle_in_transaction_session_timeout": str(idle_seconds * 1000),
        # A client that was frozen while it is answered is not idle: its connection is full.
        "tcp_user_timeout": str(FROZEN_SECONDS * 1000),
        "jit": "off",
        "plan_cache_mode": "force_custom_plan",
    }


class Acquiring(PoolAcquireContext):
    """Waiting for a connection, and telling how long it took, also in vain."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        """Wait."""
        with telemetry.POOL_WAIT.time():
            return await super().__aenter__()


class WatchedPool(asyncpg.Pool):
    """A pool that measures how long whoever wants a connection waits for it."""

    def acquire(self, *, timeout: float | None = None) -> Acquiring:
        """`async with pool.acquire(timeout=…) as connection`."""
        return Acquiring(self, timeout)


@asynccontextmanager
async def open_pool(dsn: str, size: int, lock_timeout_ms: int, name: str) -> AsyncIterator[Pool]:
    """A pool that never waits: with the database away it opens empty, and closes by force."""
    pool: Pool = WatchedPool(
        dsn,
        min_size=0,
        max_size=size,
        max_queries=50_000,
        max_inactive_connection_lifetime=300,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        command_timeout=60,
        timeout=10,
        server_settings=session(lock_timeout_ms, name, FROZEN_SECONDS),
    )
    await pool
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()


@asynccontextmanager
async def transaction(pool: Pool, step: Step | None = None) -> AsyncIterator[Transaction]:
    """A connection in a transaction: committed at the end, rolled back by any exception.

    `step` is what failpoints call it.
    """
    async with pool.acquire(timeout=10) as connection, connection.transaction():
        yield connection
        if step is not None:
            passing(f"before_{step}_commit")
    if step is not None:
        passing(f"after_{step}_commit")


async def connect(
    dsn: str, name: str, lock_timeout_ms: int = 5_000, command_timeout: float | None = 60
) -> asyncpg.Connection[asyncpg.Record]:
    """A dedicated connection outside any pool, for a session lock or a command."""
    settings = session(lock_timeout_ms, name, idle_seconds=60)
    return await asyncpg.connect(
        dsn, timeout=10, command_timeout=command_timeout, server_settings=settings
    )


def pending(folder: Path, done: set[str], prefix: str) -> list[tuple[str, str]]:
    """(name, SQL) of the numbered files that were not applied yet, in order."""
    return [
        (name, path.read_text())
        for path in sorted(folder.glob("[0-9]*.sql"))
        if (name := f"{prefix}/{path.name}") not in done
    ]


async def missing(tx: Transaction, service: str, folder: Path) -> list[str]:
    """The migrations of this version that the database does not have yet."""
    rows = []
    if await tx.fetchval("select to_regclass('schema_migrations') is not null"):
        rows = await tx.fetch("select name from schema_migrations")
    done = {row["name"] for row in rows}
    both = pending(SKELETON, done, "shared") + pending(folder, done, service)
    return [name for name, _ in both]


async def migrate(dsn: str, service: str, folder: Path) -> list[str]:
    """Apply the skeleton's migrations, then the service's own, once each; says which were new.

    A file may take as long as it takes; what was done before it stays done.
    """
    connection = await connect(dsn, f"{service}-migrate", MIGRATION_LOCK_MS, command_timeout=None)
    try:
        await patiently(lambda: connection.execute("select pg_advisory_lock(7710001)"))
        await connection.execute(
            "create table if not exists schema_migrations"
            " (name text primary key, applied_at timestamptz not null default now())"
        )
        rows = await connection.fetch("select name from schema_migrations")
        done = {row["name"] for row in rows}
        new = pending(SKELETON, done, "shared") + pending(folder, done, service)
        for name, sql in new:
            await patiently(partial(apply, connection, name, sql))
        return [name for name, _ in new]
    finally:
        await connection.close()


async def patiently(work: Callable[[], Awaitable[object]]) -> None:
    """Try again what did not get its lock. Who waits for one lets nobody pass: not for long."""
    for _ in range(MIGRATION_TRIES - 1):
        with suppress(asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            await work()
            return
        await asyncio.sleep(1)
    await work()


async def apply(connection: Transaction, name: str, sql: str) -> None:
    """One migration, and that it was applied: at once, or (marked) statement by statement."""
    keep = "insert into schema_migrations (name) values ($1)"
    if not sql.startswith(OUTSIDE):
        async with connection.transaction():
            await connection.execute(sql)
            await connection.execute(keep, name)
        return
    # It waits for transactions to end and keeps nobody waiting: it may wait.
    await connection.execute("set lock_timeout = 0")
    for statement in statements(sql):
        await connection.execute(statement)
    await connection.execute(keep, name)
    await connection.execute(f"set lock_timeout = {MIGRATION_LOCK_MS}")


def statements(sql: str) -> list[str]:
    """The statements of a marked file; none of them has a semicolon inside."""
    bare = re.sub(r"--[^\n]*", "", sql)
    return [statement for part in bare.split(";") if (statement := part.strip())]
