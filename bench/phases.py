"""One load after the other against a running stack, each watched until its last petition is
counted: a warm-up, the search for the rate, the run that is measured, and the run at 70 % of it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench import ledger, ramp
from bench.ledger import ACCEPTED, Latencies, Told, latencies
from bench.stages import Probe, Standing
from deploy.local.processes import launched

LOOK_SECONDS = 0.2
DRAIN_SECONDS = 60.0
ROOT = Path(__file__).parents[1]


class News(NamedTuple):
    """How a load goes: seconds since its start, requests answered, petitions not yet through."""

    seconds: float
    answered: int
    backlog: int


Tell = Callable[[News], None]


@dataclass(frozen=True, slots=True)
class Phase:
    """One load, from its first request until its last petition was counted.

    `drained` is in seconds after the end of the load, None when it never was; `backlog` the most
    petitions accepted and not through; `late_p99` how late the generator itself sent, in seconds.
    """

    name: str
    rate: float
    seconds: float
    told: list[Told]
    drained: float | None
    backlog: int
    generator_cpu: float
    late_p99: float

    @property
    def accepted(self) -> int:
        """Petitions that were answered with 202."""
        return sum(one.status == ACCEPTED for one in self.told)

    @property
    def http(self) -> Latencies:
        """Answers, counted from the moment each request was due."""
        return latencies(one.seconds for one in self.told)

    @property
    def kept_up(self) -> bool:
        """Every request was accepted, and all stages were through with the end of the load."""
        in_time = self.drained is not None and self.drained <= ramp.drain_allowed(self.seconds)
        return in_time and self.accepted == len(self.told)


class Watch:
    """Looks at the stages while a load runs, until everything expected is through."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.backlog = 0
        self.standing: Standing | None = None
        self.over = False

    async def each(self, seconds: float) -> None:
        """Look again and again, until the load is over."""
        while not self.over:
            standing = await self.probe.look()
            self.standing = standing
            self.backlog = max(self.backlog, standing.accepted - standing.through)
            await asyncio.sleep(seconds)

    async def drained(self, expected: int) -> bool:
        """Wait until so many petitions are through and nothing waits; False when it takes a
        minute."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            standing = await self.probe.look()
            if standing.through >= expected and not standing.waiting:
                return True
            await asyncio.sleep(0.03)
        return False


@dataclass(slots=True)
class Runner:
    """Runs loads against `port`, with `bodies`; keeps all their ledgers in `home`."""

    probe: Probe
    port: int
    bodies: Path
    home: Path
    told: list[Told]

    def next_book(self) -> Path:
        """A ledger that nobody has yet."""
        book = self.home / f"{len(list(self.home.glob('*.ledger'))):02}.ledger"
        book.touch()
        return book

    async def run(self, name: str, rate: float, seconds: float, tell: Tell) -> Phase:
        """One load. Raises `RuntimeError` when the generator fails."""
        before = (await self.probe.look()).through
        book = self.next_book()
        watch = Watch(self.probe)
        async with asyncio.TaskGroup() as group:
            group.create_task(watch.each(LOOK_SECONDS))
            last = await self._generate(book, rate, seconds, watch, tell)
            watch.over = True
        told = list(ledger.read(book))
        self.told += told
        accepted = sum(one.status == ACCEPTED for one in told)
        is_drained = await watch.drained(before + accepted)
        drained = max(0.0, time.time() - last["start"] - seconds)
        return Phase(
            name=name,
            rate=rate,
            seconds=seconds,
            told=told,
            drained=drained if is_drained else None,
            backlog=watch.backlog,
            generator_cpu=last["cpu"],
            late_p99=last["late_p99"],
        )

    async def _generate(
        self, book: Path, rate: float, seconds: float, watch: Watch, tell: Tell
    ) -> dict[str, Any]:
        """Run the generator to its end; its last words."""
        words = ["--port", str(self.port), "--plan", f"{rate}x{seconds}"]
        words += ["--seed", str(len(self.told) + 1)]
        words += ["--bodies", str(self.bodies), "--ledger", str(book)]
        news: dict[str, Any] = {}
        started = time.monotonic()
        async for said in generated(words):
            news |= said
            standing = watch.standing
            behind = standing.accepted - standing.through if standing else 0
            answered = sum(news.get("told", {}).values())
            tell(News(min(seconds, time.monotonic() - started), answered, behind))
        return news


async def generated(words: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
    """Run a generator to its end; its news, the last of which are its last words.

    Raises `RuntimeError` when it fails.
    """
    generator = await asyncio.create_subprocess_exec(
        *launched([sys.executable, "-m", "bench.load", *words], ROOT, (0, 0), signal.SIGKILL),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    last: dict[str, Any] = {}
    try:
        assert generator.stdout is not None
        async for line in generator.stdout:
            last = orjson.loads(line)
            yield last
        if await generator.wait() != 0 or "cpu" not in last:
            raise RuntimeError(f"the load generator ended with {generator.returncode}")
    finally:
        if generator.returncode is None:
            generator.kill()
            await generator.wait()
