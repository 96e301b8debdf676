"""The census of cases: the router counts what it holds, and says again what others missed.

It also compares what intake says of its petitions, and asks for those that it never heard of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.router import store
from services.router.decisions.case import Case, fingerprint_of
from services.router.decisions.commands import Changed, Republish
from services.router.decisions.workflow import decide
from services.router.handlers import stuck
from services.router.handlers.policies import Policies
from services.router.handlers.steps import Step, Steps
from services.router.metrics import CASES_UNKNOWN, REPUBLISHED
from shared import census
from shared.census import LAST, Page, Voice
from shared.clock import Clock, wall
from shared.events import Counted, Topic, derived_id
from shared.hearing import Batch
from shared.identity import service_actor
from shared.postgres import Transaction

ROUTER = service_actor("router")


@dataclass(frozen=True, slots=True)
class Census:
    """What the router does for the census."""

    policies: Policies
    epoch: int
    clock: Clock

    @property
    def voice(self) -> Voice:
        """How this process speaks."""
        return Voice("router", self.epoch, self.clock.name)

    async def walk_on(self, tx: Transaction) -> bool:
        """Say the next page of cases; False when the walk rests."""
        return await census.walk_on(tx, Topic.ROUTER, count, self.voice, self.clock.now())

    async def hear(self, batch: Batch, tx: Transaction, now: datetime) -> None:
        """Say again what a listener missed; compare what intake counted."""
        if missed := await census.reported(tx, batch):
            await self.republish(tx, [one.id for one in missed], batch, now)
        found = await census.compared(tx, batch, store.census.heard, epochs=False)
        await census.report(tx, Topic.ROUTER, found.differing, self.voice, now)

    async def republish(
        self, tx: Transaction, ids: list[UUID], batch: Batch, now: datetime
    ) -> None:
        """The whole case again, with its next seq: a listener takes only what is newer."""
        cases = await store.cases.locked(tx, ids)
        await self.policies.need(tx, {case.policy for case in cases.values()})
        steps = Steps(now, self.epoch, self.clock, self.policies)
        for case in cases.values():
            decision = decide(case, Republish(), ROUTER, self.policies.of(case.policy), now)
            assert isinstance(decision, Changed)
            event_id = derived_id("republished", case.id, case.epoch, case.seq)
            steps.take(Step(case, decision, ROUTER, event_id, f"census:{batch.topic}"))
        await steps.save(tx)
        REPUBLISHED.inc(len(cases))
        CASES_UNKNOWN.inc(len(ids) - len(cases))


async def count(tx: Transaction, after: UUID, most: int) -> Page:
    """The next cases that are open, or were closed not long ago; where they wait is set right."""
    cases = await store.census.counted_after(tx, after, most, wall())
    await stuck.mend(tx, cases)
    last = len(cases) < most
    return Page(after, LAST if last else cases[-1].id, list(map(counted, cases)), last)


def counted(case: Case) -> Counted:
    """What whoever hears the router must know of a case."""
    return Counted(
        id=case.id,
        epoch=case.epoch,
        seq=case.seq,
        fingerprint=fingerprint_of(case),
        closed=not case.is_open,
    )
