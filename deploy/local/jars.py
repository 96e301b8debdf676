"""The jars of Apache Kafka: fetched once by Maven coordinate, checked, then never asked for again.

`kafka.jars` names every jar with its SHA-256. The cache holds only jars that matched.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

if TYPE_CHECKING:
    from jgo.maven import MavenContext

VERSION = "4.3.1"
MEGABYTES = 45
LIST = Path(__file__).with_name("kafka.jars")
ROOT = Path(__file__).resolve().parents[2]
ATTEMPTS = 4
REQUEST_SECONDS = 60


class CannotFetch(RuntimeError):
    """A jar could not be had, or was not the one that we know."""


@dataclass(frozen=True)
class Jar:
    """One Maven artifact: `group:artifact:version` and the SHA-256 of its jar, in hex."""

    coordinate: str
    sha256: str

    @property
    def filename(self) -> str:
        """Its name in a Maven repository."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def cache_directory() -> Path:
    """CASEGRID_CACHE, or `.casegrid/cache` of the project."""
    return Path(os.environ.get("CASEGRID_CACHE") or ROOT / ".casegrid" / "cache").resolve()


def kafka_jars(cache: Path) -> Path:
    """The directory of the jars below `cache`, after fetching what it lacks; else `CannotFetch`."""
    directory = cache / f"kafka-{VERSION}"
    wanted = [
        Jar(*line.split()) for line in LIST.read_text().splitlines() if not line.startswith("#")
    ]
    directory.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [jar for jar in wanted if not (directory / jar.filename).exists()]
        if missing:
            _fetch(missing, cache / "maven", directory)
    return directory


def _fetch(jars: list[Jar], maven: Path, directory: Path) -> None:
    # Imported here, since it costs half a second that only the first run should pay.
    from jgo.maven import MavenContext

    repository = MavenContext(repo_cache=maven, timeout=REQUEST_SECONDS)
    with _progress(len(jars)) as advance:
        for jar in jars:
            _fetch_one(repository, jar).replace(directory / jar.filename)
            advance()


def _fetch_one(repository: "MavenContext", jar: Jar) -> Path:
    """A checked jar. The registry may be slow to answer the first time, so it is asked again."""
    artifact = repository.create_dependency(jar.coordinate).artifact
    trouble = ""
    for attempt in range(ATTEMPTS):
        time.sleep(2 * attempt)
        try:
            found = Path(artifact.resolve())
        except (OSError, RuntimeError) as refused:
            trouble = str(refused)
            continue
        if hashlib.sha256(found.read_bytes()).hexdigest() == jar.sha256:
            return found
        trouble = "it is not the file that kafka.jars names (cut off, or changed on the way)"
        found.unlink()
    raise CannotFetch(
        f"Apache Kafka {VERSION}: {jar.coordinate} could not be fetched: {trouble}. "
        "Check the network and start again; what was fetched is kept."
    )


@contextmanager
def _progress(count: int) -> Iterator[Callable[[], None]]:
    console = Console(stderr=True)
    console.print(f"fetching Apache Kafka {VERSION} ({MEGABYTES} MB, once) ...")
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("jars", total=count)
        yield lambda: bar.advance(task)
    console.print(f"fetched Apache Kafka {VERSION}")
