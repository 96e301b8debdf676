"""Ten bugs, planted on purpose, and those that were found: worlds with them must break.

Each is what somebody might write who has not read why it is written otherwise. A harness that
does not find them would not find their like either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from weakref import WeakKeyDictionary

from services.escalation.decisions import Armed, News, Swept
from services.escalation.handlers import cases as escalation_cases
from services.escalation.handlers import sweep as sweeping
from services.router.decisions import clocks, workflow
from services.router.decisions.case import CASE, Case, but
from services.router.decisions.commands import ApplyOrder, Decision
from services.router.decisions.policy import Policy
from services.router.decisions.workflow import ending, officers
from services.router.handlers import petitions
from services.router.store import blocked, cases
from shared import hearing, outbox, postgres
from shared.events import Order, Topic
from shared.hearing import Batch, Handle
from shared.kafka import Consumer, Lane, Record
from shared.kafka.records import record_of
from shared.outbox import RelayRound, Row, Send
from shared.postgres import Transaction
from shared.service import Process, consuming
from tests.simulation import processes
from tests.simulation.scheduling import swapped

Plant = Callable[[], AbstractContextManager[None]]


# ---------------------------------------------------------------- consuming


def positions_outside_the_transaction() -> AbstractContextManager[None]:
    """The position moves in a transaction of its own, before what it stands for."""

    async def commit(process: Process, consumer: Consumer, handle: Handle, batch: Batch) -> None:
        first, after = hearing.next_offsets(batch)
        expected = {partition: consumer.known[partition] for partition in first}
        async with postgres.transaction(process.pool) as tx:
            await hearing.advance(tx, batch.topic, expected, after)
        async with postgres.transaction(process.pool) as tx:
            done = await consuming.hear(batch, tx, process, handle)
        if done is not None:
            done()
        consumer.handled(after)

    return swapped(consuming, "commit", commit)


def no_fence() -> AbstractContextManager[None]:
    """Whoever commits last says where we are."""

    async def advance(
        tx: Transaction, topic: Topic, _: Mapping[int, int], after: Mapping[int, int]
    ) -> None:
        await tx.executemany(
            """
            insert into offsets (topic, partition, next_offset) values ($1, $2, $3)
            on conflict (topic, partition) do update set next_offset = excluded.next_offset
            """,
            [(topic.value, partition, offset) for partition, offset in sorted(after.items())],
        )

    return swapped(hearing, "advance", advance)


def no_guard() -> AbstractContextManager[None]:
    """An event of a petition that came before is taken for the next."""
    sound = petitions.place

    def place(case: Case | None, order: Order) -> Any:
        where = sound(case, order)
        return "next" if where == "duplicate" else where

    return swapped(petitions, "place", place)


def poison_does_not_block() -> AbstractContextManager[None]:
    """What cannot be read is parked, and its petition goes on."""

    async def block(tx: Transaction, case_ids: Sequence[Any], reasons: Sequence[str]) -> None:
        """Nobody waits."""

    return swapped(blocked, "block", block)


def a_share_that_changes_while_it_is_read() -> AbstractContextManager[None]:
    """Records fetched while a rebalance ends are held against the positions of before.

    No plant: it was in the code until the worlds found it. The partition stopped for good, as if
    its log were another one.
    """

    async def batch(self: Consumer, limit: int = 200, timeout_ms: int = 250) -> list[Record]:
        share = self.raw.assignment()
        if share is not self.share:
            self.share = share
            self.placed.clear()
        if new := [p for p in self.assigned() if p not in self.placed]:
            await self.place(new)
        fetched = await self.raw.getmany(timeout_ms=timeout_ms, max_records=limit)
        good = [raws for place, raws in fetched.items() if await self.follows(place, raws)]
        if self.raw.assignment() is not share:
            return []
        return [record_of(self.topic, raw) for raws in good for raw in raws]

    return swapped(Consumer, "batch", batch)


# ---------------------------------------------------------------- relaying


@contextmanager
def relay_skips_what_is_locked() -> Iterator[None]:
    """Two relays share the outbox of a service."""
    sound = outbox.relay_once

    async def oldest(tx: Transaction, resting: Sequence[Lane]) -> list[Row]:
        rows = await tx.fetch("select id from outbox order by id limit 3 for update skip locked")
        found = await sound_oldest(tx, resting)
        mine = {row["id"] for row in rows}
        return [row for row in found if row.id in mine]

    async def relay_once(tx: Transaction, send: Send) -> RelayRound:
        async with tx.transaction():
            return await sound(tx, send)

    async def take_relay(self: processes.Member) -> bool:
        if not self.database.up:
            raise ConnectionRefusedError
        self.relaying = processes.Relaying(await self.database.connection())
        return True

    sound_oldest = outbox.oldest
    with ExitStack() as bugs:
        bugs.enter_context(swapped(outbox, "oldest", oldest))
        bugs.enter_context(swapped(outbox, "relay_once", relay_once))
        bugs.enter_context(swapped(processes.Member, "take_relay", take_relay))
        yield


def relay_reads_on_from_a_cursor() -> AbstractContextManager[None]:
    """The relay goes on after the last id that it has read."""
    last: WeakKeyDictionary[Transaction, int] = WeakKeyDictionary()

    async def oldest(tx: Transaction, resting: Sequence[Lane]) -> list[Row]:
        at = last.get(tx, 0)
        rows = [row for row in await sound(tx, resting) if row.id > at]
        if rows:
            last[tx] = rows[-1].id
        return rows

    sound = outbox.oldest
    return swapped(outbox, "oldest", oldest)


def deleted_before_it_is_acknowledged() -> AbstractContextManager[None]:
    """An outbox row is deleted when it is sent, not when it has arrived."""

    async def relay_once(tx: Transaction, send: Send) -> RelayRound:
        async def deleting(lanes: Mapping[Lane, Any]) -> Any:
            await outbox.delete(tx, [row.id for row in rows])
            return await send(lanes)

        rows = await outbox.oldest(tx, ())
        return await sound(tx, deleting)

    sound = outbox.relay_once
    return swapped(outbox, "relay_once", relay_once)


# ---------------------------------------------------------------- sweeping


def swept_without(**left_out: Any) -> AbstractContextManager[None]:
    """A sweep remembers what it did, and does not say all of it."""
    sound: Callable[..., Swept] = vars(sweeping)["sweep"]

    def sweep(armed: Armed, now: datetime) -> Swept:
        swept = sound(armed, now)._replace(**left_out)
        if "orders" in left_out:
            swept = swept._replace(armed=swept.armed._replace(said=armed.said))
        return swept

    return swapped(sweeping, "sweep", sweep)


def a_breach_without_an_order() -> AbstractContextManager[None]:
    """What is late is noted as done, and the router is not told."""
    return swept_without(orders=())


def a_warning_without_a_notice() -> AbstractContextManager[None]:
    """What is about to be late is noted as warned of, and nobody is."""
    return swept_without(notices=())


# ---------------------------------------------------------------- deciding


def promoted_whatever_the_generation() -> AbstractContextManager[None]:
    """An order is applied though its clock was started anew meanwhile."""
    sound: Callable[..., Decision] = vars(workflow)["answer"]

    def answer(case: Case, order: ApplyOrder, policy: Policy, now: datetime) -> Decision:
        clock = case.clock(order.clock)
        if clock is not None:
            order = replace(order, generation=clock.generation)
        return sound(case, order, policy, now)

    return swapped(workflow, "answer", answer)


def an_older_snapshot_is_armed() -> AbstractContextManager[None]:
    """Escalation takes whatever snapshot comes last."""
    sound: Callable[..., Armed] = vars(escalation_cases)["arm"]

    def arm(before: Armed | None, news: News) -> Armed:
        if before is not None and news.order < before.order:
            before = before._replace(order=Order(0, 0))
        return sound(before, news)

    return swapped(escalation_cases, "arm", arm)


def cases_are_read_without_a_lock() -> AbstractContextManager[None]:
    """Two who change a case at once both go by how it was before."""

    async def locked(tx: Transaction, case_ids: Sequence[UUID]) -> dict[UUID, Case]:
        rows = await tx.fetch(
            "select doc from cases where case_id = any($1::uuid[])", sorted(case_ids)
        )
        found = [CASE.validate_json(row["doc"]) for row in rows]
        return {case.id: case for case in found}

    return swapped(cases, "locked", locked)


def a_clock_is_dropped_on_reassignment() -> AbstractContextManager[None]:
    """A promise whose owner changes is forgotten."""
    sound = clocks.reassign

    def reassign(case: Case, policy: Policy) -> Case:
        after = sound(case, policy)
        kept = [c for c in after.clocks if case.generations[c.name] == after.generations[c.name]]
        return but(after, clocks=tuple(kept))

    return swapped(clocks, "reassign", reassign)


def a_pause_is_over_and_its_promises_stand_still() -> AbstractContextManager[None]:
    """Who ends a pause forgets that promises are to go on."""

    def going_on(case: Case, _: Policy, __: datetime) -> Case:
        return but(clocks.stop(case, (clocks.PAUSE,), case.on_time), pause=None)

    return swapped(clocks, "going_on", going_on)


def a_case_is_opened_again_without_its_promises() -> AbstractContextManager[None]:
    """What was not done after all is open again, and nobody owes anything."""
    sound = ending.reopened

    def reopened(case: Case, policy: Policy, now: datetime) -> Any:
        again, ways = sound(case, policy, now)
        return clocks.drop(again, ("reply", "final_reply", "verify"), now), ways

    return swapped(ending, "reopened", reopened)


def a_task_outlives_what_it_was_for() -> AbstractContextManager[None]:
    """A case ends or moves on, and what others were to do in it stays asked of them."""
    return swapped(officers, "tidied", lambda case, _: case)


BUGS: Final[Mapping[str, Plant]] = {
    bug.__name__: bug
    for bug in (
        positions_outside_the_transaction,
        no_fence,
        no_guard,
        poison_does_not_block,
        a_share_that_changes_while_it_is_read,
        relay_skips_what_is_locked,
        relay_reads_on_from_a_cursor,
        deleted_before_it_is_acknowledged,
        promoted_whatever_the_generation,
        an_older_snapshot_is_armed,
        a_clock_is_dropped_on_reassignment,
        a_breach_without_an_order,
        a_warning_without_a_notice,
        cases_are_read_without_a_lock,
        a_pause_is_over_and_its_promises_stand_still,
        a_case_is_opened_again_without_its_promises,
        a_task_outlives_what_it_was_for,
    )
}
