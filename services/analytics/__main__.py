"""The analytics service: `python -m services.analytics serve | migrate | rebuild | …`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from services.analytics import api, store
from services.analytics.handlers import cases, rebuild
from shared import hearing
from shared.census import ask_for_missed, besides
from shared.command import (
    ByOption,
    ReasonOption,
    complaints,
    console,
    read_settings,
    run,
    service_command,
    who,
)
from shared.events import Topic
from shared.hearing import Handle
from shared.heartbeat import feeling
from shared.service import Process, Service, Timer


async def open_progress(process: Process) -> object:
    """Where this process is on the topic."""
    return hearing.Progress()


def hears(process: Process) -> dict[Topic, Handle]:
    """The topic of cases."""
    assert isinstance(process.state, hearing.Progress)
    compare = partial(
        ask_for_missed,
        look=store.for_census,
        topic=Topic.ANALYTICS,
        source="analytics",
        clock=process.clock.name,
    )
    hear = besides(compare, cases.noting(process.state), asks=process.settings.census)
    return {Topic.ROUTER: feeling(hear)}


SERVICE = Service(
    name="analytics",
    about="The picture of all cases: counts, shares and on-time figures, from router.events alone.",
    migrations=Path(__file__).parent / "migrations",
    routes=api.routes,
    hears=hears,
    timers=(Timer("measure", "sweep", cases.measure),),
    open=open_progress,
)

app = service_command(SERVICE)


@app.command("rebuild")
def rebuild_(reason: ReasonOption, by: ByOption = None) -> None:
    """Count all cases anew from Kafka, put the result in place, and say whether it was the same."""
    settings, actor = read_settings(), who(by)
    columns = (TextColumn("router.events"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=complaints) as bar:
        task = bar.add_task("rebuild", total=None)
        try:
            found = run(
                rebuild.rebuild(
                    settings, actor, reason, lambda n, of: bar.update(task, completed=n, total=of)
                )
            )
        except rebuild.AlreadyRunning as other:
            complaints.print("another rebuild of this database is under way")
            raise typer.Exit(1) from other
    for line in rebuild.told(found):
        console.print(line, highlight=False, soft_wrap=True)


def main() -> None:
    """The command."""
    app()


if __name__ == "__main__":
    main()
