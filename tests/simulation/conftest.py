"""Databases for simulated worlds, on the PostgreSQL that all tests share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import pytest

from tests.servers import PostgresServer
from tests.simulation.processes import SERVICES
from tests.simulation.servers import databases, make_all
from tests.simulation.world import Databases


@pytest.fixture(scope="session")
def worlds_server(postgres_server: PostgresServer) -> Iterator[tuple[PostgresServer, str]]:
    """The server, and the name of the databases that the worlds of this run have."""
    name = f"world{uuid4().hex[:10]}"
    make_all(postgres_server, [name])
    yield postgres_server, name

    async def drop() -> None:
        admin = await asyncpg.connect(postgres_server.dsn("postgres"))
        for service in SERVICES:
            await admin.execute(f"drop database {name}_{service} with (force)")
        await admin.close()

    asyncio.run(drop())


@pytest.fixture
async def world_databases(worlds_server: tuple[PostgresServer, str]) -> AsyncIterator[Databases]:
    """One database a service; a world empties them before it begins."""
    server, name = worlds_server
    logging.disable(logging.CRITICAL)  # a world is killed and cut off all the time
    try:
        async with databases(server, name) as opened:
            yield opened
    finally:
        logging.disable(logging.NOTSET)
