"""`python -m tests.faults`: real processes are killed and frozen under load; is anything lost?"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from deploy.local.jars import cache_directory, kafka_jars
from tests.faults.campaign import Campaign, Row, details, keep, table
from tests.faults.faults import FAULTS
from tests.servers import ROOT

HOME = ROOT / ".casegrid" / "chaos"
console = Console(width=None if Console().is_terminal else 150)
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    minutes: Annotated[
        float, typer.Option(min=0.1, help="how long each fault lasts that is done again and again")
    ] = 1.0,
    only: Annotated[
        list[str] | None,
        typer.Option(help="only faults whose names begin so; may be given several times"),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="say what there is, and end")] = False,
    rate: Annotated[float, typer.Option(min=1, help="petitions a second")] = 25.0,
    old: Annotated[
        str | None, typer.Option(help="revision of the older version; else the last that landed")
    ] = None,
    seed: Annotated[int, typer.Option(help="of what is drawn: targets, rests, petitions")] = 1,
) -> None:
    """Break a town in every way that there is, and count what was lost or doubled.

    A town is PostgreSQL, Kafka and the four services as processes of their own, on other ports and
    data than `make run`; an hour of promises passes in five seconds. Residents and officers send
    petitions, supplements and commands under keys all the time, some of them several times at
    once, and again after no answer. After each fault the town comes to rest, and every answer is
    held against every database and topic. Anything lost, doubled or out of step: exit code 1.

    The result is kept in .casegrid/chaos/last.json; of a town that broke, its data and its book.

    Examples:

        python -m tests.faults --list                       what is done, by name

        python -m tests.faults --only kill-router           one fault

        python -m tests.faults --only kill --minutes 30     the killing for long
    """
    chosen = [f for f in FAULTS if not only or f.name.startswith(tuple(only))]
    if list_ or not chosen:
        for fault in FAULTS if list_ else ():
            console.print(f"{fault.name:34} {fault.about}", markup=False, highlight=False)
        if not chosen:
            console.print(f"no fault begins with {only}; --list names all", style="red")
        raise typer.Exit(0 if chosen else 2)
    kafka_jars(cache_directory())
    campaign = Campaign(HOME, rate, minutes * 60, seed, say, done, old)
    with alone():
        try:
            campaign.run(chosen)
        finally:
            keep(campaign.rows, HOME / "last.json")
            console.print(table(campaign.rows, console))
            details(campaign.rows, console)
    if not all(row.well for row in campaign.rows):
        raise typer.Exit(1)
    console.print("Nothing lost, nothing doubled.", style="green")


@contextmanager
def alone() -> Iterator[None]:
    """A campaign empties its directory at the start: never that of another one."""
    HOME.parent.mkdir(exist_ok=True)
    with HOME.with_suffix(".lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("another run of this command is under way", style="red")
            raise typer.Exit(2) from None
        yield


def say(line: str) -> None:
    """How it goes."""
    console.print(f"  {line}", style="dim", markup=False, highlight=False)


def done(row: Row) -> None:
    """A fault is over."""
    console.print(
        f"{row.fault}: {row.verdict} ({row.injected} times, {row.requests:,} requests,"
        f" {row.unknown:,} unknown, {row.seconds:.0f} s)",
        markup=False,
        highlight=False,
    )


if __name__ == "__main__":
    app()
