"""What a run found, as one table for people and as JSON for later runs."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.costs import SERVICES, total
from bench.ledger import ACCEPTED, NO_ANSWER, NOT_SENT
from bench.phases import Phase
from bench.run import PROMISED_P99, Result

GOAL = 1460
FIRST_LANDING = 800
QUIET = 0.15
"""Of the machine's CPU, what the kernel itself takes and a run may leave to others."""
WORDS = {NO_ANSWER: "no answer", NOT_SENT: "could not be sent"}
Row = tuple[str, str, str]


def show(result: Result, console: Console) -> None:
    """Print the table; plain columns where there is no terminal."""
    table = Table(box=box.SIMPLE_HEAVY if console.is_terminal else None, show_header=False)
    for _ in range(3):
        table.add_column()
    for title, rows in sections(result).items():
        table.add_row(f"[bold]{title}[/bold]" if console.is_terminal else title.upper())
        for row in rows:
            table.add_row("  " + row[0], *row[1:])
        table.add_section()
    console.print(table)
    for complaint in result.complaints:
        console.print(f"WRONG: {complaint}", style="bold red")
    if not result.complaints:
        console.print("Nothing lost, nothing doubled.", style="green")


def sections(result: Result) -> dict[str, list[Row]]:
    """The rows of the table by section."""
    return {
        "Petitions a second, accepted → read → routed → armed → counted": figure(result),
        "Time": times(result),
        "Promises": promises(result),
        "CPU of one petition": cpu(result),
        "Memory": memory(result),
        "Counters": counters(result),
        "The raw limit of this machine, in this run": limits(result),
    }


def figure(result: Result) -> list[Row]:
    """The figure that counts."""
    full = result.full
    rate = full.accepted / full.seconds
    verdict = "kept up" if full.kept_up else "NOT kept up: a lower rate is the figure"
    drained = "never" if full.drained is None else f"{full.drained:.1f} s after the last request"
    p99 = result.routed["calm"].p99
    promise = "kept" if p99 <= PROMISED_P99 else "NOT kept"
    busy = result.costs.other_cpu_share > QUIET
    share = f"{result.costs.other_cpu_share:.0%}"
    tried = ", ".join(f"{t.rate:.0f}{'' if t.kept_up else '✗'}" for t in result.trials)
    return [
        ("sustained", f"{rate:,.0f}/s", f"for {full.seconds:.0f} s: {verdict}"),
        ("through", drained, f"at most {full.backlog:,} on their way"),
        ("accept to routed, p99 at 70 %", ms(p99), f"promised {ms(PROMISED_P99)}: {promise}"),
        ("goal", f"{GOAL:,}/s", f"first landing {FIRST_LANDING}/s"),
        *([("NOT ALONE", share, "of the machine's work was others': times are too long")] * busy),
        *([("rates tried", tried, "✗ not kept up")] if tried else []),
    ]


def times(result: Result) -> list[Row]:
    """How long residents and offices wait, from the moment each request was due."""
    rows: list[Row] = []
    for name, phase in (("full", result.full), ("calm", result.calm)):
        at = f"at {phase.rate:,.0f}/s"
        routed, said = result.routed[name], result.published[name]
        rows += [
            (
                f"answer, {at}",
                both(phase.http.p50, phase.http.p99),
                f"worst {ms(phase.http.worst)}",
            ),
            (f"routed, {at}", both(routed.p50, routed.p99), f"worst {ms(routed.worst)}"),
            (f"case on Kafka, {at}", both(said.p50, said.p99), f"worst {ms(said.worst)}"),
        ]
    late = max(result.full.late_p99, result.calm.late_p99)
    rows.append(("the generator sent late by", ms(late), "p99; is part of all times above"))
    return rows


def promises(result: Result) -> list[Row]:
    """What clients were told, and what every stage holds of it."""
    said = result.promised
    told = ", ".join(
        f"{n:,} {WORDS.get(status, str(status))}"
        for status, n in sorted(said.statuses.items())
        if status != ACCEPTED
    )
    rows = [("told 202", f"{said.statuses[ACCEPTED]:,}", told or "nothing else")]
    for verdict in result.verdicts:
        found = len(said.ids) - verdict.lost
        wrong = f"{verdict.lost} lost, {verdict.doubled} doubled"
        rows.append((verdict.stage, f"{found:,}", wrong))
    return rows


