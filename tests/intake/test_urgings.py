"""Please hurry: counted, a few times a day, while there is something to hurry."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from uuid_utils.compat import uuid7

from services.intake.decisions.additions import URGINGS_A_DAY, Addition, today
from services.intake.handlers.additions import Kept, TooOften, urge
from services.intake.handlers.loops import voice_of
from shared.events import Order, PetitionReceived, PetitionSupplemented
from shared.postgres import Transaction, transaction
from shared.service import Process
from tests.intake.samples import case_event
from tests.intake.steps import hand_in, hear, problem, read_all, receipt, said


async def urged(
    client: httpx.AsyncClient,
    told: dict[str, Any],
    key: str | None = None,
    body: object | None = None,
) -> httpx.Response:
    """The resident asks to hurry."""
    return await client.post(
        f"/petitions/{told['number']}/urgings",
        params={"code": told["code"]},
        json={} if body is None else body,
        headers={} if key is None else {"idempotency-key": key},
    )


async def urgings_said(database: Transaction, told: dict[str, Any]) -> list[bool]:
    """Of all that was said after the petition: whether it urges."""
    first, *later = [event for _, event in await said(database, told["id"])]
    assert isinstance(first, PetitionReceived)
    return [event.urges for event in later if isinstance(event, PetitionSupplemented)]


async def test_a_resident_urges_before_and_after_the_reading_and_it_is_said_and_shown(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    assert (await urged(client, told, body={"text": "老人病了"})).status_code == 202
    assert (await receipt(client, told))["urgings"] == {"so_far": 1, "left_today": 2}
    await read_all(with_policy)
    assert (await urged(client, told)).status_code == 202
    assert await urgings_said(database, told) == [True, True]
    assert [seq for seq, _ in await said(database, told["id"])] == [1, 2, 3]
    assert (await receipt(client, told))["urgings"] == {"so_far": 2, "left_today": 1}


async def test_no_more_than_a_few_a_day_however_fast(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    await read_all(with_policy)
    answers = await asyncio.gather(*(urged(client, told, f"k{n}") for n in range(10)))
    taken = [answer for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (len(taken), len(refused)) == (URGINGS_A_DAY, 10 - URGINGS_A_DAY)
    assert problem(refused[0])["type"].endswith("urged-too-often")
    assert 0 < int(refused[0].headers["retry-after"]) <= 24 * 3600
    assert await urgings_said(database, told) == [True] * URGINGS_A_DAY
    known = next(n for n, answer in enumerate(answers) if answer.status_code == 202)
    again = await urged(client, told, f"k{known}")
    assert (again.status_code, again.json()) == (202, answers[known].json())


async def test_the_next_day_begins_anew(client: httpx.AsyncClient, with_policy: Process) -> None:
    told = await hand_in(client)
    await read_all(with_policy)
    for _ in range(URGINGS_A_DAY):
        assert (await urged(client, told)).status_code == 202
    _, ends = today(with_policy.clock.now())

    async def at(seconds: int) -> object:
        urging = Addition(
            uuid7(), None, ends + timedelta(seconds=seconds), None, None, None, urges=True
        )
        async with transaction(with_policy.pool) as tx:
            return await urge(tx, UUID(told["id"]), urging, voice_of(with_policy))

    assert await at(-1) == TooOften(ends)
    assert isinstance(await at(0), Kept)


async def test_of_a_closed_case_there_is_nothing_to_hurry(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    await read_all(with_policy)
    await hear(with_policy, case_event(UUID(told["id"]), Order(1, 1), stage="closed"))
    answer = await urged(client, told)
    assert answer.status_code == 409
    assert problem(answer)["type"].endswith("nothing-to-hurry")
    assert await urgings_said(database, told) == []


async def test_the_key_of_a_supplement_is_no_key_of_an_urging(
    client: httpx.AsyncClient, process: Process
) -> None:
    told = await hand_in(client)
    at = f"/petitions/{told['number']}/supplements"
    body, headers = {"text": "more"}, {"idempotency-key": "k"}
    added = await client.post(at, params={"code": told["code"]}, json=body, headers=headers)
    assert added.status_code == 202
    refused = await urged(client, told, "k", body)
    assert refused.status_code == 422
    assert problem(refused)["type"].endswith("idempotency-key-reused")
