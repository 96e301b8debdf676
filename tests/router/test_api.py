"""The router over HTTP, from the real PostgreSQL: who may ask what, once, against which version."""

from __future__ import annotations

import asyncio
from collections import Counter as Count
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID

import httpx
import pytest

from services.router.__main__ import SERVICE, look
from services.router.api import accounts
from services.router.decisions.case import duties
from services.router.decisions.policy import Role
from services.router.handlers.policies import Policies, load
from services.router.store import queues
from services.router.store.queues import BEGINNING
from shared.divisions import CITY, Tier
from shared.http import cursor_of
from shared.identity import OFFICER_ROLES, issue
from shared.postgres import Pool, transaction
from shared.service import Process
from tests.router.conftest import SECRET
from tests.router.events import (
    Router,
    Said,
    breach,
    cases,
    contents,
    petition_id,
    receipt,
    supplement,
)
from tests.router.stories import (
    BUS,
    COMMUNITY,
    DISTRICT,
    GRID,
    LAMP,
    MINUTE,
    NEXT_COMMUNITY,
    NEXT_GRID,
    NEXT_STREET,
    NOON,
    RUBBISH,
    STREET,
    examples,
)

A, B, C = petition_id(1), petition_id(2), petition_id(3)
SIGN = {"command": "sign"}
PARTS = ("routing", "history", "account")


def token(
    division: str, *roles: str, subject: str = "somebody", office: str | None = None
) -> dict[str, str]:
    """The header of an officer."""
    text = issue(SECRET, subject, roles or ("grid_head",), division, office)
    return {"Authorization": f"Bearer {text}"}


def problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem of an answer, which is one of RFC 9457."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"https://casegrid.example/problems/{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


async def asked(client: httpx.AsyncClient, path: str, division: str = CITY) -> Any:
    answer = await client.get(path, headers=token(division))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def given(
    client: httpx.AsyncClient,
    case: UUID,
    body: object,
    *,
    key: str | None = "key-1",
    seen: str | None = "*",
    division: str = CITY,
    roles: tuple[str, ...] = (),
    subject: str = "somebody",
) -> httpx.Response:
    """One command."""
    headers = token(division, *roles, subject=subject)
    if key is not None:
        headers["Idempotency-Key"] = key
    if seen is not None:
        headers["If-Match"] = seen
    return await client.post(f"/cases/{case}/commands", json=body, headers=headers)


# ---------------------------------------------------------------- who may read


@pytest.mark.parametrize(
    "path",
    [f"/cases/{A}", *(f"/cases/{A}/{part}" for part in PARTS), f"/queues/{GRID}"],
)
async def test_each_route_needs_a_token_that_holds(
    client: httpx.AsyncClient, router: Router, path: str
) -> None:
    await router.hear(Said(receipt(), A))
    old = issue(SECRET, "somebody", ("grid_head",), GRID, lasts=timedelta(hours=-1))
    other = issue("another key that is just as long as it", "somebody", ("grid_head",), GRID)
    for header in ("", "Basic x", "Bearer x", f"Bearer {old}", f"Bearer {other}"):
        answer = await client.get(path, headers={"Authorization": header} if header else {})
        problem(answer, 401, "not-identified")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert (await client.get(path, headers=token(GRID))).status_code == 200


@pytest.mark.parametrize("roles", [("resident",), ("grid_volunteer",), ("",), ("nobody",)])
@pytest.mark.parametrize(
    "path",
    [f"/cases/{A}", *(f"/cases/{A}/{part}" for part in PARTS), f"/queues/{GRID}"],
)
async def test_each_route_is_for_officers_only(
    client: httpx.AsyncClient, router: Router, path: str, roles: tuple[str, ...]
) -> None:
    await router.hear(Said(receipt(), A))
    for division in (GRID, CITY):
        answer = await client.get(path, headers=token(division, *roles))
        problem(answer, 403, "not-an-officer")
    mixed = await client.get(path, headers=token(GRID, *roles, "auditor"))
    assert mixed.status_code == 200


async def test_a_command_is_for_officers_only(client: httpx.AsyncClient, router: Router) -> None:
    await router.hear(Said(receipt(), A))
    for role in ("resident", "grid_volunteer", ""):
        problem(await given(client, A, SIGN, roles=(role,)), 403, "not-an-officer")


def test_officers_have_every_role_of_the_policy_but_two() -> None:
    assert set(get_args(Role)) - {"resident", "grid_volunteer"} == OFFICER_ROLES


async def test_a_command_needs_a_token_too(client: httpx.AsyncClient) -> None:
    problem(await client.post(f"/cases/{A}/commands", json=SIGN), 401, "not-identified")


@pytest.mark.parametrize("part", ["", *(f"/{part}" for part in PARTS)])
async def test_what_is_not_for_you_looks_like_what_is_not_there(
    client: httpx.AsyncClient, router: Router, part: str
) -> None:
    await router.hear(
        Said(receipt(LAMP), A),
        Said(receipt(LAMP, accused=COMMUNITY), B),
        Said(receipt("S05", STREET), C),
    )
    readers = {
        A: (GRID, COMMUNITY, STREET, DISTRICT, CITY),
        B: (STREET, DISTRICT, CITY),  # the accused community and its grids know nothing of it
        C: (STREET, DISTRICT, CITY),  # the street owes the reply, the district holds it
    }
    everybody = (*readers[A], NEXT_GRID, NEXT_COMMUNITY, "210204004", "210202")
    for case, allowed in readers.items():
        for division in everybody:
            answer = await client.get(f"/cases/{case}{part}", headers=token(division))
            if division in allowed:
                assert answer.status_code == 200
            else:
                problem(answer, 404, "no-such-case")
                assert answer.headers["retry-after"] == "1"
    missing = await client.get(f"/cases/{petition_id(9)}{part}", headers=token(CITY))
    hidden = await client.get(f"/cases/{B}{part}", headers=token(COMMUNITY))
    assert missing.content == hidden.content


async def test_a_command_on_what_is_not_for_you_is_a_404_as_well(
    client: httpx.AsyncClient, pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A), Said(receipt(LAMP, accused=COMMUNITY), B))
    before = await contents(pool)
    for case, division in ((A, "210202"), (B, COMMUNITY), (B, GRID), (petition_id(9), CITY)):
        answer = await given(client, case, SIGN, division=division)
        problem(answer, 404, "no-such-case")
        assert answer.headers["retry-after"] == "1"
    assert await contents(pool) == before


