"""docs/coverage.md: every row is there once, and every test and command that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/coverage.md"
ROWS = {"S": 16, "F": 91, "X": 15, "E": 24, "P": 16, "R": 24, "O": 20}
IDS = [f"{family}{n}" for family, last in ROWS.items() for n in range(1, last + 1)]
HEAD = "| id | what | state | shown by |"

ROW = re.compile(r"\| ([A-Z]\d+) \| ([^|]+?) \| ([^|]+?) \|(?: ([^|]*?))? \|")
STATE = re.compile(r"shown|not yet|part: .+")
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
MAKE = re.compile(r"make ([a-z-]+)((?: [A-Z]+=\w+)*)")
BENCH = re.compile(r"python -m (bench(?:\.\w+)*)(?: ([a-z]+))?((?: --[a-z-]+(?: [\w./]+)?)*)")


class Row(NamedTuple):
    """A line of a table."""

    id: str
    what: str
    state: str
    shown_by: tuple[str, ...]


@cache
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@cache
def rows() -> tuple[Row, ...]:
    """The lines of all tables; a line that looks like one and is none fails here."""
    found = []
    for line in page().splitlines():
        if re.match(r"\|\s*[A-Z]\d+\s*\|", line):
            read = ROW.fullmatch(line)
            assert read is not None, f"not four cells: {line}"
            id_, what, state, cell = read.groups()
            found.append(Row(id_, what, state, tuple(named_in(cell or "", id_))))
    return tuple(found)


def named_in(cell: str, id_: str) -> list[str]:
    """What the last cell names, without its quotes."""
    pieces = [piece.strip() for piece in cell.split("<br>") if piece.strip()]
    for piece in pieces:
        assert re.fullmatch(r"`[^`]+`", piece), f"{id_}: {piece} is not in quotes, or not apart"
    return [piece.strip("`") for piece in pieces]


def everything_named() -> list[tuple[str, str]]:
    """(row, what it names) of the whole page."""
    return [(row.id, name) for row in rows() for name in row.shown_by]


@cache
def defined_in(path: str) -> frozenset[str]:
    """The tests of a file, by name: its functions, and the classes that are made in it."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return frozenset(name for name in names if name.startswith(("test_", "Test")))


@cache
def make_targets() -> frozenset[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))


def module_file(module: str) -> Path:
    """What `python -m` runs for a module."""
    at = ROOT / module.replace(".", "/")
    return at / "__main__.py" if at.is_dir() else at.with_suffix(".py")


def functions_of(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def bench_exists(module: str, verb: str | None) -> bool:
    """Whether there is such a module, and such a command in it."""
    file = module_file(module)
    return file.is_file() and (verb is None or verb in functions_of(file))


# ---------------------------------------------------------------- rows


def test_every_row_of_the_seven_lists_is_there_once_and_in_order() -> None:
    assert [row.id for row in rows()] == IDS


def test_each_list_has_a_table_of_its_own() -> None:
    headings = re.findall(r"^## ([A-Z]): ", page(), re.MULTILINE)
    assert headings == list(ROWS)
    for part in page().split("\n## ")[1:]:
        assert part.count(HEAD) == 1
        assert set(re.findall(r"^\| ([A-Z])\d", part, re.MULTILINE)) == {part[0]}


def test_a_state_is_one_of_three_and_part_says_what_is_missing() -> None:
    assert [row for row in rows() if not STATE.fullmatch(row.state)] == []


def test_what_is_shown_names_what_shows_it_and_what_is_not_names_nothing() -> None:
    assert [row.id for row in rows() if bool(row.shown_by) is (row.state == "not yet")] == []


def test_no_row_names_the_same_twice() -> None:
    assert [row.id for row in rows() if len(set(row.shown_by)) != len(row.shown_by)] == []


# ---------------------------------------------------------------- what they name


def test_what_is_named_is_a_test_or_a_command() -> None:
    kinds = (TEST, MAKE, BENCH)
    strange = [one for one in everything_named() if not any(k.fullmatch(one[1]) for k in kinds)]
    assert strange == []


def test_every_test_that_is_named_exists() -> None:
    named = [(id_, TEST.fullmatch(name)) for id_, name in everything_named()]
    missing = [(id_, test[0]) for id_, test in named if test and test[2] not in defined_in(test[1])]
    assert missing == []


def test_every_make_target_that_is_named_exists() -> None:
    words = re.findall(r"`make ([^`]+)`", page())
    assert words
    assert {word.split()[0] for word in words} <= make_targets()


def test_every_bench_that_is_named_exists() -> None:
    said = [BENCH.fullmatch(words) for words in re.findall(r"`(python -m bench[^`]*)`", page())]
    assert said
    assert [one for one in said if one is None or not bench_exists(one[1], one[2])] == []
