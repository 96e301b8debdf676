"""Digests get into the lists of their desks, a person takes note, and what nobody notes rises.

What is over ends by itself, and is forgotten in the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.escalation.decisions import KEPT_FOR, RISES_AFTER, Accused, Digest, noted_by, raised
from services.escalation.handlers.sayings import notice_saying
from services.escalation.metrics import RAISED
from services.escalation.store import armed, notices
from services.escalation.store.notices import Acknowledged, Posted, Unheeded
from shared import outbox, postgres, tally
from shared.clock import Clock
from shared.events import Order, derived_id
from shared.outbox import Saying
from shared.postgres import Transaction
from shared.service import Process, Timer

PAGE = 200
FORGOTTEN_AT_ONCE = 1_000
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
    """The notice, acknowledged; the first person to do so stays.

    With it the earlier ones that told this desk of the same promise of these cases. Its cases are
    quiet for a while. They are locked first, as by everybody who locks both.
    """
    digest = posted.digest
    before = await armed.load(tx, digest.cases)
    posted = await notices.take(tx, posted.id) or posted
    if posted.is_over:
        return posted
    await count_over(tx, await notices.acknowledge(tx, posted, who))
    after = [
        noted_by(digest.desk, digest, one, posted.posted_at, who.at) for one in before.values()
    ]
    changed = [one for one in after if one != before[one.case_id]]
    if changed:
        await armed.save_swept(tx, changed)
    return posted._replace(acknowledged=who)


# ---------------------------------------------------------------- over


async def end_of_closed(tx: Transaction, case_ids: Sequence[UUID], now: datetime) -> None:
    """These cases were closed: nobody has to take note of them any more."""
    await count_over(tx, await notices.end_of_closed(tx, case_ids, now))


async def count_over(tx: Transaction, reasons: Mapping[str, int]) -> None:
    """So many notices wait for nobody any more."""
    if reasons:
        await tally.add(tx, Counter({("notices", reason): -n for reason, n in reasons.items()}))


async def forget_once(tx: Transaction, now: datetime) -> int:
    """Delete a page of what was over long ago at `now` (promise time); says how many."""
    return await notices.forget(tx, now - KEPT_FOR, FORGOTTEN_AT_ONCE)


async def forget_old(process: Process) -> float:
    """A page; then at once the next, or each minute."""
    async with postgres.transaction(process.pool, "timer") as tx:
        forgotten = await forget_once(tx, process.clock.now())
    return 0.0 if forgotten == FORGOTTEN_AT_ONCE else 60.0


FORGET = Timer("forget notices", "sweep", forget_old)


# ---------------------------------------------------------------- one level up


class Risen(NamedTuple):
    """How many notices were found to stand too long, and what the desks above are told of them."""

    taken: int = 0
    digests: Sequence[Digest] = ()


async def raise_once(tx: Transaction, now: datetime, clock: str = REAL) -> Risen:
    """Raise a page of what nobody took note of by `now` (promise time), the oldest first.

    Each once. It rises no further when somebody on its way, below or above, took note meanwhile,
    and ends when none of its cases has that promise any more.
    """
    taken = await notices.take_unheeded(tx, now - RISES_AFTER, PAGE)
    if not taken:
        return Risen()
    over = [one.posted for one in taken if one.is_over]
    if over:
        await notices.end(tx, [one.id for one in over], now)
        await count_over(tx, Counter(one.digest.reason for one in over))
    standing = [one for one in taken if not one.is_over]
    told = await told_above(tx, [one for one in standing if not one.heeded])
    await notices.mark_unheeded(tx, [one.posted.id for one in standing], now)
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
