"""The census: an owner counts what it holds, whoever hears it compares, and what differs is mended.

An owner walks over its ids in pages and says each page to every partition, with the ids of that
partition. A page was counted before its row was put into the outbox, so whoever hears it has heard
everything that it tells of: to know less, or otherwise, is to have missed something. Who finds that
says so, and the owner says those ids again. No lock and no agreement on time is needed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final, NamedTuple
from uuid import UUID

from prometheus_client import Counter

from shared import hearing, outbox, telemetry
from shared.clock import wall
from shared.events import (
    CensusDiffered,
    CensusTaken,
    Counted,
    Envelope,
    Heartbeat,
    Missed,
    Order,
    Topic,
    derived_id,
)
from shared.hearing import Batch, Done, Handle
from shared.kafka import PARTITIONS, lane_of
from shared.outbox import Saying
from shared.postgres import Transaction
from shared.telemetry import CENSUS_AGE, COMPARED, DIFFERENCES, STRANGERS

logger = logging.getLogger(__name__)

PAGE: Final = 500
WALK: Final = timedelta(minutes=1)
"""A walk begins at most once a minute; a page takes at least a second."""

FRESH: Final = timedelta(minutes=10)
"""[ours] An older page is not compared: what it tells of may have been compacted away. Nor are
strangers looked for among ids as young as this: they may be newer than the page. One that waited
longer than this to be opened, in an outage, is asked for once in vain."""

MOST_AT_ONCE: Final = 200
FEW: Final = 20
"""So many ids stand in the log of what a batch of pages found."""

MOST_ASKED: Final = 3
"""What could not be read so often is not asked for again: it would be said for ever."""

FIRST: Final = UUID(int=0)
LAST: Final = UUID(int=2**128 - 1)
REPORT: Final = "census/report"


class Known(NamedTuple):
    """What a listener knows of an id; `open`: the owner should list it too."""

    order: Order
    fingerprint: str | None
    open: bool


class Compared(NamedTuple):
    """What differs, so that the owner must say it again; and what he does not have at all."""

    differing: tuple[Missed, ...] = ()
    strangers: tuple[Missed, ...] = ()


def compare(
    page: CensusTaken, epoch: int, here: Mapping[UUID, Known], partition: int, topic: Topic
) -> Compared:
    """A page of an owner in this epoch against what is known here.

    To be ahead of a page is ordinary: the owner went on after he counted. To be ahead in an older
    epoch is not: he was restored from a backup, and what is known here is of before.
    """
    listed = {one.id: one for one in page.counted}
    differing = [id_ for id_, one in listed.items() if differs(one, here.get(id_), epoch)]
    strangers = [
        id_
        for id_, known in here.items()
        if known.open
        and id_ not in listed
        and page.after < id_ <= page.up_to
        and lane_of(topic, str(id_)) == partition
        and page.taken_at - made_at(id_) > FRESH
    ]
    return Compared(
        tuple(missed(id_, here.get(id_)) for id_ in differing),
        tuple(missed(id_, here[id_]) for id_ in strangers),
    )


def missed(id_: UUID, known: Known | None) -> Missed:
    """An id, and how much of it is known."""
    return Missed(id=id_, seq=0 if known is None else known.order.seq)


def differs(one: Counted, known: Known | None, epoch: int) -> bool:
    """Whether a listener has missed something of this."""
    if known is None:
        return True
    order = Order(one.epoch, one.seq)
    if known.order > order:
        return known.order.epoch < epoch
    prints = (one.fingerprint, known.fingerprint)
    same = None in prints or prints[0] == prints[1]
    return known.order < order or not same or known.open is one.closed


def made_at(id_: UUID) -> datetime:
    """When an id (UUIDv7) was made."""
    return datetime.fromtimestamp((id_.int >> 80) / 1000, wall().tzinfo)


@cache
def subjects(topic: Topic, word: str = "census") -> tuple[str, ...]:
    """For each partition of a topic a subject, beginning with `word`, whose key finds it."""
    found: dict[int, str] = {}
    n = 0
    while len(found) < PARTITIONS[topic]:
        subject = f"{word}/{n}"
        found.setdefault(lane_of(topic, subject), subject)
        n += 1
    return tuple(found[partition] for partition in sorted(found))


# ---------------------------------------------------------------- the owner


@dataclass(frozen=True, slots=True)
class Voice:
    """How a process speaks: its service, its epoch and its promise clock."""

    source: str
    epoch: int
    clock: str


class Walk(NamedTuple):
    """Where an owner is in his walk; `after` is `FIRST` where a walk begins."""

    after: UUID
    said: int


class Page(NamedTuple):
    """The next ids of a walk with what is to be known of each; `last`: the walk ends here."""

    after: UUID
    up_to: UUID
    counted: Sequence[Counted]
    last: bool


Count = Callable[[Transaction, UUID, int], Awaitable[Page]]
"""Asks the owner's tables for the next page of so many after an id."""


