"""Templates and answers over HTTP, from the real PostgreSQL: officers write, the resident reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import jwt
import orjson
import pytest
from prometheus_client import generate_latest
from typer.testing import CliRunner

from services.router.decisions.policy import Part, PartKind, Policy, PolicyRefused, read_part
from services.router.handlers.policies import Policies, load, policy_of
from services.router.store import policy as policy_rows
from shared.clock import wall
from shared.divisions import CITY
from shared.events import hash_of_parts, part_body
from shared.identity import ISSUER, RESIDENTS, NotIdentified, issue, issue_resident
from shared.postgres import Pool, transaction
from shared.service import Process
from shared.tokens import app as token_command
from tests.router.conftest import SECRET
from tests.router.events import REAL, Router, Said, petition_id, receipt
from tests.router.stories import (
    COMMUNITY,
    GRID,
    LAMP,
    NEXT_GRID,
    NOON,
    QUESTION,
    RUBBISH,
    STREET,
)

A, B = petition_id(1), petition_id(2)
SLOTS = {"found": "一堆垃圾", "will_do": "清走", "who": "环卫队", "when": "今晚8点"}
PLAN = {"command": "reply", "template": "plan", "slots": SLOTS}
HEADER = "code,commands,stages,reason,category,zh,en\n"


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def token(division: str, role: str = "grid_head", office: str | None = None) -> dict[str, str]:
    """The header of an officer."""
    return bearer(issue(SECRET, "officer-7", (role,), division, office))


def resident(case: UUID, seconds: int = 600) -> dict[str, str]:
    """The header of the resident of a petition."""
    return bearer(issue_resident(SECRET, case, seconds))


async def given(
    client: httpx.AsyncClient, case: UUID, body: object, who: dict[str, str]
) -> httpx.Response:
    """One command, under a key of its own."""
    key = str(hash(orjson.dumps([str(case), body, who])))
    headers = who | {"Idempotency-Key": key, "If-Match": "*"}
    return await client.post(f"/cases/{case}/commands", json=body, headers=headers)


async def done(client: httpx.AsyncClient, case: UUID, body: object, who: dict[str, str]) -> None:
    answer = await given(client, case, body, who)
    assert answer.status_code == 200, answer.text


async def asked(client: httpx.AsyncClient, path: str, who: dict[str, str]) -> Any:
    answer = await client.get(path, headers=who)
    assert answer.status_code == 200, answer.text
    return answer.json()


def slug(answer: httpx.Response, status: int) -> str:
    """Which problem an answer is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"]).rpartition("/")[2]


CADRE = token(STREET, "street_cadre")


# ---------------------------------------------------------------- what the resident was told


async def test_the_words_for_the_resident_are_read_in_order_by_him_and_by_officers(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A))
    works = token(STREET, "department_officer", "lighting")
    await done(client, A, PLAN | {"note": "he shouted"}, CADRE)
    await done(client, A, {"command": "sign"}, works)
    await done(client, A, {"command": "resolve", "result": "换了灯", "note": "cheap lamp"}, works)
    told = await asked(client, f"/cases/{A}/answers", resident(A))
    assert told == await asked(client, f"/cases/{A}/answers", token(STREET))
    reply, result = told["answers"]
    assert set(reply) == {"at", "kind", "text", "unit"}
    assert (reply["kind"], result["kind"]) == ("reply", "result")
    assert reply["text"]["zh"].startswith("您好。您报修的“道路交通-路灯”")
    assert reply["text"]["en"].startswith("Good day. We looked at what you asked us to repair")
    assert reply["unit"] == {"zh": "兴工街道", "en": "兴工街道"}
    assert result["text"] == {"zh": "换了灯", "en": "换了灯"}
    assert result["unit"] == {"zh": "兴工街道 路灯管理处", "en": "lighting, 兴工街道"}
    assert reply["at"] <= result["at"]
    for hidden in ("shouted", "cheap", "officer-7"):
        assert hidden not in orjson.dumps(told).decode()
    steps = (await asked(client, f"/cases/{A}/history", token(STREET)))["steps"]
    assert steps[1]["detail"]["template"] == "plan"
    assert steps[1]["detail"]["text"] == reply["text"]["zh"]
    assert steps[1]["detail"]["note"] == "he shouted"


