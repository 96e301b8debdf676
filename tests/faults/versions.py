"""An older version of the project, laid out beside this one to run with it."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.servers import ROOT

CONTRACT = "shared/events.py"
KEEPS_ALL = "services/router/decisions/unknown.py"
"""What a version has that keeps of a case what it does not know."""


class Older(NamedTuple):
    """The directory of an older version, and its name in words."""

    code: Path
    name: str

    @property
    def keeps_all(self) -> bool:
        """Whether it may work on cases that a newer version gave more than it knows."""
        return (self.code / KEEPS_ALL).exists()


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


def unpacked(home: Path, revision: str, parts: Sequence[str]) -> Path:
    """These parts of a version, laid out below `home`. Raises `NoHistory`."""
    packed = git("archive", "--format=tar", revision, *parts)
    code = home / "older"
    shutil.rmtree(code, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(code, filter="data")
    return code


@contextmanager
def older_code(home: Path, revision: str | None = None) -> Iterator[Older]:
    """An older version, laid out below `home`; gone afterwards.

    Without `revision`, the one that landed last. Raises `NoHistory`.
    """
    revision = revision or last_landed()
    name = git("log", "-1", "--format=%h (%s)", revision).decode().strip()
    code = unpacked(home, revision, ("services", "shared"))
    try:
        yield Older(code, name)
    finally:
        shutil.rmtree(code)


LATER = (
    (
        "services/router/decisions/case.py",
        "    closing_tier: Tier | None = None\n    unknown:",
        "    closing_tier: Tier | None = None\n    steps_counted: int = 0\n    unknown:",
    ),
    (
        "services/router/decisions/commands/deciding.py",
        "seq=before.seq + 1)",
        "seq=before.seq + 1, steps_counted=before.steps_counted + 1)",
    ),
)
"""What the version after this one might change: it counts the steps that make a version."""


@contextmanager
def later_code(home: Path) -> Iterator[Path]:
    """This version with a field of a case that it does not know; gone afterwards."""
    code = home / "later"
    shutil.rmtree(code, ignore_errors=True)
    for part in ("services", "shared"):
        shutil.copytree(ROOT / part, code / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name, before, after in LATER:
        text = (code / name).read_text()
        assert text.count(before) == 1, f"{name} has changed: say here what comes after it"
        (code / name).write_text(text.replace(before, after))
    try:
        yield code
    finally:
        shutil.rmtree(code)
