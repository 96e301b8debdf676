"""What was answered to a command, under its Idempotency-Key."""

from __future__ import annotations

from typing import NamedTuple

from shared.postgres import Transaction


class FirstAnswer(NamedTuple):
    """What was answered to an Idempotency-Key the first time."""

    body_hash: bytes
    status: int
    answer: bytes


async def first_answer(tx: Transaction, actor: str, key: str) -> FirstAnswer | None:
    """What was answered to this key."""
    row = await tx.fetchrow(
        "select body_hash, status, answer from commands where actor = $1 and key = $2", actor, key
    )
    return None if row is None else FirstAnswer(row["body_hash"], row["status"], row["answer"])


async def keep(
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


async def forget_old(tx: Transaction) -> None:
    """Answers are kept for seven days."""
    # By an index: of a function whose value may change from row to row it would make no use.
    await tx.execute(
        """
        delete from commands where ctid = any(array(
            select ctid from commands where answered_at < now() - interval '7 days'
            order by answered_at limit 1000))
        """
    )
