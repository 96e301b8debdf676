"""Who is let in when more comes than can be done. Pure; seconds are those of a monotonic clock.

Two rules. Whoever comes while the waiting is already too long is refused: he would only wait and
be refused later. And when more comes than is carried, each sender has an equal share of what is
carried: who asks for more is refused, and what others leave of theirs stays free, because an idle
part of the machine is what keeps their answers quick. Who heeds `Retry-After` ends the pressure,
and may have all of it again.
"""

from __future__ import annotations

from math import ceil, exp
from typing import Final, Literal, NamedTuple, TypeAlias

MEMORY_SECONDS: Final = 2.0
"""Use fades with this; a sender without a request for so long is no longer counted. [ours]"""

ALWAYS: Final = 2.0
"""So many requests at once are nobody's flood, however small his share is. [ours]"""

SLACK_SECONDS: Final = 0.05
SLACK: Final = 50.0
"""Arrivals come in clumps: so many above what is carried are no pressure yet. [ours]"""

LEAST_RATE: Final = 20.0
"""However badly it goes, so many a second are tried: else nothing would show that it is well."""

UNREAD_SECONDS: Final = 5.0
"""Where so many seconds' petitions are unread, no more is let in than is read. [ours]"""

LONGEST: Final = 10
"""Nobody is sent away for longer, in seconds: a refusal costs less than a petition not sent."""

Reason: TypeAlias = Literal["waiting", "unread", "outbox", "share"]


class Limits(NamedTuple):
    """What the settings say: seconds until a commit, rows of the two queues behind it."""

    wait_seconds: float
    unread: int
    outbox: int

    @property
    def calm_seconds(self) -> float:
        """Above this waiting less is let in: well before anybody is refused for it."""
        return self.wait_seconds / 4


class Load(NamedTuple):
    """How much there is to do: expected seconds until a commit, and rows of the two queues."""

    wait_seconds: float
    unread: int
    outbox: int


class Standing(NamedTuple):
    """What one sender had of late, and what he may have under pressure: petitions a second."""

    used: float
    share: float


class Refusal(NamedTuple):
    """Why a request is not let in, and after how many seconds it may come again."""

    reason: Reason
    seconds: int


def full(load: Load, limits: Limits) -> Refusal | None:
    """Too much to do, whoever asks."""
    if load.wait_seconds > limits.wait_seconds:
        return Refusal("waiting", pause(load.wait_seconds))
    if load.outbox >= limits.outbox:
        return Refusal("outbox", LONGEST)
    if load.unread >= limits.unread:
        return Refusal("unread", LONGEST)
    return None


def over_share(standing: Standing) -> Refusal | None:
    """One more would be above his share. Asked only under pressure."""
    most = max(ALWAYS, standing.share * MEMORY_SECONDS)
    if standing.used + 1 <= most:
        return None
    return Refusal("share", pause(1 / max(standing.share, 0.01)))


def pause(seconds: float) -> int:
    """Whole seconds, as HTTP says them; at least one."""
    return max(1, ceil(min(LONGEST, seconds)))


def faded(used: float, seconds: float) -> float:
    """What is left of a use after so many seconds: of an even rate, as much as in the memory."""
    return used * exp(-seconds / MEMORY_SECONDS)


def level(before: float, rate: float, seconds: float) -> float:
    """One request more on what came beyond the rate: at most a second's worth is remembered."""
    return min(max(SLACK, rate) + 1, max(0.0, before - rate * seconds) + 1)


def pressed(level: float, rate: float) -> bool:
    """Whether more comes than is carried, by more than chance explains."""
    return level > max(SLACK, rate * SLACK_SECONDS)


class Seen(NamedTuple):
    """What happened since the rate was last set.

    `carried` are the commits a second; `waited` is the longest wait for one; `full_looks` for how
    many looks in a row petitions stayed behind: two say that `carried` is what can be carried, and
    not what came while the machine stood still for a moment;
    `unread_grows` whether the reading falls behind, which is later than the commit.
    """

    seconds: float
    admitted: int
    carried: float
    waited: float
    full_looks: int
    unread: int
    unread_grows: bool
    pressed: bool


def next_rate(rate: float | None, seen: Seen, calm_seconds: float) -> float | None:
    """How many petitions a second are carried, learned by carrying them; None: not known yet.

    A little less than what was carried while groups are full and the wait is too long: what waits
    must go. A wait alone says nothing: slow groups that are not full would be no quicker with less
    in them. More when all of the rate was used up and nothing stayed behind; else, under pressure,
    a little: a rate that was learned in a bad hour must not stay.
    """
    carried = max(LEAST_RATE, seen.carried * 0.95)
    if (seen.full_looks >= 2 and seen.waited > calm_seconds) or falls_behind(seen):
        return carried if rate is None else min(rate, carried)
    if rate is None or seen.full_looks:
        return rate
    if seen.admitted >= 0.85 * rate * seen.seconds:
        return rate * (1.02 if late(seen) else 1.1)
    return rate * 1.005 if seen.pressed else rate


def late(seen: Seen) -> bool:
    """More is unread than is accepted in some seconds."""
    return seen.unread > UNREAD_SECONDS * max(LEAST_RATE, seen.carried)


def falls_behind(seen: Seen) -> bool:
    """And the reading does not make it good."""
    return late(seen) and seen.unread_grows
