"""A migrated analytics database for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import services.analytics
from shared.postgres import Pool, migrate, open_pool
from tests.servers import FreshDatabase

MIGRATIONS = Path(services.analytics.__file__).parent / "migrations"


async def migrated(dsn: str) -> None:
    """Bring a database to this version's tables."""
    await migrate(dsn, "analytics", MIGRATIONS)


@pytest.fixture
async def analytics_dsn(fresh_database: FreshDatabase) -> str:
    """An empty database of the service."""
    return await fresh_database("analytics", migrated)


@pytest.fixture
async def pool(analytics_dsn: str) -> AsyncIterator[Pool]:
    """A pool on that database."""
    async with open_pool(analytics_dsn, 4, 5_000, "test") as opened:
        yield opened
