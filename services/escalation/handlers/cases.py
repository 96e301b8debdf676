"""Snapshots of the router arm the clocks of their cases; only a greater (epoch, seq) does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.escalation.decisions import Armed, News, answered, arm, counted_as
from services.escalation.handlers.notices import end_of_closed
from services.escalation.store import armed, orders
from shared import hearing, tally
from shared.events import CaseChanged
from shared.hearing import Batch, Unreadable
from shared.postgres import Transaction

Change = tuple[Armed | None, Armed]


async def handle(batch: Batch, tx: Transaction, now: datetime) -> None:
    """Arm the cases of a batch as their last snapshots say, and close the orders they answer.

    Lateness is the sweep's to find: `now` (promise time) is only when the notices of a case end.
    """
    latest, answers, strange = read(batch)
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
    added: list[Change] = [(None, a) for a in new if a.case_id in inserted]
    await count(tx, [*added, *updated])
    for old, after in updated:
        answers += answered(old, after)
    if answers:
        await orders.delete(tx, answers)
    closed = [after.case_id for old, after in updated if old.open and not after.open]
    if closed:
        await end_of_closed(tx, closed, now)


def read(batch: Batch) -> tuple[dict[UUID, News], list[UUID], list[Unreadable]]:
    """The last snapshot of each case, the orders that were answered by name, and strangers."""
    latest: dict[UUID, News] = {}
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
        last = latest.get(case_id)
        if last is None or envelope.order > last.order:
            latest[case_id] = News(
                case_id, envelope.order, envelope.occurred_at, data.case, envelope.traceparent
            )
    return latest, answers, strange


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
