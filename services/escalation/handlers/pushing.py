"""Notices go out by another way than the list too: into a file, or to a URL.

At least once, under the notice's id. A page is claimed for a while, sent while no transaction is
open, then marked; what did not arrive is tried again later, and in the end it is shown that it
never did. The list stays the truth: what a person took note of there is not pushed any more, and
what waited there when a way out was set is.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from ssl import SSLContext
from typing import Final, TypeAlias
from uuid import UUID

import httpx
import orjson

from services.escalation.decisions import MOST_PUSHES, pause_after, title
from services.escalation.metrics import NOT_PUSHED, PUSHED, TO_PUSH
from services.escalation.store import notices
from services.escalation.store.notices import Attempt, Posted, Pushed
from shared import postgres
from shared.clock import wall
from shared.service import Process, Timer
from shared.settings import Settings

Send: TypeAlias = Callable[[Sequence[Posted]], Awaitable[set[UUID]]]
"""Sends these; says which arrived. Weather on the way is no error: they did not arrive."""

PAGE = 20
LEASE: Final = timedelta(seconds=90)
"""Wall time in which a page is sent and marked; no time-out that settings allow is longer."""
IDLE_SECONDS = 60.0
LOCK_SECONDS = 5.0


def sender(settings: Settings) -> Send | None:
    """The way that the settings choose, if any."""
    if settings.push_file is not None:
        return partial(append, settings.push_file)
    if settings.push_url is None:
        return None
    token = settings.push_token
    headers = {"authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    return partial(call, str(settings.push_url), headers, settings.push_timeout_seconds)


def body(posted: Posted) -> bytes:
    """What is pushed: a digest with a line to be read. No words, and no name of a person."""
    return orjson.dumps(posted.plain() | {"title": title(posted.digest)})


# ---------------------------------------------------------------- a file


async def append(path: Path, page: Sequence[Posted]) -> set[UUID]:
    """One line of JSON each, and the disk has it."""
    lines = b"".join(body(posted) + b"\n" for posted in page)
    try:
        await asyncio.to_thread(written, path, lines)
    except OSError:
        return set()
    return {posted.id for posted in page}


def written(path: Path, lines: bytes) -> None:
    """Append these lines; what a crash cut off before them stays a line of its own.

    Raises `OSError` when they are not there, be it that another process keeps the file.
    """
    with path.open("a+b", buffering=0) as file:
        lock(file.fileno())
        if file.seek(0, os.SEEK_END) and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
            lines = b"\n" + lines
        while lines:
            lines = lines[file.write(lines) :]
        os.fsync(file.fileno())


def lock(file: int) -> None:
    """Until it is closed nobody else of us appends: a line of another's is seen whole, or not yet.

    Raises `BlockingIOError` when another, a frozen one perhaps, has it for too long.
    """
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


# ---------------------------------------------------------------- a URL


@cache
def trusted() -> SSLContext:
    """Whom TLS trusts: read once, for it takes a while."""
    return httpx.create_ssl_context()


async def call(
    url: str, headers: dict[str, str], seconds: float, page: Sequence[Posted]
) -> set[UUID]:
    """POST each of a page at once; 2xx is success, and no answer is read further."""
    async with httpx.AsyncClient(verify=trusted(), headers=headers, timeout=seconds) as client:
        arrived = await asyncio.gather(*(post(client, url, seconds, posted) for posted in page))
    return {posted.id for posted, here in zip(page, arrived, strict=True) if here}


async def post(client: httpx.AsyncClient, url: str, seconds: float, posted: Posted) -> bool:
    """Whether this one was taken in time, from the first byte to the answer's status."""
    headers = {"content-type": "application/json", "idempotency-key": str(posted.id)}
    try:
        async with (
            asyncio.timeout(seconds),
            client.stream("POST", url, content=body(posted), headers=headers) as answer,
        ):
            return answer.is_success
    except (httpx.HTTPError, TimeoutError):
        return False


# ---------------------------------------------------------------- a turn


async def push_once(pool: postgres.Pool, send: Send, at: datetime) -> tuple[int, int]:
    """Push a page of what is to be pushed by `at` (wall time): how many tried, and arrived."""
    async with postgres.transaction(pool, "timer") as tx:
        page = await notices.take_to_push(tx, at, LEASE, PAGE)
    if not page:
        return 0, 0
    arrived = await send([one.posted for one in page])
    async with postgres.transaction(pool, "timer") as tx:
        await notices.save_pushed(tx, [outcome(one, arrived, wall()) for one in page])
    PUSHED.labels("arrived").inc(len(arrived))
    PUSHED.labels("failed").inc(len(page) - len(arrived))
    return len(page), len(arrived)


def outcome(one: Attempt, arrived: set[UUID], at: datetime) -> Pushed:
    """What came of an attempt: tried again after 1, 2, 4 … 60 minutes, and not for ever."""
    if one.posted.id in arrived:
        return Pushed(one.posted.id, at, None)
    again = at + pause_after(one.attempts) if one.attempts < MOST_PUSHES else None
    return Pushed(one.posted.id, None, again)


async def step(process: Process) -> float:
    """A page; then at once the next while they arrive, or each second."""
    send = sender(process.settings)
    if send is None:
        return IDLE_SECONDS
    tried, arrived = await push_once(process.pool, send, wall())
    async with process.pool.acquire(timeout=10) as connection:
        waiting = await notices.to_push(connection)
        NOT_PUSHED.set(await notices.not_pushed(connection))
    TO_PUSH.set(waiting)
    if arrived or not waiting:
        process.health.well("pushed notices")
    elif tried:
        process.health.degraded("pushed notices", "the last page did not arrive; it is tried again")
    return 0.0 if tried == PAGE and arrived else 1.0


PUSH = Timer("push notices", "sweep", step)
