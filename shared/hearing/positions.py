"""Positions are rows of our own database, moved in the transaction of what they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from shared.events import Topic
from shared.postgres import Transaction


class Fenced(Exception):
    """Another process moved our positions on: what we were making is undone (weather)."""


@dataclass(slots=True)
class Progress:
    """Where this process is on a topic, for metrics and lag tools."""

    offsets: dict[int, int] = field(default_factory=dict)
    appended_at: datetime | None = None


class Position(NamedTuple):
    """Where this database is on one partition."""

    topic: Topic
    partition: int
    next_offset: int


async def positions(tx: Transaction, topic: Topic, partitions: Sequence[int]) -> dict[int, int]:
    """Where this database is on each partition."""
    rows = await tx.fetch(
        """
        select partition, next_offset from offsets
        where topic = $1 and partition = any($2::int[])
        """,
        topic.value,
        list(partitions),
    )
    return {row["partition"]: row["next_offset"] for row in rows}


async def advance(
    tx: Transaction, topic: Topic, expected: Mapping[int, int], after: Mapping[int, int]
) -> None:
    """Move the positions in the transaction of what they stand for.

    Raises `Fenced` when a position is not where this process believes it is.
    """
    partitions = sorted(after)
    moved = await tx.fetch(
        """
        insert into offsets as o (topic, partition, next_offset)
        select $1, * from unnest($2::int[], $4::bigint[])
        on conflict (topic, partition) do update set next_offset = excluded.next_offset
        where o.next_offset = ($3::bigint[])[array_position($2::int[], o.partition)]
        returning partition
        """,
        topic.value,
        partitions,
        [expected.get(p, 0) for p in partitions],
        [after[p] for p in partitions],
    )
    if len(moved) != len(partitions):
        raise Fenced(f"{topic}: {len(partitions) - len(moved)} positions were moved by another")


async def all_positions(tx: Transaction) -> list[Position]:
    """Where this database is on every partition that it has heard."""
    rows = await tx.fetch(
        "select topic, partition, next_offset from offsets order by topic, partition"
    )
    return [Position(Topic(row["topic"]), row["partition"], row["next_offset"]) for row in rows]


async def move(tx: Transaction, topic: Topic, partition: int, to: int) -> int | None:
    """Go on at another place, as an operator says; returns the place before, if there was one.

    A consumer at work there is fenced and goes on at the new place.
    """
    before: int | None = await tx.fetchval(
        "select next_offset from offsets where topic = $1 and partition = $2 for update",
        topic.value,
        partition,
    )
    if before is not None:
        await tx.execute(
            "update offsets set next_offset = $3 where topic = $1 and partition = $2",
            topic.value,
            partition,
            to,
        )
    return before
