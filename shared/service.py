"""The skeleton: HTTP, consume, relay and timers; one way to start and one to stop.

Three kinds of failure. Weather (broker or database away) is rolled back and tried again, HTTP
stays up. Theirs (unreadable) is parked. Ours (a bug) ends the process: one loop dies, all die.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import APIRouter

from shared import hearing, kafka, outbox, postgres, tally, telemetry
from shared.clock import Clock, wall
from shared.events import Topic
from shared.hearing import Batch, Fenced, Handle
from shared.http import create_app
from shared.postgres import Pool, Transaction
from shared.settings import Settings

logger = logging.getLogger(__name__)

PARTS = ("http", "read", "relay", "consume", "sweep")
Work = Callable[[], Awaitable[None]]
WEATHER = (*postgres.WEATHER, *kafka.WEATHER, kafka.Unknown, Fenced)


@dataclass(slots=True)
class Health:
    """Why this process is degraded: one reason per loop, gone when the loop works again."""

    reasons: dict[str, str] = field(default_factory=dict)

    def degraded(self, loop: str, reason: str) -> None:
        """This loop does not get on, and why."""
        if self.reasons.get(loop) != reason:
            logger.warning("degraded: %s: %s", loop, reason)
        self.reasons[loop] = reason

    def well(self, loop: str) -> None:
        """This loop gets on."""
        if self.reasons.pop(loop, None) is not None:
            logger.info("well again: %s", loop)


@dataclass(frozen=True, slots=True)
class Timer:
    """Work that a service does by itself: `step` returns after how many wall seconds again."""

    name: str
    part: str
    step: Callable[[Process], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Service:
    """What a service is: its name, what it hears, its routes and what it does by itself."""

    name: str
    about: str
    migrations: Path
    routes: APIRouter
    hears: Callable[[Process], Mapping[Topic, Handle]]
    timers: tuple[Timer, ...] = ()
    open: Callable[[Process], Awaitable[object]] | None = None


@dataclass(slots=True)
class Process:
    """One running process of a service: everything that is made once."""

    service: Service
    settings: Settings
    clock: Clock
    pool: Pool
    epoch: int = 1
    state: object = None
    health: Health = field(default_factory=Health)
    wake_relay: outbox.Wake = field(default_factory=outbox.Wake)
    wake_read: outbox.Wake = field(default_factory=outbox.Wake)

    @property
    def dsn(self) -> str:
        """This service's own database."""
        return self.settings.database_url.get_secret_value()


class Backoff:
    """Longer and longer pauses with jitter, up to five seconds; short again after a success."""

    def __init__(self, first: float = 0.05, cap: float = 5.0) -> None:
        self.first, self.cap, self.pause = first, cap, first

    async def sleep(self) -> None:
        """Wait before the next try."""
        await asyncio.sleep(self.pause * random.uniform(0.5, 1.0))  # noqa: S311
        self.pause = min(self.cap, self.pause * 2)

    def reset(self) -> None:
        """It worked."""
        self.pause = self.first


async def through_weather(process: Process, loop: str, work: Work) -> None:
    """Do this for ever; weather is waited out, anything else is a bug and goes up."""
    backoff = Backoff(first=0.2)
    while True:
        started = time.monotonic()
        try:
            await work()
        except ValueError:  # asyncpg's own refusal of a value calls itself an InterfaceError
            raise
        except WEATHER as weather:
            telemetry.WEATHER.labels(loop, type(weather).__name__).inc()
            process.health.degraded(loop, type(weather).__name__)
            if time.monotonic() - started > 10:
                backoff.reset()
            await backoff.sleep()


# ---------------------------------------------------------------- consume


async def consume(process: Process, topic: Topic, handle: Handle) -> None:
    """Hear one topic: batches in, one transaction each, positions as rows."""

    async def positions(topic: Topic, partitions: Sequence[int]) -> Mapping[int, int]:
        async with process.pool.acquire(timeout=10) as connection:
            return await hearing.positions(connection, topic, partitions)

    group = f"{process.service.name}.{topic}"
    await rest_while_too_many_parked(process, topic)
    async with kafka.Consumer(process.settings, topic, group, positions) as consumer:
        loop = f"consume {topic}"
        backoff = Backoff()
        told = time.monotonic()
        while True:
            try:
                records = await consumer.batch()
                if records:
                    await handle_records(process, consumer, handle, records)
                note_lag(topic, consumer, records)
                process.health.well(loop)
                backoff.reset()
            except ValueError:
                raise
            except (*postgres.WEATHER, Fenced) as weather:
                if isinstance(weather, Fenced):
                    telemetry.FENCED.labels(topic).inc()
                telemetry.WEATHER.labels(loop, type(weather).__name__).inc()
                process.health.degraded(loop, type(weather).__name__)
                consumer.forget()
                await backoff.sleep()
            if time.monotonic() - told > 5:
                told = time.monotonic()
                await tell_kafka(process, consumer)


