"""The history of a case: what happened, step by step, and why it came where it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from shared.events import Order
from shared.postgres import Transaction


class HistoryRow(NamedTuple):
    """One step of a case: what happened, who did it, why, and what it set."""

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


async def add(tx: Transaction, rows: Sequence[HistoryRow]) -> None:
    """What happened, step by step."""
    await tx.copy_records_to_table("history", records=rows, columns=HistoryRow._fields)


def row_of(row: asyncpg.Record) -> HistoryRow:
    """A step as it is read."""
    return HistoryRow(**{**row, "transitions": tuple(row["transitions"])})


async def until(tx: Transaction, case_id: UUID, moment: datetime) -> list[HistoryRow]:
    """A case's steps up to a moment of promise time, in order; at most the first 10,000."""
    rows = await tx.fetch(
        """
        select case_id, seq, epoch, version, at, event, transitions, rule, actor, role, division,
               caused_by, detail, changed
        from history where case_id = $1 and at <= $2 order by epoch, seq limit 10000
        """,
        case_id,
        moment,
    )
    return [row_of(row) for row in rows]


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