@pytest.mark.parametrize("division", [STREET, DISTRICT, CITY])
async def test_the_accused_office_knows_of_no_case_in_whatever_division(
    client: httpx.AsyncClient, router: Router, division: str
) -> None:
    await router.hear(Said(receipt(LAMP), A), Said(receipt(LAMP, accused_office="lighting"), B))
    lighting = token(division, "department_officer", office="lighting")
    assert (await client.get(f"/cases/{A}", headers=lighting)).status_code == 200
    for part in ("", *(f"/{part}" for part in PARTS)):
        hidden = await client.get(f"/cases/{B}{part}", headers=lighting)
        problem(hidden, 404, "no-such-case")
    queue = await client.get("/queues/offices/lighting", headers=lighting)
    assert [line["case"] for line in queue.json()["entries"]] == [str(A)]
    held = await asked(client, f"/cases/{B}", STREET)
    assert held["holder"]["office"] is None
    assert held["lead"] is None


async def test_an_accused_office_that_nobody_knows_is_refused(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A))
    named = {"command": "classify", "category": LAMP, "accused_office": "nobody"}
    problem(await given(client, A, named, division=STREET), 422, "unknown")
    both = named | {"accused_office": "lighting", "accused": "none"}
    assert (await given(client, A, both, key="2", division=STREET)).status_code == 422
    good = named | {"accused_office": "lighting"}
    answer = await given(client, A, good, key="3", division=STREET)
    assert answer.status_code == 200
    given_to = {"command": "reroute", "division": STREET, "office": "lighting", "reason": "agreed"}
    problem(await given(client, A, given_to, key="4", division=STREET), 403, "not-your-area")


# ---------------------------------------------------------------- a case


LIGHTING = {"office": "lighting", "zh": "路灯管理处", "en": "lighting"}


async def test_a_case_is_shown_with_names_clocks_and_what_you_may_do(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A))
    answer = await client.get(f"/cases/{A}", headers=token(STREET, "street_dispatcher"))
    shown = answer.json()
    assert answer.headers["etag"] == '"1"'
    assert shown["id"] == str(A)
    assert (shown["stage"], shown["tier"], shown["version"]) == ("assigned", "street", 1)
    assert shown["category_name"] == {"zh": "道路交通-路灯", "en": "street lamp fault"}
    assert shown["holder"] == {
        "division": STREET,
        "name": "兴工街道",
        "role": "department_officer",
        "office": LIGHTING,
    }
    assert shown["place"] == {"division": GRID, "name": "大庆社区第1网格"}
    assert {clock["name"] for clock in shown["clocks"]} == {
        "sign", "verify", "reply", "tier", "final_reply",
    }  # fmt: skip
    assert all(clock["overdue"] for clock in shown["clocks"])  # it is years old
    assert shown["next_deadline"].startswith("2024-05-20T02:30:00")
    assert shown["actions"] == [
        "classify", "place", "reroute", "assign", "pause", "extend", "not_accept", "sign",
        "return", "promote", "resolve", "give_task",
    ]  # fmt: skip
    assert (shown["lead"], shown["assisting"]) == (LIGHTING, [])


async def test_the_routing_says_why_in_both_languages_with_names(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(None), A))
    body = {"command": "classify", "category": LAMP}
    assert (await given(client, A, body)).status_code == 200
    shown = await asked(client, f"/cases/{A}/routing")
    assert shown["holder"] == STREET
    newest, first = shown["decisions"]
    assert (newest["event"], first["event"]) == ("classified", "opened")
    assert (newest["rule"], first["rule"]) == ("B3.4/category-tier", "B3.9/no-category")
    assert newest["policy"] == 1
    assert newest["matched"]["category"] == LAMP
    assert "street lamp" in newest["en"]
    assert "[rule B3.4/category-tier, policy 1]" in newest["en"]
    assert "路灯" in newest["zh"]
    assert newest["en"].isascii() or "大庆" in newest["en"]
    assert not newest["zh"].isascii()


async def test_the_history_is_read_page_by_page(client: httpx.AsyncClient, router: Router) -> None:
    await router.hear(
        Said(receipt(), A), *(Said(supplement(), A, n) for n in range(2, 7)), Said(receipt(), B)
    )
    pages, path = [], f"/cases/{A}/history?limit=4"
    cursor = ""
    while True:
        page = await asked(client, path + cursor)
        pages.append([step["seq"] for step in page["steps"]])
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    assert pages == [[1, 2, 3, 4], [5, 6]]
    whole = (await asked(client, f"/cases/{A}/history"))["steps"]
    assert whole[0]["event"] == "opened"
    assert whole[0]["changed"]["category"] == RUBBISH
    assert whole[1]["changed"] == {"heard": [1, 2], "seq": 2, "version": 2}
    assert {step["actor"] for step in whole} == {"service:router"}
    causes = [step["caused_by"].partition(":") for step in whole]
    assert {kind for kind, _, _ in causes} == {"event"}
    assert len({UUID(event_id) for _, _, event_id in causes}) == len(whole)


async def test_the_history_goes_on_in_the_epoch_after_a_restore(
    client: httpx.AsyncClient, pool: Pool, policies: Policies, router: Router
) -> None:
    await router.hear(Said(receipt(), A), Said(supplement(), A, 2))
    await Router(pool, policies, epoch=2).hear(Said(supplement(), A, 3))
    page = await asked(client, f"/cases/{A}/history?limit=2")
    rest = await asked(client, f"/cases/{A}/history?cursor={page['cursor']}")
    assert [(step["epoch"], step["seq"]) for step in rest["steps"]] == [(2, 1)]


