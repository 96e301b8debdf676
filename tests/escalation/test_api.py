"""What escalation answers over HTTP, from the real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.escalation.__main__ import SERVICE
from services.escalation.handlers import handle, raise_once, show_figures, sweep_once
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
from tests.escalation.test_figures import gauge

ACCUSED, OF_LIGHTING, OF_DRAINAGE = UUID(int=2), UUID(int=3), UUID(int=4)
HELD_BY_LIGHTING: dict[str, object] = {
    "holder": STREET, "role": "department_officer", "office": "lighting",
}  # fmt: skip
OF_NO_OTHER = {"owner_division": None, "owner_role": None}


@pytest.fixture
async def client(settings: Settings, pool: Pool) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to a process 13 hours after a case came, which was swept each hour until the 12th."""
    frozen = Clock(speed=1e-9, base=at(13 * HOUR), base_utc=wall())
    app = create_app(Process(SERVICE, settings, frozen, pool), SERVICE.routes)
    events = [
        heard(1, case(clock(), tier_clock(), sign_clock())),
        heard(1, case(sign_clock(), holder=DISTRICT, accused_division=STREET), ACCUSED),
    ]
    async with transaction(pool) as tx:
        await handle(batch(*events), tx, at(0))
        for hour in range(1, 13):
            await sweep_once(tx, at(hour * HOUR))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://escalation"
    ) as spoken:
        yield spoken


