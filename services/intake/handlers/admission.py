"""The door of intake: what it remembers of those who come, and of how it goes inside.

Nothing here reads a body or asks the database; a request costs a few dictionary operations.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, get_args

from services.intake.decisions.admission import (
    MEMORY_SECONDS,
    Limits,
    Load,
    Reason,
    Refusal,
    Seen,
    Standing,
    faded,
    full,
    level,
    next_rate,
    over_share,
    pressed,
)
from services.intake.metrics import ADMITTED, RATE, REFUSED, SENDERS_NOW

SENDERS = 10_000
"""[ours] So many are remembered; then the one who was quiet longest is forgotten."""

REFUSALS = {reason: REFUSED.labels(reason) for reason in get_args(Reason)}

NO_LIMITS = Limits(float("inf"), 1 << 62, 1 << 62)


class Use(NamedTuple):
    """What a sender was let in for, fading; `at` is when he last asked."""

    n: float
    at: float


class Progress(NamedTuple):
    """How the group commits went since the last look."""

    committed: int
    waited: float
    full_groups: bool


def no_wait(_: float) -> float:
    """Nothing waits."""
    return 0.0


class Door:
    """Lets requests in or refuses them; `wait(now)` says how long a commit would take."""

    def __init__(
        self, limits: Limits = NO_LIMITS, wait: Callable[[float], float] = no_wait
    ) -> None:
        self.limits = limits
        self.rate: float | None = None
        self.unread = self.outbox = self._unread_before = 0
        self.reads = True
        self._wait = wait
        self._uses: OrderedDict[str, Use] = OrderedDict()
        self._level = self._level_at = 0.0
        self._admitted = self._full_looks = 0
        self._carried = 0.0

    @property
    def pressed(self) -> bool:
        """Whether more comes than is carried."""
        return self.rate is not None and pressed(self._level, self.rate)

    @property
    def senders(self) -> int:
        """Those of the last second, as of the last request."""
        return len(self._uses)

    def enter(self, sender: str, now: float) -> Refusal | None:
        """Let a request in, or say why not."""
        used = self._used(sender, now)
        refusal = full(Load(self._wait(now), self.unread, self.outbox), self.limits)
        if self.rate is not None:
            self._level = level(self._level, self.rate, now - self._level_at)
            self._level_at = now
            if refusal is None and pressed(self._level, self.rate):
                refusal = over_share(Standing(used, self.rate / len(self._uses)))
        if refusal is None:
            self._uses[sender] = Use(used + 1, now)
            self._admitted += 1
            ADMITTED.inc()
        else:
            REFUSALS[refusal.reason].inc()
        return refusal

    def _used(self, sender: str, now: float) -> float:
        """What a sender used; he is counted from now on, and those are not who were quiet."""
        uses = self._uses
        before = uses.pop(sender, None)
        used = 0.0 if before is None else faded(before.n, now - before.at)
        uses[sender] = Use(used, now)
        while next(iter(uses.values())).at < now - MEMORY_SECONDS or len(uses) > SENDERS:
            uses.popitem(last=False)
        return used

    def learn(self, progress: Progress, late: float, seconds: float) -> None:
        """Set the rate anew by what happened in so many seconds; `late` is the event loop's."""
        # A group of 200 falls into one look or the next: the mean says it, or a look full of them.
        carried = progress.committed / seconds
        self._carried += 0.3 * (carried - self._carried)
        self._full_looks = self._full_looks + 1 if progress.full_groups else 0
        seen = Seen(
            seconds=seconds,
            admitted=self._admitted,
            carried=max(carried, self._carried),
            waited=progress.waited + late,
            full_looks=self._full_looks,
            unread=self.unread if self.reads else 0,
            unread_grows=self.unread > self._unread_before,
            pressed=self.pressed,
        )
        self._unread_before = self.unread
        self._admitted = 0
        self.rate = next_rate(self.rate, seen, self.limits.calm_seconds)
        RATE.set(self.rate or 0.0)
        SENDERS_NOW.set(self.senders)