async def test_the_words_go_neither_to_kafka_nor_into_metrics(
    client: httpx.AsyncClient, router: Router, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    await router.hear(Said(receipt(RUBBISH), A))
    await done(client, A, PLAN | {"note": "he shouted"}, CADRE)
    missing = await given(client, A, PLAN | {"slots": {"found": "一堆垃圾"}}, CADRE)
    assert slug(missing, 422) == "incomplete"
    await asked(client, f"/cases/{A}/answers", resident(A))
    async with pool.acquire() as connection:
        said = await connection.fetch("select value from outbox where topic = 'router.events'")
    assert len(said) == 2
    everything = "".join(orjson.dumps(orjson.loads(row["value"])).decode() for row in said)
    everything += generate_latest().decode() + caplog.text + missing.text
    for words in ("一堆垃圾", "清走", "环卫队", "您好", "shouted"):
        assert words not in everything


async def test_answers_are_read_page_by_page(client: httpx.AsyncClient, router: Router) -> None:
    await router.hear(Said(receipt(RUBBISH), A))
    for n in range(3):
        await done(client, A, {"command": "reply", "text": f"answer {n}"}, CADRE)
    first = await asked(client, f"/cases/{A}/answers?limit=2", resident(A))
    rest = await asked(client, f"/cases/{A}/answers?cursor={first['cursor']}", resident(A))
    texts = [one["text"]["zh"] for one in (*first["answers"], *rest["answers"])]
    assert texts == ["answer 0", "answer 1", "answer 2"]
    assert rest["cursor"] is None
    bad = await client.get(f"/cases/{A}/answers?cursor=x", headers=resident(A))
    assert slug(bad, 422) == "invalid-cursor"


async def test_answers_are_for_officers_who_may_read_the_case_and_know_of_the_step(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A))
    await done(client, A, {"command": "reply", "text": "before"}, CADRE)
    street = token(STREET, "street_dispatcher")
    accuse = {"command": "classify", "category": LAMP, "accused": COMMUNITY}
    await done(client, A, accuse, street)
    assert slug(await client.get(f"/cases/{A}/answers", headers=token(COMMUNITY)), 404) == (
        "no-such-case"
    )
    await done(client, A, {"command": "reply", "text": "they took money"}, CADRE)
    await done(client, A, accuse | {"accused": "none"}, street)
    await done(client, A, {"command": "reply", "text": "after"}, CADRE)
    seen = {
        name: [one["text"]["zh"] for one in (await asked(client, f"/cases/{A}/answers", who))[
            "answers"
        ]]
        for name, who in (("accused", token(COMMUNITY)), ("street", street), ("he", resident(A)))
    }  # fmt: skip
    assert seen == {
        "accused": ["before", "after"],
        "street": ["before", "they took money", "after"],
        "he": ["before", "they took money", "after"],
    }
    away = await client.get(f"/cases/{A}/answers", headers=token(NEXT_GRID))
    assert slug(away, 404) == "no-such-case"


async def test_words_from_a_time_one_may_not_know_of_stay_hidden_when_they_are_told_later(
    client: httpx.AsyncClient, router: Router, process: Process
) -> None:
    await router.hear(Said(receipt(LAMP, received_at=process.clock.now()), A))
    street = token(STREET, "street_dispatcher")
    accuse = {"command": "classify", "category": LAMP}
    await done(client, A, accuse | {"accused": COMMUNITY}, street)
    until = process.clock.now() + timedelta(days=8)
    body = {
        "command": "extend",
        "until": until.isoformat(),
        "reason": "why",
        "text": "they hide it",
    }
    await done(client, A, body, street)
    await done(client, A, accuse | {"accused": "none"}, street)
    head = bearer(issue(SECRET, "the head", ("office_head",), STREET))
    await done(client, A, {"command": "grant_extension"}, head)
    [told] = (await asked(client, f"/cases/{A}/answers", resident(A)))["answers"]
    assert (told["kind"], told["text"]["zh"]) == ("extension", "they hide it")
    assert (await asked(client, f"/cases/{A}/answers", token(COMMUNITY)))["answers"] == []


# ---------------------------------------------------------------- a resident's token


async def test_a_residents_token_opens_his_answers_and_nothing_else(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(RUBBISH), A), Said(receipt(RUBBISH), B))
    mine = resident(A)
    assert (await asked(client, f"/cases/{A}/answers", mine))["answers"] == []
    for other in (B, petition_id(9)):
        answer = await client.get(f"/cases/{other}/answers", headers=mine)
        assert slug(answer, 404) == "no-such-case"
    not_opened = await client.get(
        f"/cases/{petition_id(9)}/answers", headers=resident(petition_id(9))
    )
    assert slug(not_opened, 404) == "no-such-case"
    for path in (f"/cases/{A}", f"/cases/{A}/history", f"/cases/{A}/routing", "/templates"):
        assert slug(await client.get(path, headers=mine), 401) == "not-identified"
    assert slug(await given(client, A, {"command": "sign"}, mine), 401) == "not-identified"


