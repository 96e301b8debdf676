"""The versions of the policy, part by part."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from shared.postgres import Transaction


async def newest(tx: Transaction) -> int | None:
    """The version in force."""
    version = await tx.fetchval("select max(version) from policy_versions")
    return None if version is None else int(version)


async def lock(tx: Transaction) -> None:
    """One loader at a time."""
    await tx.execute("select pg_advisory_xact_lock(7710010)")


async def rows(tx: Transaction, version: int) -> list[tuple[str, int, list[dict[str, object]]]]:
    """(kind, n, rows) of a version."""
    rows = await tx.fetch(
        "select kind, n, rows from policy_parts where version = $1 order by kind, n", version
    )
    return [(row["kind"], row["n"], orjson.loads(row["rows"])) for row in rows]


async def add_version(
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


async def add_parts(tx: Transaction, version: int, parts: Sequence[tuple[str, int, bytes]]) -> None:
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
