"""`python -m bench overload`: three times what the machine carries, and one sender who floods.

Overload: half of what is carried, then three times as much, then half again, sent by many senders
in one open loop: a request is due when it is due, and every time counts from then. Fair share:
some senders at a third of what is carried, without and with one who sends twice what is carried,
by turns in the same run. The generators share the machine's cores with what they measure, so what
they take, a flood most of all, is missing there; the figures are not corrected for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from bench import ledger, ramp
from bench.curves import REFUSED, Second, recovered, seconds_of
from bench.ledger import ACCEPTED, Latencies, Promises, Told, Verdict, latencies
from bench.phases import Runner, Watch, generated
from bench.ramp import Trial
from bench.run import TRIAL_SECONDS, WARM_RATE, Bars, fresh_stack, running
from bench.stages import OPENED, RECEIVED, published
from deploy.local.stack import Stack
from shared.divisions import CITY
from shared.events import Topic
from shared.identity import issue

HALF, TIMES = 0.5, 3.0
CALM_SECONDS = 20
OTHERS, FLOOD = 0.3, 2.0
SENDERS, OTHER_SENDERS = 100, 20
CONNECTIONS = 4_096
"""More than wait at any time: else the generator's own queue would spare the server."""

BREATHE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for; without `rate` what is carried is searched."""

    rate: float | None
    seconds: int
    after: int
    fair_seconds: int
    pairs: int
    warmup: float


class Backlog(NamedTuple):
    """Petitions accepted and not through all stages, so many seconds after the start."""

    at: float
    n: int


@dataclass(frozen=True, slots=True)
class Overload:
    """Half, three times, half again: the answers, the curve and the way behind them."""

    rate: float
    before: list[Second]
    during: list[Second]
    after: list[Second]
    accepted: Latencies
    refused: Latencies
    statuses: dict[int, int]
    unanswered: int
    backlog: list[Backlog]
    late_p99: float
    generator_cpu: float

    @property
    def normal_p99(self) -> float:
        """The worst second of the calm before, its first two spared."""
        return max(one.p99 for one in self.before[2:])

    @property
    def recovered(self) -> int | None:
        """Seconds from the end of the overload until everything was as before."""
        return recovered(self.after, self.normal_p99)

    @property
    def goodput(self) -> list[int]:
        """Petitions accepted in each second of the overload."""
        return [one.accepted for one in self.during]

    @property
    def behind(self) -> float | None:
        """Seconds from the end of the overload until the stages behind held as little as before."""
        over = len(self.before) + len(self.during)
        normal = max((one.n for one in self.backlog if one.at < len(self.before)), default=0)
        late = [one.at for one in self.backlog if one.at >= over and one.n > 2 * normal + 50]
        if late and late[-1] >= self.backlog[-1].at:
            return None
        return max(0.0, late[-1] - over) if late else 0.0


@dataclass(slots=True)
class Turn:
    """The others, without or with the flood."""

    others: list[Told] = field(default_factory=list)
    flood: list[Told] = field(default_factory=list)

    @property
    def times(self) -> Latencies:
        """How long the others waited, for whatever answer."""
        return latencies(one.seconds for one in self.others)

    @property
    def refused(self) -> int:
        """Petitions of the others that were not accepted."""
        return sum(one.status != ACCEPTED for one in self.others)


@dataclass(frozen=True, slots=True)
class Fair:
    """Both, pooled over all pairs."""

    without: Turn
    flooded: Turn
    cpu: dict[str, float]

    def ratio(self, which: str) -> float:
        """A share of the times with the flood, in those without it."""
        alone: float = getattr(self.without.times, which)
        crowded: float = getattr(self.flooded.times, which)
        return crowded / alone


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that a run found."""

    trials: list[Trial]
    carried: float
    overload: Overload
    fair: Fair
    promised: Promises
    verdicts: list[Verdict]

    @property
    def complaints(self) -> list[str]:
        """What was lost or doubled, in plain words."""
        return ledger.complaints(self.promised, self.verdicts)


class Crowd(NamedTuple):
    """A load with its senders."""

    name: str
    plan: str
    tokens: Path
    connections: int = CONNECTIONS


