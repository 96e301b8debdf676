"""The heartbeat: a made-up petition that goes the whole way, so that a quiet night is no silence.

Intake's reader says one to every partition; whoever hears it notes when, and who speaks next says
it on, in the transaction of its batch. So a beat waits where petitions wait: behind a reader that
stands still, an outbox that is not sent, a partition that nobody hears. It is an event of a type of
its own: no petition is kept and no case is opened, so that nothing has to leave it out. Of each
partition one row is kept, of the last beat. docs/adr/0008-heartbeat.md says why.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from shared import outbox
from shared.census import Voice, saying, subjects
from shared.clock import wall
from shared.events import Heartbeat, Order, Topic
from shared.hearing import Batch, Done, Handle
from shared.kafka import PARTITIONS
from shared.postgres import Transaction
from shared.telemetry import HEARTBEAT_AGE, show_age

WORD: Final = "heartbeat"
SENT: Final = "sent"
"""In place of a topic: what intake itself said last."""

STAGES: Final[Mapping[tuple[str, str], str]] = {
    ("intake", SENT): "sent",
    ("router", Topic.INTAKE): "routed",
    ("escalation", Topic.ROUTER): "timed",
    ("analytics", Topic.ROUTER): "counted",
    ("intake", Topic.ROUTER): "told",
    ("router", Topic.ESCALATION): "ordered",
}
"""What a service does with what it hears on a topic: the stages of the way."""


class Beat(NamedTuple):
    """The last beat of a partition, and which one in a row it is there."""

    partition: int
    beat_at: datetime
    n: int


@dataclass(slots=True)
class Heart:
    """Where beats come from: of all processes of intake, one says the next when it is due.

    `every`: 0 where none beats.
    """

    every: timedelta = timedelta(0)
    looks_at: float = 0.0

    async def beat(self, tx: Transaction, voice: Voice, now: datetime) -> bool:
        """Say a beat to every partition, if it is time; `now` is promise time."""
        if not self.every or time.monotonic() < self.looks_at:
            return False
        self.looks_at = time.monotonic() + self.every.total_seconds() / 10
        return await beat_once(tx, voice, now, wall(), self.every)


async def beat_once(
    tx: Transaction, voice: Voice, now: datetime, at: datetime, every: timedelta
) -> bool:
    """Say a beat at `at` (wall time), unless somebody did less than `every` ago.

    Nor while the last one is unsaid: with the broker away they would only pile up.
    """
    n = await tx.fetchval(
        """
        insert into heartbeats as h (topic, partition, beat_at, n) values ($1, 0, $2, 1)
        on conflict (topic, partition) do update set beat_at = excluded.beat_at, n = h.n + 1
        where h.beat_at <= $2::timestamptz - $3::interval
            and not exists (select from outbox where id <= h.outbox_id)
        returning n
        """,
        SENT,
        at,
        every,
    )
    if n is None:
        return False
    beats = [Beat(partition, at, n) for partition in range(PARTITIONS[Topic.INTAKE])]
    await say(tx, Topic.INTAKE, beats, voice, now)
    await tx.execute(
        "update heartbeats set outbox_id = (select max(id) from outbox) where topic = $1", SENT
    )
    return True


async def say(
    tx: Transaction, topic: Topic, beats: Sequence[Beat], voice: Voice, now: datetime
) -> None:
    """Say these on a topic, each to its own partition."""
    subject_of = subjects(topic, WORD)
    sayings = []
    for beat in beats:
        data = Heartbeat(type="casegrid.heartbeat.v1", beat_at=beat.beat_at)
        order = Order(voice.epoch, beat.n)
        sayings.append(saying(topic, subject_of[beat.partition], order, voice, now, data, WORD))
    await outbox.append(tx, sayings)


class On(NamedTuple):
    """Where a service says on what it felt: its own topic, and how it speaks."""

    topic: Topic
    voice: Voice


def feeling(handle: Handle, on: On | None = None) -> Handle:
    """A handler that feels the beats of a batch too; `handle` is given the rest.

    They are said `on`; None where nobody waits for them.
    """

    async def both(batch: Batch, tx: Transaction, now: datetime) -> Done | None:
        rest = [e for e in batch.events if not isinstance(e.data, Heartbeat)]
        if len(rest) == len(batch.events):
            return await handle(batch, tx, now)
        done = None
        if rest or batch.unreadable:
            done = await handle(Batch(batch.topic, rest, batch.unreadable), tx, now)
        new = await note(tx, batch)
        if on is not None:
            await say(tx, on.topic, new, on.voice, now)
        return done

    return both


async def note(tx: Transaction, batch: Batch) -> list[Beat]:
    """Note the newest beat of each partition; says which were not known."""
    newest: dict[int, datetime] = {}
    for event in batch.events:
        if isinstance(event.data, Heartbeat):
            before = newest.get(event.record.partition, event.data.beat_at)
            newest[event.record.partition] = max(before, event.data.beat_at)
    rows = await tx.fetch(
        """
        insert into heartbeats as h (topic, partition, beat_at, n)
        select $1, *, 1 from unnest($2::int[], $3::timestamptz[])
        on conflict (topic, partition) do update set beat_at = excluded.beat_at, n = h.n + 1
        where h.beat_at < excluded.beat_at
        returning partition, beat_at, n
        """,
        batch.topic.value,
        list(newest),
        list(newest.values()),
    )
    return [Beat(row["partition"], row["beat_at"], row["n"]) for row in rows]


async def show_ages(tx: Transaction, service: str, since: datetime) -> None:
    """Show how long ago the last beat was sent that each stage of a service felt everywhere.

    The partition that is furthest behind counts. One that never felt any counts as if it had when
    this process began, at `since`.
    """
    rows = await tx.fetch(
        "select topic, min(beat_at) as oldest, count(*) as felt from heartbeats group by topic"
    )
    found = {row["topic"]: row for row in rows}
    for (whose, topic), stage in STAGES.items():
        if whose == service:
            row = found.get(topic)
            everywhere = 1 if topic == SENT else PARTITIONS[Topic(topic)]
            whole = row is not None and row["felt"] >= everywhere
            last = row["oldest"] if row is not None and whole else since
            show_age(HEARTBEAT_AGE.labels(stage), last)
