"""The whole of every topic comes again, and nothing changes: not a row, not a figure."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.environment import SERVICES, inherited
from deploy.local.processes import ServerProcess
from shared.events import Topic
from shared.kafka import PARTITIONS
from tests.journeys.city import DISTRICT, GRID, STREET, City, eventually, rows

LOOKED_AT_APART = {"offsets", "outbox"}
"""Where each service is on its topics, and what is on its way."""

MOVED_BY_TIME = {"routed_up_to"}
"""Where intake's count of the unrouted goes on from: it moves when somebody counts, not when
somebody says something."""

FOLDED = {"tally", "tally_deltas"}
COUNTS = (
    "select name, key, sum(n) as n from (select name, key, n from tally union all"
    " select name, key, n from tally_deltas) both_ group by 1, 2 having sum(n) <> 0 order by 1, 2"
)
TABLES = "select tablename from pg_tables where schemaname = 'public' order by 1"

HEARS = {
    "intake": {Topic.ROUTER, Topic.POLICY},
    "router": {Topic.INTAKE, Topic.ESCALATION},
    "escalation": {Topic.ROUTER},
    "analytics": {Topic.ROUTER},
}

Facts = dict[str, list[tuple[object, ...]]]


def ask(city: City, service: str, sql: str) -> list[tuple[object, ...]]:
    """Rows of a service's own database."""
    return [tuple(row.values()) for row in asyncio.run(rows(city, service, sql))]


def facts(city: City) -> Facts:
    """Every row of every table of every service; of the counters, what they come to."""
    found: Facts = {}
    for service in SERVICES:
        found[f"{service}.counts"] = ask(city, service, COUNTS)
        for (table,) in ask(city, service, TABLES):
            if table not in LOOKED_AT_APART | MOVED_BY_TIME | FOLDED:
                sql = f"select t::text from {table} t order by 1"
                found[f"{service}.{table}"] = ask(city, service, sql)
    return found


def positions(city: City) -> dict[str, dict[tuple[str, int], int]]:
    """The next offset of each service on each partition that it hears and has heard of."""
    sql = "select topic, partition, next_offset from offsets where next_offset > 0"
    return {
        service: {(row[0], row[1]): row[2] for row in asyncio.run(rows(city, service, sql))}
        for service in SERVICES
    }


def ends(city: City) -> dict[str, dict[tuple[str, int], int]]:
    """The end of each partition that was written to, under each service that hears it."""

    async def written() -> dict[tuple[str, int], int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=city.stack.bootstrap)
        await consumer.start()
        try:
            prefix = city.stack.settings("router")["CASEGRID_TOPIC_PREFIX"]
            partitions = [
                TopicPartition(prefix + topic, n)
                for topic in Topic
                for n in range(PARTITIONS[topic])
            ]
            offsets = await consumer.end_offsets(partitions)
        finally:
            await consumer.stop()
        return {(at.topic.removeprefix(prefix), at.partition): n for at, n in offsets.items() if n}

    found = asyncio.run(written())
    return {
        service: {at: n for at, n in found.items() if at[0] in HEARS[service]}
        for service in SERVICES
    }


def quiet(city: City) -> bool:
    """Nobody has anything to say, everybody heard everything, and every order has its answer."""
    return (
        not any(ask(city, service, "select 1 from outbox limit 1") for service in SERVICES)
        and positions(city) == ends(city)
        and not ask(city, "escalation", "select 1 from orders limit 1")
    )


@contextmanager
def no_sweep(city: City, home: Path) -> Iterator[None]:
    """Escalation hears and speaks and does not sweep: for its cases no time passes."""
    one = ServerProcess("escalation", home, Path(sys.executable).name, signal.SIGTERM)
    one.claim({})
    words = ("-m", "services.escalation", "serve", "--parts", "http,relay,consume")
    one.launch(
        [sys.executable, *words], environment=inherited() | city.stack.settings("escalation")
    )
    try:
        yield
    finally:
        one.stop(9.0)


def sign(city: City, petition: dict[str, Any]) -> None:
    """Whoever holds the case now signs it; a promotion may come in between."""

    def signed() -> int:
        holder = city.case(petition["id"])["holder"]
        command = {"command": "sign"}
        answer = city.command(petition["id"], command, holder["role"], holder["division"])
        return answer.status_code

    assert eventually(signed, lambda status: status != 403) in (200, 409)


def supervised(steps: list[dict[str, Any]]) -> bool:
    """Whether a case climbed to the top and was supervised there."""
    return any(step["event"] == "supervised" and step["rule"] == "clock/tier" for step in steps)


def busy_days(city: City) -> None:
    """Petitions that climb, are signed, added to, and supervised; an office takes note of it."""
    petitions = [city.submit(category="H01", place={"code": GRID}) for _ in range(20)]
    petitions += [city.submit(category="E0110", place={"code": STREET}) for _ in range(5)]
    sign(city, petitions[0])
    more = petitions[1]
    added = city.http.post(
        f"{city.stack.url('intake')}/petitions/{more['number']}/supplements",
        params={"code": more["code"]},
        json={"text": "还有一件事"},
    )
    assert added.status_code == 202
    for petition in petitions[:20]:
        eventually(
            lambda one=petition["id"]: city.history(one),  # type: ignore[misc]
            lambda steps: any(
                s["event"] == "supervised" and s["rule"] == "clock/tier" for s in steps
            ),
            seconds=60,
        )
    page = eventually(
        lambda: city.get("escalation", f"/notices/{DISTRICT}").json()["notices"],
        lambda n: len(n) > 0,
    )
    taken = city.http.post(
        f"{city.stack.url('escalation')}/notices/{page[0]['id']}/acknowledge",
        headers=city.token("district_dispatcher", division=DISTRICT),
    )
    assert taken.status_code == 200


def test_every_topic_from_its_beginning_changes_nothing(fast_city: City, tmp_path: Path) -> None:
    city = fast_city
    busy_days(city)
    city.stack.stop_service("escalation")
    with no_sweep(city, tmp_path):
        eventually(lambda: quiet(city), bool, seconds=60, pause=0.2)
    before, said = facts(city), ends(city)
    for table in ("router.history", "escalation.armed", "escalation.notices", "escalation.said",
                  "escalation.counts", "analytics.counts", "intake.receipts"):  # fmt: skip
        assert before[table], table
    events = {row[0] for row in ask(city, "router", "select distinct event from history")}
    assert events >= {"opened", "supplemented", "promoted", "supervised"}

    for service in SERVICES:
        city.stack.stop_service(service)
        asyncio.run(rows(city, service, "update offsets set next_offset = 0"))
    assert not any(positions(city).values())
    with no_sweep(city, tmp_path):
        for service in SERVICES:
            if service != "escalation":
                city.stack.start_service(service)
        eventually(lambda: quiet(city), bool, seconds=60, pause=0.2)
    after, said_after = facts(city), ends(city)
    city.stack.start_service("escalation")

    assert {table for table in before if after[table] != before[table]} == set()
    assert said_after == said
