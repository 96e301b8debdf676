"""Digests get into the lists of their desks, a person takes note, and what nobody notes rises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.escalation.decisions import RISES_AFTER, Accused, Digest, raised
from services.escalation.handlers.sayings import notice_saying
from services.escalation.metrics import RAISED
from services.escalation.store import notices
from services.escalation.store.notices import Acknowledged, Posted, Unheeded
from shared import outbox, postgres, tally
from shared.clock import Clock
from shared.events import Order, derived_id
from shared.outbox import Saying
from shared.postgres import Transaction
from shared.service import Process, Timer

PAGE = 200
REAL = Clock().name


async def post(
    tx: Transaction, told: Sequence[Digest], now: datetime, epoch: int, clock: str
) -> list[Saying]:
    """Put these digests into the lists of their offices, and say so."""
    if not told:
        return []
    subjects = [digest.desk.subject for digest in told]
    seqs = await notices.next_seqs(tx, Counter(subjects))
    posted: list[Posted] = []
    sayings: list[Saying] = []
    for subject, digest in zip(subjects, told, strict=True):
        order = Order(epoch, seqs[subject])
        seqs[subject] += 1
        notice = Posted(derived_id("notice", subject, *order), digest, now)
        posted.append(notice)
        sayings.append(notice_saying(notice, order, clock))
    await notices.insert(tx, posted)
    await tally.add(tx, Counter(("notices", digest.reason) for digest in told))
    return sayings


async def acknowledge(tx: Transaction, posted: Posted, who: Acknowledged) -> Posted:
    """The notice, acknowledged; the first person to do so stays. `posted` is locked by `tx`."""
    if posted.acknowledged is not None:
        return posted
    await notices.acknowledge(tx, posted.id, who)
    await tally.add(tx, Counter({("notices", posted.digest.reason): -1}))
    return posted._replace(acknowledged=who)


# ---------------------------------------------------------------- one level up


class Risen(NamedTuple):
    """How many notices were found to stand too long, and what the desks above are told of them."""

    taken: int = 0
    digests: Sequence[Digest] = ()


async def raise_once(tx: Transaction, now: datetime, clock: str = REAL) -> Risen:
    """Raise a page of what nobody took note of by `now` (promise time), the oldest first.

    Each once. It rises no further when somebody on its way, below or above, took note meanwhile.
    """
    taken = await notices.take_unheeded(tx, now - RISES_AFTER, PAGE)
    if not taken:
        return Risen()
    told = await told_above(tx, [one for one in taken if not one.heeded])
    await notices.mark_unheeded(tx, [one.posted.id for one in taken], now)
    if told:
        await outbox.append(tx, await post(tx, told, now, await outbox.epoch(tx), clock))
    return Risen(len(taken), told)


async def told_above(tx: Transaction, rising: Sequence[Unheeded]) -> list[Digest]:
    """The digests for the desks above these notices, past those whom their cases accuse by now."""
    cases = {case_id for one in rising for case_id in one.posted.digest.cases}
    accused = await notices.accused_of(tx, list(cases)) if cases else {}
    up = [raised(one.posted.id, one.posted.digest, named(one, accused)) for one in rising]
    return [digest for digest in up if digest is not None]


def named(one: Unheeded, accused: Mapping[UUID, Accused]) -> list[Accused]:
    """Whom the cases accuse that a notice names."""
    return [accused[case_id] for case_id in one.posted.digest.cases if case_id in accused]


async def step(process: Process) -> float:
    """A page; then at once the next, or each second."""
    now = process.clock.now()
    async with postgres.transaction(process.pool, "timer") as tx:
        risen = await raise_once(tx, now, process.clock.name)
    for digest in risen.digests:
        RAISED.labels(digest.reason).inc()
    if risen.digests:
        process.wake_relay.call()
    return 0.0 if risen.taken == PAGE else 1.0


RAISE = Timer("raise notices", "sweep", step)
