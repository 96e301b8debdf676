"""The history of a case: what happened, step by step, and why it came where it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import orjson

from shared.events import Order
from shared.postgres import Transaction


class HistoryRow(NamedTuple):
    """One step of a case: what happened, who did it, why, and what it set.

    `whole` is the case after it, of some steps alone, so that nobody reads all that came before.
    """

    case_id: UUID
    seq: int
    epoch: int
    version: int
    at: datetime
    event: str
    transitions: tuple[str, ...]
    rule: str
    actor: str
    role: str
    division: str
    caused_by: str
    detail: str
    changed: str
    whole: str | None = None


TRANSITIONS = HistoryRow._fields.index("transitions")


class Base(NamedTuple):
    """A step that keeps the case after it whole."""

    order: Order
    whole: str


async def add(tx: Transaction, rows: Sequence[HistoryRow]) -> None:
    """What happened, step by step."""
    if not rows:
        return
    columns = [list(column) for column in zip(*rows, strict=True)]
    columns[TRANSITIONS] = [orjson.dumps(row.transitions).decode() for row in rows]
    await tx.execute(
        """
        insert into history (case_id, seq, epoch, version, at, event, transitions, rule, actor,
                             role, division, caused_by, detail, changed, whole)
        select case_id, seq, epoch, version, at, event,
               array(select json_array_elements_text(transitions)), rule, actor,
               role, division, caused_by, detail, changed, whole
        from unnest($1::uuid[], $2::int[], $3::int[], $4::int[], $5::timestamptz[], $6::text[],
                    $7::json[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                    $13::json[], $14::json[], $15::json[])
            as n (case_id, seq, epoch, version, at, event, transitions, rule, actor, role,
                  division, caused_by, detail, changed, whole)
        """,
        *columns,
    )


def row_of(row: asyncpg.Record) -> HistoryRow:
    """A step as it is read."""
    return HistoryRow(**{**row, "transitions": tuple(row["transitions"])})


async def page(tx: Transaction, case_id: UUID, after: Order, limit: int) -> list[HistoryRow]:
    """A case's steps behind one of them, in order; at most so many."""
    rows = await tx.fetch(
        """
        select case_id, seq, epoch, version, at, event, transitions, rule, actor, role, division,
               caused_by, detail, changed
        from history where case_id = $1 and (epoch, seq) > ($2, $3)
        order by epoch, seq limit $4
        """,
        case_id,
        after.epoch,
        after.seq,
        limit,
    )
    return [row_of(row) for row in rows]


async def page_before(
    tx: Transaction, case_id: UUID, before: Order, limit: int
) -> list[HistoryRow]:
    """A case's last steps before one of them, in order; at most so many."""
    rows = await tx.fetch(
        """
        select case_id, seq, epoch, version, at, event, transitions, rule, actor, role, division,
               caused_by, detail, changed
        from history where case_id = $1 and (epoch, seq) < ($2, $3)
        order by epoch desc, seq desc limit $4
        """,
        case_id,
        before.epoch,
        before.seq,
        limit,
    )
    return [row_of(row) for row in reversed(rows)]


async def last_asked(tx: Transaction, case_id: UUID, before: Order) -> HistoryRow | None:
    """The step before this one that asked for more time last."""
    row = await tx.fetchrow(
        """
        select case_id, seq, epoch, version, at, event, transitions, rule, actor, role, division,
               caused_by, detail, changed
        from history
        where case_id = $1 and event = 'extension_asked' and (epoch, seq) < ($2, $3)
        order by epoch desc, seq desc limit 1
        """,
        case_id,
        before.epoch,
        before.seq,
    )
    return None if row is None else row_of(row)


async def base_before(tx: Transaction, case_id: UUID, before: Order) -> Base | None:
    """The last step before this one that keeps the whole case."""
    row = await tx.fetchrow(
        """
        select epoch, seq, whole from history
        where case_id = $1 and whole is not null and (epoch, seq) < ($2, $3)
        order by epoch desc, seq desc limit 1
        """,
        case_id,
        before.epoch,
        before.seq,
    )
    return None if row is None else Base(Order(row["epoch"], row["seq"]), row["whole"])


async def base_at(tx: Transaction, case_id: UUID, moment: datetime) -> Base | None:
    """The last step up to a moment of promise time that keeps the whole case."""
    row = await tx.fetchrow(
        """
        select epoch, seq, whole from history
        where case_id = $1 and whole is not null and at <= $2
        order by at desc, epoch desc, seq desc limit 1
        """,
        case_id,
        moment,
    )
    return None if row is None else Base(Order(row["epoch"], row["seq"]), row["whole"])


async def changes_between(tx: Transaction, case_id: UUID, after: Order, before: Order) -> list[str]:
    """What the steps between two set, in order."""
    rows = await tx.fetch(
        """
        select changed from history
        where case_id = $1 and (epoch, seq) > ($2, $3) and (epoch, seq) < ($4, $5)
        order by epoch, seq
        """,
        case_id,
        *after,
        *before,
    )
    return [row["changed"] for row in rows]
