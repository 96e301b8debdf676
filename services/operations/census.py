"""`casegrid census`: what the services know of each case, compared now and as a whole.

It asks the tables themselves: the owner's for what he holds, the listener's for what is known
there. What is on its way is no difference, so whatever differs is looked at again for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.analytics.store import for_census as counted_cases
from services.escalation.handlers.census import look as armed_cases
from services.intake.handlers.census import HORIZON, SETTLED, first_at
from services.intake.store import census as petitions
from services.operations.places import places
from services.router.handlers.census import counted
from services.router.store import census as cases
from shared import outbox, postgres
from shared.census import FIRST, LAST, PAGE, Compared, Look, Page, compare
from shared.clock import wall
from shared.command import complaints, console, run
from shared.events import CensusTaken, Counted, Topic
from shared.kafka import PARTITIONS, lane_of
from shared.postgres import Transaction

NEVER: Final = datetime.min.replace(tzinfo=UTC)
AGAIN: Final = 0.5
SHOWN: Final = 20


class Pair(NamedTuple):
    """Who holds, and who should know it; what is compared, and how the listener is asked."""

    owner: str
    listener: str
    topic: Topic
    what: str
    look: Look
    epochs: bool = True


PAIRS: Final = (
    Pair("intake", "router", Topic.INTAKE, "petitions", cases.heard, epochs=False),
    Pair("router", "escalation", Topic.ROUTER, "cases", armed_cases),
    Pair("router", "analytics", Topic.ROUTER, "cases", counted_cases),
    Pair("router", "intake", Topic.ROUTER, "receipts", petitions.for_census),
)


@dataclass(slots=True)
class Found:
    """What came of one pair: how many were compared, and which differ still."""

    pair: Pair
    compared: int = 0
    differing: list[UUID] = field(default_factory=list)
    strangers: list[UUID] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """All is known as it is."""
        return not self.differing and not self.strangers


def census(
    everything: Annotated[
        bool, typer.Option("--all", help="all petitions ever, not those of the last day")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=0, max=600, help="seconds in which what is on its way may come")
    ] = 15.0,
) -> None:
    """Compare what the services know of each open case and each petition, now.

    Intake's petitions are compared with what the router heard; the router's open cases with the
    clocks that are armed, with what is counted, and with the receipts. Nothing is changed: the
    services' own census asks for what is missing by itself, within minutes. What differs again and
    again needs a person. Strangers are known to a listener and not to their owner: after a restore
    of intake these are petitions whose words are lost.

    Ends with 0 when nothing differs, with 1 when something does.

    Example: casegrid census --all --patience 60
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=complaints, transient=True) as bar:
        task = bar.add_task("census")
        found = run(taken(everything, patience, lambda says: bar.update(task, description=says)))
    table = Table("of", "known to", "compared", "differ", "strangers", "for example")
    for one in found:
        examples = ", ".join(map(str, [*one.differing, *one.strangers][:SHOWN]))
        table.add_row(
            f"{one.pair.what} of {one.pair.owner}",
            one.pair.listener,
            f"{one.compared:,}",
            f"{len(one.differing):,}",
            f"{len(one.strangers):,}",
            examples,
        )
    console.print(table)
    if not all(one.well for one in found):
        console.print("what differs is asked for by the services themselves; look again in minutes")
        raise typer.Exit(1)
    console.print("nothing differs")


async def taken(everything: bool, patience: float, tell: Callable[[str], None]) -> list[Found]:
    """Every pair, one after the other."""
    async with AsyncExitStack() as open_:
        databases = {}
        for place in places():
            databases[place.name] = await postgres.connect(place.dsn, "command")
            open_.push_async_callback(databases[place.name].close)
        found = []
        for pair in PAIRS:
            one = Found(pair)
            async for page in pages(databases[pair.owner], pair.owner, everything):
                epoch = await outbox.epoch(databases[pair.owner])
                await look(databases[pair.listener], page, epoch, one, patience)
                tell(f"{pair.what}: {one.compared:,} compared with {pair.listener}")
            found.append(one)
        return found


async def pages(tx: Transaction, owner: str, everything: bool) -> AsyncIterator[Page]:
    """All that an owner holds, page by page."""
    after = FIRST
    if owner == "intake" and not everything:
        after = first_at(wall() - HORIZON)
    count = said_petitions if owner == "intake" else open_cases
    while True:
        page = await count(tx, after)
        yield page
        if page.last:
            return
        after = page.up_to


async def said_petitions(tx: Transaction, after: UUID) -> Page:
    """The next petitions of which something was said."""
    end = min(first_at(wall() - SETTLED), await petitions.first_unread(tx) or LAST)
    rows = await petitions.said_between(tx, after, end, PAGE)
    last = len(rows) < PAGE
    up_to = max(after, end) if last else rows[-1].petition_id
    return Page(after, up_to, [Counted(id=r.petition_id, seq=r.said_seq) for r in rows], last)


async def open_cases(tx: Transaction, after: UUID) -> Page:
    """The next open cases, and those closed not long ago."""
    rows = await cases.counted_after(tx, after, PAGE, NEVER)
    last = len(rows) < PAGE
    return Page(after, LAST if last else rows[-1].id, list(map(counted, rows)), last)


async def look(tx: Transaction, page: Page, epoch: int, found: Found, patience: float) -> None:
    """Compare a page; what differs is looked at again until it does not, or patience ends."""
    found.compared += len(page.counted)
    until = asyncio.get_running_loop().time() + patience
    taken_at = wall()
    while True:
        now = await compared(tx, page, epoch, found.pair, taken_at)
        if not now.differing and not now.strangers:
            return
        if asyncio.get_running_loop().time() >= until:
            found.differing += [one.id for one in now.differing]
            found.strangers += [one.id for one in now.strangers]
            return
        await asyncio.sleep(AGAIN)


async def compared(
    tx: Transaction, page: Page, epoch: int, pair: Pair, taken_at: datetime
) -> Compared:
    """A page as its owner would say it, against what the listener knows now."""
    here = await pair.look(tx, [one.id for one in page.counted], page.after, page.up_to)
    found = [
        compare(told(lane, page, taken_at), epoch if pair.epochs else 1, here, n, pair.topic)
        for n, lane in enumerate(lanes(page.counted, pair.topic))
    ]
    return Compared(
        tuple(one for part in found for one in part.differing),
        tuple(one for part in found for one in part.strangers),
    )


def lanes(counted: Sequence[Counted], topic: Topic) -> list[list[Counted]]:
    """By partition, as they are said."""
    found: list[list[Counted]] = [[] for _ in range(PARTITIONS[topic])]
    for one in counted:
        found[lane_of(topic, str(one.id))].append(one)
    return found


def told(counted: Sequence[Counted], page: Page, taken_at: datetime) -> CensusTaken:
    """One partition's part of a page."""
    return CensusTaken(
        type="casegrid.census.taken.v1",
        after=page.after,
        up_to=page.up_to,
        taken_at=taken_at,
        counted=tuple(counted),
    )