@dataclass(frozen=True, slots=True)
class Campaign:
    """One run against a stack that is up."""

    stack: Stack
    runner: Runner
    options: Options
    bars: Bars

    async def all(self) -> Result:
        """Warm up, search, overload, flood, look up."""
        options = self.options
        if options.warmup:
            await self.load("warm-up", options.rate or WARM_RATE, options.warmup)
        trials = await self.search() if options.rate is None else []
        carried = options.rate or ramp.best(trials) or trials[-1].rate
        over = await self.overload(carried)
        await asyncio.sleep(BREATHE_SECONDS)
        fair = await self.fair(carried)
        promised = ledger.promises(self.runner.told)
        verdicts = await self.looked_up(promised)
        return Result(trials, carried, over, fair, promised, verdicts)

    async def load(self, name: str, rate: float, seconds: float) -> bool:
        """One load of one sender; whether it was kept up."""
        bar = self.bars.of(name, seconds, rate)
        return (await self.runner.run(name, rate, seconds, bar)).kept_up

    async def search(self) -> list[Trial]:
        """Short loads, up to the first that is too much, then nearer to it."""
        trials: list[Trial] = []
        while (rate := ramp.next_rate(trials)) is not None:
            trials.append(Trial(rate, await self.load("search", rate, TRIAL_SECONDS)))
        return trials

    def senders(self, name: str, n: int) -> Path:
        """Tokens of so many senders, in a file."""
        secret = self.stack.secret_file.read_text()
        file = self.runner.home / f"{name}.tokens"
        tokens = [issue(secret, f"{name}-{i}", ["resident"], CITY) for i in range(n)]
        file.write_text("\n".join(tokens))
        return file

    async def overload(self, carried: float) -> Overload:
        """Half, three times, half again, without a pause between them."""
        options = self.options
        half, most = carried * HALF, carried * TIMES
        plan = f"{half}x{CALM_SECONDS},{most}x{options.seconds},{half}x{options.after}"
        task = self.bars.work(f"overload {most:,.0f}/s")
        backlog: list[Backlog] = []
        through = (await self.runner.probe.look()).through
        start = time.time() + BREATHE_SECONDS
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watch(start, backlog, over))
            crowd = Crowd("overload", plan, self.senders("sender", SENDERS))
            told, news = await self.crowd(crowd, start)
            over.set()
        await self.drained(through, told)
        self.bars.done(task)
        end = CALM_SECONDS + options.seconds
        curve = seconds_of(told, start, end + options.after)
        during = [one for one in told if CALM_SECONDS <= one.due - start < end]
        statuses = ledger.promises(during).statuses
        return Overload(
            rate=most,
            before=curve[:CALM_SECONDS],
            during=curve[CALM_SECONDS:end],
            after=curve[end:],
            accepted=latencies(one.seconds for one in during if one.status == ACCEPTED),
            refused=latencies(one.seconds for one in during if one.status in REFUSED),
            statuses=dict(statuses),
            unanswered=sum(one.status < 100 for one in told),
            backlog=backlog,
            late_p99=news["late_p99"],
            generator_cpu=news["cpu"],
        )

    async def watch(self, start: float, backlog: list[Backlog], over: asyncio.Event) -> None:
        """How much is on its way, twice a second, until it is over."""
        while not over.is_set():
            standing = await self.runner.probe.look()
            backlog.append(Backlog(time.time() - start, standing.accepted - standing.through))
            await asyncio.sleep(0.5)

    async def crowd(self, crowd: Crowd, start: float) -> tuple[list[Told], dict[str, float]]:
        """One generator from `start` on; what it was told, and its last words."""
        book = self.runner.next_book()
        words = ["--port", str(self.runner.port), "--plan", crowd.plan, "--bodies"]
        words += [str(self.runner.bodies), "--ledger", str(book), "--tokens", str(crowd.tokens)]
        words += ["--connections", str(crowd.connections), "--start-at", str(start)]
        words += ["--seed", str(len(self.runner.told) + 1)]
        news: dict[str, float] = {}
        async for said in generated(words):
            news |= said
        if dead := self.stack.died():
            raise RuntimeError(dead)
        told = list(ledger.read(book))
        self.runner.told += told
        return told, news

    async def drained(self, through: int, told: Sequence[Told]) -> None:
        """Until all that was accepted since so many were through is through, a minute at most."""
        accepted = sum(one.status == ACCEPTED for one in told)
        await Watch(self.runner.probe).drained(through + accepted)

    async def fair(self, carried: float) -> Fair:
        """The others without and with the flood, by turns."""
        seconds = self.options.fair_seconds
        others = Crowd(
            "others", f"{carried * OTHERS}x{seconds}", self.senders("other", OTHER_SENDERS), 256
        )
        flood = Crowd("flood", f"{carried * FLOOD}x{seconds}", self.senders("flood", 1))
        turns = {"without": Turn(), "flooded": Turn()}
        cpu: dict[str, float] = {"others": 0.0, "flood": 0.0}
        for n in range(self.options.pairs):
            for name in ("without", "flooded"):
                task = self.bars.work(f"fair share {n + 1}, {name}")
                crowds = [others, flood] if name == "flooded" else [others]
                await self.turn(crowds, turns[name], cpu)
                self.bars.done(task)
        return Fair(turns["without"], turns["flooded"], cpu)

    async def turn(self, crowds: Sequence[Crowd], turn: Turn, cpu: dict[str, float]) -> None:
        """These at once, until all is through."""
        through = (await self.runner.probe.look()).through
        start = time.time() + BREATHE_SECONDS
        done = await asyncio.gather(*(self.crowd(crowd, start) for crowd in crowds))
        for crowd, (told, news) in zip(crowds, done, strict=True):
            (turn.others if crowd.name == "others" else turn.flood).extend(told)
            cpu[crowd.name] += news["cpu"]
        await self.drained(through, [one for told, _ in done for one in told])

    async def looked_up(self, promised: Promises) -> list[Verdict]:
        """Every promise in every stage."""
        task = self.bars.work("looking up every promise")
        probe = self.runner.probe
        received = await published(probe.settings, Topic.INTAKE, "on intake.events", RECEIVED)
        opened = await published(probe.settings, Topic.ROUTER, "on router.events", OPENED)
        stages = [*await probe.held(), received.stage, opened.stage]
        self.bars.done(task)
        return ledger.compare(promised, stages)


def run(data: Path, options: Options, console: Console) -> Result:
    """Start a fresh stack in `data`, measure, stop it. Raises what `Stack.start` raises."""
    with fresh_stack(data, {}, console) as (stack, bodies):
        return asyncio.run(measure(stack, bodies, options, console))


async def measure(stack: Stack, bodies: Path, options: Options, console: Console) -> Result:
    """Everything between start and stop."""
    async with running(stack, bodies, console) as (runner, bars):
        return await Campaign(stack, runner, options, bars).all()
