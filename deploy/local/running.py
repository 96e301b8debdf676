"""A run of the stack in a terminal: start, show, and stop on Ctrl-C, whatever happens."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from types import FrameType
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live

from deploy.local import summary
from deploy.local.crew import AT_ONCE as DESKS_AT_ONCE
from deploy.local.crew import Crew, Habits, Work
from deploy.local.environment import SERVICES
from deploy.local.figures import Figures, Reading, figures, read
from deploy.local.samples import patrol_finds, samples
from deploy.local.stack import Stack
from deploy.local.submitting import AT_ONCE, Submitted, submit

READ_EVERY_SECONDS, READINGS = 1.0, 10
LINE_EVERY_SECONDS = 5.0

console = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)


@dataclass(frozen=True, slots=True)
class Samples:
    """Sample petitions: how many a second, of which stream, and how many in all (None: endless)."""

    rate: float
    seed: int
    limit: int | None


class Ending:
    """Whether a person asked for the end: Ctrl-C, SIGTERM, or the terminal went away."""

    def __init__(self) -> None:
        self.asked = False
        self._interrupts = False
        # A shell starts a background job with SIGINT ignored; asked by name it must end all the
        # same. Only a terminal that goes away may be ignored, as nohup wants it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._ask)

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """In here the first signal raises `KeyboardInterrupt`; elsewhere it is only noted."""
        self._interrupts = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._interrupts = False

    def _ask(self, _: int, __: FrameType | None) -> None:
        self.asked = True
        if self._interrupts:
            # Once: the next one must not cut off the cleaning up.
            self._interrupts = False
            raise KeyboardInterrupt


def run_until_stopped(stack: Stack, sample: Samples, habits: Habits | None) -> int:
    """Run the stack until a signal (0), or until something refuses or ends by itself (1).

    Without `habits` there is no crew: nobody solves anything.
    """
    ending = Ending()
    announce(stack)
    try:
        with ending.interrupting():
            wrong = start(stack)
        if wrong is None:
            console.print(summary.welcome(stack), soft_wrap=True)
            crew = f"works: {habits}" if habits else "is off: what nobody solves climbs"
            console.print(f"[bold]the crew[/] {crew}\n", soft_wrap=True)
            wrong = asyncio.run(watch(stack, sample, habits, ending))
    except KeyboardInterrupt:
        wrong = None
        console.print("interrupted while starting")
    finally:
        stop(stack)
    if wrong is not None:
        complaints.print(wrong, markup=False, soft_wrap=True)
    return 0 if wrong is None else 1


def start(stack: Stack) -> str | None:
    """Start everything; says why that cannot be, if so."""
    try:
        stack.start(tell)
    except RuntimeError as refused:
        # What a person can do something about: a taken port, no Java, no network ...
        return str(refused)
    return None


def announce(stack: Stack) -> None:
    """The first words."""
    words = summary.speed_words(stack.promise_time.speed)
    console.print(f"[bold]Casegrid[/]: [bold yellow]{words}[/]", soft_wrap=True)
    console.print(f"data: {stack.data_dir}", markup=False, soft_wrap=True)
    if stack.kafka is None:
        console.print(f"Kafka: {stack.bootstrap}, as the environment says", markup=False)
    if stack.postgres is None:
        console.print("PostgreSQL: as the environment says")


def tell(news: str) -> None:
    """How the start goes."""
    console.print(f"  {news}", markup=False)


def stop(stack: Stack) -> None:
    """Stop everything and say so."""
    running = ", ".join(stack.pids())
    if not running:
        return
    started = time.monotonic()
    try:
        console.print("stopping ...")
    finally:
        stack.stop()
    took = time.monotonic() - started
    console.print(f"stopped in {took:.1f} s: {running}", markup=False, soft_wrap=True)
    console.print(
        f"The data is in {stack.data_dir}; the next run goes on with it.",
        markup=False,
        soft_wrap=True,
    )


async def watch(stack: Stack, sample: Samples, habits: Habits | None, ending: Ending) -> str | None:
    """Hand in samples and show the picture until the end is asked for; says what died, if any."""
    submitted = Submitted()
    died: str | None = None
    async with (
        httpx.AsyncClient(
            base_url=stack.url("router"),
            limits=httpx.Limits(max_connections=DESKS_AT_ONCE),
            timeout=30,
            trust_env=False,
        ) as desks,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(hand_in(stack, sample, submitted))]
        crew = None
        if habits is not None:
            secret = stack.secret_file.read_text()
            crew = Crew(desks, secret, stack.promise_time.clock, habits)
            tasks.append(group.create_task(crew.work_on()))
            tasks.append(group.create_task(patrol(stack, habits, submitted)))
        tasks.append(group.create_task(show(stack, submitted, crew.work if crew else None)))
        while not ending.asked and died is None:
            await asyncio.sleep(0.2)
            died = stack.died()
        for task in tasks:
            task.cancel()
    return died


async def hand_in(stack: Stack, sample: Samples, submitted: Submitted) -> None:
    """The residents of the demo."""
    since = stack.promise_time.clock.now()
    bodies = islice(samples(sample.seed, since), sample.limit)
    await send(stack, bodies, sample.rate, "sample", submitted)


async def patrol(stack: Stack, habits: Habits, submitted: Submitted) -> None:
    """The rounds of the demo's grid workers."""
    if habits.finds:
        finds = patrol_finds(habits.seed)
        await send(stack, finds, habits.finds, "find", submitted)


