"""What one case adds to the figures. Pure.

A case has one key in each dimension, so the groups of any dimension add up to the whole city. A
counter is named `measure|dimension`; its key is the dimension's key, and `key|detail` where the
measure has details (the clock of `kept`, `late` and `overdue`, the tier of `promoted`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias, assert_never, get_args
from uuid import UUID

import orjson

from shared.divisions import CITY, Tier
from shared.events import CaseSnapshot, Order, Track, promise_of

Standing = Literal[
    "waiting", "in_hand",
    "solved_in_grid", "solved_higher", "consult_answered", "handed_off", "closed_otherwise",
]  # fmt: skip
"""Where a case stands; each case in one of them."""

Closing = Literal["closed_in_limit", "closed_late", "closed_without_limit"]
"""How a closed case stands to its limit; each closed case in one of them."""

MEASURES = (
    *get_args(Standing), *get_args(Closing), "promoted", "reopened", "kept", "late", "overdue",
)  # fmt: skip
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
    """A contribution as the table kept it, perhaps by another version with other dimensions.

    What a newer one keeps beside is its own: the next snapshot of the case says all of it again.
    """
    return Contribution._make(orjson.loads(packed)[: len(Contribution._fields)])


def contribution(case: CaseSnapshot, at: datetime) -> Contribution:
    """What this snapshot of a case, made at `at` (promise time), adds to the figures."""
    measures: dict[str, int] = {standing_of(case): 1}
    closed = case.stage in ("closed", "handed_off")
    if closed:
        measures[limit_of(case)] = 1
    if case.reopened:
        measures["reopened"] = case.reopened
    for tier, times in case.promotions.items():
        measures[f"promoted:{tier.value}"] = times
    for clock, verdict in verdicts(case, at).items():
        measures[f"{verdict}:{clock}"] = 1
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


def limit_of(case: CaseSnapshot) -> Closing:
    """Whether a closed case kept the limit of its track; one whose limit never ran did neither."""
    match case.on_time.get(LIMIT_OF[case.track]):
        case True:
            return "closed_in_limit"
        case False:
            return "closed_late"
        case None:
            return "closed_without_limit"


Verdict: TypeAlias = Literal["kept", "late", "overdue"]


def verdicts(case: CaseSnapshot, at: datetime) -> dict[str, Verdict]:
    """Of each promise of a case that was tested, whether it was kept; broken once is broken.

    Overdue: it still ran at `at`, past its time. A right that lapses is nobody's promise.
    """
    passed = (at - case.started_at) // timedelta(milliseconds=1)
    found: dict[str, Verdict] = {
        clock: "kept" if kept else "late" for clock, kept in case.on_time.items()
    }
    for clock in case.clocks:
        promise = clock.on_breach not in ("lapse", "none")
        past = clock.due < passed and not clock.paused
        if promise and past and found.get(promise_of(clock.name)) != "late":
            found[promise_of(clock.name)] = "overdue"
    return found


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
    """A snapshot, its place among those of its case, and when it was made (promise time)."""

    order: Order
    case: CaseSnapshot
    at: datetime


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
