"""Batches on the real PostgreSQL: opened once, in order, counted right, and never lost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.router import store
from services.router.decisions.case import CASE, Case, but, duties
from services.router.decisions.commands import OFFICER_COMMAND
from services.router.decisions.policy import Part, Policy, PolicyRefused, read_part
from services.router.decisions.stuck import waits
from services.router.decisions.workflow import allowed_actions
from services.router.handlers import policies as policy_files
from services.router.handlers import stuck
from services.router.handlers.commands import Answer, Commands
from services.router.handlers.measures import measure
from services.router.handlers.petitions import replay
from services.router.handlers.policies import Policies, load, read_files
from services.router.metrics import (
    BLOCKED,
    DUPLICATES,
    OPEN,
    OPENED,
    ORDERS_APPLIED,
    ORDERS_DUPLICATE,
    ORDERS_STALE,
    ORDERS_UNKNOWN,
    WAIT,
    WAIT_AGE,
)
from shared import tally
from shared.census import FIRST
from shared.clock import wall
from shared.divisions import CITY, Tier
from shared.events import (
    CASE_EVENTS,
    Order,
    PolicyPartKind,
    Topic,
    derived_id,
    hash_of_parts,
    part_body,
    promise_of,
)
from shared.hearing import Fenced, Handle, Heard, decode
from shared.kafka import Record
from shared.postgres import Pool, connect, transaction
from tests.router.conftest import MIGRATIONS
from tests.router.events import (
    REAL,
    Router,
    Said,
    breach,
    cases,
    contents,
    deliver,
    outbox,
    petition_id,
    receipt,
    records,
    replayed_history,
    snapshot_of,
    spoilt,
    supplement,
)
from tests.router.stories import (
    BUS,
    COMMUNITY,
    DISPUTE,
    DISTRICT,
    FIRE,
    GRID,
    HOUR,
    LAMP,
    MANHOLE,
    MINUTE,
    NEXT_GRID,
    NOON,
    QUESTION,
    RUBBISH,
    STREET,
    WISH,
    examples,
    officer,
)
from tests.statements import spoken

A, B, C = petition_id(1), petition_id(2), petition_id(3)
BYTES_OF_AN_OPENED_CASE = 1_500
BYTES_OF_AN_ACCUSATION = 1_536
STATEMENTS_TO_OPEN = 7
STATEMENTS_TO_ANSWER_ORDERS = 6


async def rows(pool: Pool, query: str, *args: object) -> list[tuple[Any, ...]]:
    async with pool.acquire() as connection:
        return [tuple(row) for row in await connection.fetch(query, *args)]


# ---------------------------------------------------------------- opening


async def test_a_batch_of_petitions_opens_their_cases_and_says_so(
    pool: Pool, router: Router
) -> None:
    heard = await router.hear(
        Said(receipt(), A), Said(receipt(FIRE), B), Said(receipt(None, STREET), C)
    )
    found = await cases(pool)
    assert {id_: (case.holder, case.stage, case.heard) for id_, case in found.items()} == {
        A: (GRID, "assigned", Order(1, 1)),
        B: (GRID, "registered", Order(1, 1)),
        C: (STREET, "registered", Order(1, 1)),
    }
    said = await outbox(pool)
    assert [event.envelope.subject for event in said] == [str(A), str(B), str(C)]
    for event, record in zip(said, heard, strict=True):
        told = snapshot_of(event)
        source = decode(record)
        assert isinstance(source, Heard)
        assert event.envelope.type == told.type == "casegrid.case.opened.v1"
        assert event.envelope.order == Order(1, 1)
        assert event.envelope.event_id == derived_id("case", source.envelope.event_id)
        assert event.envelope.caused_by == f"event:{source.envelope.event_id}"
        assert event.envelope.occurred_at == NOON
        assert event.envelope.traceparent == source.envelope.traceparent
        assert told.change.appended_at == record.appended_at
        assert (told.change.role, told.change.division) == ("system", None)
    assert snapshot_of(said[0]).case.unit == "大庆社区第1网格"
    history = await rows(pool, "select case_id, seq, event, actor, transitions from history")
    assert sorted(history) == [
        (A, 1, "opened", "service:router", ["received", "registered", "classified", "assigned"]),
        (B, 1, "opened", "service:router", ["received", "registered", "waits_for_hand_over"]),
        (C, 1, "opened", "service:router", ["received", "registered", "waits_for_dispatcher"]),
    ]


async def test_a_batch_delivered_again_changes_nothing(pool: Pool, router: Router) -> None:
    first = await router.hear(
        Said(receipt(), A),
        Said(receipt(LAMP), B),
        Said(supplement(), A, 2),
        Said(supplement(), A, 3),
    )
    second = await router.hear(spoilt(Said(receipt(), C).record(Topic.INTAKE, 4)))
    third = await router.hear(Said(supplement(), C, 2), Said(supplement(), B, 5))
    before = await contents(pool)
    duplicates = DUPLICATES._value.get()
    blocked = BLOCKED._value.get()
    for batch in (first, second, third, [*first, *second, *third]):
        async with transaction(pool) as tx:
            done = await deliver(tx, router.petitions.handle, batch)
        assert done is not None
        done()
    assert await contents(pool) == before
    assert DUPLICATES._value.get() == duplicates + 8
    assert BLOCKED._value.get() == blocked


async def test_the_statements_of_a_batch_do_not_depend_on_its_size(
    router_dsn: str, router: Router
) -> None:
    connection = await connect(router_dsn, "counted")
    offset, counts = 0, []
    try:
        for size in (1, 1, 200):  # the first also asks the server about its types
            ids = [petition_id(offset + n) for n in range(size)]
            batch = records(Topic.INTAKE, [Said(receipt(BUS), id_) for id_ in ids], offset)
            offset += size
            orders = [Said(breach("reply", 1, Tier.DISTRICT, "supervise"), id_) for id_ in ids]
            for handle, said in (
                (router.petitions.handle, batch),
                (router.orders.handle, records(Topic.ESCALATION, orders)),
            ):
                async with connection.transaction(), spoken(connection) as asked:
                    await deliver(connection, handle, said)
                counts.append(len(asked))
    finally:
        await connection.close()
    assert counts[2:] == [STATEMENTS_TO_OPEN, STATEMENTS_TO_ANSWER_ORDERS] * 2


@pytest.mark.parametrize(
    ("accused", "most"),
    [
        pytest.param({}, BYTES_OF_AN_OPENED_CASE, id="any matter"),
        pytest.param({"accused": NEXT_GRID}, BYTES_OF_AN_ACCUSATION, id="an accusation"),
        pytest.param(
            {"accused_office": "culture-tourism-mediation"},
            BYTES_OF_AN_ACCUSATION,
            id="of the office with the longest name",
        ),
    ],
)
async def test_an_opened_case_takes_few_bytes_on_kafka(
    pool: Pool, router: Router, policy: Policy, accused: dict[str, str], most: int
) -> None:
    await router.hear(
        *(
            Said(receipt(category, **accused), petition_id(n))
            for n, category in enumerate(policy.categories)
        )
    )
    sizes = []
    for event in await outbox(pool):
        record = event.record
        assert record.value is not None
        headers = sum(len(name) + len(value) for name, value in record.headers.items())
        sizes.append(len(record.key) + headers + len(record.value))
    assert len(sizes) == len(policy.categories)
    assert max(sizes) <= most


async def waiting_for_locks(pool: Pool) -> int:
    """How many connections to this database wait for what another transaction holds."""
    return int(
        await pool.fetchval(
            """
            select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'
            """
        )
    )


async def test_two_processes_that_open_the_same_case_do_it_once(
    pool: Pool, router: Router, policies: Policies
) -> None:
    rival = Router(pool, policies)
    batch = records(Topic.INTAKE, [Said(receipt(), A), Said(receipt(), B)])
    async with transaction(pool) as tx:
        await deliver(tx, router.petitions.handle, batch)
        late = asyncio.ensure_future(rival.hear(*batch))
        while not await waiting_for_locks(pool):
            assert not late.done()
            await asyncio.sleep(0.01)
    with pytest.raises(Fenced):
        await late
    before = await contents(pool)
    await rival.hear(*batch)
    assert await contents(pool) == before
    assert len(await outbox(pool)) == 2


async def test_a_receipt_from_a_restored_intake_only_moves_the_guard(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(), A), Said(supplement(), A, 2))
    before = (await cases(pool))[A]
    await router.hear(Said(receipt(LAMP), A, 1, epoch=2))
    after = (await cases(pool))[A]
    assert after.heard == Order(2, 1)
    assert (after.version, after.seq, after.category) == (before.version, before.seq, RUBBISH)
    await router.hear(Said(supplement(), A, 3, epoch=1), Said(supplement(), A, 2, epoch=2))
    last = (await cases(pool))[A]
    assert (last.heard, last.seq) == (Order(2, 2), before.seq + 1)
    assert len(await outbox(pool)) == 3


async def test_a_restored_router_counts_the_events_of_its_cases_from_one_in_a_new_epoch(
    pool: Pool, router: Router, policies: Policies
) -> None:
    await router.hear(Said(receipt(), A), Said(supplement(), A, 2))
    restored = Router(pool, policies, epoch=2)
    restored.offset = 2
    await restored.hear(Said(supplement(), A, 3), Said(supplement(), A, 4), Said(receipt(), B))
    orders = [(event.envelope.subject, event.envelope.order) for event in await outbox(pool)]
    assert orders == [
        (str(A), (1, 1)), (str(A), (1, 2)), (str(A), (2, 1)), (str(A), (2, 2)), (str(B), (2, 1)),
    ]  # fmt: skip
    case = (await cases(pool))[A]
    assert (case.version, case.epoch, case.seq) == (4, 2, 2)
    assert await replayed_history(pool, A) == case


# ---------------------------------------------------------------- parked and blocked


async def parked(pool: Pool) -> list[tuple[str, int, str]]:
    """(key, offset, reason) of what waits."""
    query = """select key, "offset", reason from parked where settled_at is null order by id"""
    return [(row[0], row[1], row[2]) for row in await rows(pool, query)]


async def replayed(pool: Pool, router: Router, case_id: UUID) -> tuple[int, list[str]]:
    async with transaction(pool) as tx:
        return await replay(tx, router.petitions, case_id, NOON)


async def test_an_unreadable_event_blocks_its_petition_and_no_other(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(), A), Said(receipt(), B))
    await router.hear(
        Said(supplement(), A, 2),
        spoilt(Said(supplement(), A, 3).record(Topic.INTAKE, 3)),
        Said(supplement(), B, 2),
        Said(supplement(), A, 4),
    )
    await router.hear(Said(supplement(), A, 5), Said(supplement(), B, 3))
    found = await cases(pool)
    assert found[A].heard == Order(1, 2)
    assert found[B].heard == Order(1, 3)
    waiting = await parked(pool)
    assert [(key, offset) for key, offset, _ in waiting] == [(str(A), 3), (str(A), 5), (str(A), 6)]
    assert [reason for _, _, reason in waiting[1:]] == ["waits behind a parked event"] * 2
    assert await rows(pool, "select case_id from blocked_cases") == [(A,)]


async def test_a_petition_whose_first_event_is_unreadable_waits_as_a_whole(
    pool: Pool, router: Router
) -> None:
    await router.hear(spoilt(Said(receipt(), A).record(Topic.INTAKE, 0)), Said(supplement(), A, 2))
    assert await cases(pool) == {}
    assert len(await parked(pool)) == 2
    assert await replayed(pool, router, A) == (
        0,
        [(await parked(pool))[0][2], "gap: event 2 came after 0"],
    )


async def test_orders_and_officers_go_on_with_a_blocked_petition(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(WISH), A), Said(supplement(), A, 3))
    await router.order(Said(breach("tier", 1, Tier.GRID), A))
    assert (await cases(pool))[A].tier is Tier.COMMUNITY


async def test_events_after_a_gap_wait_and_a_replay_applies_them_in_order(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(), A), Said(supplement(), A, 3), Said(supplement(), A, 4))
    assert [reason for _, _, reason in await parked(pool)] == [
        "gap: event 3 came after 1",
        "waits behind a parked event",
    ]
    assert await replayed(pool, router, A) == (0, ["gap: event 3 came after 1"])
    await router.hear(Said(supplement(), A, 2))
    assert (await cases(pool))[A].heard == Order(1, 1)
    assert await replayed(pool, router, A) == (3, [])
    assert (await cases(pool))[A].heard == Order(1, 4)
    assert await parked(pool) == []
    assert await rows(pool, "select * from blocked_cases") == []
    said = [event.envelope.order for event in await outbox(pool)]
    assert said == [(1, 1), (1, 2), (1, 3), (1, 4)]
    await router.hear(Said(supplement(), A, 5))
    assert (await cases(pool))[A].heard == Order(1, 5)
    assert await replayed(pool, router, A) == (0, [])


async def test_a_replay_stops_at_the_next_gap(pool: Pool, router: Router) -> None:
    await router.hear(Said(receipt(), A), Said(supplement(), A, 3), Said(supplement(), A, 5))
    await router.hear(Said(supplement(), A, 2))
    assert await replayed(pool, router, A) == (2, ["gap: event 5 came after 3"])
    assert [key for key, _, _ in await parked(pool)] == [str(A)]
    assert await rows(pool, "select case_id from blocked_cases") == [(A,)]


async def test_what_could_not_be_read_is_settled_when_intake_says_it_again(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(), A), spoilt(Said(supplement(), A, 2).record(Topic.INTAKE, 1)))
    await router.hear(Said(supplement(), A, 3))
    applied, left = await replayed(pool, router, A)
    assert (applied, len(left)) == (0, 2)
    await router.hear(Said(supplement(), A, 2))
    assert await replayed(pool, router, A) == (3, [])
    assert (await cases(pool))[A].heard == Order(1, 3)
    assert await rows(pool, "select * from blocked_cases") == []


async def test_a_stranger_without_headers_is_never_taken_for_settled(
    pool: Pool, router: Router
) -> None:
    bare = Said(supplement(), A, 1).record(Topic.INTAKE, 1)._replace(headers={})
    await router.hear(Said(receipt(), A), bare)
    applied, left = await replayed(pool, router, A)
    assert (applied, len(left)) == (0, 1)
    assert left[0].endswith("is missing")
    assert len(await parked(pool)) == 1


async def test_a_petition_that_does_not_begin_with_its_receipt_waits_for_a_person(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(supplement(), A), Said(receipt(), B))
    assert [reason for _, _, reason in await parked(pool)] == [
        "the first event of a petition must be its receipt"
    ]
    assert set(await cases(pool)) == {B}


async def test_an_event_without_a_petitions_id_is_parked_and_blocks_nobody(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(), "somebody"), Said(receipt(), A))
    assert await parked(pool) == [("somebody", 0, "the key is not a petition's id")]
    assert await rows(pool, "select * from blocked_cases") == []
    assert set(await cases(pool)) == {A}


# ---------------------------------------------------------------- orders


def said_again(record: Record, seq: int) -> Record:
    """The same order under the same id, said again: only its place is new."""
    return record._replace(headers={**record.headers, "ce_seq": str(seq).encode()})


async def test_an_order_that_is_delivered_again_changes_nothing_and_says_nothing(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(WISH), A), Said(receipt(WISH), B))
    first = Said(breach("tier", 1, Tier.GRID), A, 1)
    second = Said(breach("reply", 1, Tier.GRID, "supervise"), A, 2)
    await router.order(first, first, second)
    before = await contents(pool)
    duplicates = ORDERS_DUPLICATE._value.get()
    for batch in ((first,), (second, first), (first, second)):
        await router.order(*batch)
    assert await contents(pool) == before
    assert ORDERS_DUPLICATE._value.get() == duplicates + 5
    events = [event.envelope.type.split(".")[2] for event in (await outbox(pool))[2:]]
    assert events == ["promoted", "supervised"]
    case = (await cases(pool))[A]
    assert (case.ordered, case.promotions, case.supervised) == (Order(1, 2), {Tier.GRID: 1}, 1)
    assert await replayed_history(pool, A) == case


async def test_an_order_that_is_said_again_is_answered_again_with_the_next_seq(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(WISH), A))
    (record,) = await router.order(Said(breach("tier", 1, Tier.GRID), A))
    await router.order(said_again(record, 2))
    await router.order(said_again(record, 3))
    heard = decode(record)
    assert isinstance(heard, Heard)
    said = (await outbox(pool))[1:]
    assert [event.envelope.type.split(".")[2] for event in said] == [
        "promoted", "order_refused", "order_refused",
    ]  # fmt: skip
    assert [event.envelope.order.seq for event in said] == [2, 3, 4]
    assert {snapshot_of(event).change.order for event in said} == {heard.envelope.event_id}
    assert len({event.envelope.event_id for event in said}) == 3
    assert [snapshot_of(event).case.version for event in said] == [2, 2, 2]
    assert all(snapshot_of(event).case.tier is Tier.COMMUNITY for event in said)
    assert snapshot_of(said[1]).change.rule == "order/stale"
    case = (await cases(pool))[A]
    assert (case.promotions, case.seq, case.ordered) == ({Tier.GRID: 1}, 4, Order(1, 3))
    assert await replayed_history(pool, A) == case


async def test_a_restored_escalation_begins_again_in_a_greater_epoch(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(WISH), A))
    await router.order(Said(breach("tier", 1, Tier.GRID), A, 7))
    case = (await cases(pool))[A]
    again = breach("tier", case.generations["tier"], Tier.COMMUNITY)
    await router.order(Said(again, A, 1, epoch=2))
    case = (await cases(pool))[A]
    assert (case.tier, case.ordered) == (Tier.STREET, Order(2, 1))


async def test_supervision_raises_the_seq_and_no_version(pool: Pool, router: Router) -> None:
    await router.hear(Said(receipt(WISH), A))
    await router.order(Said(breach("reply", 1, Tier.GRID, "supervise"), A))
    case = (await cases(pool))[A]
    assert (case.supervised, case.version, case.seq) == (1, 1, 2)
    assert snapshot_of((await outbox(pool))[-1]).case.version == 1


# ---------------------------------------------------------------- counted after the commit


async def undone(pool: Pool, handle: Handle, batch: Sequence[Record]) -> None:
    async with transaction(pool) as tx:
        await deliver(tx, handle, batch)
        raise Fenced


async def test_what_is_rolled_back_is_counted_nowhere(pool: Pool, router: Router) -> None:
    await router.hear(Said(receipt(WISH), A))
    petitions = records(
        Topic.INTAKE, [Said(receipt(WISH), A), Said(receipt(), B), Said(supplement(), C, 2)]
    )
    order = Said(breach("tier", 1, Tier.GRID), A)
    stale = Said(breach("tier", 1, Tier.GRID), A, 2)
    orders = records(Topic.ESCALATION, [order, stale, order, Said(breach("tier", 1, None), B)])
    counters = (
        DUPLICATES, BLOCKED, OPENED, ORDERS_DUPLICATE, ORDERS_UNKNOWN,
        ORDERS_APPLIED.labels("promote"), ORDERS_STALE.labels("promote"),
    )  # fmt: skip
    before = [counter._value.get() for counter in counters]
    for handle, batch in ((router.petitions.handle, petitions), (router.orders.handle, orders)):
        with pytest.raises(Fenced):
            await undone(pool, handle, batch)
        assert [counter._value.get() for counter in counters] == before
    await router.order(*orders)
    await router.hear(*petitions)
    assert [counter._value.get() - was for counter, was in zip(counters, before, strict=True)] == [
        1, 1, 1, 1, 1, 1, 1,
    ]  # fmt: skip


async def test_a_closed_case_is_counted_for_an_hour_after_its_end_and_then_no_more(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(), A), Said(receipt(), B))
    closed = but((await cases(pool))[A], stage="closed", clocks=())
    async with transaction(pool) as tx:
        await store.cases.update(tx, [closed], {A: CASE.dump_json(closed).decode()})

    async def counted_at(at: datetime) -> list[UUID]:
        async with transaction(pool) as tx:
            return [case.id for case in await store.census.counted_after(tx, FIRST, 9, at)]

    now = wall()
    assert await counted_at(now) == [A, B]
    assert await counted_at(now + timedelta(minutes=59)) == [A, B]
    # A walk that comes later than that counts it all the same, once.
    assert await counted_at(now + timedelta(minutes=61)) == [A, B]
    assert await counted_at(now) == [B]


async def test_orders_for_one_case_in_one_batch_are_judged_one_after_the_other(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(WISH), A))
    await router.order(
        Said(breach("reply", 1, Tier.GRID, "supervise"), A, 1),
        Said(breach("tier", 1, Tier.GRID), A, 2),
        Said(breach("tier", 1, Tier.COMMUNITY), A, 3),
        Said(breach("tier", 3, Tier.COMMUNITY), A, 4),
        Said(breach("tier", 3, Tier.COMMUNITY), A, 5),
    )
    events = [event.envelope.type.split(".")[2] for event in (await outbox(pool))[1:]]
    assert events == ["supervised", "promoted", "order_refused", "promoted", "order_refused"]
    case = (await cases(pool))[A]
    assert (case.tier, case.supervised) == (Tier.STREET, 1)


async def test_a_case_nobody_touches_climbs_by_orders_step_by_step(
    pool: Pool, router: Router
) -> None:
    await router.hear(Said(receipt(WISH), A))
    seen = []
    for _ in range(4):
        case = (await cases(pool))[A]
        clock = case.clock("tier")
        assert clock is not None
        seen.append(case.holder)
        await router.order(
            Said(breach("tier", clock.generation, case.tier, clock.on_breach), A, len(seen)),
            now=clock.due_at,
        )
    assert seen == [GRID, COMMUNITY, STREET, DISTRICT]
    events = [event.envelope.type.split(".")[2] for event in await outbox(pool)]
    assert events == ["opened", "promoted", "promoted", "promoted", "supervised"]
    counts = await rows(
        pool, "select key, sum(n)::int from tally_deltas where name = 'promoted' group by key"
    )
    assert dict(counts) == {"grid/service": 1, "community/service": 1, "street/service": 1}


async def test_an_order_about_nobody_is_passed_over_or_parked(pool: Pool, router: Router) -> None:
    await router.order(Said(breach("tier", 1, Tier.GRID), A), Said(breach("tier", 1, None), "x"))
    assert await outbox(pool) == []
    assert await parked(pool) == [("x", 1, "the key is not a case's id")]
    assert await rows(pool, "select * from blocked_cases") == []


# ---------------------------------------------------------------- any steps in any order


class Days:
    """Random days at the offices: petitions, orders and commands, each in a transaction."""

    def __init__(self, pool: Pool, policies: Policies, seed: int) -> None:
        self.pool, self.policies = pool, policies
        self.chance = random.Random(seed)
        self.router = Router(pool, policies)
        self.now = NOON
        self.key = 0

    async def pass_(self, steps: int) -> None:
        """Open some cases, then do one thing after the other."""
        kinds = [RUBBISH, WISH, LAMP, MANHOLE, QUESTION, BUS, FIRE, DISPUTE, None, "S05"]
        await self.router.hear(
            *(
                Said(receipt(kind, self.chance.choice([GRID, GRID, COMMUNITY, CITY]),
                             contact=self.chance.random() < 0.5), petition_id(n))
                for n, kind in enumerate(kinds)
            )
        )  # fmt: skip
        for _ in range(steps):
            self.now += timedelta(minutes=self.chance.choice([0, 1, 20, 300, 3000]))
            case = self.chance.choice(list((await cases(self.pool)).values()))
            await self.chance.choice([self.order, self.supplement, self.command, self.command])(
                case
            )

    async def order(self, case: Case) -> None:
        said = [
            breach(clock.name, clock.generation - self.chance.choice([0, 0, 1]), case.tier,
                   clock.on_breach)
            for clock in case.clocks
            if clock.on_breach in ("promote", "supervise")
        ]  # fmt: skip
        if said:
            self.key += 2
            one, other = self.chance.choices(said, k=2)
            last = Said(other, case.id, self.key)
            await self.router.order(Said(one, case.id, self.key - 1), last, last, now=self.now)

    async def supplement(self, case: Case) -> None:
        await self.router.hear(Said(supplement(), case.id, case.heard.seq + 1), now=self.now)

    async def command(self, case: Case) -> None:
        roles = ("city_dispatcher", "grid_head", "street_cadre")
        actor = officer(self.chance.choice([CITY, CITY, case.holder]), *roles)
        name = self.chance.choice(allowed_actions(case, actor) or ("sign",))
        asked = examples(self.now)[name]
        self.key += 1
        async with transaction(self.pool) as tx:
            commands = Commands(self.policies, 1, REAL)
            raw = OFFICER_COMMAND.dump_json(asked)
            answer = await commands.give(tx, case.id, raw, actor, str(self.key), None, self.now)
            assert isinstance(answer, Answer)


@pytest.fixture(params=[2, 3])
async def days(request: pytest.FixtureRequest, pool: Pool, policies: Policies) -> Days:
    """A hundred random steps on ten cases."""
    passed = Days(pool, policies, request.param)
    await passed.pass_(100)
    return passed


async def test_counts_queues_history_and_events_agree_with_the_cases(
    pool: Pool, policies: Policies, days: Days
) -> None:
    found = await cases(pool)
    assert len({case.stage for case in found.values()}) >= 4
    await the_counts_are_those_of_the_cases(pool, found)
    await the_duties_are_those_of_the_cases(pool, found)
    await the_events_are_gapless_and_the_last_is_the_case(pool, found)
    for case in found.values():
        assert await replayed_history(pool, case.id) == case
    async with transaction(pool) as tx:
        await tally.fold(tx)
        await measure(tx, policies, days.now)
    await the_counts_are_those_of_the_cases(pool, found)
    shown = {
        tuple(sample.labels.values()): sample.value
        for metric in OPEN.collect()
        for sample in metric.samples
        if sample.value
    }
    assert sum(shown.values()) == sum(case.is_open for case in found.values())
    await the_stuck_queues_are_those_of_the_cases(pool, found, days.now)


async def the_counts_are_those_of_the_cases(pool: Pool, found: dict[UUID, Case]) -> None:
    expected: Counter[tuple[str, str]] = Counter()
    for case in found.values():
        for tier, n in case.promotions.items():
            expected["promoted", f"{tier}/{case.track}"] += n
        if case.is_open:
            expected["queue", f"{case.holder}/{case.stage}"] += 1
            expected["open", f"{case.tier or CITY}/{case.track}/{case.stage}"] += 1
            for clock in case.clocks:
                owner, promise = clock.owner_division, promise_of(clock.name)
                anothers = promise != clock.name and clock.owner_role != case.role
                if clock.owner_office not in (None, case.office):
                    expected["office owned", f"{owner}/{clock.owner_office}/{promise}"] += 1
                elif owner != case.holder or anothers:
                    expected["owned", f"{owner}/{promise}"] += 1
            if case.office is not None:
                expected["office", f"{case.holder}/{case.office}/{case.stage}"] += 1
    stuck = (wait for case in found.values() for wait in waits(case))
    expected.update(("waiting", f"{wait.queue}/{wait.tier}/{wait.track}") for wait in stuck)
    names = ["queue", "open", "owned", "promoted", "office", "office owned", "waiting"]
    async with pool.acquire() as connection:
        counts = await tally.counts(connection, names)
    assert counts == expected


async def the_stuck_queues_are_those_of_the_cases(
    pool: Pool, found: dict[UUID, Case], now: datetime
) -> None:
    expected = {(case.id, *wait) for case in found.values() for wait in waits(case)}
    kept = await rows(pool, "select case_id, queue, tier, since, track from waiting")
    assert set(kept) == expected
    assert expected, "some of them wait"
    assert len(kept) == len(expected)
    for queue, tier in {(queue, tier) for _, queue, tier, *_ in expected}:
        tracks = Counter(track for _, *where, _, track in expected if where == [queue, tier])
        for track, n in tracks.items():
            assert WAIT.labels(queue, tier, track)._value.get() == n
        there = [since for _, *where, since, _ in expected if where == [queue, tier]]
        oldest = max(0.0, (now - min(there)).total_seconds())
        assert WAIT_AGE.labels(queue, tier)._value.get() == oldest


async def test_what_waited_before_the_stuck_queues_were_kept_is_found(
    pool: Pool, days: Days
) -> None:
    found = await cases(pool)
    async with transaction(pool) as tx:
        await tx.execute("drop table waiting")
        await tx.execute("delete from tally where name = 'waiting'")
        await tx.execute("delete from tally_deltas where name = 'waiting'")
        for file in ("0006_waiting.sql", "0008_waits_by_track.sql"):
            await tx.execute((MIGRATIONS / file).read_text())
        await stuck.mend(tx, list(found.values()))
    expected = {(case.id, *wait) for case in found.values() for wait in waits(case)}
    kept = await rows(pool, "select case_id, queue, tier, since, track from waiting")
    assert set(kept) == expected
    await the_counts_are_those_of_the_cases(pool, found)


async def the_duties_are_those_of_the_cases(pool: Pool, found: dict[UUID, Case]) -> None:
    kept = await rows(pool, "select case_id, division, office, role, clock, due_at from duties")
    assert set(kept) == {(case.id, *duty) for case in found.values() for duty in duties(case)}
    assert len(kept) == len(set(kept))
    columns = await rows(pool, "select case_id, open, holder, stage, version, seq from cases")
    assert sorted(columns) == sorted(
        (c.id, c.is_open, c.holder, c.stage, c.version, c.seq) for c in found.values()
    )


async def the_events_are_gapless_and_the_last_is_the_case(
    pool: Pool, found: dict[UUID, Case]
) -> None:
    said: dict[str, list[Heard]] = {}
    for event in await outbox(pool):
        said.setdefault(event.envelope.subject, []).append(event)
    assert said.keys() == {str(id_) for id_ in found}
    for case in found.values():
        events = said[str(case.id)]
        assert [event.envelope.order.seq for event in events] == list(range(1, case.seq + 1))
        assert len({event.envelope.event_id for event in events}) == len(events)
        assert {event.envelope.type for event in events} <= set(CASE_EVENTS.values())
        last = snapshot_of(events[-1]).case
        assert (last.stage, last.holder, last.version) == (case.stage, case.holder, case.version)
        assert {(c.name, c.generation) for c in last.clocks} == {
            (c.name, c.generation) for c in case.clocks
        }


# ---------------------------------------------------------------- policy versions


async def load_divisions(pool: Pool, text: str, *, merge: bool) -> int:
    parts: dict[PolicyPartKind, Part] = {"divisions": read_part("divisions", text, "more.csv")}
    async with transaction(pool) as tx:
        return await load(tx, parts, loaded_by="test", epoch=1, clock=REAL, now=NOON, merge=merge)


STREET_MORE = "code,name\n210204005,新名街道\n210204099,试验街道\n"


async def test_a_new_version_adds_its_rows_and_open_cases_keep_theirs(
    pool: Pool, policies: Policies, router: Router
) -> None:
    await router.hear(Said(receipt(), A))
    assert await load_divisions(pool, STREET_MORE, merge=True) == 2
    async with pool.acquire() as connection:
        assert await policies.refresh(connection)
    assert policies.newest == 2
    new, old = policies.of(2), policies.of(1)
    assert len(new.divisions) == len(old.divisions) + 1
    assert (policies.name_of(STREET, 1), policies.name_of(STREET, 2)) == ("兴工街道", "新名街道")
    await router.hear(Said(receipt(LAMP), B), Said(supplement(), A, 2))
    found = await cases(pool)
    assert (found[A].policy, found[B].policy) == (1, 2)
    assert snapshot_of((await outbox(pool))[1]).case.unit == "新名街道 路灯管理处"


async def test_a_petition_goes_to_the_divisions_of_the_day_it_was_received(
    pool: Pool, policies: Policies, router: Router
) -> None:
    merged = "code,name,valid_from,valid_to\n"
    merged += f"{STREET},兴工街道,,2024-06-01\n210204099,试验街道,2024-06-01,\n"
    merged += f"{COMMUNITY},大庆社区,,2024-06-01\n{GRID},大庆社区第1网格,,2024-06-01\n"
    assert await load_divisions(pool, merged, merge=True) == 2
    async with pool.acquire() as connection:
        await policies.refresh(connection)
    later = NOON + timedelta(days=12)  # 1 June in Dalian begins at 16:00 UTC
    midnight = later.replace(hour=16, minute=0) - timedelta(days=1)
    await router.hear(
        Said(receipt(), A),
        Said(receipt(received_at=midnight - timedelta(seconds=1)), B),
        Said(receipt(received_at=midnight), C),
        Said(receipt(LAMP, "210204099"), petition_id(4)),
        Said(receipt(LAMP, "210204099", received_at=later), petition_id(5)),
        now=later,
    )
    found = await cases(pool)
    assert [found[id_].holder for id_ in (A, B, C)] == [GRID, GRID, DISTRICT]
    assert [found[petition_id(n)].holder for n in (4, 5)] == [DISTRICT, "210204099"]
    reply = found[C].clock("reply")
    assert reply is not None
    assert reply.owner_division == DISTRICT


async def test_a_version_that_does_not_hold_is_refused_as_a_whole(pool: Pool) -> None:
    before = await contents(pool)
    with pytest.raises(PolicyRefused) as refusal:
        await load_divisions(pool, "code,name\n210299001,无区街道\n", merge=True)
    assert [problem.line for problem in refusal.value.problems] == [2]
    assert await contents(pool) == before
    assert await rows(pool, "select max(version) from policy_versions") == [(1,)]


async def test_replacing_the_divisions_refuses_what_is_not_whole(pool: Pool) -> None:
    with pytest.raises(PolicyRefused):
        await load_divisions(pool, STREET_MORE, merge=False)


async def test_a_version_is_said_part_by_part_and_closed_by_its_hash(pool: Pool) -> None:
    said = await rows(
        pool, "select key, value from outbox where topic = 'policy.events' order by id"
    )
    parts = [orjson.loads(value) for _, value in said]
    closing = parts.pop()
    assert said[-1][0] == "1/published/0"
    assert closing["parts"] == len(parts) == len({key for key, _ in said}) - 1
    chunks = [(part["kind"], part["n"], part["rows"]) for part in parts]
    bodies = ((kind, n, part_body(kind, n, rows)) for kind, n, rows in chunks)
    assert closing["sha256"] == hash_of_parts(bodies)
    assert max(len(value) for _, value in said) <= 256_000
    whole = policy_files.policy_of(1, chunks)
    assert whole.divisions == (await known(pool)).divisions


async def known(pool: Pool) -> Policy:
    read = Policies(pool)
    async with pool.acquire() as connection:
        await read.refresh(connection)
    return read.current


async def test_the_default_is_loaded_once(pool: Pool, tmp_path: Path) -> None:
    await policy_files.load_default(pool, 1, REAL)
    assert await rows(pool, "select version, loaded_by from policy_versions") == [(1, "default")]
    assert read_files(policy_files.files(tmp_path)) == {}


async def test_time_between_the_steps_is_promise_time(pool: Pool, router: Router) -> None:
    await router.hear(Said(receipt(), A), now=NOON + MINUTE)
    await router.order(Said(breach("tier", 1, Tier.GRID), A), now=NOON + HOUR)
    at = await rows(pool, "select at from history order by seq")
    assert at == [(NOON + MINUTE,), (NOON + HOUR,)]
