"""Policy versions: from files to checked rows, to tables, to policy.events; and remembered."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar, get_args

import orjson

from services.router import store
from services.router.decisions.case import Case
from services.router.decisions.policy import Part, PartKind, Parts, Policy, parse_policy, read_part
from shared import outbox, postgres
from shared.clock import Clock
from shared.divisions import CITY
from shared.events import (
    Envelope,
    Order,
    PolicyPart,
    PolicyPartKind,
    PolicyPublished,
    Topic,
    derived_id,
    hash_of_parts,
    part_body,
)
from shared.outbox import Saying
from shared.postgres import Pool, Transaction
from shared.service import Process

logger = logging.getLogger(__name__)

DATA = Path(__file__).parents[1] / "data"
FILES: Mapping[PartKind, str] = {
    "settings": "policy.yaml",
    "categories": "categories.csv",
    "divisions": "divisions.csv",
    "places": "places.csv",
    "vocabulary": "vocabulary.csv",
    "calendar": "calendar.csv",
    "offices": "offices.csv",
    "duties": "duties.csv",
    "classes": "classes.csv",
    "model": "model.csv",
    "templates": "templates.csv",
}
KEYS: Mapping[PartKind, tuple[str, ...]] = {
    "settings": ("name",),
    "categories": ("code",),
    "divisions": ("code",),
    "places": ("name", "division"),
    "vocabulary": ("word", "means"),
    "calendar": ("date", "kind"),
    "offices": ("id",),
    "duties": ("category", "division", "lead"),
    "classes": ("category", "matter_class"),
    "model": (),
    "templates": ("code", "category", "stages"),
}
PUBLISHED: tuple[PolicyPartKind, ...] = get_args(PolicyPartKind)
"""What travels on policy.events; templates are the router's alone."""
WHOLE: frozenset[PartKind] = frozenset({"model"})
"""Replaced as a whole: its weights were found together and mean nothing among others."""
PART_BYTES = 200_000  # a record on policy.events stays under 256 kB


def policies_of(process: Process) -> Policies:
    """The policy versions that this process has read."""
    assert isinstance(process.state, Policies)
    return process.state


