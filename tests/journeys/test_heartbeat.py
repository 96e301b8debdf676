"""The heartbeat goes the whole way of a petition, and leaves no trace but its age."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.environment import SERVICES
from shared.heartbeat import STAGES
from tests.journeys.city import DISTRICT, GRID, City, eventually, rows

FRESH, STALE = 4.0, 12.0
BEHIND_THE_ROUTER = ("timed", "counted", "told")


def ages(city: City) -> dict[str, float]:
    """The age of the last heartbeat at each stage, of all services that answer."""
    found: dict[str, float] = {}
    for service in SERVICES:
        try:
            text = city.http.get(city.stack.url(service) + "/metrics").text
        except httpx.ConnectError:
            continue
        for family in text_string_to_metric_families(text):
            if family.name == "casegrid_heartbeat_age_seconds":
                found |= {one.labels["stage"]: one.value for one in family.samples}
    return found


def test_every_stage_feels_it(beating_city: City) -> None:
    felt = eventually(lambda: ages(beating_city), lambda a: max(a.values()) < FRESH)
    assert set(felt) == set(STAGES.values())


def test_with_the_router_stopped_all_stages_behind_it_say_so(beating_city: City) -> None:
    eventually(lambda: ages(beating_city), lambda a: max(a.values()) < FRESH)
    beating_city.stack.stop_service("router")
    try:
        felt = eventually(lambda: ages(beating_city), only_what_is_behind_is_stale, seconds=60)
        assert set(felt) == {"sent", *BEHIND_THE_ROUTER}
    finally:
        beating_city.stack.start_service("router")
    eventually(lambda: ages(beating_city), lambda a: max(a.values()) < FRESH)


def only_what_is_behind_is_stale(felt: dict[str, float]) -> bool:
    """Whether all stages that hear the router are stale, and the one before it is not."""
    return felt["sent"] < FRESH and min(felt[stage] for stage in BEHIND_THE_ROUTER) > STALE


async def sizes(city: City) -> dict[str, int]:
    """Rows of every table of every service, but for the outbox, which all passes through."""
    found = {}
    for service in SERVICES:
        connection = await asyncpg.connect(city.stack.database_url(service))
        tables = await connection.fetch("select tablename from pg_tables where schemaname='public'")
        for (table,) in tables:
            if table != "outbox":
                n = await connection.fetchval(f'select count(*) from "{table}"')
                found[f"{service}.{table}"] = n
        await connection.close()
    return found


def is_folded(size: dict[str, int]) -> bool:
    """Whether all that the petition changed is summed up."""
    return not any(size[f"{service}.tally_deltas"] for service in SERVICES)


def shown(city: City) -> dict[str, Any]:
    """What the city counts and shows to people."""
    stats, queues, notices = (
        city.get(service, path)
        for service, path in (
            ("analytics", "/stats"),
            ("router", "/queues"),
            ("escalation", f"/notices/{DISTRICT}"),
        )
    )
    assert (stats.status_code, queues.status_code, notices.status_code) == (200, 200, 200)
    figures = {name: one for name, one in stats.json().items() if name != "as_of"}
    return {"figures": figures, "queues": queues.json(), "notices": notices.json()}


def beats(city: City) -> int:
    """How many beats the slowest partition of any stage felt."""
    felt = [asyncio.run(rows(city, service, "select n from heartbeats")) for service, _ in STAGES]
    return min(int(row["n"]) for stage in felt for row in stage)


def test_nothing_is_counted_shown_or_kept_of_it(beating_city: City) -> None:
    petition = beating_city.submit(text="楼道门口的垃圾三天没人清理", category="E0102",
                                   place={"code": GRID})  # fmt: skip
    eventually(lambda: shown(beating_city)["figures"]["figures"]["open"], lambda n: n == 1)
    eventually(lambda: beating_city.receipt(petition)["where"], lambda w: w is not None)
    eventually(lambda: ages(beating_city), lambda a: max(a.values()) < FRESH)
    size = eventually(lambda: asyncio.run(sizes(beating_city)), is_folded)
    before = shown(beating_city)
    felt = beats(beating_city)
    said = beating_city.metric("router", "casegrid_events_said_total")
    eventually(lambda: beats(beating_city), lambda n: n >= felt + 10)
    assert beating_city.metric("router", "casegrid_events_said_total") >= said + 5 * 12
    assert shown(beating_city) == before
    assert asyncio.run(sizes(beating_city)) == size
    for service in SERVICES:
        assert beating_city.metric(service, "casegrid_parked") == 0
        assert beating_city.metric(service, "casegrid_census_differences_total") == 0
        assert beating_city.metric(service, "casegrid_outbox_depth") <= 3 * 12
