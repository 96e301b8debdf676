"""A real process ends in order within 20 s of the signal, whatever is away; and says no values."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from deploy.local.kafka import Kafka
from deploy.local.postgres import SUPERUSER, Postgres
from shared import kafka, outbox
from shared.events import Topic
from shared.postgres import Transaction, connect, migrate
from shared.settings import Settings
from tests.servers import FreshDatabase, free_port
from tests.shared.conftest import Start
from tests.shared.listener.__main__ import SERVICE
from tests.shared.sayings import ONE, eventually, message, say, saying

MOST_SECONDS = 20
MARK = "Wang-Fang-13898765432"
"""Stands for what a resident said: it may be in a value, and in no line that a process writes."""


def nowhere() -> str:
    """A port of this machine that nobody listens on."""
    return f"127.0.0.1:{free_port()}"


def ended(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> int:
    """Send the signal; the exit code. Fails after 20 s."""
    process.send_signal(number)
    return process.wait(MOST_SECONDS)


async def page(port: int, path: str = "/readyz") -> httpx.Response:
    """What the process answers, once it answers."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:

        async def ask() -> httpx.Response | None:
            try:
                return await client.get(f"http://127.0.0.1:{port}{path}")
            except httpx.ConnectError:
                return None

        answer = await eventually(ask, lambda one: one is not None)
        assert answer is not None
        return answer