async def test_an_officers_words_and_name_stand_in_the_history(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    body = {"command": "promote", "reason": "scale_up", "note": "十户人家"}
    answer = await given(client, A, body, division=GRID, subject="officer-7")
    assert answer.json()["transitions"] == ["promoted"]
    last = (await asked(client, f"/cases/{A}/history"))["steps"][-1]
    assert (last["actor"], last["role"], last["division"]) == ("officer-7", "grid_head", GRID)
    assert (last["detail"]["reason"], last["detail"]["note"]) == ("scale_up", "十户人家")


async def steps_told(
    client: httpx.AsyncClient, who: dict[str, str], case: UUID = A
) -> tuple[list[str], list[str]]:
    """The steps that somebody is told of, and the routing decisions, oldest first."""
    history = await client.get(f"/cases/{case}/history", headers=who)
    routing = await client.get(f"/cases/{case}/routing", headers=who)
    assert (history.status_code, routing.status_code) == (200, 200)
    decisions = [one["event"] for one in reversed(routing.json()["decisions"])]
    return [step["event"] for step in history.json()["steps"]], decisions


def events_in(account: Any) -> list[tuple[str, str]]:
    """Every step that an account names, by its event and its division."""
    steps = [one["step"] for line in account["promises"] for one in (*line["spans"], line["ended"])
             if one is not None]  # fmt: skip
    return [(step["event"], step["division"]) for step in steps]


async def test_who_was_accused_for_a_time_is_told_nothing_of_that_time(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A))
    desk, lighting = token(COMMUNITY), token(STREET, "department_officer", office="lighting")
    said = {"command": "classify", "category": LAMP, "note": "they took money"}
    for n, accused in enumerate(({"accused": COMMUNITY, "accused_office": "lighting"},
                                 {"accused": "none"})):  # fmt: skip
        answer = await given(client, A, said | accused, key=f"{n}", division=STREET)
        assert answer.status_code == 200, answer.text
    last = {"command": "reply", "text": "by tonight"}
    answer = await given(client, A, last, key="2", division=STREET, roles=("street_cadre",))
    assert answer.status_code == 200
    for who in (desk, lighting):
        assert await steps_told(client, who) == (["opened", "replied"], ["opened"])
        assert "money" not in (await client.get(f"/cases/{A}/history", headers=who)).text
        account = await client.get(f"/cases/{A}/account", headers=who)
        assert account.status_code == 200
        assert {event for event, _ in events_in(account.json())} == {"opened", "replied"}
    told = await steps_told(client, token(STREET))
    assert told[0] == ["opened", "classified", "classified", "replied"]
    pages = await client.get(f"/cases/{A}/history?limit=1", headers=desk)
    rest = await client.get(f"/cases/{A}/history?cursor={pages.json()['cursor']}", headers=desk)
    assert [step["event"] for step in rest.json()["steps"]] == ["replied"]
    assert rest.json()["cursor"] is None


async def test_a_department_is_told_why_it_came_to_it_and_from_whom(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt("L05"), A))
    moves: list[tuple[dict[str, str], str, tuple[str, ...]]] = [
        ({"command": "promote", "reason": "scale_up"}, COMMUNITY, ("community_officer",)),
        ({"command": "reroute", "division": STREET, "office": "municipal-works",
          "reason": "competence"}, STREET, ("street_dispatcher",)),
        ({"command": "return", "reason": "not_in_my_power"}, STREET, ("street_dispatcher",)),
    ]  # fmt: skip
    said = []
    for n, (move, division, roles) in enumerate(moves):
        answer = await given(client, A, move, key=f"{n}", division=division, roles=roles)
        assert answer.status_code == 200, answer.text
        said.append((await asked(client, f"/cases/{A}/routing"))["decisions"][0])
    up, over, back = said
    assert (up["rule"], up["matched"]["lead_office"], up["matched"]["duty_division"]) == (
        "promote/scale_up", "civil-affairs", "*",
    )  # fmt: skip
    assert "civil affairs answers for it (duty catalogue, entry for everywhere)" in up["en"]
    assert "由民政局负责（职责清单，适用范围：全市）" in up["zh"]
    assert "大庆社区" in up["en"]
    assert over["matched"]["office"] == "municipal-works"
    assert "There municipal works has it." in over["en"]
    assert "市政设施管理处" in over["zh"]
    assert back["matched"]["to"] == DISTRICT
    works = token(STREET, "department_officer", office="civil-affairs")
    shown = (await client.get(f"/cases/{A}/routing", headers=works)).json()["decisions"]
    assert [one["event"] for one in shown] == ["returned", "rerouted", "promoted", "opened"]


async def test_the_offices_are_shown_with_their_days(client: httpx.AsyncClient) -> None:
    shown = {one["id"]: one for one in (await client.get("/offices")).json()["offices"]}
    assert (shown["lighting"]["valid_from"], shown["lighting"]["valid_to"]) == (None, None)
    assert [one for one in shown.values() if one["valid_from"] or one["valid_to"]]
    assert shown["residents-committee"]["of_community"]


# ---------------------------------------------------------------- queues


@pytest.fixture
async def street(router: Router) -> Router:
    """Thirty cases of one street and some next to it, received minute after minute."""
    await router.hear(
        *(
            Said(
                receipt(
                    [LAMP, RUBBISH, BUS][n % 3],
                    GRID if n % 2 else COMMUNITY,
                    received_at=NOON + n * MINUTE,
                    accused=NEXT_COMMUNITY if n == 7 else None,
                ),
                petition_id(100 + n),
            )
            for n in range(30)
        ),
        Said(receipt(LAMP, "210204004"), petition_id(200)),
        Said(receipt("S05", STREET), petition_id(201)),
        now=NOON,
    )
    return router


async def test_a_queue_lists_cases_held_and_clocks_owned_by_due_time_page_by_page(
    client: httpx.AsyncClient, pool: Pool, street: Router
) -> None:
    lines: list[dict[str, Any]] = []
    cursor, pages = "", 0
    while True:
        page = await asked(client, f"/queues/{STREET}?limit=7{cursor}", STREET)
        lines += page["entries"]
        pages += 1
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    found = await cases(pool)
    held = {(str(c.id), None) for c in found.values() if c.holder == STREET}
    owned = {
        (str(c.id), clock.name)
        for c in found.values()
        for clock in c.clocks
        if clock.owner_division == STREET and c.holder != STREET
    }
    assert len(lines) == len(held) + len(owned)
    assert {(line["case"], line["clock"]) for line in lines} == held | owned
    assert pages == len(lines) // 7 + 1
    assert [line["due_at"] for line in lines] == sorted(line["due_at"] for line in lines)
    assert {line["why"] for line in lines} == {"held", "clock"}
    assert page["name"] == "兴工街道"
    assert page["held"] == {"assigned": len(held)}
    assert page["owned"] == {"reply": len(owned)}
    one = next(line for line in lines if line["clock"] == "reply")
    assert one["role"] == "street_cadre"


