"""What intake takes from a policy version: its reader, its categories, its divisions. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import orjson

from services.intake.decisions.reading import Reader, compile_vocabulary
from shared.events import (
    CategoryRow,
    Data,
    DivisionRow,
    PlaceRow,
    PolicyPart,
    PolicyPartKind,
    PolicyPublished,
    WordRow,
)

Row = TypeVar("Row", bound=Data)


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole version: reads petitions, and knows which codes there are (divisions by name)."""

    version: int
    reader: Reader
    categories: frozenset[str]
    divisions: Mapping[str, str]


class PartBody(NamedTuple):
    """A part as it is stored: the canonical JSON over which the hash of a version runs."""

    version: int
    kind: PolicyPartKind
    n: int
    body: bytes


def canonical(part: PolicyPart) -> PartBody:
    """The part in the one spelling that everybody hashes."""
    body = {"kind": part.kind, "n": part.n, "rows": part.rows}
    return PartBody(
        part.version, part.kind, part.n, orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    )


def what_is_missing(published: PolicyPublished, parts: Iterable[PartBody]) -> str | None:
    """Why a version is not whole yet; None when it is."""
    ordered = sorted(parts, key=lambda part: (part.kind, part.n))
    if len(ordered) != published.parts:
        return f"policy version {published.version}: {len(ordered)} of {published.parts} parts"
    sha256 = hashlib.sha256()
    for part in ordered:
        sha256.update(part.body + b"\n")
    if sha256.hexdigest() != published.sha256:
        return f"policy version {published.version}: its parts have another sha256"
    return None


def compile_policy(version: int, parts: Iterable[PartBody]) -> Policy:
    """The policy of these parts. ValueError when a row or a word is not what it should be."""
    rows: dict[PolicyPartKind, list[object]] = {}
    for part in sorted(parts, key=lambda part: (part.kind, part.n)):
        rows.setdefault(part.kind, []).extend(orjson.loads(part.body)["rows"])
    divisions = _rows(DivisionRow, rows.get("divisions"))
    categories = _rows(CategoryRow, rows.get("categories"))
    return Policy(
        version=version,
        reader=compile_vocabulary(
            _rows(WordRow, rows.get("vocabulary")),
            _rows(PlaceRow, rows.get("places")),
            categories,
            divisions,
        ),
        categories=frozenset(category.code for category in categories),
        divisions={division.code: division.name for division in divisions},
    )


def _rows(model: type[Row], rows: Iterable[object] | None) -> list[Row]:
    return [model.model_validate(row) for row in rows or ()]