class Policies:
    """The versions this process has read; open cases keep the one they were opened under."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.read: dict[int, Policy] = {}
        self.newest = 0

    @property
    def current(self) -> Policy:
        """The version that new cases are opened under."""
        return self.read[self.newest]

    def of(self, version: int) -> Policy:
        """A version that was read; `need` reads it first."""
        return self.read[version]

    async def need(self, tx: Transaction, versions: set[int]) -> None:
        """Read these versions, unless they were."""
        for version in versions - self.read.keys():
            rows = await store.policy.rows(tx, version)
            self.read[version] = policy_of(version, rows)

    async def refresh(self, tx: Transaction) -> bool:
        """Switch to the newest version; says whether there is one."""
        newest = await store.policy.newest(tx)
        if newest is None:
            return False
        await self.need(tx, {newest})
        if newest != self.newest:
            logger.info("policy version %s is in force", newest)
        self.newest = newest
        return True

    def unit_of(self, case: Case) -> str:
        """Who holds a case, in words: a division, and its office if one does."""
        name = self.name_of(case.holder, case.policy)
        office = self.read[case.policy].duties.offices.get(case.office or "")
        return name if office is None else f"{name} {office.zh}"

    def name_of(self, division: str, version: int) -> str:
        """A division in words."""
        if division == CITY:
            return "市级派单台 city desk"
        row = self.read[version].divisions.get(division)
        return division if row is None else row.name


def policy_of(version: int, rows: Sequence[tuple[str, int, list[dict[str, object]]]]) -> Policy:
    """A version from its rows."""
    joined: dict[PartKind, list[dict[str, object]]] = {}
    for kind, _, part in rows:
        joined.setdefault(kind, []).extend(part)  # type: ignore[arg-type]
    return parse_policy(version, {kind: Part(kind, tuple(part)) for kind, part in joined.items()})


def files(folder: Path = DATA) -> dict[PartKind, Path]:
    """The data files of a policy in a folder; those that are there."""
    return {kind: folder / name for kind, name in FILES.items() if (folder / name).exists()}


def read_files(paths: Mapping[PartKind, Path]) -> dict[PartKind, Part]:
    """The parts that these files say."""
    return {
        kind: read_part(kind, path.read_text(encoding="utf-8"), str(path))
        for kind, path in paths.items()
    }


async def load(
    tx: Transaction,
    parts: Parts,
    *,
    loaded_by: str,
    epoch: int,
    clock: Clock,
    now: datetime,
    merge: bool,
) -> int:
    """Make a new version of these parts and say it on policy.events; returns its number.

    The templates are kept with it and are not said: they are the router's alone.

    With `merge`, rows are added to the version in force, and replace rows of the same key; a part
    that is not given stays as it is. Raises `PolicyRefused` with every problem.
    """
    await store.policy.lock(tx)
    newest = await store.policy.newest(tx)
    version = (newest or 0) + 1
    old = await store.policy.rows(tx, newest) if newest is not None else []
    given: dict[PartKind, Part] = {kind: part for kind, part in parts.items()}
    whole: dict[PartKind, Part] = {}
    for kind in KEYS:
        before = tuple(row for k, _, rows in old if k == kind for row in rows)
        whole[kind] = merged(kind, before, given.get(kind), keep=merge)
    years = range(now.year, now.year + 2)
    parse_policy(version, whole, years=years)
    chunks = list(chunked(published(whole)))
    own = [("templates", n, rows) for _, n, rows in chunked({"templates": whole["templates"]})]
    sha256 = hash_of_parts((kind, n, part_body(kind, n, rows)) for kind, n, rows in chunks)
    await store.policy.add_version(tx, version, sha256, len(chunks), loaded_by)
    await store.policy.add_parts(
        tx, version, [(kind, n, orjson.dumps(rows)) for kind, n, rows in (*chunks, *own)]
    )
    await outbox.append(tx, sayings(version, chunks, sha256, epoch, clock, now))
    return version


def published(parts: Mapping[PartKind, Part]) -> dict[PolicyPartKind, Part]:
    """The parts that travel on policy.events."""
    return {kind: parts[kind] for kind in PUBLISHED if kind in parts}


def merged(
    kind: PartKind, before: Sequence[Mapping[str, object]], given: Part | None, *, keep: bool
) -> Part:
    """The rows of a part in the next version."""
    if given is None:
        return Part(kind, tuple(before))
    if not keep or given.problems or kind in WHOLE:
        return given
    keys = KEYS[kind]
    new = {tuple(row.get(key) for key in keys) for row in given.rows}
    kept = [row for row in before if tuple(row.get(key) for key in keys) not in new]
    lines = {str(len(kept) + int(n)) if n.isdigit() else n: line for n, line in given.lines.items()}
    return Part(given.file, (*kept, *given.rows), lines)


Kind = TypeVar("Kind", bound=str)
Chunk = tuple[PolicyPartKind, int, list[Mapping[str, object]]]


def chunked(
    parts: Mapping[Kind, Part],
) -> Iterator[tuple[Kind, int, list[Mapping[str, object]]]]:
    """The rows of each part in records that are small enough."""
    for kind in sorted(parts):
        n, size = 0, 0
        rows: list[Mapping[str, object]] = []
        for row in parts[kind].rows:
            length = len(orjson.dumps(row)) + 1
            if rows and size + length > PART_BYTES:
                yield kind, n, rows
                n, size, rows = n + 1, 0, []
            rows.append(row)
            size += length
        yield kind, n, rows


def sayings(
    version: int, chunks: Sequence[Chunk], sha256: str, epoch: int, clock: Clock, now: datetime
) -> list[Saying]:
    """The records of a version: its parts, then the one that closes it."""
    parts: list[tuple[str, PolicyPart | PolicyPublished]] = [
        (
            f"{version}/{kind}/{n}",
            PolicyPart(
                type="casegrid.policy.part.v1", version=version, kind=kind, n=n,
                rows=tuple(dict(row) for row in rows),
            ),
        )
        for kind, n, rows in chunks
    ]  # fmt: skip
    published = PolicyPublished(
        type="casegrid.policy.published.v1", version=version, parts=len(chunks), sha256=sha256
    )
    parts.append((f"{version}/published/0", published))
    return [
        Saying(
            Topic.POLICY,
            Envelope(
                event_id=derived_id("policy", subject),
                type=data.type,
                source="casegrid/router",
                subject=subject,
                order=Order(epoch, 1),
                occurred_at=now,
                caused_by=f"policy:{version}",
                clock=clock.name,
            ),
            data,
        )
        for subject, data in parts
    ]


async def load_default(pool: Pool, epoch: int, clock: Clock) -> None:
    """With no version at all, load the one that comes with the project."""
    async with postgres.transaction(pool) as tx:
        await store.policy.lock(tx)
        if await store.policy.newest(tx) is None:
            await load(
                tx,
                read_files(files()),
                loaded_by="default",
                epoch=epoch,
                clock=clock,
                now=clock.now(),
                merge=False,
            )
