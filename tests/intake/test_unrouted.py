"""The oldest petition that is not routed is found at once, however many came after it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import orjson
import pytest
from prometheus_client import REGISTRY

from services.intake.handlers import loops
from services.intake.store.reading import Unrouted, oldest_unrouted
from shared.clock import wall
from shared.postgres import Transaction
from shared.service import Process

MOST = 1_000
LATER = UUID(int=1 << 127)


async def accepted(database: Transaction, first: int, last: int, *, routed: bool) -> None:
    """Receipts of the petitions with these ids."""
    await database.execute(
        """
        insert into receipts (petition_id, routed_at)
        select lpad(to_hex(n), 32, '0')::uuid, case when $3 then now() end
        from generate_series($1::int, $2::int) n
        """,
        first,
        last,
        routed,
    )


async def route(database: Transaction, *ids: int) -> None:
    await database.execute(
        "update receipts set routed_at = now() where petition_id = any($1::uuid[])",
        [UUID(int=one) for one in ids],
    )


async def look(database: Transaction, young: UUID = LATER) -> Unrouted:
    return await oldest_unrouted(database, young, MOST)


async def test_it_is_the_oldest_whatever_is_routed_behind_it(database: Transaction) -> None:
    assert await look(database) == (None, True)
    await accepted(database, 1, 9, routed=False)
    await route(database, 1, 2, 5)
    assert await look(database) == (UUID(int=3), True)
    await route(database, 3, 4)
    assert await look(database) == (UUID(int=6), True)
    await route(database, *range(6, 10))
    assert await look(database) == (None, True)


async def test_what_is_passed_is_not_looked_at_again_and_the_young_are_not_passed(
    database: Transaction,
) -> None:
    await accepted(database, 10, 20, routed=True)
    assert await look(database, UUID(int=15)) == (None, True)
    assert await database.fetchval("select petition_id from routed_up_to") == UUID(int=14)
    await accepted(database, 16 << 8, 17 << 8, routed=False)
    await database.execute("delete from receipts where petition_id = $1", UUID(int=16))
    await accepted(database, 16, 16, routed=False)  # its id is older than its commit
    assert await look(database) == (UUID(int=16), True)


async def test_a_long_way_is_gone_page_by_page_and_not_known_until_its_end(
    database: Transaction,
) -> None:
    await accepted(database, 1, 2 * MOST + 1, routed=True)
    assert await look(database) == (None, False)
    assert await look(database) == (None, False)
    assert await look(database) == (None, True)


@pytest.mark.parametrize("stuck", [False, True])
async def test_a_look_reads_one_row_where_one_is_stuck_and_a_page_at_most(
    database: Transaction, stuck: bool
) -> None:
    await accepted(database, 1, 50_000, routed=True)
    await accepted(database, 50_001, 90_000, routed=True)
    if stuck:
        await database.execute(
            "update receipts set routed_at = null where petition_id = $1", UUID(int=1)
        )
    await database.execute("vacuum analyze receipts")
    read: list[int] = []

    def noted(text: str) -> None:
        plan = orjson.loads(text)[0]["Plan"]
        waiting = [plan]
        while waiting:
            node = waiting.pop()
            waiting += node.get("Plans", [])
            if node.get("Relation Name") == "receipts":
                assert node["Node Type"].startswith("Index"), node
                read.append(node["Actual Rows"] * node["Actual Loops"])

    statements: list[tuple[str, tuple[object, ...]]] = []
    with database.query_logger(lambda one: statements.append((one.query, tuple(one.args)))):
        await look(database)
        await asyncio.sleep(0)  # the driver tells of a statement a turn later
    ((query, args),) = [one for one in statements if "routed_up_to" in one[0]]
    await database.execute("update routed_up_to set petition_id = $1", UUID(int=0))
    noted(await database.fetchval(f"explain (analyze, format json) {query}", *args))
    assert sum(read) <= (2 if stuck else MOST + 1)


async def test_the_gauge_says_how_long_it_has_waited(
    process: Process, database: Transaction
) -> None:
    moment = wall() - timedelta(minutes=10)
    id_ = UUID(int=int(moment.timestamp() * 1000) << 80)
    await database.execute("insert into receipts (petition_id) values ($1)", id_)
    await loops.measure(process)
    age = REGISTRY.get_sample_value("casegrid_intake_unrouted_oldest_seconds")
    assert age == pytest.approx(600, abs=30)
    await database.execute("update receipts set routed_at = now()")
    await loops.measure(process)
    assert REGISTRY.get_sample_value("casegrid_intake_unrouted_oldest_seconds") == 0
