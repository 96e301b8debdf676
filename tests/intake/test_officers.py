"""Who may see readings and words: officers in scope, never the accused, and always under audit."""

from uuid import UUID, uuid4

import httpx
import pytest

from services.intake.decisions.petitions import Accusations, Accused, Part, may_see
from services.intake.handlers.receipts import on_case_changed
from shared.events import CaseEventType, ClockSnapshot, Order, Reading, Topic
from shared.hearing import Batch, Heard
from shared.http import cursor_of
from shared.identity import Actor, issue
from shared.postgres import Transaction, transaction
from shared.service import Process
from tests.intake.samples import DISTRICT, GRID, OTHER_DISTRICT, STREET, TEXT, case_event
from tests.intake.steps import hand_in, problem, read_all


def token(
    process: Process, division: str, *roles: str, office: str | None = None
) -> dict[str, str]:
    """The header of somebody who acts for a division."""
    assert process.settings.token_secret is not None
    secret = process.settings.token_secret.get_secret_value()
    held = issue(secret, "officer-1", roles or ("street_cadre",), division, office)
    return {"authorization": f"Bearer {held}"}


RULES = Accusations(frozenset({"R01", "R02"}), frozenset({"sanitation", "lighting"}))
LIGHTING, SANITATION = Part(STREET, "lighting"), Part(STREET, "sanitation")
IN_GRID = Reading(division=GRID)
R01, R02 = (Reading(division=STREET, category=code) for code in ("R01", "R02"))


@pytest.mark.parametrize(
    ("division", "accused", "unknown", "reading", "may"),
    [
        pytest.param(GRID, None, False, IN_GRID, True, id="their own grid"),
        pytest.param(STREET, None, False, IN_GRID, True, id="a street above"),
        pytest.param("city", None, False, IN_GRID, True, id="the city"),
        pytest.param(OTHER_DISTRICT, None, False, IN_GRID, False, id="another district"),
        pytest.param(GRID, None, False, Reading(division=STREET), False, id="below the matter"),
        pytest.param(STREET, None, False, None, False, id="not read yet"),
        pytest.param("city", None, False, None, True, id="the city, not read yet"),
        pytest.param(STREET, STREET, False, IN_GRID, False, id="the accused"),
        pytest.param(GRID, STREET, False, IN_GRID, False, id="below the accused"),
        pytest.param(DISTRICT, STREET, False, IN_GRID, True, id="above the accused"),
        pytest.param(DISTRICT, DISTRICT, False, None, False, id="accused, not read yet"),
        pytest.param(STREET, OTHER_DISTRICT, False, IN_GRID, True, id="others are accused"),
        pytest.param(STREET, None, True, Reading(division=STREET), False, id="perhaps accused"),
        pytest.param(DISTRICT, None, True, Reading(division=STREET), True, id="one tier above"),
        pytest.param(STREET, None, False, R02, False, id="R02: perhaps accused"),
        pytest.param(STREET, None, False, R01, False, id="R01: perhaps accused"),
        pytest.param("city", None, True, Reading(), True, id="nobody named, the city"),
    ],
)
def test_who_may_see_a_petition(
    division: str, accused: str | None, unknown: bool, reading: Reading | None, may: bool
) -> None:
    who = Actor("officer-1", frozenset({"street_cadre"}), division)
    assert may_see(who, Accused(accused, None, unknown), reading, RULES) is may


@pytest.mark.parametrize(
    ("division", "office", "parts", "accused", "may"),
    [
        pytest.param(STREET, "lighting", [LIGHTING], Accused(), True, id="its office holds it"),
        pytest.param("city", "lighting", [SANITATION, LIGHTING], Accused(), True, id="or owes"),
        pytest.param(STREET, "lighting", [SANITATION], Accused(), False, id="another office"),
        pytest.param(STREET, "lighting", [], Accused(), False, id="no office yet"),
        pytest.param(OTHER_DISTRICT, "lighting", [LIGHTING], Accused(), False, id="elsewhere"),
        pytest.param(STREET, "lighting", [], Accused(unknown=True), False, id="accused unknown"),
        pytest.param(STREET, "lighting", [LIGHTING], Accused(unknown=True), True, id="not it"),
        pytest.param(STREET, "lighting", [LIGHTING], Accused(STREET), False, id="its division"),
        pytest.param(
            STREET, "lighting", [LIGHTING], Accused(office="lighting"), False, id="itself"
        ),
    ],
)
def test_who_acts_for_an_office_sees_what_the_router_gave_his_office_a_part_in(
    division: str, office: str, parts: list[Part], accused: Accused, may: bool
) -> None:
    who = Actor("officer-1", frozenset({"department_officer"}), division, office)
    assert may_see(who, accused, IN_GRID, RULES, parts) is may


