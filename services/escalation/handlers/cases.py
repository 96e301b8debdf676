"""Snapshots of the router arm the clocks of their cases; only a greater (epoch, seq) does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.escalation.decisions import (
    Armed,
    News,
    answered,
    arm,
    asked,
    commanded,
    counted_as,
    digests,
)
from services.escalation.handlers.notices import REAL, end_of_closed, post
from services.escalation.store import armed, orders
from shared import hearing, outbox, tally
from shared.events import CASE_EVENTS, CaseChanged
from shared.hearing import Batch, Unreadable
from shared.postgres import Transaction

Change = tuple[Armed | None, Armed]


async def handle(batch: Batch, tx: Transaction, now: datetime, clock: str = REAL) -> None:
    """Arm the cases of a batch as their last snapshots say, and close the orders they answer.

    Whoever is asked for something is told. Lateness is the sweep's to find: at `now` (promise time)
    notices are posted and end. `clock`: the name of the clock that it was read from.
    """
    latest, whistles, answers, strange = read(batch)
    if strange:
        await hearing.park(tx, strange)
    # The first event of a case is its first here too, unless it comes a second time.
    known = [case_id for case_id, news in latest.items() if news.order.seq > 1]
    before = await armed.load(tx, known) if known else {}
    new = [arm(None, news) for case_id, news in latest.items() if case_id not in before]
    inserted = await armed.insert(tx, new) if new else set()
    if len(inserted) < len(new):
        before |= await armed.load(tx, [a.case_id for a in new if a.case_id not in inserted])
    updated = [
        (old, after)
        for case_id, old in before.items()
        if (after := arm(old, latest[case_id])) is not old
    ]
    if updated:
        await armed.update(tx, [after for _, after in updated])
    changes: list[Change] = [*((None, a) for a in new if a.case_id in inserted), *updated]
    await count(tx, changes)
    for old, after in updated:
        answers += answered(old, after)
    if answers:
        await orders.delete(tx, answers)
    closed = [after.case_id for old, after in updated if old.open and not after.open]
    if closed:
        await end_of_closed(tx, closed, now)
    new_whistles = [
        one
        for one in whistles
        if one.case_id not in before or one.order > before[one.case_id].order
    ]
    await tell(tx, changes, new_whistles, now, clock)


async def tell(
    tx: Transaction, changes: Sequence[Change], whistles: Sequence[News], now: datetime, clock: str
) -> None:
    """Whoever is asked for something by these is told, in one digest per desk and clock."""
    told = [notice for before, after in changes for notice in asked(before, after)]
    told += [notice for news in whistles for notice in commanded(arm(None, news))]
    if told:
        epoch = await outbox.epoch(tx)
        await outbox.append(tx, await post(tx, digests(told), now, epoch, clock))


def read(batch: Batch) -> tuple[dict[UUID, News], list[News], list[UUID], list[Unreadable]]:
    """The last snapshot of each case, whistles, orders that were answered by name, strangers."""
    latest: dict[UUID, News] = {}
    whistles: list[News] = []
    answers: list[UUID] = []
    strange: list[Unreadable] = []
    for record, envelope, data in batch.events:
        assert isinstance(data, CaseChanged)
        try:
            case_id = UUID(envelope.subject)
        except ValueError:
            strange.append(Unreadable(record, "the subject is no case id"))
            continue
        if data.change.order is not None:
            answers.append(data.change.order)
        news = News(case_id, envelope.order, envelope.occurred_at, data.case, envelope.traceparent)
        if data.type == CASE_EVENTS["whistled"]:
            whistles.append(news)
        last = latest.get(case_id)
        if last is None or news.order > last.order:
            latest[case_id] = news
    return latest, whistles, answers, strange


async def count(tx: Transaction, changes: Sequence[Change]) -> None:
    """Move these cases in the counts of open and due."""
    deltas: Counter[tuple[str, str]] = Counter()
    for before, after in changes:
        was, now = counted_as(before), counted_as(after)
        if was != now:
            for key in was:
                deltas[key] -= 1
            for key in now:
                deltas[key] += 1
    await tally.add(tx, deltas)
