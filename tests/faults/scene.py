"""A town under load while something is done to it: how it recovers, and the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from uuid import UUID

import asyncpg

from deploy.local.environment import SERVICES
from shared.clock import wall
from shared.postgres import WEATHER
from tests.faults.invariants import Verdict, judge
from tests.faults.load import Load
from tests.faults.looking import ask, holdings, not_through, running, waits
from tests.faults.town import Replica, Town

RECOVERY_SECONDS = 180.0
REST_SECONDS = 240.0
SAMPLE_SECONDS = 1.5
"""The petitions accepted in so long a time are followed to their end; they fill every partition."""
LOOK_SECONDS = 0.25
AWAY = (*WEATHER, asyncpg.PostgresError)
WITHOUT_SWEEP = ("--parts", "http,relay,consume")


class NotRecovered(Exception):
    """The town did not get well; the message says what waits."""


@dataclass
class Scene:
    """What faults work with. `seconds`: how long those last that are done again and again."""

    town: Town
    load: Load
    chance: Random
    seconds: float
    say: Callable[[str], None]
    injected: int = 0
    recoveries: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """A new fault: its own figures."""
        self.injected, self.recoveries, self.notes, self.failures = 0, [], [], []

    def note(self, words: str) -> None:
        """Something that belongs beside the verdict."""
        self.notes.append(words)
        self.say(words)

    def fail(self, words: str) -> None:
        """A promise that was not kept, though nothing is lost."""
        self.failures.append(words)
        self.say(words)

    def until(self, moment: float) -> Iterator[float]:
        """Again and again until this moment (monotonic seconds): what is left."""
        while (left := moment - time.monotonic()) > 0:
            self.load.check()
            yield left

    # ------------------------------------------------------------ recovery

    def recover(self, since: float, most: float = RECOVERY_SECONDS) -> float:
        """Wait until all is well again, and keep how long it was from `since` (monotonic).

        Well: what is accepted from now on is routed, armed, counted and told to the resident, what
        had run out by then is answered, and what was to be said by then is said.
        """
        deadline = since + most
        petitions = self._sample(deadline)
        at, said_by = self.town.clock.now(), wall()
        left: list[str] = ["nobody was asked yet"]
        while left:
            self._in_time(deadline, left)
            time.sleep(LOOK_SECONDS)
            try:
                left = running(not_through(self.town, petitions, at, said_by))
            except AWAY as away:
                left = [f"the database: {type(away).__name__}"]
        took = time.monotonic() - since
        self.recoveries.append(took)
        return took

    def _sample(self, deadline: float) -> list[UUID]:
        """Petitions accepted from now on, waiting for them if need be."""
        begin = time.monotonic()
        while True:
            time.sleep(SAMPLE_SECONDS)
            if found := self.load.book.accepted_between(begin, time.monotonic()):
                return found
            self._in_time(deadline, ["nothing is accepted"])

    def _in_time(self, deadline: float, left: list[str]) -> None:
        self.load.check()
        if time.monotonic() > deadline:
            raise NotRecovered("; ".join(left))

    def drained(self, since: float, most: float = 900.0) -> float:
        """Wait until every outbox is as good as empty; how long that was from `since`."""
        while any(self.unsaid(service) > self.load.rate * 2 for service in SERVICES):
            self._in_time(since + most, ["the outboxes are not empty"])
            time.sleep(LOOK_SECONDS)
        return time.monotonic() - since

    def unsaid(self, service: str) -> int:
        """How many events wait to be published."""
        sql = "select count(*) from outbox"
        return int(ask(self.town, service, sql)[0][0])

    # ------------------------------------------------------------ restarts

    def restart(self, *replicas: Replica) -> float:
        """Start dead replicas again; returns how long all was not well since then."""
        since = time.monotonic()
        self.town.launch_all(replicas)
        return self.recover(since)

    # ------------------------------------------------------------ verdict

    def verdict(self) -> Verdict:
        """Bring the town to rest, look at everything, and let it go on."""
        self.load.pause()
        with self.no_sweep():
            left = self._come_to_rest()
            found = running(holdings(self.town))
            found.waits = left
            return judge(self.load.book, found)

    def _come_to_rest(self) -> list[str]:
        """Wait until nothing waits; what still does after so long."""
        deadline = time.monotonic() + REST_SECONDS
        while (left := running(waits(self.town))) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return left

    @contextmanager
    def no_sweep(self) -> Iterator[None]:
        """Escalation hears and speaks, and no time passes for its cases."""
        escalation = self.town.replicas["escalation"]
        for replica in escalation:
            replica.stop()
        self.town.launch_all(escalation[:1], WITHOUT_SWEEP)
        try:
            yield
        finally:
            escalation[0].stop()
            self.town.launch_all(escalation)


@contextmanager
def scene_in(
    town: Town, book: Path, *, rate: float, seconds: float, seed: int, say: Callable[[str], None]
) -> Iterator[Scene]:
    """A scene in a town that runs; the load ends with it."""
    whole = town.older is None or town.older.keeps_all
    once = town.kind.shared_ports
    load = Load(town.url, town.secret, town.clock, book, rate, seed, whole_life=whole, once=once)
    load.start()
    try:
        yield Scene(town, load, Random(seed), seconds, say)
    finally:
        load.stop()
