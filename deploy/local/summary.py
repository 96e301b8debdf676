"""The live summary in the terminal, and its one line where there is no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from deploy.local.crew import Work
from deploy.local.figures import Figures, ServiceRow
from deploy.local.stack import Stack
from deploy.local.submitting import Submitted
from shared.divisions import CITY, Tier

BEIJING = timezone(timedelta(hours=8))
NAMES = {
    Tier.GRID.value: "grid 网格",
    Tier.COMMUNITY.value: "community 社区",
    Tier.STREET.value: "street 街道",
    Tier.DISTRICT.value: "district 区",
    CITY: "city desk 市级派单",
}
STATES = {None: "[red]no answer[/]", 1.0: "[green]ready[/]", 0.5: "[yellow]degraded[/]"}
REASONS = {"warning": "warnings", "reminder": "reminders", "supervision": "supervisions"}


def speed_words(speed: float) -> str:
    """How fast promises run, for a person."""
    if speed == 1:
        return "promises run in real time"
    number, unit = 3600 / speed, "second"
    if number >= 120:
        number, unit = number / 60, "minute"
    return f"1 hour of promise time passes in {number:.3g} {unit}{'' if number == 1 else 's'}"


def shown(moment: datetime) -> str:
    """A promise time as the city's clocks show it."""
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %a %H:%M}"


def seconds(number: float | None) -> str:
    """A waiting time."""
    return "–" if number is None else f"{number:.2f} s"


# ---------------------------------------------------------------- the live picture


def picture(
    stack: Stack, figures: Figures, submitted: Submitted, work: Work | None
) -> RenderableType:
    """Everything at a glance."""
    time = Text.assemble(
        ("promise time ", "bold"),
        (shown(stack.promise_time.clock.now()), "bold cyan"),
        f"  ({speed_words(stack.promise_time.speed)})",
    )
    return Group(
        time,
        "",
        tier_table(figures),
        "",
        promise_line(figures),
        flow_line(figures, submitted),
        Text(f"crew: {work_words(work)}"),
        "",
        service_table(stack, figures.services),
        newest_line(stack, submitted),
    )


def tier_table(figures: Figures) -> Table:
    """Who holds what."""
    table = Table(box=None, header_style="bold")
    table.add_column("queues")
    for name in ("open", "at desk", "unsigned", "signed", "resolved", "due ≤1 h", "overdue", "up"):
        table.add_column(name, justify="right")
    for row in figures.tiers:
        numbers = (row.open, row.waiting, row.unsigned, row.signed, row.resolved, row.due_soon)
        overdue = f"[red]{row.overdue:,}[/]" if row.overdue else "0"
        table.add_row(NAMES[row.tier], *(f"{n:,}" for n in numbers), overdue, f"{row.promoted:,}")
    return table


def promise_line(figures: Figures) -> Text:
    """Warned, promoted, supervised."""
    warned = ", ".join(f"{figures.notices.get(key, 0):,} {word}" for key, word in REASONS.items())
    return Text(
        f"overdue {figures.overdue:,} · promoted {figures.promoted:,}"
        f" · supervised {figures.orders.get('supervise', 0):,}"
        f" · closed {closed_words(figures)}\n"
        f"orders stale {figures.stale:,}, unanswered {figures.unanswered:,}"
        f" · notices nobody acknowledged: {warned}"
    )


def flow_line(figures: Figures, submitted: Submitted) -> Text:
    """What flows."""
    topics = " · ".join(f"{topic} {n:.1f}" for topic, n in figures.events.items())
    return Text(
        f"events/s: {topics}\n"
        f"petitions/s {figures.accepted:.1f}, accept to routed p50"
        f" {seconds(figures.routed[0.5])}, p99 {seconds(figures.routed[0.99])}"
        f" · samples: {samples_words(submitted)}"
    )


def samples_words(submitted: Submitted) -> str:
    """What became of the samples."""
    refused = "".join(f", {n} refused with {code}" for code, n in submitted.refused.items())
    again = f", {submitted.tried_again} tries repeated" if submitted.tried_again else ""
    return f"{submitted.accepted:,} accepted{refused}{again}"


