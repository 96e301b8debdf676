"""From the text of a data file to rows as they travel on policy.events, with the line of each.

A policy version is `settings` (YAML: one row per top-level key) and tables (CSV).
Reading never raises: what is wrong with the text stands in the part's `problems`, so that
`parse_policy` can tell everything at once.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from services.router.decisions.policy.problems import Problem
from shared.events import (
    CategoryRow,
    ClassRow,
    DivisionRow,
    DutyRow,
    ModelRow,
    OfficeRow,
    PlaceRow,
    PolicyPartKind,
    WordRow,
)

Row = Mapping[str, object]
Model = TypeVar("Model", bound=BaseModel)


class CalendarDay(BaseModel):
    """A row of the calendar: a day (holiday, workday) or a year (published, provisional)."""

    date: str
    kind: str


class TemplateRow(BaseModel):
    """Words for the resident, by command and matter; several commands or stages with `;` between.

    The router's alone: it does not travel.
    """

    code: str
    commands: str
    stages: str = ""
    reason: str | None = None
    category: str = ""
    zh: str
    en: str


PartKind: TypeAlias = PolicyPartKind | Literal["templates"]
"""The parts of a version: those that travel on policy.events, and the router's own."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one kind, and where they stood.

    `lines` maps a dotted key (settings) or the number of a row from 0 (tables) to its line in
    `file`; it is empty when the rows came from a table of the router or over Kafka.
    """

    file: str
    rows: tuple[Row, ...]
    lines: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def line(self, key: str) -> int | None:
        """The line of a key, or of the nearest key above it that has one."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return self.lines.get(key)

    def problem(self, key: str, message: str, *, row: int | None = None) -> Problem:
        """A problem of this part: at the line of a table's row, or of the key itself."""
        return Problem(self.file, self.line(key if row is None else str(row)), key, message)


TABLES: Final[Mapping[PartKind, type[BaseModel]]] = {
    "divisions": DivisionRow,
    "places": PlaceRow,
    "categories": CategoryRow,
    "vocabulary": WordRow,
    "calendar": CalendarDay,
    "offices": OfficeRow,
    "duties": DutyRow,
    "classes": ClassRow,
    "model": ModelRow,
    "templates": TemplateRow,
}
# Columns that are welcome in a file and do not travel: the code says tier and parent already.
_FOR_READERS: Final[Mapping[PartKind, frozenset[str]]] = {
    "divisions": frozenset({"tier", "parent"}),
    "places": frozenset({"basis"}),
    "categories": frozenset({"source"}),
    "vocabulary": frozenset({"source"}),
    "calendar": frozenset({"name", "source"}),
    "offices": frozenset({"source"}),
    "duties": frozenset({"source"}),
    "classes": frozenset(),
    "model": frozenset(),
    "templates": frozenset({"source"}),
}
Parts: TypeAlias = Mapping[PolicyPartKind, Part] | Mapping[PartKind, Part]
_ALSO_CALLED: Final = {"division_code": "division"}


def read_part(kind: PartKind, text: str, file: str) -> Part:
    """The rows that a data file says: YAML for the settings, CSV for every table."""
    text = text.removeprefix("\ufeff")
    return _read_settings(text, file) if kind == "settings" else _read_table(kind, text, file)


def _read_settings(text: str, file: str) -> Part:
    loader = yaml.SafeLoader(text)
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            # An alias may hold itself, and hides where its text stands.
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1 if event.start_mark else None
                said = Problem(file, line, "-", "an alias: write it out")
                return Part(file, (), problems=(said,))
        node = loader.get_single_node()
        settings = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as unreadable:
        mark = unreadable.problem_mark or unreadable.context_mark
        line = None if mark is None else mark.line + 1
        said = Problem(file, line, "-", f"not readable as YAML: {unreadable.problem}")
        return Part(file, (), problems=(said,))
    finally:
        loader.dispose()
    if node is None or not isinstance(settings, dict):
        return Part(file, (), problems=(Problem(file, 1, "-", "not a list of settings"),))
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    for key, line in _keys(node, ""):
        if key in lines:
            problems.append(Problem(file, line, key, f"said twice, first in line {lines[key]}"))
        lines[key] = line
    rows = tuple({"name": str(name), "value": value} for name, value in settings.items())
    return Part(file, rows, lines, tuple(problems))


def _keys(node: yaml.Node, above: str) -> Iterator[tuple[str, int]]:
    """Every dotted key below a node with its line."""
    children: list[tuple[str, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        children = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        children = [(str(n), value, value) for n, value in enumerate(node.value)]
    for name, at, value in children:
        key = f"{above}.{name}" if above else name
        yield key, at.start_mark.line + 1
        yield from _keys(value, key)


def _read_table(kind: PartKind, text: str, file: str) -> Part:
    model = TABLES[kind]
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    try:
        names = [_ALSO_CALLED.get(name, name) for name in reader.fieldnames or ()]
        reader.fieldnames = names
        problems.extend(Problem(file, 1, *said) for said in _header(kind, names))
        for cells in [] if problems else reader:
            row = _row(model, cells)
            if isinstance(row, str):
                problems.append(Problem(file, reader.line_num, _first(cells), row))
            else:
                lines[str(len(rows))] = reader.line_num
                rows.append(row)
    except csv.Error as unreadable:
        problems.append(Problem(file, reader.line_num, "-", f"not readable as CSV: {unreadable}"))
    return Part(file, tuple(rows), lines, tuple(problems))


def _header(kind: PartKind, names: list[str]) -> Iterator[tuple[str, str]]:
    fields = TABLES[kind].model_fields
    for name in names:
        if name not in fields and name not in _FOR_READERS[kind]:
            yield name, "unknown column"
    for name, info in fields.items():
        if info.is_required() and name not in names:
            yield name, "this column is missing"


def _row(model: type[BaseModel], cells: Mapping[str | None, object]) -> Row | str:
    """The row as it travels, or what is wrong with it."""
    if None in cells or None in cells.values():
        return "this row has more or fewer cells than the header"
    try:
        row = model.model_validate({name: cell for name, cell in cells.items() if cell != ""})
    except ValidationError as wrong:
        return "; ".join(in_words(error) for error in wrong.errors(include_url=False))
    return row.model_dump(mode="json", exclude_none=True)


def _first(cells: Mapping[str | None, object]) -> str:
    return str(next(iter(cells.values()), "-"))


def in_words(error: ErrorDetails) -> str:
    """A pydantic error of a table's row as a sentence that names the column."""
    column = ".".join(str(step) for step in error["loc"])
    if error["type"] == "missing":
        return f"{column} is missing"
    return f"{column} says {error['input']!r}: {error['msg']}"


def typed_rows(
    part: Part, model: type[Model], problems: list[Problem]
) -> Iterator[tuple[int, Model]]:
    """The rows of a table with their numbers; one that is not what it should be is a problem."""
    for n, row in enumerate(part.rows):
        try:
            yield n, model.model_validate(row)
        except ValidationError as wrong:
            key = str(next(iter(row.values()), "-"))
            said = "; ".join(in_words(error) for error in wrong.errors(include_url=False))
            problems.append(part.problem(key, said, row=n))
