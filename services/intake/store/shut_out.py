"""Whom the router shuts out of cases, as its snapshots say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.petitions import ShutOut
from shared.events import Order
from shared.postgres import Transaction


class Said(NamedTuple):
    """Who is shut out of a case, or that nobody is, and its place among what was said of it."""

    petition_id: UUID
    order: Order
    who: ShutOut


async def keep_newest(tx: Transaction, said: Sequence[Said]) -> None:
    """Keep who is shut out of these cases, unless something newer is known.

    That nobody is, is kept only where somebody was.
    """
    # One statement may not write the same row twice: the last of each is sent.
    last = {one.petition_id: one for one in sorted(said, key=lambda one: one.order)}.values()
    await tx.execute(
        """
        insert into shut_out as s (petition_id, division, office, epoch, seq)
        select * from unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::int[])
            as said (petition_id, division, office, epoch, seq)
        where coalesce(division, office) is not null
            or exists (select from shut_out known where known.petition_id = said.petition_id)
        on conflict (petition_id) do update
            set division = excluded.division, office = excluded.office, epoch = excluded.epoch,
                seq = excluded.seq
            where (s.epoch, s.seq) < (excluded.epoch, excluded.seq)
        """,
        [one.petition_id for one in last],
        [one.who.division for one in last],
        [one.who.office for one in last],
        [one.order.epoch for one in last],
        [one.order.seq for one in last],
    )
