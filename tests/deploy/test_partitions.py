"""Where one PostgreSQL ends: months as partitions, cases over servers, and the plans that prune."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from bench.lives import MIGRATIONS, Lives
from deploy.local.postgres import tools
from services.operations.postgres_tools import environment_of
from shared.postgres import Pool, Transaction, connect, migrate, open_pool
from tests.servers import ROOT, FreshDatabase

SQL = ROOT / "deploy" / "postgres"
OLD = [datetime(2026, month, 7, tzinfo=UTC) for month in (3, 4, 5)]
LIVES = 12

HOT = {
    "a case for a command": "select doc from cases where case_id = $1 for update",
    "cases of a batch": "select doc from cases where case_id = any(array[$1]::uuid[]) for update",
    "a step of its history": "select seq from history where case_id = $1 and epoch = 1",
    "its next step": (
        "update cases set version = version + 1 where case_id = $1 returning case_id"
    ),
}
"""The statements that each command and each event needs: by case id."""

QUEUE = (
    "select case_id from cases where holder = $1 and open"
    " order by rank, next_deadline, case_id limit 50"
)


async def prepared(dsn: str) -> None:
    """A router's database, with whole lives of some cases."""
    await migrate(dsn, "router", MIGRATIONS)
    async with open_pool(dsn, 4, 5_000, "lives") as pool:
        done = await Lives(pool, LIVES).run()
        assert done.refused == 0


MOVED = "overlay(case_id::text placing left(first_id($1)::text, 13) from 1 for 13)::uuid"
"""The same id, made at another moment."""


@pytest.fixture
async def dsn(fresh_database: FreshDatabase) -> str:
    """A router's database of the test's own."""
    return await fresh_database("router with lives", prepared)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """A router with cases of today, and of three months in spring."""
    async with open_pool(dsn, 4, 5_000, "test") as opened, opened.acquire() as tx:
        await tx.execute((SQL / "partition.sql").read_text())
        for at in OLD:
            for table in ("history", "cases"):
                columns = await names(tx, table)
                others = ", ".join(one for one in columns if one != "case_id")
                await tx.execute(
                    f"insert into {table} (case_id, {others}) select {MOVED}, {others} from {table}"
                    " where case_id > first_id($2)",
                    at,
                    datetime(2026, 6, 1, tzinfo=UTC),
                )
        yield opened


async def names(tx: Transaction, table: str) -> list[str]:
    """The columns of a table, in order."""
    rows = await tx.fetch(
        "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0"
        " and not attisdropped order by attnum",
        table,
    )
    return [row["attname"] for row in rows]


async def touched(tx: Transaction, sql: str, *values: object) -> set[str]:
    """The tables that a statement's plan looks at, be it by an index or by a bitmap of one."""
    async with tx.transaction():
        plan = await tx.fetch(f"explain {sql}", *values)
    lines = "\n".join(row[0] for row in plan)
    looks = r"(?:(?<!Bitmap Index )Scan|Scan using \w+|Foreign Update) on (?:public\.)?(\w+)"
    return set(re.findall(looks, lines))


async def in_partitions(tx: Transaction, table: str) -> dict[str, int]:
    """How many rows each partition holds."""
    rows = await tx.fetch(
        f"select tableoid::regclass::text as name, count(*) as n from {table} group by 1"
    )
    return {row["name"]: row["n"] for row in rows}


def many_open(columns: Sequence[str]) -> str:
    """Some thousand open cases of a month, with forty holders."""
    new = {
        "case_id": MOVED.replace("case_id", "gen_random_uuid()"),
        "open": "true",
        "holder": "'holder ' || n % 40",
        "next_deadline": "now() + make_interval(secs => n)",
    }
    return (
        f"insert into cases ({', '.join(columns)})"
        f" select {', '.join(new.get(one, one) for one in columns)}"
        " from (select * from cases limit 1) one, generate_series(1, 4000) n"
    )


async def others_read_and_write(dsn: str, table: str) -> None:
    """Somebody else does both, and keeps nothing; whoever must wait gives up at once."""
    other = await connect(dsn, "other", lock_timeout_ms=200)
    try:
        async with other.transaction():
            written = await other.execute(f"update {table} set case_id = case_id")
            assert written != "UPDATE 0"
            assert await other.fetchval(f"select count(*) from {table}")
    finally:
        await other.close()


