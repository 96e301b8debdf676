"""Sending petitions over HTTP: a bounded number at once, again and again while nobody answers."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import NamedTuple, TypeAlias

import httpx
import orjson

from services.intake.importing.lines import Ready, Rejected

PATIENCE_SECONDS = 120.0
LONGEST_PAUSE = 5.0
COME_AGAIN = (429, 502, 503, 504)


class Server(NamedTuple):
    """Where intake answers, and the token of the officer who sends, if one does."""

    url: str
    token: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What each request says beside its own."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}


class Taken(NamedTuple):
    """A petition is stored; `already` when an earlier run, or line, had sent it."""

    ready: Ready
    already: bool


Outcome: TypeAlias = Taken | Rejected


class GaveUp(Exception):
    """Nobody answered for two minutes."""


class Tally:
    """What became of the lines so far."""

    def __init__(self) -> None:
        self.new = self.already = self.rejected = 0
        self.defaulted: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """One more line."""
        if isinstance(outcome, Rejected):
            self.rejected += 1
            return
        self.defaulted.update(outcome.ready.defaulted)
        if outcome.already:
            self.already += 1
        else:
            self.new += 1


async def send_all(
    server: Server,
    petitions: Iterator[Ready | Rejected],
    concurrency: int,
    told: Callable[[Outcome], None],
) -> None:
    """Send all, `concurrency` at once; each outcome is told. Raises `GaveUp`."""
    hide_sniffio()
    tls = httpx.create_ssl_context()

    async def worker() -> None:
        # A client each: one pool for all looks at all its connections with every request.
        async with httpx.AsyncClient(
            base_url=server.url, headers=server.headers, verify=tls, timeout=30
        ) as client:
            for one in petitions:
                told(one if isinstance(one, Rejected) else await send(client, one))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except ExceptionGroup as several:
        raise several.exceptions[0] from several


def hide_sniffio() -> None:
    """httpcore imports it eleven times a request; where it is missing, each searches the disk."""
    if "sniffio" not in sys.modules and find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]


async def send(client: httpx.AsyncClient, ready: Ready) -> Outcome:
    """Send one petition until there is an answer; its key makes sending twice harmless."""
    headers = {"content-type": "application/json", "idempotency-key": ready.key}
    patient_until = time.monotonic() + PATIENCE_SECONDS
    pause = 0.2
    while True:
        wait = pause
        try:
            response = await client.post("/petitions", content=ready.body, headers=headers)
        except httpx.TransportError:
            reason = "no answer"
        else:
            if response.status_code not in COME_AGAIN:
                return outcome_of(ready, response)
            reason = f"status {response.status_code}"
            wait = max(pause, retry_after(response))
        if time.monotonic() + wait > patient_until:
            raise GaveUp(reason)
        await asyncio.sleep(wait * random.uniform(1.0, 1.3))  # noqa: S311
        pause = min(LONGEST_PAUSE, pause * 2)


def retry_after(response: httpx.Response) -> float:
    """How many seconds the server asks to wait; 0 when it does not say."""
    said = response.headers.get("retry-after", "")
    return float(said) if said.isdigit() else 0.0


def outcome_of(ready: Ready, response: httpx.Response) -> Outcome:
    """What an answer means for a line."""
    if response.status_code == 202:
        return Taken(ready, response.headers.get("idempotency-replayed") == "true")
    return Rejected(ready.line, ready.id, reasons(response))


def reasons(response: httpx.Response) -> tuple[str, ...]:
    """Why a line was refused, as the problem says it."""
    try:
        problem = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        problem = None
    if not isinstance(problem, dict):
        return (f"status {response.status_code}",)
    if problem.get("type", "").endswith("/idempotency-key-reused"):
        return ("another petition was imported under this id before (say --source NAME)",)
    fields = tuple(
        f"{error['field']}: {error['says']}" if error.get("field") else str(error["says"])
        for error in problem.get("errors", ())
    )
    return fields or (str(problem.get("detail", f"status {response.status_code}")),)
