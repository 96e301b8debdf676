"""What the census asks of petitions and receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.petitions import UnreadPetition
from shared.census import Known
from shared.events import Order, Reading
from shared.hearing.decoding import MOST
from shared.postgres import Transaction

MOST_STRANGERS = 20_000
CLOSED = ("closed", "handed_off")
NOT_OURS = Known(Order(MOST, MOST), None, open=True)


class Counted(NamedTuple):
    """A petition, and the seq of what was said last about it."""

    petition_id: UUID
    said_seq: int


async def first_unread(tx: Transaction) -> UUID | None:
    """The oldest petition that nobody has read."""
    found: UUID | None = await tx.fetchval(
        "select petition_id from unread order by petition_id limit 1"
    )
    return found


async def said_between(tx: Transaction, after: UUID, end: UUID, most: int) -> list[Counted]:
    """The next petitions between two ids, of which something was said."""
    rows = await tx.fetch(
        """
        select petition_id, said_seq from receipts
        where petition_id > $1 and petition_id <= $2 and said_seq > 0
        order by petition_id limit $3
        """,
        after,
        end,
        most,
    )
    return [Counted(*row.values()) for row in rows]


async def said(tx: Transaction, ids: Sequence[UUID]) -> list[tuple[UnreadPetition, Reading, int]]:
    """These petitions as they were said: with their first reading, and the policy of it."""
    rows = await tx.fetch(
        """
        select id, number, kind, channel, subject, text, category, place_code, lat, lon,
               place_words, accused, accused_office, accused_unknown, happened_at, received_at,
               contact, traceparent, r.doc::text as doc, r.policy
        from petitions join readings r on r.petition_id = id and r.n = 1
        where id = any($1::uuid[]) order by id
        """,
        list(ids),
    )
    found = []
    for row in rows:
        *petition, doc, policy = row.values()
        found.append((UnreadPetition(*petition), Reading.model_validate_json(doc), policy))
    return found


async def for_census(
    tx: Transaction, ids: Sequence[UUID], after: UUID, up_to: UUID
) -> Mapping[UUID, Known]:
    """The receipts of these petitions, and of all that are open between two ids."""
    rows = await tx.fetch(
        """
        select petition_id, epoch, seq, stage from receipts where petition_id = any($1::uuid[])
        union
        (select petition_id, epoch, seq, stage from receipts
         where petition_id > $2 and petition_id <= $3
             and stage in ('registered', 'assigned', 'signed', 'resolved')
         order by petition_id limit $4)
        """,
        list(ids),
        after,
        up_to,
        MOST_STRANGERS,
    )
    here = {
        row["petition_id"]: Known(
            Order(row["epoch"], row["seq"]), None, row["stage"] not in (None, *CLOSED)
        )
        for row in rows
    }
    # A case whose petition is not here is no receipt that could be mended.
    return dict.fromkeys(ids, NOT_OURS) | here
