"""What a load looks like second by second, and when it is well again. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from bench.ledger import ACCEPTED, Told, latencies

REFUSED: Final = (429, 503)
IN_A_ROW: Final = 3
"""So many seconds in a row have to be well: one alone may be luck."""


class Second(NamedTuple):
    """One second of a load: `accepted` and `refused` by when they were answered, the others by
    when they were due; `p99` is that of all answers, a refusal's too."""

    due: int
    accepted: int
    refused: int
    p99: float
    refused_due: int


def seconds_of(told: Iterable[Told], start: float, seconds: int) -> list[Second]:
    """Each of the first so many seconds after `start`."""
    due: dict[int, list[Told]] = defaultdict(list)
    accepted: dict[int, int] = defaultdict(int)
    refused: dict[int, int] = defaultdict(int)
    for one in told:
        due[int(one.due - start)].append(one)
        answered = int(one.due + one.seconds - start)
        accepted[answered] += one.status == ACCEPTED
        refused[answered] += one.status in REFUSED
    return [
        Second(
            due=len(due[n]),
            accepted=accepted[n],
            refused=refused[n],
            p99=latencies(one.seconds for one in due[n]).p99,
            refused_due=sum(one.status != ACCEPTED for one in due[n]),
        )
        for n in range(seconds)
    ]


def recovered(after: Sequence[Second], normal_p99: float) -> int | None:
    """How many seconds passed until all were accepted, as quickly as is normal, and stayed so for
    some seconds; None when that never was."""
    well = [one.p99 <= normal_p99 and not one.refused_due for one in after]
    for n in range(len(well) - IN_A_ROW + 1):
        if all(well[n : n + IN_A_ROW]):
            return n
    return None


def bars(values: Sequence[float], most: float) -> str:
    """A curve in one line of text."""
    signs = " ▁▂▃▄▅▆▇█"
    return "".join(
        signs[max(0, min(len(signs) - 1, round(value / most * (len(signs) - 1))))]
        for value in values
    )
