"""A migrated escalation database for each test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import services.escalation
from shared.identity import issue
from shared.postgres import Pool, Transaction, migrate, open_pool
from shared.settings import Settings
from tests.servers import FreshDatabase

Token = Callable[..., dict[str, str]]
SECRET = "s" * 32
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


@pytest.fixture
def settings(escalation_dsn: str) -> Settings:
    return Settings.model_validate({"database_url": escalation_dsn, "token_secret": SECRET})


@pytest.fixture
def token() -> Token:
    """The header of an officer."""

    def header(
        division: str, *roles: str, subject: str = "officer-7", office: str | None = None
    ) -> dict[str, str]:
        issued = issue(SECRET, subject, roles or ("grid_head",), division, office)
        return {"Authorization": f"Bearer {issued}"}

    return header