async def test_a_find_of_the_grid_stands_in_the_streets_queue_at_once_and_takes_its_command(
    client: httpx.AsyncClient, router: Router
) -> None:
    find = receipt(RUBBISH, GRID, channel="grid_patrol", contact=False)
    await router.hear(Said(find, A))
    (line,) = (await asked(client, f"/queues/{STREET}", STREET))["entries"]
    assert (line["case"], line["holder"], line["clock"]) == (str(A), GRID, "reply")
    body = {"command": "promote", "reason": "beyond_authority", "to": "street"}
    roles = ("street_dispatcher",)
    answer = await given(client, A, body, division=NEXT_STREET, roles=roles)
    assert answer.status_code == 404, "another street's officers do not know of it"
    answer = await given(client, A, body, key="key-2", division=STREET, roles=roles)
    assert answer.status_code == 200, answer.text
    (line,) = (await asked(client, f"/queues/{STREET}", STREET))["entries"]
    assert (line["why"], line["holder"]) == ("held", STREET)


async def test_an_emergency_that_waits_stands_above_what_is_overdue(
    client: httpx.AsyncClient, pool: Pool, router: Router
) -> None:
    lamps = [petition_id(100 + n) for n in range(3)]
    await router.hear(*(Said(receipt(LAMP, STREET), id_) for id_ in lamps))
    now = NOON + timedelta(days=30)
    await router.hear(Said(receipt("X119", STREET, received_at=now), A), now=now)
    unclear = {"signs": ("danger",)}
    await router.hear(
        Said(receipt(None, STREET, received_at=now, reading=unclear), B),
        Said(receipt(None, STREET, received_at=now), C),
        now=now,
    )
    lines: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(6):
        page = await asked(client, f"/queues/{STREET}?limit=1{cursor}", STREET)
        lines += page["entries"]
        cursor = f"&cursor={page['cursor']}"
    assert [line["case"] for line in lines] == [str(one) for one in (A, B, *lamps, C)]
    assert lines[2]["due_at"] < lines[0]["due_at"]
    examined = examples(now)["hand_over"].model_dump(mode="json")
    assert (await given(client, A, examined, division=STREET)).status_code == 200
    [first, *_] = (await asked(client, f"/queues/{STREET}", STREET))["entries"]
    assert first["case"] == str(B)


async def test_a_page_of_a_queue_is_read_by_its_index(pool: Pool, router: Router) -> None:
    await router.hear(Said(receipt(LAMP, STREET), A))
    asked_for: list[Any] = []
    after = BEGINNING._replace(rank=1, due_at=NOON)
    async with pool.acquire() as connection:
        await connection.execute(
            """
            insert into cases select gen_random_uuid(), number, open, holder, role, stage,
                next_deadline + n * interval '1 minute', version, epoch, seq, doc, office,
                signed_by, rank
            from cases, generate_series(1, 5000) n;
            insert into duties (case_id, clock, division, role, due_at)
            select case_id, 'reply', $$210204$$, role, next_deadline from cases;
            analyze
            """
        )
        with connection.query_logger(asked_for.append):
            for division in (STREET, DISTRICT):
                await queues.page(connection, division, after, 10)
            await asyncio.sleep(0.05)
        said = [one for one in asked_for if "both_" in one.query]
        plans = [await connection.fetch(f"explain {one.query}", *one.args) for one in said]
    held, owned = ("\n".join(row[0] for row in plan) for plan in plans)
    assert "Index Scan using cases_queue on cases" in held
    assert "Index Scan using duties_queue on duties" in owned
    assert "Seq Scan" not in held + owned


async def test_the_overview_counts_what_the_queues_hold(
    client: httpx.AsyncClient, pool: Pool, street: Router
) -> None:
    expected: dict[tuple[str, str | None], dict[str, Count[str]]] = {}

    def queue(division: str, office: str | None, kind: str) -> Count[str]:
        return expected.setdefault((division, office), {"held": Count(), "owned": Count()})[kind]

    for case in (await cases(pool)).values():
        queue(case.holder, None, "held")[case.stage] += 1
        if case.office is not None:
            queue(case.holder, case.office, "held")[case.stage] += 1
        for duty in duties(case):
            queue(duty.division, duty.office, "owned")[duty.clock] += 1
    lines: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await asked(client, f"/queues?limit=2{cursor}")
        lines += page["queues"]
        if page["cursor"] is None:
            break
        cursor = f"&cursor={page['cursor']}"
    shown = {
        (one["division"], one["office"]): {"held": one["held"], "owned": one["owned"]}
        for one in lines
    }
    assert len(lines) == len(shown)
    assert shown == expected
    assert any(office for _, office in shown)
    narrow = await asked(client, "/queues", STREET)
    assert {one["division"][:9] for one in narrow["queues"]} == {STREET}


async def test_an_offices_queue_and_my_own(
    client: httpx.AsyncClient, pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A))
    held = await asked(client, "/queues/offices/lighting", STREET)
    assert [line["case"] for line in held["entries"]] == [str(A)]
    assert (held["held"], held["name"]["zh"]) == ({"assigned": 1}, "路灯管理处")
    assert (await asked(client, "/queues/offices/sanitation", STREET))["entries"] == []
    problem(
        await client.get("/queues/offices/nobody", headers=token(STREET)), 404, "no-such-office"
    )
    assert (await asked(client, "/queues/mine", STREET))["entries"] == []
    answer = await given(client, A, SIGN, division=STREET, roles=("street_dispatcher",))
    assert answer.status_code == 200
    mine = await asked(client, "/queues/mine", STREET)
    assert [line["case"] for line in mine["entries"]] == [str(A)]
    assert mine["held"] == {"signed": 1}


