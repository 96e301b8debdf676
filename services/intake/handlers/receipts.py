"""Receipts follow the case: one update per batch, with the newest snapshot of each case in it.

What a person said a petition is about is kept too: the reading learns from it. So is who is shut
out of it: an accused whom a dispatcher names may not see its words from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from uuid import UUID

from services.intake.decisions.courses import course_of, moment
from services.intake.decisions.petitions import Part, ShutOut, accepted_at
from services.intake.metrics import ACCEPT_TO_ROUTED, REPLY_SECONDS, UPDATED
from services.intake.store import labels, shut_out
from services.intake.store import receipts as store
from services.intake.store.labels import Said
from services.intake.store.receipts import News
from shared import hearing
from shared.clock import Clock, wall
from shared.events import CaseChanged, CaseSnapshot
from shared.hearing import Batch, Done, Heard, Unreadable
from shared.postgres import Transaction

OPENED = "casegrid.case.opened.v1"
REPLIED = "casegrid.case.replied.v1"
CLASSIFIED = "casegrid.case.classified.v1"
HANDED_OVER = "casegrid.case.handed_over.v1"


async def on_case_changed(
    batch: Batch, tx: Transaction, now: datetime, clock: Clock
) -> Done | None:
    """Keep the newest snapshot of each case, and when it was published and first routed."""
    known, strangers = by_petition(batch)
    await hearing.park(tx, strangers)
    if not known:
        return None
    news: dict[UUID, News] = {}
    for petition_id, heard in known:
        news[petition_id] = newer(news.get(petition_id), told(petition_id, heard, clock))
    changed = await store.keep_newest(tx, list(news.values()))
    if labelled := [label for one in known if (label := said(*one))]:
        await labels.keep_labels(tx, labelled)
    if hidden := [who for one in known if (who := shut_out_of(*one))]:
        await shut_out.keep_newest(tx, hidden)
    opened = {petition_id for petition_id, heard in known if heard.envelope.type == OPENED}
    replies = {
        petition_id: (heard.envelope.occurred_at - snapshot_of(heard).started_at).total_seconds()
        for petition_id, heard in known
        if heard.envelope.type == REPLIED and petition_id in changed
    }
    return partial(count, changed, opened & changed, replies, wall())


def by_petition(batch: Batch) -> tuple[list[tuple[UUID, Heard]], list[Unreadable]]:
    """The events of a batch with the petitions they are about, and those that name none."""
    known: list[tuple[UUID, Heard]] = []
    strangers: list[Unreadable] = []
    for heard in batch.events:
        try:
            known.append((UUID(heard.envelope.subject), heard))
        except ValueError:
            strangers.append(Unreadable(heard.record, "the subject is no UUID"))
    return known, strangers


def count(
    changed: set[UUID], opened: set[UUID], replies: Mapping[UUID, float], heard_at: datetime
) -> None:
    """So many receipts more, how long the way to the first office was, and that to a reply."""
    UPDATED.inc(len(changed))
    for petition_id in opened:
        ACCEPT_TO_ROUTED.observe((heard_at - accepted_at(petition_id)).total_seconds())
    for seconds in replies.values():
        REPLY_SECONDS.observe(seconds)


def snapshot_of(heard: Heard) -> CaseSnapshot:
    """The case as an event of the router says it."""
    assert isinstance(heard.data, CaseChanged)
    return heard.data.case


def told(petition_id: UUID, heard: Heard, clock: Clock) -> News:
    """What one snapshot says about a petition."""
    assert isinstance(heard.data, CaseChanged)
    case, appended_at = heard.data.case, heard.data.change.appended_at
    due = case.next_deadline
    published = heard.envelope.type == OPENED and appended_at is not None
    return News(
        petition_id=petition_id,
        order=heard.envelope.order,
        unit=case.unit,
        stage=case.stage,
        next_deadline=None if due is None else moment(case, due),
        # The broker stamps by the wall; residents are told promise time throughout.
        published_at=clock.at(appended_at) if published and appended_at else None,
        routed_at=heard.envelope.occurred_at,
        parts=parts_of(case),
        handed_over=heard.envelope.type == HANDED_OVER,
        course=course_of(case),
    )


def parts_of(case: CaseSnapshot) -> tuple[Part, ...]:
    """The offices that hold a case, or owe something in it."""
    holds = (case.holder, case.office)
    owes = ((clock.owner_division, clock.owner_office) for clock in case.clocks)
    found = [Part(division, office) for division, office in (holds, *owes) if division and office]
    return tuple(dict.fromkeys(found))


def said(petition_id: UUID, heard: Heard) -> Said | None:
    """The category that a person has just given, if that is what happened."""
    assert isinstance(heard.data, CaseChanged)
    category = heard.data.case.category
    if heard.data.type != CLASSIFIED or category is None:
        return None
    return Said(petition_id, category, heard.envelope.order)


def shut_out_of(petition_id: UUID, heard: Heard) -> shut_out.Said | None:
    """Who is shut out, if anybody is, or if a person may have just said that nobody is."""
    assert isinstance(heard.data, CaseChanged)
    case = heard.data.case
    who = ShutOut(case.accused_division, case.accused_office)
    if heard.data.type != CLASSIFIED and not any(who):
        return None
    return shut_out.Said(petition_id, heard.envelope.order, who)


def newer(before: News | None, after: News) -> News:
    """The newest of two snapshots, with the first times of both, and what happened in either."""
    if before is None:
        return after
    newest = after if after.order > before.order else before
    return newest._replace(
        handed_over=before.handed_over or after.handed_over,
        published_at=before.published_at or after.published_at,
        routed_at=min(before.routed_at, after.routed_at),
    )
