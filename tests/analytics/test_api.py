"""The figures over HTTP, from the real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from prometheus_client import REGISTRY

from services.analytics.__main__ import SERVICE
from services.analytics.handlers.cases import measure, on_cases
from shared.divisions import Tier
from shared.events import Topic
from shared.hearing import Progress, advance
from shared.http import create_app
from shared.postgres import Pool, transaction
from shared.service import Process
from shared.settings import Settings
from tests.analytics.stories import STARTED, batch, case, closed, heard


@pytest.fixture
def process(analytics_dsn: str, pool: Pool) -> Process:
    """A process of the service that runs no loop."""
    settings = Settings.model_validate({"database_url": analytics_dsn})
    return Process(SERVICE, settings, settings.clock(), pool, state=Progress())


@pytest.fixture
async def client(process: Process) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to that process, which has counted nine cases."""
    app = create_app(process, SERVICE.routes)
    places = ("210204005001001", "210204005001002", "210202003001001")
    snapshots = [
        *(closed(place=place, channel="grid_patrol") for place in places),
        closed(highest_tier=Tier.STREET, closing_tier=Tier.STREET, on_time={"final_reply": False}),
        closed(track="consult", kind="consult", on_time={}),
        case(stage="registered", tier=None, category=None, place="city"),
        case(tier=Tier.STREET, promotions={Tier.GRID: 1, Tier.COMMUNITY: 1}),
        case(category="H02", sensitivity=2),
        case(category="R01", track="xinfang", restricted=True, sensitivity=2),
    ]
    events = [heard(UUID(int=n), (1, 1), one) for n, one in enumerate(snapshots, start=1)]
    async with transaction(process.pool) as tx:
        await on_cases(batch(events), tx, STARTED)
        await advance(tx, Topic.ROUTER, {0: 0, 7: 0}, {0: 5, 7: 4})
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://analytics"
    ) as spoken:
        yield spoken


async def asked(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_city_is_counted_as_a_whole_and_by_groups(client: httpx.AsyncClient) -> None:
    stats = await asked(client, "/stats")
    figures = stats["figures"]
    assert (figures["open"], figures["waiting_for_dispatcher"], figures["closed"]) == (4, 1, 5)
    assert figures["solved_in_grid"] == {"numerator": 3, "denominator": 4, "basis_points": 7500}
    assert figures["closed_in_limit"] == {"numerator": 3, "denominator": 4, "basis_points": 7500}
    assert figures["closed_without_limit"] == 1
    assert figures["on_time"]["final_reply"]["basis_points"] == 7500
    assert figures["promoted"] == {"grid": 1, "community": 1, "street": 0, "district": 0}
    assert set(stats["by"]) == {"tier", "track", "channel", "kind", "urgency", "division"}
    assert stats["by"]["tier"]["dispatcher"]["waiting_for_dispatcher"] == 1
    assert stats["by"]["channel"]["grid_patrol"]["solved_in_grid"]["basis_points"] == 10_000
    assert set(stats["by"]["division"]) == {"city", "210204", "210202"}
    assert stats["as_of"]["topic"] == "router.events"
    assert stats["as_of"]["next_offsets"] == {"0": 5, "7": 4}


async def test_any_division_can_be_asked_and_shows_those_below(client: httpx.AsyncClient) -> None:
    district = await asked(client, "/stats?division=210204")
    assert district["figures"]["open"] + district["figures"]["closed"] == 7
    assert set(district["by"]) == {"division"}
    assert set(district["by"]["division"]) == {"210204", "210204005"}
    street = await asked(client, "/stats?division=210204005")
    assert street["figures"]["open"] + street["figures"]["closed"] == 5
    grid = await asked(client, "/stats?division=210204005001002&dimension=division")
    assert grid["figures"]["closed"] == 1
    assert (await asked(client, "/stats?division=999999"))["figures"]["open"] == 0


async def test_sensitive_matters_show_in_no_division_below_their_district(
    client: httpx.AsyncClient,
) -> None:
    categories = await asked(client, "/stats?dimension=category")
    assert categories["by"]["category"]["H02"]["open"] == 1
    grid = await asked(client, "/stats?division=210204005001001")
    assert grid["figures"]["open"] == 1
    refused = await client.get("/stats?division=210204&dimension=category")
    assert refused.status_code == 422
    assert "whole city" in refused.json()["detail"]
    assert "sensitivity 2" in categories["hidden"]


@pytest.mark.parametrize("query", ["division=2102", "division=abc", "dimension=name"])
async def test_a_wrong_question_is_told_what_is_wrong(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"/stats?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_checksum_moves_with_the_figures(
    client: httpx.AsyncClient, process: Process
) -> None:
    before = await asked(client, "/stats/checksum")
    assert await asked(client, "/stats/checksum") == before
    async with transaction(process.pool) as tx:
        await on_cases(batch([heard(UUID(int=9), (1, 2), closed())]), tx, STARTED)
    assert (await asked(client, "/stats/checksum"))["sha256"] != before["sha256"]


async def test_the_gauges_show_what_the_counters_say(
    client: httpx.AsyncClient, process: Process
) -> None:
    assert await measure(process) == 1.0

    def gauge(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"casegrid_analytics_{name}", labels)

    assert gauge("cases_open", tier="street") == 1
    assert gauge("cases_open", tier="grid") == 2
    assert gauge("cases_open", tier="dispatcher") == 1
    assert gauge("cases_open", tier="district") == 0
    assert gauge("cases_open_by_track", track="xinfang") == 1
    assert gauge("cases_closed") == 5
    assert gauge("solved_in_grid_basis_points") == 7500
    assert gauge("projection_age_seconds") == 0