async def test_a_case_as_it_stood_before_it_was_signed(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A))
    before = await asked(client, f"/cases/{A}", STREET)
    opened_at = (await asked(client, f"/cases/{A}/history", STREET))["steps"][0]["at"]
    assert (await given(client, A, SIGN, division=STREET)).status_code == 200
    now = await asked(client, f"/cases/{A}", STREET)
    assert (before["stage"], now["stage"]) == ("assigned", "signed")
    then = (await client.get(f"/cases/{A}", params={"at": opened_at}, headers=token(STREET))).json()
    assert (then["stage"], then["version"], then["holder"]) == (
        "assigned", before["version"], before["holder"],
    )  # fmt: skip
    assert "actions" not in then
    early = await client.get(
        f"/cases/{A}", params={"at": "2001-01-01T00:00:00Z"}, headers=token(STREET)
    )
    problem(early, 404, "not-yet-opened")


async def test_a_queue_never_shows_a_case_to_the_accused(
    client: httpx.AsyncClient, street: Router
) -> None:
    accused = await asked(client, f"/queues/{STREET}?limit=100", NEXT_COMMUNITY[:9])
    assert str(petition_id(107)) in {line["case"] for line in accused["entries"]}
    answer = await client.get(f"/queues/{STREET}", headers=token(NEXT_COMMUNITY))
    problem(answer, 403, "not-your-area")
    below = await asked(client, f"/queues/{NEXT_COMMUNITY}", NEXT_COMMUNITY)
    assert below["entries"] == []
    assert (below["held"], below["owned"]) == ({}, {})


async def test_the_citys_desk_is_a_queue_for_the_whole_city_only(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(None, CITY), A))
    page = await asked(client, f"/queues/{CITY}")
    assert [line["case"] for line in page["entries"]] == [str(A)]
    assert page["held"] == {"registered": 1}
    assert page["name"] == "市级派单台 city desk"
    answer = await client.get(f"/queues/{CITY}", headers=token(DISTRICT))
    problem(answer, 403, "not-your-area")


async def test_a_case_leaves_the_queue_when_it_ends(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(contact=False), A))
    reply = {"command": "reply", "text": "done by tonight"}
    assert (await given(client, A, reply, key="1", roles=("street_cadre",))).status_code == 200
    answer = await given(client, A, {"command": "resolve", "result": "done"}, key="2")
    assert (answer.json()["stage"], answer.json()["actions"]) == ("closed", ["reopen"])
    for division in (GRID, STREET):
        page = await asked(client, f"/queues/{division}")
        assert (page["entries"], page["held"], page["owned"]) == ([], {}, {})


@pytest.mark.parametrize("division", ["210299", "12", "x", "210204005999"])
async def test_a_queue_of_no_known_division_is_a_404(
    client: httpx.AsyncClient, division: str
) -> None:
    answer = await client.get(f"/queues/{division}", headers=token(CITY))
    problem(answer, 404, "no-such-division")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%00",
        cursor_of([]),
        cursor_of(["x", "y", "z", "w"]),
        cursor_of([1, 2, 3, 4]),
        cursor_of([7, "2024-05-20T10:00:00+00:00", str(A), ""]),
        cursor_of([1, "2024-05-20T10:00:00", str(A), ""]),
        cursor_of([1, "2024-05-20T10:00:00+00:00", "A", ""]),
        cursor_of([1, "2024-05-20T10:00:00+00:00", str(A), "\x00"]),
        cursor_of(["2024-05-20T10:00:00+00:00", str(A), ""]),
    ],
)
async def test_a_cursor_that_is_not_ours_is_refused(
    client: httpx.AsyncClient, router: Router, cursor: str
) -> None:
    await router.hear(Said(receipt(), A))
    for path in (f"/queues/{GRID}", f"/cases/{A}/history"):
        answer = await client.get(f"{path}?cursor={cursor}", headers=token(CITY))
        problem(answer, 422, "invalid-cursor")


@pytest.mark.parametrize("cursor", [[0, -1], [1, 2**31], [1.5, 2], ["1", "2"], [None, None]])
async def test_a_step_that_no_history_has_is_refused(
    client: httpx.AsyncClient, router: Router, cursor: list[Any]
) -> None:
    await router.hear(Said(receipt(), A))
    path = f"/cases/{A}/history?cursor={cursor_of(cursor)}"
    problem(await client.get(path, headers=token(CITY)), 422, "invalid-cursor")


