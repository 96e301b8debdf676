"""Orders wait for the router's answer, and are said again as long as none comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from prometheus_client import REGISTRY

from services.escalation.__main__ import SERVICE
from services.escalation.handlers import SAY_AGAIN, handle, say_again_once, sweep_once
from shared import outbox, telemetry
from shared.clock import Clock, wall
from shared.divisions import Tier
from shared.events import CaseSnapshot, Topic
from shared.postgres import Pool, Transaction, transaction
from shared.service import Process
from shared.settings import Settings
from tests.escalation.stories import (
    CASE,
    HOUR,
    at,
    batch,
    case,
    clock,
    heard,
    only_orders,
    orders_in,
    relayed,
    tier_clock,
)

REAL = Clock().name


async def ordered(tx: Transaction, *clocks: object) -> None:
    """A case whose clocks are past, and whose orders were given."""
    snapshot = case(*(clocks or (tier_clock(),)))  # type: ignore[arg-type]
    await handle(batch(heard(1, snapshot)), tx, at(0))
    assert await sweep_once(tx, at(24 * HOUR)) == 1


def said_again() -> float:
    """How many orders were counted as said again."""
    name = "casegrid_escalation_orders_said_again_total"
    return REGISTRY.get_sample_value(name) or 0


async def open_orders(tx: Transaction) -> list[str]:
    """The clocks with an open order."""
    return [row["clock"] for row in await tx.fetch("select clock from orders order by clock")]


@pytest.mark.parametrize(
    ("snapshot", "left"),
    [
        pytest.param(
            case(tier_clock(2, 40 * HOUR), clock(), tier=Tier.COMMUNITY), ["reply"], id="promoted"
        ),
        pytest.param(case(tier_clock(), clock(answered=True)), ["tier"], id="supervised"),
        pytest.param(case(clock()), ["reply"], id="the clock stopped"),
        pytest.param(case(stage="closed"), [], id="the case was closed"),
        pytest.param(case(tier_clock(), clock()), ["reply", "tier"], id="something else happened"),
    ],
)
async def test_an_answered_order_vanishes(
    tx: Transaction, snapshot: CaseSnapshot, left: Sequence[str]
) -> None:
    await ordered(tx, tier_clock(), clock())
    assert await open_orders(tx) == ["reply", "tier"]
    await handle(batch(heard(2, snapshot)), tx, at(24 * HOUR))
    assert await open_orders(tx) == list(left)


async def test_a_refusal_that_names_the_order_answers_it_though_the_clock_stays(
    tx: Transaction,
) -> None:
    await ordered(tx)
    (said,) = only_orders(await relayed(tx))
    refused = heard(2, case(tier_clock()), order=said.envelope.event_id)
    await handle(batch(refused, heard(3, case(tier_clock()))), tx, at(24 * HOUR))
    assert await open_orders(tx) == []
    assert await sweep_once(tx, at(30 * HOUR)) == 1
    assert orders_in(await relayed(tx)) == []


async def test_an_unanswered_order_is_said_again_under_the_same_id_after_1_2_and_4_minutes(
    tx: Transaction,
) -> None:
    await ordered(tx)
    (first,) = only_orders(await relayed(tx))
    start = wall()
    said_after = []
    for second in range(0, 10 * 60, 10):
        await say_again_once(tx, start + timedelta(seconds=second), REAL)
        for again in await relayed(tx):
            said_after.append(second)
            assert again.envelope.event_id == first.envelope.event_id
            assert again.data == first.data
            assert tuple(again.envelope.order) == (1, len(said_after) + 1)
    assert said_after == [60, 180, 420]


async def test_an_order_that_has_not_left_the_outbox_is_not_said_again(tx: Transaction) -> None:
    await ordered(tx)
    later = wall() + timedelta(minutes=2)
    assert (await say_again_once(tx, later, REAL)).taken == 1
    ids = [row["order_id"] for row in await tx.fetch("select order_id from orders")]
    assert await outbox.still_waiting(tx, ids) == set(ids)
    assert await tx.fetchval("select order_seq from armed") == 1
    await relayed(tx)
    assert (await say_again_once(tx, later + timedelta(seconds=30), REAL)).taken == 0
    assert (await say_again_once(tx, later + timedelta(seconds=61), REAL)).taken == 1
    assert len(await relayed(tx)) == 1


async def test_an_order_carries_on_the_trace_of_the_snapshot_that_armed_it(
    tx: Transaction,
) -> None:
    first, second = (f"00-{n * 32}-{n * 16}-01" for n in "12")
    await handle(batch(heard(1, case(tier_clock()), trace=first)), tx, at(0))
    await handle(batch(heard(2, case(tier_clock()), trace=second)), tx, at(0))
    await handle(batch(heard(1, case(tier_clock()), UUID(int=2))), tx, at(0))
    await sweep_once(tx, at(6 * HOUR))
    traces = {
        one.envelope.subject: one.envelope.traceparent for one in only_orders(await relayed(tx))
    }
    assert traces == {str(CASE): second, str(UUID(int=2)): None}
    await say_again_once(tx, wall() + timedelta(minutes=2), REAL)
    again = {one.envelope.subject: one.envelope.traceparent for one in await relayed(tx)}
    assert again == traces


async def test_two_orders_of_a_case_are_said_again_in_places_of_their_own(tx: Transaction) -> None:
    await ordered(tx, tier_clock(), clock())
    first = only_orders(await relayed(tx))
    await say_again_once(tx, wall() + timedelta(minutes=2), REAL)
    again = await relayed(tx)
    assert {one.envelope.event_id for one in again} == {one.envelope.event_id for one in first}
    assert [one.envelope.order.seq for one in first + again] == [1, 2, 3, 4]
    await handle(batch(heard(2, case(tier_clock(2, 30 * HOUR)))), tx, at(24 * HOUR))
    await sweep_once(tx, at(30 * HOUR))
    assert [one.envelope.order.seq for one in only_orders(await relayed(tx))] == [5]


async def test_two_processes_say_an_order_again_once(pool: Pool) -> None:
    async with transaction(pool) as tx:
        await ordered(tx)
        await relayed(tx)
    later = wall() + timedelta(minutes=2)
    async with transaction(pool) as one:
        assert (await say_again_once(one, later, REAL)).taken == 1
        async with transaction(pool) as other:
            assert (await say_again_once(other, later, REAL)).taken == 0
    async with transaction(pool) as after:
        assert (await say_again_once(after, later, REAL)).taken == 0


async def test_a_case_whose_next_snapshot_is_being_read_is_left_alone(pool: Pool) -> None:
    async with transaction(pool) as tx:
        await ordered(tx)
        await relayed(tx)
    async with transaction(pool) as reading:
        await handle(batch(heard(2, case(tier_clock()))), reading, at(24 * HOUR))
        async with transaction(pool) as other:
            assert (await say_again_once(other, wall() + timedelta(minutes=2), REAL)).taken == 0


@pytest.mark.parametrize(
    ("lag", "degraded", "said"),
    [
        pytest.param(4.9, False, 1, id="it keeps up"),
        pytest.param(5.0, False, 0, id="the answer may lie unread"),
        pytest.param(0.0, True, 0, id="it does not hear at all"),
    ],
)
async def test_nothing_is_said_again_by_who_does_not_hear_the_answers(
    escalation_dsn: str, pool: Pool, lag: float, degraded: bool, said: int
) -> None:
    process = Process(
        SERVICE, Settings.model_validate({"database_url": escalation_dsn}), Clock(), pool
    )
    async with transaction(pool) as tx:
        await ordered(tx)
        await relayed(tx)
        await tx.execute("update orders set next_say_at = now() - interval '1 s'")
    telemetry.LAG_SECONDS.labels(Topic.ROUTER).set(lag)
    if degraded:
        process.health.degraded(f"consume {Topic.ROUTER}", "KafkaConnectionError")
    counted = said_again()
    assert await SAY_AGAIN.step(process) == 1.0
    assert said_again() == counted + said
    telemetry.LAG_SECONDS.labels(Topic.ROUTER).set(0)
    async with pool.acquire() as tx:
        assert len(await relayed(tx)) == said


async def test_an_order_is_known_by_its_case_clock_generation_and_action(tx: Transaction) -> None:
    ids = [CASE, UUID(int=2)]
    await handle(batch(*(heard(1, case(tier_clock()), one) for one in ids)), tx, at(0))
    await sweep_once(tx, at(6 * HOUR))
    again = [heard(2, case(tier_clock(2, 6 * HOUR)), one) for one in ids]
    await handle(batch(*again), tx, at(6 * HOUR))
    await sweep_once(tx, at(6 * HOUR))
    assert len({one.envelope.event_id for one in only_orders(await relayed(tx))}) == 4
