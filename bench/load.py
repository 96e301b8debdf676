"""The load: each petition is sent when it is due, whatever became of those before it.

Open loop, so a server that stalls is not spared what would have come meanwhile: latency is counted
from the moment a request was due. It runs in a process of its own (`python -m bench.load`), speaks
HTTP/1.1 over connections that stay open, and is made to cost little, because it shares the machine
with what it measures. Standard output tells how it goes, one JSON line a second.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
import time
from array import array
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from random import Random
from typing import cast

import orjson
import uvloop

from bench.ledger import ACCEPTED, NO_ANSWER, NOT_SENT, Ledger, latencies

CONNECTIONS = 256
TICK_SECONDS = 0.001
GIVE_UP_SECONDS = 10.0
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)\r\n")
ID = re.compile(rb'"id":"([0-9a-f-]{36})"')


def arrivals(rate: float, seconds: float, seed: int) -> array[float]:
    """When each request is due, in seconds after the start: as people call, independently."""
    chance = Random(seed)
    due: array[float] = array("d")
    at = chance.expovariate(rate)
    while at < seconds:
        due.append(at)
        at += chance.expovariate(rate)
    return due


def planned(plan: str, seed: int) -> array[float]:
    """When each request of one load after the other is due; "600x10,1800x30" are two of them."""
    due: array[float] = array("d")
    start = 0.0
    for n, part in enumerate(plan.split(",")):
        rate, seconds = map(float, part.split("x"))
        due.extend(start + at for at in arrivals(rate, seconds, seed + 1_000 * n))
        start += seconds
    return due


def request(host: str, port: int, body: bytes, token: str | None = None) -> bytes:
    """A request as it goes over the wire; with a token it has a sender of its own."""
    whose = f"authorization: Bearer {token}\r\n" if token else ""
    head = (
        f"POST /petitions HTTP/1.1\r\nhost: {host}:{port}\r\n{whose}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer(data: bytes) -> tuple[int, bytes] | None:
    """Status and body of an answer; None while part of it is on its way.

    Raises `ValueError` for what is no answer with a length.
    """
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = LENGTH.search(data, 0, head + 2)
    if length is None:
        raise ValueError("an answer without content-length")
    body = data[head + 4 :]
    if len(body) < int(length[1]):
        return None
    return int(data[9:12]), body


class Client(asyncio.Protocol):
    """One connection; at most one request is under way on it."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.request: int | None = None
        self.sent = 0.0
        self.buffer = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for a request."""
        # uvloop's transport is one in all but its class.
        self.transport = cast(asyncio.Transport, transport)
        self.load.free(self)

    def send(self, number: int, data: bytes, now: float) -> None:
        """Send this request."""
        self.request, self.sent = number, now
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Part of an answer, mostly all of it."""
        self.buffer = self.buffer + data if self.buffer else data
        found = answer(self.buffer)
        if found is None:
            return
        number, self.request, self.buffer = self.request, None, b""
        assert number is not None, "an answer that nobody asked for"
        self.load.told(number, *found)
        self.load.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """What is under way has no answer."""
        self.load.gone(self)


