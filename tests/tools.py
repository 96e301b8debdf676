"""Prometheus and Alertmanager for the tests: Debian's packages, fetched once as an ordinary user.

`apt-get download` and `dpkg -x` need no root. apt checks a package against Debian's signature.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

NEEDED = ("apt-get", "dpkg")
FETCH_SECONDS = 300


class Missing(RuntimeError):
    """A tool of the tests cannot be had on this system; the message says why."""


@dataclass(frozen=True)
class PrometheusTools:
    """Where the two programs of Debian's package `prometheus` are."""

    promtool: Path
    prometheus: Path


@dataclass(frozen=True)
class AlertmanagerTools:
    """Where the two programs of Debian's package `prometheus-alertmanager` are."""

    amtool: Path
    alertmanager: Path


def prometheus_tools(cache: Path) -> PrometheusTools:
    """Prometheus and its tool, or `Missing`."""
    directory = programs("prometheus", cache)
    return PrometheusTools(directory / "promtool", directory / "prometheus")


def alertmanager_tools(cache: Path) -> AlertmanagerTools:
    """Alertmanager and its tool, or `Missing`."""
    directory = programs("prometheus-alertmanager", cache)
    return AlertmanagerTools(directory / "amtool", directory / "prometheus-alertmanager")


def programs(package: str, cache: Path) -> Path:
    """Where a package's programs are below `cache`, fetched if they are not there yet."""
    directory = cache / package
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            fetch(package, cache, directory)
    return directory


def fetch(package: str, cache: Path, directory: Path) -> None:
    """The programs of a package into `directory`, all or none."""
    if missing := [program for program in NEEDED if shutil.which(program) is None]:
        raise Missing(
            f"{' and '.join(missing)} not found: the tests use programs of Debian's package "
            f"{package}. On another system put them into {directory}."
        )
    with TemporaryDirectory(dir=cache) as name:
        aside = Path(name)
        # apt warns as root when its own user may not enter the directory.
        aside.chmod(0o755)
        download(package, aside)
        (file,) = aside.glob("*.deb")
        run("dpkg", "-x", str(file), str(aside / "whole"), within=aside)
        (aside / "whole" / "usr" / "bin").replace(directory)


def download(package: str, aside: Path) -> None:
    """A package as a file in `aside`; with lists of our own where the system has none."""
    try:
        run("apt-get", "download", package, within=aside)
    except Missing:
        lists = aside / "lists"
        (lists / "partial").mkdir(parents=True)
        own = ("-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={aside / 'archives'}")
        run("apt-get", *own, "update", within=aside)
        run("apt-get", *own, "download", package, within=aside)


def run(*command: str, within: Path) -> None:
    """One command in a directory; `Missing` with its own words when it fails."""
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
        raise Missing(f"`{' '.join(command)}` took more than {FETCH_SECONDS} s") from late
    except subprocess.CalledProcessError as failed:
        raise Missing(f"`{' '.join(command)}` failed: {failed.stderr.strip()[-600:]}") from failed
