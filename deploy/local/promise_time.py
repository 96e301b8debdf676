"""Promise time across restarts: time off is no time, and it never steps back.

`resumed` is pure: what an earlier run saved, the speed and the wall give the clock of the next
run. `PromiseTime` keeps the file: every ten seconds, and at the stop.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from shared.clock import Clock, wall

EVERY = timedelta(seconds=10)
UNSAVED = EVERY + timedelta(seconds=2)
"""The most that a killed run can have gone on after it last saved."""


class CannotResume(RuntimeError):
    """The data directory belongs to a clock of another speed, or its saved time is unreadable."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The promise time at a moment of wall time; `stopped` when the run ended in good order."""

    promise: AwareDatetime
    wall: AwareDatetime
    speed: float
    stopped: bool


SAVED = TypeAdapter(Saved)


def resumed(saved: Saved | None, speed: float, now: datetime) -> Clock:
    """The clock of a run that begins at `now` (wall time), after what an earlier run saved.

    At speed 1 it is the real time. Raises `CannotResume` when the earlier run had another speed.
    """
    if saved is not None and saved.speed != speed:
        raise CannotResume(
            f"its promises were made at speed {saved.speed:g}, not at {speed:g}. Choose another "
            f"directory with --data, or start with --speed {saved.speed:g}."
        )
    if speed == 1:
        return Clock()
    return Clock(speed, now if saved is None else latest(saved, now), now)


def latest(saved: Saved, now: datetime) -> datetime:
    """The latest promise time that the run which saved this can have reached by `now`.

    A run that was killed went on for a while unseen: at most until now, at most `UNSAVED`.
    """
    if saved.stopped:
        return saved.promise
    since = now - saved.wall
    # A negative time says that the wall was set back, and nothing about the run.
    unseen = UNSAVED if since < timedelta() else min(since, UNSAVED)
    # Each product of a clock is rounded to a microsecond: two of them may be one short of the sum.
    return saved.promise + unseen * saved.speed + timedelta(microseconds=1)


class PromiseTime:
    """The promise time of one data directory, in `file`; `speed` in promise seconds per second."""

    def __init__(self, file: Path, speed: float) -> None:
        self.file, self.speed = file, speed
        self._clock: Clock | None = None
        self._stop = Event()
        self._keeper: Thread | None = None

    @property
    def clock(self) -> Clock:
        """The clock of this run; `RuntimeError` before `begin`."""
        if self._clock is None:
            raise RuntimeError("promise time has not begun")
        return self._clock

    def check(self) -> Clock:
        """The clock that a run beginning now would have. Raises `CannotResume`; changes nothing."""
        try:
            return resumed(self._saved(), self.speed, wall())
        except CannotResume as refused:
            raise CannotResume(
                f"The data in {self.file.parent} cannot be used: {refused}"
            ) from None

    def begin(self) -> Clock:
        """Let promise time run, and save it from now on. Raises `CannotResume`."""
        self._clock = self.check()
        self._save(stopped=False)
        self._stop.clear()
        self._keeper = Thread(target=self._keep, name="promise time", daemon=True)
        self._keeper.start()
        return self._clock

    def end(self) -> None:
        """Promise time stands still from now on. Nothing to end is no error."""
        if self._keeper is None:
            return
        self._stop.set()
        self._keeper.join()
        self._keeper = None
        self._save(stopped=True)
        self._clock = None

    def _keep(self) -> None:
        while not self._stop.wait(EVERY.total_seconds()):
            self._save(stopped=False)

    def _saved(self) -> Saved | None:
        if not self.file.exists():
            return None
        try:
            return SAVED.validate_json(self.file.read_bytes())
        except ValidationError as wrong:
            raise CannotResume(f"{self.file.name} is unreadable: {wrong}.") from None

    def _save(self, *, stopped: bool) -> None:
        at = wall()
        saved = Saved(self.clock.at(at), at, self.speed, stopped)
        aside = self.file.with_suffix(".new")
        with aside.open("wb") as file:
            file.write(SAVED.dump_json(saved))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.file)
