"""`python -m tests.simulation`: live through simulated worlds, or through one of them again."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.servers import ROOT
from tests.simulation.campaign import Tally, fresh, resumed
from tests.simulation.campaign import run as run_campaign
from tests.simulation.servers import databases, make_all, postgres
from tests.simulation.shrinking import Shrinking, told
from tests.simulation.world import STEPS, Outcome, Plan, World

FILE = ROOT / ".casegrid" / "simulation" / "campaign.json"
console = Console()
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    seed: Annotated[int | None, typer.Option(help="only this world, told as a story")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="how many worlds")] = 10_000,
    first: Annotated[int, typer.Option(help="the first seed")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="steps of a world")] = STEPS,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = os.cpu_count() or 1,
    anew: Annotated[bool, typer.Option("--anew", help="forget how far the last one came")] = False,
    shrink: Annotated[bool, typer.Option(help="of one world that breaks, find a smaller")] = True,
) -> None:
    """Live through simulated worlds: the services' own code on real PostgreSQL, much goes wrong.

    Each world has a seed and is the same whenever it is run. A campaign may be stopped with Ctrl-C
    and goes on where it was, unless the code has changed. What breaks is shrunk and told.

    Examples: python -m tests.simulation --seeds 500
              python -m tests.simulation --seed 4711
    """
    logging.disable(logging.CRITICAL)
    if seed is not None:
        raise typer.Exit(one(seed, steps, shrink))
    tally = fresh(first, seeds, steps)
    if not anew:
        tally = resumed(FILE, tally)
    if tally.done:
        console.print(f"going on after {len(tally.done)} worlds")
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("worlds", total=seeds, completed=len(tally.done))

        def show(now: Tally) -> None:
            words = f"worlds, {len(now.broken)} broken" if now.broken else "worlds"
            bar.update(task, completed=len(now.done), description=words)

        tally = run_campaign(tally, workers, FILE, show)
    report(tally, time.monotonic() - began)
    raise typer.Exit(1 if tally.broken else 0)


def one(seed: int, steps: int, shrink: bool) -> int:
    """One world, told; 1 if it breaks."""

    async def live() -> Outcome:
        async with databases(server, "w0") as opened:
            outcome = await World(Plan(seed, steps), opened).run()
            if outcome.broken and shrink:
                console.print(f"it breaks: {outcome.broken.splitlines()[0]}", markup=False)
                outcome = await Shrinking(opened, outcome, tell).shrink()
            return outcome

    with postgres() as server:
        make_all(server, ["w0"])
        outcome = asyncio.run(live())
    for line in told(outcome):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 1 if outcome.broken else 0


def tell(line: str) -> None:
    """How far the shrinking is."""
    console.print(f"  still with {line}", markup=False)


def report(tally: Tally, seconds: float) -> None:
    """What a campaign came to."""
    for seed, story in sorted(tally.broken.items()):
        console.rule(f"seed {seed}")
        for line in story:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    table = Table(title=f"{len(tally.done)} worlds of {tally.steps} steps, code {tally.code}")
    table.add_column("what")
    table.add_column("how many", justify="right")
    for what, n in sorted(tally.counts.items()):
        table.add_row(what, f"{n:,}")
    table.add_row("worlds in which an invariant broke", f"{len(tally.broken):,}")
    console.print(table)
    console.print(f"{seconds:.0f} s; kept in {FILE.relative_to(Path.cwd())}", highlight=False)


if __name__ == "__main__":
    app()
