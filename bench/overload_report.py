"""What an overload run found, for people and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.curves import REFUSED, bars
from bench.ledger import ACCEPTED, Latencies, Told
from bench.overload import Fair, Overload, Result
from bench.report import WORDS, both, ms

GOODPUT = 0.8
"""Of what is carried, accepted in the mean of an overload [ours]: the rest is what a refusal and
the generator cost."""

QUICK = 0.5
"""A refusal at p99, in seconds [ours]."""

RECOVERY_SECONDS = 60
FAIR = 1.2
Row = tuple[str, str, str]


def show(result: Result, console: Console) -> None:
    """Print the figures and whether each goal was met."""
    table = Table(box=None, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for row in (*overloaded(result), *fairly(result.fair), *kept(result)):
        table.add_row(*row)
    console.print(table)
    for complaint in result.complaints:
        console.print(f"WRONG: {complaint}", style="bold red")
    if not result.complaints:
        console.print("Nothing lost, nothing doubled.", style="green")


def verdict(met: bool, goal: str) -> str:
    """A goal, and whether it was met."""
    return f"goal {goal}: {'passed' if met else 'MISSED'}"


def overloaded(result: Result) -> list[Row]:
    """Three times what is carried."""
    over, carried = result.overload, result.carried
    good = over.goodput
    mean = sum(good) / len(good)
    tried = ", ".join(f"{t.rate:.0f}{'' if t.kept_up else '✗'}" for t in result.trials)
    back = "never" if over.recovered is None else f"{over.recovered} s"
    behind = "not while it was looked" if over.behind is None else f"{over.behind:.1f} s"
    most = max(one.n for one in over.backlog)
    met = over.recovered is not None and over.recovered < RECOVERY_SECONDS
    told = shares(over.statuses)
    share = over.generator_cpu / (len(over.before) + len(over.during) + len(over.after))
    return [
        ("carried", f"{carried:,.0f}/s", tried),
        ("offered", f"{over.rate:,.0f}/s", f"for {len(good)} s, by many senders; {told}"),
        ("accepted", f"{mean:,.0f}/s", f"{mean / carried:.0%} of what is carried; "
         + verdict(mean >= GOODPUT * carried, f"{GOODPUT:.0%}")),
        ("by the second", f"{min(good)}–{max(good)}", curve(over)),
        ("202 waited", both(over.accepted.p50, over.accepted.p99), worst(over.accepted)),
        ("429 and 503 waited", both(over.refused.p50, over.refused.p99),
         verdict(over.refused.p99 <= QUICK, f"p99 {ms(QUICK)}")),
        ("well again after", back,
         f"p99 as before ({ms(over.normal_p99)}) and none refused; "
         + verdict(met, f"{RECOVERY_SECONDS} s")),
        ("stages behind well after", behind, f"at most {most:,} under way"),
        ("the generator", f"{share:.0%} of a core",
         f"shares the machine; sent late by {ms(over.late_p99)} at p99, part of all times"),
    ]  # fmt: skip


def said(told: Iterable[Told]) -> str:
    """What these were told."""
    return shares(Counter(one.status for one in told))


def shares(statuses: Mapping[int, int]) -> str:
    """How many of each answer."""
    all_ = max(1, sum(statuses.values()))
    return ", ".join(
        f"{WORDS.get(status, str(status))} {n:,} ({n / all_:.0%})"
        for status, n in sorted(statuses.items())
    )


def curve(over: Overload) -> str:
    """Accepted a second, before, during and after."""
    most = max(one.accepted for one in (*over.before, *over.during, *over.after))
    parts = (over.before, over.during, over.after)
    return "|".join(bars([one.accepted for one in part], most) for part in parts)


def worst(times: Latencies) -> str:
    """The longest of them."""
    return f"worst {ms(times.worst)}"


def fairly(fair: Fair) -> list[Row]:
    """The others without and with one who floods."""
    alone, crowded = fair.without.times, fair.flooded.times
    flood = fair.flooded.flood
    refused = sum(one.status in REFUSED for one in flood)
    accepted = sum(one.status == ACCEPTED for one in flood)
    rows = [
        ("others alone", both(alone.p50, alone.p99),
         f"{alone.n:,} sent; {said(fair.without.others)}"),
        ("others beside the flood", both(crowded.p50, crowded.p99),
         f"{crowded.n:,} sent; {said(fair.flooded.others)}"),
        ("the flood", f"{accepted:,} accepted", f"{refused:,} refused, of {len(flood):,}; its"
         f" generator took {fair.cpu['flood']:.1f} s of CPU, which the others lack too"),
    ]  # fmt: skip
    for which in ("p50", "p99"):
        ratio = fair.ratio(which)
        rows.append(
            (f"flooded / alone, {which}", f"{ratio:.2f}", verdict(ratio <= FAIR, f"{FAIR}"))
        )
    return rows


def kept(result: Result) -> list[Row]:
    """Promises in all stages."""
    said = result.promised
    lost = sum(verdict.lost for verdict in result.verdicts)
    doubled = sum(verdict.doubled for verdict in result.verdicts)
    stages = len(result.verdicts)
    return [
        ("told 202", f"{len(said.ids):,}", f"{lost} lost, {doubled} doubled, at {stages} stages")
    ]


def as_json(result: Result) -> dict[str, Any]:
    """The run for later comparison."""
    over, fair = result.overload, result.fair
    return {
        "carried": result.carried,
        "trials": [trial._asdict() for trial in result.trials],
        "overload": {
            "offered": over.rate,
            "statuses": {str(status): n for status, n in over.statuses.items()},
            "accepted": over.accepted._asdict(),
            "refused": over.refused._asdict(),
            "recovered": over.recovered,
            "behind": over.behind,
            "late_p99": over.late_p99,
            "curve": [one._asdict() for one in (*over.before, *over.during, *over.after)],
            "backlog": [one._asdict() for one in over.backlog],
        },
        "fair": {
            "alone": fair.without.times._asdict(),
            "flooded": fair.flooded.times._asdict(),
            "ratio": {which: fair.ratio(which) for which in ("p50", "p99")},
            "refused_alone": fair.without.refused,
            "refused_flooded": fair.flooded.refused,
        },
        "stages": [verdict._asdict() for verdict in result.verdicts],
        "complaints": result.complaints,
    }
