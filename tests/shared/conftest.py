"""A listener on a database of its own, with topics of its own on the real broker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from shared import kafka
from shared.postgres import Pool, Transaction, migrate, open_pool
from shared.service import Process
from shared.settings import Settings
from tests.servers import ROOT, FreshDatabase, KafkaServer
from tests.shared.listener.__main__ import SERVICE


async def migrated(dsn: str) -> None:
    """Bring a database to the listener's tables."""
    await migrate(dsn, "listener", SERVICE.migrations)


@pytest.fixture
async def dsn(fresh_database: FreshDatabase) -> str:
    """An empty database of the listener."""
    return await fresh_database("listener", migrated)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """A pool on that database."""
    async with open_pool(dsn, 6, 2_000, "test") as opened:
        yield opened


@pytest.fixture
async def tx(pool: Pool) -> AsyncIterator[Transaction]:
    """A connection that commits each statement."""
    async with pool.acquire() as connection:
        yield connection


@pytest.fixture
def unheard(dsn: str, kafka_server: KafkaServer) -> Settings:
    """Settings of the listener; its topics are not there."""
    return Settings.model_validate(
        {
            "database_url": dsn,
            "kafka_bootstrap": kafka_server.bootstrap,
            "topic_prefix": f"t{uuid4().hex[:12]}.",
            "kafka_request_timeout_ms": 5_000,
        }
    )


@pytest.fixture
async def settings(unheard: Settings) -> Settings:
    """Settings of the listener, with its topics."""
    await kafka.create_topics(unheard)
    return unheard


@pytest.fixture
def process(settings: Settings, pool: Pool) -> Process:
    """One process of the listener, of which a test runs the loops that it wants."""
    return Process(SERVICE, settings, settings.clock(), pool)


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(settings, *words, **environment)`: the listener as a process; ended after the test.

    What it writes is in `tmp_path`/said.
    """
    started: list[subprocess.Popen[str]] = []

    def begin(settings: Settings, *words: str, **environment: str) -> subprocess.Popen[str]:
        told = {
            "CASEGRID_DATABASE_URL": settings.database_url.get_secret_value(),
            "CASEGRID_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "CASEGRID_TOPIC_PREFIX": settings.topic_prefix,
            "CASEGRID_KAFKA_REQUEST_TIMEOUT_MS": str(settings.kafka_request_timeout_ms),
            "CASEGRID_PORT": "0",
        }
        with (tmp_path / "said").open("a") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.shared.listener", *words],
                cwd=ROOT,
                env=os.environ | told | environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                text=True,
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
