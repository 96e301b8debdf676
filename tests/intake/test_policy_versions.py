"""Policy versions over Kafka: whole or not at all, the newest in force, old ones kept."""

from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from services.intake.decisions.additions import Reopening
from services.intake.handlers.loops import intake_of, look_for_policy, open_intake
from services.intake.handlers.policy import on_policy
from shared.events import Order, PolicyPartKind
from shared.hearing import Batch
from shared.postgres import Transaction, transaction
from shared.service import Process
from tests.intake.samples import POLICY, case_event, petition, policy_batch
from tests.intake.steps import hand_in, hear_policy, read_all, receipt
from tests.intake.steps import hear as hear_case

NEW_WORD = {"word": "鸣笛", "means": "E0301", "weight": 2.0}
NEW_CATEGORY = dict(POLICY["categories"][0]) | {"code": "E0301"}
LATER: dict[PolicyPartKind, list[dict[str, object]]] = {
    **{kind: list(rows) for kind, rows in POLICY.items()},
    "vocabulary": [*POLICY["vocabulary"], NEW_WORD],
    "categories": [*POLICY["categories"], NEW_CATEGORY],
}


def version_in_force(process: Process) -> int | None:
    """What petitions are read by."""
    policy = intake_of(process).shelf.policy
    return None if policy is None else policy.version


async def hear(process: Process, batch: Batch) -> None:
    """A batch comes on policy.events."""
    async with transaction(process.pool) as tx:
        await on_policy(batch, tx, process.clock.now())
    await look_for_policy(process)


async def test_a_new_version_reads_what_comes_after_it(
    client: httpx.AsyncClient, process: Process, database: Transaction
) -> None:
    await hear_policy(process, 1)
    await hand_in(client, text="半夜鸣笛")
    await read_all(process)
    await hear_policy(process, 2, tables=LATER)
    assert version_in_force(process) == 2
    await hand_in(client, text="半夜鸣笛")
    await read_all(process)
    rows = await database.fetch(
        "select policy, doc->>'category' as category from readings order by petition_id"
    )
    assert [tuple(row) for row in rows] == [(1, None), (2, "E0301")]
    assert await database.fetchval("select count(*) from policy_versions") == 2


async def test_codes_are_checked_against_the_version_in_force(
    client: httpx.AsyncClient, process: Process
) -> None:
    await hear_policy(process, 1)
    refused = await client.post("/petitions", json=petition(category="E0301"))
    assert refused.status_code == 422
    await hear_policy(process, 2, tables=LATER)
    await hand_in(client, category="E0301")


def with_window(hours: int) -> dict[PolicyPartKind, list[dict[str, object]]]:
    """A policy under which a case may be rated so long after it was closed."""
    reopen = {"within": f"{hours}h", "reasons": ["slow"]}
    said: dict[str, object] = {"name": "escalation", "value": {"reopen": reopen}}
    return {**LATER, "settings": [*POLICY["settings"], said]}


async def test_a_case_is_rated_by_the_version_under_which_it_lives(
    client: httpx.AsyncClient, process: Process
) -> None:
    await hear_policy(process, 1, tables=with_window(24))
    told = await hand_in(client)
    closed = case_event(UUID(told["id"]), Order(1, 1), stage="closed", closed=0)
    await hear_case(process, closed)
    first = (await receipt(client, told))["rating"]
    await hear_policy(process, 2, tables=with_window(1))
    assert (await receipt(client, told))["rating"] == first
    assert first["until"] == "2026-04-13T01:00:00+00:00"
    shelf = intake_of(process).shelf
    async with transaction(process.pool) as tx:
        assert await shelf.reopening(tx, None) == Reopening(timedelta(hours=1), ("slow",))
        # What has come only in part, or never, says nothing: until then the newest does.
        await on_policy(policy_batch(3, with_window(5), without=1), tx, process.clock.now())
        assert await shelf.reopening(tx, 3) == Reopening(timedelta(hours=1), ("slow",))


async def test_parts_may_come_in_several_batches(process: Process) -> None:
    whole = policy_batch(1)
    for n in range(0, len(whole.events), 3):
        assert version_in_force(process) is None
        await hear(process, Batch(whole.topic, whole.events[n : n + 3]))
    assert version_in_force(process) == 1


BROKEN = dict(POLICY) | {"vocabulary": [{"word": "x", "means": "nothing we know", "weight": 1.0}]}
MISSHAPEN = dict(POLICY) | {"divisions": [{"code": "990101"}]}


@pytest.mark.parametrize(
    ("batch", "why"),
    [
        pytest.param(policy_batch(2, without=1), "18 of 19 parts", id="a part is missing"),
        pytest.param(policy_batch(2, sha256="0" * 64), "another sha256", id="another hash"),
        pytest.param(policy_batch(2, BROKEN), "cannot be compiled", id="a word means nothing"),
        pytest.param(policy_batch(2, MISSHAPEN), "cannot be compiled", id="a row lacks its name"),
    ],
)
async def test_a_version_that_is_not_whole_is_parked_and_the_old_one_stays(
    process: Process, database: Transaction, batch: Batch, why: str
) -> None:
    await hear_policy(process, 1)
    await hear(process, batch)
    assert version_in_force(process) == 1
    parked = await database.fetch("select reason from parked")
    assert [why in row["reason"] for row in parked] == [True]
    assert await database.fetchval("select max(version) from policy_versions") == 1


async def test_hearing_a_version_again_changes_nothing(
    process: Process, database: Transaction
) -> None:
    await hear_policy(process, 1)
    before = intake_of(process).shelf.policy
    await hear_policy(process, 1)
    assert intake_of(process).shelf.policy is before
    assert await database.fetchval("select count(*) from policy_versions") == 1


async def test_a_process_starts_with_the_newest_version_of_its_database(process: Process) -> None:
    await hear_policy(process, 1)
    await hear_policy(process, 3, tables=LATER)
    await hear_policy(process, 2)
    started = await open_intake(process)
    assert started.shelf.policy is not None
    assert started.shelf.policy.version == 3
    assert version_in_force(process) == 3
