"""Receipts: how far each petition got, and the seq of what intake said last about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.additions import Ending
from services.intake.decisions.courses import Course
from services.intake.decisions.petitions import Part
from services.intake.decisions.wording import Receipt
from shared.events import Order, Stage
from shared.postgres import Transaction


class Held(NamedTuple):
    """The seq of what intake said last about a petition, 0 before it was read; how it ended."""

    said_seq: int
    ending: Ending


async def hold(tx: Transaction, petition_id: UUID) -> Held:
    """The receipt of a petition, locked: whoever says the next event about it goes alone.

    Whoever locks the petition in the reading queue too does that first.
    """
    row = await tx.fetchrow(
        """
        select said_seq, stage, closed_at, coalesce(reopened, 0) from receipts
        where petition_id = $1 for update
        """,
        petition_id,
    )
    assert row is not None
    said_seq, *ending = row.values()
    return Held(said_seq, Ending(*ending))


async def note_said(tx: Transaction, petition_id: UUID, seq: int) -> None:
    """This is the seq of what was said last about a petition, whose receipt is held."""
    await tx.execute("update receipts set said_seq = $2 where petition_id = $1", petition_id, seq)


class Registered(NamedTuple):
    """By which division or office a petition was registered for the person, and when it came."""

    division: str
    office: str | None
    came_at: datetime
    reference: str | None


class Said(NamedTuple):
    """What was said, for a number to call."""

    category: str | None
    subject: str | None
    text: str


class Found(NamedTuple):
    """A petition that somebody asks for by its number, and the code they must know.

    `decided`: the category that a person gave it. `handed_over`: an outside body has taken it over.
    """

    petition_id: UUID
    query_code: str
    said: Said
    receipt: Receipt
    registered: Registered | None
    decided: str | None = None
    handed_over: bool = False


async def by_number(tx: Transaction, number: str) -> Found | None:
    """The receipt of a public number."""
    row = await tx.fetchrow(
        """
        select p.id, p.query_code, p.category, p.subject, p.text,
               p.number, p.received_at, r.read_at, r.published_at,
               r.routed_at, r.unit, r.stage, r.next_deadline,
               r.next_step, r.next_by, r.if_missed, r.paused, r.paused_until, r.answer_until,
               r.called_back, r.not_accepted, r.closed_at, r.reopened, r.policy,
               g.division, g.office, g.came_at, g.reference, l.category as decided, r.handed_over
        from petitions p join receipts r on r.petition_id = p.id
            left join registrations g on g.petition_id = p.id
            left join labels l on l.petition_id = p.id
        where p.number = $1
        """,
        number,
    )
    if row is None:
        return None
    petition_id, query_code, category, subject, text, *rest = row.values()
    *rest, division, office, came_at, reference, decided, over = rest
    n = len(Course._fields)
    receipt = replace(Receipt(*rest[:-n]), course=Course(*rest[-n:]))
    registered = division and Registered(division, office, came_at, reference)
    said = Said(category, subject, text)
    return Found(petition_id, query_code, said, receipt, registered, decided, over)


class News(NamedTuple):
    """What a batch of snapshots says about one petition; the times are promise time."""

    petition_id: UUID
    order: Order
    unit: str
    stage: Stage
    next_deadline: datetime | None
    published_at: datetime | None
    routed_at: datetime
    parts: tuple[Part, ...] = ()
    handed_over: bool = False
    course: Course = Course()


async def keep_newest(tx: Transaction, news: Sequence[News]) -> set[UUID]:
    """Bring receipts up to date, unless they know of something newer; says which changed."""
    rows = await tx.fetch(
        """
        update receipts r set
            epoch = news.epoch, seq = news.seq, unit = news.unit, stage = news.stage,
            next_deadline = news.next_deadline,
            offices = string_to_array(news.offices, chr(31)),
            handed_over = r.handed_over or news.handed_over,
            next_step = news.next_step, next_by = news.next_by, if_missed = news.if_missed,
            paused = news.paused, paused_until = news.paused_until,
            answer_until = news.answer_until, called_back = news.called_back,
            not_accepted = news.not_accepted, closed_at = news.closed_at,
            reopened = news.reopened, policy = news.policy,
            published_at = coalesce(r.published_at, news.published_at),
            routed_at = coalesce(r.routed_at, news.routed_at)
        from unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::text[], $6::timestamptz[],
                    $7::timestamptz[], $8::timestamptz[], $9::text[], $10::boolean[],
                    $11::text[], $12::timestamptz[], $13::text[], $14::text[], $15::timestamptz[],
                    $16::timestamptz[], $17::text[], $18::text[], $19::timestamptz[], $20::int[],
                    $21::int[])
            as news (petition_id, epoch, seq, unit, stage, next_deadline, published_at, routed_at,
                     offices, handed_over, next_step, next_by, if_missed, paused, paused_until,
                     answer_until, called_back, not_accepted, closed_at, reopened, policy)
        where r.petition_id = news.petition_id and (r.epoch, r.seq) < (news.epoch, news.seq)
        returning r.petition_id
        """,
        [one.petition_id for one in news],
        [one.order.epoch for one in news],
        [one.order.seq for one in news],
        [one.unit for one in news],
        [one.stage for one in news],
        [one.next_deadline for one in news],
        [one.published_at for one in news],
        [one.routed_at for one in news],
        # An array of arrays must be a rectangle: the offices of each travel as one text.
        ["\x1f".join("/".join(part) for part in one.parts) or None for one in news],
        [one.handed_over for one in news],
        *map(list, zip(*(one.course for one in news), strict=True)),
    )
    return {row["petition_id"] for row in rows}
