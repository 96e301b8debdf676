"""The project's own policy for every test, and a migrated router database for those that ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

import services.router
from services.router.__main__ import SERVICE
from services.router.decisions.policy import Policy
from services.router.handlers.policies import Policies, load_default
from shared.clock import Clock
from shared.http import create_app
from shared.postgres import Pool, migrate, open_pool
from shared.service import Process
from shared.settings import Settings
from tests.router.costs import SECRET as SECRET
from tests.router.costs import Connection, Listening
from tests.router.events import Router
from tests.router.stories import shipped_policy
from tests.servers import FreshDatabase

MIGRATIONS = Path(services.router.__file__).parent / "migrations"


@pytest.fixture(scope="session")
def policy() -> Policy:
    """The policy that comes with the project, read once."""
    return shipped_policy()


async def migrated(dsn: str) -> None:
    """Bring a database to this version's tables, with the project's policy in force."""
    await migrate(dsn, "router", MIGRATIONS)
    async with open_pool(dsn, 2, 5_000, "migrate") as pool:
        await load_default(pool, 1, Clock())


@pytest.fixture
async def router_dsn(fresh_database: FreshDatabase) -> str:
    """A database of the service that knows the project's policy and no case."""
    return await fresh_database("router", migrated)


@pytest.fixture
async def pool(router_dsn: str) -> AsyncIterator[Pool]:
    """A pool on that database."""
    async with open_pool(router_dsn, 6, 5_000, "test") as opened:
        yield opened


@pytest.fixture
async def policies(pool: Pool) -> Policies:
    """The policy versions of that database, as a process knows them; read only once a run."""
    known = Policies(pool)
    known.read[1] = shipped_policy()
    async with pool.acquire() as connection:
        await known.refresh(connection)
    return known


@pytest.fixture
def router(pool: Pool, policies: Policies) -> Router:
    """The router's handlers on that database."""
    return Router(pool, policies)


@pytest.fixture
def process(router_dsn: str, pool: Pool, policies: Policies) -> Process:
    """A process of the service that runs no loop."""
    settings = Settings(
        database_url=SecretStr(router_dsn), token_secret=SecretStr(SECRET), max_body_bytes=65_536
    )
    return Process(SERVICE, settings, settings.clock(), pool, state=policies)


@pytest.fixture
async def client(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to that process."""
    app = create_app(process, SERVICE.routes)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://router") as spoken:
        yield spoken


@pytest.fixture
async def listening(router_dsn: str, policies: Policies) -> AsyncIterator[Listening]:
    """A process of the service whose statements are kept."""

    async def listen(connection: Connection) -> None:
        await kept.listen(connection)

    async with asyncpg.create_pool(router_dsn, min_size=0, max_size=4, init=listen) as spoken:
        kept = Listening(spoken, policies)
        yield kept


@pytest.fixture
async def asking(listening: Listening) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to a process whose statements are kept."""
    process = listening.process
    transport = httpx.ASGITransport(create_app(process, SERVICE.routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
        yield client