class Load:
    """Requests, each sent when it is due, and what became of them.

    `tokens` are those of the senders, in turn; without any, all comes from one address.
    """

    def __init__(
        self,
        host: str,
        port: int,
        bodies: Sequence[bytes],
        due: array[float],
        ledger: Ledger,
        tokens: Sequence[str] = (),
        connections: int = CONNECTIONS,
    ) -> None:
        self.host, self.port, self.due, self.ledger = host, port, due, ledger
        self.connections = connections
        whose = cycle(tokens or [None])
        self.requests = [
            request(host, port, body, token) for body, token in zip(bodies, whose, strict=False)
        ]
        self.late: array[float] = array("d")
        self.start = self.start_wall = 0.0
        self._clients: set[Client] = set()
        self._idle: deque[Client] = deque()
        self._waiting: deque[int] = deque()
        self._next = 0

    async def run(self, start_at: float = 0.0) -> None:
        """Send everything; ends when each request has an answer, or was given up.

        Starts at `start_at`, seconds since 1970, so that several loads may start together.
        """
        await self.connect()
        await asyncio.sleep(max(0.0, start_at - time.time()))
        self.start, self.start_wall = time.perf_counter(), time.time()
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(self.keep_connected())
            await self.send_all()
            keeper.cancel()

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            client.transport.close()

    async def connect(self) -> None:
        """Open the connections that are missing."""
        loop = asyncio.get_running_loop()
        while len(self._clients) < self.connections:
            _, client = await loop.create_connection(lambda: Client(self), self.host, self.port)
            self._clients.add(client)

    async def keep_connected(self) -> None:
        """Connections that broke are opened again, as soon as the server takes them."""
        while True:
            with suppress(OSError):
                await self.connect()
            await asyncio.sleep(0.1)

    async def send_all(self) -> None:
        """Send what is due each millisecond; say how it goes each second."""
        tell_at = 1.0
        while self.ledger.written < len(self.due):
            now = time.perf_counter() - self.start
            self.send_due(now)
            if now > tell_at:
                tell_at += 1.0
                tell(sent=self._next - len(self._waiting), told=self.ledger.statuses)
                self.give_up(now)
            await asyncio.sleep(TICK_SECONDS)

    def send_due(self, now: float) -> None:
        """Send what is due at `now`, as far as connections are free."""
        due, n = self.due, self._next
        while n < len(due) and due[n] <= now:
            self._waiting.append(n)
            n += 1
        self._next = n
        while self._waiting and self._idle:
            self.send(self._idle.popleft(), self._waiting.popleft(), now)

    def send(self, client: Client, number: int, now: float) -> None:
        """Send one request on a free connection."""
        self.late.append(now - self.due[number])
        client.send(number, self.requests[number % len(self.requests)], now)

    def free(self, client: Client) -> None:
        """This connection may carry the next request."""
        if self._waiting:
            now = time.perf_counter() - self.start
            self.send(client, self._waiting.popleft(), now)
        else:
            self._idle.append(client)

    def told(self, number: int, status: int, body: bytes) -> None:
        """A request has its answer."""
        found = ID.search(body)
        if status == ACCEPTED and found is None:
            self.unanswered(number)
            return
        due = self.due[number]
        seconds = time.perf_counter() - self.start - due
        self.ledger.note(self.start_wall + due, seconds, status, found[1] if found else b"-")

    def gone(self, client: Client) -> None:
        """A connection ended; what was under way on it has no answer."""
        self._clients.discard(client)
        if client in self._idle:
            self._idle.remove(client)
        if client.request is not None:
            self.unanswered(client.request)

    def unanswered(self, number: int, status: int = NO_ANSWER) -> None:
        """Nobody knows what became of this request, or it was not even sent."""
        due = self.due[number]
        seconds = time.perf_counter() - self.start - due
        self.ledger.note(self.start_wall + due, seconds, status)

    def give_up(self, now: float) -> None:
        """What has no answer after ten seconds gets none; what could not be sent neither."""
        for client in list(self._clients):
            if client.request is not None and now - client.sent > GIVE_UP_SECONDS:
                client.transport.abort()
        if self._next == len(self.due) and now > self.due[-1] + GIVE_UP_SECONDS:
            while self._waiting:
                self.unanswered(self._waiting.popleft(), NOT_SENT)


def tell(**news: object) -> None:
    """One line of news for the program that started this one."""
    print(orjson.dumps(news, option=orjson.OPT_NON_STR_KEYS).decode(), flush=True)


async def main(options: argparse.Namespace) -> None:
    """Send the load and tell the end of it."""
    due = planned(options.plan, options.seed)
    with options.ledger.open("wb", buffering=1 << 20) as file:
        ledger = Ledger(file)
        bodies = options.bodies.read_bytes().splitlines()
        tokens = options.tokens.read_text().split() if options.tokens else ()
        load = Load(options.host, options.port, bodies, due, ledger, tokens, options.connections)
        # No garbage is made in circles here, and a collection would look like a slow server.
        gc.freeze()
        gc.disable()
        cpu = time.process_time()
        tell(start=time.time(), due=len(due))
        await load.run(options.start_at)
        load.close()
        cpu = time.process_time() - cpu
    late = latencies(load.late)
    tell(
        sent=len(load.late), told=ledger.statuses, cpu=cpu, late_p99=late.p99, start=load.start_wall
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--plan", required=True, help="requests a second x seconds: 600x10,900x5")
    parser.add_argument("--tokens", type=Path, help="one a line: the senders, in turn")
    parser.add_argument("--start-at", type=float, default=0.0, help="seconds since 1970")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bodies", type=Path, required=True, help="one JSON body a line")
    parser.add_argument("--ledger", type=Path, required=True, help="where to keep the book")
    uvloop.run(main(parser.parse_args()))
