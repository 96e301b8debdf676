"""A real PostgreSQL for the worlds: four migrated databases for each who runs worlds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from deploy.local.postgres import SUPERUSER, Postgres
from shared.postgres import migrate
from tests.servers import PostgresServer, fastest_place, free_port, session_directory
from tests.simulation.databases import Database
from tests.simulation.processes import SERVICES
from tests.simulation.world import Databases


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of our own; nothing of a world outlives its server, so nothing is synced."""
    with session_directory(fastest_place()) as directory:
        server = Postgres(directory / "postgres", free_port(), fast=True)
        server.start()
        try:
            yield PostgresServer(server.dsn("postgres", SUPERUSER))
        finally:
            server.stop()


async def make(server: PostgresServer, name: str) -> None:
    """Databases for one who runs worlds, with the tables of this code."""
    admin = await asyncpg.connect(server.dsn("postgres"))
    try:
        for service, module in SERVICES.items():
            database = f"{name}_{service}"
            await admin.execute(f"create database {database}")
            folder: Path = module.SERVICE.migrations
            await migrate(server.dsn(database), service, folder)
    finally:
        await admin.close()


@asynccontextmanager
async def databases(server: PostgresServer, name: str) -> AsyncIterator[Databases]:
    """Those databases, opened."""
    opened = {service: Database(service, server.dsn(f"{name}_{service}")) for service in SERVICES}
    try:
        yield opened
    finally:
        for database in opened.values():
            await database.close()


def make_all(server: PostgresServer, names: list[str]) -> None:
    """Databases for all of these."""

    async def all_() -> None:
        for name in names:
            await make(server, name)

    asyncio.run(all_())
