"""Ratings: once each time that a case ended, while it may come back; said in their place."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from uuid_utils.compat import uuid7

from services.intake.decisions.additions import Rating, Reopening
from services.intake.handlers.additions import NotNow, rate
from services.intake.handlers.loops import voice_of
from services.intake.store import receipts
from shared.events import Order, PetitionRated
from shared.postgres import Transaction, transaction
from shared.service import Process
from tests.intake.samples import STREET, case_event
from tests.intake.steps import hand_in, hear, problem, read_all, receipt, said
from tests.intake.test_officers import token

GOOD = {"solved": True, "satisfied": True}
WORDS = "昨天又堆满了"
BACK = {"solved": False, "satisfied": False, "reason": "came_back", "text": WORDS}


async def rated(
    client: httpx.AsyncClient, told: dict[str, Any], body: object, key: str | None = None
) -> httpx.Response:
    """The resident rates how it was handled."""
    return await client.post(
        f"/petitions/{told['number']}/rating",
        params={"code": told["code"]},
        json=body,
        headers={} if key is None else {"idempotency-key": key},
    )


async def dealt_with(client: httpx.AsyncClient, process: Process) -> dict[str, Any]:
    """A petition whose case is resolved."""
    told = await hand_in(client)
    await read_all(process)
    await hear(process, case_event(UUID(told["id"]), Order(1, 1), stage="resolved"))
    return told


async def test_a_rating_is_kept_with_its_words_and_said_without_them(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await dealt_with(client, with_policy)
    answer = await rated(client, told, BACK)
    assert answer.status_code == 202
    assert answer.json()["number"] == told["number"]
    (_, (seq, event)) = await said(database, told["id"])
    assert seq == 2
    assert isinstance(event, PetitionRated)
    assert (event.solved, event.satisfied, event.reason) == (False, False, "came_back")
    assert event.received_at.isoformat() == answer.json()["received_at"]
    waiting = await database.fetch("select headers || value as said from outbox")
    assert not any(WORDS.encode() in row["said"] for row in waiting)
    seen = await client.get(
        f"/petitions/{told['id']}/text", headers=token(with_policy, STREET, "street_cadre")
    )
    assert [one["text"] for one in seen.json()["ratings"]] == [WORDS]
    shown = (await receipt(client, told))["rating"]
    assert shown["possible"] is False
    assert shown["given"] == {
        "solved": False,
        "satisfied": False,
        "reason": "came_back",
        "received_at": answer.json()["received_at"],
    }


async def test_once_each_time_the_case_was_dealt_with(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await dealt_with(client, with_policy)
    first, again = [await rated(client, told, BACK, "k") for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = await rated(client, told, GOOD, "k")
    assert problem(other)["type"].endswith("idempotency-key-reused")
    for key in ("another", None):
        second = await rated(client, told, GOOD, key)
        assert second.status_code == 409
        assert problem(second)["type"].endswith("rated-already")
    petition_id = UUID(told["id"])
    await hear(with_policy, case_event(petition_id, Order(1, 2), stage="assigned", reopened=1))
    early = await rated(client, told, GOOD)
    assert problem(early)["type"].endswith("not-dealt-with-yet")
    await hear(with_policy, case_event(petition_id, Order(1, 3), stage="closed", reopened=1))
    assert (await receipt(client, told))["rating"]["possible"] is True
    assert (await rated(client, told, GOOD, "l")).status_code == 202
    assert (await rated(client, told, BACK, "k")).json() == first.json()
    assert [seq for seq, _ in await said(database, told["id"])] == [1, 2, 3]
    assert await database.fetchval("select count(*) from ratings") == 2


@pytest.mark.parametrize("keys", ["one", "many"])
async def test_ten_at_once_are_one(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction, keys: str
) -> None:
    told = await dealt_with(client, with_policy)
    answers = await asyncio.gather(
        *(rated(client, told, GOOD, "k" if keys == "one" else f"k{n}") for n in range(10))
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == ([202] * 10 if keys == "one" else [202] + [409] * 9)
    assert [seq for seq, _ in await said(database, told["id"])] == [1, 2]


@pytest.mark.parametrize("stage", ["unread", "read", "assigned", "signed", "handed_off"])
async def test_what_is_not_dealt_with_is_not_rated(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction, stage: Any
) -> None:
    told = await hand_in(client)
    if stage != "unread":
        await read_all(with_policy)
    if stage not in ("unread", "read"):
        await hear(with_policy, case_event(UUID(told["id"]), Order(1, 1), stage=stage))
    answer = await rated(client, told, GOOD)
    assert answer.status_code == 409
    assert problem(answer)["type"].endswith("not-dealt-with-yet")
    assert (await receipt(client, told))["rating"]["possible"] is False
    assert await database.fetchval("select count(*) from ratings") == 0


async def test_after_a_restore_nothing_is_said_before_the_petition_itself(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client)  # unread, as in a backup
    await hear(with_policy, case_event(UUID(told["id"]), Order(1, 9), stage="closed"))
    assert (await rated(client, told, GOOD)).status_code == 409
    await read_all(with_policy)
    assert (await rated(client, told, GOOD)).status_code == 202
    assert [seq for seq, _ in await said(database, told["id"])] == [1, 2]


@pytest.mark.parametrize(("late", "taken"), [(timedelta(0), True), (timedelta(seconds=1), False)])
async def test_a_closed_case_is_rated_within_the_window_of_the_policy(
    client: httpx.AsyncClient, with_policy: Process, late: timedelta, taken: bool
) -> None:
    told = await dealt_with(client, with_policy)
    petition_id, rules = UUID(told["id"]), Reopening()
    await hear(with_policy, case_event(petition_id, Order(1, 2), stage="closed", closed=60_000))
    async with transaction(with_policy.pool) as tx:
        held = await receipts.hold(tx, petition_id)
        until = held.ending.until(rules)
        assert until is not None
        asked = Rating(uuid7(), True, True, None, None, until + late, None, None, None)
        outcome = await rate(tx, petition_id, asked, rules, voice_of(with_policy))
    assert isinstance(outcome, NotNow) is not taken
    shown = (await receipt(client, told))["rating"]
    assert shown["until"] == until.isoformat()


async def test_too_late_is_said_with_the_time_until_when(
    client: httpx.AsyncClient, with_policy: Process
) -> None:
    told = await dealt_with(client, with_policy)
    closed = case_event(UUID(told["id"]), Order(1, 2), stage="closed", closed=-400 * 24 * 3_600_000)
    await hear(with_policy, closed)
    answer = await rated(client, told, GOOD)
    assert answer.status_code == 409
    assert "until 2025-03-23 09:00 (Beijing time)" in problem(answer)["detail"]


@pytest.mark.parametrize(
    ("body", "code", "status", "says"),
    [
        pytest.param(GOOD, "WRONG", 404, "this code", id="wrong code"),
        pytest.param(
            {"solved": False, "satisfied": False, "reason": "x"},
            None,
            422,
            "'not_solved', 'came_back', 'wrong_answer', 'slow' or 'unkind'",
            id="a reason nobody knows",
        ),
        pytest.param({"solved": False, "satisfied": False}, None, 422, "reason", id="no reason"),
        pytest.param(GOOD | {"reason": "slow"}, None, 422, "leave it out", id="nothing is wrong"),
        pytest.param(
            {"solved": True, "satisfied": False, "reason": "came_back"},
            None,
            422,
            "solved",
            id="solved and not",
        ),
        pytest.param({"solved": True}, None, 422, "satisfied", id="half of it"),
        pytest.param(GOOD | {"text": "a\0"}, None, 422, "NUL", id="NUL"),
        pytest.param(GOOD | {"stars": 5}, None, 422, "stars", id="a field nobody knows"),
    ],
)
async def test_a_bad_rating_is_refused_with_what_is_wrong(
    client: httpx.AsyncClient,
    with_policy: Process,
    database: Transaction,
    body: object,
    code: str | None,
    status: int,
    says: str,
) -> None:
    told = await dealt_with(client, with_policy)
    answer = await rated(client, told | {"code": code or told["code"]}, body)
    assert answer.status_code == status
    problem(answer)
    assert says in answer.text
    assert await database.fetchval("select count(*) from ratings") == 0
