"""What dispatchers said a petition is about: the examples that a model is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.reading import ToRead
from shared.events import CategoryCode, Order
from shared.postgres import Transaction


class Labelled(NamedTuple):
    """A petition's words, and the category that a person gave it."""

    petition: ToRead
    category: CategoryCode


class Said(NamedTuple):
    """The category that a person gave, and its place among what was said of the case."""

    petition_id: UUID
    category: CategoryCode
    order: Order


async def keep_labels(tx: Transaction, said: Sequence[Said]) -> None:
    """Keep what persons said of petitions that are here; who says otherwise later is believed."""
    # One statement may not write the same row twice: the last of each is sent.
    last = {one.petition_id: one for one in sorted(said, key=lambda one: one.order)}.values()
    await tx.execute(
        """
        insert into labels (petition_id, category, epoch, seq)
        select petition_id, said.category, epoch, seq
        from unnest($1::uuid[], $2::text[], $3::int[], $4::int[])
            as said (petition_id, category, epoch, seq)
        where exists (select from petitions where id = petition_id)
        on conflict (petition_id) do update
            set category = excluded.category, epoch = excluded.epoch, seq = excluded.seq,
                said_at = clock_timestamp()
            where (labels.epoch, labels.seq) < (excluded.epoch, excluded.seq)
        """,
        [one.petition_id for one in last],
        [one.category for one in last],
        [one.order.epoch for one in last],
        [one.order.seq for one in last],
    )


async def all_labels(tx: Transaction) -> list[Labelled]:
    """Every petition that has a label, the oldest first."""
    rows = await tx.fetch(
        """
        select text, kind, coalesce(subject, '') as subject, labels.category
        from labels join petitions on id = petition_id order by id
        """
    )
    return [Labelled(ToRead(row[0], row[1], row[2]), row[3]) for row in rows]
