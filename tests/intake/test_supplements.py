"""What residents add: refused when it is bad, and kept and said once under its key."""

import asyncio

import httpx
import pytest

from shared.postgres import Transaction
from shared.service import Process
from tests.intake.steps import hand_in, problem, read_all, said


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        pytest.param({"text": "more"}, "WRONG", 404, id="wrong code"),
        pytest.param({"text": ""}, None, 422, id="nothing added"),
        pytest.param({"text": "a\0"}, None, 422, id="NUL"),
        pytest.param({"text": "a", "b": 1}, None, 422, id="a field nobody knows"),
        pytest.param([], None, 422, id="an array"),
    ],
)
async def test_a_bad_supplement_is_refused_and_not_kept(
    client: httpx.AsyncClient,
    database: Transaction,
    body: object,
    code: str | None,
    status: int,
) -> None:
    told = await hand_in(client)
    at = f"/petitions/{told['number']}/supplements"
    answer = await client.post(at, params={"code": code or told["code"]}, json=body)
    assert answer.status_code == status
    problem(answer)
    assert await database.fetchval("select count(*) from supplements") == 0


async def added(
    client: httpx.AsyncClient, told: dict[str, str], text: str, key: str | None
) -> httpx.Response:
    """The resident adds something under a key."""
    return await client.post(
        f"/petitions/{told['number']}/supplements",
        params={"code": told["code"]},
        json={"text": text},
        headers={} if key is None else {"idempotency-key": key},
    )


@pytest.mark.parametrize("read_first", [True, False])
async def test_what_is_added_under_a_key_is_kept_and_said_once(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction, read_first: bool
) -> None:
    told, other = await hand_in(client), await hand_in(client)
    if read_first:
        await read_all(with_policy)
    first, again = [await added(client, told, "more", "k") for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    elsewhere = await added(client, other, "more", "k")
    assert "idempotency-replayed" not in elsewhere.headers
    await read_all(with_policy)
    assert [seq for seq, _ in await said(database, told["id"])] == [1, 2]
    assert await database.fetchval("select count(*) from supplements") == 2


async def test_a_key_with_other_words_is_refused_and_without_one_all_is_kept(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    told = await hand_in(client)
    assert (await added(client, told, "more", "k")).status_code == 202
    refused = await added(client, told, "something else", "k")
    assert refused.status_code == 422
    assert problem(refused)["type"].endswith("idempotency-key-reused")
    assert (await added(client, told, "more", "")).status_code == 422
    for _ in range(2):
        assert (await added(client, told, "more", None)).status_code == 202
    assert await database.fetchval("select count(*) from supplements") == 3


async def test_ten_at_once_under_one_key_are_one(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    await read_all(with_policy)
    answers = await asyncio.gather(*(added(client, told, "more", "k") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert [seq for seq, _ in await said(database, told["id"])] == [1, 2]
