"""The load run: a fresh stack, warm-up, search, the measured load, 70 % of it, the raw limit.

Everything happens on this machine: broker, database, services and generator share its cores, as in
the figure that is wanted. Afterwards every promise is looked up in every stage.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import asyncpg
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bench import costs, ledger, ramp, raw_limit
from bench.costs import Costs, Memory, Meter
from bench.ledger import Latencies, Promises, Verdict
from bench.phases import News, Phase, Runner, Tell
from bench.ramp import Trial
from bench.raw_limit import Limit
from bench.stages import OPENED, RECEIVED, Probe, Published, probing, published
from deploy.local.environment import Ports
from deploy.local.postgres import SUPERUSER
from deploy.local.processes import HOST
from deploy.local.samples import samples
from deploy.local.stack import Parts, Stack
from shared.clock import wall
from shared.events import Topic
from shared.settings import Settings

BODIES = 20_000
WARM_RATE = 300.0
TRIAL_SECONDS = 6.0
CALM = 0.7
CALM_SECONDS = 15.0
PROMISED_P99 = 0.5
"""Accept to routed at 70 % of the rate, in seconds [ours: design, Speed]."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for; without `rate` the highest one is searched."""

    rate: float | None
    seconds: float
    warmup: float
    parts: Parts


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a run found."""

    trials: list[Trial]
    full: Phase
    calm: Phase
    costs: Costs
    memory: Mapping[str, Memory]
    routed: Mapping[str, Latencies]
    published: Mapping[str, Latencies]
    topics: Mapping[str, Published]
    limits: list[Limit]
    promised: Promises
    verdicts: list[Verdict]

    @property
    def complaints(self) -> list[str]:
        """What was lost or doubled, in plain words."""
        return ledger.complaints(self.promised, self.verdicts)


def free_ports() -> Ports:
    """Seven ports in a row that nobody listens on."""
    while True:
        base = random.randrange(20_000, 30_000)
        ports = Ports.after(base)
        if all(not listens(base + n) for n in range(1, 8)):
            return ports


def listens(port: int) -> bool:
    """Whether somebody answers there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def run(data: Path, options: Options, console: Console) -> Result:
    """Start a fresh stack in `data`, measure, stop it. Raises what `Stack.start` raises."""
    with fresh_stack(data, options.parts, console) as (stack, bodies):
        return asyncio.run(measure(stack, bodies, options, console))


@contextmanager
def fresh_stack(data: Path, parts: Parts, console: Console) -> Iterator[tuple[Stack, Path]]:
    """A stack of its own in `data`, and a file of petitions; both are gone afterwards."""
    shutil.rmtree(data / "stack", ignore_errors=True)
    shutil.rmtree(data / "ledgers", ignore_errors=True)
    (data / "ledgers").mkdir(parents=True)
    bodies = data / "bodies.ndjson"
    bodies.write_bytes(b"\n".join(made_bodies()))
    stack = Stack(data / "stack", ports=free_ports(), speed=1.0, parts=parts)
    try:
        stack.start(lambda line: console.print(line, style="dim", highlight=False))
        yield stack, bodies
    finally:
        stack.stop()
        shutil.rmtree(data / "stack", ignore_errors=True)


def made_bodies() -> Iterator[bytes]:
    """The petitions that are sent, over and over; without the letters that a clerk registers."""
    sent = (body for body in samples(1, wall()) if "on_behalf" not in body)
    return map(orjson.dumps, islice(sent, BODIES))


async def measure(stack: Stack, bodies: Path, options: Options, console: Console) -> Result:
    """Everything between start and stop."""
    async with running(stack, bodies, console) as (runner, bar):
        return await Measurement(stack, runner, options, bar).all()


@asynccontextmanager
async def running(
    stack: Stack, bodies: Path, console: Console
) -> AsyncIterator[tuple[Runner, Bars]]:
    """What runs loads against a stack that is up and has its policy, and shows them."""
    url = stack.database_url("intake")
    settings = Settings(database_url=url, kafka_bootstrap=stack.bootstrap)
    async with probing(stack.database_url, settings) as probe:
        await probe.wait_for_policy()
        runner = Runner(probe, stack.ports.intake, bodies, bodies.parent / "ledgers", [])
        with bars(console) as bar:
            yield runner, bar


