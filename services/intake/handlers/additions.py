"""What residents say later: kept and said in one transaction, each with the next seq.

Whoever says something of a petition locks it in the reading queue, if it waits there, and then its
receipt, in this order; so each seq is given once, and what a limit counts stands still meanwhile.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

from services.intake.decisions.additions import (
    ENDED,
    URGINGS_A_DAY,
    Addition,
    NoRating,
    Rating,
    Reopening,
    no_rating,
    today,
)
from services.intake.handlers.announcing import Voice
from services.intake.handlers.petitions import OtherBody
from services.intake.store import additions as store
from services.intake.store import reading, receipts
from services.intake.store.additions import KeptAddition, KeptRating
from shared import outbox
from shared.postgres import Transaction


class Kept(NamedTuple):
    """What a resident added is stored; `replayed` when an earlier request with the key did it."""

    id: UUID
    received_at: datetime
    replayed: bool


class TooOften(NamedTuple):
    """Nobody may urge more often on one day; from when he may again (promise time)."""

    again_at: datetime


class NothingToHurry(NamedTuple):
    """The case is closed, or another body's."""


class NotNow(NamedTuple):
    """A case may not be rated now."""

    why: NoRating
    until: datetime | None


Urged: TypeAlias = Kept | OtherBody | TooOften | NothingToHurry
Rated: TypeAlias = Kept | OtherBody | NotNow


async def supplement(
    tx: Transaction, petition_id: UUID, added: Addition, voice: Voice
) -> Kept | OtherBody:
    """Keep what a resident added. It is said at once, or after the petition if that is unread."""
    unread = await reading.waits_to_be_read(tx, petition_id)
    held = await receipts.hold(tx, petition_id)
    return await keep(tx, petition_id, added, None if unread else held.said_seq + 1, voice)


async def urge(tx: Transaction, petition_id: UUID, added: Addition, voice: Voice) -> Urged:
    """Count that a resident urges, while there is something to hurry, so many times a day. [F52]"""
    unread = await reading.waits_to_be_read(tx, petition_id)
    held = await receipts.hold(tx, petition_id)
    if (first := await earlier(tx, petition_id, added)) is not None:
        return first
    if held.ending.stage in ENDED:
        return NothingToHurry()
    began, ends = today(added.received_at)
    if (await store.urgings(tx, petition_id, began)).lately >= URGINGS_A_DAY:
        return TooOften(ends)
    return await keep(tx, petition_id, added, None if unread else held.said_seq + 1, voice)


async def keep(
    tx: Transaction, petition_id: UUID, added: Addition, seq: int | None, voice: Voice
) -> Kept | OtherBody:
    """Keep it, and say it with this seq unless it waits; once under its key."""
    if not await store.add(tx, petition_id, added, seq):
        first = await earlier(tx, petition_id, added)
        assert first is not None, "only a key can have been there before"
        return first
    if seq is not None:
        await receipts.note_said(tx, petition_id, seq)
        said = voice.supplemented(petition_id, added, seq, added.received_at)
        await outbox.append(tx, [said])
    return Kept(added.id, added.received_at, replayed=False)


async def earlier(tx: Transaction, petition_id: UUID, added: Addition) -> Kept | OtherBody | None:
    """The answer that an earlier request with the key was given, if there was one."""
    if added.idempotency_key is None:
        return None
    first = await store.of_key(tx, petition_id, added.idempotency_key)
    return None if first is None else answered(first, added)


async def rate(
    tx: Transaction, petition_id: UUID, rating: Rating, rules: Reopening, voice: Voice
) -> Rated:
    """Keep and say what a resident says of it, once each time that the case ended. [F57]"""
    held = await receipts.hold(tx, petition_id)
    rated = await store.ratings(tx, petition_id)
    for one in rated:
        if one.idempotency_key is not None and one.idempotency_key == rating.idempotency_key:
            return answered(one, rating)
    endings = [one.ending for one in rated]
    why = no_rating(held.ending, endings, rules, rating.received_at)
    # After a restore a receipt may know how the case ended before its petition is said again.
    if why is not None or held.said_seq == 0:
        return NotNow(why or "not_done", held.ending.until(rules))
    seq = held.said_seq + 1
    await store.add_rating(tx, petition_id, held.ending.reopened, seq, rating)
    await receipts.note_said(tx, petition_id, seq)
    await outbox.append(tx, [voice.rated(petition_id, rating, seq, rating.received_at)])
    return Kept(rating.id, rating.received_at, replayed=False)


def answered(first: KeptAddition | KeptRating, again: Addition | Rating) -> Kept | OtherBody:
    """The answer to the first request of a key once more, unless this one says something else."""
    if first.body_hash != again.body_hash:
        return OtherBody()
    return Kept(first.id, first.received_at, replayed=True)
