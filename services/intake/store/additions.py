"""What residents say later: supplements and urgings in one table, ratings in another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.additions import Addition, Later, Rating
from shared.events import RatingReason
from shared.postgres import Transaction


class KeptAddition(NamedTuple):
    """What was kept under an idempotency key."""

    id: UUID
    received_at: datetime
    body_hash: bytes | None


async def add(tx: Transaction, petition_id: UUID, added: Addition, seq: int | None) -> bool:
    """Keep what a resident added; False if there is something under its key already.

    `seq` is of its event, None where it waits until the petition is read.
    """
    new = await tx.fetchval(
        """
        insert into supplements (petition_id, said, seq, id, text, received_at, idempotency_key,
                                 body_hash, traceparent, urges)
        values ($1, $2::int is not null, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict (petition_id, idempotency_key) where idempotency_key is not null do nothing
        returning id
        """,
        petition_id,
        seq,
        *added,
    )
    return new is not None


async def of_key(tx: Transaction, petition_id: UUID, key: str) -> KeptAddition | None:
    """What was added to a petition under this key."""
    row = await tx.fetchrow(
        """
        select id, received_at, body_hash from supplements
        where petition_id = $1 and idempotency_key = $2
        """,
        petition_id,
        key,
    )
    return None if row is None else KeptAddition(*row.values())


class Urgings(NamedTuple):
    """How often a resident urged, and how often of that since a moment."""

    so_far: int
    lately: int


async def urgings(tx: Transaction, petition_id: UUID, since: datetime) -> Urgings:
    """How often a resident urged, and how often since."""
    row = await tx.fetchrow(
        """
        select count(*), count(*) filter (where received_at >= $2) from supplements
        where petition_id = $1 and urges
        """,
        petition_id,
        since,
    )
    assert row is not None
    return Urgings(*row.values())


async def add_rating(
    tx: Transaction, petition_id: UUID, ending: int, seq: int, rating: Rating
) -> None:
    """Keep a rating of this ending of a case; `seq` is of its event."""
    await tx.execute(
        """
        insert into ratings (petition_id, ending, seq, id, solved, satisfied, reason, text,
                             received_at, idempotency_key, body_hash, traceparent)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """,
        petition_id,
        ending,
        seq,
        *rating,
    )


class KeptRating(NamedTuple):
    """A rating, and which ending of its case it is about."""

    id: UUID
    ending: int
    solved: bool
    satisfied: bool
    reason: RatingReason | None
    text: str | None
    received_at: datetime
    idempotency_key: str | None
    body_hash: bytes | None


async def ratings(tx: Transaction, petition_id: UUID) -> list[KeptRating]:
    """The ratings of a petition, one for each ending that was rated."""
    rows = await tx.fetch(
        """
        select id, ending, solved, satisfied, reason, text, received_at, idempotency_key, body_hash
        from ratings where petition_id = $1 order by ending
        """,
        petition_id,
    )
    return [KeptRating(*row.values()) for row in rows]


async def said_later(tx: Transaction, ids: Sequence[UUID]) -> list[Later]:
    """What was said of these petitions after their receipts."""
    rows = await tx.fetch(
        """
        select petition_id, id, seq, received_at, traceparent, urges,
               null::boolean as solved, null::boolean as satisfied, null::text as reason
        from supplements where petition_id = any($1::uuid[]) and said
        union all
        select petition_id, id, seq, received_at, traceparent, false, solved, satisfied, reason
        from ratings where petition_id = any($1::uuid[])
        """,
        list(ids),
    )
    return [Later(*row.values()) for row in rows]
