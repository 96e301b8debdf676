"""A newer version of the router works beside this one: what it wrote is carried, never lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.router.decisions.case import (
    Case,
    as_it_stood,
    but,
    case_of,
    changed_fields,
    document,
    snapshot,
)
from services.router.decisions.commands import (
    Changed,
    Command,
    Decision,
    Rate,
    Refused,
    Republish,
    Supplement,
)
from services.router.decisions.unknown import UnreadableCase
from services.router.decisions.workflow import decide
from services.router.decisions.workflow.newer import NOT_OURS
from services.router.handlers.petitions import replay
from shared.divisions import Tier
from shared.events import Order, PetitionRated
from shared.identity import service_actor
from shared.postgres import Pool, Transaction, transaction
from tests.router.events import (
    Router,
    Said,
    breach,
    cases,
    outbox,
    receipt,
    snapshot_of,
    supplement,
)
from tests.router.stories import (
    COMMUNITY,
    DISTRICT,
    FIRE,
    GRID,
    HOUR,
    LAMP,
    NOON,
    RUBBISH,
    STREET,
    climbed,
    done,
    examples,
    giver,
    opened,
    order,
    resolved,
    shipped_policy,
    sure,
    unclear,
)
from tests.router.test_api import A, B, asked, problem
from tests.router.test_api import given as commanded

PROBE = {
    "generation": 3, "owner_division": COMMUNITY, "owner_role": "prober",
    "started_at": "2024-05-20T02:00:00Z", "due_at": "2024-05-20T04:00:00Z",
    "warn_at": ["2024-05-20T03:00:00Z"], "on_breach": "supervise",
}  # fmt: skip
LIVES = {
    "opened": opened(sure(RUBBISH)),
    "at a desk": opened(unclear(STREET)),
    "an emergency": opened(sure(FIRE)),
    "an office's": opened(sure(LAMP)),
    "promoted": climbed(opened(sure(RUBBISH)), Tier.DISTRICT),
    "signed": done(opened(sure(RUBBISH)), "sign"),
    "paused": done(done(opened(sure(RUBBISH)), "sign"), "pause"),
    "more time asked": done(done(opened(sure(RUBBISH)), "sign"), "extend"),
    "with a task": done(climbed(opened(sure(RUBBISH)), Tier.STREET), "give_task"),
    "resolved": resolved(opened(sure(RUBBISH))),
}
COMMANDS = examples(NOON + HOUR)
values = st.none() | st.booleans() | st.integers(0, 9) | st.lists(st.just("x")) | st.just({"a": 1})
keys = st.sampled_from(["moon", "tide", "due_by"])
promises = st.sampled_from(["probe", "probe/1", "probe/9", "tier/2"])


@st.composite
def later_documents(draw: st.DrawFn, *, strange: bool) -> tuple[Case, dict[str, Any]]:
    """A case of this version, and its document as a newer one would write it.

    `strange`: with promises, tasks or facts that this version cannot judge, too.
    """
    case = draw(st.sampled_from(list(LIVES.values())))
    said: dict[str, Any] = orjson.loads(document(case))
    said |= draw(st.dictionaries(keys, values, min_size=1))
    single = [said[name] for name in ("pause", "extension") if name in said]
    for part in (*said["clocks"], *said.get("tasks", ()), *single):
        part |= draw(st.dictionaries(keys, values))
    if strange:
        what = draw(st.sets(st.sampled_from(["clock", "kind", "state", "fact"]), min_size=1))
        if "fact" in what:
            said["called_back"] = "sang"
        for key in sorted(what & {"kind", "state"}):
            n = len(said.setdefault("tasks", [])) + 1
            said["tasks"].append(
                {"n": n, "kind": "copy", "division": DISTRICT, "role": "district_center",
                 "by": case.desk, "asked_at": "2024-05-20T02:00:00Z", "state": "asked"}
                | {key: "flown"}
            )  # fmt: skip
            said["clocks"].append(PROBE | {"name": f"copy/{n}"})
        if "clock" in what:
            said["clocks"].append(PROBE | {"name": draw(promises)})
        for clock in said["clocks"][len(case.clocks) :]:
            said["generations"][clock["name"]] = clock["generation"]
    return case, said


steps = st.sampled_from([*COMMANDS, "order", "order of the strange", "urge", "rate", "republish"])


def step(case: Case, name: str, command_of: Case | None = None) -> Decision:
    """One command of any kind on a case, by whoever gives it as a rule."""
    now = NOON + HOUR
    system = service_actor("router")
    asked: Command
    match name:
        case "order" | "order of the strange":
            clock = case.clocks[0 if name == "order" else -1]
            asked = order(case, clock.name)
        case "urge":
            asked = Supplement(Order(1, 2), urges=True)
        case "rate":
            asked = Rate(Order(1, 2), solved=False, satisfied=False, reason="not_solved")
        case "republish":
            asked = Republish()
        case _:
            return decide(case, COMMANDS[name], giver(name, case), shipped_policy(), now)
    return decide(case, asked, system, shipped_policy(), now)


def known_part(case: Case) -> Case:
    """The case as if no newer version had had a part in it."""
    parts = {
        name: replace(part, unknown=None)
        for name in ("pause", "extension", "whistle")
        if (part := getattr(case, name)) is not None
    }
    clocks = tuple(replace(clock, unknown=None) for clock in case.clocks)
    tasks = tuple(replace(task, unknown=None) for task in case.tasks)
    return but(case, unknown=None, clocks=clocks, tasks=tasks, **parts)


@given(later_documents(strange=False), steps)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_keys_that_are_not_known_change_no_decision_and_stay(
    later: tuple[Case, dict[str, Any]], name: str
) -> None:
    plain, said = later
    case = case_of(orjson.dumps(said))
    assert orjson.loads(document(case)) == said
    expected, decision = step(plain, name), step(case, name)
    if isinstance(expected, Refused):
        assert decision == expected
        return
    assert isinstance(decision, Changed)
    after = decision.case
    assert replace(decision, case=known_part(after)) == expected
    assert case_of(document(after)) == after
    assert as_it_stood([orjson.dumps(said), changed_fields(case, after)]) == after
    assert after.unknown == case.unknown
    before = {(clock.name, clock.generation): clock.unknown for clock in case.clocks}
    for clock in after.clocks:
        assert clock.unknown == before.get((clock.name, clock.generation), clock.unknown)
    asked_before = {task.n: task.unknown for task in case.tasks}
    for task in after.tasks:
        assert task.unknown == asked_before.get(task.n)


@given(later_documents(strange=True), steps)
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_strange_is_carried_or_the_command_is_refused(
    later: tuple[Case, dict[str, Any]], name: str
) -> None:
    plain, said = later
    case = case_of(orjson.dumps(said))
    assert orjson.loads(document(case)) == said
    running = {clock.name for clock in snapshot(case, "x").clocks}
    assert running == {clock["name"] for clock in said["clocks"]}
    decision = step(case, name)
    if isinstance(decision, Refused):
        assert decision.says
        return
    after = decision.case
    written = orjson.loads(document(after))
    strange = said["clocks"][len(plain.clocks) :]
    assert [clock for clock in written["clocks"] if clock in strange] == strange
    n = len(plain.tasks)
    flown = said.get("tasks", [])[n:]
    assert written.get("tasks", [])[n : n + len(flown)] == flown
    assert [task.n for task in after.tasks] == list(range(1, len(after.tasks) + 1))
    assert (after.holder, after.stage, after.tier) == (case.holder, case.stage, case.tier)
    assert case_of(document(after)) == after
    assert as_it_stood([orjson.dumps(said), changed_fields(case, after)]) == after


def test_what_no_case_can_do_without_is_not_guessed_and_not_told() -> None:
    said = orjson.loads(document(LIVES["opened"]))
    with pytest.raises(UnreadableCase, match=r"stage$") as told:
        case_of(orjson.dumps(said | {"stage": "Li Si"}))
    assert "Li Si" not in str(told.value)
    assert told.value.__context__ is None
    with pytest.raises(UnreadableCase, match="on_breach"):
        case_of(orjson.dumps(said | {"clocks": [PROBE | {"name": "x", "on_breach": "sing"}]}))


# ---------------------------------------------------------------- over the real PostgreSQL

FLOWN = {
    "n": 1, "kind": "flown", "division": DISTRICT, "role": "district_center", "by": GRID,
    "asked_at": "2024-05-20T02:00:00Z", "state": "asked",
}  # fmt: skip
LATER: dict[str, Any] = {"moon": "full", "tasks": [FLOWN]}
RESOLVES = {"command": "resolve", "result": "已处理完毕。"}


async def rewritten(pool: Pool, case_id: UUID = A) -> dict[str, Any]:
    """The document of a case, after a newer version gave it keys, a task and a promise."""
    async with transaction(pool) as tx:
        row = await tx.fetchval("select doc from cases where case_id = $1 for update", case_id)
        said: dict[str, Any] = orjson.loads(row)
        said |= LATER
        said["clocks"][0]["tide"] = 3
        said["clocks"].append(PROBE | {"name": "probe/1"})
        said["generations"]["probe/1"] = PROBE["generation"]
        await keep(tx, case_id, said)
    return said


async def keep(tx: Transaction, case_id: UUID, said: dict[str, Any]) -> None:
    """What a newer version writes."""
    written = orjson.dumps(said).decode()
    await tx.execute("update cases set doc = $2 where case_id = $1", case_id, written)


async def said_of(pool: Pool, case_id: UUID = A) -> dict[str, Any]:
    """The document as it stands in the table."""
    async with pool.acquire() as connection:
        doc = await connection.fetchval("select doc from cases where case_id = $1", case_id)
    said: dict[str, Any] = orjson.loads(doc)
    return said


def keeps_all(said: dict[str, Any]) -> bool:
    """Whether everything that the newer version wrote is there."""
    return said.items() >= LATER.items() and PROBE | {"name": "probe/1"} in said["clocks"]


async def test_a_command_keeps_what_a_newer_version_wrote(
    client: httpx.AsyncClient, router: Router, pool: Pool
) -> None:
    await router.hear(Said(receipt(), A))
    await rewritten(pool)
    reply = {"command": "reply", "text": "两日内处理完毕。"}
    answer = await commanded(client, A, reply, roles=("street_cadre",))
    assert answer.status_code == 200, answer.text
    said = await said_of(pool)
    assert keeps_all(said)
    assert said["replied"]
    assert {clock["name"]: clock.get("tide") for clock in said["clocks"]}["sign"] == 3
    told = snapshot_of((await outbox(pool))[-1]).case
    assert "probe/1" in {clock.name for clock in told.clocks}
    shown = await asked(client, f"/cases/{A}")
    assert "probe/1" in {clock["name"] for clock in shown["clocks"]}
    assert [(one["kind"], one["state"]) for one in shown["tasks"]] == [("flown", "asked")]
    [line] = (await asked(client, f"/queues/{COMMUNITY}", COMMUNITY))["entries"]
    assert (line["clock"], line["case"]) == ("probe/1", str(A))


async def test_what_only_a_newer_version_can_judge_is_refused_and_asked_again(
    client: httpx.AsyncClient, router: Router, pool: Pool
) -> None:
    await router.hear(Said(receipt(), A))
    before = await rewritten(pool)
    answer = await commanded(client, A, {"command": "sign"})
    assert "newer version" in problem(answer, 503, "newer-version")["detail"]
    assert answer.headers["retry-after"] == "1"
    assert await said_of(pool) == before
    # The newer version has done with it: nothing was kept under the key that was refused.
    async with transaction(pool) as tx:
        clocks = [clock for clock in before["clocks"] if clock["name"] != "probe/1"]
        await keep(tx, A, before | {"clocks": clocks, "tasks": [FLOWN | {"kind": "copy"}]})
    again = await commanded(client, A, {"command": "sign"})
    assert again.status_code == 200
    assert (await said_of(pool))["moon"] == "full"


async def test_an_order_is_refused_so_that_it_is_given_again(router: Router, pool: Pool) -> None:
    await router.hear(Said(receipt(), A))
    await rewritten(pool)
    await router.order(
        Said(breach("tier", 1, Tier.GRID), A, 1),
        Said(breach("probe/1", 3, Tier.GRID, "supervise"), A, 2),
    )
    for answer, clock in zip((await outbox(pool))[-2:], ("tier", "probe/1"), strict=True):
        told = snapshot_of(answer)
        assert (told.type, told.change.rule) == (
            "casegrid.case.order_refused.v1", "order/newer_version",
        )  # fmt: skip
        [running] = [one for one in told.case.clocks if one.name == clock]
        # Escalation holds it for unanswered, and says it again.
        assert not running.answered
        assert running.generation == (1 if clock == "tier" else 3)
    assert keeps_all(await said_of(pool))
    # Whoever is to look at a promise that this version knows is told.
    await router.order(Said(breach("reply", 1, None, "supervise"), A, 3))
    assert snapshot_of((await outbox(pool))[-1]).type == "casegrid.case.supervised.v1"
    assert keeps_all(await said_of(pool))


async def test_what_the_resident_says_is_applied_or_waits_for_the_newer_version(
    client: httpx.AsyncClient, router: Router, pool: Pool
) -> None:
    await router.hear(Said(receipt(), A), Said(receipt(), B))
    for id_ in (A, B):
        answer = await commanded(client, id_, RESOLVES, key=f"key-{id_}")
        assert answer.status_code == 200, answer.text
    before = await rewritten(pool)
    await router.hear(Said(supplement(), A, 2))
    assert (await said_of(pool))["heard"] == [1, 2]
    assert keeps_all(await said_of(pool))
    rating = PetitionRated(
        type="casegrid.petition.rated.v1", received_at=NOON, solved=False, satisfied=False,
        reason="not_solved",
    )  # fmt: skip
    # It opens the case again, and what becomes of the strange promise then is not ours to say.
    await router.hear(Said(rating, A, 3), Said(rating, B, 2))
    assert (await said_of(pool))["stage"] == "resolved"
    assert (await cases(pool))[B].stage == "assigned"
    async with pool.acquire() as connection:
        reason = await connection.fetchval("select reason from blocked_cases")
    assert reason == NOT_OURS.says
    async with transaction(pool) as tx:
        clocks = [clock for clock in before["clocks"] if clock["name"] != "probe/1"]
        now = await said_of(pool)
        await keep(tx, A, now | {"clocks": clocks, "tasks": [FLOWN | {"kind": "copy"}]})
        done_, left = await replay(tx, router.petitions, A, NOON)
    assert (done_, left) == (1, [])
    assert (await said_of(pool))["stage"] == "assigned"


async def test_the_account_names_the_promises_that_it_cannot_reckon(
    client: httpx.AsyncClient, router: Router, pool: Pool
) -> None:
    await router.hear(Said(receipt(), A))
    said = await rewritten(pool)
    async with transaction(pool) as tx:
        changed = orjson.dumps({name: said[name] for name in ("clocks", "tasks", "moon")}).decode()
        await tx.execute(
            """
            insert into history (case_id, seq, epoch, version, at, event, transitions, rule, actor,
                                 role, division, caused_by, detail, changed)
            select case_id, seq + 1, epoch, version, at, 'flown', '{flown}', 'task/fly', actor,
                   role, division, 'command:x', '{}', $2
            from history where case_id = $1
            """,
            A,
            changed,
        )
    account = await asked(client, f"/cases/{A}/account")
    assert account["not_reckoned"] == ["probe/1"]
    assert {"sign", "verify", "reply", "tier"} <= {one["clock"] for one in account["promises"]}
    steps_ = (await asked(client, f"/cases/{A}/history"))["steps"]
    assert [one["event"] for one in steps_] == ["opened", "flown"]
    assert steps_[1]["changed"]["tasks"] == [FLOWN]
    as_of = (NOON + timedelta(minutes=1)).isoformat().replace("+00:00", "Z")
    past = await asked(client, f"/cases/{A}?at={as_of}")
    assert "probe/1" in {clock["name"] for clock in past["clocks"]}