async def test_a_residents_token_that_does_not_hold_is_refused(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(RUBBISH), A))
    claims = {
        "iss": ISSUER,
        "aud": RESIDENTS,
        "sub": str(A),
        "iat": wall(),
        "exp": wall() + NOON.resolution,
    }
    bad = {
        "old": issue_resident(SECRET, A, -1),
        "of another key": issue_resident("another key that is just as long as it", A, 600),
        "for others": jwt.encode(claims | {"aud": "analytics"}, SECRET, algorithm="HS256"),
        "of another issuer": jwt.encode(claims | {"iss": "x"}, SECRET, algorithm="HS256"),
        "of no petition": issue_resident(SECRET, "somebody", 600),  # type: ignore[arg-type]
        "unsigned": jwt.encode(claims, "", algorithm="none"),
    }
    for name, text in bad.items():
        answer = await client.get(f"/cases/{A}/answers", headers=bearer(text))
        assert slug(answer, 401) == "not-identified", name
    assert slug(await client.get(f"/cases/{A}/answers"), 401) == "not-identified"
    nobody = bearer(issue(SECRET, str(A), ("resident",), CITY))
    answer = await client.get(f"/cases/{A}/answers", headers=nobody)
    assert slug(answer, 403) == "not-an-officer"


def test_a_residents_token_needs_the_issuers_key() -> None:
    with pytest.raises(NotIdentified, match="CASEGRID_TOKEN_SECRET"):
        issue_resident("short", A, 600)


def test_the_command_prints_a_token_of_an_officer_or_of_a_resident() -> None:
    run = CliRunner().invoke
    text = run(token_command, ["--petition", str(A), "--secret", SECRET]).stdout.strip()
    claims = jwt.decode(text, SECRET, algorithms=["HS256"], audience=RESIDENTS)
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (str(A), 3_600)
    assert "roles" not in claims
    officers = run(token_command, ["--role", "grid_head", "--secret", SECRET]).stdout.strip()
    assert jwt.decode(officers, options={"verify_signature": False})["roles"] == ["grid_head"]
    assert run(token_command, ["--secret", SECRET]).exit_code == 2
    both = ["--role", "grid_head", "--petition", str(A), "--secret", SECRET]
    assert run(token_command, both).exit_code == 2


# ---------------------------------------------------------------- templates


@pytest.mark.parametrize(
    ("change", "status", "which", "says"),
    [
        ({"template": "no-such"}, 422, "incomplete",
         f"the policy has no template of this code; GET /templates?case={A}&command=reply lists"),
        ({"template": "result"}, 409, "not-allowed-now",
         "template result is not for this command of such a case"),
        ({"slots": {"found": "a heap"}}, 422, "incomplete",
         "template plan needs: will_do, who, when"),
        ({"slots": SLOTS | {"due": "soon"}}, 422, "incomplete",
         "1 of these slots are not yours to fill in plan"),
        ({"text": "both"}, 422, "invalid-request", "Some fields are wrong"),
    ],
)  # fmt: skip
async def test_a_template_that_cannot_be_used_is_refused_and_nothing_is_said(
    client: httpx.AsyncClient,
    router: Router,
    change: dict[str, object],
    status: int,
    which: str,
    says: str,
) -> None:
    await router.hear(Said(receipt(RUBBISH), A))
    answer = await given(client, A, PLAN | change, CADRE)
    assert slug(answer, status) == which
    assert answer.json()["detail"].startswith(says)
    if which != "invalid-request":
        assert "reply" in answer.json()["allowed"]
    assert (await asked(client, f"/cases/{A}/answers", resident(A)))["answers"] == []


async def test_a_question_is_answered_at_once_from_a_template_that_fits_it(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(QUESTION), A))
    who = token(GRID, "grid_worker")
    [*codes] = (await asked(client, f"/templates?case={A}&command=answer", who))["templates"]
    assert [one["code"] for one in codes] == ["answer-rule", "answer"]
    assert codes[0]["asks"] == ["answer", "basis"]
    assert codes[0]["slots"] == ["number", "answer", "basis", "hotline", "unit"]
    slots = {"answer": "可以", "basis": "第3条"}
    await done(client, A, {"command": "answer", "template": "answer-rule", "slots": slots}, who)
    shown = await asked(client, f"/cases/{A}", token(GRID))
    assert (shown["stage"], shown["clocks"], shown["actions"]) == ("closed", [], ["reopen"])
    [told] = (await asked(client, f"/cases/{A}/answers", resident(A)))["answers"]
    assert (told["kind"], told["unit"]["zh"]) == ("reply", "大庆社区第1网格")
    assert "可以" in told["text"]["zh"]


async def test_templates_are_listed_for_a_case_a_matter_or_all(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(RUBBISH), A))

    async def codes(query: str) -> list[tuple[str, str | None]]:
        found = await asked(client, f"/templates{query}", token(GRID))
        assert found["version"] == 1
        return [(one["code"], one["category"]) for one in found["templates"]]

    assert await codes(f"?category={LAMP}&command=reply") == [("plan", "P")]
    assert await codes(f"?case={A}&command=reply") == [("plan", "E01")]
    assert await codes(f"?case={A}&command=call_back") == []  # not in this stage
    assert await codes(f"?category={RUBBISH}&command=call_back") == [("not-reached", None)]
    assert await codes(f"?category={RUBBISH}&command=answer") == []  # no question
    whole = await codes("")
    assert len(whole) == len(set(whole)) == 25
    assert {code for code, _ in await codes("?command=pause")} == {
        "waits-for-you", "waits-for-weather", "waits-for-procedure",
    }  # fmt: skip


