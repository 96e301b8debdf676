"""Which rate to try next, and whether a rate was kept up. Pure.

The highest rate is looked for upwards in steps of a quarter until one is not kept up, then once or
twice between the best and the first that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

FIRST_RATE = 400.0
STEP = 1.25
CLOSE_ENOUGH = 1.08
MOST_TRIALS = 10


class Trial(NamedTuple):
    """A rate that was tried, in petitions a second."""

    rate: float
    kept_up: bool


def drain_allowed(seconds: float) -> float:
    """How long after a load of so many seconds its last petition may be counted, in seconds.

    A constant part for the way itself, and 5 %: what comes on top was not kept up.
    """
    return 0.5 + 0.05 * seconds


def best(trials: Sequence[Trial]) -> float | None:
    """The highest rate that was kept up, below every rate that was not; None when none was."""
    limit = min((t.rate for t in trials if not t.kept_up), default=float("inf"))
    return max((t.rate for t in trials if t.kept_up and t.rate < limit), default=None)


def next_rate(trials: Sequence[Trial], first: float = FIRST_RATE) -> float | None:
    """The next rate to try; None when the best is known closely enough."""
    if not trials:
        return first
    if len(trials) >= MOST_TRIALS:
        return None
    good = best(trials)
    limit = min((t.rate for t in trials if not t.kept_up), default=None)
    if limit is None:
        return max(t.rate for t in trials) * STEP
    if good is None:
        return limit / STEP**2
    if limit / good <= CLOSE_ENOUGH:
        return None
    return sqrt(limit * good)
