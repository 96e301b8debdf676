"""Real servers for the tests, started when the first test needs them.

CASEGRID_TEST_DSN (of a superuser) and CASEGRID_TEST_KAFKA name servers of your own instead.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import asyncpg
import pytest

from deploy.image.debian import Missing
from deploy.local.jars import cache_directory, kafka_jars
from deploy.local.kafka import Kafka
from deploy.local.postgres import SUPERUSER, Postgres
from tests import tools
from tests.servers import (
    TEST_CACHE,
    FreshDatabase,
    KafkaServer,
    Migrate,
    PostgresServer,
    fastest_place,
    free_port,
    session_directory,
)
from tests.tools import AlertmanagerTools, PrometheusTools

T = TypeVar("T")
MARKED_BY = {
    "postgres": {"postgres_server", "own_postgres"},
    "kafka": {"kafka_server", "own_kafka"},
    "prometheus": {"prometheus_tools", "alertmanager_tools"},
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the servers it uses, so that nobody does it by hand."""
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        for mark, fixtures in MARKED_BY.items():
            if used & fixtures:
                item.add_marker(mark)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch what tests use before the first, whose time-out is not meant for a slow network."""
    if session.config.option.collectonly:
        return
    marks = {mark.name for item in session.items for mark in item.iter_markers()}
    if "kafka" in marks:
        kafka_jars(cache_directory())
    if "prometheus" in marks:
        with suppress(Missing):  # the fixture asks again, and says what is missing
            tools.prometheus_tools(cache_directory())
            tools.alertmanager_tools(cache_directory())


@pytest.fixture(scope="session")
def prometheus_tools() -> PrometheusTools:
    """promtool and Prometheus; where they cannot be had the tests skip and say why, CI fails."""
    return had(tools.prometheus_tools)


@pytest.fixture(scope="session")
def alertmanager_tools() -> AlertmanagerTools:
    """amtool and Alertmanager, in the same way."""
    return had(tools.alertmanager_tools)


def had(fetched: Callable[[Path], T]) -> T:
    """These tools, or a skip that says why not."""
    try:
        return fetched(cache_directory())
    except Missing as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def server_directory() -> Iterator[Path]:
    """Where this run's servers keep their data; gone after the run."""
    with session_directory(TEST_CACHE) as directory:
        yield directory


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL that all tests share."""
    if external := os.environ.get("CASEGRID_TEST_DSN"):
        yield PostgresServer(external)
        return
    with session_directory(fastest_place()) as directory:
        server = Postgres(directory / "postgres", free_port(), fast=True)
        server.start()
        yield PostgresServer(server.dsn("postgres", SUPERUSER))
        server.stop()


@pytest.fixture(scope="session")
def kafka_server(request: pytest.FixtureRequest) -> Iterator[KafkaServer]:
    """The Kafka that all tests share: name topics so that no other test has them."""
    if external := os.environ.get("CASEGRID_TEST_KAFKA"):
        yield KafkaServer(external)
        return
    directory: Path = request.getfixturevalue("server_directory")
    server = Kafka(directory / "kafka", free_port(), free_port(), heap="256m")
    server.start()
    yield KafkaServer(server.bootstrap)
    server.stop()


@pytest.fixture
def own_postgres(server_directory: Path) -> Iterator[Callable[[], Postgres]]:
    """Start a PostgreSQL of the test's own, which it may break."""
    started: list[Postgres] = []

    def start() -> Postgres:
        server = Postgres(server_directory / f"postgres-{uuid4().hex}", free_port())
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
        shutil.rmtree(server.data_dir)


@pytest.fixture
def own_kafka(server_directory: Path) -> Iterator[Callable[[], Kafka]]:
    """Start a Kafka of the test's own, which it may break."""
    started: list[Kafka] = []

    def start() -> Kafka:
        directory = server_directory / f"kafka-{uuid4().hex}"
        server = Kafka(directory, free_port(), free_port(), heap="256m")
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
        shutil.rmtree(server.data_dir)


@pytest.fixture(scope="session")
def database_templates(postgres_server: PostgresServer) -> Iterator[dict[str, str]]:
    """The template databases of this run: the name a test gave, and the one on the server."""
    templates: dict[str, str] = {}
    yield templates
    for database in templates.values():
        asyncio.run(_execute(postgres_server, f"drop database {database} with (force)"))


@pytest.fixture
async def fresh_database(
    postgres_server: PostgresServer, database_templates: dict[str, str]
) -> AsyncIterator[FreshDatabase]:
    """`await fresh_database(name, migrate)`: the DSN of an empty, migrated database.

    `migrate(dsn)` runs once per name and run; each call then gives a copy, dropped after the test.
    """
    made: list[str] = []

    async def make(template_name: str, migrate: Migrate) -> str:
        if template_name not in database_templates:
            template = f"template_{uuid4().hex}"
            await _execute(postgres_server, f"create database {template}")
            await migrate(postgres_server.dsn(template))
            database_templates[template_name] = template
        database = f"test_{uuid4().hex}"
        template = database_templates[template_name]
        await _execute(
            postgres_server, f"create database {database} template {template} strategy file_copy"
        )
        made.append(database)
        return postgres_server.dsn(database)

    yield make
    for database in made:
        await _execute(postgres_server, f"drop database {database} with (force)")


async def _execute(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.dsn("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
