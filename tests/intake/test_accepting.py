"""Handing in petitions: what is kept, what is refused, and what comes twice."""

import asyncio
import re
from datetime import timedelta

import httpx
import orjson
import pytest

from services.intake.api.bodies import CODE_LETTERS
from shared.postgres import Transaction
from shared.service import Process
from tests.intake.samples import DISTRICT, GRID, TEXT, petition
from tests.intake.steps import hand_in, problem

WHOLE = petition(
    subject="没人收垃圾",
    category="E0102",
    place={"code": GRID, "lat": 30.5, "lon": 114.3, "words": "清泉花园东门"},
    person={"name": "张三", "address": "柳林街道一号"},
    contact={"phone": "+86 138-0000-0000", "email": "z@example.org"},
    accused={"division": DISTRICT},
    occurred_at="2026-01-02T08:00:00+08:00",
)


async def count(database: Transaction) -> int:
    """Rows about petitions anywhere."""
    return int(
        await database.fetchval(
            """
            select (select count(*) from petitions) + (select count(*) from vault)
                 + (select count(*) from unread) + (select count(*) from receipts)
            """
        )
    )


async def test_a_petition_is_kept_whole_with_the_person_apart(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    answer = await client.post("/petitions", json=WHOLE)
    assert answer.status_code == 202
    told = answer.json()
    row = await database.fetchrow("select * from petitions")
    assert row is not None
    assert str(row["id"]) == told["id"]
    assert (row["number"], row["query_code"]) == (told["number"], told["code"])
    assert row["text"] == TEXT
    assert (row["place_code"], row["lat"], row["lon"]) == (GRID, 30.5, 114.3)
    assert (row["accused"], row["accused_unknown"], row["contact"]) == (DISTRICT, False, True)
    assert row["happened_at"].isoformat() == "2026-01-02T00:00:00+00:00"
    vault = await database.fetchrow("select person::text, contact::text from vault")
    assert vault is not None
    assert orjson.loads(vault["person"])["name"] == "张三"
    assert orjson.loads(vault["contact"])["email"] == "z@example.org"
    assert "张三" not in str(dict(row))
    assert await database.fetchval("select petition_id from unread") == row["id"]
    assert await database.fetchval("select said_seq from receipts") == 0


async def test_a_short_petition_leaves_nothing_in_the_vault(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    await hand_in(client)
    assert await database.fetchval("select count(*) from vault") == 0
    assert not await database.fetchval("select contact from petitions")


async def test_number_and_code_can_be_read_out_on_the_phone(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    told = [await hand_in(client) for _ in range(3)]
    assert all(re.fullmatch(r"CG-20[0-9]{6}-[0-9]{7}", one["number"]) for one in told)
    assert len({one["number"] for one in told}) == 3
    assert all(re.fullmatch(f"[{CODE_LETTERS}]{{8}}", one["code"]) for one in told)
    day = await database.fetchval(
        "select min(to_char(received_at at time zone 'Asia/Shanghai', 'YYYYMMDD')) from petitions"
    )
    assert told[0]["number"][3:11] == day


async def test_numbers_go_on_past_seven_digits(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    await database.execute("select setval('petition_numbers', 9999999)")
    assert (await hand_in(client))["number"].endswith("-10000000")


# ---------------------------------------------------------------- what comes twice


async def test_the_same_key_and_body_get_the_same_answer(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    first = await client.post("/petitions", json=WHOLE, headers={"idempotency-key": "a 1"})
    again = await client.post("/petitions", json=WHOLE, headers={"idempotency-key": "a 1"})
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert await count(database) == 4


async def test_fifty_at_once_under_one_key_are_one_petition(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    answers = await asyncio.gather(
        *(
            client.post("/petitions", json=petition(), headers={"idempotency-key": "k"})
            for _ in range(50)
        )
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert await database.fetchval("select count(*) from petitions") == 1


async def test_a_key_for_another_body_is_refused(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    key = {"idempotency-key": "k"}
    await client.post("/petitions", json=petition(), headers=key)
    answer = await client.post("/petitions", json=petition(kind="help"), headers=key)
    assert answer.status_code == 422
    assert problem(answer)["type"].endswith("idempotency-key-reused")
    assert await database.fetchval("select count(*) from petitions") == 1


async def test_two_bodies_under_one_key_at_once_are_not_mixed_up(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    answers = await asyncio.gather(
        *(
            client.post("/petitions", json=petition(kind=kind), headers={"idempotency-key": "k"})
            for kind in ("help", "report")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [202, 422]
    assert await database.fetchval("select count(*) from petitions") == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "with\ttab", "naïve"])
async def test_a_key_that_nobody_can_print_is_refused(client: httpx.AsyncClient, key: str) -> None:
    headers = {b"idempotency-key": key.encode("latin-1")}
    answer = await client.post("/petitions", json=petition(), headers=headers)
    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["field"] == "Idempotency-Key"


# ---------------------------------------------------------------- what is refused

BAD_BODIES = [
    pytest.param(b"", 400, None, id="nothing"),
    pytest.param(b'{"kind": "help"', 400, None, id="half an object"),
    pytest.param(b"\xff\xfe", 400, None, id="not UTF-8"),
    pytest.param(b'{"kind":"help","channel":"web","text":"\\ud800"}', 400, None, id="half a char"),
    pytest.param(b"[]", 422, "", id="an array"),
    pytest.param({}, 422, "kind", id="nothing in it"),
    pytest.param(petition(text=5), 422, "text", id="text is a number"),
    pytest.param(petition(text=""), 422, "text", id="text is empty"),
    pytest.param(petition(text=" \n"), 422, "text", id="text is blank"),
    pytest.param(petition(text="字" * 20_001), 422, "text", id="text is too long"),
    pytest.param(petition(text="a\0b"), 422, "text", id="NUL in the text"),
    pytest.param(petition(subject="\0"), 422, "subject", id="NUL in the subject"),
    pytest.param(petition(person={"name": "\0"}), 422, "person.name", id="NUL in the name"),
    pytest.param(petition(kind="rumour"), 422, "kind", id="no such kind"),
    pytest.param(petition(channel="pigeon"), 422, "channel", id="no such channel"),
    pytest.param(petition(colour="red"), 422, "colour", id="a field nobody knows"),
    pytest.param(petition(place={"zip": "1"}), 422, "place.zip", id="unknown in the place"),
    pytest.param(petition(place={}), 422, "place", id="a place without any"),
    pytest.param(petition(place={"lat": 30.5}), 422, "place", id="half a point"),
    pytest.param(petition(place={"lat": 91, "lon": 0}), 422, "place.lat", id="beyond the pole"),
    pytest.param(petition(place={"lat": "1", "lon": 0}), 422, "place.lat", id="lat is text"),
    pytest.param(petition(place={"code": "99"}), 422, "place.code", id="a code of two digits"),
    pytest.param(petition(place={"code": "city"}), 422, "place.code", id="the city is no place"),
    pytest.param(petition(contact={}), 422, "contact", id="a contact without any"),
    pytest.param(petition(contact={"phone": "call me"}), 422, "contact.phone", id="no phone"),
    pytest.param(petition(contact={"email": "me"}), 422, "contact.email", id="no email"),
    pytest.param(petition(accused={}), 422, "accused", id="nobody is accused"),
    pytest.param(
        petition(accused={"division": DISTRICT, "unknown": True}), 422, "accused", id="known or not"
    ),
    pytest.param(
        petition(accused={"division": DISTRICT, "office": "sanitation"}), 422, "accused", id="two"
    ),
    pytest.param(petition(accused={"office": ""}), 422, "accused.office", id="an empty office"),
    pytest.param(petition(accused={"office": "x" * 61}), 422, "accused.office", id="a long office"),
    pytest.param(petition(accused={"office": "\0"}), 422, "accused.office", id="NUL in the office"),
    pytest.param(petition(accused={"office": "nobody"}), 422, "accused.office", id="no office"),
    pytest.param(
        petition(accused={"office": "street-office"}), 422, "accused.office", id="a desk: divisions"
    ),
    pytest.param(petition(accused={"unknown": False}), 422, "accused.unknown", id="not unknown"),
    pytest.param(petition(occurred_at="yesterday"), 422, "occurred_at", id="no time"),
    pytest.param(petition(occurred_at="2026-01-01T00:00:00"), 422, "occurred_at", id="no zone"),
    pytest.param(petition(occurred_at="2999-01-01T00:00:00Z"), 422, "occurred_at", id="future"),
    pytest.param(
        petition(occurred_at="0001-01-01T00:00:00+14:00"), 422, "occurred_at", id="before calendars"
    ),
    pytest.param(petition(category="E9999"), 422, "category", id="no such category"),
    pytest.param(petition(place={"code": "110000"}), 422, "place.code", id="no such division"),
    pytest.param(
        petition(accused={"division": "110000"}), 422, "accused.division", id="nobody accused there"
    ),
]


@pytest.mark.usefixtures("with_policy")
@pytest.mark.parametrize(("body", "status", "field"), BAD_BODIES)
async def test_a_bad_body_is_a_problem_and_nothing_is_kept(
    client: httpx.AsyncClient, database: Transaction, body: object, status: int, field: str | None
) -> None:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    answer = await client.post(
        "/petitions", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status
    said = problem(answer)
    if field is not None:
        assert field in [error["field"] for error in said["errors"]]
    assert TEXT not in answer.text
    assert await count(database) == 0


async def test_a_little_ahead_of_our_clock_is_not_the_future(
    client: httpx.AsyncClient, process: Process
) -> None:
    soon = process.clock.now() + timedelta(minutes=4)
    await hand_in(client, occurred_at=soon.isoformat())


@pytest.mark.usefixtures("with_policy")
async def test_an_office_may_be_accused(client: httpx.AsyncClient, database: Transaction) -> None:
    await hand_in(client, accused={"office": "sanitation"})
    row = await database.fetchrow("select accused, accused_office, accused_unknown from petitions")
    assert row is not None
    assert tuple(row) == (None, "sanitation", False)


async def test_without_a_policy_codes_are_taken_as_they_are(client: httpx.AsyncClient) -> None:
    await hand_in(client, category="E9999", place={"code": "110000"})


async def test_other_media_types_are_415(client: httpx.AsyncClient, database: Transaction) -> None:
    answer = await client.post(
        "/petitions", content=orjson.dumps(petition()), headers={"content-type": "text/plain"}
    )
    assert answer.status_code == 415
    problem(answer)
    assert await count(database) == 0


async def test_a_body_that_is_too_large_is_413(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    body = orjson.dumps(petition(text="x" * process.settings.max_body_bytes))
    answer = await client.post(
        "/petitions", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413
    problem(answer)
    assert await count(database) == 0


async def test_a_text_of_20000_escaped_characters_fits(client: httpx.AsyncClient) -> None:
    body = b'{"kind":"help","channel":"web","text":"%s"}' % (b"\\u5b57" * 20_000)
    answer = await client.post(
        "/petitions", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("PUT", "/petitions", 405)]
)
async def test_wrong_addresses_and_methods_are_problems(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    problem(answer)


async def test_the_api_page_describes_the_body(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    body = described["paths"]["/petitions"]["post"]["requestBody"]["content"]["application/json"]
    assert {"kind", "channel", "text", "place", "accused"} <= body["schema"]["properties"].keys()
    assert "$ref" not in str(body)
