"""Whoever writes of an emergency is told at once which number to call."""

import csv
from functools import cache
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from services.intake.decisions.emergencies import Emergencies, compile_emergencies
from services.intake.handlers.loops import intake_of
from shared.events import CategoryRow, Data, DutyRow, OfficeRow, WordRow
from shared.service import Process
from tests.intake.samples import petition

DATA = Path(__file__).parents[2] / "services/router/data"
Row = TypeVar("Row", bound=Data)


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
    client: httpx.AsyncClient, with_policy: Process
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
    calm = await client.post("/petitions", json=petition(text="路灯坏了三天"))
    assert "call" not in calm.json()


async def test_without_a_policy_a_petition_is_taken_all_the_same(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/petitions", json=petition(text="三楼着火了，快来人"))
    assert answer.status_code == 202
    assert "call" not in answer.json()
