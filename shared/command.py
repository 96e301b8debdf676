"""The commands that every service has: serve, migrate, parked, topics.

A service's `__main__` makes its command from here and adds its own verbs.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from shared import hearing, kafka, postgres
from shared.service import PARTS, Service, serve
from shared.settings import Settings
from shared.telemetry import set_up_logging

T = TypeVar("T")
console = Console(width=None if sys.stdout.isatty() else 200)
complaints = Console(stderr=True)


def read_settings() -> Settings:
    """The settings of the environment; a wrong or missing one ends the command in plain words."""
    try:
        return Settings()
    except ValidationError as wrong:
        for problem in wrong.errors():
            name = "CASEGRID_" + "_".join(str(part) for part in problem["loc"]).upper()
            complaints.print(f"{name}: {problem['msg']}")
        raise typer.Exit(2) from wrong


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run this to its end on a fast event loop; weather is told in one plain line."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except (*postgres.WEATHER, *kafka.WEATHER) as away:
        complaints.print(f"no answer from the database or Kafka: {type(away).__name__}: {away}")
        raise typer.Exit(1) from away


def service_command(service: Service) -> typer.Typer:  # noqa: C901 (one verb after the other)
    """The command of a service with the verbs that all have."""
    app = typer.Typer(
        help=service.about,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.command("serve")
    def serve_(
        parts: Annotated[
            str, typer.Option(help="what this process does; several processes may share a service")
        ] = ",".join(PARTS),
    ) -> None:
        """Run the service until SIGTERM or Ctrl-C."""
        settings = read_settings()
        chosen = [part.strip() for part in parts.split(",")]
        if unknown := [part for part in chosen if part not in PARTS]:
            complaints.print(f"unknown parts: {unknown}; there are: {', '.join(PARTS)}")
            raise typer.Exit(2)
        set_up_logging(service.name, settings.log_level)
        run(serve(service, settings, chosen))

    @app.command("migrate")
    def migrate() -> None:
        """Bring the database to this version's tables; safe to repeat."""
        settings = read_settings()
        dsn = settings.database_url.get_secret_value()
        new = run(postgres.migrate(dsn, service.name, service.migrations))
        for name in new:
            console.print(f"applied {name}")
        console.print(f"{service.name}: the database is up to date")

    @app.command("topics")
    def topics(
        create: Annotated[bool, typer.Option(help="create the topics that are missing")] = False,
    ) -> None:
        """Compare Kafka's topics with the code; ends with 1 when they differ."""
        settings = read_settings()
        if create:
            for name in run(kafka.create_topics(settings)):
                console.print(f"created {name}")
        differs = run(kafka.check_topics(settings))
        for d in differs:
            console.print(f"{d.topic}: {d.what} should be {d.wanted}, is {d.found}")
        if differs:
            raise typer.Exit(1)
        console.print("all topics are as the code says")

    app.add_typer(parked_command(), name="parked")
    return app


def parked_command() -> typer.Typer:
    """What could not be read: look at it, and read on."""
    app = typer.Typer(help="records that could not be read", no_args_is_help=True)

    @app.command("list")
    def list_(limit: int = 50) -> None:
        """The oldest parked records, with where they lay and why."""
        table = Table("id", "topic/partition@offset", "key", "reason", "parked at")
        for one in run(with_database(lambda tx: hearing.parked_all(tx, limit))):
            r = one.record
            where = f"{r.topic}/{r.partition}@{r.offset}"
            table.add_row(str(one.id), where, r.key, one.reason, one.parked_at.isoformat())
        console.print(table)

    @app.command("discard")
    def discard(
        parked_id: Annotated[int, typer.Argument(help="the id that `parked list` shows")],
        reason: Annotated[str, typer.Option(help="why; kept with the record")],
    ) -> None:
        """Give up one record that will never be readable. It is kept, and never replayed."""
        if not run(with_database(lambda tx: hearing.discard(tx, parked_id, reason))):
            complaints.print(f"nothing is parked under id {parked_id}")
            raise typer.Exit(1)
        console.print("discarded")

    @app.command("resume")
    def resume() -> None:
        """Read on after many unreadable records in a row."""
        run(with_database(hearing.resume))
        console.print("reading on")

    return app


async def with_database(work: Callable[[postgres.Transaction], Awaitable[T]]) -> T:
    """Do this in one transaction of the service's own database."""
    settings = read_settings()
    connection = await postgres.connect(settings.database_url.get_secret_value(), "command")
    try:
        async with connection.transaction():
            return await work(connection)
    finally:
        await connection.close()