async def walk_on(
    tx: Transaction, topic: Topic, count: Count, voice: Voice, now: datetime, most: int = PAGE
) -> bool:
    """Count and say the next page; False when the walk rests, or another process walks."""
    at = wall()
    walk = await begin(tx, at)
    if walk is None:
        return False
    page = await count(tx, walk.after, most)
    lanes: dict[int, list[Counted]] = {n: [] for n in range(PARTITIONS[topic])}
    for one in page.counted:
        lanes[lane_of(topic, str(one.id))].append(one)
    order = Order(voice.epoch, walk.said)
    told = [
        CensusTaken(
            type="casegrid.census.taken.v1",
            after=page.after,
            up_to=page.up_to,
            taken_at=at,
            counted=tuple(counted),
        )
        for counted in lanes.values()
    ]
    await outbox.append(
        tx,
        [
            saying(topic, subject, order, voice, now, data)
            for subject, data in zip(subjects(topic), told, strict=True)
        ],
    )
    await advance(tx, FIRST if page.last else page.up_to, at if page.last else None)
    return not page.last


def saying(
    topic: Topic,
    subject: str,
    order: Order,
    voice: Voice,
    now: datetime,
    data: CensusTaken | CensusDiffered | Heartbeat,
    word: str = "census",
) -> Saying:
    """A page, differences or a beat, as an event; `word`: what has it said."""
    envelope = Envelope(
        event_id=derived_id(word, voice.source, subject, *order),
        type=data.type,
        source=f"casegrid/{voice.source}",
        subject=subject,
        order=order,
        occurred_at=now,
        caused_by=word,
        clock=voice.clock,
    )
    return Saying(topic, envelope, data)


async def begin(tx: Transaction, at: datetime) -> Walk | None:
    """Where to go on; None when it is too early for a new walk, or somebody else is at it."""
    row = await tx.fetchrow(
        """
        update census set begun_at = case when after = $2 then $1 else begun_at end,
                          said = said + 1
        where only_row = (select only_row from census for update skip locked)
            and (after <> $2 or begun_at <= $1::timestamptz - $3::interval)
        returning after, said
        """,
        at,
        FIRST,
        WALK,
    )
    return None if row is None else Walk(row["after"], row["said"])


async def advance(tx: Transaction, after: UUID, done_at: datetime | None) -> None:
    """The page is said; `done_at` when it was the last of the walk."""
    await tx.execute(
        "update census set after = $1, done_at = coalesce($2, done_at)", after, done_at
    )


async def age(tx: Transaction) -> float | None:
    """How long ago the last whole walk ended, in wall seconds; None where none ever did."""
    seconds: float | None = await tx.fetchval(
        "select extract(epoch from $1 - done_at)::float8 from census where done_at > '-infinity'",
        wall(),
    )
    return seconds


async def show_age(tx: Transaction) -> None:
    """Show how long ago the last whole walk ended; before the first, how long ago it began."""
    since = await tx.fetchval(
        """
        select nullif(case when done_at > '-infinity' then done_at else begun_at end, '-infinity')
        from census
        """
    )
    if since is not None:
        telemetry.show_age(CENSUS_AGE, since)


# ---------------------------------------------------------------- whoever hears it

Look = Callable[[Transaction, Sequence[UUID], UUID, UUID], Awaitable[Mapping[UUID, Known]]]
"""Asks the listener's tables: these ids, and what is open after one id up to another."""


async def compared(tx: Transaction, batch: Batch, look: Look, *, epochs: bool = True) -> Compared:
    """Every fresh page of a batch against what is known here; without epochs, by seq alone."""
    pages = [
        (event, event.data)
        for event in batch.events
        if isinstance(event.data, CensusTaken) and wall() - event.data.taken_at <= FRESH
    ]
    if not pages:
        return Compared()
    ids = [one.id for _, page in pages for one in page.counted]
    after, up_to = min(p.after for _, p in pages), max(p.up_to for _, p in pages)
    here = await look(tx, ids, after, up_to)
    found = [
        compare(
            page,
            event.envelope.order.epoch if epochs else 1,
            here,
            event.record.partition,
            batch.topic,
        )
        for event, page in pages
    ]
    together = Compared(
        tuple({one.id: one for page in found for one in page.differing}.values()),
        tuple({one.id: one for page in found for one in page.strangers}.values()),
    )
    COMPARED.inc(len(ids))
    tell(batch.topic, "differ and are asked for", together.differing, DIFFERENCES)
    tell(batch.topic, "are not listed by their owner", together.strangers, STRANGERS)
    return together