@pytest.mark.parametrize(
    ("division", "office", "accused", "may"),
    [
        pytest.param(GRID, None, "sanitation", True, id="no division is shut out"),
        pytest.param(STREET, "lighting", "sanitation", False, id="another office, without a part"),
        pytest.param(STREET, "sanitation", "sanitation", False, id="the accused"),
        pytest.param("city", "sanitation", "sanitation", False, id="the accused in the city"),
        pytest.param(GRID, None, "nobody", False, id="nobody is named: perhaps accused"),
        pytest.param(STREET, None, "nobody", True, id="nobody is named: one tier above"),
        pytest.param("city", "nobody", "nobody", False, id="whoever has that name"),
    ],
)
def test_who_may_see_a_petition_that_accuses_an_office(
    division: str, office: str | None, accused: str, may: bool
) -> None:
    who = Actor("officer-1", frozenset({"department_officer"}), division, office)
    assert may_see(who, Accused(office=accused), IN_GRID, RULES) is may


async def test_an_officer_in_scope_sees_what_was_read_and_which_words_spoke(
    client: httpx.AsyncClient, with_policy: Process
) -> None:
    told = await hand_in(client)
    await read_all(with_policy)
    answer = await client.get(
        f"/petitions/{told['id']}/readings", headers=token(with_policy, STREET)
    )
    assert answer.status_code == 200
    [kept] = answer.json()
    assert (kept["n"], kept["policy"]) == (1, 1)
    assert kept["reading"]["category"] == "E0102"
    assert kept["reading"]["words"][0]["word"] == "垃圾"
    assert TEXT not in answer.text


