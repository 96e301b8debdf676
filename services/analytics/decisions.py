"""What one case adds to the figures, and what the figures say. Pure.

    contribution(case)       what a snapshot adds: a number per measure, under one key a dimension
    newest(said)             the newest snapshot of each case
    differences(changes)     what new contributions change in the counters, the old ones taken off
    picture(figures)         counts and shares of a group of cases, each share with both numbers
    checksum(figures)        two sets of figures are the same when their checksums are

A case has one key in each dimension, so the groups of any dimension add up to the whole city. A
counter is named `measure|dimension`; its key is the dimension's key, and `key|detail` where the
measure has details (the clock of `kept` and `late`, the tier of `promoted`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, assert_never, get_args
from uuid import UUID

import orjson

from shared.divisions import CITY, Tier, tier_of
from shared.events import CaseSnapshot, Order, Track

Standing = Literal[
    "waiting", "in_hand",
    "solved_in_grid", "solved_higher", "consult_answered", "handed_off", "closed_otherwise",
]  # fmt: skip
"""Where a case stands; each case in one of them."""

MEASURES = (*get_args(Standing), "closed_late", "promoted", "reopened", "kept", "late")
Dimension = Literal["tier", "track", "channel", "kind", "urgency", "category", "division"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

NO_TIER = "dispatcher"
NO_CATEGORY = "none"

CounterKey: TypeAlias = tuple[str, str]
"""(`measure|dimension`, `key` or `key|detail`): a counter of the tally."""

LIMIT_OF: dict[Track, str] = {
    "service": "final_reply",
    "consult": "final_reply",
    "xinfang": "decide",
    "mediation": "mediate",
    "handoff": "handover",
    "project": "approval",
}
"""The clock that is the limit of a whole case of this track. [ours]"""


class Contribution(NamedTuple):
    """What one case adds: each measure with its number, once under each of its keys."""

    keys: dict[str, str]
    measures: dict[str, int]

    def pack(self) -> str:
        """As the table keeps it."""
        return orjson.dumps((self.keys, self.measures)).decode()


def unpack(packed: str) -> Contribution:
    """A contribution as the table kept it, perhaps by an older version with other dimensions."""
    return Contribution(*orjson.loads(packed))


def contribution(case: CaseSnapshot) -> Contribution:
    """What this snapshot of a case adds to the figures."""
    measures: dict[str, int] = {standing_of(case): 1}
    closed = case.stage in ("closed", "handed_off")
    if closed and not case.on_time.get(LIMIT_OF[case.track], True):
        measures["closed_late"] = 1
    if case.reopened:
        measures["reopened"] = case.reopened
    for tier, times in case.promotions.items():
        measures[f"promoted:{tier.value}"] = times
    for clock, kept in case.on_time.items():
        measures[f"kept:{clock}" if kept else f"late:{clock}"] = 1
    tier_now = case.closing_tier or case.tier if closed else case.tier
    keys: dict[str, str] = {
        "tier": tier_now.value if tier_now else NO_TIER,
        "track": case.track,
        "channel": case.channel,
        "kind": case.kind,
        "urgency": case.urgency,
        "category": case.category or NO_CATEGORY,
        "division": division_of(case),
    }
    return Contribution(keys, measures)


def division_of(case: CaseSnapshot) -> str:
    """The division that counts a case: the smallest one known.

    A restricted case and a matter of sensitivity 2 count in their district and nowhere below:
    whoever watches the figures of a grid could else tell whose matter it is. [ours]
    """
    sensitive = case.restricted or case.sensitivity >= 2
    return case.place[:6] if sensitive and case.place != CITY else case.place


def standing_of(case: CaseSnapshot) -> Standing:
    """Where the case stands; reopened, it is in hand again and nothing of its closing counts."""
    match case.stage:
        case "registered":
            return "waiting"
        case "assigned" | "signed" | "resolved":
            return "in_hand"
        case "handed_off":
            return "handed_off"
        case "closed":
            return closing_of(case)
        case _:
            assert_never(case.stage)


def closing_of(case: CaseSnapshot) -> Standing:
    """How a closed case ended. [city] Beijing 32 names the rates; the formulas are ours.

    Solved in the grid: the grid is the highest tier it ever had, and the tier that closed it, so
    nobody else led it (policy `rates.in_grid`). Answered questions (track consult) and hand-offs
    are no part of that rate and stand apart.
    """
    match case.outcome:
        case "handed_off":
            return "handed_off"
        case None:
            return "closed_otherwise"
        case "solved" if case.track == "consult":
            return "consult_answered"
        case "solved":
            in_grid = case.highest_tier is Tier.GRID and case.closing_tier is Tier.GRID
            return "solved_in_grid" if in_grid else "solved_higher"
        case _:
            assert_never(case.outcome)


class Said(NamedTuple):
    """A snapshot and its place among those of its case."""

    order: Order
    case: CaseSnapshot


def newest(said: Iterable[tuple[UUID, Said]]) -> dict[UUID, Said]:
    """The newest snapshot of each case; the greatest (epoch, seq) is the truth."""
    found: dict[UUID, Said] = {}
    for case_id, one in said:
        known = found.get(case_id)
        if known is None or known.order < one.order:
            found[case_id] = one
    return found


Move: TypeAlias = tuple[str, str, str]
"""(measure with its detail, dimension, key)."""


def differences(
    changes: Iterable[tuple[Contribution | None, Contribution]],
) -> Counter[CounterKey]:
    """What these cases change in the counters: (what a case added before, what it adds now)."""
    # Names are put together at the end: the cases of a batch move few counters many times.
    moved: defaultdict[Move, int] = defaultdict(int)
    for old, new in changes:
        for (dimension, key), measures in moves(old, new):
            for measure, n in measures.items():
                moved[measure, dimension, key] += n
    counters: Counter[CounterKey] = Counter()
    for (measure, dimension, key), n in moved.items():
        if n:
            name, _, detail = measure.partition(":")
            counters[f"{name}|{dimension}", f"{key}|{detail}" if detail else key] = n
    return counters


def moves(
    old: Contribution | None, new: Contribution
) -> Iterator[tuple[tuple[str, str], Mapping[str, int]]]:
    """What one case changes under each (dimension, key)."""
    if old is None:
        for place in new.keys.items():
            yield place, new.measures
        return
    every = old.measures | new.measures
    less = {measure: -n for measure, n in old.measures.items()}
    change = {
        measure: n
        for measure in every
        if (n := new.measures.get(measure, 0) + less.get(measure, 0))
    }
    stayed = old.keys.items() & new.keys.items()
    for place in stayed:
        yield place, change
    for place in old.keys.items() - stayed:
        yield place, less
    for place in new.keys.items() - stayed:
        yield place, new.measures


# ---------------------------------------------------------------- what the figures say

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
    tier they left, `reopened` reopenings.
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
    on_time: dict[str, Share]


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
    clocks = sorted({detail for measure, detail in figures if measure in ("kept", "late")})
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
        closed_in_limit=share(closed - n("closed_late"), closed),
        on_time={clock: on_time(figures, clock) for clock in clocks},
    )


def on_time(figures: Figures, clock: str) -> Share:
    """Promises of this clock that were kept, of those that came due or were kept before."""
    kept = figures.get(("kept", clock), 0)
    return share(kept, kept + figures.get(("late", clock), 0))


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