async def tell_kafka(process: Process, consumer: kafka.Consumer) -> None:
    """Our positions, for lag tools; a broker that does not take them is away, and we say so."""
    if await consumer.tell_kafka():
        process.health.well(f"kafka {consumer.topic}")
    else:
        process.health.degraded(f"kafka {consumer.topic}", "the broker does not answer")


async def rest_while_too_many_parked(process: Process, topic: Topic) -> None:
    """Many unreadable in a row means it is us: wait until an operator says `parked resume`."""
    reason = f"parked {topic}"
    while True:
        async with process.pool.acquire(timeout=10) as connection:
            n = await hearing.in_a_row(connection, topic)
        if n < hearing.TOO_MANY_IN_A_ROW:
            process.health.well(reason)
            return
        process.health.degraded(reason, f"{n} unreadable in a row: look, then `parked resume`")
        await asyncio.sleep(2)


async def handle_records(
    process: Process, consumer: kafka.Consumer, handle: Handle, records: list[kafka.Record]
) -> None:
    """One batch: decode, park, handle, move the positions, commit."""
    topic = consumer.topic
    batch, unknown = hearing.decoded(records)
    for partition, name in unknown.items():
        consumer.stop_partition(partition)
        process.health.degraded(
            f"partition {topic}/{partition}", f"unknown type {name[:80]}: deploy readers first"
        )
    telemetry.STOPPED_PARTITIONS.labels(topic).set(len(consumer.stopped))
    if batch is None:
        return
    note_foreign_clocks(process, batch)
    first, after = hearing.next_offsets(batch)
    expected = {partition: consumer.known[partition] for partition in first}
    with telemetry.BATCH_SECONDS.labels(topic).time():
        async with postgres.transaction(process.pool) as tx:
            await hear(batch, tx, process, handle)
            await hearing.advance(tx, topic, expected, after)
    consumer.known.update(after)
    process.wake_relay.call()
    telemetry.HEARD.labels(topic).inc(len(batch.events))
    telemetry.BATCHES.labels(topic).inc()
    if batch.unreadable:
        telemetry.PARKED.labels(topic).inc(len(batch.unreadable))
        await rest_while_too_many_parked(process, topic)


async def hear(batch: Batch, tx: Transaction, process: Process, handle: Handle) -> None:
    """What one batch changes."""
    if batch.unreadable:
        await hearing.park(tx, batch.unreadable)
    await hearing.count_in_a_row(tx, batch.topic, len(batch.unreadable), len(batch.events))
    await handle(batch, tx, process.clock.now())


def note_foreign_clocks(process: Process, batch: Batch) -> None:
    """Promises computed by another clock than ours are not comparable: say so loudly."""
    ours = process.clock.name
    foreign = sum(event.envelope.clock != ours for event in batch.events)
    if foreign:
        telemetry.FOREIGN_CLOCK.labels(batch.topic).inc(foreign)
        process.health.degraded("clock", f"events of another promise clock on {batch.topic}")
    elif batch.events:
        # What an earlier run of the stack left unsaid comes once, at the start.
        process.health.well("clock")


def note_lag(topic: Topic, consumer: kafka.Consumer, records: Sequence[kafka.Record]) -> None:
    """How far behind we are, in records and in seconds."""
    behind = consumer.behind()
    telemetry.LAG_RECORDS.labels(topic).set(behind)
    telemetry.MISSED.labels(topic).inc(consumer.missed)
    consumer.missed = 0
    if not behind:
        telemetry.LAG_SECONDS.labels(topic).set(0)
    elif records:
        age = (wall() - records[-1].appended_at).total_seconds()
        telemetry.LAG_SECONDS.labels(topic).set(max(0.0, age))


# ---------------------------------------------------------------- relay


async def relay(process: Process) -> None:
    """Be the relay of this service, or stand by for it."""
    connection = await postgres.connect(process.dsn, f"{process.service.name}-relay")
    sender = kafka.Sender(process.settings)
    try:
        # A frozen relay must not hold its lock for ever: an idle session is ended by the server.
        await connection.execute("set idle_session_timeout = '30s'")
        while not await connection.fetchval("select pg_try_advisory_lock($1)", outbox.RELAY_LOCK):
            process.health.well("relay")
            await asyncio.sleep(1)
        telemetry.RELAYING.set(1)
        await rounds(process, connection, sender)
    finally:
        telemetry.RELAYING.set(0)
        await sender.drop()
        with suppress(*postgres.WEATHER):
            await connection.close(timeout=2)


