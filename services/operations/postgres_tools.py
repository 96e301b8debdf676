"""PostgreSQL's own programs, run for one database: no password is ever in an argument."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final
from urllib.parse import parse_qsl, unquote, urlsplit

TOOLS: Final = "CASEGRID_POSTGRES_TOOLS"
NAMES: Final = {"host": "PGHOST", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT",
                "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY"}  # fmt: skip
CHUNK: Final = 1 << 18
LAST_WORDS: Final = 2_000


class ToolFailed(Exception):
    """A program of PostgreSQL is missing or refused; the message says what it said."""


def program(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """Where a program is: as the environment says, or on the PATH. Raises `ToolFailed`."""
    folder = environment.get(TOOLS)
    found = shutil.which(name, path=folder) if folder else shutil.which(name)
    if found is None:
        where = folder or "the PATH"
        raise ToolFailed(
            f"{name} is not in {where}: install PostgreSQL's client programs, of the server's"
            f" version or newer, or set {TOOLS} to the folder that holds them"
        )
    return found


def environment_of(dsn: str) -> dict[str, str]:
    """What libpq is told of a URL, beside our own environment without a person's own PG…"""
    url = urlsplit(dsn)
    told = {
        "PGHOST": url.hostname, "PGPORT": str(url.port or 5432), "PGDATABASE": url.path[1:],
        "PGUSER": unquote(url.username or ""), "PGPASSWORD": unquote(url.password or ""),
    }  # fmt: skip
    told |= {NAMES[key]: value for key, value in parse_qsl(url.query) if key in NAMES}
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return ours | {name: value for name, value in told.items() if value} | {"LC_ALL": "C"}


@asynccontextmanager
async def running(
    dsn: str, name: str, *words: str | Path, fed: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program at work for a database; ended with us. Raises `ToolFailed` if it ends unwell."""
    with in_memory() as complaints:
        process = await asyncio.create_subprocess_exec(
            program(name),
            *map(str, words),
            env=environment_of(dsn),
            stdin=asyncio.subprocess.PIPE if fed else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
        )
        try:
            try:
                yield process
            except (BrokenPipeError, ConnectionResetError):
                if not fed:
                    raise
                # It ended before it was fed: what it said tells why.
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            complaints.seek(0)
            said = complaints.read().decode("utf-8", "replace").strip()
            raise ToolFailed(f"{name} ended with {process.returncode}: {said[-LAST_WORDS:]}")


def in_memory() -> BinaryIO:
    """A file on no disk: the image has a place for none. Where the kernel has no such, a file."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("complaints"), "w+b")
    return TemporaryFile()  # type: ignore[unreachable,unused-ignore]


async def pour(out: asyncio.StreamReader | None, into: Callable[[bytes], object]) -> None:
    """Everything that a program says, piece by piece."""
    assert out is not None
    while piece := await out.read(CHUNK):
        done = into(piece)
        if asyncio.iscoroutine(done):
            await done


async def feed(process: asyncio.subprocess.Process, pieces: bytes) -> None:
    """Tell a program more; as fast as it takes it."""
    assert process.stdin is not None
    process.stdin.write(pieces)
    await process.stdin.drain()
