"""Save decided steps in one transaction, whatever brought them: a batch or one HTTP command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from services.router import store
from services.router.decisions.case import (
    Case,
    but,
    changed_fields,
    document,
    duties,
    snapshot,
)
from services.router.decisions.commands import Changed
from services.router.decisions.scores import tallied
from services.router.decisions.stuck import Wait, waits
from services.router.handlers.policies import Policies
from services.router.store.history import HistoryRow
from shared import outbox, tally
from shared.clock import Clock
from shared.divisions import CITY
from shared.events import CASE_EVENTS, CaseChanged, Change, Envelope, Order, Topic, promise_of
from shared.hearing import Fenced
from shared.identity import SYSTEM, Actor
from shared.outbox import Saying
from shared.postgres import Transaction

SOURCE = "casegrid/router"
KEPT_WHOLE = 100
"""Every step whose seq this divides keeps the whole case: so many are read to know one step."""


@dataclass(frozen=True, slots=True)
class Step:
    """A decided change of one case, and what caused it."""

    before: Case | None
    changed: Changed
    actor: Actor
    event_id: UUID
    caused_by: str
    order: UUID | None = None
    appended_at: datetime | None = None
    traceparent: str | None = None


@dataclass(slots=True)
class Steps:
    """The steps of one transaction, in order; a case may take several."""

    now: datetime
    epoch: int
    clock: Clock
    policies: Policies
    taken: list[Step] = field(default_factory=list)
    first: dict[UUID, Case | None] = field(default_factory=dict)
    last: dict[UUID, Case] = field(default_factory=dict)

    def take(self, step: Step) -> Case:
        """One step more; returns the case after it.

        In a new epoch, after this database was restored, the events of a case count from one.
        """
        case = step.changed.case
        if case.epoch != self.epoch:
            case = but(case, epoch=self.epoch, seq=1)
            step = replace(step, changed=replace(step.changed, case=case))
        self.first.setdefault(case.id, step.before)
        self.last[case.id] = case
        self.taken.append(step)
        return case

    def hear(self, case: Case, heard: Order) -> Case:
        """An event of its petition that changes nothing, and of which nothing is said."""
        self.first.setdefault(case.id, case)
        self.last[case.id] = but(case, heard=heard)
        return self.last[case.id]

    async def save(self, tx: Transaction) -> None:
        """Everything that these steps change, with as many statements for 200 cases as for one."""
        if not self.last:
            return
        new = [case for id_, case in self.last.items() if self.first[id_] is None]
        old = [case for id_, case in self.last.items() if self.first[id_] is not None]
        documents = {case.id: document(case) for case in self.last.values()}
        if new:
            await self.insert(tx, new, documents)
        if old:
            await store.cases.update(tx, old, documents)
            await store.queues.forget_duties(tx, [case.id for case in old])
        await store.queues.add_duties(tx, list(self.last.values()))
        await self.wait(tx)
        await store.history.add(tx, [self.row(step, documents) for step in self.taken])
        await outbox.append(tx, [self.saying(step) for step in self.taken])
        await tally.add(tx, self.counts())

    async def insert(
        self, tx: Transaction, cases: Sequence[Case], documents: Mapping[UUID, str]
    ) -> None:
        """Keep new cases; another process that opened one meanwhile fences us off."""
        try:
            await store.cases.insert(tx, cases, documents)
        except asyncpg.UniqueViolationError as raced:
            raise Fenced("a case was opened by another process at the same moment") from raced

    async def wait(self, tx: Transaction) -> None:
        """Where cases wait, of those alone that wait for something else than before."""
        befores = {id_: waits_of(self.first[id_]) for id_ in self.last}
        afters = {id_: waits(case) for id_, case in self.last.items()}
        moved = [id_ for id_, before in befores.items() if before != afters[id_]]
        if left := [id_ for id_ in moved if befores[id_]]:
            await store.waiting.forget(tx, left)
        if joined := {id_: afters[id_] for id_ in moved if afters[id_]}:
            await store.waiting.add(tx, joined)

    def row(self, step: Step, documents: Mapping[UUID, str]) -> HistoryRow:
        """The step as the history keeps it: what it set; of a new case the whole document."""
        case = step.changed.case
        opened = step.before is None and self.last[case.id] is case
        return HistoryRow(
            case_id=case.id,
            seq=case.seq,
            epoch=case.epoch,
            version=case.version,
            at=self.now,
            event=step.changed.event,
            transitions=step.changed.transitions,
            rule=step.changed.rule,
            actor=step.actor.subject,
            role=acting_role(step.actor),
            division=step.actor.division,
            caused_by=step.caused_by,
            detail=orjson.dumps(step.changed.detail).decode(),
            changed=documents[case.id] if opened else changed_fields(step.before, case).decode(),
            whole=None if case.seq % KEPT_WHOLE else document(case),
        )

    def saying(self, step: Step) -> Saying:
        """The step as the other services hear it."""
        case = step.changed.case
        type_ = CASE_EVENTS[step.changed.event]
        change = Change(
            transitions=step.changed.transitions,
            rule=step.changed.rule,
            role=acting_role(step.actor),
            division=None if step.actor.division == CITY else step.actor.division,
            order=step.order,
            appended_at=step.appended_at,
        )
        unit = self.policies.unit_of(case)
        return Saying(
            Topic.ROUTER,
            Envelope(
                event_id=step.event_id,
                type=type_,
                source=SOURCE,
                subject=str(case.id),
                order=Order(case.epoch, case.seq),
                occurred_at=self.now,
                caused_by=step.caused_by,
                clock=self.clock.name,
                traceparent=step.traceparent,
            ),
            CaseChanged(type=type_, case=snapshot(case, unit), change=change),
        )

    def counts(self) -> Counter[tuple[str, str]]:
        """The net change of every count."""
        deltas: Counter[tuple[str, str]] = Counter()
        for id_, after in self.last.items():
            before = self.first[id_]
            if before is not None:
                deltas.subtract(counted(before))
            deltas.update(counted(after))
        for step in self.taken:
            deltas.update(tallied(step.before, step.changed.case))
            if step.changed.event == "promoted" and step.before is not None:
                deltas["promoted", f"{step.before.tier}/{step.before.track}"] += 1
        return deltas


def waits_of(case: Case | None) -> tuple[Wait, ...]:
    """Where a case waits; one that is not there yet waits nowhere."""
    return () if case is None else waits(case)


def acting_role(actor: Actor) -> str:
    """The role that an event may name: one, and never a person."""
    return SYSTEM if SYSTEM in actor.roles else ",".join(sorted(actor.roles))


def counted(case: Case) -> Counter[tuple[str, str]]:
    """Where an open case counts: its queue, its tier and track, the clocks others own on it."""
    if not case.is_open:
        return Counter()
    tier = case.tier or CITY
    counts = Counter(
        {
            ("queue", f"{case.holder}/{case.stage}"): 1,
            ("open", f"{tier}/{case.track}/{case.stage}"): 1,
        }
    )
    if case.office is not None:
        counts["office", f"{case.holder}/{case.office}/{case.stage}"] = 1
    for wait in waits(case):
        counts["waiting", wait.key] = 1
    for duty in duties(case):
        promise = promise_of(duty.clock)
        if duty.office is None:
            counts["owned", f"{duty.division}/{promise}"] += 1
        else:
            counts["office owned", f"{duty.division}/{duty.office}/{promise}"] += 1
    return counts
