"""One thing at a time: executions that run to their end, or to a point where fate stops them.

An execution is one turn of one loop, or one request. Only one runs at any moment; at a *point*
(before and after a commit, a send, a fetch) its fate is drawn: it goes on, is frozen until it is
chosen again, loses its connection, or its process is killed. All draws of an execution come from
a generator of its own, so that a world without one of its steps draws the same in all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from random import Random
from typing import Any, Literal, Protocol

Fate = Literal["go", "freeze", "crash", "lost"]
NAMES = {
    "freeze": "turns frozen", "crash": "processes killed", "lost": "answers and connections lost",
}  # fmt: skip


class Killed(BaseException):
    """The process was killed here: nothing of it goes on, and nobody may catch this."""


class Temper(Protocol):
    """What a world does to those who live in it."""

    @property
    def chance(self) -> float:
        """How likely a point is no ordinary one, 0 to 1."""

    def allows(self, fault: str) -> bool:
        """Whether this kind of fault happens at all."""

    def tell(self, line: str) -> None:
        """A line of the story."""

    def count(self, what: str) -> None:
        """One more of these."""


class Execution:
    """One turn of a loop, or one request, of the process `owner`."""

    def __init__(self, temper: Temper, owner: str, name: str, rng: Random) -> None:
        self.temper, self.owner, self.name, self.rng = temper, owner, name, rng
        self.cut = False
        self.task: asyncio.Task[Any] | None = None
        self.stopped: asyncio.Future[str] | None = None
        self.thawed: asyncio.Future[None] | None = None

    @property
    def result(self) -> object:
        """What it came to."""
        assert self.task is not None
        return self.task.result()

    @property
    def frozen(self) -> bool:
        """Whether it stands at a point."""
        return self.thawed is not None

    async def run(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Run from the start; True when it came to its end."""
        self.stopped = asyncio.get_running_loop().create_future()
        token = CURRENT.set(self)
        self.task = asyncio.ensure_future(work)
        CURRENT.reset(token)
        self.task.add_done_callback(self._ended)
        return await self._until_it_stops()

    async def go_on(self) -> bool:
        """Run on from where it was frozen; True when it came to its end."""
        assert self.thawed is not None
        self.stopped = asyncio.get_running_loop().create_future()
        thawed, self.thawed = self.thawed, None
        thawed.set_result(None)
        return await self._until_it_stops()

    async def kill(self) -> None:
        """End it where it stands; its transaction is undone."""
        if self.task is not None and not self.task.done():
            self.task.cancel()
            await asyncio.wait([self.task])

    async def _until_it_stops(self) -> bool:
        assert self.stopped is not None
        assert self.task is not None
        how = await self.stopped
        if how == "frozen":
            return False
        if not self.task.cancelled():
            self.task.result()  # raises what it raised
        return True

    def _ended(self, _: asyncio.Task[Any]) -> None:
        if self.stopped is not None and not self.stopped.done():
            self.stopped.set_result("ended")

    def fate(self, may: Iterable[Fate], often: float) -> Fate:
        """What happens here."""
        if self.rng.random() >= self.temper.chance * often:
            return "go"
        can = [one for one in may if self.temper.allows(one)]
        if not can:
            return "go"
        fate = self.rng.choice(can)
        self.temper.count(NAMES[fate])
        return fate

    async def freeze(self, where: str) -> None:
        """Stand here until somebody lets it go on."""
        self.temper.tell(f"{self.name} is frozen {where}")
        self.thawed = asyncio.get_running_loop().create_future()
        assert self.stopped is not None
        self.stopped.set_result("frozen")
        await self.thawed
        self.temper.tell(f"{self.name} goes on {where}")


CURRENT: ContextVar[Execution | None] = ContextVar("execution", default=None)


async def point(where: str, *may: Fate, often: float = 1.0) -> Fate:
    """A place where a process may be stopped, `often` times as likely as at others.

    Raises `Killed`; "lost" is the caller's to do.
    """
    execution = CURRENT.get()
    if execution is None:
        return "go"
    fate = execution.fate(may, often)
    if fate == "freeze":
        await execution.freeze(where)
        return "lost" if execution.cut else "go"
    if fate == "crash":
        execution.temper.tell(f"{execution.owner} is killed {where} ({execution.name})")
        raise Killed
    return fate


def rng() -> Random:
    """The generator of whatever runs now."""
    execution = CURRENT.get()
    assert execution is not None, "somebody draws outside of an execution"
    return execution.rng


def tell(line: str) -> None:
    """A line of the story, by whatever runs now."""
    execution = CURRENT.get()
    if execution is not None:
        execution.temper.tell(f"{execution.name} {line}")


@contextmanager
def swapped(place: object, name: str, other: object) -> Iterator[None]:
    """Something else stands in its place for a while."""
    real = getattr(place, name)
    setattr(place, name, other)
    try:
        yield
    finally:
        setattr(place, name, real)
