"""The commands that every service has: serve, migrate, topics, parked, positions.

A service's `__main__` makes its command from here and adds its own verbs.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from shared import audit, hearing, kafka, outbox, postgres
from shared.events import Topic
from shared.service import PARTS, Service, serve
from shared.settings import Settings
from shared.telemetry import set_up_logging, trace_of

T = TypeVar("T")
OUR_KEY = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|census/(\d+|report)|\d{1,6}/[a-z_]+/\d+"
)
logger = logging.getLogger(__name__)
console = Console(width=None if sys.stdout.isatty() else 200)
complaints = Console(stderr=True)


ByOption = Annotated[
    str | None,
    typer.Option(help="who you are, for the record; else CASEGRID_OPERATOR, or your login name"),
]
ReasonOption = Annotated[str, typer.Option(help="why; kept for the record")]


def who(said: str | None) -> str:
    """Who acts; a command without anybody ends in plain words."""
    try:
        return audit.actor(said)
    except audit.Nobody as nobody:
        complaints.print(str(nobody))
        raise typer.Exit(2) from nobody


def read_settings(**said: Any) -> Settings:
    """The settings of the environment, and those that are said; a wrong or missing one ends the
    command in plain words."""
    try:
        return Settings(**said)
    except ValidationError as wrong:
        for problem in wrong.errors():
            name = "CASEGRID_" + "_".join(str(part) for part in problem["loc"]).upper()
            says = "is not set" if problem["type"] == "missing" else problem["msg"]
            complaints.print(f"{name}: {says}")
        complaints.print(
            "The local stack writes the settings of each service: . .casegrid/fast-720/router.env"
        )
        raise typer.Exit(2) from wrong


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run this to its end on a fast event loop; weather is told in one plain line."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except ValueError:  # asyncpg's own refusal of a value calls itself an InterfaceError
        raise
    except (*postgres.WEATHER, *kafka.WEATHER) as away:
        complaints.print(f"no answer from the database or Kafka: {type(away).__name__}: {away}")
        raise typer.Exit(1) from away


class Command(typer.Typer):
    """A command that tells a bug by its trace, without the values that Python's own would quote."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run it."""
        try:
            return super().__call__(*args, **options)
        except Exception as bug:
            if logging.getLogger().hasHandlers():
                logger.critical("ended by a bug", exc_info=bug)
            else:
                complaints.print(f"a bug:\n{trace_of(bug)}", markup=False, highlight=False)
            sys.exit(1)


