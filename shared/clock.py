"""The only clock of promises, and the only place that reads the machine's time.

Promise time runs `speed` times as fast as the wall: `now = base + (utc - base_utc) * speed`. All
services of one stack are given the same pair (base, base_utc), so they agree; at speed 1 promise
time is the real time and the pair says nothing. Leases, retries, tokens, time-outs and lateness
are measured by the wall.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


def wall() -> datetime:
    """The machine's time, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Promise time for the services of one stack.

    `speed` is promise seconds per wall second; `base` and `base_utc` are aware datetimes.
    """

    speed: float = 1.0
    base: datetime | None = None
    base_utc: datetime | None = None

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError("the clock's speed must be above 0")
        if self.speed != 1.0 and (self.base is None or self.base_utc is None):
            raise ValueError("a clock of another speed than 1 needs base and base_utc")

    def at(self, utc: datetime) -> datetime:
        """The promise time at a moment of wall time."""
        if self.base is None or self.base_utc is None:
            return utc
        return self.base + (utc - self.base_utc) * self.speed

    def now(self) -> datetime:
        """The promise time now."""
        return self.at(wall())

    def wall_until(self, then: datetime) -> timedelta:
        """How long the wall needs until promise time reaches `then`; negative once it has."""
        return (then - self.now()) / self.speed

    @property
    def name(self) -> str:
        """A short hash of the pair and the speed: events of another clock are told by it."""
        if self.base is None or self.base_utc is None:
            return "real"
        pair = f"{self.base.isoformat()}|{self.base_utc.isoformat()}|{self.speed}"
        return hashlib.sha256(pair.encode()).hexdigest()[:8]
