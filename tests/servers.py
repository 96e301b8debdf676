"""What the tests' fixtures hand out: addresses of real servers, and where their data lies."""

import os
import random
import shutil
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import psutil

ROOT = Path(__file__).parents[1]
TEST_CACHE = ROOT / ".test-cache"
MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4_000_000_000
PREFIX = "casegrid-test-servers-"

Migrate: TypeAlias = Callable[[str], Awaitable[None]]
FreshDatabase: TypeAlias = Callable[[str, Migrate], Awaitable[str]]


@dataclass(frozen=True)
class PostgresServer:
    """A running PostgreSQL, known by the DSN of a superuser."""

    address: str

    def dsn(self, database: str) -> str:
        """Where `database` is, for the superuser."""
        return urlsplit(self.address)._replace(path=f"/{database}").geturl()


@dataclass(frozen=True)
class KafkaServer:
    """A running Kafka."""

    bootstrap: str


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on.

    Below the range that outgoing connections are given, so that none of them takes it while a test
    has its server down.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def fastest_place() -> Path:
    """Memory where there is plenty of it, else the disk.

    A copy of a template database is mostly small files: 0.01 s in memory, 0.1 to 0.4 s on a disk.
    """
    writable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    roomy = writable and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES
    return MEMORY if roomy else TEST_CACHE


@contextmanager
def session_directory(place: Path, prefix: str = PREFIX) -> Iterator[Path]:
    """A directory for this run's servers; those of runs that are gone are removed."""
    for old in place.glob(f"{prefix}*"):
        if not psutil.pid_exists(int(old.name.removeprefix(prefix))):
            shutil.rmtree(old, ignore_errors=True)
    mine = place / f"{prefix}{os.getpid()}"
    mine.mkdir(parents=True, exist_ok=True)
    yield mine
    shutil.rmtree(mine)
