"""`python -m bench lateness`: how late broken promises are found while petitions keep coming.

Nobody works in this city, so every case breaks its promises, one after the other, and goes up all
tiers. Promise time runs `speed` times as fast as the wall; lateness is counted by the wall. Refused
with 401 is what only a patrol may send: the samples have it, and nobody here is one.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.run import free_ports
from deploy.local.samples import samples
from deploy.local.stack import Stack
from shared.clock import wall
from shared.scraped import Page

LATE: Final = "casegrid_escalation_fired_late_seconds"
PROMISED_SECONDS: Final = 1.0
PROMISED_SHARE: Final = 0.99
"""99 of 100 within a second. [ours: the histogram tells whether, not by how much less]"""
AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Found:
    """What a run found. `within`: how many breaches were found within so many seconds."""

    rate: float
    speed: float
    accepted: int
    refused: Mapping[int, int]
    breaches: int
    within: Mapping[float, int]

    @property
    def share(self) -> float:
        """Of all breaches, those that were found as soon as is promised."""
        return self.within[PROMISED_SECONDS] / self.breaches if self.breaches else 0.0

    @property
    def kept(self) -> bool:
        """Whether so many as promised were, and there was something to be found."""
        return self.breaches > 0 and self.share >= PROMISED_SHARE


def run(data: Path, rate: float, seconds: float, speed: float, console: Console) -> Found:
    """A fresh stack, petitions at this rate for so long, and what escalation says of itself."""
    shutil.rmtree(data, ignore_errors=True)
    stack = Stack(data, ports=free_ports(), speed=speed)
    stack.start(console.print)
    try:
        accepted, refused = asyncio.run(send(stack.url("intake"), rate, seconds, console))
        said = Page(httpx.get(stack.url("escalation") + "/metrics", trust_env=False).text)
    finally:
        stack.stop()
    within = {float(le): int(n) for le, n in said.by(f"{LATE}_bucket", "le").items()}
    breaches = int(said.total(f"{LATE}_count"))
    return Found(rate, speed, accepted, refused, breaches, within)


async def send(
    url: str, rate: float, seconds: float, console: Console
) -> tuple[int, Mapping[int, int]]:
    """Petitions at a steady pace; how many were accepted, and how many not, by status."""
    answers: Counter[int] = Counter()
    at_once = asyncio.Semaphore(AT_ONCE)
    columns = TextColumn("petitions"), BarColumn(), TimeElapsedColumn()
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client,
        asyncio.TaskGroup() as group,
    ):

        async def one(body: Mapping[str, Any]) -> None:
            async with at_once:
                answers[(await client.post("/petitions", json=body)).status_code] += 1

        start = time.monotonic()
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("", total=seconds)
            for n, body in enumerate(islice(samples(1, wall()), round(rate * seconds))):
                await asyncio.sleep(max(0.0, start + n / rate - time.monotonic()))
                group.create_task(one(body))
                progress.update(bar, completed=n / rate)
    accepted = answers.pop(httpx.codes.ACCEPTED, 0)
    return accepted, answers


def show(found: Found, console: Console) -> None:
    """The figures as a table."""
    refused = ", ".join(f"{n} with {status}" for status, n in found.refused.items())
    console.print(
        f"{found.accepted:,} petitions accepted ({found.rate:g}/s; refused: {refused or 'none'}),"
        f" promise time {found.speed:g} times as fast; {found.breaches:,} broken promises found"
    )
    table = Table("found within", "promises", "share")
    for seconds, n in sorted(found.within.items()):
        table.add_row(f"{seconds:g} s", f"{n:,}", f"{n / max(found.breaches, 1):.2%}")
    console.print(table)
    word = "kept" if found.kept else "MISSED"
    console.print(f"99 of 100 within {PROMISED_SECONDS:g} s: {word} ({found.share:.2%})")
