"""What the census asks of the cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.router.decisions.case import Case, case_of
from shared.census import Known
from shared.events import Order
from shared.hearing.decoding import MOST
from shared.postgres import Transaction

MOST_STRANGERS = 20_000


async def counted_after(tx: Transaction, after: UUID, most: int, at: datetime) -> list[Case]:
    """The next cases that are open or were closed not long before `at`, in the order of their ids.

    Those that were counted long enough are so for the last time.
    """
    rows = await tx.fetch(
        """
        with closed as (
            select case_id, doc, counted_until from cases
            where counted_until is not null and case_id > $1 order by case_id limit $2
            for update skip locked)
        select * from closed
        union all
        (select case_id, doc, null from cases
         where open and case_id > $1 order by case_id limit $2)
        order by case_id limit $2
        """,
        after,
        most,
    )
    over = [row["case_id"] for row in rows if row["counted_until"] and row["counted_until"] < at]
    if over:
        await tx.execute(
            "update cases set counted_until = null where case_id = any($1::uuid[])", over
        )
    return [case_of(row["doc"]) for row in rows]


async def heard(
    tx: Transaction, ids: Sequence[UUID], after: UUID, up_to: UUID
) -> Mapping[UUID, Known]:
    """How much was heard of these petitions, and of all between two ids.

    Only seqs are compared: a petition that waits behind a parked event is all known.
    """
    rows = await tx.fetch(
        """
        select case_id, (doc -> 'heard' ->> 1)::int as seq from cases
        where case_id = any($1::uuid[])
        union
        (select case_id, (doc -> 'heard' ->> 1)::int from cases
         where case_id > $2 and case_id <= $3 order by case_id limit $4)
        union all
        select case_id, $5::int from blocked_cases where case_id = any($1::uuid[])
        """,
        list(ids),
        after,
        up_to,
        MOST_STRANGERS,
        MOST,
    )
    seqs: dict[UUID, int] = {}
    for row in rows:
        seqs[row["case_id"]] = max(row["seq"], seqs.get(row["case_id"], 0))
    return {id_: Known(Order(1, seq), None, open=True) for id_, seq in seqs.items()}
