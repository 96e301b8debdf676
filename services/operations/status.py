"""`casegrid status`: the four services on one screen."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import orjson
import typer
from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.operations.looking import CitySight, ServiceSight, look
from services.operations.places import Place, places
from shared.command import console, run


def status(
    watch: Annotated[
        float | None, typer.Option(min=0.5, help="look again after so many seconds; Ctrl-C ends")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="all of it, one JSON object a look")] = False,
) -> None:
    """How the city is: who is ready or why not, what waits and since when, what is due next.

    Services are asked over HTTP, their tables and the broker besides: so a service that is down is
    still seen by what waits for it. `?` is what could not be asked; it is never shown as 0. Of
    several processes one answers: state, lag and queues are what it says.

    Ends with 0 when there is nothing to look at, with 1 when there is: a service that is not ready,
    something parked, and whatever is older than the alert of its kind allows: an event unsaid, a
    service behind, a petition unread or unrouted, a promise due and not fired, an order unanswered,
    a queue that is stuck, a census. Promises that are overdue are shown, and are no reason by
    themselves: they were fired, and whose they are knows it.

    Examples:

    casegrid status

    casegrid status --watch 2

    casegrid status --json
    """
    there = places()
    if watch is None:
        seen = run(look(there))
        show(seen, as_json=json)
        raise typer.Exit(1 if seen.wants else 0)
    keep_watching(there, watch, as_json=json)


def keep_watching(there: list[Place], seconds: float, *, as_json: bool) -> None:
    """Again and again, until Ctrl-C."""
    try:
        if as_json or not console.is_terminal:
            while True:
                show(run(look(there)), as_json=as_json)
                time.sleep(seconds)
        with Live(console=console, screen=True) as live:
            while True:
                live.update(screen(run(look(there))))
                time.sleep(seconds)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def show(seen: CitySight, *, as_json: bool) -> None:
    """Once."""
    if as_json:
        whole = asdict(seen) | {"wants": seen.wants}
        typer.echo(orjson.dumps(whole).decode())
    else:
        console.print(screen(seen))


def screen(seen: CitySight) -> RenderableType:
    """All of it."""
    wants = seen.wants
    said = "\n".join(f"! {line}" for line in wants) if wants else "nothing to look at"
    return Group(
        Text(f"casegrid · {moment(seen.at)} · promise time {moment(seen.now)}"),
        service_table(seen),
        Text(promises(seen)),
        queue_table(seen),
        Text(said, style="bold red" if wants else "bold green"),
    )


def service_table(seen: CitySight) -> Table:
    """One line a service."""
    table = Table(box=box.SIMPLE)
    for name in ("service", "state"):
        table.add_column(name)
    for name in ("lag", "records behind", "unsaid", "oldest", "parked", "last census"):
        table.add_column(name, justify="right")
    for one in seen.services:
        table.add_row(*cells(one))
    return table


def cells(one: ServiceSight) -> tuple[str, ...]:
    """A service's line."""
    return (
        one.name,
        one.state if (one.processes or 0) < 2 else f"{one.state} (one of {one.processes})",
        seconds(one.lag_seconds),
        number(one.behind),
        number(one.unsaid),
        seconds(one.unsaid_seconds),
        number(one.parked),
        "" if one.census_seconds is None else f"{seconds(one.census_seconds)} ago",
    )


def promises(seen: CitySight) -> str:
    """What is due, and what waits for an answer."""
    due = "nothing is armed" if seen.due_next is None else moment(seen.due_next)
    if seen.overdue is None:
        due = "?"
    return (
        f"next due {due} · overdue {number(seen.overdue)}"
        f" · due within the hour {number(seen.due_within_hour)}"
        f" · orders unanswered {number(seen.orders_unanswered)}"
        f" (oldest {seconds(seen.oldest_order_seconds)})\n"
        f"unread {number(seen.unread)} (oldest {seconds(seen.oldest_unread_seconds)})"
        f" · oldest unrouted {seconds(seen.oldest_unrouted_seconds)}"
    )


def queue_table(seen: CitySight) -> Table:
    """The stuck queues in which something waits, or of which nothing is known."""
    table = Table("queue", "waits", "oldest", "whose it is", "what waits", box=box.SIMPLE)
    for queue in seen.queues:
        if queue.n != 0:
            oldest = "" if queue.oldest is None else seconds(queue.oldest)
            table.add_row(queue.name, number(queue.n), oldest, queue.owner, queue.holds)
    return table


def number(n: int | None) -> str:
    """For people; `?` of what could not be asked."""
    return "?" if n is None else f"{n:,}"


def seconds(n: float | None) -> str:
    """How long, for people."""
    if n is None:
        return "?"
    if n < 120:
        return f"{n:.0f} s"
    return f"{n / 60:.0f} min" if n < 7200 else f"{n / 3600:.0f} h"


def moment(at: datetime) -> str:
    """A moment, UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}"