def cpu(result: Result) -> list[Row]:
    """Microseconds by process."""
    used = result.costs.cpu_us
    names = [*(n for n in used if not n.startswith("postgres")), "postgres"]
    order = sorted(names, key=lambda n: (not n.startswith(SERVICES), n == "generator", n))
    whole = sum(used.values())
    rows: list[Row] = []
    for name in order:
        if name == "postgres":
            of = ", ".join(
                f"{n.removeprefix('postgres: ')} {used[n]:.0f}"
                for n in sorted(used, key=lambda n: -used[n])
                if n.startswith("postgres") and used[n] >= 1
            )
            rows.append((name, f"{total(used, ['postgres']):.0f} µs", of))
        else:
            rows.append((name, f"{used[name]:.0f} µs", f"{used[name] / whole:.0%}"))
    other = f"the kernel and other programs had {result.costs.other_cpu_share:.0%} of all work"
    return [*rows, ("all", f"{whole:.0f} µs", other)]


def memory(result: Result) -> list[Row]:
    """Resident memory after the measured load."""
    return [
        (
            name,
            f"{m.pss / 1e6:.0f} MB",
            f"resident {m.rss / 1e6:.0f} MB, shared pages counted twice",
        )
        if name == "postgres"
        else (name, f"{m.pss / 1e6:.0f} MB", f"resident {m.rss / 1e6:.0f} MB")
        for name, m in result.memory.items()
    ]


def counters(result: Result) -> list[Row]:
    """Counters that hardly depend on how busy the machine is."""
    spent = result.costs
    rows: list[Row] = [
        (f"in one transaction, {name}", f"{size:.1f}", "petitions or events")
        for name, size in spent.batches.items()
    ]
    for name, commits in spent.commits.items():
        each = f"{commits:.3f} commits, {spent.rows_per_commit[name]:.0f} rows in each"
        rows.append(
            (
                f"database {name}",
                f"{spent.rows[name]:.1f} rows",
                f"a petition; {each}",
            )
        )
    rows += [
        ("WAL", f"{spent.wal_bytes:,.0f} B", "a petition"),
        ("database files", f"{spent.database_bytes:,.0f} B", "a petition"),
    ]
    rows += [
        (f"{topic} on disk", f"{size:,.0f} B", "a petition, compressed")
        for topic, size in spent.kafka_bytes.items()
        if size
    ]
    for topic, said in result.topics.items():
        n = max(1, said.records)
        value, whole = said.value_bytes / n, said.bytes / n
        rows.append((f"{topic} record", f"{value:,.0f} B", f"{whole:,.0f} B with headers"))
    return rows


def limits(result: Result) -> list[Row]:
    """Beside the figure: what the machine does with nothing in between."""
    rate = result.full.accepted / result.full.seconds
    return [
        (
            limit.name,
            f"{limit.per_second:,.0f}/s",
            f"{limit.mb_per_second:.1f} MB/s, {limit.per_second / max(1.0, rate):.0f} × the figure",
        )
        for limit in result.limits
    ]


def ms(seconds: float) -> str:
    """Milliseconds for people."""
    return f"{seconds * 1000:,.0f} ms"


def both(p50: float, p99: float) -> str:
    """The usual and the bad."""
    return f"p50 {ms(p50)}, p99 {ms(p99)}"


def as_json(result: Result) -> dict[str, Any]:
    """The run for later comparison."""
    full = result.full
    return {
        "sustained_per_second": full.accepted / full.seconds,
        "kept_up": full.kept_up,
        "trials": [trial._asdict() for trial in result.trials],
        "phases": {name: phase_json(p) for name, p in (("full", full), ("calm", result.calm))},
        "routed": {name: times._asdict() for name, times in result.routed.items()},
        "published": {name: times._asdict() for name, times in result.published.items()},
        "promises": {str(status): n for status, n in result.promised.statuses.items()},
        "stages": [verdict._asdict() for verdict in result.verdicts],
        "complaints": result.complaints,
        "costs": {name: getattr(result.costs, name) for name in result.costs.__slots__},
        "memory": {name: m._asdict() for name, m in result.memory.items()},
        "record_bytes": {
            topic: {"value": said.value_bytes, "whole": said.bytes, "records": said.records}
            for topic, said in result.topics.items()
        },
        "raw_limit": [limit._asdict() for limit in result.limits],
    }


def phase_json(phase: Phase) -> dict[str, Any]:
    """A load without its ledger."""
    return {
        "rate": phase.rate,
        "seconds": phase.seconds,
        "accepted": phase.accepted,
        "drained": phase.drained,
        "backlog": phase.backlog,
        "http": phase.http._asdict(),
        "late_p99": phase.late_p99,
    }
