"""What is told of the next hours over HTTP, from the real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.escalation.__main__ import SERVICE
from services.escalation.handlers import handle, sweep_once
from shared.clock import Clock, wall
from shared.http import create_app, cursor_of
from shared.postgres import Pool, transaction
from shared.service import Process
from shared.settings import Settings
from tests.escalation.conftest import Token
from tests.escalation.stories import (
    CASE,
    COMMUNITY,
    DISTRICT,
    GRID,
    HOUR,
    STREET,
    at,
    batch,
    case,
    clock,
    heard,
    sign_clock,
    tier_clock,
)
from tests.escalation.test_api import asked

NOW = 4 * HOUR
ACCUSED, OF_LIGHTING, ANSWERED, PAUSED = (UUID(int=n) for n in range(2, 6))


@pytest.fixture
async def client(settings: Settings, pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to a process four hours after these came; their signing was reminded of."""
    frozen = Clock(speed=1e-9, base=at(NOW), base_utc=wall())
    app = create_app(Process(SERVICE, settings, frozen, pool), SERVICE.routes)
    lighting = clock(owner_office="lighting", due=7 * HOUR)
    events = [
        heard(1, case(clock(), tier_clock(), sign_clock())),
        heard(1, case(tier_clock(due=6 * HOUR), accused_division=COMMUNITY), ACCUSED),
        heard(1, case(lighting, holder=STREET, tier="street"), OF_LIGHTING),
        heard(1, case(tier_clock(answered=True)), ANSWERED),
        heard(1, case(tier_clock(paused=True)), PAUSED),
    ]
    async with transaction(pool) as tx:
        await handle(batch(*events), tx, at(0))
        await sweep_once(tx, at(NOW))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://escalation"
    ) as spoken:
        yield spoken


def cases_of(shown: Any) -> list[UUID]:
    return [UUID(one["case"]) for one in shown["cases"]]


async def test_a_case_says_what_happens_when_why_and_who_could_prevent_it(
    client: httpx.AsyncClient, token: Token
) -> None:
    shown = await asked(client, f"/forecast?unit={GRID}&hours=20", token(GRID))
    assert shown == {
        "unit": GRID,
        "office": None,
        "hours": 20,
        "at": shown["at"],
        "until": shown["until"],
        "counts": {"promote": {"grid": 1}, "supervise": {"grid": 1}},
        "cases": [
            {
                "case": str(CASE),
                "tier": "grid",
                "holder": GRID,
                "coming": [
                    {
                        "due_at": at(5 * HOUR).isoformat(),
                        "late": False,
                        "action": "promote",
                        "to": {"division": COMMUNITY, "tier": "community"},
                        "clock": "tier",
                        "generation": 1,
                        "owner": {"division": GRID, "role": "grid_head", "office": None},
                    },
                    {
                        "due_at": at(24 * HOUR).isoformat(),
                        "late": False,
                        "action": "supervise",
                        "to": None,
                        "clock": "reply",
                        "generation": 1,
                        "owner": {"division": STREET, "role": "street_cadre", "office": None},
                    },
                ],
            }
        ],
        "next": None,
    }


@pytest.mark.parametrize(
    ("hours", "counts"),
    [
        (1, {"promote": {"grid": 1}}),
        (2, {"promote": {"grid": 2}}),
        (4, {"promote": {"grid": 2}, "supervise": {"street": 1}}),
        (24, {"promote": {"grid": 2}, "supervise": {"street": 1, "grid": 1}}),
    ],
)
async def test_the_counts_are_of_all_hours_asked_for(
    client: httpx.AsyncClient, token: Token, hours: int, counts: dict[str, dict[str, int]]
) -> None:
    shown = await asked(client, f"/forecast?hours={hours}&limit=1", token(DISTRICT))
    assert (shown["unit"], shown["counts"]) == (DISTRICT, counts)
    assert cases_of(shown) == [CASE]


async def test_pages_show_every_case_once_in_due_order(
    client: httpx.AsyncClient, token: Token
) -> None:
    found: list[UUID] = []
    path: str | None = "/forecast?unit=city&limit=2"
    sizes = []
    while path:
        page = await asked(client, path, token("city"))
        found += cases_of(page)
        sizes.append(len(page["cases"]))
        path = page["next"] and f"/forecast?unit=city&limit=2&cursor={page['next']}"
    assert (found, sizes) == ([CASE, ACCUSED, OF_LIGHTING], [2, 1])


