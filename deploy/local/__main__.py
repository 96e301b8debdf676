"""`python -m deploy.local run`: the whole of Casegrid on this machine, until Ctrl-C."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from deploy.local.crew import Habits
from deploy.local.environment import Ports, external_databases, external_kafka
from deploy.local.running import Samples, run_until_stopped
from deploy.local.stack import Stack

ROOT = Path(__file__).resolve().parents[2]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def local() -> None:
    """Casegrid on this machine: the real PostgreSQL, the real Apache Kafka and all services."""


def port_option(name: str) -> Any:
    """The option of one port."""
    return typer.Option(
        f"--{name}-port",
        envvar=f"CASEGRID_{name.upper().replace('-', '_')}_PORT",
        min=1,
        max=65_535,
        show_default=False,
        rich_help_panel="Ports",
    )


@app.command()
def run(
    speed: Annotated[
        float, typer.Option(help="promise seconds per second; 1 is real time", min=0.001)
    ] = 720.0,
    data: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="data directory, one for each speed: .casegrid/fast-720, .casegrid/real",
        ),
    ] = None,
    rate: Annotated[float, typer.Option(help="sample petitions a second", min=0.01)] = 5.0,
    petitions: Annotated[
        int | None, typer.Option(help="stop submitting after so many; else endless", min=0)
    ] = None,
    seed: Annotated[int, typer.Option(help="of the sample petitions")] = 1,
    crew: Annotated[
        Literal["on", "off"],
        typer.Option(help="officers who work the queues; off: what nobody solves climbs"),
    ] = "on",
    crew_rate: Annotated[float, typer.Option(help="their commands a second", min=0.1)] = 60.0,
    no_samples: Annotated[bool, typer.Option("--no-samples", help="submit nothing")] = False,
    port_base: Annotated[
        int,
        typer.Option(
            help="take the seven ports after this one",
            min=1023,
            max=65_528,
            rich_help_panel="Ports",
        ),
    ] = 8100,
    intake: Annotated[int | None, port_option("intake")] = None,
    router: Annotated[int | None, port_option("router")] = None,
    escalation: Annotated[int | None, port_option("escalation")] = None,
    analytics: Annotated[int | None, port_option("analytics")] = None,
    postgres: Annotated[int | None, port_option("postgres")] = None,
    kafka: Annotated[int | None, port_option("kafka")] = None,
    kafka_controller: Annotated[int | None, port_option("kafka-controller")] = None,
) -> None:
    """Start everything: sample petitions come in, a crew of officers works; Ctrl-C stops it.

    Promises run fast: at --speed 720 an hour passes in 5 seconds, and an urgent case that nobody
    solves climbs from the grid to the district in two minutes. --speed 1 is real time.
    The data stays in the data directory and the next run goes on with it; time off is no time.

    Servers of your own instead of the embedded ones: set CASEGRID_KAFKA_BOOTSTRAP (with
    CASEGRID_KAFKA_SECURITY_PROTOCOL, CASEGRID_KAFKA_CA_FILE, CASEGRID_KAFKA_USERNAME and so on),
    and CASEGRID_INTAKE_DATABASE_URL, CASEGRID_ROUTER_DATABASE_URL and so on.

    Examples:

    make run

    make run SPEED=1

    make run CREW=off

    make run ARGS="--rate 50 --petitions 4000 --port-base 9100"
    """
    named = {
        "intake": intake,
        "router": router,
        "escalation": escalation,
        "analytics": analytics,
        "postgres": postgres,
        "kafka": kafka,
        "kafka_controller": kafka_controller,
    }
    said = {name: port for name, port in named.items() if port is not None}
    stack = Stack(
        data or ROOT / ".casegrid" / ("real" if speed == 1 else f"fast-{speed:g}"),
        ports=replace(Ports.after(port_base), **said),
        speed=speed,
        kafka=external_kafka(os.environ),
        databases=external_databases(os.environ),
        topic_prefix=os.environ.get("CASEGRID_TOPIC_PREFIX", ""),
    )
    limit = 0 if no_samples else petitions
    habits = Habits(seed=seed, rate=crew_rate) if crew == "on" else None
    raise typer.Exit(run_until_stopped(stack, Samples(rate, seed, limit), habits))


if __name__ == "__main__":
    app(prog_name="python -m deploy.local")