def tell(topic: Topic, what: str, found: Sequence[Missed], counter: Counter) -> None:
    """Count them, and name the first few in the log, for whoever must find out why."""
    if found:
        counter.labels(topic).inc(len(found))
        named = ", ".join(str(one.id) for one in found[:FEW])
        logger.warning("census of %s: %d %s: %s", topic, len(found), what, named)


async def spoilt(tx: Transaction, batch: Batch) -> list[Missed]:
    """What could not be read of a batch, to be said again at once.

    A census would find most of it, but no census counts what is closed: the last that was said of
    a closed case would be missed for good.
    """
    ids = {key: id_ for bad in batch.unreadable if (id_ := id_of(key := bad.record.key))}
    if not ids:
        return []
    times = await hearing.parked_under(tx, batch.topic, list(ids))
    return [Missed(id=id_) for key, id_ in ids.items() if times.get(key, 0) <= MOST_ASKED]


def id_of(key: str) -> UUID | None:
    """The petition or case of a key."""
    try:
        return UUID(key)
    except ValueError:
        return None


async def report(
    tx: Transaction, topic: Topic, missed: Sequence[Missed], voice: Voice, now: datetime
) -> None:
    """Ask the owner to say these again."""
    parts = [missed[n : n + MOST_AT_ONCE] for n in range(0, len(missed), MOST_AT_ONCE)]
    if not parts:
        return
    reported: int = await tx.fetchval(
        "update census set reported = reported + $1 returning reported", len(parts)
    )
    first = reported - len(parts) + 1
    told = [CensusDiffered(type="casegrid.census.differed.v1", missed=tuple(p)) for p in parts]
    await outbox.append(
        tx,
        [
            saying(topic, REPORT, Order(voice.epoch, first + n), voice, now, data)
            for n, data in enumerate(told)
        ],
    )


async def ask_for_missed(
    batch: Batch, tx: Transaction, now: datetime, look: Look, topic: Topic, source: str, clock: str
) -> None:
    """Compare, and ask for whatever is not known here as its owner says: what listeners do.

    `topic` is the listener's own, `clock` the name of its promise clock.
    """
    found = await compared(tx, batch, look)
    # A case that its owner does not list may be closed long ago: his last word of it mends that.
    missed = [*found.differing, *found.strangers, *await spoilt(tx, batch)]
    if missed:
        await report(tx, topic, missed, Voice(source, await outbox.epoch(tx), clock), now)


async def reported(tx: Transaction, batch: Batch) -> list[Missed]:
    """What the reports of a batch ask for, if they were not heard before; now they were."""
    found = [(e, e.data) for e in batch.events if isinstance(e.data, CensusDiffered)]
    if not found:
        return []
    last = await tx.fetchrow(
        "select epoch, seq from census_heard where topic = $1 for update", batch.topic.value
    )
    known = Order(last["epoch"], last["seq"]) if last else Order(0, 0)
    new = [(event, data) for event, data in found if event.envelope.order > known]
    if new:
        newest = max(event.envelope.order for event, _ in new)
        await tx.execute(
            """
            insert into census_heard (topic, epoch, seq) values ($1, $2, $3)
            on conflict (topic) do update set epoch = excluded.epoch, seq = excluded.seq
            """,
            batch.topic.value,
            *newest,
        )
    return list({one.id: one for _, data in new for one in data.missed}.values())


Hear = Callable[[Batch, Transaction, datetime], Awaitable[None]]


def besides(hear: Hear, handle: Handle, *, asks: bool = False) -> Handle:
    """A handler that hears what a batch says of a census too; `handle` is given the rest.

    With `asks`, what could not be read is heard of too.
    """

    async def both(batch: Batch, tx: Transaction, now: datetime) -> Done | None:
        rest = [e for e in batch.events if not isinstance(e.data, CensusTaken | CensusDiffered)]
        if len(rest) == len(batch.events) and not (asks and batch.unreadable):
            return await handle(batch, tx, now)
        done = None
        if rest or batch.unreadable:
            done = await handle(Batch(batch.topic, rest, batch.unreadable), tx, now)
        # Only now: what a page tells of may lie before it in the same batch.
        await hear(batch, tx, now)
        return done

    return both
