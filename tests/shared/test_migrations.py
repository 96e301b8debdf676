"""Two versions live on the same tables: migrations only add, and the version before goes on."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.local.environment import SERVICES
from shared.postgres import MIGRATION_LOCK_MS, OUTSIDE, Transaction, connect, migrate
from tests.faults.versions import NoHistory, git, unpacked
from tests.servers import ROOT, PostgresServer
from tests.shared.sayings import eventually

RULE = ROOT / "shared" / "migrations" / "README.md"
FOLDERS = {
    "shared": ROOT / "shared" / "migrations",
    **{name: ROOT / "services" / name / "migrations" for name in SERVICES},
}
TAKES_AWAY = (
    r"\bdrop\b",
    r"\brename\b",
    r"\btruncate\b",
    r"\bdelete from\b",
    r"\balter (column )?\w+ (set data )?type\b",
    r"\bset not null\b",
    r"\badd (constraint|check|unique|primary key|foreign key|exclude)\b",
)
BEFORE = {"shared": 4, "intake": 10, "router": 7, "escalation": 9, "analytics": 2}
"""Files that landed before any city had tables so large that it mattered how long they take."""
PLANS = (
    "walks_through", "with_every_closed_case", "reads_what_is_due_in_time",
)  # fmt: skip
"""Words in the names of tests that look at the plans of statements: another version has others."""


def statements(sql: str) -> Iterator[str]:
    """Each statement in one line, without comments."""
    bare = re.sub(r"--[^\n]*", " ", sql)
    yield from filter(None, (" ".join(part.split()).lower() for part in bare.split(";")))


def takes_away(sql: str) -> Iterator[str]:
    """What in a migration may hurt a version that does not know it, statement by statement."""
    made = set(re.findall(r"\bcreate table (?:if not exists )?(\w+)", " ".join(statements(sql))))
    for statement in statements(sql):
        again = re.fullmatch(r"drop index concurrently if exists (\w+)", statement)
        if again and f"create index concurrently {again[1]} on " in " ".join(statements(sql)):
            continue
        yield from (found[0] for rule in TAKES_AWAY if (found := re.search(rule, statement)))
        unique = re.match(r"create unique index (?:if not exists )?\w* ?on (\w+)", statement)
        if unique and unique[1] not in made:
            yield unique[0]
        if statement.startswith("alter table"):
            for column in re.findall(r"add column ((?:[^,(]|\([^)]*\))*)", statement):
                if "not null" in column and "default" not in column:
                    yield f"add column {column}"


def keeps_waiting(sql: str) -> Iterator[str]:
    """What in a migration locks a table that is there for as long as it reads or writes it all."""
    made = set(re.findall(r"\bcreate table (?:if not exists )?(\w+)", " ".join(statements(sql))))
    for statement in statements(sql):
        index = re.match(r"create (?:unique )?index (concurrently )?.*?\bon (\w+)", statement)
        if index and index[2] not in made and not index[1]:
            yield index[0]
        if index and index[1] and not sql.startswith(OUTSIDE):
            yield f"{index[0]} inside a transaction"
        if statement.startswith("alter table") and re.search(r"\bgenerated .* stored\b", statement):
            yield "a stored generated column"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("create table a (b int); create index c on a (b);", []),
        ("alter table a add column b int; create index c on a (b)", ["create index c on a"]),
        ("create index concurrently c on a (b)",
         ["create index concurrently c on a inside a transaction"]),
        (f"{OUTSIDE}\ndrop index concurrently if exists c;"
         " create index concurrently c on a (b);", []),
        ("alter table a add column b int generated always as (c + 1) stored",
         ["a stored generated column"]),
    ],
)  # fmt: skip
def test_what_keeps_everybody_waiting_is_seen(sql: str, told: list[str]) -> None:
    assert list(keeps_waiting(sql)) == told


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("create table a (b int not null, unique (b)); create unique index c on a (b);", []),
        ("alter table a add column b int, add column c int not null default 0;", []),
        ("create index b on a (c); -- drop it later", []),
        ("alter table a drop column b", ["drop"]),
        ("drop index b", ["drop"]),
        ("drop index concurrently if exists b; create index concurrently b on a (c)", []),
        ("drop index concurrently if exists b; create index concurrently c on a (c)", ["drop"]),
        ("alter table a rename column b to c", ["rename"]),
        ("alter table a alter column b type text", ["alter column b type"]),
        ("alter table a alter b set data type numeric (3, 2)", ["alter b set data type"]),
        ("alter table a alter column b set not null", ["set not null"]),
        ("alter table a add check (b > 0)", ["add check"]),
        ("alter table a add column b numeric(3, 2) not null, add column c int",
         ["add column b numeric(3, 2) not null"]),
        ("create unique index b on a (c)", ["create unique index b on a"]),
        ("delete from a", ["delete from"]),
    ],
)  # fmt: skip
def test_what_takes_something_away_is_seen(sql: str, told: list[str]) -> None:
    assert list(takes_away(sql)) == told


def test_migrations_only_add_but_for_those_that_are_listed_with_their_reason() -> None:
    found = {
        f"{owner}/{file.name}"
        for owner, folder in FOLDERS.items()
        for file in folder.glob("*.sql")
        if list(takes_away(sql := file.read_text()))
        or (int(file.name[:4]) > BEFORE[owner] and list(keeps_waiting(sql)))
    }
    listed = re.findall(r"^\| `(\w+/\d{4}_\w+\.sql)` \| .+ \| .+ \|$", RULE.read_text(), re.M)
    assert found == set(listed)


def test_migrations_are_numbered_without_a_gap() -> None:
    for folder in FOLDERS.values():
        numbers = [int(file.name[:4]) for file in sorted(folder.glob("*.sql"))]
        assert numbers == list(range(1, len(numbers) + 1)), folder


def with_file(folder: Path, n: int, sql: str) -> Path:
    """A folder of migrations with one more."""
    folder.mkdir(exist_ok=True)
    (folder / f"{n:04}_file.sql").write_text(sql)
    return folder


async def test_a_migration_that_waits_for_its_lock_lets_others_pass(
    dsn: str, tx: Transaction, tmp_path: Path
) -> None:
    folder = with_file(tmp_path / "files", 1, "create table large (n int)")
    assert await migrate(dsn, "more", folder) == ["more/0001_file.sql"]
    with_file(folder, 2, "create table second (n int)")
    with_file(folder, 3, "alter table large add column m int")
    reader = await connect(dsn, "reader")
    reading = reader.transaction()
    await reading.start()
    await reader.execute("select * from large")
    work = asyncio.create_task(migrate(dsn, "more", folder))
    waits = "select count(*) from pg_locks where relation = 'large'::regclass and not granted"
    await eventually(lambda: tx.fetchval(waits), bool)
    began = time.monotonic()
    await tx.execute("select * from large")
    assert time.monotonic() - began < 2 * MIGRATION_LOCK_MS / 1000
    assert not work.done()
    assert await tx.fetchval("select to_regclass('second') is not null"), "what was done is done"
    await reading.rollback()
    await reader.close()
    assert await work == ["more/0002_file.sql", "more/0003_file.sql"]
    await tx.execute("select m from large")


async def test_an_index_is_made_while_others_write_and_again_where_it_was_left_half_made(
    dsn: str, tx: Transaction, tmp_path: Path
) -> None:
    folder = with_file(tmp_path / "files", 1, "create table large (n int)")
    await migrate(dsn, "more", folder)
    await tx.execute("insert into large values (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await tx.execute("create unique index concurrently large_n on large (n)")
    valid = "select indisvalid from pg_index where indexrelid = 'large_n'::regclass"
    assert await tx.fetchval(valid) is False
    with_file(
        folder, 2,
        f"{OUTSIDE}\n-- for nothing; but a test\ndrop index concurrently if exists large_n;\n"
        "create index concurrently large_n on large (n);\n",
    )  # fmt: skip
    assert await migrate(dsn, "more", folder) == ["more/0002_file.sql"]
    assert await tx.fetchval(valid) is True
    assert await migrate(dsn, "more", folder) == []


def version_before(service: str) -> str:
    """The commit before the newest migration of a service. Raises `NoHistory`."""
    newest = max(FOLDERS[service].glob("*.sql")).relative_to(ROOT)
    words = ("log", "--diff-filter=A", "--format=%H", "--", str(newest))
    commits = git(*words).decode().split()
    # One that is not committed yet comes after everything that is.
    return f"{commits[-1]}^" if commits else "HEAD"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("service", SERVICES)
def test_the_version_before_the_newest_migration_works_on_todays_tables(
    service: str, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    """Its own tests, as they were, with the migrations of today in the place of its own."""
    parts = ("services", "shared", "deploy", "bench", "tests", "pyproject.toml")
    try:
        code = unpacked(tmp_path, version_before(service), parts)
    except NoHistory as why:
        if os.environ.get("CI"):
            pytest.fail(str(why), pytrace=False)
        pytest.skip(str(why))
    for folder in (FOLDERS["shared"], FOLDERS[service]):
        shutil.copytree(folder, code / folder.relative_to(ROOT), dirs_exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         f"tests/{service}", "-m", "postgres and not kafka", "-k", f"not ({' or '.join(PLANS)})"],
        cwd=code,
        env=os.environ
        | {"PYTHONPATH": str(code), "CASEGRID_TEST_DSN": postgres_server.dsn("postgres")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 15