async def send(
    stack: Stack, bodies: Iterable[dict[str, Any]], rate: float, what: str, submitted: Submitted
) -> None:
    """Hand in these petitions, once each in this run."""
    since = stack.promise_time.clock.now()
    limits = httpx.Limits(max_connections=AT_ONCE)
    # Without the environment: a proxy set there is not for this machine's own services.
    async with httpx.AsyncClient(
        base_url=stack.url("intake"), limits=limits, timeout=30, trust_env=False
    ) as client:
        run, secret = f"{what}-{since:%Y%m%dT%H%M%S}", stack.secret_file.read_text()
        await submit(client, bodies, rate, run, submitted, secret)


async def show(stack: Stack, submitted: Submitted, work: Work | None) -> None:
    """The live picture in a terminal, else a line every few seconds."""
    urls = {name: stack.url(name) for name in SERVICES}
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        readings = deque([await read(client, urls)], maxlen=READINGS)
        if console.is_terminal:
            await show_picture(stack, client, readings, submitted, work)
        else:
            await show_lines(stack, client, readings, submitted, work)


async def show_picture(
    stack: Stack,
    client: httpx.AsyncClient,
    readings: deque[Reading],
    submitted: Submitted,
    work: Work | None,
) -> None:
    """Draw it again each second."""
    with Live(console=console, auto_refresh=False) as live:
        while True:
            now = await next_figures(stack, client, readings, READ_EVERY_SECONDS)
            live.update(summary.picture(stack, now, submitted, work), refresh=True)


async def show_lines(
    stack: Stack,
    client: httpx.AsyncClient,
    readings: deque[Reading],
    submitted: Submitted,
    work: Work | None,
) -> None:
    """Print a line every few seconds."""
    while True:
        now = await next_figures(stack, client, readings, LINE_EVERY_SECONDS)
        console.print(summary.line(stack, now, submitted, work), markup=False, soft_wrap=True)


async def next_figures(
    stack: Stack, client: httpx.AsyncClient, readings: deque[Reading], pause: float
) -> Figures:
    """Wait, read, and compare with the oldest reading at hand."""
    await asyncio.sleep(pause)
    readings.append(await read(client, {name: stack.url(name) for name in SERVICES}))
    return figures(readings[0], readings[-1])
