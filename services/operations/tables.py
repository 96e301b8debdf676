"""What the tables of a service say, and the broker of how far it is; also of one that is down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.escalation.decisions import minute_of
from services.escalation.store import armed, figures, orders
from services.intake.store import reading
from services.operations.places import Place
from services.operations.reach import reach
from shared import census, hearing, kafka, outbox, postgres
from shared.census import FIRST, made_at
from shared.clock import wall
from shared.postgres import Transaction

LOOKED_THROUGH: Final = 20_000


@dataclass(slots=True)
class Rows:
    """What the tables of one service say; None what could not be asked, or is not its own."""

    behind: int | None = None
    unsaid: int | None = None
    unsaid_seconds: float | None = None
    parked: int | None = None
    census_seconds: float | None = None
    processes: int | None = None
    unread: int | None = None
    unread_seconds: float | None = None
    unrouted: float | None = None
    due_next: datetime | None = None
    unfired: float | None = None
    overdue: int | None = None
    soon: int | None = None
    unanswered: int | None = None
    oldest_order: float | None = None
    away: list[str] = field(default_factory=list)


async def rows_of(place: Place) -> Rows:
    """Ask a service's database, and the broker how far it is."""
    rows = Rows()
    at: list[hearing.Position] = []
    try:
        connection = await postgres.connect(place.dsn, "command")
        try:
            rows.processes = await processes(connection, place.name)
            rows.unsaid, rows.unsaid_seconds = await outbox.waiting(connection)
            rows.parked = await hearing.parked_count(connection)
            rows.census_seconds = await census.age(connection)
            at = await hearing.all_positions(connection)
            await OWN.get(place.name, nothing)(connection, place, rows)
        finally:
            await connection.close()
    except postgres.WEATHER as away:
        rows.away.append(f"the database of {place.name} is away: {type(away).__name__}")
        return rows
    await how_far(place, at, rows)
    return rows


async def processes(tx: Transaction, service: str) -> int:
    """How many of a service there are: each that relays or stands by for it has a connection."""
    # Another city may live on the same server.
    sql = """
        select count(*) from pg_stat_activity
        where application_name = $1 and datname = current_database()
    """
    return int(await tx.fetchval(sql, f"{service}-relay"))


async def how_far(place: Place, at: Sequence[hearing.Position], rows: Rows) -> None:
    """How many records the positions have not reached; a position off its log is told."""
    try:
        found = await reach(place.settings, at)
    except (*kafka.WEATHER, TimeoutError) as away:
        rows.away.append(f"Kafka does not tell how far {place.name} is: {type(away).__name__}")
        return
    rows.behind = found.behind
    rows.away += [f"{place.name}, {wrong}" for wrong in found.off_their_logs]


async def of_intake(tx: Transaction, _: Place, rows: Rows) -> None:
    """Unread, and the oldest that is not routed; with `FIRST` nothing is remembered."""
    rows.unread, oldest = await reading.queue(tx)
    rows.unread_seconds = 0.0 if oldest is None else seconds_since(oldest)
    found = await reading.oldest_unrouted(tx, FIRST, LOOKED_THROUGH)
    if found.oldest is not None:
        rows.unrouted = seconds_since(found.oldest)
    elif found.caught_up:
        rows.unrouted = 0.0


def seconds_since(id_: UUID) -> float:
    """How long ago an id was made, in wall seconds."""
    return (wall() - made_at(id_)).total_seconds()


async def of_escalation(tx: Transaction, place: Place, rows: Rows) -> None:
    """What is due next, what is late, and what the router has not answered."""
    clock = place.settings.clock()
    now = clock.now()
    rows.due_next = await armed.earliest(tx)
    rows.unfired = 0.0
    if rows.due_next is not None:
        rows.unfired = max(0.0, (now - rows.due_next).total_seconds() / clock.speed)
    hour = minute_of(now + timedelta(hours=1))
    due = await figures.due(tx, minute_of(now), hour)
    rows.overdue = sum(row.overdue for row in due)
    rows.soon = sum(row.soon for row in due)
    rows.unanswered, rows.oldest_order = await orders.unanswered(tx)


async def nothing(_tx: Transaction, _place: Place, _rows: Rows) -> None:
    """A service without figures of its own here."""


OWN: Final = {"intake": of_intake, "escalation": of_escalation}
