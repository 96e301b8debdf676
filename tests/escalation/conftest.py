"""A migrated escalation database for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import services.escalation
from shared.postgres import Pool, Transaction, migrate, open_pool
from tests.servers import FreshDatabase

MIGRATIONS = Path(services.escalation.__file__).parent / "migrations"


async def migrated(dsn: str) -> None:
    """Bring a database to this version's tables."""
    await migrate(dsn, "escalation", MIGRATIONS)


@pytest.fixture
async def escalation_dsn(fresh_database: FreshDatabase) -> str:
    """An empty database of the service."""
    return await fresh_database("escalation", migrated)


@pytest.fixture
async def pool(escalation_dsn: str) -> AsyncIterator[Pool]:
    """A pool on that database."""
    async with open_pool(escalation_dsn, 4, 5_000, "test") as opened:
        yield opened


@pytest.fixture
async def tx(pool: Pool) -> AsyncIterator[Transaction]:
    """A connection that commits each statement: for tests of one actor."""
    async with pool.acquire() as connection:
        yield connection
