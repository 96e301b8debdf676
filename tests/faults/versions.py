"""An older version of the project, laid out beside this one to run with it."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.servers import ROOT

CONTRACT = "shared/events.py"


class Older(NamedTuple):
    """The directory of an older version, and its name in words."""

    code: Path
    name: str


class NoHistory(Exception):
    """There is no older version to be had; the message says why."""


def git(*words: str) -> bytes:
    """What git says. Raises `NoHistory`."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, timeout=60)
    except FileNotFoundError:
        raise NoHistory("there is no git here") from None
    if done.returncode != 0:
        raise NoHistory(f"`git {' '.join(words)}`: {done.stderr.decode().strip()}")
    return done.stdout


def last_landed() -> str:
    """The newest commit whose contract is another one than here. Raises `NoHistory`."""
    here = git("hash-object", CONTRACT)
    for commit in git("log", "--format=%H").decode().split():
        if git("rev-parse", f"{commit}:{CONTRACT}") != here:
            return commit
    raise NoHistory(f"no commit has another {CONTRACT}")


@contextmanager
def older_code(home: Path, revision: str | None = None) -> Iterator[Older]:
    """An older version, laid out below `home`; gone afterwards.

    Without `revision`, the one that landed last. Raises `NoHistory`.
    """
    revision = revision or last_landed()
    name = git("log", "-1", "--format=%h (%s)", revision).decode().strip()
    packed = git("archive", "--format=tar", revision, "services", "shared")
    code = home / "older"
    shutil.rmtree(code, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(code, filter="data")
    try:
        yield Older(code, name)
    finally:
        shutil.rmtree(code)