def closed_words(figures: Figures) -> str:
    """How many are done, and how many of those that were solved never left the grid."""
    if figures.solved_in_grid != figures.solved_in_grid:  # NaN: none is solved yet
        return f"{figures.closed:,}"
    return f"{figures.closed:,} ({figures.solved_in_grid:.0%} of the solved in the grid)"


def work_words(work: Work | None) -> str:
    """What the crew did."""
    if work is None:
        return "off"
    done = ", ".join(f"{n:,} {name}" for name, n in work.done.most_common()) or "nothing yet"
    refused = "".join(f", {n:,} refused with {code}" for code, n in work.refused.items())
    return done + refused


def service_table(stack: Stack, rows: Sequence[ServiceRow]) -> Table:
    """How the services are, and where."""
    table = Table(box=None, header_style="bold")
    for name in ("service", "state", "API page"):
        table.add_column(name)
    for name in ("outbox", "lag", "parked"):
        table.add_column(name, justify="right")
    for row in rows:
        lag = f"{row.lag_records:,} / {row.lag_seconds:.1f} s"
        state = STATES.get(row.ready, "?")
        url = f"{stack.url(row.name)}/docs"
        table.add_row(row.name, state, url, f"{row.outbox:,}", lag, f"{row.parked:,}")
    return table


def newest_line(stack: Stack, submitted: Submitted) -> Text:
    """A receipt to look at."""
    if submitted.newest is None:
        return Text("")
    receipt = f"{stack.url('intake')}{submitted.newest}"
    return Text(f"the newest receipt: curl '{receipt}'", no_wrap=True, overflow="fold")


# ---------------------------------------------------------------- without a terminal


def line(stack: Stack, figures: Figures, submitted: Submitted, work: Work | None) -> str:
    """The same in one line."""
    tiers = " · ".join(f"{row.tier} {row.open:,}" for row in figures.tiers)
    events = " · ".join(f"{topic} {n:.1f}" for topic, n in figures.events.items())
    unwell = [row.name for row in figures.services if row.ready != 1]
    warned = ", ".join(f"{figures.notices.get(key, 0):,} {word}" for key, word in REASONS.items())
    return (
        f"{shown(stack.promise_time.clock.now())} | open {figures.open:,} ({tiers})"
        f" | overdue {figures.overdue:,}, promoted {figures.promoted:,},"
        f" supervised {figures.orders.get('supervise', 0):,}, {warned}"
        f" | samples {samples_words(submitted)}, routed p50 {seconds(figures.routed[0.5])},"
        f" p99 {seconds(figures.routed[0.99])}"
        f" | closed {closed_words(figures)} | crew {work_words(work)}"
        f" | events/s {events}"
        f" | outbox {sum(row.outbox for row in figures.services):,},"
        f" lag {max(row.lag_seconds for row in figures.services):.1f} s,"
        f" parked {sum(row.parked for row in figures.services):,}"
        + (f" | not ready: {', '.join(unwell)}" if unwell else "")
    )


# ---------------------------------------------------------------- said once


def welcome(stack: Stack) -> str:
    """What to do with a stack that is up (rich markup)."""
    intake, router = stack.url("intake"), stack.url("router")
    settings = stack.data_dir / "router.env"
    return f"""
[bold]hand in a petition[/]
  curl -s {intake}/petitions -H 'content-type: application/json' \\
    -d '{{"kind":"report","channel":"web","text":"沙河口区马栏街道路灯坏了三天"}}'
[bold]look at a queue as an officer[/] (the key of the tokens: {escape(str(stack.secret_file))})
  . {escape(str(settings))}
  curl -s {router}/queues/210204008 -H "authorization: Bearer $(
    .venv/bin/casegrid token --role street_dispatcher --division 210204008)"
[bold]metrics[/] {" ".join(f"{stack.url(name)}/metrics" for name in ("intake", "router"))}
        {" ".join(f"{stack.url(name)}/metrics" for name in ("escalation", "analytics"))}
[bold]logs[/]    {escape(str(stack.data_dir / "logs"))}
[bold]stop[/]    Ctrl-C; the data stays in {escape(str(stack.data_dir))}
"""
