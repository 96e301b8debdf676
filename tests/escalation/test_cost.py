"""What work costs in statements, and that none of it looks at the cases that are closed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from asyncpg.connection import LoggedQuery

from services.escalation.decisions import Desk, Digest
from services.escalation.handlers import (
    acknowledge,
    forget_once,
    handle,
    raise_once,
    say_again_once,
    show_figures,
    show_forecast,
    sweep_once,
)
from services.escalation.store import armed, forecast, notices, orders
from services.escalation.store.forecast import BEGINNING, Reader
from services.escalation.store.notices import Acknowledged, Posted, Pushed
from shared.clock import Clock, wall
from shared.hearing import Heard
from shared.postgres import Transaction
from tests.escalation.stories import (
    CASE,
    GRID,
    HOUR,
    at,
    batch,
    case,
    clock,
    heard,
    relayed,
    sign_clock,
    tier_clock,
)
from tests.statements import spoken

CLOSED = 20_000


def beginnings(said: Sequence[LoggedQuery]) -> list[str]:
    """The first word of each statement and its table."""
    found = []
    for one in said:
        words = one.query.replace(",", " ").split()
        before = {"select": "from", "insert": "into", "delete": "from", "update": "update"}
        found.append(f"{words[0]} {words[words.index(before[words[0]]) + 1]}")
    return found


def first(ids: Sequence[UUID]) -> list[Heard]:
    return [heard(1, case(tier_clock(), clock(due=5 * HOUR), sign_clock()), one) for one in ids]


def second(ids: Sequence[UUID]) -> list[Heard]:
    return [heard(2, case(tier_clock(2, 9 * HOUR)), one) for one in ids]


@pytest.mark.parametrize("n", [1, 200])
async def test_statements_do_not_grow_with_the_batch_or_the_page(tx: Transaction, n: int) -> None:
    warm, ids = [UUID(int=9_999)], [UUID(int=i) for i in range(1, n + 1)]
    # With its first statements the driver asks for types too.
    await handle(batch(*first(warm)), tx, at(0))
    await sweep_once(tx, at(6 * HOUR))
    await handle(batch(*second(warm)), tx, at(6 * HOUR))

    async with spoken(tx) as said:
        await handle(batch(*first(ids)), tx, at(0))
    assert beginnings(said) == ["insert armed", "insert tally_deltas"]

    async with spoken(tx) as said:
        assert await sweep_once(tx, at(6 * HOUR)) == n
    assert beginnings(said) == [
        "select armed",
        "update armed",
        "select epochs",
        "insert orders",
        "insert said",
        "insert notices",
        "insert tally_deltas",
        "insert outbox",
    ]
    assert await tx.fetchval("select count(*) from orders") == 2 * n

    async with spoken(tx) as said:
        await handle(batch(*second(ids)), tx, at(6 * HOUR))
    assert beginnings(said) == [
        "select armed",
        "update armed",
        "insert tally_deltas",
        "delete orders",
    ]
    assert await tx.fetchval("select count(*) from orders") == 0


async def test_orders_said_again_cost_the_same_whatever_their_number(tx: Transaction) -> None:
    for seq, ids in enumerate(([UUID(int=1)], [UUID(int=i) for i in range(2, 202)])):
        await handle(batch(*(heard(1, case(tier_clock()), one) for one in ids)), tx, at(0))
        await sweep_once(tx, at(6 * HOUR))
        await relayed(tx)
        later = wall() + timedelta(minutes=2 + 60 * seq)
        async with spoken(tx) as said:
            again = await say_again_once(tx, later, Clock().name)
        assert again.said >= len(ids)
    assert beginnings(said) == [
        "select orders",
        "select outbox",
        "select epochs",
        "update orders",
        "update armed",
        "insert outbox",
    ]


@pytest.mark.parametrize("n", [1, 150])
async def test_what_is_raised_and_pushed_costs_the_same_whatever_its_number(
    tx: Transaction, n: int
) -> None:
    desks = [Desk(f"{GRID[:12]}{i % 900 + 100}", "grid_head") for i in range(n + 1)]
    digests = [Digest(desk, "sign", "reminder", 1, at(0), (CASE,)) for desk in desks]
    warm, *posted = [Posted(UUID(int=i), one, at(0)) for i, one in enumerate(digests, 1)]
    # With its first statements the driver asks for types too.
    await notices.insert(tx, [warm])
    assert (await raise_once(tx, at(24 * HOUR))).taken == 1
    await notices.insert(tx, posted)
    async with spoken(tx) as said:
        assert (await raise_once(tx, at(30 * HOUR))).taken == n
    assert beginnings(said) == [
        "select notices",
        "select armed",
        "update notices",
        "select epochs",
        "insert said",
        "insert notices",
        "insert tally_deltas",
        "insert outbox",
    ]
    async with spoken(tx) as said:
        page = await notices.take_to_push(tx, wall() + timedelta(1), timedelta(minutes=1), n)
        await notices.save_pushed(tx, [Pushed(one.posted.id, wall(), None) for one in page])
    assert len(page) == n
    assert beginnings(said) == ["update notices", "update notices"]


OF_OPEN_CASES = {
    "armed_next", "armed_due", "notices_waiting", "notices_rising", "notices_unheeded",
    "notices_to_push", "notices_not_pushed",
}  # fmt: skip
"""Indexes that hold no closed case and no notice that somebody took note of."""


def scanned(plan: dict[str, Any]) -> set[str]:
    """The tables that a plan reads from one end to the other, by themselves or by an index."""
    whole = plan["Node Type"].endswith("Scan") and "Index Cond" not in plan
    found = set()
    if whole and plan.get("Index Name") not in OF_OPEN_CASES:
        found = {plan.get("Relation Name", plan["Node Type"])}
    return found.union(*map(scanned, plan.get("Plans", ())))


async def many_closed(tx: Transaction) -> None:
    """Closed cases, and notices that somebody took note of."""
    await tx.execute(
        """
        insert into armed (case_id, epoch, seq, changed_at, started_at, holder, open, clocks)
        select gen_random_uuid(), 1, 9, now(), now(), $1, false, '[]' from generate_series(1, $2)
        """,
        GRID,
        CLOSED,
    )
    await tx.execute(
        """
        insert into notices (id, division, role, clock, reason, count, oldest_due_at, cases,
                             posted_at, acknowledged_at, acknowledged_role, acknowledged_by)
        select gen_random_uuid(), $1, 'grid_head', 'sign', 'reminder', 1, now(), '{}',
               now() - n * interval '1 s', now(), 'grid_head', 'x' from generate_series(1, $2) n
        """,
        GRID,
        CLOSED,
    )
    await tx.execute("insert into said select 'a/' || n, 1 from generate_series(1, $1) n", CLOSED)
    await tx.execute("analyze")


async def all_work(tx: Transaction) -> None:
    """Everything that escalation does by itself, and is asked."""
    await handle(batch(*first([CASE])), tx, at(0))
    await show_forecast(tx, at(0))
    for office in (None, "lighting"):
        reader = Reader(GRID, "city", office)
        await forecast.page(tx, at(6 * HOUR), reader, BEGINNING, 10)
        await forecast.counts(tx, [at(6 * HOUR)], reader)
    assert await sweep_once(tx, at(6 * HOUR)) == 1
    await armed.earliest(tx)
    await relayed(tx)
    await say_again_once(tx, wall() + timedelta(minutes=2), Clock().name)
    assert (await raise_once(tx, at(31 * HOUR))).digests
    page = await notices.take_to_push(tx, wall() + timedelta(1), timedelta(minutes=1), 20)
    assert page
    await notices.save_pushed(tx, [Pushed(one.posted.id, wall(), None) for one in page[1:]])
    await notices.to_push(tx)
    await notices.not_pushed(tx)
    await show_figures(tx, at(6 * HOUR))
    await armed.find(tx, CASE)
    await orders.still_open(tx, [CASE])
    await notices.unacknowledged(tx, GRID, None, None)
    await notices.unacknowledged(tx, GRID, None, "lighting")
    for everything in (False, True):
        await notices.newest(tx, GRID, None, "lighting", None, 10, everything=everything)
        (newest, *_) = await notices.newest(tx, GRID, None, None, None, 10, everything=everything)
    assert isinstance(newest.digest, Digest)
    taken = await notices.take(tx, newest.id)
    assert taken is not None
    await acknowledge(tx, taken, Acknowledged(at(7 * HOUR), "grid_head", "officer"))
    await handle(batch(*second([CASE])), tx, at(6 * HOUR))
    await handle(batch(heard(9, case(stage="closed"))), tx, at(7 * HOUR))
    assert await forget_once(tx, at(0)) == 0


async def test_no_statement_walks_through_the_closed_cases(tx: Transaction) -> None:
    await many_closed(tx)
    async with spoken(tx) as said:
        await all_work(tx)
    plans = {
        one.query: orjson.loads(await tx.fetchval(f"explain (format json) {one.query}", *one.args))
        for one in said
        if one.query.split()[0] in ("select", "insert", "update", "delete")
    }
    assert len(plans) >= 17
    walked = {query: scanned(plan[0]["Plan"]) for query, plan in plans.items()}
    large = {"armed", "notices", "said"}
    assert {query: tables & large for query, tables in walked.items() if tables & large} == {}


DUE_LATER, ELSEWHERE, HERE = 20_000, 2_000, 10


async def many_open(tx: Transaction) -> None:
    """Open cases: most are due in a month, some soon in another district, and a few soon here."""
    await tx.execute(
        """
        insert into armed (case_id, epoch, seq, changed_at, started_at, tier, holder, open, clocks,
                           promotes_at)
        select gen_random_uuid(), 1, 1, $1, $1, 'grid', case when n <= $4 then $2 else $3 end, true,
               '[]', $1::timestamptz + n * interval '1 ms'
               + case when n <= $5 then interval '0' else interval '30 d' end
        from generate_series(1, $6::int) n
        """,
        at(0),
        GRID,
        "210202001001001",
        HERE,
        HERE + ELSEWHERE,
        HERE + ELSEWHERE + DUE_LATER,
    )
    await tx.execute("vacuum analyze armed")


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan and all that it is made of."""
    return [plan, *(node for part in plan.get("Plans", ()) for node in nodes(part))]


async def test_a_forecast_reads_what_is_due_in_time_and_held_here(tx: Transaction) -> None:
    await many_open(tx)
    reader, soon = Reader(GRID, GRID), at(HOUR)
    async with spoken(tx) as said:
        entries, _ = await forecast.page(tx, soon, reader, BEGINNING, 50)
        counts = await forecast.counts(tx, [soon], reader)
        await show_forecast(tx, at(0))
    assert (len(entries), [one.cases for one in counts]) == (HERE, [HERE])
    read = []
    # With its first statements the driver asks for types too.
    for one in [one for one in said if "from armed" in one.query]:
        plan = await tx.fetchval(f"explain (analyze, format json) {one.query}", *one.args)
        (scan,) = [
            node
            for node in nodes(orjson.loads(plan)[0]["Plan"])
            if node.get("Relation Name") == "armed"
        ]
        assert (scan["Index Name"], scan.get("Rows Removed by Filter")) == ("armed_due", None)
        assert "due_at" in scan["Index Cond"]
        assert "holder" in scan["Index Cond"]
        read.append(scan["Actual Rows"])
    assert read == [HERE, HERE, HERE + ELSEWHERE]
