"""Every SQL statement of the router; one function, one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from services.router.decisions.case import CASE, Case, duties
from shared.events import Order
from shared.postgres import Transaction

NEVER = datetime(9999, 1, 1, tzinfo=UTC)


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


class QueueEntry(NamedTuple):
    """A line of a queue: a case held there (`clock` empty) or a clock owned there."""

    due_at: datetime
    case_id: UUID
    clock: str
    role: str
    doc: bytes


class FirstAnswer(NamedTuple):
    """What was answered to an Idempotency-Key the first time."""

    body_hash: bytes
    status: int
    answer: bytes


# ---------------------------------------------------------------- cases


async def locked(tx: Transaction, case_ids: Sequence[UUID]) -> dict[UUID, Case]:
    """These cases, locked in the order that everybody takes."""
    rows = await tx.fetch(
        "select doc from cases where case_id = any($1::uuid[]) order by case_id for update",
        sorted(case_ids),
    )
    cases = [CASE.validate_json(row["doc"]) for row in rows]
    return {case.id: case for case in cases}


async def case(tx: Transaction, case_id: UUID) -> Case | None:
    """A case as it stands."""
    doc = await tx.fetchval("select doc from cases where case_id = $1", case_id)
    return None if doc is None else CASE.validate_json(doc)


async def insert(tx: Transaction, cases: Sequence[Case], documents: Mapping[UUID, str]) -> None:
    """Keep new cases. Raises `asyncpg.UniqueViolationError` if one is there already."""
    await tx.copy_records_to_table(
        "cases", records=zip(*columns(cases, documents), strict=True), columns=CASE_COLUMNS
    )


async def update(tx: Transaction, cases: Sequence[Case], documents: Mapping[UUID, str]) -> None:
    """Keep changed cases."""
    await tx.execute(
        """
        update cases c
        set number = n.number, open = n.open, holder = n.holder, role = n.role, stage = n.stage,
            next_deadline = n.next_deadline, version = n.version, epoch = n.epoch, seq = n.seq,
            doc = n.doc
        from unnest($1::uuid[], $2::text[], $3::bool[], $4::text[], $5::text[], $6::text[],
                    $7::timestamptz[], $8::int[], $9::int[], $10::int[], $11::json[])
             as n (case_id, number, open, holder, role, stage, next_deadline, version, epoch, seq,
                   doc)
        where c.case_id = n.case_id
        """,
        *columns(cases, documents),
    )


CASE_COLUMNS = (
    "case_id", "number", "open", "holder", "role", "stage", "next_deadline", "version", "epoch",
    "seq", "doc",
)  # fmt: skip


def columns(cases: Sequence[Case], documents: Mapping[UUID, str]) -> tuple[list[object], ...]:
    """Cases as the arrays that the statements take."""
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
    )


async def forget_duties(tx: Transaction, case_ids: Sequence[UUID]) -> None:
    """The clocks that others own on these cases are written anew."""
    await tx.execute("delete from duties where case_id = any($1::uuid[])", list(case_ids))


async def add_duties(tx: Transaction, cases: Sequence[Case]) -> None:
    """The clocks that others own on these cases."""
    rows = [
        (case.id, duty.clock, duty.division, duty.role, duty.due_at)
        for case in cases
        for duty in duties(case)
    ]
    await tx.copy_records_to_table(
        "duties", records=rows, columns=("case_id", "clock", "division", "role", "due_at")
    )


# ---------------------------------------------------------------- history


async def add_history(tx: Transaction, rows: Sequence[HistoryRow]) -> None:
    """What happened, step by step."""
    await tx.copy_records_to_table("history", records=rows, columns=HistoryRow._fields)


async def history(tx: Transaction, case_id: UUID, after: Order, limit: int) -> list[HistoryRow]:
    """A case's steps in order, after one of them."""
    rows = await tx.fetch(
        """
        select case_id, seq, epoch, version, at, event, transitions, rule, actor, role, division,
               caused_by, detail, changed
        from history where case_id = $1 and (epoch, seq) > ($2, $3) order by epoch, seq limit $4
        """,
        case_id,
        *after,
        limit,
    )
    return [
        HistoryRow(
            row["case_id"],
            row["seq"],
            row["epoch"],
            row["version"],
            row["at"],
            row["event"],
            tuple(row["transitions"]),
            row["rule"],
            row["actor"],
            row["role"],
            row["division"],
            row["caused_by"],
            row["detail"],
            row["changed"],
        )
        for row in rows
    ]