@pytest.mark.parametrize(
    "path",
    [
        f"/queues/{GRID}?limit=0",
        f"/queues/{GRID}?limit=101",
        f"/queues/{GRID}?limit=x",
        "/cases/x",
        "/cases/x/history",
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, path: str) -> None:
    body = problem(await client.get(path, headers=token(CITY)), 422, "invalid-request")
    assert body["errors"][0]["field"]


# ---------------------------------------------------------------- commands: version and key


async def test_a_command_needs_the_version_that_was_seen(
    client: httpx.AsyncClient, pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    problem(await given(client, A, SIGN, seen=None), 428, "if-match-missing")
    for unreadable in ("x", '"x"', "1.0", '"1", "2"', "-1"):
        problem(await given(client, A, SIGN, seen=unreadable), 400, "if-match-unreadable")
    answer = await given(client, A, SIGN, seen='"7"')
    problem(answer, 412, "changed-meanwhile")
    assert answer.headers["etag"] == '"1"'
    assert (await cases(pool))[A].stage == "assigned"
    answer = await given(client, A, SIGN, seen='"1"')
    assert answer.status_code == 200
    assert (answer.json()["version"], answer.json()["stage"]) == (2, "signed")
    problem(await given(client, A, SIGN, seen='"1"', key="key-2"), 412, "changed-meanwhile")
    reply = {"command": "reply", "text": "by tonight"}
    last = await given(client, A, reply, seen='W/"2"', key="key-3", roles=("street_cadre",))
    assert last.status_code == 200


async def test_a_digit_that_is_no_number_is_no_version(client: httpx.AsyncClient) -> None:
    headers = [(name.encode(), value.encode()) for name, value in token(CITY).items()]
    headers += [(b"Idempotency-Key", b"key"), (b"If-Match", "\u00b2".encode("latin-1"))]
    answer = await client.post(f"/cases/{A}/commands", json=SIGN, headers=headers)
    problem(answer, 400, "if-match-unreadable")


async def test_what_was_seen_holds_though_something_was_said_of_the_case(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    await router.order(Said(breach("tier", 9, None), A))
    answer = await given(client, A, SIGN, seen='"1"')
    assert answer.status_code == 200
    steps = (await asked(client, f"/cases/{A}/history"))["steps"]
    assert [(step["seq"], step["version"]) for step in steps] == [(1, 1), (2, 1), (3, 2)]


@pytest.mark.parametrize("key", [None, ""])
async def test_a_command_needs_a_key(client: httpx.AsyncClient, key: str | None) -> None:
    problem(await given(client, A, SIGN, key=key), 400, "key-missing")


async def test_a_key_may_not_be_endless(client: httpx.AsyncClient) -> None:
    problem(await given(client, A, SIGN, key="k" * 201), 422, "invalid-request")


async def test_a_repeated_command_gets_its_first_answer_and_is_done_once(
    client: httpx.AsyncClient, pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    first = await given(client, A, SIGN, seen='"1"')
    assert "idempotency-replayed" not in first.headers
    before = await contents(pool)
    for seen in ('"1"', '"2"', "*"):
        again = await given(client, A, SIGN, seen=seen)
        assert (again.status_code, again.content) == (200, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["content-type"] == "application/json"
    assert await contents(pool) == before


async def test_a_repeated_refusal_is_the_same_refusal(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    close = {"command": "close", "callback": "answered"}
    first = await given(client, A, close)
    body = problem(first, 409, "not-allowed-now")
    assert body["allowed"] == [
        "classify", "place", "reroute", "assign", "pause", "extend", "not_accept", "sign",
        "return", "promote", "resolve", "ask_whistle", "give_task", "verify",
    ]  # fmt: skip
    again = await given(client, A, close)
    assert again.content == first.content
    assert problem(again, 409, "not-allowed-now") == body


async def test_a_key_is_for_one_command_of_one_officer_on_one_case(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(), A), Said(receipt(), B))
    assert (await given(client, A, SIGN)).status_code == 200
    other = {"command": "resolve", "result": "done"}
    problem(await given(client, A, other), 422, "key-used")
    problem(await given(client, B, SIGN), 422, "key-used")
    assert (await given(client, B, SIGN, subject="another")).status_code == 200
    spaced = await client.post(
        f"/cases/{A}/commands",
        content=b' { "command" : "sign" } ',
        headers=token(CITY) | {"Idempotency-Key": "key-1", "If-Match": "*",
                               "Content-Type": "application/json; charset=utf-8"},
    )  # fmt: skip
    assert spaced.headers["idempotency-replayed"] == "true"


async def test_who_gave_a_case_away_still_gets_the_answer_to_his_command(
    client: httpx.AsyncClient, pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt("S05", STREET), A))
    assert (await cases(pool))[A].holder == DISTRICT
    back = {"command": "return", "reason": "not_in_my_power"}
    first = await given(client, A, back, division=DISTRICT)
    assert first.json()["holder"] == CITY
    again = await given(client, A, back, division=DISTRICT)
    assert (again.status_code, again.content) == (200, first.content)


async def test_of_two_commands_at_once_with_one_key_one_is_done_and_both_are_answered(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    answers = await asyncio.gather(*(given(client, A, SIGN) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 4
    steps = (await asked(client, f"/cases/{A}/history"))["steps"]
    assert [step["event"] for step in steps] == ["opened", "signed"]


async def test_of_two_cases_at_once_with_one_key_one_is_done_and_the_other_is_untouched(
    client: httpx.AsyncClient, pool: Pool, router: Router
) -> None:
    ids = [petition_id(n) for n in range(6)]
    await router.hear(*(Said(receipt(), id_) for id_ in ids))
    answers = await asyncio.gather(*(given(client, id_, SIGN) for id_ in ids))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 5
    for answer in answers:
        if answer.status_code == 422:
            problem(answer, 422, "key-used")
    stages = sorted(case.stage for case in (await cases(pool)).values())
    assert stages == ["assigned"] * 5 + ["signed"]


async def test_of_two_officers_who_saw_the_same_version_one_is_too_late(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    answers = await asyncio.gather(
        *(given(client, A, SIGN, seen='"1"', subject=name) for name in ("one", "two"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]


async def test_old_answers_are_forgotten_after_seven_days(
    client: httpx.AsyncClient, pool: Pool, process: Process, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    await given(client, A, SIGN, key="old")
    await given(client, A, SIGN, key="new")
    async with transaction(pool) as tx:
        await tx.execute(
            "update commands set answered_at = answered_at - interval '8 days' where key = 'old'"
        )
    assert await look(process) == 1.0
    async with pool.acquire() as connection:
        left = await connection.fetch("select key from commands")
    assert [row["key"] for row in left] == ["new"]


# ---------------------------------------------------------------- commands: what is refused


@pytest.mark.parametrize(
    ("body", "division", "roles", "status", "slug"),
    [
        pytest.param(SIGN, GRID, ("mediator",), 403, "not-your-role", id="role"),
        pytest.param({"command": "promote", "reason": "scale_up"}, GRID, ("assessor",), 403,
                     "not-your-role", id="an assessor changes nothing"),
        pytest.param({"command": "reroute", "division": "999999", "reason": "agreed"}, CITY, (),
                     422, "unknown", id="no such division"),
        pytest.param({"command": "close", "callback": "answered"}, CITY, (), 409,
                     "not-allowed-now", id="not now"),
        pytest.param({"command": "verify", "at": "2999-01-01T00:00:00Z", "finding": "x",
                      "evidence": "y"}, CITY, (), 422, "incomplete", id="in the future"),
    ],
)  # fmt: skip
async def test_a_refused_command_says_why_and_what_is_allowed(
    client: httpx.AsyncClient,
    router: Router,
    body: dict[str, str],
    division: str,
    roles: tuple[str, ...],
    status: int,
    slug: str,
) -> None:
    await router.hear(Said(receipt(), A))
    said = problem(await given(client, A, body, division=division, roles=roles), status, slug)
    assert ("sign" in said["allowed"]) is (status != 403)


async def test_those_of_the_place_may_read_a_case_that_only_its_holder_may_promote(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A))
    body = {"command": "promote", "reason": "scale_up"}
    problem(await given(client, A, body, division=GRID), 403, "not-your-area")


@pytest.mark.parametrize(
    ("content", "status", "slug"),
    [
        pytest.param(b"{", 400, "malformed-json", id="cut off"),
        pytest.param(b"", 400, "malformed-json", id="nothing"),
        pytest.param(b"[]", 422, "invalid-request", id="a list"),
        pytest.param(b"null", 422, "invalid-request", id="null"),
        pytest.param(b"{}", 422, "invalid-request", id="no command"),
        pytest.param(b'{"command":"dance"}', 422, "invalid-request", id="no such command"),
        pytest.param(b'{"command":"apply_order"}', 422, "invalid-request", id="an order"),
        pytest.param(b'{"command":"sign","case":1}', 422, "invalid-request", id="too much"),
        pytest.param(b'{"command":"classify","category":7}', 422, "invalid-request", id="type"),
        pytest.param(b'{"command":"reply","text":" \\n "}', 422, "invalid-request", id="no words"),
        pytest.param(b'{"command":"reply","text":"a\\u0000b"}', 422, "invalid-request", id="NUL"),
        pytest.param(b'{"command":"verify","at":"2024-05-20T10:00:00","finding":"x","evidence":"y"}',
                     422, "invalid-request", id="a time without a zone"),
        pytest.param(b'{"command":"reply","text":"%b"}' % (b"x" * 4001), 422, "invalid-request",
                     id="too long"),
        pytest.param(b'{"command":"reply","text":"%b"}' % (b"x" * 70_000), 413, "body-too-large",
                     id="too large"),
    ],
)  # fmt: skip
async def test_a_body_that_is_no_command_is_refused_and_nothing_is_kept(
    client: httpx.AsyncClient,
    pool: Pool,
    router: Router,
    content: bytes,
    status: int,
    slug: str,
) -> None:
    await router.hear(Said(receipt(), A))
    before = await contents(pool)
    headers = token(CITY) | {
        "Idempotency-Key": "key", "If-Match": "*", "Content-Type": "application/json",
    }  # fmt: skip
    answer = await client.post(f"/cases/{A}/commands", content=content, headers=headers)
    body = problem(answer, status, slug)
    assert "xxxx" not in answer.text
    if status == 422:
        assert body["errors"]
    assert await contents(pool) == before


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_body_of_another_media_type_is_refused(
    client: httpx.AsyncClient, media_type: str
) -> None:
    headers = token(CITY) | {"Idempotency-Key": "key", "If-Match": "*", "Content-Type": media_type}
    answer = await client.post(f"/cases/{A}/commands", content=b"{}", headers=headers)
    problem(answer, 415, "wrong-media-type")


async def test_other_methods_and_addresses_are_problems_too(client: httpx.AsyncClient) -> None:
    wrong = await client.delete(f"/cases/{A}")
    problem(wrong, 405, "method-not-allowed")
    assert wrong.headers["allow"] == "GET"
    problem(await client.get("/nothing", headers=token(CITY)), 404, "not-found")


async def test_with_the_database_away_a_command_is_to_be_tried_again(
    client: httpx.AsyncClient, pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    await pool.close()
    answer = await given(client, A, SIGN)
    problem(answer, 503, "try-again")
    assert answer.headers["retry-after"] == "2"


async def test_a_case_that_may_be_accused_of_is_shown_to_nobody_of_the_place(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP, STREET, accusation=True), A))
    for path in (f"/cases/{A}", f"/cases/{A}/routing", f"/cases/{A}/history"):
        problem(await client.get(path, headers=token(STREET)), 404, "no-such-case")
    reply = {"command": "reply", "text": "nothing happened"}
    answer = await given(client, A, reply, division=STREET, roles=("street_cadre",))
    problem(answer, 404, "no-such-case")
    assert (await asked(client, f"/queues/{STREET}", STREET))["entries"] == []
    named = {"command": "classify", "category": LAMP, "accused": NEXT_COMMUNITY}
    answer = await given(client, A, named, division=DISTRICT)
    assert answer.json()["holder"] == STREET
    assert (await asked(client, f"/cases/{A}", STREET))["holder"]["division"] == STREET
    said = (await asked(client, f"/cases/{A}/history"))["steps"][-1]["detail"]
    assert said["accused"] == NEXT_COMMUNITY


async def test_an_etag_outlives_a_supervision(client: httpx.AsyncClient, router: Router) -> None:
    await router.hear(Said(receipt(), A))
    await router.order(Said(breach("reply", 1, Tier.GRID, "supervise"), A))
    answer = await given(client, A, SIGN, seen='"1"')
    assert (answer.status_code, answer.json()["version"]) == (200, 2)


# ---------------------------------------------------------------- what was counted, and would be


async def test_the_account_of_a_case_adds_up_and_names_nobody(
    client: httpx.AsyncClient, router: Router, process: Process
) -> None:
    now = process.clock.now()
    await router.hear(Said(receipt(), A), now=now)
    officer = {"division": GRID, "subject": "officer-7"}
    until = (now + timedelta(hours=9)).isoformat()
    pause = {"command": "pause", "reason": "waiting_for_petitioner", "until": until,
             "text": "which flat is it?"}  # fmt: skip
    for n, body in enumerate((SIGN, pause, {"command": "resume"})):
        answer = await given(client, A, body, key=str(n), **officer)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
    told = await client.get(f"/cases/{A}/account", headers=token(GRID))
    assert "officer-7" not in told.text
    assert "which flat" not in told.text
    account = told.json()
    assert (account["complete"], account["policy"]) == (True, 1)
    case = await asked(client, f"/cases/{A}")
    running = {one["clock"]: one for one in account["promises"] if one["ended"] is None}
    assert {name: one["due_at"] for name, one in running.items()} == {
        clock["name"]: clock["due_at"] for clock in case["clocks"]
    }
    for one in account["promises"]:
        added = sum(more["amount"] for more in one["added"])
        assert one["counted"] + one["left"] == pytest.approx(one["amount"] + added, abs=1e-6)
    states = [span["state"] for span in running["final_reply"]["spans"]]
    # It was received long ago: its grace has run since it was opened.
    assert states == ["counted", "overdue", "counted", "paused", "counted"]
    paused = running["final_reply"]["spans"][3]
    assert paused["begun"] == ["paused"]
    assert paused["step"]["reason"] == "waiting_for_petitioner"
    assert (paused["step"]["role"], paused["step"]["division"]) == ("grid_head", GRID)
    assert paused["owner"] == {"division": GRID, "role": "grid_head", "office": None}
    assert paused["calendar"]["version"] == account["calendar"]
    assert account["promises"][0]["spans"][-1]["policy"] == 1


async def test_an_account_of_a_history_that_is_too_long_says_so(
    client: httpx.AsyncClient, pool: Pool, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    await router.hear(Said(receipt(), A), *(Said(supplement(), A, n) for n in range(2, 8)))
    whole = await asked(client, f"/cases/{A}/account")
    for most, page, complete in ((7, 2, True), (7, 7, True), (6, 3, False), (6, 4, False)):
        monkeypatch.setattr(accounts, "MOST_STEPS", most)
        monkeypatch.setattr(accounts, "PAGE", page)
        told = await asked(client, f"/cases/{A}/account")
        assert (told["complete"], told["most_steps"]) == (complete, most)
        if complete:
            assert [one["clock"] for one in told["promises"]] == [
                one["clock"] for one in whole["promises"]
            ]
        else:
            assert told["as_of"].startswith("2024-05-20T02:00:00")


def supposed(**more: object) -> dict[str, object]:
    """A question about a promise across the National Day week."""
    plain = {"clock": "object", "start": "2026-09-30T16:00:00+08:00", "division": STREET}
    return plain | more


async def explained(
    client: httpx.AsyncClient, body: object, division: str = GRID
) -> httpx.Response:
    return await client.post("/clocks/explain", json=body, headers=token(division))


async def test_any_officer_may_ask_what_would_be_counted_and_nothing_is_kept(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    before = await contents(pool)
    answer = await explained(client, supposed(), NEXT_GRID)
    assert answer.status_code == 200, answer.text
    (told,) = answer.json()["promises"]
    assert (told["limit"], told["counts_in"], told["amount"]) == ("4wh", "working_seconds", 14_400)
    assert told["due_at"] == "2026-10-08T03:00:00+00:00"
    ((first, second),) = [span["stretches"] for span in told["spans"]]
    assert (first["seconds"], second["seconds"]) == (5_400, 9_000)
    assert [day["day"] for day in told["days"]] == [f"2026-10-0{n}" for n in range(1, 8)]
    assert len(told["warn_at"]) == 3
    assert (answer.json()["policy"], told["provisional"]) == (1, False)
    assert await contents(pool) == before


async def test_a_question_without_a_clock_is_answered_by_the_policy(
    client: httpx.AsyncClient,
) -> None:
    pause = {"from": "2026-10-01T08:00:00+08:00", "to": "2026-10-02T08:00:00+08:00",
             "reason": "force_majeure"}  # fmt: skip
    body = {"start": "2026-09-30T16:00:00+08:00", "division": DISTRICT, "category": "E0115"}
    plain, paused = [
        {one["clock"]: one["due_at"] for one in (await explained(client, said)).json()["promises"]}
        for said in (body, body | {"pauses": [pause], "policy": 1})
    ]
    assert plain["final_reply"] == "2026-10-01T08:00:00+00:00"
    assert paused["final_reply"] == "2026-10-02T08:00:00+00:00"
    assert plain["reply"] == paused["reply"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (supposed(clock="nap"), "clock"),
        (supposed(policy=2), "policy"),
        (supposed(policy=0), "policy"),
        (supposed(start="2026-09-30T16:00:00"), "start"),
        (supposed(start="0001-01-01T00:00:00+14:00"), "start"),
        (supposed(start="9999-12-31T23:00:00Z"), "start"),
        (supposed(start="2031-01-01T00:00:00Z"), "start"),
        (supposed(division="\x00"), "division"),
        (supposed(nonsense=1), "nonsense"),
        ({"clock": "object", "division": STREET}, "start"),
    ],
)
async def test_a_question_that_cannot_be_answered_names_its_field(
    client: httpx.AsyncClient, body: object, field: str
) -> None:
    told = problem(await explained(client, body), 422, "invalid-request")
    assert [one["field"] for one in told["errors"]] == [field]
    assert all(one["says"] for one in told["errors"])


async def test_a_question_is_for_officers_and_json_only(client: httpx.AsyncClient) -> None:
    problem(await client.post("/clocks/explain", json=supposed()), 401, "not-identified")
    resident = token(GRID, "resident")
    answer = await client.post("/clocks/explain", json=supposed(), headers=resident)
    problem(answer, 403, "not-an-officer")
    text = token(GRID) | {"Content-Type": "text/plain"}
    answer = await client.post("/clocks/explain", content=b"{}", headers=text)
    problem(answer, 415, "wrong-media-type")
    broken = token(GRID) | {"Content-Type": "application/json"}
    answer = await client.post("/clocks/explain", content=b"{", headers=broken)
    problem(answer, 400, "malformed-json")


# ---------------------------------------------------------------- the API page


async def test_the_api_page_spells_out_every_command(client: httpx.AsyncClient) -> None:
    page = (await client.get("/openapi.json")).json()
    body = page["paths"]["/cases/{case_id}/commands"]["post"]["requestBody"]
    shown = body["content"]["application/json"]["schema"]["oneOf"]
    assert {one["properties"]["command"]["const"] for one in shown} == set(examples())
    assert all(one["description"] for one in shown)
    assert "$ref" not in str(body)
    body = page["paths"]["/clocks/explain"]["post"]["requestBody"]
    shown = body["content"]["application/json"]["schema"]
    assert {"start", "clock", "pauses", "extension"} <= shown["properties"].keys()
    assert "$ref" not in str(body)
    assert page["paths"]["/cases/{case_id}/account"]["get"]["description"]


# ---------------------------------------------------------------- the policy in force


@pytest.mark.parametrize("part", ["http", "consume", "sweep"])
async def test_a_process_of_any_part_follows_a_new_policy(
    process: Process, pool: Pool, policies: Policies, part: str
) -> None:
    async with transaction(pool) as tx:
        await load(tx, {}, loaded_by="test", epoch=1, clock=process.clock, now=NOON, merge=True)
    assert policies.newest == 1
    for timer in SERVICE.timers:
        if timer.part == part:
            assert await timer.step(process) > 0
    assert policies.newest == 2


async def test_the_policy_in_force_is_shown(client: httpx.AsyncClient) -> None:
    answer = await client.get("/policy")
    assert answer.json()["version"] == 1
    assert answer.json()["categories"] == 127
