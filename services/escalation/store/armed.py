"""Armed cases: one row each, the clocks as JSON arrays in the order of `decisions.Clock`.

A newer version may keep more at the end of an array: it is read, and written back as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import orjson

from services.escalation.decisions import Armed, Breaks, Clock, Given, breaks, next_at
from shared.divisions import Tier
from shared.events import Order
from shared.postgres import Transaction

MOST_STRANGERS = 20_000
MARKS = Clock._fields.index("warn")
OFFICE = Clock._fields.index("owner_office")
"""Not in the arrays: a version that knows no offices reads and writes them too."""
LATER = Clock._fields.index("later")
GIVEN = Given._fields.index("later")


async def load(tx: Transaction, case_ids: Sequence[UUID]) -> dict[UUID, Armed]:
    """These cases, locked until the transaction ends, in the order that everybody locks in."""
    rows = await tx.fetch(
        """
        select case_id, epoch, seq, changed_at, started_at, tier, holder, accused_division, open,
               clocks, given, order_seq, traceparent, accused_office, owner_offices, track
        from armed where case_id = any($1::uuid[]) order by case_id for update
        """,
        case_ids,
    )
    return {row["case_id"]: armed_of(row) for row in rows}


async def find(tx: Transaction, case_id: UUID) -> Armed | None:
    """A case as it is now, to be shown."""
    row = await tx.fetchrow(
        """
        select case_id, epoch, seq, changed_at, started_at, tier, holder, accused_division, open,
               clocks, given, order_seq, traceparent, accused_office, owner_offices, track
        from armed where case_id = $1
        """,
        case_id,
    )
    return armed_of(row) if row else None


async def for_census(
    tx: Transaction, case_ids: Sequence[UUID], after: UUID, up_to: UUID
) -> list[tuple[Armed, datetime | None, Breaks]]:
    """These cases, and those open between two ids: when each is swept, and what is foreseen."""
    rows = await tx.fetch(
        """
        select case_id, epoch, seq, changed_at, started_at, tier, holder, accused_division, open,
               clocks, given, order_seq, traceparent, accused_office, owner_offices, track,
               next_at, promotes_at, supervises_at, reminds_at
        from armed where case_id = any($1::uuid[])
        union all
        (select case_id, epoch, seq, changed_at, started_at, tier, holder, accused_division, open,
                clocks, given, order_seq, traceparent, accused_office, owner_offices, track,
                next_at, promotes_at, supervises_at, reminds_at
         from armed
         where open and case_id > $2 and case_id <= $3 and not case_id = any($1::uuid[])
         order by case_id limit $4)
        """,
        list(case_ids),
        after,
        up_to,
        MOST_STRANGERS,
    )
    return [
        (
            armed_of(row),
            row["next_at"],
            Breaks(row["promotes_at"], row["supervises_at"], row["reminds_at"]),
        )
        for row in rows
    ]


async def take_due(tx: Transaction, now: datetime, limit: int) -> list[Armed]:
    """The cases that are due at `now`, oldest first, without those that another sweeper holds."""
    rows = await tx.fetch(
        """
        select case_id, epoch, seq, changed_at, started_at, tier, holder, accused_division, open,
               clocks, given, order_seq, traceparent, accused_office, owner_offices, track
        from armed where next_at <= $1 order by next_at limit $2 for update skip locked
        """,
        now,
        limit,
    )
    return [armed_of(row) for row in rows]


async def earliest(tx: Transaction) -> datetime | None:
    """When the next case is due."""
    at: datetime | None = await tx.fetchval(
        "select next_at from armed where next_at is not null order by next_at limit 1"
    )
    return at


async def insert(tx: Transaction, new: Sequence[Armed]) -> set[UUID]:
    """Keep these cases; says which were new."""
    rows = await tx.fetch(
        """
        insert into armed (case_id, epoch, seq, changed_at, started_at, tier, holder,
                           accused_division, open, clocks, given, next_at, traceparent,
                           accused_office, owner_offices, promotes_at, supervises_at, reminds_at,
                           track)
        select * from unnest($1::uuid[], $2::int[], $3::int[], $4::timestamptz[],
                             $5::timestamptz[], $6::text[], $7::text[], $8::text[], $9::bool[],
                             $10::json[], $11::json[], $12::timestamptz[], $13::text[],
                             $14::text[], $15::json[], $16::timestamptz[], $17::timestamptz[],
                             $18::timestamptz[], $19::text[])
        on conflict do nothing returning case_id
        """,
        *columns(new),
    )
    return {row["case_id"] for row in rows}


async def update(tx: Transaction, changed: Sequence[Armed]) -> None:
    """Keep these cases as they are after a snapshot."""
    await tx.execute(
        """
        update armed a
        set epoch = n.epoch, seq = n.seq, changed_at = n.changed_at, started_at = n.started_at,
            tier = n.tier, holder = n.holder, accused_division = n.accused_division,
            open = n.open, clocks = n.clocks, given = n.given, next_at = n.next_at,
            traceparent = n.traceparent, accused_office = n.accused_office,
            owner_offices = n.owner_offices, promotes_at = n.promotes_at,
            supervises_at = n.supervises_at, reminds_at = n.reminds_at, track = n.track
        from unnest($1::uuid[], $2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[],
                    $6::text[], $7::text[], $8::text[], $9::bool[], $10::json[], $11::json[],
                    $12::timestamptz[], $13::text[], $14::text[], $15::json[],
                    $16::timestamptz[], $17::timestamptz[], $18::timestamptz[], $19::text[])
            as n (case_id, epoch, seq, changed_at, started_at, tier, holder, accused_division,
                  open, clocks, given, next_at, traceparent, accused_office, owner_offices,
                  promotes_at, supervises_at, reminds_at, track)
        where a.case_id = n.case_id
        """,
        *columns(changed),
    )


async def save_swept(tx: Transaction, swept: Sequence[Armed]) -> None:
    """Keep what a sweep did to these cases."""
    await tx.execute(
        """
        update armed a
        set clocks = n.clocks, next_at = n.next_at, order_seq = n.order_seq,
            promotes_at = n.promotes_at, supervises_at = n.supervises_at, reminds_at = n.reminds_at
        from unnest($1::uuid[], $2::json[], $3::timestamptz[], $4::int[],
                    $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
            as n (case_id, clocks, next_at, order_seq, promotes_at, supervises_at, reminds_at)
        where a.case_id = n.case_id
        """,
        [a.case_id for a in swept],
        [clocks_packed(a.clocks) for a in swept],
        [next_at(a) for a in swept],
        [a.said for a in swept],
        *foreseen_columns(swept),
    )


async def save_said(tx: Transaction, said: dict[UUID, int]) -> None:
    """The last seq of the orders of these cases."""
    await tx.execute(
        """
        update armed a set order_seq = n.order_seq
        from unnest($1::uuid[], $2::int[]) as n (case_id, order_seq)
        where a.case_id = n.case_id
        """,
        list(said),
        list(said.values()),
    )


def columns(cases: Sequence[Armed]) -> tuple[list[object], ...]:
    """The cases as columns, in the order of the table."""
    return (
        [a.case_id for a in cases],
        [a.order.epoch for a in cases],
        [a.order.seq for a in cases],
        [a.changed_at for a in cases],
        [a.started_at for a in cases],
        [a.tier for a in cases],
        [a.holder for a in cases],
        [a.accused_division for a in cases],
        [a.open for a in cases],
        [clocks_packed(a.clocks) for a in cases],
        [packed(a.given) if a.given else None for a in cases],
        [next_at(a) for a in cases],
        [a.traceparent for a in cases],
        [a.accused_office for a in cases],
        [offices_packed(a.clocks) for a in cases],
        *foreseen_columns(cases),
        [a.track for a in cases],
    )


def foreseen_columns(cases: Sequence[Armed]) -> tuple[list[object], ...]:
    """When each of these is promoted, supervised and reminded of next, as columns."""
    next_ones = [breaks(a) for a in cases]
    return (
        [one.promotes_at for one in next_ones],
        [one.supervises_at for one in next_ones],
        [one.reminds_at for one in next_ones],
    )


def clocks_packed(clocks: Sequence[Clock]) -> str:
    """Clocks as JSON arrays, without the offices that own them."""
    return orjson.dumps(
        [(*clock[:OFFICE], *clock[OFFICE + 1 : LATER], *clock.later) for clock in clocks]
    ).decode()


def offices_packed(clocks: Sequence[Clock]) -> str | None:
    """The offices that own clocks, by the clock's name."""
    owned = {clock.name: clock.owner_office for clock in clocks if clock.owner_office}
    return orjson.dumps(owned).decode() if owned else None


def packed(given: Sequence[Given]) -> str:
    """What is remembered of clocks that stopped, as JSON."""
    return orjson.dumps([(*one[:GIVEN], *one.later) for one in given]).decode()


def armed_of(row: asyncpg.Record) -> Armed:
    """A row of the table."""
    tier = row["tier"]
    given = row["given"]
    return Armed(
        row["case_id"],
        Order(row["epoch"], row["seq"]),
        row["changed_at"],
        row["started_at"],
        Tier(tier) if tier else None,
        row["holder"],
        row["accused_division"],
        row["accused_office"],
        row["open"],
        clocks_of(row["clocks"], row["owner_offices"]),
        given_of(given) if given else (),
        row["order_seq"],
        row["traceparent"],
        row["track"],
    )


def clocks_of(text: str, offices: str | None) -> tuple[Clock, ...]:
    """Clocks from their JSON arrays, where the marks are a list, and the offices that own them."""
    owned = orjson.loads(offices) if offices else {}
    arrays = orjson.loads(text)
    for values in arrays:
        values[MARKS] = tuple(values[MARKS])
        values.insert(OFFICE, owned.get(values[0]))
    return tuple(Clock._make((*values[:LATER], tuple(values[LATER:]))) for values in arrays)


def given_of(text: str) -> tuple[Given, ...]:
    """What is remembered of clocks that stopped, from its JSON arrays."""
    arrays = orjson.loads(text)
    return tuple(Given._make((*values[:GIVEN], tuple(values[GIVEN:]))) for values in arrays)
