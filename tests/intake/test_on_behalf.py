"""Letters, visits and calls: an officer registers them, the person follows them."""

from typing import Any, get_args
from uuid import UUID

import httpx
import pytest

from services.intake.api.bodies import FOR_A_PERSON
from shared.events import Channel, PetitionReceived, dump
from shared.identity import issue
from shared.postgres import Transaction
from shared.service import Process
from tests.intake.samples import GRID, OTHER_DISTRICT, STREET, petition
from tests.intake.steps import problem, read_all, said

LETTER = {"came_at": "2026-04-10T09:00:00+08:00", "reference": "信2026-17"}


def token(*roles: str, division: str = GRID, office: str | None = None) -> dict[str, str]:
    return {"authorization": f"Bearer {issue('s' * 32, 'agent-7', roles, division, office)}"}


async def sent(
    client: httpx.AsyncClient, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    return await client.post("/petitions", json=petition(**more), headers=headers)


async def test_a_letter_is_registered_for_the_person_who_gets_a_code_of_her_own(
    client: httpx.AsyncClient, database: Transaction, with_policy: Process
) -> None:
    clerk = token("hotline_agent", office="hotline")
    answer = await sent(client, clerk, channel="letter", on_behalf=LETTER)
    assert answer.status_code == 202, answer.text
    told = answer.json()
    shown = await client.get(told["links"]["receipt"])
    assert shown.json()["registered"] == {
        "division": GRID, "office": "hotline", "came_at": "2026-04-10T01:00:00+00:00",
        "reference": "信2026-17",
    }  # fmt: skip
    row = await database.fetchrow("select * from registrations")
    assert row is not None
    assert (row["petition_id"], row["subject"], row["roles"]) == (
        UUID(told["id"]), "agent-7", ["hotline_agent"],
    )  # fmt: skip
    received_at = await database.fetchval("select received_at from petitions")
    assert received_at > row["came_at"], "promises run from the receipt, not from the letter"
    await read_all(with_policy)
    [(_, event)] = await said(database, told["id"])
    assert b"agent-7" not in dump(event)
    words = f"/petitions/{told['id']}/text"
    seen = await client.get(words, headers=token("street_cadre", division=STREET))
    assert seen.json()["registered"] == {
        "subject": "agent-7", "roles": ["hotline_agent"], "division": GRID, "office": "hotline",
        "came_at": "2026-04-10T01:00:00+00:00", "reference": "信2026-17",
    }  # fmt: skip
    assert await database.fetchval("select count(*) from views") == 1


async def test_what_comes_of_itself_is_registered_by_nobody(
    client: httpx.AsyncClient, database: Transaction
) -> None:
    told = (await sent(client)).json()
    assert await database.fetchval("select count(*) from registrations") == 0
    assert "registered" not in (await client.get(told["links"]["receipt"])).json()


@pytest.mark.parametrize(
    ("roles", "status"),
    [((), 401), (("resident",), 403), (("auditor",), 403), (("grid_worker",), 202)],
)
async def test_only_who_takes_petitions_in_registers_for_others(
    client: httpx.AsyncClient, database: Transaction, roles: tuple[str, ...], status: int
) -> None:
    who = token(*roles) if roles else None
    answer = await sent(client, who, channel="phone", on_behalf=LETTER)
    assert answer.status_code == status
    kept = await database.fetchval("select count(*) from petitions")
    assert kept == (1 if status == 202 else 0)


async def test_a_letter_of_tomorrow_is_refused(client: httpx.AsyncClient) -> None:
    later = {"came_at": "2199-01-01T00:00:00Z"}
    answer = await sent(client, token("hotline_agent"), channel="visit", on_behalf=later)
    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["field"] == "on_behalf.came_at"


@pytest.mark.parametrize("channel", ["letter", "visit"])
async def test_a_letter_or_a_visit_is_an_officers_to_register(
    client: httpx.AsyncClient, channel: str
) -> None:
    for headers in (None, token("hotline_agent")):
        answer = await sent(client, headers, channel=channel)
        assert answer.status_code == 422
        [error] = problem(answer)["errors"]
        assert error["field"] == "on_behalf"
        assert "registered by an officer" in error["says"]
    when = {"reference": "信2026-17"}
    answer = await sent(client, token("hotline_agent"), channel=channel, on_behalf=when)
    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["field"] == "on_behalf.came_at"


@pytest.mark.parametrize("channel", sorted(set(get_args(Channel)) - FOR_A_PERSON))
async def test_on_other_channels_nobody_is_registered_for(
    client: httpx.AsyncClient, channel: str
) -> None:
    answer = await sent(client, token("hotline_agent"), channel=channel, on_behalf=LETTER)
    assert answer.status_code == 422
    assert problem(answer)["errors"][0]["field"] == "on_behalf"


@pytest.mark.parametrize(
    ("accused", "office", "status"),
    [
        ({"division": STREET}, None, 403),
        ({"division": GRID}, None, 403),
        ({"office": "sanitation"}, "sanitation", 403),
        ({"office": "sanitation"}, "lighting", 202),
        ({"division": OTHER_DISTRICT}, None, 202),
        ({"unknown": True}, None, 202),
    ],
)
async def test_who_is_accused_takes_no_petition_in_against_himself(
    client: httpx.AsyncClient,
    with_policy: Process,
    accused: dict[str, Any],
    office: str | None,
    status: int,
) -> None:
    clerk = token("community_officer", division=GRID, office=office)
    answer = await sent(client, clerk, channel="visit", on_behalf=LETTER, accused=accused)
    assert answer.status_code == status, answer.text
    if status == 403:
        assert problem(answer)["type"].endswith("/not-your-matter")


async def test_all_fourteen_channels_give_the_same_record(
    client: httpx.AsyncClient, database: Transaction, with_policy: Process
) -> None:
    events: list[PetitionReceived] = []
    for channel in get_args(Channel):
        paper = channel in ("letter", "visit")
        clerk = token("petition_officer") if paper else None
        more = {"on_behalf": LETTER} if paper else {}
        told = (await sent(client, clerk, channel=channel, **more)).json()
        await read_all(with_policy)
        [(_, event)] = await said(database, told["id"])
        assert isinstance(event, PetitionReceived)
        assert event.channel == channel
        events.append(event)
    assert len(events) == 14
    alike = {
        event.model_copy(
            update={"channel": "web", "number": "", "received_at": events[0].received_at}
        )
        for event in events
    }
    assert len(alike) == 1
