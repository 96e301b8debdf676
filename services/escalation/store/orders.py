"""Open orders: those that the router has not answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from services.escalation.decisions import OrderGiven
from shared.divisions import Tier
from shared.postgres import Transaction


class OpenOrder(NamedTuple):
    """An order without an answer; `said` times, next at `next_say_at` (wall time).

    `case_seq` is the last seq said about its case.
    """

    order: OrderGiven
    first_said_at: datetime
    said: int
    next_say_at: datetime
    case_seq: int


async def insert(tx: Transaction, orders: Sequence[OrderGiven], pause: timedelta) -> None:
    """These are said for the first time, and again after `pause` of wall time."""
    await tx.execute(
        """
        insert into orders (order_id, case_id, clock, generation, action, tier, due_at, fired_at,
                            next_say_at)
        select *, clock_timestamp() + $9::interval
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::text[], $6::text[],
                    $7::timestamptz[], $8::timestamptz[])
        on conflict do nothing
        """,
        [o.id for o in orders],
        [o.case_id for o in orders],
        [o.clock for o in orders],
        [o.generation for o in orders],
        [o.action for o in orders],
        [o.tier for o in orders],
        [o.due_at for o in orders],
        [o.fired_at for o in orders],
        pause,
    )


async def delete(tx: Transaction, order_ids: Sequence[UUID]) -> None:
    """These were answered."""
    await tx.execute("delete from orders where order_id = any($1::uuid[])", order_ids)


async def still_open(tx: Transaction, order_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these have no answer yet."""
    rows = await tx.fetch("select order_id from orders where order_id = any($1::uuid[])", order_ids)
    return {row["order_id"] for row in rows}


async def take_to_say_again(tx: Transaction, at: datetime, limit: int) -> list[OpenOrder]:
    """Open orders whose pause ended by `at` (wall time), locked with their cases."""
    rows = await tx.fetch(
        """
        select o.order_id, o.case_id, o.clock, o.generation, o.action, o.tier, o.due_at, o.fired_at,
               o.first_said_at, o.said, o.next_say_at, a.order_seq, a.traceparent
        from orders o join armed a using (case_id)
        where o.next_say_at <= $1 order by o.next_say_at limit $2 for update of o, a skip locked
        """,
        at,
        limit,
    )
    return [
        OpenOrder(
            OrderGiven(
                row["order_id"],
                row["case_id"],
                row["clock"],
                row["generation"],
                row["action"],
                Tier(row["tier"]) if row["tier"] else None,
                row["due_at"],
                row["fired_at"],
                row["traceparent"],
            ),
            row["first_said_at"],
            row["said"],
            row["next_say_at"],
            row["order_seq"],
        )
        for row in rows
    ]


async def save(tx: Transaction, orders: Sequence[OpenOrder]) -> None:
    """How often these were said, and when again."""
    await tx.execute(
        """
        update orders o set said = n.said, next_say_at = n.next_say_at
        from unnest($1::uuid[], $2::int[], $3::timestamptz[]) as n (order_id, said, next_say_at)
        where o.order_id = n.order_id
        """,
        [o.order.id for o in orders],
        [o.said for o in orders],
        [o.next_say_at for o in orders],
    )


async def unanswered(tx: Transaction) -> tuple[int, float]:
    """How many orders have no answer, up to 100,000, and how long the oldest has had none.

    In wall seconds, 0 of none. One scan of them.
    """
    row = await tx.fetchrow(
        """
        select least(count(*), 100000) as n,
               coalesce(extract(epoch from clock_timestamp() - min(first_said_at)), 0)::float8
                   as seconds
        from orders
        """
    )
    assert row is not None
    return row["n"], row["seconds"]