async def test_what_was_done_is_no_longer_foreseen_and_what_is_late_is(
    client: httpx.AsyncClient, token: Token, pool: Pool
) -> None:
    async with transaction(pool) as tx:
        await handle(batch(heard(2, case(tier_clock(2, due=NOW - HOUR), clock()))), tx, at(NOW))
    (late,) = (await asked(client, "/forecast?hours=1", token(GRID)))["cases"]
    assert [(one["late"], one["generation"]) for one in late["coming"]] == [(True, 2)]
    async with transaction(pool) as tx:
        await sweep_once(tx, at(NOW))
    shown = await asked(client, "/forecast?hours=1", token(GRID))
    assert (shown["cases"], shown["counts"]) == ([], {})


@pytest.mark.parametrize(
    ("division", "office", "seen"),
    [
        pytest.param(GRID, None, [CASE], id="below the accused"),
        pytest.param(COMMUNITY, None, [CASE], id="the accused"),
        pytest.param(STREET, None, [CASE, ACCUSED, OF_LIGHTING], id="above the accused"),
        pytest.param(STREET, "lighting", [OF_LIGHTING], id="an office"),
        pytest.param(STREET, "drainage", [], id="another office"),
        pytest.param("210202", None, [], id="another district"),
    ],
)
async def test_everybody_sees_what_is_his(
    client: httpx.AsyncClient, token: Token, division: str, office: str | None, seen: list[UUID]
) -> None:
    shown = await asked(client, "/forecast", token(division, "grid_head", office=office))
    assert (shown["office"], cases_of(shown)) == (office, seen)
    assert bool(shown["counts"]) is bool(seen)
    assert COMMUNITY not in {
        to["division"]
        for one in shown["cases"]
        if one["case"] == str(ACCUSED)
        for coming in one["coming"]
        if (to := coming["to"])
    }


PLACE = (at(5 * HOUR).isoformat(), GRID, str(CASE))


@pytest.mark.parametrize(
    ("query", "division", "status"),
    [
        (f"unit={GRID}", COMMUNITY, 200),
        (f"unit={COMMUNITY}", GRID, 403),
        ("unit=city", "city", 200),
        ("unit=city", DISTRICT, 403),
        ("unit=nowhere", "city", 422),
        ("hours=0", GRID, 422),
        ("hours=168", GRID, 200),
        ("hours=169", GRID, 422),
        ("limit=0", GRID, 422),
        ("limit=201", GRID, 422),
        ("cursor=nonsense", GRID, 422),
        ("cursor=WzEsMl0", GRID, 422),
        (f"cursor={cursor_of([*PLACE])}", GRID, 200),
        (f"cursor={cursor_of(['2026-04-12T00:00:00', *PLACE[1:]])}", GRID, 422),
        (f"cursor={cursor_of(['0001-01-01T00:00:00+14:00', *PLACE[1:]])}", GRID, 422),
        (f"cursor={cursor_of([PLACE[0], chr(0), PLACE[2]])}", GRID, 422),
        (f"cursor={cursor_of([PLACE[0], GRID, 7])}", GRID, 422),
    ],
)
async def test_whose_forecast_one_may_ask_for(
    client: httpx.AsyncClient, token: Token, query: str, division: str, status: int
) -> None:
    answer = await client.get(f"/forecast?{query}", headers=token(division))
    assert answer.status_code == status, answer.text


async def test_it_is_for_officers_only(client: httpx.AsyncClient, token: Token) -> None:
    assert (await client.get("/forecast")).status_code == 401
    assert (await client.get("/forecast", headers=token(GRID, "resident"))).status_code == 403


async def test_the_api_page_explains_it(client: httpx.AsyncClient) -> None:
    page = (await client.get("/openapi.json")).json()
    described = page["paths"]["/forecast"]["get"]
    assert "nobody acts" in described["summary"]
    assert "10,000" in described["description"]
    assert {one["name"] for one in described["parameters"]} == {"unit", "hours", "cursor", "limit"}
    assert all(one["description"] for one in described["parameters"])
    answers = page["components"]["schemas"]
    assert all(answers[name]["description"] for name in ("Forecast", "ComingCase", "Coming"))
    shown = described["responses"]["200"]["content"]["application/json"]["schema"]
    assert shown["$ref"].endswith("/Forecast")


async def test_at_and_until_are_promise_time(client: httpx.AsyncClient, token: Token) -> None:
    shown = await asked(client, "/forecast?hours=3", token(GRID))
    frozen = at(NOW).isoformat()[:19]
    assert shown["at"].startswith(frozen)
    assert shown["until"].startswith((at(NOW) + timedelta(hours=3)).isoformat()[:19])