async def rounds(process: Process, connection: Transaction, sender: kafka.Sender) -> None:
    """Round after round; a lane that the broker refused for good rests five seconds."""
    resting: dict[kafka.Lane, float] = {}
    while True:
        now = time.monotonic()
        resting = {lane: until for lane, until in resting.items() if until > now}
        done = await outbox.relay_once(connection, sender.send, list(resting))
        for lane, reason in done.refused.items():
            resting[lane] = now + 5
            telemetry.REFUSED_LANES.labels(reason).inc()
            process.health.degraded(f"lane {lane[0]}/{lane[1]}", reason)
        for topic, n in done.sent.items():
            telemetry.SAID.labels(topic).inc(n)
        process.health.well("relay")
        if not done.more or done.refused:
            await process.wake_relay.wait(0.02)


# ---------------------------------------------------------------- timers


async def keep_time(process: Process, timer: Timer) -> None:
    """Run a timer's step again and again."""
    while True:
        pause = await timer.step(process)
        process.health.well(timer.name)
        if pause > 0:
            await asyncio.sleep(pause)


async def fold(process: Process) -> float:
    """Each second: fold the counts, measure outbox, parked and skew."""
    async with postgres.transaction(process.pool) as tx:
        await tally.fold(tx)
    async with process.pool.acquire(timeout=10) as connection:
        depth, age = await outbox.waiting(connection)
        telemetry.OUTBOX_DEPTH.set(depth)
        telemetry.OUTBOX_AGE.set(age)
        telemetry.PARKED_NOW.set(await hearing.parked_count(connection))
        asked = wall()
        skew = await connection.fetchval("select clock_timestamp()") - asked
        telemetry.CLOCK_SKEW.set(skew.total_seconds())
    if abs(skew.total_seconds()) > 2:
        process.health.degraded("skew", f"the database's clock differs by {skew}")
    else:
        process.health.well("skew")
    return 1.0


FOLD = Timer("fold", "sweep", fold)


async def watch_loop() -> None:
    """How late does the event loop wake us?"""
    while True:
        due = time.monotonic() + 0.5
        await asyncio.sleep(0.5)
        telemetry.LOOP_LAG.set(max(0.0, time.monotonic() - due))


# ---------------------------------------------------------------- start and stop


def background(process: Process, parts: Iterable[str]) -> dict[str, Work]:
    """The loops of these parts, by name."""
    loops: dict[str, Work] = {}
    if "relay" in parts:
        loops["relay"] = partial(relay, process)
    if "consume" in parts:
        for topic, handle in process.service.hears(process).items():
            loops[f"consume {topic}"] = partial(consume, process, topic, handle)
    for timer in (*process.service.timers, FOLD):
        if timer.part in parts:
            loops[timer.name] = partial(keep_time, process, timer)
    return loops


async def serve(service: Service, settings: Settings, parts: Sequence[str] = PARTS) -> None:
    """Run a service until SIGTERM or SIGINT; ends in under 20 seconds, also with Kafka dead."""
    # uvicorn raises the signal again after its own shutdown: without a handler of ours that
    # would end the loops before they clean up.
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            postgres.open_pool(
                settings.database_url.get_secret_value(),
                settings.database_pool,
                settings.lock_timeout_ms,
                service.name,
            )
        )
        process = Process(service, settings, settings.clock(), pool)
        await settle(process)
        spare_the_collector()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(through_weather(process, name, work), name=name)
                for name, work in background(process, parts).items()
            ]
            tasks.append(group.create_task(watch_loop(), name="loop lag"))
            logger.info("serving: %s", ", ".join(parts))
            if "http" in parts:
                await answer(process)
            else:
                await stop.wait()
            for task in tasks:
                task.cancel()
    logger.info("stopped")


def spare_the_collector() -> None:
    """What was made at start stays: a full collection need not walk a whole policy each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def settle(process: Process) -> None:
    """Read what must be known before anything runs; wait for the database if need be."""
    backoff = Backoff(first=0.2)
    while True:
        try:
            async with process.pool.acquire(timeout=10) as connection:
                process.epoch = await outbox.epoch(connection)
            if process.service.open is not None:
                process.state = await process.service.open(process)
        except WEATHER as weather:
            logger.warning("waiting for the database: %s", type(weather).__name__)
            await backoff.sleep()
        else:
            return


async def answer(process: Process) -> None:
    """Answer HTTP until a signal comes."""
    settings = process.settings
    config = uvicorn.Config(
        create_app(process, process.service.routes),
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=5,
        timeout_keep_alive=30,
        server_header=False,
    )
    await uvicorn.Server(config).serve()
