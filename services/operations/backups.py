"""A backup of the four databases: one snapshot of each, and what else a restore must know.

Each database is dumped as it is at one moment, by its own role, while everything runs. Beside the
dumps `backup.json` says of each: when, its epoch, the migrations it has, and where its own topic
ended: what lies beyond that was said in the time that a restore loses.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import BaseModel

from services.operations.places import Place
from services.operations.postgres_tools import pour, running
from shared import kafka, outbox, postgres
from shared.clock import wall

MANIFEST: Final = "backup.json"
Tell = Callable[[str, int], None]
"""Hears of which service how many bytes there are."""


class BadBackup(Exception):
    """A folder that is no backup, or cannot become one, or whose files are not as they were; the
    message says which and why."""


class Dump(BaseModel):
    """One database at one moment (wall time, UTC)."""

    file: str
    bytes: int
    sha256: str
    taken_at: datetime
    epoch: int
    ends: dict[int, int]
    """Where the service's own topic ended, just before."""
    migrations: tuple[str, ...]


class Backup(BaseModel):
    """All of them."""

    version: int = 1
    topic_prefix: str
    dumps: dict[str, Dump]


async def take(places: Sequence[Place], folder: Path, tell: Tell) -> Backup:
    """Dump these databases into a new folder; whole or not at all.

    Raises `BadBackup`, `ToolFailed`, and the weather of a database or of Kafka.
    """
    aside = begun(folder)
    try:
        dumps = {place.name: await dump(place, aside, tell) for place in places}
        backup = Backup(topic_prefix=places[0].settings.topic_prefix, dumps=dumps)
        finished(aside, folder, backup)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return backup


def begun(folder: Path) -> Path:
    """A place aside, which only we may enter. Raises `BadBackup`."""
    if folder.exists():
        raise BadBackup(f"{folder} is there already: each backup has a folder of its own")
    aside = folder.with_name(folder.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    with on_disk(aside):
        aside.mkdir(parents=True, mode=0o700)
    return aside


@contextmanager
def on_disk(file: Path) -> Iterator[None]:
    """What the disk refuses is no weather of a database. Raises `BadBackup`."""
    try:
        yield
    except OSError as refused:
        raise BadBackup(f"{file} cannot be written: {refused.strerror}") from refused


def finished(aside: Path, folder: Path, backup: Backup) -> None:
    """Under its name only once it is whole."""
    with on_disk(folder), private(aside / MANIFEST) as file:
        file.write(backup.model_dump_json(indent=2).encode() + b"\n")
    aside.rename(folder)


def private(file: Path) -> BinaryIO:
    """A new file that only we may read."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


async def dump(place: Place, folder: Path, tell: Tell) -> Dump:
    """One database, with what is known of it at the same moment."""
    ends = await kafka.end_offsets(place.settings, outbox.own_topic(place.name))
    connection = await postgres.connect(place.dsn, "backup")
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            # It may be long until the program is done, and its snapshot is ours.
            await connection.execute("set local idle_in_transaction_session_timeout = 0")
            snapshot = await connection.fetchval("select pg_export_snapshot()")
            taken_at = wall()
            epoch = await outbox.epoch(connection)
            names = await connection.fetch("select name from schema_migrations order by name")
            file = folder / f"{place.name}.dump"
            size, digest = await written(place, file, snapshot, tell)
    finally:
        await connection.close()
    return Dump(
        file=file.name, bytes=size, sha256=digest, taken_at=taken_at, epoch=epoch,
        ends=ends, migrations=tuple(row["name"] for row in names),
    )  # fmt: skip


async def written(place: Place, file: Path, snapshot: str, tell: Tell) -> tuple[int, str]:
    """What pg_dump says of a snapshot, in a file that only we may read: its size and hash."""
    digest = hashlib.sha256()
    words = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
    with on_disk(file):
        kept = private(file)
    with kept:

        def keep(piece: bytes) -> None:
            with on_disk(file):
                kept.write(piece)
            digest.update(piece)
            tell(place.name, kept.tell())

        async with running(place.dsn, "pg_dump", *words) as process:
            await pour(process.stdout, keep)
        with on_disk(file):
            kept.flush()
            os.fsync(kept.fileno())
        return kept.tell(), digest.hexdigest()


def read(folder: Path) -> Backup:
    """What a folder says that it holds. Raises `BadBackup`."""
    try:
        return Backup.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as bad:
        raise BadBackup(f"{folder} is no backup: {MANIFEST}: {type(bad).__name__}") from bad


def migrations_of(place: Place) -> list[str]:
    """The migrations that this version knows, in their order."""
    both = postgres.pending(postgres.SKELETON, set(), "shared")
    both += postgres.pending(place.service.migrations, set(), place.name)
    return [name for name, _ in both]


def verify(folder: Path, backup: Backup, place: Place) -> None:
    """The file of a service is there, as it was written, and of this city and no newer version.

    Raises `BadBackup`.
    """
    dump = backup.dumps.get(place.name)
    if dump is None:
        raise BadBackup(f"{folder} holds nothing of {place.name}")
    if backup.topic_prefix != place.settings.topic_prefix:
        raise BadBackup(
            f"{folder} belongs to topics that begin with {backup.topic_prefix!r}, and here they"
            f" begin with {place.settings.topic_prefix!r}: its positions mean nothing on them"
        )
    if unknown := set(dump.migrations) - set(migrations_of(place)):
        raise BadBackup(
            f"{folder} was taken of a newer {place.name}: this version does not know"
            f" {', '.join(sorted(unknown))}"
        )
    digest = hashlib.sha256()
    try:
        with (folder / dump.file).open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as bad:
        raise BadBackup(f"{folder / dump.file}: {type(bad).__name__}") from bad
    if digest.hexdigest() != dump.sha256:
        raise BadBackup(f"{folder / dump.file} is not as it was written: its hash is another one")
