"""Whoever writes of an emergency is told at once which number to call."""

import csv
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

import httpx
import pytest

from services.intake.decisions.emergencies import Emergencies, compile_emergencies
from services.intake.handlers.loops import intake_of
from services.intake.handlers.receipts import on_case_changed
from shared.events import CategoryRow, Data, DutyRow, OfficeRow, Order, Topic, WordRow
from shared.hearing import Batch
from shared.postgres import Transaction, transaction
from shared.service import Process
from tests.intake.samples import case_event, petition

DATA = Path(__file__).parents[2] / "services/router/data"
Row = TypeVar("Row", bound=Data)
CLASSIFIED: Final = "casegrid.case.classified.v1"
HANDED_OVER: Final = "casegrid.case.handed_over.v1"


def rows(file: str, model: type[Row]) -> list[Row]:
    with (DATA / file).open(encoding="utf-8", newline="") as lines:
        return [
            model.model_validate({key: cell for key, cell in row.items() if cell})
            for row in csv.DictReader(lines)
        ]


@cache
def shipped() -> Emergencies:
    return compile_emergencies(
        rows("vocabulary.csv", WordRow),
        rows("categories.csv", CategoryRow),
        rows("offices.csv", OfficeRow),
        rows("duties.csv", DutyRow),
    )


def numbers(text: str, category: str | None = None, subject: str | None = None) -> set[str]:
    return {call.number for call in shipped().numbers(category, subject, text)}


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("三楼着火了，快来人", {"119"}),
        ("有人持刀在楼下", {"110"}),
        ("老人倒地不起", {"120"}),
        ("路口发生车祸，撞人了", {"122"}),
        ("楼道里闻到燃气", {"119"}),
        ("邻居家暴", {"110", "12338"}),
        ("路灯坏了三天", set()),
    ],
)
def test_strong_words_name_the_number(text: str, called: set[str]) -> None:
    assert numbers(text) == called
    assert numbers("请看标题", subject=text) == called


@pytest.mark.parametrize("text", ["如果着火怎么逃生", "万一起火谁负责", "手机号被绑定了"])
def test_a_word_inside_what_is_only_feared_names_none(text: str) -> None:
    assert numbers(text) == set()


def test_the_category_that_was_given_names_it_whatever_is_said() -> None:
    assert numbers("请尽快", category="X119") == {"119"}
    assert numbers("请尽快", category="E0403") == {"119"}
    assert numbers("请尽快", category="E0102") == set()
    assert numbers("举报受贿", category="R02") == set(), "a legal route is no call for help"


def test_every_emergency_of_the_shipped_rules_has_a_number() -> None:
    at_once = {
        row.code
        for row in rows("categories.csv", CategoryRow)
        if row.track == "handoff" and row.urgency == "U1"
    }
    assert at_once
    assert {code for code in at_once if shipped().calls.get(code)} == at_once


async def test_the_answer_to_the_submitter_says_it_at_once_and_again(
    client: httpx.AsyncClient, database: Transaction, with_policy: Process
) -> None:
    policy = intake_of(with_policy).shelf.policy
    assert policy is not None
    object.__setattr__(policy, "emergencies", shipped())  # the words of the shipped rules
    body = petition(text="三楼着火了，快来人")
    key = {"idempotency-key": "fire-1"}
    first = await client.post("/petitions", json=body, headers=key)
    assert first.status_code == 202, first.text
    told = first.json()
    assert [call["number"] for call in told["call"]] == ["119"]
    assert "119" in told["urgent"]["zh"]
    assert "119" in told["urgent"]["en"]
    again = await client.post("/petitions", json=body, headers=key)
    assert again.json() == told
    shown = await client.get(told["links"]["receipt"])
    assert (shown.json()["call"], shown.json()["urgent"]) == (told["call"], told["urgent"])
    await database.execute("update receipts set stage = 'handed_off', unit = '119'")
    assert "call" not in (await client.get(told["links"]["receipt"])).json()
    calm = await client.post("/petitions", json=petition(text="路灯坏了三天"))
    assert "call" not in calm.json()


@pytest.mark.parametrize(
    ("step", "told"),
    [
        pytest.param({"stage": "registered", "category": None}, True, id="a dispatcher looks"),
        pytest.param({"stage": "assigned", "category": "P0202"}, True, id="nobody decided"),
        pytest.param({"type_": CLASSIFIED, "category": "X119"}, True, id="a person says it is"),
        pytest.param({"type_": CLASSIFIED, "category": "E0102"}, False, id="a person says no"),
        pytest.param({"type_": CLASSIFIED, "category": "E0102", "stage": "registered"}, False,
                     id="no, though nobody has it yet"),
        pytest.param({"type_": HANDED_OVER, "stage": "handed_off"}, False, id="handed over"),
        pytest.param({"type_": HANDED_OVER, "category": "E0403"}, False, id="and followed up"),
    ],
)  # fmt: skip
async def test_the_receipt_says_it_until_it_is_handed_over_or_a_person_says_that_it_is_none(
    client: httpx.AsyncClient, with_policy: Process, step: dict[str, Any], told: bool
) -> None:
    policy = intake_of(with_policy).shelf.policy
    assert policy is not None
    object.__setattr__(policy, "emergencies", shipped())
    sent = (await client.post("/petitions", json=petition(text="三楼着火了，快来人"))).json()
    case = UUID(sent["id"])
    for n, event in enumerate((step, {"type_": "casegrid.case.supplemented.v1"}), start=1):
        fields = {"stage": "assigned", "category": "P0202"} | step | event
        batch = Batch(Topic.ROUTER, [case_event(case, Order(1, n), **fields)])
        async with transaction(with_policy.pool) as tx:
            await on_case_changed(batch, tx, with_policy.clock.now(), with_policy.clock)
        shown = (await client.get(sent["links"]["receipt"])).json()
        assert ("call" in shown) is told
        assert not told or [call["number"] for call in shown["call"]] == ["119"]


async def test_without_a_policy_a_petition_is_taken_all_the_same(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/petitions", json=petition(text="三楼着火了，快来人"))
    assert answer.status_code == 202
    assert "call" not in answer.json()