async def asked(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> Any:
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---------------------------------------------------------------- clocks


async def test_the_clocks_of_a_case_say_what_was_done(
    client: httpx.AsyncClient, token: Token
) -> None:
    shown = await asked(client, f"/cases/{CASE}/clocks", token(STREET))
    assert (shown["case"], shown["open"], shown["tier"]) == (str(CASE), True, "grid")
    assert shown["next_at"] == at(HOUR // 2 + 17 * HOUR).isoformat(), "the next card"
    sign, tier, reply = shown["clocks"]
    assert (sign["name"], sign["breached"], sign["order"]) == ("sign", True, None)
    assert (sign["owner"], sign["repeats_given"]) == ({"division": GRID, "role": "grid_head"}, 10)
    assert (tier["generation"], tier["order"]["action"]) == (1, "promote")
    assert tier["order"]["state"] == "pending"
    assert (reply["breached"], reply["due_at"]) == (False, at(24 * HOUR).isoformat())
    assert [mark["given"] for mark in reply["warnings"]] == [True, False, False]


async def test_an_answered_order_is_shown_as_answered(
    client: httpx.AsyncClient, token: Token, pool: Pool
) -> None:
    async with transaction(pool) as tx:
        await handle(batch(heard(2, case(tier_clock(answered=True)))), tx, at(13 * HOUR))
    shown = await asked(client, f"/cases/{CASE}/clocks", token(GRID))
    assert shown["clocks"][0]["order"]["state"] == "answered"


async def test_a_case_not_yet_known_is_asked_for_again(
    client: httpx.AsyncClient, token: Token
) -> None:
    answer = await client.get(f"/cases/{UUID(int=9)}/clocks", headers=token("city"))
    assert (answer.status_code, answer.headers["retry-after"]) == (404, "1")
    assert (await client.get("/cases/nonsense/clocks", headers=token("city"))).status_code == 422


@pytest.mark.parametrize(
    ("case_id", "division", "role", "status"),
    [
        pytest.param(CASE, GRID, "grid_head", 200, id="the holder"),
        pytest.param(CASE, DISTRICT, "auditor", 200, id="above the holder"),
        pytest.param(CASE, "210202", "auditor", 404, id="another district"),
        pytest.param(CASE, GRID, "resident", 403, id="no officer"),
        pytest.param(ACCUSED, DISTRICT, "district_dispatcher", 200, id="above the accused"),
        pytest.param(ACCUSED, STREET, "street_cadre", 404, id="the accused"),
        pytest.param(ACCUSED, GRID, "grid_head", 404, id="below the accused"),
    ],
)
async def test_who_may_see_the_clocks(
    client: httpx.AsyncClient, token: Token, case_id: UUID, division: str, role: str, status: int
) -> None:
    answer = await client.get(f"/cases/{case_id}/clocks", headers=token(division, role))
    assert answer.status_code == status
    if status == 404:
        nobodys = f"/cases/{UUID(int=9)}/clocks"
        unknown = await client.get(nobodys, headers=token(division, role))
        assert (answer.content, answer.headers) == (unknown.content, unknown.headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/cases/{CASE}/clocks"),
        ("GET", f"/notices/{GRID}"),
        ("POST", f"/notices/{CASE}/acknowledge"),
    ],
)
async def test_nothing_is_told_without_a_token(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    assert (await client.request(method, path)).status_code == 401


# ---------------------------------------------------------------- notices


async def test_a_unit_sees_its_notices_newest_first(
    client: httpx.AsyncClient, token: Token
) -> None:
    shown = await asked(client, f"/notices/{GRID}", token(GRID))
    assert shown["unacknowledged"] == {"reminder": 4}, (
        "an order to promote it, and three of signing"
    )
    posted = [notice["posted_at"] for notice in shown["notices"]]
    assert posted == sorted(posted, reverse=True)
    assert (len(posted), shown["next"]) == (4, None)
    assert shown["notices"][1] == {
        "id": shown["notices"][1]["id"],
        "division": GRID,
        "role": "grid_head",
        "office": None,
        "clock": "sign",
        "reason": "reminder",
        "about": None,
        "count": 1,
        "oldest_due_at": at(HOUR // 2).isoformat(),
        "cases": [str(CASE)],
        "posted_at": at(3 * HOUR).isoformat(),
        "raised_from": None,
        "unheeded_at": None,
        "pushed_at": None,
        "ended_at": None,
        "acknowledged": None,
    }


async def test_pages_show_every_notice_once(client: httpx.AsyncClient, token: Token) -> None:
    headers = token(GRID)
    ids: list[str] = []
    path: str | None = f"/notices/{GRID}?limit=1"
    sizes = []
    while path:
        page = await asked(client, path, headers)
        ids += [notice["id"] for notice in page["notices"]]
        sizes.append(len(page["notices"]))
        path = page["next"] and f"/notices/{GRID}?limit=1&cursor={page['next']}"
    assert (sizes, len(set(ids))) == ([1, 1, 1, 1, 0], 4)


async def test_a_role_sees_its_own_notices(client: httpx.AsyncClient, token: Token) -> None:
    cadre = await asked(client, f"/notices/{STREET}?role=street_cadre", token(STREET))
    assert [notice["reason"] for notice in cadre["notices"]] == ["warning"]
    assert (await asked(client, f"/notices/{STREET}?role=mediator", token(STREET)))["notices"] == []


@pytest.mark.parametrize(
    ("unit", "division", "status"),
    [
        (GRID, COMMUNITY, 200),
        (COMMUNITY, GRID, 403),
        ("city", "city", 200),
        ("city", DISTRICT, 403),
        ("nowhere", "city", 422),
        (f"{GRID}?cursor=nonsense", GRID, 422),
        (f"{GRID}?cursor=WzEsMl0", GRID, 422),
        (f"{GRID}?cursor={cursor_of(['2026-04-12T00:00:00', str(CASE)])}", GRID, 422),
        (f"{GRID}?cursor={cursor_of(['0001-01-01T00:00:00+14:00', str(CASE)])}", GRID, 422),
        (f"{GRID}?cursor={cursor_of(['2026-04-12T00:00:00Z', 7])}", GRID, 422),
        (f"{GRID}?cursor={cursor_of(['2026-04-12T00:00:00Z', str(CASE)])}", GRID, 200),
        (f"{GRID}?role=%00", GRID, 422),
        (f"{GRID}?limit=0", GRID, 422),
    ],
)
async def test_whose_notices_one_may_ask_for(
    client: httpx.AsyncClient, token: Token, unit: str, division: str, status: int
) -> None:
    answer = await client.get(f"/notices/{unit}", headers=token(division))
    assert answer.status_code == status, answer.text


async def test_a_notice_is_acknowledged_once_and_by_the_first(
    client: httpx.AsyncClient, token: Token, pool: Pool
) -> None:
    _, newest, *_ = (await asked(client, f"/notices/{GRID}", token(GRID)))["notices"]
    path = f"/notices/{newest['id']}/acknowledge"
    first = await client.post(path, headers=token(GRID, "grid_worker", "grid_head"))
    assert first.json()["acknowledged"] == {
        "at": at(13 * HOUR).isoformat(),
        "role": "grid_head",
        "by": "officer-7",
    }
    second = await client.post(path, headers=token(GRID, "grid_head", subject="officer-8"))
    assert (second.status_code, second.json()) == (200, first.json())
    left = await asked(client, f"/notices/{GRID}", token(GRID))
    assert left["unacknowledged"] == {"reminder": 1}, "the earlier ones with it"
    assert [one["about"] for one in left["notices"]] == ["promotion"]
    everything = await asked(client, f"/notices/{GRID}?all=true", token(GRID))
    assert len(everything["notices"]) == 4
    async with pool.acquire() as tx:
        await show_figures(tx, at(13 * HOUR))
        waiting = await tx.fetchval(
            "select count(*) from notices where acknowledged_at is null and reason = 'reminder'"
        )
    assert gauge("notices_unacknowledged", reason="reminder") == waiting


async def test_a_raised_notice_says_which_one_nobody_took_note_of(
    client: httpx.AsyncClient, token: Token, pool: Pool
) -> None:
    async with transaction(pool) as tx:
        assert (await raise_once(tx, at(25 * HOUR))).taken
    below = await asked(client, f"/notices/{GRID}", token(GRID))
    above = await asked(client, f"/notices/{COMMUNITY}", token(COMMUNITY))
    oldest = below["notices"][-1]
    assert (oldest["unheeded_at"], oldest["raised_from"]) == (at(25 * HOUR).isoformat(), None)
    (raised,) = [one for one in above["notices"] if one["raised_from"]]
    assert raised["raised_from"] == oldest["id"]
    assert (raised["posted_at"], raised["cases"]) == (at(25 * HOUR).isoformat(), oldest["cases"])


async def test_nobody_acknowledges_for_another_area(
    client: httpx.AsyncClient, token: Token
) -> None:
    newest, *_ = (await asked(client, f"/notices/{GRID}", token(GRID)))["notices"]
    path = f"/notices/{newest['id']}/acknowledge"
    assert (await client.post(path, headers=token("210202"))).status_code == 403
    assert (await client.post(path, headers=token(GRID, "resident"))).status_code == 403
    for division, role in ((GRID, "auditor"), (GRID, "grid_worker"), (COMMUNITY, "legal_adviser")):
        answer = await client.post(path, headers=token(division, role))
        assert (answer.status_code, answer.json()["type"][-13:]) == (403, "not-your-desk")
    unknown = await client.post(f"/notices/{UUID(int=9)}/acknowledge", headers=token("city"))
    assert unknown.status_code == 404
    left = await asked(client, f"/notices/{GRID}", token(GRID))
    assert left["unacknowledged"] == {"reminder": 4}


# ---------------------------------------------------------------- offices


@pytest.fixture
async def of_offices(client: httpx.AsyncClient, pool: Pool) -> httpx.AsyncClient:
    """Two offices of the street did not sign what they hold; drainage is accused by one case."""
    of_drainage = {**HELD_BY_LIGHTING, "office": "drainage"}
    events = [
        heard(1, case(sign_clock(due=12 * HOUR, **OF_NO_OTHER), **HELD_BY_LIGHTING), OF_LIGHTING),
        heard(1, case(sign_clock(due=12 * HOUR, **OF_NO_OTHER), **of_drainage), OF_DRAINAGE),
        heard(2, case(sign_clock(), holder=STREET, accused_office="drainage"), ACCUSED),
    ]
    async with transaction(pool) as tx:
        await handle(batch(*events), tx, at(12 * HOUR))
        await sweep_once(tx, at(13 * HOUR - HOUR // 4))
    return client


def cases_of(shown: Any) -> list[list[str]]:
    return [notice["cases"] for notice in shown["notices"]]


async def test_who_acts_for_an_office_sees_the_notices_of_his_office(
    of_offices: httpx.AsyncClient, token: Token
) -> None:
    lighting = token(STREET, "department_officer", office="lighting")
    shown = await asked(of_offices, f"/notices/{STREET}", lighting)
    assert (shown["office"], shown["unacknowledged"]) == ("lighting", {"reminder": 1})
    assert cases_of(shown) == [[str(OF_LIGHTING)]]
    assert shown["notices"][0]["office"] == "lighting"
    same = await asked(of_offices, f"/notices/{STREET}?office=lighting", lighting)
    assert same == shown
    for path in (f"/notices/{STREET}?office=drainage", f"/notices/{GRID}?office=drainage"):
        assert (await of_offices.get(path, headers=lighting)).status_code == 403
    elsewhere = await of_offices.get(
        f"/notices/{DISTRICT}", headers=token(STREET, "department_officer", office="lighting")
    )
    assert elsewhere.status_code == 403


async def test_who_acts_for_no_office_sees_all_of_his_area_and_may_ask_for_one(
    of_offices: httpx.AsyncClient, token: Token
) -> None:
    street = token(STREET, "street_dispatcher")
    shown = await asked(of_offices, f"/notices/{STREET}", street)
    assert {notice["office"] for notice in shown["notices"]} == {None, "lighting", "drainage"}
    one = await asked(of_offices, f"/notices/{STREET}?office=drainage", street)
    assert (one["office"], cases_of(one)) == ("drainage", [[str(OF_DRAINAGE)]])
    assert (await asked(of_offices, f"/notices/{STREET}?office=nobody", street))["notices"] == []
    zero = await of_offices.get(f"/notices/{STREET}?office=%00", headers=street)
    assert zero.status_code == 422


async def test_who_acts_for_an_office_acknowledges_for_his_office_only(
    of_offices: httpx.AsyncClient, token: Token
) -> None:
    shown = await asked(of_offices, f"/notices/{STREET}", token(STREET, "street_dispatcher"))
    ids = {notice["office"]: notice["id"] for notice in shown["notices"]}
    lighting = token(STREET, "department_officer", office="lighting")
    for office, status in ((None, 403), ("drainage", 403), ("lighting", 200)):
        path = f"/notices/{ids[office]}/acknowledge"
        answer = await of_offices.post(path, headers=lighting)
        assert answer.status_code == status, office
    left = await asked(of_offices, f"/notices/{STREET}", lighting)
    assert (left["unacknowledged"], left["notices"]) == ({}, [])


async def test_the_clocks_say_which_office_owns_them(
    of_offices: httpx.AsyncClient, token: Token
) -> None:
    shown = await asked(of_offices, f"/cases/{OF_LIGHTING}/clocks", token(STREET))
    assert shown["clocks"][0]["owner"] == {
        "division": STREET,
        "role": "department_officer",
        "office": "lighting",
    }


@pytest.mark.parametrize(
    ("office", "status"), [(None, 200), ("lighting", 200), ("drainage", 404), ("nobody", 404)]
)
async def test_who_acts_for_an_office_sees_the_clocks_of_what_owes_his_office_something(
    of_offices: httpx.AsyncClient, token: Token, office: str | None, status: int
) -> None:
    who = token(STREET, "department_officer", office=office)
    answer = await of_offices.get(f"/cases/{OF_LIGHTING}/clocks", headers=who)
    assert answer.status_code == status
    unowned = await of_offices.get(f"/cases/{CASE}/clocks", headers=who)
    assert unowned.status_code == (200 if office is None else 404)


@pytest.mark.parametrize("division", [STREET, DISTRICT, "city"])
async def test_the_accused_office_sees_no_clocks_in_whatever_division(
    of_offices: httpx.AsyncClient, token: Token, division: str
) -> None:
    path = f"/cases/{ACCUSED}/clocks"
    drainage = token(division, "department_officer", office="drainage")
    assert (await of_offices.get(path, headers=drainage)).status_code == 404
    assert (await of_offices.get(path, headers=token(division))).status_code == 200
