"""What `casegrid status` calls a person's attention to, each by a value that was planted."""

import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from deploy.prometheus.alerts import ALERTS, TOO_LONG
from services.escalation.__main__ import SERVICE
from services.operations.looking import (
    LONG,
    LONG_WAITS,
    CitySight,
    QueueSight,
    ServiceSight,
    queue_sight,
)
from services.operations.places import Place
from services.operations.status import cells
from services.operations.tables import rows_of
from services.router.decisions.stuck import STUCK_QUEUES
from shared import postgres
from shared.kafka import create_topics
from shared.scraped import Page
from shared.settings import Settings
from tests.servers import FreshDatabase, KafkaServer, PostgresServer

NOW = datetime(2026, 11, 27, tzinfo=UTC)
WELL = CitySight(
    at=NOW, now=NOW, services=[ServiceSight("router", "ready")], queues=[], due_next=None,
    unfired_seconds=0.0, overdue=7, due_within_hour=3, orders_unanswered=4,
    oldest_order_seconds=2.0, unread=9, oldest_unread_seconds=0.5, oldest_unrouted_seconds=1.0,
    away=[],
)  # fmt: skip


def test_work_in_hand_is_nothing_to_look_at() -> None:
    assert WELL.wants == []
    unknown = {one.name: None for one in fields(CitySight) if one.name.endswith("_seconds")}
    assert replace(WELL, **unknown).wants == [], "what could not be asked is told by `away`"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "alert", "says"),
    [
        ("oldest_unread_seconds", "CasegridUnread", "waits to be read"),
        ("oldest_unrouted_seconds", "CasegridUnrouted", "waits to be routed"),
        ("unfired_seconds", "CasegridDeadlineNotFired", "is not fired"),
        ("oldest_order_seconds", "CasegridOrdersUnanswered", "has not answered an order"),
    ],
)
def test_what_is_late_in_the_city_is_told(name: str, alert: str, says: str) -> None:
    on_the_line: dict[str, Any] = {name: LONG[alert]}
    assert replace(WELL, **on_the_line).wants == []
    beyond: dict[str, Any] = {name: LONG[alert] + 1}
    (said,) = replace(WELL, **beyond).wants
    assert says in said
    assert said.endswith(f"{LONG[alert] + 1:,.0f} s")


@pytest.mark.parametrize(
    ("name", "alert", "says"),
    [
        ("unsaid_seconds", "CasegridOutboxStuck", "router has not said an event"),
        ("lag_seconds", "CasegridLagging", "router is behind"),
        ("census_seconds", "CasegridCensusOld", "router has not counted"),
    ],
)
def test_what_is_late_in_a_service_is_told(name: str, alert: str, says: str) -> None:
    on_the_line: dict[str, Any] = {name: LONG[alert]}
    assert replace(WELL, services=[ServiceSight("router", "ready", **on_the_line)]).wants == []
    beyond: dict[str, Any] = {name: LONG[alert] + 1}
    (said,) = replace(WELL, services=[ServiceSight("router", "ready", **beyond)]).wants
    assert says in said


def test_a_queue_in_which_a_case_waits_for_days_is_told_with_whose_it_is() -> None:
    called = set()
    for queue in STUCK_QUEUES:
        metric = "\n".join(f'{name}{{queue="{queue.name}"}} 700000' for name in queue.metrics)
        seen = queue_sight(queue, {queue.keeper: Page(metric), "router": Page(metric)})
        for said in replace(WELL, queues=[seen]).wants:
            assert said == f"{queue.name} is stuck ({queue.owner}): the oldest waits for 700,000 s"
            called.add(queue.name)
    assert called == LONG_WAITS.keys()
    for name, seconds in LONG_WAITS.items():
        assert replace(WELL, queues=[QueueSight(name, "", "desk", 1, seconds)]).wants == []
    days = {name: n * 86_400 for names, n in TOO_LONG.items() for name in names.split("|")}
    assert days == LONG_WAITS, "as the alert has it"


def test_it_is_late_when_the_alert_says_so() -> None:
    """That of the census allows a large city more; a look allows what it allows the smallest."""
    known = {alert.name: alert for group in ALERTS.values() for alert in group}
    for name, limit in LONG.items():
        compared = re.search(r" > (?:on \(job\) )?(\d+)", known[name].expr)
        assert compared is not None
        assert limit == float(compared[1]), name


def test_of_several_processes_it_is_said_that_one_answered() -> None:
    assert cells(ServiceSight("router", "ready", processes=1))[1] == "ready"
    assert cells(ServiceSight("router", "ready", processes=3))[1] == "ready (one of 3)"


@pytest.mark.kafka
@pytest.mark.postgres
async def test_the_tables_tell_what_is_not_fired_not_answered_and_not_counted(
    fresh_database: FreshDatabase, postgres_server: PostgresServer, kafka_server: KafkaServer
) -> None:
    async def tables(dsn: str) -> None:
        await postgres.migrate(dsn, "escalation", SERVICE.migrations)

    settings = Settings(
        database_url=SecretStr(await fresh_database("escalation", tables)),
        kafka_bootstrap=kafka_server.bootstrap,
        topic_prefix=f"looking-{uuid4().hex[:8]}.",
    )
    await create_topics(settings)
    place = Place("escalation", SERVICE, settings, None)
    rows = await rows_of(place)
    assert (rows.away, rows.unfired, rows.oldest_order, rows.processes) == ([], 0.0, 0.0, 0)
    assert rows.census_seconds is None

    now = datetime.now(UTC)
    dsn = settings.database_url.get_secret_value()
    connection = await asyncpg.connect(dsn)
    relays = [await postgres.connect(dsn, "escalation-relay") for _ in range(2)]
    # Of another city on the same server.
    relays += [await postgres.connect(postgres_server.dsn("postgres"), "escalation-relay")]
    try:
        await connection.execute(
            "insert into armed (case_id, epoch, seq, changed_at, started_at, holder, open, clocks,"
            " next_at) values ($1, 1, 1, $2, $2, 'x', true, '[]', $2)",
            uuid4(), now - timedelta(minutes=2),
        )  # fmt: skip
        await connection.execute(
            "insert into orders (order_id, case_id, clock, generation, action, due_at, fired_at,"
            " first_said_at, next_say_at) values ($1, $1, 'tier', 1, 'promote', $2, $2, $2, $2)",
            uuid4(), now - timedelta(minutes=9),
        )  # fmt: skip
        await connection.execute("update census set done_at = $1", now - timedelta(hours=5))
        rows = await rows_of(place)
    finally:
        for one in (connection, *relays):
            await one.close()
    assert rows.unfired == pytest.approx(120, abs=30)
    assert rows.oldest_order == pytest.approx(540, abs=30)
    assert rows.census_seconds == pytest.approx(18_000, abs=30)
    assert rows.processes == 2
