"""Petitions whose class of matters a person has said: lines of a file, dispatchers' corrections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import orjson

from services.intake.decisions.learned import MatterClass
from services.intake.decisions.reading import ToRead
from services.intake.store.labels import Labelled
from shared.events import CategoryCode


class Example(NamedTuple):
    """A petition and its class; the category too, where a dispatcher has said it."""

    petition: ToRead
    matter_class: MatterClass
    category: CategoryCode | None = None


class NotLabelled(ValueError):
    """A line of the file has no words or no label."""


def of_file(path: Path, label: str) -> Iterator[Example]:
    """The examples of an NDJSON file: `subject`, `text`, and the class in the column `label`.

    Raises NotLabelled with the line's number; never its words.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = orjson.loads(line)
                text, matter_class = row["text"], row[label]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                raise NotLabelled(f"{path} line {number}: needs text and {label}") from None
            # The kind has a word to say in a score; here nobody has said it yet.
            yield Example(
                ToRead(text=str(text), subject=str(row.get("subject") or ""), kind="help"),
                str(matter_class),
            )


def of_corrections(
    labels: list[Labelled], classes: Mapping[CategoryCode, tuple[MatterClass, ...]]
) -> Iterator[Example]:
    """The examples that dispatchers have given; of a category under two classes the first."""
    for one in labels:
        for matter_class in classes.get(one.category, ())[:1]:
            yield Example(one.petition, matter_class, one.category)