async def routings(
    tx: Transaction, case_id: UUID
) -> list[tuple[datetime, str, str, dict[str, object]]]:
    """(when, event, rule, routing) of each decision about where a case goes, newest first."""
    rows = await tx.fetch(
        """
        select at, event, rule, detail -> 'routing' as routing from history
        where case_id = $1 and detail -> 'routing' is not null order by epoch desc, seq desc
        """,
        case_id,
    )
    return [(row["at"], row["event"], row["rule"], orjson.loads(row["routing"])) for row in rows]


# ---------------------------------------------------------------- queues


async def queue(
    tx: Transaction, division: str, after: tuple[datetime, UUID, str], limit: int
) -> list[QueueEntry]:
    """Cases held and clocks owned by a division, by due date, after a place in the listing."""
    rows = await tx.fetch(
        """
        select * from (
            (select next_deadline as due_at, case_id, '' as clock, role, doc from cases
             where open and holder = $1 and (next_deadline, case_id, '') > ($2, $3, $4)
             order by next_deadline, case_id limit $5)
            union all
            (select d.due_at, d.case_id, d.clock, d.role, c.doc
             from duties d join cases c using (case_id)
             where d.division = $1 and (d.due_at, d.case_id, d.clock) > ($2, $3, $4)
             order by d.due_at, d.case_id, d.clock limit $5)
        ) both_ order by due_at, case_id, clock limit $5
        """,
        division,
        *after,
        limit,
    )
    return [
        QueueEntry(row["due_at"], row["case_id"], row["clock"], row["role"], row["doc"].encode())
        for row in rows
    ]


# ---------------------------------------------------------------- blocked


async def blocked(tx: Transaction, case_ids: Sequence[UUID]) -> set[UUID]:
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


async def blocked_count(tx: Transaction) -> int:
    """How many petitions wait."""
    return int(await tx.fetchval("select count(*) from blocked_cases"))


# ---------------------------------------------------------------- commands


async def first_answer(tx: Transaction, actor: str, key: str) -> FirstAnswer | None:
    """What was answered to this key."""
    row = await tx.fetchrow(
        "select body_hash, status, answer from commands where actor = $1 and key = $2", actor, key
    )
    return None if row is None else FirstAnswer(row["body_hash"], row["status"], row["answer"])


async def keep_answer(
    tx: Transaction, actor: str, key: str, body_hash: bytes, status: int, answer: bytes
) -> bool:
    """Keep the first answer to a key; False if it was used for another case at this moment."""
    kept = await tx.fetchval(
        """
        insert into commands (actor, key, body_hash, status, answer) values ($1, $2, $3, $4, $5)
        on conflict do nothing returning true
        """,
        actor,
        key,
        body_hash,
        status,
        answer,
    )
    return kept is not None


async def forget_answers(tx: Transaction) -> None:
    """Answers are kept for seven days."""
    await tx.execute(
        """
        delete from commands where (actor, key) in (
            select actor, key from commands
            where answered_at < clock_timestamp() - interval '7 days' limit 1000)
        """
    )


# ---------------------------------------------------------------- policy


async def newest_policy(tx: Transaction) -> int | None:
    """The version in force."""
    version = await tx.fetchval("select max(version) from policy_versions")
    return None if version is None else int(version)


async def lock_policy(tx: Transaction) -> None:
    """One loader at a time."""
    await tx.execute("select pg_advisory_xact_lock(7710010)")


async def policy_rows(
    tx: Transaction, version: int
) -> list[tuple[str, int, list[dict[str, object]]]]:
    """(kind, n, rows) of a version."""
    rows = await tx.fetch(
        "select kind, n, rows from policy_parts where version = $1 order by kind, n", version
    )
    return [(row["kind"], row["n"], orjson.loads(row["rows"])) for row in rows]


async def add_policy_version(
    tx: Transaction, version: int, sha256: str, parts: int, loaded_by: str
) -> None:
    """A new version."""
    await tx.execute(
        "insert into policy_versions (version, sha256, parts, loaded_by) values ($1, $2, $3, $4)",
        version,
        sha256,
        parts,
        loaded_by,
    )


async def add_policy_parts(
    tx: Transaction, version: int, parts: Sequence[tuple[str, int, bytes]]
) -> None:
    """The parts of a version."""
    await tx.execute(
        """
        insert into policy_parts (version, kind, n, rows)
        select $1, * from unnest($2::text[], $3::int[], $4::json[])
        """,
        version,
        [kind for kind, _, _ in parts],
        [n for _, n, _ in parts],
        [rows.decode() for _, _, rows in parts],
    )
