"""What a service is, what one running process of it holds, and how weather is waited out."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from fastapi import APIRouter

from shared import kafka, outbox, postgres, telemetry
from shared.clock import Clock, wall
from shared.events import Topic
from shared.hearing import Fenced, Handle, Parked
from shared.http import Gate
from shared.postgres import Pool, Transaction
from shared.service.lag import Lag
from shared.settings import Settings

logger = logging.getLogger(__name__)

PARTS = ("http", "read", "relay", "consume", "sweep")
Work = Callable[[], Awaitable[None]]
WEATHER = (*postgres.WEATHER, *kafka.WEATHER, kafka.Unknown, Fenced)


@dataclass(slots=True)
class Health:
    """Why this process is degraded: one reason per loop, gone when the loop works again.

    `blocking` are the loops without which it should be sent no requests.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    blocking: set[str] = field(default_factory=set)

    def degraded(self, loop: str, reason: str, *, blocking: bool = False) -> None:
        """This loop does not get on, and why."""
        if self.reasons.get(loop) != reason:
            logger.warning("degraded: %s: %s", loop, reason)
        self.reasons[loop] = reason
        if blocking:
            self.blocking.add(loop)
        else:
            self.blocking.discard(loop)

    def starting(self, loop: str, reason: str, *, blocking: bool = False) -> None:
        """This loop has not got on yet, which is no news for the log."""
        self.reasons.setdefault(loop, reason)
        if blocking:
            self.blocking.add(loop)

    def well(self, loop: str) -> None:
        """This loop gets on."""
        self.blocking.discard(loop)
        if self.reasons.pop(loop, None) is not None:
            logger.info("well: %s", loop)


@dataclass(frozen=True, slots=True)
class Timer:
    """Work that a service does by itself: `step` returns after how many wall seconds again."""

    name: str
    part: str
    step: Callable[[Process], Awaitable[float]]


class Replayed(NamedTuple):
    """How many parked records were handled now, and why others still wait."""

    done: int
    left: list[str]


@dataclass(frozen=True, slots=True)
class Service:
    """What a service is: its name, what it hears, its routes and what it does by itself.

    `gate` is asked before the body of a request is read; `gated` is where most of them go. `replay`
    is its own way with a parked record that waits with others, None of one that does not.
    """

    name: str
    about: str
    migrations: Path
    routes: APIRouter
    hears: Callable[[Process], Mapping[Topic, Handle]]
    timers: tuple[Timer, ...] = ()
    open: Callable[[Process], Awaitable[object]] | None = None
    gate: Callable[[Process], Gate] | None = None
    gated: str = ""
    replay: Callable[[Process, Transaction, Parked], Awaitable[Replayed | None]] | None = None


@dataclass(slots=True)
class Process:
    """One running process of a service: everything that is made once.

    `started`: it knows what must be known before anything runs. `draining`: it was told to end,
    answers whoever is here, and should be sent nobody new.
    """

    service: Service
    settings: Settings
    clock: Clock
    pool: Pool
    epoch: int = 1
    state: object = None
    since: datetime = field(default_factory=wall)
    started: bool = False
    draining: bool = False
    health: Health = field(default_factory=Health)
    lags: dict[Topic, Lag] = field(default_factory=dict)
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
    """Do this to its end, if it has one; weather is waited out, anything else is a bug."""
    backoff = Backoff(first=0.2)
    while True:
        started = time.monotonic()
        try:
            return await work()
        except ValueError:  # asyncpg's own refusal of a value calls itself an InterfaceError
            raise
        except WEATHER as weather:
            telemetry.WEATHER.labels(loop, type(weather).__name__).inc()
            process.health.degraded(loop, type(weather).__name__)
            if time.monotonic() - started > 10:
                backoff.reset()
            await backoff.sleep()
