"""Two versions live on the same tables: migrations only add, and the version before goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.environment import SERVICES
from tests.faults.versions import NoHistory, git, unpacked
from tests.servers import ROOT, PostgresServer

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
COST = "not cost and not figures"
"""Tests of times and plans speak of one machine and one version."""


def statements(sql: str) -> Iterator[str]:
    """Each statement in one line, without comments."""
    bare = re.sub(r"--[^\n]*", " ", sql)
    yield from filter(None, (" ".join(part.split()).lower() for part in bare.split(";")))


def takes_away(sql: str) -> Iterator[str]:
    """What in a migration may hurt a version that does not know it, statement by statement."""
    made = set(re.findall(r"\bcreate table (?:if not exists )?(\w+)", " ".join(statements(sql))))
    for statement in statements(sql):
        yield from (found[0] for rule in TAKES_AWAY if (found := re.search(rule, statement)))
        unique = re.match(r"create unique index (?:if not exists )?\w* ?on (\w+)", statement)
        if unique and unique[1] not in made:
            yield unique[0]
        if statement.startswith("alter table"):
            for column in re.findall(r"add column ((?:[^,(]|\([^)]*\))*)", statement):
                if "not null" in column and "default" not in column:
                    yield f"add column {column}"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("create table a (b int not null, unique (b)); create unique index c on a (b);", []),
        ("alter table a add column b int, add column c int not null default 0;", []),
        ("create index b on a (c); -- drop it later", []),
        ("alter table a drop column b", ["drop"]),
        ("drop index b", ["drop"]),
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
        if list(takes_away(file.read_text()))
    }
    listed = re.findall(r"^\| `(\w+/\d{4}_\w+\.sql)` \| .+ \| .+ \|$", RULE.read_text(), re.M)
    assert found == set(listed)


def test_migrations_are_numbered_without_a_gap() -> None:
    for folder in FOLDERS.values():
        numbers = [int(file.name[:4]) for file in sorted(folder.glob("*.sql"))]
        assert numbers == list(range(1, len(numbers) + 1)), folder


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
        pytest.skip(str(why))
    for folder in (FOLDERS["shared"], FOLDERS[service]):
        shutil.copytree(folder, code / folder.relative_to(ROOT), dirs_exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         f"tests/{service}", "-m", "postgres and not kafka", "-k", COST],
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
