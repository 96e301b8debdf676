"""What intake takes from a policy version: its reader, its categories, its divisions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import orjson

from services.intake.decisions.additions import Reopening, reopening
from services.intake.decisions.emergencies import Emergencies, compile_emergencies
from services.intake.decisions.learned import MatterClass, compile_model, matter_classes
from services.intake.decisions.petitions import Accusations
from services.intake.decisions.reading import Reader, compile_vocabulary
from shared.events import (
    CategoryCode,
    CategoryRow,
    ClassRow,
    Data,
    DivisionRow,
    DutyRow,
    ModelRow,
    OfficeRow,
    PlaceRow,
    PolicyPart,
    PolicyPartKind,
    PolicyPublished,
    SettingsRow,
    WordRow,
    hash_of_parts,
    part_body,
)

Row = TypeVar("Row", bound=Data)


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole version: reads petitions, and knows which codes there are (divisions by name).

    The offices that may be accused are no desks: a desk is its division's own, which is accused
    then.
    """

    version: int
    reader: Reader
    categories: frozenset[str]
    divisions: Mapping[str, str]
    accusations: Accusations
    classes: Mapping[CategoryCode, tuple[MatterClass, ...]]
    emergencies: Emergencies
    reopening: Reopening

    @property
    def offices(self) -> frozenset[str]:
        """The offices that may be accused."""
        return self.accusations.offices


class PartBody(NamedTuple):
    """A part as it is stored: the canonical JSON over which the hash of a version runs."""

    version: int
    kind: PolicyPartKind
    n: int
    body: bytes


def canonical(part: PolicyPart) -> PartBody:
    """The part as it is stored."""
    body = part_body(part.kind, part.n, part.rows)
    return PartBody(part.version, part.kind, part.n, body)


def what_is_missing(published: PolicyPublished, parts: Iterable[PartBody]) -> str | None:
    """Why a version is not whole yet; None when it is."""
    there = [(part.kind, part.n, part.body) for part in parts]
    if len(there) != published.parts:
        return f"policy version {published.version}: {len(there)} of {published.parts} parts"
    if hash_of_parts(there) != published.sha256:
        return f"policy version {published.version}: its parts have another sha256"
    return None


def compile_policy(version: int, parts: Iterable[PartBody]) -> Policy:
    """The policy of these parts. ValueError when a row or a word is not what it should be."""
    rows: dict[PolicyPartKind, list[object]] = {}
    for part in sorted(parts, key=lambda part: (part.kind, part.n)):
        rows.setdefault(part.kind, []).extend(orjson.loads(part.body)["rows"])
    divisions = _rows(DivisionRow, rows.get("divisions"))
    categories = _rows(CategoryRow, rows.get("categories"))
    words = _rows(WordRow, rows.get("vocabulary"))
    classes = _rows(ClassRow, rows.get("classes"))
    offices = _rows(OfficeRow, rows.get("offices"))
    settings = _rows(SettingsRow, rows.get("settings"))
    return Policy(
        version=version,
        reader=compile_vocabulary(
            words,
            _rows(PlaceRow, rows.get("places")),
            categories,
            divisions,
            compile_model(_rows(ModelRow, rows.get("model")), classes),
        ),
        categories=frozenset(category.code for category in categories),
        divisions={division.code: division.name for division in divisions},
        accusations=Accusations(
            accusing(settings),
            frozenset(office.id for office in offices if office.kind != "desk"),
        ),
        classes=matter_classes(classes),
        emergencies=compile_emergencies(
            words,
            categories,
            offices,
            _rows(DutyRow, rows.get("duties")),
        ),
        reopening=reopening(settings),
    )


def reopening_in(parts: Iterable[PartBody]) -> Reopening:
    """What the settings among these parts say of ratings."""
    rows = [row for part in parts for row in orjson.loads(part.body)["rows"]]
    return reopening(_rows(SettingsRow, rows))


def accusing(settings: Iterable[SettingsRow]) -> frozenset[str]:
    """The categories that are accusations: `first_tier.accusations` of the settings."""
    for row in settings:
        if row.name == "first_tier" and isinstance(row.value, dict):
            return frozenset(row.value.get("accusations", ()))
    return frozenset()


def _rows(model: type[Row], rows: Iterable[object] | None) -> list[Row]:
    return [model.model_validate(row) for row in rows or ()]
