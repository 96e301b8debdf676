"""Several sockets on one port: who leaves it loses no connection, who stays gets all."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio import StreamReader, StreamWriter

import pytest

from shared.service.listening import listen, share_evenly, turn_away

HOST = "127.0.0.1"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told")


class Answering:
    """A server that says one letter to each who comes, and knows who came."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.came: set[int] = set()
        self.server: asyncio.Server

    async def begin(self) -> Answering:
        """Answer from now on."""
        self.server = await asyncio.start_server(self.answer, sock=self.listener)
        return self

    async def answer(self, _: StreamReader, writer: StreamWriter) -> None:
        """One of those who come."""
        self.came.add(writer.get_extra_info("peername")[1])
        writer.write(b"x")
        await writer.drain()
        writer.close()

    def has(self, port: int) -> bool:
        """Whether this one came."""
        return port in self.came


async def ask(port: int) -> None:
    """Come, hear, go. Raises when nothing was heard."""
    reader, writer = await asyncio.open_connection(HOST, port)
    assert await reader.read(1) == b"x"
    writer.close()
    await writer.wait_closed()


async def test_who_leaves_the_port_under_load_loses_nobody() -> None:
    stays = await Answering(listen(HOST, 0)).begin()
    port = stays.listener.getsockname()[1]
    asked, over = 0, asyncio.Event()

    async def resident() -> None:
        nonlocal asked
        while not over.is_set():
            await ask(port)
            asked += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(resident())
        for _ in range(20):
            leaves = await Answering(listen(HOST, port)).begin()
            await asyncio.sleep(0.05)
            assert await turn_away(leaves.listener, leaves.has) == 0
            came = len(leaves.came)
            await asyncio.sleep(0.02)
            assert came == len(leaves.came) > 10
            leaves.server.close()
        over.set()
    assert asked > 300
    stays.server.close()


async def test_who_is_alone_on_the_port_keeps_it() -> None:
    alone = await Answering(listen(HOST, 0)).begin()
    port = alone.listener.getsockname()[1]
    await turn_away(alone.listener, alone.has, first=62)
    await ask(port)
    alone.server.close()


async def test_those_who_stay_share_alike_again() -> None:
    first = await Answering(listen(HOST, 0)).begin()
    port = first.listener.getsockname()[1]
    second = await Answering(listen(HOST, port)).begin()
    leaves = await Answering(listen(HOST, port)).begin()
    await turn_away(leaves.listener, leaves.has)
    leaves.server.close()
    first.came.clear()
    for _ in range(20):
        await ask(port)
    assert (len(first.came), len(second.came)) == (20, 0)
    share_evenly(second.listener)
    for _ in range(40):
        await ask(port)
    assert second.came
    assert len(first.came) > 20
    first.server.close()
    second.server.close()
