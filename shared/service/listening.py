"""One port for several processes of a service on one machine (SO_REUSEPORT), and how to leave it.

The kernel gives each new connection to one of the sockets of the port. A socket that closes resets
every connection that it was given and nobody accepted: of 20,000 connections over 200 such ends
713 were lost, and 7 where its queue was emptied first, for there is a moment between the last look
and the end. (Linux moves them to another socket since 5.14, if root sets
`net.ipv4.tcp_migrate_req`.) So whoever leaves first tells the kernel to give nothing more to it:
none was lost.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import socket
import struct
from collections.abc import Callable
from typing import Final, TypeAlias

logger = logging.getLogger(__name__)

BACKLOG: Final = 2048
ATTACH_CLASSIC: Final = 51
DETACH: Final = 68
"""SO_ATTACH_REUSEPORT_CBPF and SO_DETACH_REUSEPORT_BPF of Linux, which Python does not name."""
RETURN: Final = 0x06
WAITING_AT: Final = 24
"""Where `struct tcp_info` has `tcpi_unacked`: of a listening socket, who waits to be accepted."""
MOST_SOCKETS: Final = 64
EVEN_SECONDS: Final = 10.0
TURNS: Final = 20

Ours: TypeAlias = Callable[[int], bool]
"""Whether a connection from this port of this machine was accepted here."""


def listen(host: str, port: int) -> socket.socket:
    """A socket on this port, beside those that others of the same user have on it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=True)
    share_evenly(opened)
    return opened


async def keep_even(listener: socket.socket) -> None:
    """What somebody who left told the kernel holds for whoever stays: take it back now and then."""
    while True:
        await asyncio.sleep(EVEN_SECONDS)
        share_evenly(listener)


def share_evenly(listener: socket.socket) -> None:
    """New connections go to all sockets of the port alike."""
    try:
        listener.setsockopt(socket.SOL_SOCKET, DETACH, 0)
    except OSError:  # nothing else was told, or this system cannot be told
        return


async def turn_away(listener: socket.socket, ours: Ours, first: int = 0) -> int:
    """New connections go to another socket of the port, if there is one and this is Linux.

    Which number ours has nobody says: each is tried with a connection to ourselves, from `first`
    on. Returns the number of the socket that has them now.
    """
    for number in range(first, MOST_SOCKETS):
        try:
            give_all_to(listener, number)
            if not await comes_here(listener, ours):
                return number
        except OSError as refused:
            logger.warning("new connections come here to the end: %s", type(refused).__name__)
            return 0
    share_evenly(listener)
    return 0


def give_all_to(listener: socket.socket, number: int) -> None:
    """One of the sockets of the port is given every new connection; a number too high means all."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", RETURN, 0, 0, number))
    told = struct.pack("HP", 1, ctypes.addressof(program))
    listener.setsockopt(socket.SOL_SOCKET, ATTACH_CLASSIC, told)


async def comes_here(listener: socket.socket, ours: Ours) -> bool:
    """Whether a new connection would be accepted by us."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    _, writer = await asyncio.open_connection(host, port)
    try:
        await asyncio.sleep(0.02)
        while waiting(listener):  # noqa: ASYNC110 (the kernel has no event for it)
            await asyncio.sleep(0.02)
        # What was accepted is a connection of the server some turns of the loop later, and where
        # there is much to do a turn may be longer than any pause: so turns are waited for as well.
        await asyncio.sleep(0.05)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        return ours(writer.get_extra_info("sockname")[1])
    finally:
        writer.close()


def waiting(listener: socket.socket) -> int:
    """How many connections wait to be accepted by this socket."""
    told = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("I", told, WAITING_AT)[0])
