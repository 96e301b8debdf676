"""`casegrid census`: what the services know of each case, compared now and as a whole.

It asks the tables themselves: the owner's for what he holds, the listener's for what is known
there. What is on its way is no difference, so whatever differs is looked at again for a while.
With `--ask` the listener asks for what differs as he does by himself: through his outbox, so the
owner says it again once he hears of it, and nothing that is known is heard twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final, NamedTuple
from uuid import UUID

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.analytics.store import for_census as counted_cases
from services.escalation.handlers.census import look as armed_cases
from services.intake.handlers.census import HORIZON, SETTLED, first_at
from services.intake.store import census as petitions
from services.operations.places import Place, places
from services.router.handlers.census import counted
from services.router.store import census as cases
from shared import audit, outbox, postgres
from shared.census import FIRST, LAST, PAGE, Compared, Look, Page, Voice, compare, report
from shared.clock import wall
from shared.command import ByOption, complaints, console, run, who, with_database
from shared.events import CensusTaken, Counted, Missed, Topic
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
    differing: list[Missed] = field(default_factory=list)
    strangers: list[Missed] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """All is known as it is."""
        return not self.differing and not self.strangers

    @property
    def wanted(self) -> list[Missed]:
        """What its owner can say again. A case that he does not list may be closed long ago: his
        last word of it mends that. A petition that he does not have is lost."""
        return [*self.differing, *(self.strangers if self.pair.owner == "router" else [])]


def census(
    everything: Annotated[
        bool, typer.Option("--all", help="all petitions ever, not those of the last day")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=0, max=600, help="seconds in which what is on its way may come")
    ] = 15.0,
    ask: Annotated[
        bool, typer.Option("--ask", help="have what differs said again; needs --reason, is noted")
    ] = False,
    reason: Annotated[str, typer.Option(help="why it must be said again; noted")] = "",
    by: ByOption = None,
) -> None:
    """Compare what the services know of each open case and each petition, now.

    Intake's petitions are compared with what the router heard; the router's open cases with the
    clocks that are armed, with what is counted, and with the receipts.

    The services' own census asks for what is missing by itself, within minutes: of all open cases,
    and of the petitions of the last day. An older petition that the router never heard of, because
    its record expired, a position was moved, or the router was restored, is asked for with --all
    --ask alone. It is noted in `operator_acts` of whoever asks. To ask twice does no harm.

    What differs again and again needs a person. Strangers are known to a listener and not to their
    owner: after a restore of intake these are petitions whose words are lost.

    Ends with 0 when nothing differs, with 1 when something does, be it asked for.

    Examples:

    casegrid census --all --patience 60

    casegrid census --all --ask --reason "positions of the router reset to latest, ticket 4711"
    """
    if ask and not reason.strip():
        complaints.print("--ask needs --reason: it is noted who had it said again, and why")
        raise typer.Exit(2)
    actor = who(by) if ask else None
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=complaints, transient=True) as bar:
        task = bar.add_task("census")
        found = run(taken(everything, patience, lambda says: bar.update(task, description=says)))
    show(found)
    if all(one.well for one in found):
        console.print("nothing differs")
        return
    if actor is None:
        console.print(
            "The services ask by themselves for what differs of open cases and of the last day's"
            " petitions: look again in minutes. For what is older: casegrid census --all --ask"
        )
    else:
        asked = run(asked_for(found, actor, reason))
        console.print(f"{asked:,} are asked for and will be said again: look again in a minute")
    raise typer.Exit(1)


def show(found: Sequence[Found]) -> None:
    """A line for each pair."""
    table = Table("of", "known to", "compared", "differ", "strangers", "for example")
    for one in found:
        examples = ", ".join(str(it.id) for it in [*one.differing, *one.strangers][:SHOWN])
        table.add_row(
            f"{one.pair.what} of {one.pair.owner}",
            one.pair.listener,
            f"{one.compared:,}",
            f"{len(one.differing):,}",
            f"{len(one.strangers):,}",
            examples,
        )
    console.print(table)


async def asked_for(found: Sequence[Found], actor: str, reason: str) -> int:
    """Have each listener ask for what he lacks; says for how many."""
    by_name = {place.name: place for place in places()}
    for one in found:
        if one.wanted:
            place = by_name[one.pair.listener]
            await with_database(partial(ask_by, place, one, actor, reason), place.settings)
    return sum(len(one.wanted) for one in found)


async def ask_by(place: Place, one: Found, actor: str, reason: str, tx: Transaction) -> None:
    """What a listener would say by himself, and who wanted it."""
    clock = place.settings.clock()
    voice = Voice(place.name, await outbox.epoch(tx), clock.name)
    await report(tx, outbox.own_topic(place.name), one.wanted, voice, clock.now())
    about = f"{len(one.wanted)} {one.pair.what} of {one.pair.owner}"
    await audit.note(tx, actor, "ask again", about, reason)


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
            found.differing += now.differing
            found.strangers += now.strangers
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
