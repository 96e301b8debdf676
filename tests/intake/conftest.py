"""A process of intake on a database of its own, asked over HTTP without a server in between."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from services.intake.__main__ import SERVICE
from services.intake.handlers.loops import commit_group
from shared.http import create_app
from shared.postgres import Transaction, migrate, open_pool
from shared.service import Process, settle
from shared.settings import Settings
from tests.intake.steps import hear_policy
from tests.servers import FreshDatabase

MIGRATIONS = Path(__file__).parents[2] / "services" / "intake" / "migrations"


@pytest.fixture
async def dsn(fresh_database: FreshDatabase) -> str:
    """An empty database of intake."""

    async def with_tables(dsn: str) -> None:
        await migrate(dsn, "intake", MIGRATIONS)

    return await fresh_database("intake", with_tables)


@pytest.fixture
async def process(dsn: str) -> AsyncIterator[Process]:
    """A process that commits what it accepts; it knows no policy yet."""
    settings = Settings.model_validate({"database_url": dsn, "token_secret": "s" * 32})
    async with open_pool(dsn, 10, 5_000, "intake-test") as pool:
        process = Process(SERVICE, settings, settings.clock(), pool)
        await settle(process)
        committing = asyncio.get_running_loop().create_task(commit_without_end(process))
        yield process
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing


async def commit_without_end(process: Process) -> None:
    """What the service does by itself."""
    while True:
        await commit_group(process)


@pytest.fixture
async def client(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    """Asks the process over HTTP."""
    transport = httpx.ASGITransport(create_app(process, SERVICE.routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://intake") as client:
        yield client


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Transaction]:
    """Looks at the tables from outside."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def with_policy(process: Process) -> Process:
    """The process, with the made-up policy as version 1 in force."""
    await hear_policy(process, 1)
    return process