async def test_templates_are_for_officers_and_for_what_exists(
    client: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(Said(receipt(LAMP), A))
    assert slug(await client.get("/templates"), 401) == "not-identified"
    volunteer = token(GRID, "grid_volunteer")
    assert slug(await client.get("/templates", headers=volunteer), 403) == "not-an-officer"
    for query, status, which in (
        ("category=Q99", 404, "no-such-category"),
        (f"case={A}", 404, "no-such-case"),
        (f"case={petition_id(9)}", 404, "no-such-case"),
        ("command=sign", 422, "invalid-request"),
    ):
        answer = await client.get(f"/templates?{query}", headers=token(NEXT_GRID))
        assert slug(answer, status) == which


# ---------------------------------------------------------------- versions side by side


async def loaded(pool: Pool, policies: Policies, *lines: str, merge: bool = True) -> int:
    """A new version with these templates."""
    text = HEADER + "\n".join(lines)
    parts: dict[PartKind, Part] = {"templates": read_part("templates", text, "more.csv")}
    async with transaction(pool) as tx:
        version = await load(
            tx, parts, loaded_by="test", epoch=1, clock=REAL, now=NOON, merge=merge
        )
        await policies.refresh(tx)
    return version


async def test_new_words_are_in_force_at_once_for_cases_opened_before(
    client: httpx.AsyncClient, router: Router, pool: Pool, policies: Policies
) -> None:
    await router.hear(Said(receipt(RUBBISH), A))
    row = "result,resolve,,,E01,清走了：{done},gone: {done}"
    assert await loaded(pool, policies, row) == 2
    case = await asked(client, f"/cases/{A}", token(GRID))
    assert case["policy"] == 1
    await done(client, A, {"command": "sign"}, token(GRID))
    body = {"command": "resolve", "template": "result", "slots": {"done": "三袋"}}
    await done(client, A, body, token(GRID))
    [told] = (await asked(client, f"/cases/{A}/answers", resident(A)))["answers"]
    assert told["text"] == {"zh": "清走了：三袋", "en": "gone: 三袋"}
    detail = (await asked(client, f"/cases/{A}/history", token(GRID)))["steps"][-1]["detail"]
    assert (detail["template"], detail["templates"]) == ("result", 2)


async def test_a_row_of_the_same_code_and_matter_takes_the_place_of_the_old_one(
    pool: Pool, policies: Policies
) -> None:
    before = policies.current.templates.rows
    await loaded(pool, policies, "result,resolve,,,,办好：{done},done: {done}")
    after = policies.current.templates
    assert (after.version, len(after.rows)) == (2, len(before))
    assert after.fitting(None, "resolve")[0].zh == "办好：{done}"
    await loaded(pool, policies, "only,resolve,,,,好,good", merge=False)
    assert [row.code for row in policies.current.templates.rows] == ["only"]
    with pytest.raises(PolicyRefused, match=r"more.csv:2: a: zh: there is no slot \{x\}"):
        await loaded(pool, policies, "a,resolve,,,,好{x},good{x}")
    assert policies.newest == 3


async def test_templates_do_not_travel_and_are_in_no_hash_that_readers_check(
    pool: Pool, policies: Policies
) -> None:
    await loaded(pool, policies, "only,resolve,,,,好,good")
    async with pool.acquire() as connection:
        said = await connection.fetch(
            "select key, value from outbox where topic = 'policy.events' order by id"
        )
        kept = await policy_rows.rows(connection, 2)
    second = [orjson.loads(row["value"]) for row in said if row["key"].startswith("2/")]
    closing = second.pop()
    assert "templates" not in {part["kind"] for part in second}
    assert closing["parts"] == len(second)
    bodies = (
        (one["kind"], one["n"], part_body(one["kind"], one["n"], one["rows"])) for one in second
    )
    assert closing["sha256"] == hash_of_parts(bodies)
    assert "templates" in {kind for kind, _, _ in kept}


async def test_a_router_passes_over_a_kind_of_part_that_it_does_not_know(
    pool: Pool, policies: Policies
) -> None:
    """So the version before this one reads a policy that has templates."""
    async with pool.acquire() as connection:
        kept = await policy_rows.rows(connection, 1)
    read = policy_of(1, [*kept, ("of tomorrow", 0, [{"code": "x"}])])
    assert isinstance(read, Policy)
    assert read.categories == policies.current.categories