async def test_what_was_added_is_read_page_by_page(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    await read_all(with_policy)
    await database.execute(
        """
        insert into supplements (id, petition_id, text, received_at, said)
        select gen_random_uuid(), $1, n::text, now(), true from generate_series(1, 250) n
        """,
        UUID(told["id"]),
    )
    who, pages = token(with_policy, STREET), []
    more: dict[str, str] = {}
    while True:
        answer = await client.get(f"/petitions/{told['id']}/text", headers=who, params=more)
        pages.append([one["text"] for one in answer.json()["supplements"]])
        if answer.json()["cursor"] is None:
            break
        more = {"cursor": answer.json()["cursor"]}
    assert list(map(len, pages)) == [100, 100, 50]
    assert {int(text) for page in pages for text in page} == set(range(1, 251))
    for wrong in ("x", cursor_of(["x"]), cursor_of([7])):
        params = {"cursor": wrong}
        refused = await client.get(f"/petitions/{told['id']}/text", headers=who, params=params)
        assert refused.status_code == 422


async def test_who_looks_at_the_words_is_written_down(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client, subject="臭味", person={"name": "张三"})
    at = f"/petitions/{told['number']}/supplements"
    await client.post(at, params={"code": told["code"]}, json={"text": "还没有人来"})
    await read_all(with_policy)
    answer = await client.get(
        f"/petitions/{told['id']}/text",
        headers=token(with_policy, STREET, "street_cadre", "auditor"),
    )
    assert answer.status_code == 200
    seen = answer.json()
    assert (seen["subject"], seen["text"]) == ("臭味", TEXT)
    assert [one["text"] for one in seen["supplements"]] == ["还没有人来"]
    assert "张三" not in answer.text
    row = await database.fetchrow("select * from views")
    assert row is not None
    assert (str(row["petition_id"]), row["subject"]) == (told["id"], "officer-1")
    assert (row["roles"], row["division"]) == (["auditor", "street_cadre"], STREET)


@pytest.mark.parametrize("what", ["readings", "text"])
async def test_who_may_not_see_it_learns_nothing(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction, what: str
) -> None:
    told = await hand_in(client, accused={"division": STREET})
    await read_all(with_policy)
    at = f"/petitions/{told['id']}/{what}"
    asked = [
        await client.get(at, headers=token(with_policy, OTHER_DISTRICT)),
        await client.get(at, headers=token(with_policy, STREET)),
        await client.get(at, headers=token(with_policy, GRID)),
        await client.get(f"/petitions/{uuid4()}/{what}", headers=token(with_policy, "city")),
    ]
    assert [answer.status_code for answer in asked] == [404] * 4
    assert len({answer.content for answer in asked}) == 1
    problem(asked[0])
    assert await database.fetchval("select count(*) from views") == 0
    allowed = await client.get(at, headers=token(with_policy, DISTRICT))
    assert allowed.status_code == 200


@pytest.mark.parametrize("what", ["readings", "text"])
async def test_who_acts_for_the_accused_office_learns_nothing(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction, what: str
) -> None:
    told = await hand_in(client, accused={"office": "sanitation"})
    await read_all(with_policy)
    at = f"/petitions/{told['id']}/{what}"
    for division in (GRID, STREET, "city"):
        hidden = await client.get(at, headers=token(with_policy, division, office="sanitation"))
        assert hidden.status_code == 404
        problem(hidden)
    assert await database.fetchval("select count(*) from views") == 0
    allowed = await client.get(at, headers=token(with_policy, GRID))
    assert allowed.status_code == 200


async def hear(process: Process, *events: Heard) -> None:
    """A batch comes on router.events."""
    async with transaction(process.pool) as tx:
        await on_case_changed(Batch(Topic.ROUTER, events), tx, process.clock.now(), process.clock)


@pytest.mark.parametrize("what", ["readings", "text"])
async def test_an_office_reads_the_words_while_it_holds_the_case_or_owes_something_in_it(
    client: httpx.AsyncClient, with_policy: Process, what: str
) -> None:
    told = await hand_in(client)
    await read_all(with_policy)
    at, case = f"/petitions/{told['id']}/{what}", UUID(told["id"])
    owed = ClockSnapshot(
        name="final_reply", generation=1, owner_division=STREET, owner_office="lighting",
        owner_role="department_officer", due=1, on_breach="promote",
    )  # fmt: skip

    async def readers() -> list[str]:
        asked = {
            office: await client.get(at, headers=token(with_policy, STREET, office=office))
            for office in ("sanitation", "lighting", "nobody")
        }
        return [office for office, answer in asked.items() if answer.status_code == 200]

    assert await readers() == []
    await hear(with_policy, case_event(case, Order(1, 1), holder=STREET, office="sanitation"))
    assert await readers() == ["sanitation"]
    await hear(with_policy, case_event(case, Order(1, 2), clocks=(owed,)))
    assert await readers() == ["lighting"]
    await hear(with_policy, case_event(case, Order(1, 3), holder=STREET))
    assert await readers() == []


@pytest.mark.parametrize("what", ["readings", "text"])
async def test_whom_a_dispatcher_accuses_learns_nothing_from_then_on(
    client: httpx.AsyncClient, with_policy: Process, what: str
) -> None:
    told = await hand_in(client)
    await read_all(with_policy)
    at = f"/petitions/{told['id']}/{what}"

    async def seen(division: str, office: str | None = None) -> bool:
        answer = await client.get(at, headers=token(with_policy, division, office=office))
        assert answer.status_code in (200, 404)
        return answer.status_code == 200

    async def say(seq: int, division: str | None = None, office: str | None = None) -> None:
        classified: CaseEventType = "casegrid.case.classified.v1"
        event = case_event(
            UUID(told["id"]), Order(1, seq), type_=classified, accused_division=division,
            accused_office=office, holder=STREET, office="sanitation",
        )  # fmt: skip
        await hear(with_policy, event)

    await say(2)
    assert await seen(STREET, "sanitation")
    await say(3, office="sanitation")
    assert not await seen(STREET, "sanitation")
    assert await seen(STREET)
    await say(5, division=STREET)
    assert await seen(DISTRICT, "sanitation")
    assert [await seen(one) for one in (GRID, STREET, DISTRICT)] == [False, False, True]
    await say(4)
    assert not await seen(STREET)
    await say(6)
    assert await seen(STREET)


@pytest.mark.parametrize("what", ["readings", "text"])
async def test_without_an_office_nobody_asks(
    client: httpx.AsyncClient, with_policy: Process, what: str
) -> None:
    told = await hand_in(client)
    at = f"/petitions/{told['id']}/{what}"
    nobody = await client.get(at)
    assert nobody.status_code == 401
    problem(nobody)
    resident = await client.get(at, headers=token(with_policy, "city", "resident"))
    assert resident.status_code == 403
    problem(resident)
