"""Lines of a file as petitions to be sent: NDJSON or CSV, columns mapped to fields.

A line that cannot be one is `Rejected`, with reasons that never quote it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import quote
from zoneinfo import ZoneInfo

import orjson

FIELDS = (
    "kind", "channel", "text", "subject", "category",
    "place.code", "place.lat", "place.lon", "place.words",
    "person.name", "person.address", "contact.phone", "contact.email",
    "accused.division", "accused.office", "accused.unknown", "occurred_at",
    "on_behalf.came_at", "on_behalf.reference",
)  # fmt: skip
NUMBERS = ("place.lat", "place.lon")
TIMES = ("occurred_at", "on_behalf.came_at")
ALSO_CALLED = {"occurred_at": "sent_at"}
DEFAULTS = {"kind": "complain", "channel": "web"}
LONGEST_KEY = 200
LOCAL = ZoneInfo("Asia/Shanghai")

Row: TypeAlias = Mapping[str, object]


class Ready(NamedTuple):
    """A petition to be sent: where it stood, its idempotency key, and its body."""

    line: int
    id: str
    key: str
    body: bytes
    defaulted: tuple[str, ...]


class Rejected(NamedTuple):
    """A line that was not taken, and why; never its words."""

    line: int
    id: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Columns:
    """Which column gives which field, what all lines have in common, and who tells them apart."""

    source: str
    id: str = "id"
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)

    def petition(self, line: int, row: Row) -> Ready | Rejected:
        """The petition of one row."""
        found = look(row, self.id)
        if found is None or isinstance(found, dict | list):
            reason = f"no id in column {self.id!r}: a repeat could not be told (say --id COLUMN)"
            return Rejected(line, None, (reason,))
        its_id = str(found)
        key = f"import:{quote(self.source)}:{quote(its_id)}"
        if len(key) > LONGEST_KEY:
            return Rejected(line, None, ("the id is too long to tell a repeat by",))
        body: dict[str, object] = {}
        defaulted: list[str] = []
        for name in FIELDS:
            value = self.value(name, row)
            if value is None and name in DEFAULTS:
                defaulted.append(name)
                value = DEFAULTS[name]
            if value is not None:
                put(body, name, value)
        try:
            return Ready(line, its_id, key, orjson.dumps(body), tuple(defaulted))
        except orjson.JSONEncodeError:
            return Rejected(line, its_id, ("not readable in this encoding (say --encoding)",))

    def value(self, name: str, row: Row) -> object | None:
        """What a row says of a field: the constant, the mapped column, or that of its name."""
        if name in self.constants:
            said: object | None = self.constants[name]
        elif name in self.columns:
            said = look(row, self.columns[name])
        else:
            said = look(row, name)
            if said is None and name in ALSO_CALLED:
                said = look(row, ALSO_CALLED[name])
        return None if said is None else as_field(name, said)


def look(row: Row, path: str) -> object | None:
    """What stands in a column, or under `a.b` in an object; None where nothing does."""
    if path in row:
        said = row[path]
    else:
        head, _, rest = path.partition(".")
        inner = row.get(head)
        said = look(inner, rest) if rest and isinstance(inner, dict) else None
    return None if isinstance(said, str) and not said.strip() else said


def put(body: dict[str, object], name: str, value: object) -> None:
    """Set a field, or `a.b` in an object of the body."""
    head, _, rest = name.partition(".")
    if not rest:
        body[head] = value
        return
    inner = body.setdefault(head, {})
    assert isinstance(inner, dict)
    inner[rest] = value


def as_field(name: str, said: object) -> object | None:
    """A cell as the type that its field has; what does not fit is left for the server to refuse."""
    if name == "accused.unknown":
        return True if str(said).lower() in ("true", "1", "yes") else None
    if name in NUMBERS:
        return number(said)
    if isinstance(said, int | float) and not isinstance(said, bool):
        return str(said)
    if name in TIMES and isinstance(said, str):
        return with_zone(said)
    return said


def number(said: object) -> object:
    """A coordinate; CSV has only text."""
    if not isinstance(said, str):
        return said
    try:
        return float(said)
    except ValueError:
        return said


def with_zone(said: str) -> str:
    """A time without a zone is Beijing time, as exports of Chinese systems mean it."""
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        return said
    return said if at.tzinfo else at.replace(tzinfo=LOCAL).isoformat()


# ---------------------------------------------------------------- files


class Lines:
    """The lines of a file, and how many bytes of it were read."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.path, self.encoding = path, encoding
        self.size = path.stat().st_size
        self.read = 0

    def __iter__(self) -> Iterator[str]:
        """Line by line; what the encoding does not know comes as lone surrogates."""
        with self.path.open("rb") as file:
            for raw in file:
                self.read += len(raw)
                yield raw.decode(self.encoding, "surrogateescape")

    def petitions(self, columns: Columns) -> Iterator[Ready | Rejected]:
        """The petitions of a file: NDJSON when it begins with a brace, else CSV with a header."""
        with self.path.open("rb") as file:
            begin = file.read(1000).removeprefix(b"\xef\xbb\xbf").lstrip()
        rows = self._objects() if begin.startswith(b"{") else self._cells()
        for line, row in rows:
            if isinstance(row, str):
                yield Rejected(line, None, (row,))
            else:
                yield columns.petition(line, row)

    def _objects(self) -> Iterator[tuple[int, Row | str]]:
        for line, text in enumerate(self, start=1):
            if not text.strip():
                continue
            try:
                row = orjson.loads(text)
            except orjson.JSONDecodeError:
                yield line, "not readable as JSON (or in another encoding: say --encoding)"
                continue
            yield line, row if isinstance(row, dict) else "not a JSON object"

    def _cells(self) -> Iterator[tuple[int, Row | str]]:
        reader = csv.DictReader(iter(self))
        line = 1
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield line, "not readable as CSV"
                continue
            if None in row:
                yield line, "more cells than the header has"
            else:
                yield line, {str(name): cell for name, cell in row.items()}
