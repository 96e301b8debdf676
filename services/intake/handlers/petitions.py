"""Accepting: many petitions in one commit, each answered when it is durable.

A 2xx is given after the commit, never before. While the database is away the waiting ones are
told to send again, and the queue is bounded, so that waiting has an end.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import asyncpg

from services.intake.decisions.petitions import Petition, Submission
from services.intake.handlers.admission import Progress
from services.intake.metrics import (
    ACCEPTED,
    GROUP_SECONDS,
    GROUP_SIZE,
    REPLAYED,
    UNSTORABLE,
    WAITING,
)
from services.intake.store import petitions as store
from services.intake.store.petitions import Stored
from shared import outbox, telemetry
from shared.postgres import WEATHER, Pool, Transaction, transaction

ROWS = 200
SECONDS = 0.005

BAD_ROW = (ValueError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
"""The database, or asyncpg before it, does not take a value."""


class Accepted(NamedTuple):
    """It is stored; `replayed` when an earlier request with the same key did it."""

    stored: Stored
    replayed: bool


class OtherBody(NamedTuple):
    """The key was used for something else."""


class Unstorable(NamedTuple):
    """The database does not take a value of it; nothing was kept."""


Outcome: TypeAlias = Accepted | OtherBody | Unstorable


class Full(Exception):
    """Too many petitions wait for a commit."""


class Unanswered(Exception):
    """The database went away meanwhile: whether it was kept is not known."""


class Waiting(NamedTuple):
    """A petition on its way to the database, and who waits for it."""

    submission: Submission
    answer: asyncio.Future[Outcome]
    since: float


class GroupCommit:
    """Petitions of many requests in one transaction: 200 rows, or whatever came in 5 ms."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._full = outbox.Wake()
        self._began: float | None = None
        self._took = 0.0
        self._progress = Progress(0, 0.0, full_groups=False)

    @property
    def waiting(self) -> int:
        """How many wait for a commit."""
        return len(self._waiting)

    @property
    def under_way(self) -> bool:
        """Whether a group is being committed."""
        return self._began is not None

    def wait(self, now: float) -> float:
        """How long a petition that comes now will wait for the groups before its own.

        By the last groups. While the next one has room it is 0: to send somebody away from a group
        that is not full gains nothing, and after a bad time it shows whether that is over.
        """
        if len(self._waiting) >= self._limit:
            return float("inf")
        if len(self._waiting) < ROWS:
            return 0.0
        under_way = 0.0 if self._began is None else now - self._began
        groups = len(self._waiting) // ROWS + (self._began is not None)
        return groups * max(self._took, under_way)

    def progress(self) -> Progress:
        """How it went since this was last asked."""
        progress, self._progress = self._progress, Progress(0, 0.0, full_groups=False)
        return progress

    async def accept(self, submission: Submission) -> Outcome:
        """Wait until a petition is durable. Raises `Full` or `Unanswered`."""
        if len(self._waiting) >= self._limit:
            raise Full
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(submission, answer, time.monotonic()))
        self._arrived.set()
        if len(self._waiting) >= ROWS:
            self._full.call()
        return await answer

    async def flush(self, pool: Pool) -> str | None:
        """Wait for petitions and commit the next group; returns what weather there was, if any."""
        group = await self._gather()
        GROUP_SIZE.observe(len(group))
        behind = len(self._waiting) > 0
        self._began = began = time.monotonic()
        try:
            return await settle(pool, group)
        finally:
            ended, self._began = time.monotonic(), None
            GROUP_SECONDS.observe(ended - began)
            self._took = (self._took + ended - began) / 2
            before = self._progress
            self._progress = Progress(
                before.committed + len(group),
                max(before.waited, ended - group[0].since),
                before.full_groups or behind,
            )

    async def _gather(self) -> list[Waiting]:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        left = self._waiting[0].since + SECONDS - time.monotonic()
        if left > 0 and len(self._waiting) < ROWS:
            await self._full.wait(left)
        group = [self._waiting.popleft() for _ in range(min(ROWS, len(self._waiting)))]
        WAITING.set(len(self._waiting))
        return group


async def settle(pool: Pool, group: Sequence[Waiting]) -> str | None:
    """Commit a group and answer each; a row that is not taken never fails the others."""
    try:
        async with transaction(pool, "accept") as tx:
            outcomes = await take_in(tx, [one.submission for one in group])
    except BAD_ROW:
        if len(group) > 1:
            weather = [await settle(pool, [one]) for one in group]
            return next(filter(None, weather), None)
        outcomes = [Unstorable()]
    except WEATHER as weather:
        telemetry.WEATHER.labels("group commit", type(weather).__name__).inc()
        refuse(group, Unanswered())
        return type(weather).__name__
    except Exception as bug:
        refuse(group, bug)
        raise
    for one, outcome in zip(group, outcomes, strict=True):
        count(outcome)
        if not one.answer.done():
            one.answer.set_result(outcome)
    return None


def count(outcome: Outcome) -> None:
    """One more, after its commit."""
    match outcome:
        case Accepted(replayed=True):
            REPLAYED.inc()
        case Accepted():
            ACCEPTED.inc()
        case Unstorable():
            UNSTORABLE.inc()


def refuse(group: Sequence[Waiting], reason: Exception) -> None:
    """Nobody waits for ever."""
    for one in group:
        if not one.answer.done():
            one.answer.set_exception(reason)


async def take_in(tx: Transaction, submissions: Sequence[Submission]) -> list[Outcome]:
    """Store petitions; those whose key was there before get the first answer again."""
    numbers = await store.insert_new(tx, submissions)
    known = {
        one.petition.idempotency_key
        for one in submissions
        if one.petition.idempotency_key and one.petition.id not in numbers
    }
    earlier = await store.by_keys(tx, known) if known else {}
    return [outcome_of(one.petition, numbers.get(one.petition.id), earlier) for one in submissions]


def outcome_of(petition: Petition, number: str | None, earlier: dict[str, Stored]) -> Outcome:
    """What the one who sent it is told."""
    if number is not None:
        stored = Stored(petition.id, number, petition.query_code, petition.body_hash)
        return Accepted(stored, replayed=False)
    assert petition.idempotency_key is not None, "only a key can have been there before"
    first = earlier[petition.idempotency_key]
    if first.body_hash != petition.body_hash:
        return OtherBody()
    return Accepted(first, replayed=True)
