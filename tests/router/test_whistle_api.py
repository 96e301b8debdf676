"""A whistle over HTTP, from the real PostgreSQL: what officers see, and what is counted of it."""

from __future__ import annotations

from typing import Any

import httpx

from services.router.store import queues
from shared.divisions import CITY, Tier
from shared.events import CaseChanged
from shared.identity import issue
from shared.postgres import Pool
from tests.router.conftest import SECRET
from tests.router.events import Router, Said, breach, cases, petition_id, receipt
from tests.router.stories import COMMUNITY, DISTRICT, GRID, HOUR, NOON, RUBBISH, STREET
from tests.router.test_api import problem

A = petition_id(1)
BUREAU = "city-management"


class Officers:
    """People at their desks, each with his own token."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.keys = 0

    async def give(
        self, division: str, role: str, name: str, of: str | None = None, **fields: object
    ) -> httpx.Response:
        """One command of an officer."""
        self.keys += 1
        body = {"command": name, "note": "because"} | fields
        if name == "finish_task":
            del body["note"]
        headers = self.token(division, role, of) | {
            "Idempotency-Key": f"{self.keys}",
            "If-Match": "*",
        }
        return await self.client.post(f"/cases/{A}/commands", json=body, headers=headers)

    async def see(
        self, path: str, division: str, role: str = "auditor", office: str | None = None
    ) -> Any:
        """What an officer is shown."""
        answer = await self.client.get(path, headers=self.token(division, role, office))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def token(self, division: str, role: str, office: str | None) -> dict[str, str]:
        text = issue(SECRET, f"{role} of {division}", (role,), division, office)
        return {"Authorization": f"Bearer {text}"}


async def blown(officers: Officers) -> None:
    """The grid asks, the community blows, the street calls a department, which objects once."""
    bureau = (STREET, "department_officer")
    for answer in (
        await officers.give(GRID, "grid_branch_secretary", "ask_whistle"),
        await officers.give(
            COMMUNITY, "community_officer", "whistle", offices=[BUREAU], reason="needs_department"
        ),
        await officers.give(
            STREET, "street_dispatcher", "give_task", kind="report_in", office=BUREAU
        ),
        await officers.give(*bureau, "refuse_task", BUREAU, task=2, reason="not_in_our_power"),
        await officers.give(
            STREET, "street_cadre", "decide_objection", task=2, decision="overrule"
        ),
    ):
        assert answer.status_code == 200, answer.text


async def test_a_department_sees_what_it_is_asked_and_answers(
    client: httpx.AsyncClient, router: Router, pool: Pool
) -> None:
    await router.hear(Said(receipt(RUBBISH), A))
    officers = Officers(client)
    await blown(officers)
    line = (await officers.see(f"/queues/offices/{BUREAU}", STREET))["entries"][0]
    assert (line["case"], line["why"], line["clock"]) == (str(A), "clock", "report_in/2")
    shown = await officers.see(f"/queues/offices/{BUREAU}", STREET, "department_officer", BUREAU)
    assert (shown["owned"], shown["entries"][0]["actions"]) == (
        {"report_in": 1}, ["report_in", "refuse_task"],
    )  # fmt: skip

    here = (STREET, "department_officer", "report_in", BUREAU)
    soon = (NOON + HOUR).isoformat()
    problem(await officers.give(*here, task=3, on_site=soon), 422, "unknown")
    stranger = ("department_officer", "report_in", "lighting")
    problem(await officers.give(STREET, *stranger, task=2, on_site=soon), 404, "no-such-case")
    later = "2099-01-01T00:00:00Z"
    problem(await officers.give(*here, task=2, on_site=later), 422, "incomplete")


async def test_a_whistle_is_scored_on_both_sides_and_told_step_by_step(
    client: httpx.AsyncClient, router: Router, pool: Pool
) -> None:
    await router.hear(Said(receipt(RUBBISH), A))
    officers = Officers(client)
    await blown(officers)
    bureau = (STREET, "department_officer")
    case = await officers.see(f"/cases/{A}", STREET, *bureau[1:], BUREAU)
    on_site = case["tasks"][1]["asked_at"]
    for answer in (
        await officers.give(*bureau, "report_in", BUREAU, task=2, on_site=on_site),
        await officers.give(*bureau, "finish_task", BUREAU, task=2, result="fined"),
        await officers.give(GRID, "grid_worker", "finish_task", task=3, result="ok", good=True),
    ):
        assert answer.status_code == 200, answer.text

    case = await officers.see(f"/cases/{A}", STREET)
    assert (case["holder"]["division"], case["holder"]["office"]) == (STREET, None)
    assert (case["whistle"]["state"], case["whistle"]["wants"]) == ("closed", [BUREAU])
    assert [task["state"] for task in case["tasks"]] == ["done", "done", "done"]

    full = {"of": 1, "n": 1, "bp": 10_000}
    units = {
        (one["division"], one["office"]): one
        for one in (await officers.see("/whistles", DISTRICT))["units"]
    }
    assert {unit: one["counts"] for unit, one in units.items()} == {
        (GRID, None): {"asked": 1},
        (COMMUNITY, None): {"blown": 1},
        (STREET, None): {"commanded": 1},
        (STREET, BUREAU): {
            "called": 1, "objected": 1, "reported_in_time": 1, "done_in_time": 1, "good": 1,
        },
    }  # fmt: skip
    assert units[STREET, None]["needed"] == full
    said = units[STREET, BUREAU]
    assert (said["needed"], said["reported"], said["done"], said["rated"]) == (
        None, full, full, full,
    )  # fmt: skip
    own = await officers.see("/whistles", STREET, "department_officer", BUREAU)
    assert [one["office"] for one in own["units"]] == [BUREAU]
    first = await officers.see("/whistles?limit=1", CITY)
    rest = await officers.see(f"/whistles?cursor={first['cursor']}", CITY)
    assert len(first["units"]) + len(rest["units"]) == 4

    steps = (await officers.see(f"/cases/{A}/history", STREET))["steps"]
    assert [step["event"] for step in steps] == [
        "opened", "whistle_asked", "whistled", "task_given", "task_refused", "objection_decided",
        "reported_in", "task_done", "task_done",
    ]  # fmt: skip
    assert steps[4]["detail"]["note"] == "because"
    moved = (await officers.see(f"/cases/{A}/routing", STREET))["decisions"][0]
    assert "The community blew the whistle" in moved["en"]
    assert "社区吹哨" in moved["zh"]


async def test_no_word_of_an_officer_goes_to_kafka(
    client: httpx.AsyncClient, router: Router, pool: Pool
) -> None:
    await router.hear(Said(receipt(RUBBISH), A))
    await blown(Officers(client))
    async with pool.acquire() as connection:
        said = await connection.fetch(
            "select value from outbox where topic = 'router.events' order by id"
        )
        owned = await queues.counts_under(connection, STREET, BUREAU, ("", ""), 10)
    values = [bytes(row["value"]) for row in said]
    assert len(values) == 6
    assert not any(b"because" in value or b"department_officer of" in value for value in values)
    assert {CaseChanged.model_validate_json(value).type.split(".")[2] for value in values} >= {
        "whistled", "task_given", "task_refused", "objection_decided",
    }  # fmt: skip
    assert [one.owned for one in owned] == [{"report_in": 1}]


async def test_an_order_about_a_tasks_clock_is_answered_once(
    client: httpx.AsyncClient, router: Router, pool: Pool
) -> None:
    await router.hear(Said(receipt(RUBBISH), A))
    await blown(Officers(client))
    [case] = (await cases(pool)).values()
    clock = case.clock("report_in/2")
    assert clock is not None
    assert clock.generation == 3  # asked, objected, asked again
    late = breach("report_in/2", 3, Tier.STREET, "supervise")
    await router.order(Said(late, A, 1), Said(late, A, 1), Said(late, A, 2))
    [after] = (await cases(pool)).values()
    assert after.supervised == 1
    assert after.seq == case.seq + 2  # supervised, and the one said again refused as stale
