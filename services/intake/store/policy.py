"""Policy versions as they came on policy.events: their parts, and which are whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from services.intake.decisions.policy import PartBody
from shared.events import PolicyPublished
from shared.postgres import Transaction


async def keep_parts(tx: Transaction, parts: Sequence[PartBody]) -> None:
    """Keep parts; one that comes again takes the place of its earlier self."""
    # One statement may not write the same row twice: the last of each wins here.
    last = {(part.version, part.kind, part.n): part for part in parts}.values()
    await tx.execute(
        """
        insert into policy_parts (version, kind, n, body)
        select * from unnest($1::int[], $2::text[], $3::int[], $4::bytea[])
        on conflict (version, kind, n) do update set body = excluded.body
        """,
        [part.version for part in last],
        [part.kind for part in last],
        [part.n for part in last],
        [part.body for part in last],
    )


async def parts_of(tx: Transaction, versions: Collection[int]) -> dict[int, list[PartBody]]:
    """The parts of these versions that are here."""
    rows = await tx.fetch(
        "select version, kind, n, body from policy_parts where version = any($1::int[])",
        list(versions),
    )
    parts: dict[int, list[PartBody]] = {version: [] for version in versions}
    for row in rows:
        parts[row["version"]].append(PartBody(*row.values()))
    return parts


async def settings_of(tx: Transaction, version: int) -> list[PartBody]:
    """The settings of a version; none while it is not whole here."""
    rows = await tx.fetch(
        """
        select version, kind, n, body from policy_parts join policy_versions using (version)
        where version = $1 and kind = 'settings' order by n
        """,
        version,
    )
    return [PartBody(*row.values()) for row in rows]


async def close_versions(tx: Transaction, published: Sequence[PolicyPublished]) -> None:
    """These versions are whole; hearing one again changes nothing."""
    await tx.execute(
        """
        insert into policy_versions (version, parts, sha256)
        select * from unnest($1::int[], $2::int[], $3::text[])
        on conflict (version) do nothing
        """,
        [one.version for one in published],
        [one.parts for one in published],
        [one.sha256 for one in published],
    )


async def newest_version(tx: Transaction) -> int | None:
    """The newest whole version; None before the first."""
    version: int | None = await tx.fetchval("select max(version) from policy_versions")
    return version
