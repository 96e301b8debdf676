"""What a petition costs in statements and bytes; timings are for the benchmark."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from asyncpg.connection import LoggedQuery
from uuid_utils.compat import uuid7

from services.intake.decisions.additions import Rating, Reopening
from services.intake.decisions.petitions import Accusations, Submission
from services.intake.handlers import census, reading
from services.intake.handlers.additions import Kept, rate, supplement, urge
from services.intake.handlers.loops import intake_of, voice_of
from services.intake.handlers.petitions import Accepted, take_in
from services.intake.handlers.receipts import on_case_changed
from services.intake.store import receipts
from shared.events import Order, Topic
from shared.hearing import Batch
from shared.postgres import Transaction
from shared.service import Process
from tests.intake.samples import case_event
from tests.intake.steps import read_all
from tests.intake.test_group_commit import more, one
from tests.statements import spoken

CLOSED = 20_000
TALKATIVE = "清泉花园的垃圾、垃圾，东山区柳林街道，受贿，索贿，爆炸。" * 20


def beginnings(said: Sequence[LoggedQuery]) -> list[str]:
    """The first word of each statement."""
    return [query.query.split()[0].upper().rstrip(";") for query in said]


@pytest.mark.parametrize("n", [1, 200])
async def test_statements_do_not_grow_with_the_group(
    with_policy: Process, database: Transaction, n: int
) -> None:
    policy = intake_of(with_policy).shelf.policy
    assert policy is not None

    async def take_in_and_read(petitions: int) -> int:
        async with database.transaction():
            await take_in(database, [one("清泉花园的垃圾") for _ in range(petitions)])
            now, voice = with_policy.clock.now(), voice_of(with_policy)
            return sum(await reading.read_once(database, now, policy, voice))

    # The driver asks about types with its first statements.
    assert await take_in_and_read(1) == 1
    async with spoken(database) as said:
        assert await take_in_and_read(n) == n
    assert beginnings(said) == [
        "BEGIN",
        "WITH",  # petitions, vault, unread, receipts
        "WITH",  # the page
        "SAVEPOINT",
        "SELECT",  # what was added meanwhile
        "WITH",  # readings, receipts, out of the queue
        "INSERT",  # the outbox
        "RELEASE",
        "COMMIT",
    ]


@pytest.mark.parametrize(
    ("text", "most"),
    [
        pytest.param("清泉花园的垃圾", 850, id="as most are"),
        pytest.param(TALKATIVE, 1_050, id="every word of the policy, many times"),
    ],
)
async def test_a_petition_is_one_small_event(
    with_policy: Process, database: Transaction, text: str, most: int
) -> None:
    async with database.transaction():
        await take_in(database, [one(text) for _ in range(20)])
    await read_all(with_policy)
    row = await database.fetchrow(
        "select count(*) as n, sum(length(headers) + length(value)) as bytes from outbox"
    )
    assert row is not None
    assert row["n"] == 20
    assert row["bytes"] / 20 < most


@pytest.mark.parametrize("n", [1, 200])
async def test_receipts_cost_one_statement_whatever_the_batch(
    process: Process, database: Transaction, n: int
) -> None:
    taken: list[Submission] = [one() for _ in range(n + 1)]
    await take_in(database, taken)

    async def hear(submissions: Sequence[Submission]) -> None:
        events = [
            case_event(given.petition.id, Order(1, seq))
            for given in submissions
            for seq in (1, 2, 3)
        ]
        now = process.clock.now()
        await on_case_changed(Batch(Topic.ROUTER, events), database, now, process.clock)

    await hear(taken[:1])
    async with spoken(database) as said:
        await hear(taken[1:])
    assert beginnings(said) == ["UPDATE"]
    assert await database.fetchval("select count(*) from receipts where seq = 3") == n + 1


@pytest.mark.parametrize("n", [1, 200])
async def test_corrections_cost_two_statements_more_whatever_the_batch(
    process: Process, database: Transaction, n: int
) -> None:
    taken: list[Submission] = [one() for _ in range(n)]
    await take_in(database, taken)
    events = [
        case_event(given.petition.id, Order(1, 2), type_="casegrid.case.classified.v1")
        for given in taken
    ]
    async with spoken(database) as said:
        now = process.clock.now()
        await on_case_changed(Batch(Topic.ROUTER, events), database, now, process.clock)
    assert beginnings(said)[-3:] == ["UPDATE", "INSERT", "INSERT"]
    assert await database.fetchval("select count(*) from shut_out") == 0
    assert await database.fetchval("select count(*) from labels") == n


# ---------------------------------------------------------------- what is over costs nothing


def scanned(plan: dict[str, Any]) -> set[str]:
    """The tables that a plan reads from one end to the other, by themselves or by an index."""
    whole = plan["Node Type"].endswith("Scan") and "Index Cond" not in plan
    found = {plan.get("Relation Name", plan["Node Type"])} if whole else set()
    return found.union(*map(scanned, plan.get("Plans", ())))


async def many_closed(database: Transaction) -> None:
    """Petitions whose cases are closed, with all that was kept of them."""
    await database.execute(
        """
        with old as (
            insert into petitions (id, number, query_code, kind, channel, text, accused_unknown,
                                   received_at, contact, idempotency_key)
            select gen_random_uuid(), 'old-' || n, 'x', 'help', 'web', 'x', false, now(), false, n
            from generate_series(1, $1) n returning id
        ), followed as (
            insert into receipts (petition_id, said_seq, stage, epoch, seq)
            select id, 1, 'closed', 1, 9 from old
        ), added as (
            insert into supplements (id, petition_id, text, received_at, said, urges)
            select gen_random_uuid(), id, 'x', now(), true, n = 1
            from old cross join generate_series(0, 1) n
        ), rated as (
            insert into ratings (id, petition_id, ending, seq, solved, satisfied, received_at)
            select gen_random_uuid(), id, 0, 2, true, true, now() from old
        )
        insert into readings (petition_id, n, policy, state, doc, read_at)
        select id, 1, 1, 'read', '{}', now() from old
        """,
        CLOSED,
    )
    await database.execute("analyze")


async def test_no_statement_walks_through_what_is_over(
    with_policy: Process, database: Transaction
) -> None:
    await many_closed(database)
    policy = intake_of(with_policy).shelf.policy
    assert policy is not None
    now, voice = with_policy.clock.now(), voice_of(with_policy)
    keyed = one()
    keyed = keyed._replace(
        petition=keyed.petition._replace(idempotency_key="key", body_hash=b"hash")
    )
    async with spoken(database) as said:
        await take_in(database, [keyed])
        (again,) = await take_in(database, [one()._replace(petition=keyed.petition)])
        assert isinstance(again, Accepted)
        await supplement(database, again.stored.id, more(), voice)
        await reading.read_once(database, now, policy, voice)
        await supplement(database, again.stored.id, more("key"), voice)
        await supplement(database, again.stored.id, more("key"), voice)
        urging = more("again")._replace(urges=True)
        assert isinstance(await urge(database, again.stored.id, urging, voice), Kept)
        events = [case_event(again.stored.id, Order(1, 1))]
        events += [case_event(again.stored.id, Order(1, 2), type_="casegrid.case.classified.v1")]
        events += [case_event(again.stored.id, Order(1, 3), stage="resolved")]
        await on_case_changed(Batch(Topic.ROUTER, events), database, now, with_policy.clock)
        rating = Rating(uuid7(), True, True, None, None, now, None, None, None)
        rated = await rate(database, again.stored.id, rating, Reopening(), voice)
        assert isinstance(rated, Kept)
        await census.say_again(database, {again.stored.id: 1}, voice, Accusations(), now)
        assert await receipts.by_number(database, again.stored.number)
    plans = {
        query.query: orjson.loads(
            await database.fetchval(f"explain (format json) {query.query}", *query.args)
        )
        for query in said
        if query.query.split()[0] in ("select", "insert", "update", "with")
    }
    assert len(plans) >= 8
    large = {"petitions", "receipts", "supplements", "ratings", "readings"}
    walked = {query: scanned(plan[0]["Plan"]) & large for query, plan in plans.items()}
    assert {query: tables for query, tables in walked.items() if tables} == {}
