"""Petitions whose events wait behind one that was parked."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.postgres import Transaction


async def among(tx: Transaction, case_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these cases wait behind a parked event; the row is locked."""
    rows = await tx.fetch(
        """
        select case_id from blocked_cases where case_id = any($1::uuid[])
        order by case_id for update
        """,
        sorted(case_ids),
    )
    return {row["case_id"] for row in rows}


async def block(tx: Transaction, case_ids: Sequence[UUID], reasons: Sequence[str]) -> None:
    """The events of these petitions wait from now on."""
    await tx.execute(
        """
        insert into blocked_cases (case_id, reason)
        select * from unnest($1::uuid[], $2::text[]) on conflict do nothing
        """,
        list(case_ids),
        list(reasons),
    )


async def unblock(tx: Transaction, case_id: UUID) -> None:
    """Nothing of this petition waits any more."""
    await tx.execute("delete from blocked_cases where case_id = $1", case_id)


async def count(tx: Transaction) -> int:
    """How many petitions wait."""
    return int(await tx.fetchval("select count(*) from blocked_cases"))
