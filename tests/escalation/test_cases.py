"""Snapshots arm cases in the real PostgreSQL, each once."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import orjson

from services.escalation.decisions import next_at
from services.escalation.handlers import handle, sweep_once
from services.escalation.store import armed
from shared.divisions import Tier
from shared.hearing import in_a_row, parked_count
from shared.postgres import Pool, Transaction, transaction
from tests.escalation.stories import (
    CASE,
    GRID,
    HOUR,
    MINUTE,
    STREET,
    at,
    batch,
    case,
    clock,
    heard,
    notices_in,
    relayed,
    sign_clock,
    tier_clock,
)


async def contents(tx: Transaction) -> list[object]:
    """All that escalation remembers and is about to say."""
    return [
        await tx.fetch("select * from armed order by case_id"),
        await tx.fetch("select * from orders order by order_id"),
        await tx.fetch("select * from notices order by id"),
        await tx.fetch("select name, key, sum(n) from tally_deltas group by 1, 2 order by 1, 2"),
        await tx.fetchval("select count(*) from outbox"),
    ]


async def test_a_snapshot_is_kept_as_it_was_said(tx: Transaction) -> None:
    snapshot = case(
        clock(),
        sign_clock(paused=True, owner_office="lighting"),
        tier=None,
        holder="city",
        accused_division="210204",
        accused_office="drainage",
    )
    await handle(batch(heard(1, snapshot)), tx, at(0))
    kept = await armed.find(tx, CASE)
    assert kept is not None
    assert (kept.tier, kept.holder, kept.accused_division) == (None, "city", "210204")
    assert kept.accused_office == "drainage"
    assert [one.owner_office for one in kept.clocks] == [None, "lighting"]
    assert [one.name for one in kept.clocks] == ["reply", "sign"]
    assert kept.clocks[0].warn == (12 * HOUR, 19 * HOUR, 23 * HOUR)
    assert await tx.fetchval("select next_at from armed") == at(12 * HOUR) == next_at(kept)


async def test_what_a_newer_version_remembers_of_a_clock_is_kept(tx: Transaction) -> None:
    await handle(batch(heard(1, case(clock(), sign_clock()))), tx, at(0))
    await sweep_once(tx, at(25 * MINUTE))
    packed = await tx.fetchval("select clocks from armed")
    clocks = [[*values, "later", 7] for values in orjson.loads(packed)]
    given = [["verify", 0, 1, "later"]]
    await tx.execute(
        "update armed set clocks = $1, given = $2",
        orjson.dumps(clocks).decode(),
        orjson.dumps(given).decode(),
    )
    # Swept, told of again, and stopped: each time it is written anew.
    await sweep_once(tx, at(31 * MINUTE))
    await handle(batch(heard(2, case(clock(due=26 * HOUR)))), tx, at(HOUR))
    row = await tx.fetchrow("select clocks, given from armed")
    assert row is not None
    [[name, *_, n, word, number]] = orjson.loads(row["clocks"])
    assert (name, n, word, number) == ("reply", 0, "later", 7)
    assert orjson.loads(row["given"]) == [*given, ["sign", 0, 1, "later", 7]]


async def test_a_case_that_was_kept_before_clocks_had_offices_goes_on(tx: Transaction) -> None:
    await handle(batch(heard(1, case(clock(), sign_clock(owner_office="lighting")))), tx, at(0))
    await sweep_once(tx, at(HOUR))
    now = await armed.find(tx, CASE)
    assert now is not None
    old = [
        f"""["{name}",1,"{division}","{role}",0,{due},{marks},"{does}",{every},false,false,{did}]"""
        for name, division, role, due, marks, does, every, did in (
            ("reply", STREET, "street_cadre", 24 * HOUR, [12 * HOUR, 19 * HOUR, 23 * HOUR],
             "supervise", 24 * HOUR, "0,false,0"),
            ("sign", GRID, "grid_head", 30 * MINUTE, [24 * MINUTE], "remind", HOUR, "0,true,0"),
        )
    ]  # fmt: skip
    await tx.execute(
        "update armed set clocks = $1::text::json, owner_offices = null", f"[{','.join(old)}]"
    )
    kept = await armed.find(tx, CASE)
    assert kept is not None
    without = [one._replace(owner_office=None) for one in now.clocks]
    assert list(kept.clocks) == without
    assert await sweep_once(tx, at(2 * HOUR)) == 1
    await handle(batch(heard(2, case(clock(), sign_clock(owner_office="lighting")))), tx, at(0))
    said = await armed.find(tx, CASE)
    assert said is not None
    assert [(one.owner_office, one.fired) for one in said.clocks] == [
        (None, False),
        ("lighting", True),
    ]


async def test_only_the_last_record_of_a_case_in_a_batch_counts(tx: Transaction) -> None:
    events = [heard(seq, case(tier_clock(seq, seq * HOUR))) for seq in (1, 3, 2)]
    await handle(batch(*events), tx, at(0))
    kept = await armed.find(tx, CASE)
    assert kept is not None
    assert (kept.order.seq, kept.clocks[0].generation) == (3, 3)


async def test_a_case_first_heard_of_in_the_middle_of_its_life_is_armed(tx: Transaction) -> None:
    await handle(batch(heard(7, case(clock()))), tx, at(0))
    kept = await armed.find(tx, CASE)
    assert kept is not None
    assert kept.order.seq == 7


async def test_redelivery_changes_nothing(tx: Transaction) -> None:
    ids = [UUID(int=n) for n in range(1, 6)]
    events = [
        batch(*(heard(1, case(tier_clock(), sign_clock()), one) for one in ids)),
        batch(*(heard(2, case(tier_clock(2, 9 * HOUR), tier=Tier.STREET), one) for one in ids[:3])),
        batch(*(heard(3, case(stage="closed"), one) for one in ids[:1])),
    ]
    for one in events:
        await handle(one, tx, at(0))
    assert await sweep_once(tx, at(6 * HOUR)) == 2
    before = await contents(tx)
    for one in [*events, events[0], batch(*(e for b in events for e in b.events))]:
        await handle(one, tx, at(6 * HOUR))
    assert await contents(tx) == before


async def test_a_greater_epoch_is_newer_whatever_its_seq(tx: Transaction) -> None:
    await handle(batch(heard(9, case(clock()))), tx, at(0))
    await handle(batch(heard(1, case(), epoch=2)), tx, at(0))
    kept = await armed.find(tx, CASE)
    assert kept is not None
    assert (tuple(kept.order), kept.clocks) == ((2, 1), ())
    await handle(batch(heard(10, case(clock()))), tx, at(0))
    assert await tx.fetchval("select next_at from armed") is None


async def test_two_consumers_that_open_the_same_case_keep_the_newer(pool: Pool) -> None:
    async with transaction(pool) as one:
        await handle(batch(heard(1, case(clock()))), one, at(0))
    async with transaction(pool) as other:
        first = heard(1, case(clock()))
        await handle(batch(first, heard(2, case(sign_clock()))), other, at(0))
    async with pool.acquire() as tx:
        kept = await armed.find(tx, CASE)
    assert kept is not None
    assert [one.name for one in kept.clocks] == ["sign"]


async def test_a_closed_case_stays_as_a_small_guard(tx: Transaction) -> None:
    await handle(batch(heard(1, case(clock()))), tx, at(0))
    await handle(batch(heard(2, case(stage="closed"))), tx, at(0))
    row = await tx.fetchrow("select open, clocks, given, next_at, seq from armed")
    assert row is not None
    assert tuple(row) == (False, "[]", None, None, 2)


async def test_what_was_given_survives_the_next_snapshot(tx: Transaction) -> None:
    await handle(batch(heard(1, case(clock()))), tx, at(0))
    assert await sweep_once(tx, at(13 * HOUR)) == 1
    await handle(batch(heard(2, case())), tx, at(13 * HOUR))
    await handle(batch(heard(3, case(clock(generation=3)))), tx, at(14 * HOUR))
    assert await sweep_once(tx, at(14 * HOUR)) == 0
    assert await tx.fetchval("select next_at from armed") == at(19 * HOUR)


async def test_a_record_whose_subject_is_no_case_is_parked_and_the_others_armed(
    tx: Transaction,
) -> None:
    await handle(batch(heard(1, case(), "nobody"), heard(1, case(clock()))), tx, at(0))
    assert await parked_count(tx) == 1
    assert await in_a_row(tx, batch().topic) == 0
    assert await tx.fetchval("select count(*) from armed") == 1


async def test_shuffled_and_doubled_records_end_in_the_same_armed_cases(tx: Transaction) -> None:
    rng = random.Random(7)
    ids = [UUID(int=n) for n in range(1, 21)]
    said = [
        heard(seq, case(tier_clock(seq, rng.randrange(1, 99) * MINUTE)), one)
        for one in ids
        for seq in range(1, 6)
    ]
    last = {one.envelope.subject: one for one in said}
    records = said + rng.sample(said, 40)
    rng.shuffle(records)
    while records:
        taken, records = records[:17], records[17:]
        await handle(batch(*taken), tx, at(0))
    for one in ids:
        kept = await armed.find(tx, one)
        assert kept is not None
        data = last[str(one)].data
        assert kept.order.seq == 5
        assert [c.due for c in kept.clocks] == [data.case.clocks[0].due]  # type: ignore[attr-defined]
    assert await relayed(tx) == []


async def test_a_whistle_and_what_departments_are_asked_is_told_once_in_one_digest_each(
    tx: Transaction,
) -> None:
    held: dict[str, Any] = {"holder": STREET, "role": "street_dispatcher", "tier": Tier.STREET}
    own = sign_clock(owner_division=None, owner_role=None)
    asks = clock("report_in/1", owner_role="department_officer", owner_office="lighting", warn=())
    ids = [UUID(int=n) for n in (1, 2, 3)]
    await handle(batch(*(heard(1, case(), one) for one in ids)), tx, at(0))
    blown = [heard(2, case(own, **held), one, happened="whistled") for one in ids]
    given = [heard(3, case(own, asks, **held), one, happened="task_given") for one in ids]
    await handle(batch(*blown, *given[:2]), tx, at(HOUR), "a clock")
    await handle(batch(*blown, *given), tx, at(2 * HOUR))
    said = await relayed(tx)
    assert sorted((n.office or "", n.clock, n.about or "", n.count) for n in notices_in(said)) == [
        ("", "sign", "whistle", 3),
        ("lighting", "report_in", "task", 1),
        ("lighting", "report_in", "task", 2),
    ]
    assert {n.reason for n in notices_in(said)} == {"warning"}
    assert sorted(one.envelope.clock for one in said) == ["a clock", "a clock", "real"]
    assert {row["posted_at"] for row in await tx.fetch("select posted_at from notices")} == {
        at(HOUR),
        at(2 * HOUR),
    }
