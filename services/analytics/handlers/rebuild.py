"""Counting all cases anew, from what the topic holds, while the service goes on.

The topic is read without a group up to the ends it has at the start, and folded by the same
handler into tables of the same names in the schema `rebuilt`. One transaction then locks the
writers out, compares, puts the new tables in place and takes those ends as the service's position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.analytics import decisions, store
from services.analytics.handlers.cases import on_cases
from shared import audit, hearing, kafka, postgres, tally
from shared.clock import wall
from shared.events import Topic
from shared.hearing import Batch, Heard, UnknownType, Unreadable
from shared.kafka import PARTITIONS, Record
from shared.postgres import Transaction
from shared.settings import Settings

EVERY_PARTITION = range(PARTITIONS[Topic.ROUTER])


class AlreadyRunning(Exception):
    """Another rebuild of this database is under way."""


@dataclass(slots=True)
class Read:
    """What was found on the topic.

    `ends` is where the service goes on: after the last record read, but at the first record of a
    type that this version does not know, so that the consumer stops there and says so.
    """

    records: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)
    unknown: dict[int, int] = field(default_factory=dict)
    unknown_records: int = 0
    ends: dict[int, int] = field(default_factory=dict)

    def sort(self, records: Sequence[Record]) -> Batch:
        """Take note of these records; what can be counted of them is the batch."""
        events: list[Heard] = []
        for record in records:
            self.records += 1
            p = record.partition
            self.ends[p] = self.unknown.get(p, record.offset + 1)
            match hearing.decode(record):
                case Heard() as heard:
                    events.append(heard)
                case Unreadable() as bad:
                    self.unreadable.append(bad)
                case UnknownType():
                    self.unknown_records += 1
                    self.ends[p] = self.unknown.setdefault(p, record.offset)
        return Batch(Topic.ROUTER, events)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found; the checksums are those of the figures before and after.

    `ahead` and `behind`: records that the service had counted and the rebuild had not, and the
    other way round. Both 0: the two checksums speak of the same records and must be equal.
    """

    records: int
    unreadable: int
    unknown: int
    before: str
    after: str
    ahead: int
    behind: int
    cases: store.Compared


async def rebuild(
    settings: Settings, actor: str, reason: str, show: Callable[[int, int], None]
) -> Rebuilt:
    """Count all cases anew; `show(read, of)` is told how far it has come, in offsets.

    Raises `AlreadyRunning`. Interrupted, it leaves the figures in use as they were; done, it is
    noted who wanted it and why.
    """
    dsn = settings.database_url.get_secret_value()
    connection = await postgres.connect(dsn, "analytics-rebuild", settings.lock_timeout_ms)
    try:
        if not await store.begin_rebuild(connection):
            raise AlreadyRunning
        await store.make_new_tables(connection)
        await store.look_at_new_tables(connection)
        found = Read()
        async for records, read, total in kafka.read_to_end(settings, Topic.ROUTER):
            await fold(connection, found.sort(records), wall())
            show(read, total)
        async with connection.transaction():
            done = await replace(connection, found)
            await audit.note(connection, actor, "rebuild", "the figures", reason)
            return done
    finally:
        await connection.close()


async def fold(connection: Transaction, batch: Batch, now: datetime) -> None:
    """Count a batch into the new tables, as the service itself does."""
    async with connection.transaction():
        await on_cases(batch, connection, now)
    async with connection.transaction():
        await tally.fold(connection)


async def replace(tx: Transaction, found: Read) -> Rebuilt:
    """Put the new tables in place of those in use, at the positions read."""
    after = decisions.checksum(await store.all_counters(tx))
    await store.look_at_tables_in_use(tx)
    await store.lock_out_writers(tx)
    before = decisions.checksum(await store.all_counters(tx))
    positions = await hearing.positions(tx, Topic.ROUTER, EVERY_PARTITION)
    moved = [end - positions.get(p, 0) for p, end in found.ends.items()]
    cases = await store.compare_cases(tx)
    await store.put_in_place(tx)
    await store.set_positions(tx, Topic.ROUTER, found.ends)
    await hearing.park(tx, found.unreadable)
    return Rebuilt(
        records=found.records,
        unreadable=len(found.unreadable),
        unknown=found.unknown_records,
        before=before,
        after=after,
        ahead=-sum(min(0, n) for n in moved),
        behind=sum(max(0, n) for n in moved),
        cases=cases,
    )


def told(found: Rebuilt) -> list[str]:
    """What a rebuild found, in plain lines for the person who asked for it."""
    lines = [
        f"read {found.records} records; {found.unreadable} unreadable,"
        f" {found.unknown} of a type this version does not know",
        f"before {found.before}",
        f"after  {found.after}",
        comparison(found),
    ]
    if found.unknown:
        lines.append(
            "The service reads on at the first record of the unknown type, and stops there."
        )
    return lines


def comparison(found: Rebuilt) -> str:
    """Whether the figures were right."""
    if not found.ahead and not found.behind:
        if found.before == found.after:
            return "equal: the figures were right"
        return "NOT equal at the same positions: the figures were wrong and have been replaced"
    where = f"The service was {found.ahead} records ahead of the rebuild, {found.behind} behind"
    same, differing = found.cases.same, found.cases.differing
    return (
        f"{where}, so the checksums speak of different records. Of the {same + differing} cases"
        f" that both knew at the same step, {differing} were counted wrongly. The service reads on"
        " from where the rebuild ended."
    )