async def test_months_become_partitions_and_each_case_is_asked_in_one_of_them(
    dsn: str, pool: Pool
) -> None:
    async with pool.acquire() as tx:
        whole = {t: await tx.fetchval(f"select count(*) from {t}") for t in ("cases", "history")}
        until = datetime.now(UTC).replace(day=1)
        following = (until.replace(day=28) + (OLD[1] - OLD[0])).replace(day=2)
        for table in ("cases", "history"):
            await tx.execute(f"call bound('{table}', 'case_id', $1)", following)
            with pytest.raises(asyncpg.RaiseError, match="first say"):
                await tx.execute(f"call by_month('{table}', 'case_id', $1, 2)", following)
            async with tx.transaction():
                await tx.execute(f"call look_through('{table}')")
                await others_read_and_write(dsn, table)
            async with tx.transaction():
                await tx.execute(f"call by_month('{table}', 'case_id', $1, 2)", following)
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await others_read_and_write(dsn, table)
        assert await in_partitions(tx, "cases") == {"cases_before": whole["cases"]}

        # The past is split off from its newest month on.
        for at in (until, *reversed(OLD)):
            for table in ("cases", "history"):
                await tx.execute(f"call split_off('{table}', 'case_id', $1)", at)
        found = await in_partitions(tx, "cases")
        assert found == {f"cases_{at:%Y_%m}": LIVES for at in (until, *OLD)}
        assert sum((await in_partitions(tx, "history")).values()) == whole["history"]

        # Months are made ahead; of one that was forgotten the rows are taken all the same.
        for _ in range(2):
            await tx.execute("call months_ahead('cases', 4)")
        far = datetime.now(UTC) + timedelta(days=900)
        columns = await names(tx, "cases")
        rest = ", ".join(one for one in columns if one != "case_id")
        forgotten = f"insert into cases (case_id, {rest}) select {MOVED}, {rest} from cases limit 1"
        await tx.execute(forgotten, far)
        assert (await in_partitions(tx, "cases"))["cases_after"] == 1
        await tx.execute(forgotten, datetime.now(UTC) + timedelta(days=95))
        assert (await in_partitions(tx, "cases"))["cases_after"] == 1
        await tx.execute("delete from cases where case_id >= first_id($1)",
                         datetime.now(UTC) + timedelta(days=80))  # fmt: skip

        # A case is asked in its own month, whatever the statement.
        case: UUID = await tx.fetchval("select case_id from cases_2026_04 limit 1")
        for what, sql in HOT.items():
            table = "history" if "from history" in sql else "cases"
            assert await touched(tx, sql, case) == {f"{table}_2026_04"}, what

        # A queue asks every month, each by its own index of the open ones, merged in order.
        for at in (until, *OLD):
            await tx.execute(many_open(await names(tx, "cases")), at)
        await tx.execute("analyze cases")
        plan = "\n".join(row[0] for row in await tx.fetch(f"explain {QUEUE}", "holder 7"))
        assert "Merge Append" in plan, plan
        assert "Seq Scan" not in plan, plan
        before = await in_partitions(tx, "cases")

    # The router's own handlers work on it as before: whole lives, nothing refused.
    done = await Lives(pool, LIVES).run()
    assert (done.refused, done.lives) == (0, LIVES)
    async with pool.acquire() as tx:
        month = f"cases_{until:%Y_%m}"
        assert (await in_partitions(tx, "cases"))[month] == before[month] + LIVES


async def test_cases_over_two_servers_are_each_asked_on_one(
    dsn: str, pool: Pool, fresh_database: FreshDatabase
) -> None:
    second = await fresh_database("nothing", empty)
    async with pool.acquire() as tx:
        await like(tx, second)
        psql(dsn, second)
        n = await tx.fetchval("select count(*) from cases")
        found = await in_partitions(tx, "cases_sharded")
        assert found.keys() == {"cases_0", "cases_1"}
        assert sum(found.values()) == n
        for row in await tx.fetch("select case_id, tableoid::regclass::text t from cases_sharded"):
            shard = row["t"][-1]
            for what, sql in HOT.items():
                spread = re.sub(r"(from|^update) (cases|history)", r"\1 \2_sharded", sql)
                assert "_sharded" in spread
                table = "history" if "history" in sql else "cases"
                assert await touched(tx, spread, row["case_id"]) == {f"{table}_{shard}"}, what


async def empty(_dsn: str) -> None:
    """A database without anything."""


async def like(tx: Transaction, second: str) -> None:
    """The tables of the second server: of the same form as here."""
    other: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(second)
    try:
        for table in ("cases", "history"):
            rows = await tx.fetch(
                "select attname || ' ' || format_type(atttypid, atttypmod) as said"
                " from pg_attribute where attrelid = $1::regclass"
                " and attnum > 0 and not attisdropped order by attnum",
                table,
            )
            keys = "case_id" if table == "cases" else "case_id, epoch, seq"
            columns = ", ".join(row["said"] for row in rows)
            await other.execute(f"create table {table}_1 ({columns}, primary key ({keys}))")
    finally:
        await other.close()


def psql(here: str, second: str) -> None:
    """Run shard.sql as a person would."""
    folder = tools()
    assert folder is not None
    told = environment_of(second)
    names: Sequence[tuple[str, str]] = (
        ("host", "PGHOST"), ("port", "PGPORT"), ("database", "PGDATABASE"), ("user", "PGUSER"),
        ("password", "PGPASSWORD"),
    )  # fmt: skip
    words = [f"--set={name}={told[key]}" for name, key in names]
    done = subprocess.run(
        [str(Path(folder) / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *words, "-f",
         str(SQL / "shard.sql")],
        env=environment_of(here), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
