"""Receipts: how far a petition got, told to whoever knows its code, and what may be added."""

from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import httpx
import pytest
from prometheus_client import REGISTRY

from services.intake.handlers.receipts import on_case_changed
from shared.clock import Clock
from shared.events import ClockSnapshot, Order, Topic
from shared.hearing import Batch
from shared.postgres import Transaction, transaction
from shared.service import Process
from tests.intake.samples import GRID, NAMES, STREET, case_event
from tests.intake.steps import hand_in, hear, problem, read_all, receipt

OPENED_AT = datetime(2026, 4, 12, 1, 0, 1, tzinfo=UTC)
APPENDED_AT = datetime(2026, 4, 12, 1, 0, 0, 500_000, tzinfo=UTC)

promoted = partial(case_event, type_="casegrid.case.promoted.v1")


def times(shown: dict[str, object]) -> dict[str, str | None]:
    """When each step was."""
    steps = shown["steps"]
    assert isinstance(steps, list)
    assert all(step["zh"] and step["en"] for step in steps)
    return {step["step"]: step["at"] for step in steps}


async def test_a_receipt_follows_the_petition_to_its_unit(
    client: httpx.AsyncClient, with_policy: Process
) -> None:
    told = await hand_in(client)
    shown = await receipt(client, told)
    assert [step for step, at in times(shown).items() if at] == ["stored"]
    assert shown["where"] is None
    await read_all(with_policy)
    shown = await receipt(client, told)
    assert [step for step, at in times(shown).items() if at] == ["stored", "read"]
    opened = case_event(UUID(told["id"]), Order(1, 1), at=OPENED_AT, appended_at=APPENDED_AT)
    await hear(with_policy, opened)
    shown = await receipt(client, told)
    assert times(shown)["published"] == "2026-04-12T01:00:00.500000+00:00"
    assert times(shown)["routed"] == "2026-04-12T01:00:01+00:00"
    assert shown["where"] == {
        "unit": "清泉一网格",
        "stage": "assigned",
        "stage_words": {"zh": "已派单", "en": "assigned"},
        "next_deadline": "2026-04-12T02:00:00+00:00",
    }
    status = shown["status"]
    assert isinstance(status, dict)
    assert "清泉一网格" in status["zh"]
    assert "2026-04-12 10:00" in status["zh"]
    assert "assigned" in status["en"]


async def test_a_receipt_says_what_comes_next_and_what_stands_in_its_way(
    client: httpx.AsyncClient, process: Process
) -> None:
    told = await hand_in(client)
    assert (await receipt(client, told))["next"] is None
    petition_id, hour = UUID(told["id"]), 3_600_000
    sign = ClockSnapshot(name="sign", generation=1, due=hour, on_breach="remind")
    await hear(process, case_event(petition_id, Order(1, 1), clocks=[sign]))
    shown = await receipt(client, told)
    assert shown["next"] == {
        "step": "sign",
        "zh": "承办单位签收",
        "en": "the office that has it signs for it",
        "by": "2026-04-12T02:00:00+00:00",
        "late": True,
        "if_missed": {
            "does": "remind",
            "zh": "逾期将提醒责任单位及其上一级",
            "en": "if not, whoever owes it and the level above are reminded",
        },
    }
    assert not {"paused", "more_time", "not_accepted", "called_back"} & shown.keys()
    pause = ClockSnapshot(name="pause", generation=1, due=9 * hour, on_breach="supervise")
    final = ClockSnapshot(
        name="final_reply", generation=3, due=200 * hour, on_breach="supervise", paused=True
    )
    stands = case_event(
        petition_id, Order(1, 2), clocks=[pause, final], paused="force_majeure", extended=True
    )
    await hear(process, stands)
    shown = await receipt(client, told)
    assert (shown["paused"]["zh"], shown["paused"]["until"]) == (
        "遇不可抗力",
        "2026-04-12T10:00:00+00:00",
    )
    assert shown["more_time"]["until"] == "2026-04-20T09:00:00+00:00"
    refused = case_event(
        petition_id, Order(1, 3), stage="closed", not_accepted="legal_route", closed=9 * hour
    )
    await hear(process, refused)
    shown = await receipt(client, told)
    assert shown["next"] is None
    assert not {"paused", "more_time"} & shown.keys()
    assert shown["not_accepted"]["reason"] == "legal_route"
    assert "仲裁" in shown["not_accepted"]["door"]["zh"]


