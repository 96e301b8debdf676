"""What the figures of a group of cases say: counts, and shares with both numbers. Pure."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, get_args

from services.analytics.decisions.contributions import CounterKey, Verdict
from shared.divisions import CITY, Tier, tier_of

Figures: TypeAlias = Mapping[tuple[str, str], int]
"""Of one group of cases: (measure, detail) → number."""


@dataclass(frozen=True, slots=True)
class Share:
    """A share with both its numbers, in basis points rounded down; none of nothing."""

    numerator: int
    denominator: int
    basis_points: int | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A group of cases: how many stand where, and what was promised and kept.

    `open` includes those that wait for a dispatcher. `closed` is the sum of `closed_as_solved`,
    `consult_answered`, `handed_off` and `closed_otherwise`. `promoted` counts promotions by the
    tier they left, `reopened` reopenings. `closed_in_limit` is of those that had a limit; the
    others are `closed_without_limit`. `on_time` has a share for each clock; `overdue` says how
    many of those that were not kept still run. A promise counts as overdue from the first step
    of its case after its time: supervision and promotion are such steps, a reminder is none.
    """

    open: int
    waiting_for_dispatcher: int
    closed: int
    closed_as_solved: int
    consult_answered: int
    handed_off: int
    closed_otherwise: int
    promoted: dict[str, int]
    reopened: int
    solved_in_grid: Share
    closed_in_limit: Share
    closed_without_limit: int
    on_time: dict[str, Share]
    overdue: dict[str, int]


def share(numerator: int, denominator: int) -> Share:
    """Rounded down, so that 100 % means all."""
    points = numerator * 10_000 // denominator if denominator else None
    return Share(numerator, denominator, points)


def picture(figures: Figures) -> Picture:
    """The counts and shares of a group of cases."""

    def n(measure: str) -> int:
        return figures.get((measure, ""), 0)

    solved = n("solved_in_grid") + n("solved_higher")
    closed = solved + n("consult_answered") + n("handed_off") + n("closed_otherwise")
    clocks = sorted({detail for measure, detail in figures if measure in get_args(Verdict)})
    return Picture(
        open=n("waiting") + n("in_hand"),
        waiting_for_dispatcher=n("waiting"),
        closed=closed,
        closed_as_solved=solved,
        consult_answered=n("consult_answered"),
        handed_off=n("handed_off"),
        closed_otherwise=n("closed_otherwise"),
        promoted={tier.value: figures.get(("promoted", tier.value), 0) for tier in Tier},
        reopened=n("reopened"),
        solved_in_grid=share(n("solved_in_grid"), solved),
        closed_in_limit=share(n("closed_in_limit"), n("closed_in_limit") + n("closed_late")),
        closed_without_limit=n("closed_without_limit"),
        on_time={clock: on_time(figures, clock) for clock in clocks},
        overdue={clock: figures.get(("overdue", clock), 0) for clock in clocks},
    )


def on_time(figures: Figures, clock: str) -> Share:
    """Promises of this clock that were kept, of those that came due or were kept before.

    Those that were broken count whether they ended late, were given up late, or still run.
    """
    kept, late, overdue = (figures.get((verdict, clock), 0) for verdict in get_args(Verdict))
    return share(kept, kept + late + overdue)


def together(groups: Iterable[Figures]) -> Figures:
    """The figures of several groups as those of one."""
    total: defaultdict[tuple[str, str], int] = defaultdict(int)
    for figures in groups:
        for key, n in figures.items():
            total[key] += n
    return total


def width_below(division: str) -> int:
    """How many digits the divisions one step below have; a grid has none below: its own."""
    if division == CITY:
        return 6
    return len(division) if tier_of(division) is Tier.GRID else len(division) + 3


def checksum(counters: Mapping[CounterKey, int]) -> str:
    """SHA-256 over the counters that are not zero, in order."""
    lines = sorted(f"{name}\t{key}\t{n}\n" for (name, key), n in counters.items() if n)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
