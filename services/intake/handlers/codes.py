"""Wrong query codes: how many were tried for a number, so that a code cannot be found by trying."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

MOST = 10
SECONDS = 3600.0
"""[ours] So many wrong codes for a number within an hour of wall time."""

NUMBERS = 10_000
LONGEST = 40
"""No number is longer: what is asked for beyond that is not remembered."""


class Tried(NamedTuple):
    """Wrong codes for a number since the first of them (seconds of a monotonic clock)."""

    since: float
    n: int


class WrongCodes:
    """The numbers with wrong codes of the last hour; when there are too many, the oldest goes.

    In memory and not in a table: who guesses must not make us write, and to push a number out
    costs a guesser 10,000 requests for ten more tries at 31^8 codes. Each process counts for
    itself. Numbers that nobody has count alike: a refusal does not say which ones there are.
    The price: a stranger can keep a resident from the receipt, for an hour at a time.
    """

    def __init__(self) -> None:
        self._tried: OrderedDict[str, Tried] = OrderedDict()

    def seconds_left(self, number: str, now: float) -> float:
        """How long no code is looked at for this number; 0 when one is."""
        tried = self._tried.get(number)
        if tried is None or tried.n < MOST:
            return 0.0
        return max(0.0, tried.since + SECONDS - now)

    def wrong(self, number: str, now: float) -> None:
        """Another wrong code."""
        if len(number) > LONGEST:
            return
        tried = self._tried.pop(number, None)
        if tried is None or now - tried.since >= SECONDS:
            tried = Tried(now, 0)
        self._tried[number] = tried._replace(n=tried.n + 1)
        if len(self._tried) > NUMBERS:
            self._tried.popitem(last=False)