async def test_of_a_batch_the_newest_snapshot_is_kept_and_the_first_times(
    client: httpx.AsyncClient, process: Process
) -> None:
    told = await hand_in(client)
    petition_id = UUID(told["id"])
    later = OPENED_AT + timedelta(hours=1)
    await hear(
        process,
        case_event(petition_id, Order(1, 1), at=OPENED_AT, appended_at=APPENDED_AT),
        promoted(petition_id, Order(1, 3), holder=STREET, at=later, next_deadline=None),
        promoted(petition_id, Order(1, 2), holder="990101001001", at=later),
    )
    shown = await receipt(client, told)
    assert isinstance(shown["where"], dict)
    assert (shown["where"]["unit"], shown["where"]["next_deadline"]) == ("柳林街道", None)
    assert times(shown)["routed"] == OPENED_AT.isoformat()
    assert times(shown)["published"] is not None


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        pytest.param(Order(1, 4), GRID, id="older seq"),
        pytest.param(Order(1, 5), GRID, id="the same again"),
        pytest.param(Order(1, 6), STREET, id="newer seq"),
        pytest.param(Order(2, 1), STREET, id="newer epoch"),
    ],
)
async def test_only_a_newer_snapshot_changes_a_receipt(
    client: httpx.AsyncClient, process: Process, second: Order, kept: str
) -> None:
    told = await hand_in(client)
    await hear(process, case_event(UUID(told["id"]), Order(1, 5), at=OPENED_AT))
    later = OPENED_AT + timedelta(hours=1)
    await hear(process, promoted(UUID(told["id"]), second, holder=STREET, at=later))
    shown = await receipt(client, told)
    assert isinstance(shown["where"], dict)
    assert shown["where"]["unit"] == NAMES[kept]
    assert times(shown)["routed"] == OPENED_AT.isoformat()


async def test_the_brokers_time_is_told_as_promise_time(
    client: httpx.AsyncClient, process: Process
) -> None:
    told = await hand_in(client)
    fast = Clock(720, base=datetime(2026, 4, 12, tzinfo=UTC), base_utc=APPENDED_AT)
    at = APPENDED_AT + timedelta(seconds=5)
    await hear(process, case_event(UUID(told["id"]), Order(1, 1), appended_at=at), clock=fast)
    shown = await receipt(client, told)
    assert times(shown)["published"] == "2026-04-12T01:00:00+00:00"


async def test_a_case_of_no_petition_here_changes_nothing_and_no_uuid_is_parked(
    process: Process, database: Transaction
) -> None:
    stranger = case_event(UUID(int=5), Order(1, 1))
    odd = stranger._replace(record=stranger.record._replace(offset=9))
    envelope = odd.envelope.__class__(
        **{
            name: getattr(odd.envelope, name)
            for name in odd.envelope.__dataclass_fields__
            if name != "subject"
        },
        subject="case 5",
    )
    await hear(process, stranger, odd._replace(envelope=envelope))
    assert await database.fetchval("select count(*) from receipts") == 0
    assert await database.fetchval('select "offset" from parked') == 9


async def test_a_wrong_code_and_an_unknown_number_are_answered_alike(
    client: httpx.AsyncClient,
) -> None:
    told = await hand_in(client)
    wrong = "22222222" if told["code"] != "22222222" else "33333333"
    asked = [
        await client.get(f"/petitions/{told['number']}", params={"code": wrong}),
        await client.get("/petitions/CG-20260412-9999999", params={"code": told["code"]}),
        await client.get("/petitions/CG-20260412-9999999", params={"code": "-" * 8}),
        await client.get("/petitions/a%00b", params={"code": told["code"]}),
        await client.get(f"/petitions/{told['number']}", params={"code": "密"}),
    ]
    assert [answer.status_code for answer in asked] == [404] * len(asked)
    assert len({answer.content for answer in asked}) == 1
    problem(asked[0])


async def test_a_code_may_be_typed_in_small_letters(client: httpx.AsyncClient) -> None:
    told = await hand_in(client)
    shown = await client.get(
        f"/petitions/{told['number']}", params={"code": f" {told['code'].lower()} "}
    )
    assert shown.status_code == 200


# ---------------------------------------------------------------- counted when it is kept


async def test_what_was_rolled_back_is_not_counted(
    client: httpx.AsyncClient, process: Process
) -> None:
    told = await hand_in(client)
    opened = case_event(UUID(told["id"]), Order(1, 1))
    names = ("receipts_updated_total", "accept_to_routed_seconds_count")

    def counted() -> list[float]:
        return [REGISTRY.get_sample_value(f"casegrid_intake_{name}") or 0 for name in names]

    async def undone() -> None:
        async with transaction(process.pool) as tx:
            await on_case_changed(Batch(Topic.ROUTER, [opened]), tx, OPENED_AT, process.clock)
            raise ConnectionError

    before = counted()
    with pytest.raises(ConnectionError):
        await undone()
    assert counted() == before
    await hear(process, opened)
    assert counted() == [n + 1 for n in before]


def replies() -> tuple[float, float]:
    """How many replies were counted, and their seconds together."""
    name = "casegrid_intake_reply_seconds"
    count, total = (REGISTRY.get_sample_value(f"{name}_{end}") for end in ("count", "sum"))
    assert count is not None
    assert total is not None
    return count, total


async def test_how_long_a_reply_took_is_counted_once(
    client: httpx.AsyncClient, process: Process
) -> None:
    told = await hand_in(client)
    replied = case_event(
        UUID(told["id"]),
        Order(1, 2),
        type_="casegrid.case.replied.v1",
        at=datetime(2026, 4, 12, 3, 0, tzinfo=UTC),
    )
    count, total = replies()
    for _ in range(2):
        await hear(process, replied)
    assert replies() == (count + 1, total + 2 * 3600)