def service_command(service: Service) -> typer.Typer:  # noqa: C901 (one verb after the other)
    """The command of a service with the verbs that all have."""
    app = Command(
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
        for one in differs:
            console.print(str(one))
        if differs:
            raise typer.Exit(1)
        console.print("all topics are as the code says")

    @app.command("restored")
    def restored(reason: ReasonOption, by: ByOption = None) -> None:
        """Say once, before the first start, that the database was restored from a backup.

        What the service says from then on is of a new epoch, greater than any that its topic shows,
        so that whoever heard it before takes it for newer; the census finds and mends what others
        know of the time that was lost. `casegrid restore` says it by itself.
        """
        actor = who(by)
        said = run(outbox.epoch_said(read_settings(), service.name))

        async def begin(tx: postgres.Transaction) -> int:
            epoch = await outbox.raise_epoch(tx, said)
            await audit.note(tx, actor, "restored", f"epoch {epoch}", reason)
            return epoch

        epoch = run(with_database(begin))
        console.print(f"{service.name}: epoch {epoch}; start the service now")

    app.add_typer(parked_command(), name="parked")
    app.add_typer(positions_command(), name="positions")
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
            table.add_row(
                str(one.id), where, shown_key(r.key), one.reason, one.parked_at.isoformat()
            )
        console.print(table)

    @app.command("discard")
    def discard(
        parked_id: Annotated[int, typer.Argument(help="the id that `parked list` shows")],
        reason: ReasonOption,
        by: ByOption = None,
    ) -> None:
        """Give up one record that will never be readable. It is kept, and never replayed."""
        if not run(with_database(partial(discarded, parked_id, who(by), reason))):
            complaints.print(f"nothing is parked under id {parked_id}")
            raise typer.Exit(1)
        console.print("discarded")

    @app.command("resume")
    def resume(reason: ReasonOption, by: ByOption = None) -> None:
        """Read on after many unreadable records in a row."""
        run(with_database(partial(resumed, who(by), reason)))
        console.print("reading on")

    return app


def shown_key(key: str) -> str:
    """A key of ours as it is; of what else lies on a topic it may be anybody's name."""
    return key if OUR_KEY.fullmatch(key) else "(no key of ours)"


async def discarded(parked_id: int, actor: str, reason: str, tx: postgres.Transaction) -> bool:
    """Give up a parked record, and note who did; says whether it was waiting."""
    done = await hearing.discard(tx, parked_id, reason)
    if done:
        await audit.note(tx, actor, "discard", f"parked {parked_id}", reason)
    return done


async def resumed(actor: str, reason: str, tx: postgres.Transaction) -> None:
    """Read on, and note who looked."""
    await hearing.resume(tx)
    await audit.note(tx, actor, "resume", "unreadable in a row", reason)


def positions_command() -> typer.Typer:
    """Where the service goes on, and how to say that it goes on elsewhere."""
    app = typer.Typer(help="where the service reads on, by partition", no_args_is_help=True)

    @app.command("list")
    def list_() -> None:
        """Each position beside what the topic holds; `!` where the service cannot go on."""
        table = Table("topic/partition", "position", "holds", "")
        for one, extent in run(placed()):
            wrong = kafka.outside(one.next_offset, extent)
            holds = f"{extent.beginning} … {extent.end}"
            where = f"{one.topic}/{one.partition}"
            table.add_row(where, str(one.next_offset), holds, f"! {wrong}" if wrong else "")
        console.print(table)

    @app.command("reset")
    def reset(
        topic: Topic,
        partition: int,
        to: Annotated[
            Literal["earliest", "latest"], typer.Option(help="what the topic still holds, or new")
        ],
        reason: ReasonOption,
        by: ByOption = None,
    ) -> None:
        """Go on elsewhere. `earliest` hears all there is again, `latest` skips what waits.

        What is skipped is never heard by itself: say `casegrid census --all --ask` afterwards.
        """
        moved = run(reset_position(topic, partition, to, who(by), reason))
        if moved is None:
            complaints.print(f"no position on {topic}/{partition}")
            raise typer.Exit(1)
        console.print(f"{topic}/{partition}: from {moved[0]} to {moved[1]}")

    return app


async def placed() -> list[tuple[hearing.Position, kafka.Extent]]:
    """Every position of this database, and what its partition holds."""
    rows = await with_database(hearing.all_positions)
    reach = {
        topic: await kafka.extents(read_settings(), topic) for topic in {r.topic for r in rows}
    }
    return [(row, reach[row.topic][row.partition]) for row in rows]


async def reset_position(
    topic: Topic, partition: int, to: Literal["earliest", "latest"], actor: str, reason: str
) -> tuple[int, int] | None:
    """Move a position to an end of its log, and note who did; returns it before and after, None
    without one."""
    extent = (await kafka.extents(read_settings(), topic)).get(partition)
    if extent is None:
        return None
    place = extent.beginning if to == "earliest" else extent.end

    async def move(tx: postgres.Transaction) -> int | None:
        before = await hearing.move(tx, topic, partition, place)
        if before is not None:
            about = f"{topic}/{partition}: from {before} to {place}"
            await audit.note(tx, actor, "reset position", about, reason)
        return before

    before = await with_database(move)
    return None if before is None else (before, place)


async def with_database(
    work: Callable[[postgres.Transaction], Awaitable[T]], settings: Settings | None = None
) -> T:
    """Do this in one transaction of a service's database: its own, unless said."""
    settings = settings or read_settings()
    connection = await postgres.connect(settings.database_url.get_secret_value(), "command")
    try:
        async with connection.transaction():
            return await work(connection)
    finally:
        await connection.close()