class Bars:
    """A progress bar for each load; a line at its end where there is no terminal."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def of(self, name: str, seconds: float, rate: float) -> Tell:
        """A new bar."""
        task = self.progress.add_task(f"{name} {rate:,.0f}/s", total=seconds, news="")

        def tell(news: News) -> None:
            said = f"{news.answered:,} answered, {news.backlog:,} on their way"
            self.progress.update(task, completed=news.seconds, news=said)

        return tell

    def work(self, name: str) -> TaskID:
        """A bar for work without a known end."""
        return self.progress.add_task(name, total=None, news="")

    def done(self, task: TaskID) -> None:
        """That work is done."""
        self.progress.update(task, total=1, completed=1)


@contextmanager
def bars(console: Console) -> Iterator[Bars]:
    """Progress bars on this console."""
    columns = (TextColumn("{task.description:32}"), BarColumn(24), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[news]}"), console=console) as progress:
        yield Bars(progress)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run against a stack that is up."""

    stack: Stack
    runner: Runner
    options: Options
    bars: Bars

    async def all(self) -> Result:
        """Warm up, search, measure, look up, compare."""
        seconds = self.options.seconds
        if self.options.warmup:
            await self.load("warm-up", self.options.rate or WARM_RATE, self.options.warmup)
        trials = await self.search() if self.options.rate is None else []
        full, spent = await self.metered(
            self.options.rate or ramp.best(trials) or trials[-1].rate, seconds
        )
        while self.options.rate is None and not full.kept_up and len(trials) < ramp.MOST_TRIALS:
            trials.append(Trial(full.rate, kept_up=False))
            full, spent = await self.metered(full.rate * 0.92, seconds)
        memory = costs.memory_by_process(self.stack.pids())
        calm = await self.load("70 %", full.rate * CALM, min(seconds, CALM_SECONDS))
        return await self.looked_up(trials, full, calm, spent, memory)

    async def load(self, name: str, rate: float, seconds: float) -> Phase:
        """One load with its bar; the stack must live through it."""
        phase = await self.runner.run(name, rate, seconds, self.bars.of(name, seconds, rate))
        if dead := self.stack.died():
            raise RuntimeError(dead)
        return phase

    async def search(self) -> list[Trial]:
        """Short loads, up to the first that is too much, then nearer to it."""
        trials: list[Trial] = []
        while (rate := ramp.next_rate(trials)) is not None:
            phase = await self.load("search", rate, TRIAL_SECONDS)
            trials.append(Trial(rate, phase.kept_up))
        return trials

    async def metered(self, rate: float, seconds: float) -> tuple[Phase, Costs]:
        """A load with all meters read before and after it."""
        assert self.stack.postgres is not None
        assert self.stack.kafka is not None
        dsn = self.stack.postgres.dsn("postgres", SUPERUSER)
        urls = {name: self.stack.url(name) for name in costs.SERVICES}
        connection = await asyncpg.connect(dsn)
        try:
            meter = Meter(connection, urls, self.stack.kafka.data_dir / "logs")
            before = await meter.read(self.pids())
            phase = await self.load("measured", rate, seconds)
            after = await meter.read(self.pids())
        finally:
            await connection.close()
        petitions = max(1, phase.accepted)
        return phase, costs.between(before, after, petitions, phase.generator_cpu)

    def pids(self) -> dict[str, list[int]]:
        """Every process of the run; the generator keeps its own account."""
        return self.stack.pids() | {"watching": [os.getpid()]}

    async def looked_up(
        self, trials: list[Trial], full: Phase, calm: Phase, spent: Costs, memory: dict[str, Memory]
    ) -> Result:
        """Every promise in every stage; then the raw limit."""
        probe, settings = self.runner.probe, self.runner.probe.settings
        task = self.bars.work("looking up every promise")
        received = await published(settings, Topic.INTAKE, "on intake.events", RECEIVED)
        opened = await published(settings, Topic.ROUTER, "on router.events", OPENED)
        stages = [*await probe.held(), received.stage, opened.stage]
        promised = ledger.promises(self.runner.told)
        routed_at = await probe.routed_at()
        self.bars.done(task)
        phases = {"full": full, "calm": calm}
        return Result(
            trials=trials,
            full=full,
            calm=calm,
            costs=spent,
            memory=memory,
            routed={name: ledger.until(p.told, routed_at) for name, p in phases.items()},
            published={
                name: ledger.until(p.told, opened.appended_at) for name, p in phases.items()
            },
            topics={"intake.events": received, "router.events": opened},
            limits=await self.limits(probe, opened),
            promised=promised,
            verdicts=ledger.compare(promised, stages),
        )

    async def limits(self, probe: Probe, opened: Published) -> list[Limit]:
        """The raw limit of this machine, now."""
        assert self.stack.postgres is not None
        task = self.bars.work("the raw limit of this machine")
        self.stack.postgres.prepare(["casegrid_raw"])
        docs = self.runner.bodies.read_text().splitlines()
        limits = await raw_limit.rows(self.stack.postgres.dsn("casegrid_raw"), docs)
        limits.append(await raw_limit.records(probe.settings, opened.some))
        self.bars.done(task)
        return limits
