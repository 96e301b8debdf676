"""A city is broken in one place at a time, and Prometheus says exactly what is broken."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from deploy.local.environment import SERVICES
from deploy.local.kafka import Kafka
from tests.journeys.city import GRID, City, eventually, rows
from tests.journeys.conftest import running_city
from tests.journeys.test_parked import message, put
from tests.journeys.watching import Watching, watching
from tests.servers import PostgresServer
from tests.tools import PrometheusTools

pytestmark = pytest.mark.timeout(900)

SPEED = 240
FULL = 10_001
WAITS = (
    "CasegridUnrouted",
    "CasegridOrdersUnanswered",
    "CasegridRoutingBudgetBurns",
    "CasegridEscalationBudgetBurns",
)
"""What is true as well, sooner or later, while what was said is not heard."""


@contextmanager
def watched(
    directory: Path, server: PostgresServer, broker: Kafka, tools: PrometheusTools
) -> Iterator[tuple[City, Watching]]:
    home = directory / f"prometheus-{uuid4().hex[:8]}"
    with (
        running_city(
            directory, server, broker.bootstrap, speed=SPEED, CASEGRID_OUTBOX_LIMIT=str(FULL - 1)
        ) as city,
        watching(city, tools, home) as one,
    ):
        yield city, one


def test_one_thing_breaks_at_a_time_and_exactly_that_is_said(
    server_directory: Path,
    postgres_server: PostgresServer,
    own_kafka: Callable[[], Kafka],
    prometheus_tools: PrometheusTools,
) -> None:
    broker = own_kafka()
    with watched(server_directory, postgres_server, broker, prometheus_tools) as (city, alerts):
        all_is_well(city, alerts)
        the_router_is_stopped(city, alerts)
        a_record_is_poisoned(city, alerts)
        a_deadline_is_overdue(city, alerts)
        kafka_is_down_and_an_outbox_is_full(city, alerts, broker)


def all_is_well(city: City, alerts: Watching) -> None:
    """Petitions come, are routed and worked: nobody is woken."""
    alerts.quiet()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        one = city.submit(channel="app", text="楼道灯坏了", category="E0102", place={"code": GRID})
        city.case(one["id"])
        time.sleep(0.2)
    alerts.fires()


def the_router_is_stopped(city: City, alerts: Watching) -> None:
    """And with it everything behind it, which the heartbeat feels."""
    city.stack.stop_service("router")
    alerts.fires("CasegridServiceDown/router", seconds=30, may=WAITS)
    alerts.fires("CasegridServiceDown/router", "CasegridHeartbeatMissing", seconds=150, may=WAITS)
    city.stack.start_service("router")
    alerts.quiet()


def a_record_is_poisoned(city: City, alerts: Watching) -> None:
    petition = uuid4()
    asyncio.run(put(city, petition, message(petition, 1, b"{")))
    alerts.fires("CasegridParked/router")
    [parked] = asyncio.run(rows(city, "router", "select id from parked where settled_at is null"))
    city.stack.run_command(
        "router", "parked", "discard", str(parked["id"]), "--reason", "put there by a test"
    )
    city.stack.run_command("router", "replay", str(petition), "--reason", "what waits behind it")
    alerts.quiet()


def a_deadline_is_overdue(city: City, alerts: Watching) -> None:
    """Somebody holds the row of a case, and the sweep passes it over."""
    one = city.submit(channel="app", text="楼道灯坏了", category="E0102", place={"code": GRID})
    case = city.case(one["id"])["id"]
    armed = f"select 1 from armed where case_id = '{case}'"
    eventually(lambda: asyncio.run(rows(city, "escalation", armed)), bool)
    asyncio.run(held(city, case, alerts))
    alerts.quiet()


async def held(city: City, case: str, alerts: Watching) -> None:
    """Until it is said that nobody acted on what is due."""
    async with locked(city, case):
        await asyncio.to_thread(alerts.fires, "CasegridDeadlineNotFired", seconds=240)


@asynccontextmanager
async def locked(city: City, case: str) -> AsyncIterator[None]:
    """The row of an armed case, held by somebody else."""
    connection = await asyncpg.connect(city.stack.database_url("escalation"))
    try:
        async with connection.transaction():
            await connection.execute("select 1 from armed where case_id = $1 for update", case)
            yield
    finally:
        await connection.close()


def kafka_is_down_and_an_outbox_is_full(city: City, alerts: Watching, broker: Kafka) -> None:
    """Everybody says so; then intake takes no petition that it could not say."""
    broker.stop()
    degraded = [f"CasegridDegraded/{service}" for service in SERVICES]
    may = (
        *WAITS,
        "CasegridOutboxStuck",
        "CasegridWeather",
        "CasegridNoRelay",
        "CasegridLagging",
        "CasegridHeartbeatMissing",
        "CasegridUnread",
    )
    alerts.fires(*degraded, "CasegridOutboxStuck/intake", seconds=150, may=may)
    fill = """
        insert into outbox (topic, lane, event_id, key, headers, value)
        select topic, lane, gen_random_uuid(), key, headers, value
        from (select * from outbox order by id limit 1) as one, generate_series(1, $1)
    """
    before = asyncio.run(changed(city, "select max(id) from outbox"))
    asyncio.run(changed(city, fill, FULL))
    with turned_away(city):
        must = ("CasegridOutboxDeep/intake", "CasegridIntakeRefuses")
        alerts.fires(*must, may=(*may, "CasegridDegraded", "CasegridAvailabilityBudgetBurns"))
    asyncio.run(changed(city, "delete from outbox where id > $1", before))
    broker.start()
    alerts.quiet(300)


@contextmanager
def turned_away(city: City) -> Iterator[None]:
    """Somebody who sends petitions in vain, twice a second."""
    ends = threading.Event()
    answers: list[int] = []

    def send() -> None:
        body = {"kind": "help", "channel": "app", "text": "楼道灯坏了"}
        while not ends.wait(0.5):
            answers.append(
                city.http.post(f"{city.stack.url('intake')}/petitions", json=body).status_code
            )

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        ends.set()
        sender.join()
    assert 503 in answers


async def changed(city: City, sql: str, *arguments: object) -> int:
    """A change to intake's outbox that no service would make, or a look at it."""
    connection = await asyncpg.connect(city.stack.database_url("intake"))
    try:
        return int(await connection.fetchval(sql, *arguments) or 0)
    finally:
        await connection.close()
