"""One way to start and one to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import uvicorn

from shared import failpoints, lines, outbox, postgres, traces
from shared.http import Around, create_app
from shared.service.consuming import consume
from shared.service.listening import keep_even, listen, turn_away
from shared.service.process import (
    PARTS,
    WEATHER,
    Backoff,
    Process,
    Service,
    Work,
    through_weather,
)
from shared.service.refusing import refusing
from shared.service.relaying import relay
from shared.service.timing import FOLD, compare_topics, keep_time, watch_loop
from shared.settings import Settings

logger = logging.getLogger(__name__)
START, LISTEN = "start", "listen"


def background(process: Process, parts: Iterable[str]) -> dict[str, Work]:
    """The loops of these parts, by name."""
    loops: dict[str, Work] = {}
    if "relay" in parts:
        loops["relay"] = partial(relay, process)
    if "consume" in parts:
        for topic, handle in process.service.hears(process).items():
            loops[f"consume {topic}"] = partial(consume, process, topic, handle)
    if loops:
        loops["topics"] = partial(compare_topics, process)
    for timer in (*process.service.timers, FOLD):
        if timer.part in parts:
            loops[timer.name] = partial(keep_time, process, timer)
    return loops


async def serve(service: Service, settings: Settings, parts: Sequence[str] = PARTS) -> None:
    """Run a service until SIGTERM or SIGINT; ends in under 20 s, whatever else is away."""
    failpoints.arm(service.name, settings.fail_at)
    stop = asyncio.Event()
    running = asyncio.get_running_loop()
    running.set_exception_handler(on_stray)
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop.set)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        running.add_signal_handler(number, lines.change_level, number)
    endpoint = settings.otlp_endpoint
    traces.record(service.name, None if endpoint is None else str(endpoint))
    dsn = settings.database_url.get_secret_value()
    async with postgres.open_pool(
        dsn, settings.database_pool, settings.lock_timeout_ms, service.name
    ) as pool:
        process = Process(service, settings, settings.clock(), pool)
        process.health.starting(LISTEN, "does not listen yet", blocking=True)
        async with answering(process):
            await unless(stop, settle(process))
            if not stop.is_set():
                spare_the_collector()
                await work(process, parts, stop)
    traces.stop()
    logger.info("stopped")


async def unless(stop: asyncio.Event, work: Coroutine[object, object, None]) -> None:
    """Do this to its end, or until `stop`, whichever comes first."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work), group.create_task(until(stop))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def until(stop: asyncio.Event) -> None:
    """Wait for it."""
    await stop.wait()


async def work(process: Process, parts: Sequence[str], stop: asyncio.Event) -> None:
    """All loops of these parts, and HTTP; one loop dies, all die."""
    server = server_of(process, parts)
    settings = process.settings
    shared = listen(settings.host, settings.port) if settings.reuse_port else None
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(through_weather(process, name, loop), name=name)
            for name, loop in background(process, parts).items()
        ]
        tasks.append(group.create_task(watch_loop(process), name="watch"))
        if shared is not None:
            tasks.append(group.create_task(keep_even(shared), name="even"))
        tasks.append(group.create_task(end(process, server, shared, stop), name="stop"))
        logger.info("serving: %s", ", ".join(parts))
        await server.serve(None if shared is None else [shared])
        for task in tasks:
            task.cancel()


def on_stray(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error that nobody waited for. asyncio's own words would quote the values in it."""
    logger.error("stray error in the event loop", exc_info=context.get("exception"))


def spare_the_collector() -> None:
    """What was made at start stays: a full collection need not walk a whole policy each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def settle(process: Process) -> None:
    """Read what must be known before anything runs; wait for the database and its tables."""
    backoff = Backoff(first=0.2)
    while not process.started:
        try:
            lacks = await lacking(process)
            if not lacks and process.service.open is not None:
                process.state = await process.service.open(process)
            process.started = not lacks
        except ValueError:
            raise
        except WEATHER as weather:
            lacks = type(weather).__name__
        if lacks:
            process.health.degraded(START, f"waiting for the database: {lacks}", blocking=True)
            await backoff.sleep()
    process.health.well(START)


async def lacking(process: Process) -> str:
    """What the database has not yet of what this version needs, in words; "" if it has all."""
    service = process.service
    async with process.pool.acquire(timeout=10) as connection:
        missing = await postgres.missing(connection, service.name, service.migrations)
        if missing:
            return f"say `migrate`: it has not had {', '.join(missing)}"
        process.epoch = await outbox.epoch(connection)
    return ""


class Server(uvicorn.Server):
    """uvicorn without handlers of its own: it would raise a signal again after its shutdown, and
    so end the loops before they clean up."""

    listening: Callable[[], None] = staticmethod(lambda: None)
    """Called once it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The signals are ours."""
        yield

    def has(self, port: int) -> bool:
        """Whether a connection from this port is open."""
        clients = (getattr(one, "client", None) for one in self.server_state.connections)
        return any(client is not None and client[1] == port for client in clients)

    async def empty(self) -> None:
        """Wait until nobody is connected."""
        while self.server_state.connections:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.05)

    def listen_no_more(self) -> None:
        """Accept nobody else, at once; uvicorn itself does it at its next look, too late."""
        for server in self.servers:
            server.close()


def server_of(process: Process, parts: Sequence[str]) -> Server:
    """What answers HTTP; without the part `http`, only what operations ask."""
    app = create_app(process, process.service.routes if "http" in parts else None)
    server = server_on(process.settings.port, app)
    server.listening = partial(process.health.well, LISTEN)
    return server


def server_on(port: int, app: Around) -> Server:
    """A server of this application."""
    process = app.process
    config = uvicorn.Config(
        app,
        http="auto" if app.gate is None else refusing(app.gate, process),
        host=process.settings.host,
        port=port,
        access_log=False,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=5,
        timeout_keep_alive=30,
        server_header=False,
        # uvicorn would believe whoever forwards from this machine; see Settings.sender_header.
        proxy_headers=False,
    )
    return Server(config)


@asynccontextmanager
async def answering(process: Process) -> AsyncIterator[None]:
    """Meanwhile this process answers for itself, if it has a port for that."""
    if process.settings.operations_port is None:
        yield
        return
    server = server_on(process.settings.operations_port, create_app(process, None))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(), name="operations")
        try:
            yield
        finally:
            server.should_exit = True


async def end(
    process: Process, server: Server, shared: socket.socket | None, stop: asyncio.Event
) -> None:
    """Once the signal came: be sent nobody new, let go whoever is here, answer no more requests.

    A connection that is closed under a request loses it. So each is told with its next answer that
    it ends; one on which nothing comes for `drain_seconds` is closed.
    """
    await stop.wait()
    process.draining = True
    other = 0
    if shared is not None:
        other = await turn_away(shared, server.has)
    with suppress(TimeoutError):
        async with asyncio.timeout(process.settings.drain_seconds):
            await server.empty()
    if shared is not None:
        # Who came or left meanwhile has changed what the kernel was told, or the numbers.
        await turn_away(shared, server.has, other)
        server.listen_no_more()
    server.should_exit = True
