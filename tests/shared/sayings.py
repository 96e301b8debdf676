"""Records as intake would say them, waiting for what comes of it, and breaking topics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from shared import kafka
from shared.events import Envelope, Order, PetitionSupplemented, Topic, derived_id, dump
from shared.kafka import Message
from shared.kafka.connection import admin
from shared.outbox import Saying, headers_of
from shared.service import Process, consume, through_weather
from shared.settings import Settings
from tests.shared.listener.__main__ import handle

T = TypeVar("T")
AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
ONE, TWO = "one", "four"
LANE, OTHER_LANE = kafka.lane_of(Topic.INTAKE, ONE), kafka.lane_of(Topic.INTAKE, TWO)
assert LANE != OTHER_LANE


def saying(subject: str, seq: int, cause: str = "test") -> Saying:
    """The resident added something."""
    data = PetitionSupplemented(type="casegrid.petition.supplemented.v1", received_at=AT)
    envelope = Envelope(
        event_id=derived_id(subject, seq),
        type=data.type,
        source="test",
        subject=subject,
        order=Order(1, seq),
        occurred_at=AT,
        caused_by=cause,
        clock="real",
    )
    return Saying(Topic.INTAKE, envelope, data)


def message(subject: str, seq: int, cause: str = "test") -> Message:
    """The same as a record."""
    said = saying(subject, seq, cause)
    return Message(subject.encode(), dump(said.data), headers_of(said.envelope))


def with_header(message: Message, name: str, value: bytes) -> Message:
    """The same record with another header."""
    return message._replace(
        headers=[(known, value if known == name else old) for known, old in message.headers]
    )


async def say(settings: Settings, *messages: Message, topic: Topic = Topic.INTAKE) -> None:
    """Write records, each to the lane of its key, in order."""
    lanes: dict[kafka.Lane, list[Message]] = {}
    for one in messages:
        lanes.setdefault((topic, kafka.lane_of(topic, one.key.decode())), []).append(one)
    sender = kafka.Sender(settings)
    counts, refused = await sender.send(lanes)
    await sender.drop()
    assert sum(counts.values()) == len(messages)
    assert not refused


async def eventually(
    ask: Callable[[], Awaitable[T]], until: Callable[[T], bool], seconds: float = 30
) -> T:
    """Ask again until the answer will do; the last answer stands in the failure."""
    end = time.monotonic() + seconds
    while True:
        answer = await ask()
        if until(answer):
            return answer
        assert time.monotonic() < end, f"not within {seconds} s: {answer}"
        await asyncio.sleep(0.05)


async def heard(process: Process, subject: str) -> list[int]:
    """Which events of a subject were written down."""
    async with process.pool.acquire() as connection:
        rows = await connection.fetch("select seq from heard where subject = $1", subject)
    return [row["seq"] for row in rows]


async def until_heard(process: Process, subject: str, seqs: Sequence[int]) -> None:
    """Wait until just these were written down, in this order."""
    await eventually(lambda: heard(process, subject), lambda found: found == list(seqs))


async def reason(process: Process, loop: str) -> str:
    """Why a loop does not get on; waits until it does not."""

    async def why() -> str | None:
        return process.health.reasons.get(loop)

    found = await eventually(why, lambda reason: reason is not None)
    assert found is not None
    return found


async def until_well(process: Process) -> None:
    """Wait until there is nothing to complain of."""

    async def complaints() -> dict[str, str]:
        return process.health.reasons

    await eventually(complaints, lambda found: not found)


@asynccontextmanager
async def listening(process: Process) -> AsyncIterator[None]:
    """The process hears its topic meanwhile; a bug in it is raised."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            through_weather(process, "consume", lambda: consume(process, Topic.INTAKE, handle))
        )
        yield
        task.cancel()


async def replace_topics(settings: Settings) -> None:
    """All topics are gone and made anew, as on a broker that lost its disk."""
    async with admin(settings) as client:
        names = [settings.topic_prefix + topic for topic in Topic]
        await client.delete_topics(names)

        async def there() -> set[str]:
            return set(names) & set(await client.list_topics())

        await eventually(there, lambda left: not left)
    await kafka.create_topics(settings)


async def expire(settings: Settings, topic: Topic, partition: int, before: int) -> None:
    """The broker no longer keeps what lies before this offset."""
    place = TopicPartition(settings.topic_prefix + topic, partition)
    async with admin(settings) as client:
        await client.delete_records({place: RecordsToDelete(before)})
