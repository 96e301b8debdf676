"""Debian's packages as an ordinary user: `apt-get download` and `dpkg -x` need no root.

apt checks a package against Debian's signature.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

FETCH_SECONDS: Final = 300


class Missing(RuntimeError):
    """Something of Debian's cannot be had on this system; the message says what and why."""


def download(names: list[str], aside: Path) -> list[Path]:
    """Packages as files in `aside`; with lists of our own where the system has none.

    Raises `Missing`.
    """
    try:
        told("apt-get", "download", *names, within=aside)
    except Missing:
        lists = aside / "lists"
        (lists / "partial").mkdir(parents=True)
        own = ("-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={aside / 'archives'}")
        told("apt-get", *own, "update", within=aside)
        told("apt-get", *own, "download", *names, within=aside)
    return sorted(aside.glob("*.deb"))


def unpack(package: Path, into: Path) -> None:
    """The files of a package below `into`. Raises `Missing`."""
    told("dpkg", "-x", str(package), str(into), within=package.parent)


def told(*command: str, within: Path) -> None:
    """One command to its end; `Missing` with its own words when it fails."""
    try:
        subprocess.run(
            command,
            cwd=within,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=True,
            timeout=FETCH_SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        raise Missing(f"`{command[0]}` took more than {FETCH_SECONDS} s") from late
    except subprocess.CalledProcessError as failed:
        raise Missing(f"`{command[0]}` failed: {failed.stderr.strip()[-600:]}") from failed
