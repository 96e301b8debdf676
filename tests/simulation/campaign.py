"""Thousands of worlds: on all cores, with a progress bar, resumable, each failure shrunk."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import orjson

from tests.servers import ROOT, PostgresServer
from tests.simulation.servers import databases, make_all, postgres
from tests.simulation.shrinking import Shrinking, told
from tests.simulation.world import STEPS, Plan, World

CHUNK = 20
CODE = ("services", "shared", "tests/simulation")


@dataclass
class Tally:
    """How far a campaign has come, and what it found; kept in a file after each chunk."""

    code: str
    first: int
    seeds: int
    steps: int
    done: set[int] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    broken: dict[int, list[str]] = field(default_factory=dict)

    def save(self, file: Path) -> None:
        """Keep it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(
            orjson.dumps(
                {
                    "code": self.code, "first": self.first, "seeds": self.seeds,
                    "steps": self.steps, "done": sorted(self.done), "counts": self.counts,
                    "broken": {str(seed): story for seed, story in self.broken.items()},
                }
            )
        )  # fmt: skip


def resumed(file: Path, fresh: Tally) -> Tally:
    """What was done of the same campaign on the same code, or nothing."""
    if not file.exists():
        return fresh
    kept = orjson.loads(file.read_bytes())
    same = (kept["code"], kept["first"], kept["steps"]) == (fresh.code, fresh.first, fresh.steps)
    if not same:
        return fresh
    return Tally(
        fresh.code, fresh.first, fresh.seeds, fresh.steps,
        set(kept["done"]), Counter(kept["counts"]),
        {int(seed): story for seed, story in kept["broken"].items()},
    )  # fmt: skip


def code_hash() -> str:
    """The code that the worlds are made of."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".sql", ".csv", ".yaml"):
                digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Lived:
    """A few worlds of one worker."""

    seeds: Sequence[int]
    counts: Counter[str]
    broken: dict[int, list[str]]


async def live(server: PostgresServer, name: str, seeds: Sequence[int], steps: int) -> Lived:
    """Run these worlds one after the other; what breaks is shrunk at once."""
    counts: Counter[str] = Counter()
    broken: dict[int, list[str]] = {}
    async with databases(server, name) as opened:
        for seed in seeds:
            outcome = await World(Plan(seed, steps), opened).run()
            counts += outcome.counts
            if outcome.broken:
                broken[seed] = told(await Shrinking(opened, outcome).shrink())
    return Lived(seeds, counts, broken)


WORKER: dict[str, Any] = {}


def become(names: Queue[str], server: PostgresServer) -> None:
    """A worker takes the databases that are its own."""
    logging.disable(logging.CRITICAL)
    WORKER.update(name=names.get(), server=server)


def work(seeds: Sequence[int], steps: int) -> Lived:
    """In a worker."""
    return asyncio.run(live(WORKER["server"], WORKER["name"], seeds, steps))


def run(tally: Tally, workers: int, file: Path, show: Callable[[Tally], None]) -> Tally:
    """All worlds that are not done; a failure does not end the campaign."""
    left = [s for s in range(tally.first, tally.first + tally.seeds) if s not in tally.done]
    names = [f"w{n}" for n in range(workers)]
    context = multiprocessing.get_context("spawn")
    with postgres() as server:
        make_all(server, names)
        free: Queue[str] = context.Queue()
        for name in names:
            free.put(name)
        with ProcessPoolExecutor(workers, context, become, (free, server)) as pool:
            chunks = [pool.submit(work, seeds, tally.steps) for seeds in chunked(left)]
            for chunk in as_completed(chunks):
                lived = chunk.result()
                tally.done.update(lived.seeds)
                tally.counts += lived.counts
                tally.broken |= lived.broken
                tally.save(file)
                show(tally)
    return tally


def chunked(seeds: Sequence[int]) -> Iterator[Sequence[int]]:
    """A few at a time."""
    for begin in range(0, len(seeds), CHUNK):
        yield seeds[begin : begin + CHUNK]


def fresh(first: int, seeds: int, steps: int = STEPS) -> Tally:
    """A campaign that has not begun."""
    return Tally(code_hash(), first, seeds, steps)