async def metric(port: int, name: str) -> float:
    """The greatest sample of a metric."""
    text = (await page(port, "/metrics")).text
    samples = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)]
    return max(map(float, samples), default=0.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_it_waits_for_a_database_that_never_answered(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    settings = Settings.model_validate(
        {"database_url": f"postgresql://nobody@{nowhere()}/none", "kafka_bootstrap": nowhere()}
    )
    port = free_port()
    process = start(settings, "serve", CASEGRID_OPERATIONS_PORT=str(port))
    said = tmp_path / "said"
    while "waiting for the database" not in said.read_text():
        time.sleep(0.05)
    with httpx.Client(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/livez").status_code == 200
        starting, ready = client.get("/startupz"), client.get("/readyz")
    assert (starting.status_code, ready.status_code) == (503, 503)
    assert "waiting for the database" in starting.json()["reasons"]["start"]
    assert ready.json()["status"] == "down"
    assert ready.json()["reasons"]["database"]
    began = time.monotonic()
    assert ended(process, number) == 0
    assert time.monotonic() - began < 5


async def test_it_ends_with_a_broker_that_never_answered_and_says_so_before(
    start: Start, unheard: Settings, tx: Transaction
) -> None:
    await outbox.append(tx, [saying(ONE, 1)])
    port = free_port()
    settings = unheard.model_copy(update={"kafka_bootstrap": nowhere()})
    nobody = {"CASEGRID_OTLP_ENDPOINT": f"http://{nowhere()}"}
    process = start(settings, "serve", CASEGRID_PORT=str(port), **nobody)
    answer = await page(port)
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"

    async def lag() -> float:
        return await metric(port, "casegrid_consumer_lag_seconds{")

    await eventually(lag, lambda seconds: seconds > 2)
    assert await metric(port, "casegrid_ready ") == 0.5
    assert ended(process) == 0
    assert await tx.fetchval("select count(*) from outbox") == 1


async def test_it_ends_with_broker_and_database_dead_and_says_so_before(
    start: Start, own_kafka: Callable[[], Kafka], own_postgres: Callable[[], Postgres]
) -> None:
    broker, database = own_kafka(), own_postgres()
    dsn = database.dsn("postgres", SUPERUSER)
    await migrate(dsn, "listener", SERVICE.migrations)
    settings = Settings.model_validate(
        {
            "database_url": dsn,
            "kafka_bootstrap": broker.bootstrap,
            "kafka_request_timeout_ms": 10_000,
        }
    )
    await kafka.create_topics(settings)
    port = free_port()
    process = start(settings, "serve", CASEGRID_PORT=str(port))

    async def status() -> str:
        return str((await page(port)).json()["status"])

    async def lag() -> float:
        return await metric(port, "casegrid_consumer_lag_seconds{")

    await say(settings, message(ONE, 1))
    await eventually(status, lambda said: said == "ready")
    await eventually(lag, lambda seconds: not seconds)
    assert await metric(port, "casegrid_ready ") == 1
    broker.kill()
    connection = await connect(dsn, "test")
    await outbox.append(connection, [saying(ONE, 2)])
    await connection.close()
    await eventually(lag, lambda seconds: seconds > 4)
    database.kill()
    await eventually(status, lambda said: said == "down")
    assert await metric(port, "casegrid_ready ") == 0
    ready = await page(port)
    assert ready.status_code == 503
    assert ready.json()["reasons"]["database"]
    for path in ("/livez", "/startupz"):
        assert (await page(port, path)).status_code == 200
    assert ended(process) == 0


async def test_topics_that_are_not_as_the_code_says_make_it_not_ready(
    start: Start, unheard: Settings, tmp_path: Path
) -> None:
    port = free_port()
    process = start(unheard, "serve", CASEGRID_PORT=str(port))

    async def answer() -> httpx.Response:
        return await page(port)

    found = await eventually(answer, lambda one: one.status_code == 503)
    assert found.json()["status"] == "not ready"
    name = f"{unheard.topic_prefix}intake.events"
    assert f"{name}: partitions should be 12, is missing" in found.json()["reasons"]["topics"]
    assert await metric(port, "casegrid_ready ") == 0
    assert name in (tmp_path / "said").read_text()
    await kafka.create_topics(unheard)
    await eventually(answer, lambda one: one.json()["status"] == "ready")
    assert ended(process) == 0


async def test_a_version_waits_for_its_tables_and_says_so(
    start: Start, fresh_database: FreshDatabase, settings: Settings
) -> None:
    async def nothing(_: str) -> None:
        """No tables at all."""

    dsn = await fresh_database("nothing", nothing)
    settings = settings.model_copy(update={"database_url": SecretStr(dsn)})
    own, port = free_port(), free_port()
    ports = {"CASEGRID_PORT": str(port), "CASEGRID_OPERATIONS_PORT": str(own)}
    process = start(settings, "serve", **ports)

    async def why() -> str:
        return str((await page(own, "/startupz")).json()["reasons"].get("start"))

    told = await eventually(why, lambda said: "migrate" in said)
    assert "shared/0001_skeleton.sql, " in told
    ready = await page(own)
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    await migrate(dsn, "listener", SERVICE.migrations)
    assert (await page(port)).status_code == 200
    assert (await page(own, "/startupz")).json()["status"] == "started"
    assert ended(process) == 0


async def test_whoever_is_told_to_end_says_so_and_lets_go_of_each_connection(
    start: Start, settings: Settings
) -> None:
    own, port = free_port(), free_port()
    ports = {"CASEGRID_PORT": str(port), "CASEGRID_OPERATIONS_PORT": str(own)}
    process = start(settings, "serve", **ports, CASEGRID_DRAIN_SECONDS="8")
    await page(port)
    limits = httpx.Limits(max_connections=1)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(trust_env=False, limits=limits, base_url=url) as client:
        assert "connection" not in (await client.get("/heard")).headers
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)

        async def status() -> str:
            return str((await page(own)).json()["status"])

        await eventually(status, lambda said: said == "not ready")
        assert (await page(own)).json()["reasons"]["end"] == "was told to end"
        last = await client.get("/heard")
    assert (last.status_code, last.headers["connection"]) == (200, "close")
    assert process.wait(MOST_SECONDS) == 0
    assert time.monotonic() - began < 8


async def test_a_process_without_http_answers_operations_alone(
    start: Start, settings: Settings
) -> None:
    port = free_port()
    process = start(settings, "serve", "--parts", "relay,consume,sweep", CASEGRID_PORT=str(port))
    for path in ("/livez", "/startupz", "/readyz", "/metrics"):
        assert (await page(port, path)).status_code == 200
    for path in ("/heard", "/docs", "/openapi.json"):
        assert (await page(port, path)).status_code == 404
    await say(settings, message(ONE, 1))

    async def heard() -> float:
        return await metric(port, "casegrid_events_heard_total")

    await eventually(heard, bool)
    assert ended(process) == 0


@pytest.mark.parametrize(
    ("subject", "seq", "cause", "told"),
    [(MARK, 1, "bug", "RuntimeError"), (MARK, 13, "x", "CheckViolationError 23514")],
)
async def test_a_bug_in_a_loop_ends_the_process_and_quotes_nothing(
    start: Start, settings: Settings, tmp_path: Path, subject: str, seq: int, cause: str, told: str
) -> None:
    await say(settings, message(subject, seq, cause))
    process = start(settings, "serve")
    assert process.wait(30) == 1
    said = (tmp_path / "said").read_text()
    assert told in said
    assert "listener/__main__.py" in said
    assert MARK not in said


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("bug", "RuntimeError"),
        ("row", "CheckViolationError 23514"),
        ("model", "ValidationError"),
        ("argument", "DataError"),
    ],
)
async def test_a_bug_in_a_request_is_a_500_and_quotes_nothing(
    start: Start, settings: Settings, tmp_path: Path, how: str, told: str
) -> None:
    port = free_port()
    process = start(settings, "serve", "--parts", "http", CASEGRID_PORT=str(port))
    answer = await page(port, f"/fail/{how}/{MARK}")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "not known whether it was kept" in answer.json()["detail"]
    assert answer.headers["connection"] == "close"
    assert MARK not in answer.text
    assert ended(process) == 0
    said = (tmp_path / "said").read_text()
    assert told in said
    assert "listener/__main__.py" in said
    assert MARK not in said


async def test_an_operator_sees_and_moves_a_position(
    start: Start, settings: Settings, tx: Transaction, tmp_path: Path
) -> None:
    lane = kafka.lane_of(Topic.INTAKE, ONE)
    await say(settings, message(ONE, 1), message(ONE, 2))
    await tx.execute("insert into offsets values ('intake.events', $1, 7)", lane)
    assert start(settings, "positions", "list").wait(30) == 0
    assert "beyond the end 2" in (tmp_path / "said").read_text()
    words = ("positions", "reset", "--reason", "another log", "intake.events")
    at = (*words, str(lane), "--to")
    assert start(settings, *at, "latest").wait(30) == 0
    assert await tx.fetchval("select next_offset from offsets") == 2
    assert start(settings, *at, "earliest").wait(30) == 0
    assert await tx.fetchval("select next_offset from offsets") == 0
    assert start(settings, *words, "99", "--to", "latest").wait(30) == 1
    assert "from 7 to 2" in (tmp_path / "said").read_text()
