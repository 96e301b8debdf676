"""Cities for journeys: at real time, at 1 h = 0.125 s, and one with a Kafka it may break."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from deploy.local.environment import SERVICES, Ports
from deploy.local.kafka import Kafka
from deploy.local.stack import Stack
from tests.journeys.city import City
from tests.servers import KafkaServer, PostgresServer, free_port


@contextmanager
def running_city(
    directory: Path, server: PostgresServer, bootstrap: str, speed: float, **environment: str
) -> Iterator[City]:
    """A city with databases and topics of its own on these servers; all gone afterwards.

    `environment`: more settings of its services.
    """
    name = f"city{uuid4().hex[:12]}"
    databases = {service: f"{name}_{service}" for service in SERVICES}
    asyncio.run(execute(server, [f"create database {one}" for one in databases.values()]))
    ports = Ports(**{service: free_port() for service in SERVICES})
    stack = Stack(
        directory / name,
        ports=ports,
        speed=speed,
        kafka=bootstrap,
        databases={service: server.dsn(one) for service, one in databases.items()},
        topic_prefix=f"{name}.",
        extra_env=environment,
    )
    stack.start()
    city = City(stack)
    try:
        yield city
    finally:
        city.http.close()
        stack.stop()
        asyncio.run(
            execute(server, [f"drop database {one} with (force)" for one in databases.values()])
        )


async def execute(server: PostgresServer, statements: list[str]) -> None:
    connection = await asyncpg.connect(server.dsn("postgres"))
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def fast_city(
    server_directory: Path, postgres_server: PostgresServer, kafka_server: KafkaServer
) -> Iterator[City]:
    """One hour passes in an eighth of a second."""
    with running_city(
        server_directory, postgres_server, kafka_server.bootstrap, speed=28_800
    ) as city:
        yield city


@pytest.fixture(scope="session")
def city(
    server_directory: Path, postgres_server: PostgresServer, kafka_server: KafkaServer
) -> Iterator[City]:
    """At real time: nothing happens by itself while a test looks."""
    with running_city(server_directory, postgres_server, kafka_server.bootstrap, speed=1) as one:
        yield one


@pytest.fixture(scope="module")
def beating_city(
    server_directory: Path, postgres_server: PostgresServer, kafka_server: KafkaServer
) -> Iterator[City]:
    """At real time, with a heartbeat each half second."""
    with running_city(
        server_directory,
        postgres_server,
        kafka_server.bootstrap,
        speed=1,
        CASEGRID_HEARTBEAT_SECONDS="0.5",
    ) as one:
        yield one


@pytest.fixture
def spoiled_city(
    server_directory: Path, postgres_server: PostgresServer, kafka_server: KafkaServer
) -> Iterator[City]:
    """At real time, for a test that leaves something on its topics that nobody can read."""
    with running_city(server_directory, postgres_server, kafka_server.bootstrap, speed=1) as one:
        yield one


@pytest.fixture
def city_with_own_kafka(
    server_directory: Path, postgres_server: PostgresServer, own_kafka: Callable[[], Kafka]
) -> Iterator[tuple[City, Kafka]]:
    """A city whose broker a test may stop."""
    broker = own_kafka()
    with running_city(server_directory, postgres_server, broker.bootstrap, speed=1) as one:
        yield one, broker
