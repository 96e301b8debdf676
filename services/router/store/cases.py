"""The cases: one row each, the whole case as a document, and the columns that are searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.router.decisions.case import Case, case_of
from shared.clock import wall
from shared.postgres import Transaction

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
COUNTED_FOR = timedelta(hours=1)
"""[ours] A census counts a closed case so long, for whoever missed all of its life."""


async def locked(tx: Transaction, case_ids: Sequence[UUID]) -> dict[UUID, Case]:
    """These cases, locked in the order that everybody takes."""
    rows = await tx.fetch(
        "select doc from cases where case_id = any($1::uuid[]) order by case_id for update",
        sorted(case_ids),
    )
    cases = [case_of(row["doc"]) for row in rows]
    return {case.id: case for case in cases}


async def find(tx: Transaction, case_id: UUID) -> Case | None:
    """A case as it stands."""
    doc = await tx.fetchval("select doc from cases where case_id = $1", case_id)
    return None if doc is None else case_of(doc)


async def insert(tx: Transaction, cases: Sequence[Case], documents: Mapping[UUID, str]) -> None:
    """Keep new cases. Raises `asyncpg.UniqueViolationError` if one is there already."""
    await tx.execute(
        """
        insert into cases (case_id, number, open, holder, role, stage, next_deadline, version,
                           epoch, seq, doc, office, signed_by, rank, counted_until)
        select * from unnest($1::uuid[], $2::text[], $3::bool[], $4::text[], $5::text[],
                             $6::text[], $7::timestamptz[], $8::int[], $9::int[], $10::int[],
                             $11::json[], $12::text[], $13::text[], $14::smallint[],
                             $15::timestamptz[])
        """,
        *columns(cases, documents),
    )


async def update(tx: Transaction, cases: Sequence[Case], documents: Mapping[UUID, str]) -> None:
    """Keep changed cases."""
    await tx.execute(
        """
        update cases c
        set number = n.number, open = n.open, holder = n.holder, role = n.role, stage = n.stage,
            office = n.office, signed_by = n.signed_by, rank = n.rank,
            counted_until = n.counted_until,
            next_deadline = n.next_deadline, version = n.version, epoch = n.epoch, seq = n.seq,
            doc = n.doc
        from unnest($1::uuid[], $2::text[], $3::bool[], $4::text[], $5::text[], $6::text[],
                    $7::timestamptz[], $8::int[], $9::int[], $10::int[], $11::json[],
                    $12::text[], $13::text[], $14::smallint[], $15::timestamptz[])
             as n (case_id, number, open, holder, role, stage, next_deadline, version, epoch, seq,
                   doc, office, signed_by, rank, counted_until)
        where c.case_id = n.case_id
        """,
        *columns(cases, documents),
    )


def columns(cases: Sequence[Case], documents: Mapping[UUID, str]) -> tuple[list[object], ...]:
    """Cases as the arrays that the statements take."""
    until = wall() + COUNTED_FOR
    return (
        [case.id for case in cases],
        [case.number for case in cases],
        [case.is_open for case in cases],
        [case.holder for case in cases],
        [case.role for case in cases],
        [case.stage for case in cases],
        [case.next_deadline or NEVER for case in cases],
        [case.version for case in cases],
        [case.epoch for case in cases],
        [case.seq for case in cases],
        [documents[case.id] for case in cases],
        [case.office for case in cases],
        [case.person for case in cases],
        [0 if case.is_first else 1 for case in cases],
        [None if case.is_open else until for case in cases],
    )
