"""`python -m bench`: what Casegrid carries on this machine, and what it costs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from bench import capacity as capacities
from bench import city as city_run
from bench import lateness as late
from bench import lives as living
from bench import overload as overloading
from bench import overload_report, report
from bench.run import Options, run
from deploy.local.jars import CannotFetch
from deploy.local.processes import AlreadyRuns, DidNotStart, PortTaken
from deploy.local.stack import CommandFailed, Parts

SPLIT: Parts = {"intake": [("http",), ("read", "relay", "consume", "sweep")]}
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback(invoke_without_command=True)
def by_default(context: typer.Context) -> None:
    """Without a command: `load`, with its defaults."""
    if context.invoked_subcommand is None:
        context.invoke(load)


@app.command()
def load(
    rate: Annotated[
        float | None, typer.Option(min=1, help="petitions a second; without it, --ramp")
    ] = None,
    ramp: Annotated[
        bool, typer.Option("--ramp", help="search the highest rate that is kept up (the default)")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=5, max=3600, help="length of the measured load")
    ] = 30.0,
    warmup: Annotated[
        float, typer.Option(min=0, max=600, help="Kafka's JIT needs 30 s before it costs little")
    ] = 30.0,
    data: Annotated[
        Path, typer.Option(help="where the run keeps its files; the last result is last.json")
    ] = Path(".casegrid/bench"),
    split: Annotated[
        bool, typer.Option("--split", help="intake's HTTP in a process of its own")
    ] = False,
) -> None:
    """Petitions a second, accepted to counted, and what one costs; about four minutes.

    Starts a stack of its own at real time (other ports and data than `make run`; safe commits),
    warms it up, searches the highest rate, measures it, then 70 % of it, and stops the stack. The
    load is open: petitions are sent when they are due, and every time counts from then. Every
    petition that was answered with 202 must be found in every stage, once: else the exit code is 1.

    Examples:

        python -m bench load                          the highest rate

        python -m bench load --rate 500 --seconds 60  this rate, for a minute
    """
    if ramp and rate is not None:
        raise typer.BadParameter("--rate and --ramp exclude each other: give one of them")
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    options = Options(rate, seconds, warmup, SPLIT if split else {})
    try:
        result = run(data.resolve(), options, console)
    except (AlreadyRuns, CannotFetch, CommandFailed, DidNotStart, PortTaken) as wrong:
        Console(stderr=True).print(str(wrong), style="red", markup=False)
        raise typer.Exit(2) from wrong
    report.show(result, console)
    (data / "last.json").write_bytes(
        orjson.dumps(report.as_json(result), option=orjson.OPT_INDENT_2)
    )
    if result.complaints:
        raise typer.Exit(1)


@app.command()
def overload(
    rate: Annotated[
        float | None, typer.Option(min=10, help="what is carried; without it, it is searched")
    ] = None,
    seconds: Annotated[int, typer.Option(min=5, max=600, help="of three times as much")] = 30,
    after: Annotated[int, typer.Option(min=10, max=600, help="seconds of half, after it")] = 60,
    fair_seconds: Annotated[int, typer.Option(min=5, help="of each turn with or without")] = 15,
    pairs: Annotated[int, typer.Option(min=1, max=20, help="turns without and with")] = 3,
    warmup: Annotated[float, typer.Option(min=0, max=600)] = 30.0,
    data: Annotated[Path, typer.Option(help="where the run keeps its files")] = Path(
        ".casegrid/bench-overload"
    ),
) -> None:
    """Three times what the machine carries; then one sender floods, and others do not notice.

    Starts a stack of its own, finds what it carries, offers half of it, three times as much and
    half again in one open loop, then lets others send a third of it without and with a sender who
    sends twice as much as is carried. Every petition that was answered with 202 must be found in
    every stage, once: else the exit code is 1. A goal that is missed is printed as missed.

    Example: python -m bench overload --rate 1000
    """
    console = Console(width=None if Console().is_terminal else 160)
    options = overloading.Options(rate, seconds, after, fair_seconds, pairs, warmup)
    try:
        result = overloading.run(data.resolve(), options, console)
    except (AlreadyRuns, CannotFetch, CommandFailed, DidNotStart, PortTaken) as wrong:
        Console(stderr=True).print(str(wrong), style="red", markup=False)
        raise typer.Exit(2) from wrong
    overload_report.show(result, console)
    (data / "last.json").write_bytes(
        orjson.dumps(overload_report.as_json(result), option=orjson.OPT_INDENT_2)
    )
    if result.complaints:
        raise typer.Exit(1)


@app.command()
def lives(
    count: Annotated[int, typer.Option(min=10, max=100_000, help="cases")] = 1_000,
    data: Annotated[Path, typer.Option(help="where the run keeps its files")] = Path(
        ".casegrid/bench-lives"
    ),
) -> None:
    """Whole lives of twelve events a second, through the router's handlers, and their bytes.

    Example:

        python -m bench lives --count 2000
    """
    done = asyncio.run(living.live(data, count))
    if done.refused or done.events != 12 * done.lives:
        typer.echo(f"{done.refused} commands were refused, {done.events} events said", err=True)
        raise typer.Exit(1)
    typer.echo(
        f"{done.per_second:,.1f} lives a second ({done.events / done.seconds:,.0f} events);"
        f" an event has {done.event_bytes:,.0f} bytes ({done.opened_bytes:,.0f} when opened,"
        f" {done.largest_bytes:,} at most), a step of the history {done.history_bytes:,.0f}"
    )


@app.command()
def capacity(
    only_page: Annotated[
        bool, typer.Option("--page", help="measure nothing; write the page from the kept figures")
    ] = False,
    rate: Annotated[float, typer.Option(min=10, help="petitions a second")] = 400.0,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="of the measured load")] = 30.0,
    warmup: Annotated[float, typer.Option(min=0, max=600)] = 30.0,
    count: Annotated[int, typer.Option(min=10, help="whole lives")] = 600,
    data: Annotated[Path, typer.Option(help="where the run keeps its files")] = Path(
        ".casegrid/bench-capacity"
    ),
) -> None:
    """What a district, a city and a nation need, from what one petition costs here.

    Writes docs/capacity.json, with the date and the machine, and docs/capacity.md. A petition costs
    most at a low rate, for batches are small then; 400 a second is a third of what two cores carry.

    Example: python -m bench capacity --page
    """
    if not only_page:
        try:
            capacities.keep(capacities.measure(data, rate, seconds, warmup, count))
        except (AlreadyRuns, CannotFetch, CommandFailed, DidNotStart, PortTaken) as wrong:
            Console(stderr=True).print(str(wrong), style="red", markup=False)
            raise typer.Exit(2) from wrong
    capacities.write_page()
    typer.echo("docs/capacity.md is written")


@app.command()
def lateness(
    rate: Annotated[float, typer.Option(min=1, help="petitions a second")] = 50.0,
    seconds: Annotated[float, typer.Option(min=10, max=3600)] = 120.0,
    speed: Annotated[float, typer.Option(min=1, help="of promise time")] = 720.0,
    data: Annotated[Path, typer.Option(help="where the run keeps its files")] = Path(
        ".casegrid/bench-lateness"
    ),
) -> None:
    """How late broken promises are found while petitions keep coming and nobody works.

    Starts a stack of its own with promise time sped up, so that hours become seconds. The exit code
    is 1 if fewer than 99 of 100 broken promises were found within a second of the wall.

    Example:

        python -m bench lateness --rate 50
    """
    console = Console(width=None if Console().is_terminal else 160)
    try:
        found = late.run(data.resolve(), rate, seconds, speed, console)
    except (AlreadyRuns, CannotFetch, CommandFailed, DidNotStart, PortTaken) as wrong:
        Console(stderr=True).print(str(wrong), style="red", markup=False)
        raise typer.Exit(2) from wrong
    late.show(found, console)
    if not found.kept:
        raise typer.Exit(1)


@app.command()
def city(
    messages: Annotated[Path, typer.Option(exists=True, help="petitions, NDJSON")],
    divisions: Annotated[Path, typer.Option(exists=True, help="the city's divisions, CSV")],
    places: Annotated[Path, typer.Option(exists=True, help="its gazetteer, CSV")],
    data: Annotated[Path, typer.Option(help="where the run keeps its files")] = Path(
        ".casegrid/bench-city"
    ),
) -> None:
    """Send a file of petitions through a fresh stack and print where each one went.

    Example:

        python -m bench city --messages ../shared/data/messages.ndjson
        --divisions ../shared/data/city_a_divisions.csv --places ../shared/data/city_a_places.csv
    """
    console = Console(width=None if Console().is_terminal else 160)
    files = city_run.Files(messages, divisions, places)
    city_run.show(city_run.run(files, data.resolve(), console), console)


if __name__ == "__main__":
    app()
