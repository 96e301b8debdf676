"""How many rows statements read: as PostgreSQL counts them, by table."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson
from asyncpg.connection import LoggedQuery
from pydantic import SecretStr

from services.router.__main__ import SERVICE
from services.router.handlers.policies import Policies
from shared.postgres import Pool, Transaction
from shared.service import Process
from shared.settings import Settings

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection
SECRET = "a key of a test that is long enough"

READS = ("select", "with", "delete", "update", "insert")


class Listening:
    """A process of the router whose statements are kept."""

    def __init__(self, pool: Pool, policies: Policies) -> None:
        settings = Settings(database_url=SecretStr("unused"), token_secret=SecretStr(SECRET))
        self.process = Process(SERVICE, settings, settings.clock(), pool, state=policies)
        self.policies = policies
        self.said: list[LoggedQuery] = []

    async def listen(self, connection: Connection) -> None:
        """Keep what this connection says."""
        connection.add_query_logger(self.said.append)

    async def rows_read(self) -> Counter[str]:
        """The rows of each table that were read; they are read again, and nothing is changed."""
        await asyncio.sleep(0)
        said = tuple(self.said)
        async with self.process.pool.acquire() as connection:
            undone = connection.transaction()
            await undone.start()
            try:
                return await rows_read(connection, said)
            finally:
                await undone.rollback()


async def rows_read(tx: Transaction, said: Sequence[LoggedQuery]) -> Counter[str]:
    """The rows of each table that these statements read when they are said again."""
    read: Counter[str] = Counter()
    for one in said:
        if one.query.split()[0] not in READS:
            continue
        # What only adds rows reads none, and cannot be said again.
        if not any(map(is_scan, await plan_of(tx, "format json", one))):
            continue
        for node in await plan_of(tx, "analyze, format json", one):
            if is_scan(node):
                read[node["Relation Name"]] += rows_of(node)
    return +read


async def plan_of(tx: Transaction, how: str, one: LoggedQuery) -> list[dict[str, Any]]:
    """Every node of a statement's plan."""
    plan = await tx.fetchval(f"explain ({how}) {one.query}", *one.args)
    return [*nodes(orjson.loads(plan)[0]["Plan"])]


def is_scan(node: dict[str, Any]) -> bool:
    """Whether it reads a table."""
    return "Relation Name" in node and node["Node Type"].endswith("Scan")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan and all that it is made of."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def rows_of(node: dict[str, Any]) -> int:
    """What a scan read, kept or not."""
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    each = node["Actual Rows"] + sum(node.get(name, 0) for name in removed)
    return int(each * node["Actual Loops"])
