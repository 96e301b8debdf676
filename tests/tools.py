"""Prometheus and Alertmanager for the tests: Debian's packages, fetched once as an ordinary user.

`apt-get download` and `dpkg -x` need no root. apt checks a package against Debian's signature.
"""

from __future__ import annotations

import fcntl
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.image.debian import Missing, download, unpack

NEEDED = ("apt-get", "dpkg")


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
        (file,) = download([package], aside)
        unpack(file, aside / "whole")
        (aside / "whole" / "usr" / "bin").replace(directory)
