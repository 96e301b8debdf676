"""Who may see readings and words: officers in scope, never the accused, and always under audit."""

from uuid import uuid4

import httpx
import pytest

from services.intake.decisions.petitions import may_see
from shared.events import Reading
from shared.identity import issue
from shared.postgres import Transaction
from shared.service import Process
from tests.intake.samples import DISTRICT, GRID, OTHER_DISTRICT, STREET, TEXT
from tests.intake.steps import hand_in, problem, read_all


def token(process: Process, division: str, *roles: str) -> dict[str, str]:
    """The header of somebody who acts for a division."""
    assert process.settings.token_secret is not None
    secret = process.settings.token_secret.get_secret_value()
    held = issue(secret, "officer-1", roles or ("street_cadre",), division)
    return {"authorization": f"Bearer {held}"}


IN_GRID = Reading(division=GRID)
R02 = Reading(division=STREET, category="R02")


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
        pytest.param("city", None, True, Reading(), True, id="nobody named, the city"),
    ],
)
def test_who_may_see_a_petition(
    division: str, accused: str | None, unknown: bool, reading: Reading | None, may: bool
) -> None:
    assert may_see(division, accused, unknown, reading) is may


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
