"""The sweep: what is due now. Computes no date and reads no policy.

After time without a sweep nothing is caught up one by one: a clock gives one notice (the latest
mark; the card, if the time of reminders is over), or one order and the notice of it, and its next
repeat lies in the future. [ours]
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, assert_never

from services.escalation.decisions.armed import (
    MILLISECOND,
    Armed,
    Clock,
    every_of,
    moment,
    next_of,
)
from services.escalation.decisions.notices import (
    Notice,
    breach_reason,
    notices_of,
    repeat_reason,
)
from services.escalation.decisions.orders import OrderGiven, action_of, order_of
from shared.events import Milliseconds

MEMORY: Final = Clock._fields.index("warned")


class Swept(NamedTuple):
    """What a sweep makes of a case. `late`: per breach, promise time since it could be known."""

    armed: Armed
    orders: tuple[OrderGiven, ...]
    notices: tuple[Notice, ...]
    late: tuple[timedelta, ...]


def sweep(armed: Armed, now: datetime) -> Swept:
    """What is due at `now` (promise time): warnings, breaches, repeats; at most one per clock."""
    at = (now - armed.started_at) // MILLISECOND
    clocks: list[Clock] = []
    orders: list[OrderGiven] = []
    notices: list[Notice] = []
    late: list[timedelta] = []
    for clock in armed.clocks:
        happens = what_happens(clock, at)
        match happens:
            case "nothing":
                clocks.append(clock)
            case "warning":
                clocks.append(done(clock, bisect_right(clock.warn, at)))
                notices += notices_of(armed, clock, "warning")
            case "breach":
                clocks.append(breached(clock, at))
                late.append(now - max(moment(armed, clock.due), armed.changed_at))
                if action := action_of(clock):
                    orders.append(order_of(armed, clock, action, now))
                notices += notices_of(armed, clock, breach_reason(clocks[-1]))
            case "repeat":
                clocks.append(done(clock, clock.warned, repeats_by(clock, at)))
                notices += notices_of(armed, clock, repeat_reason(clocks[-1]))
            case _:
                assert_never(happens)
    after = armed._replace(clocks=tuple(clocks), said=armed.said + len(orders))
    return Swept(after, tuple(orders), tuple(notices), tuple(late))


def what_happens(
    clock: Clock, at: Milliseconds
) -> Literal["nothing", "warning", "breach", "repeat"]:
    """What a clock does at `at`: nothing before `next_of` says so, and one thing then."""
    following = next_of(clock)
    if following is None or at < following:
        return "nothing"
    if clock.fired:
        return "repeat"
    return "breach" if at >= clock.due else "warning"


def repeats_by(clock: Clock, at: Milliseconds) -> int:
    """How many repeats have come by `at`: several at once count as one that was given."""
    every = every_of(clock)
    return (at - clock.due) // every if every else 0


def breached(clock: Clock, at: Milliseconds) -> Clock:
    """The breach was handled. A mark that nobody was warned at is not given: with a later due time
    under the same start it is still to come."""
    return done(clock, clock.warned, repeats_by(clock, at))


def done(clock: Clock, warned: int, repeats: int | None = None) -> Clock:
    """The clock with what was done about it; `repeats` once its breach was handled."""
    fired = repeats is not None
    return Clock._make((*clock[:MEMORY], warned, fired, repeats or 0, clock.later))
