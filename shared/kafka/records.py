"""A record as it lies on a topic, and one that is to be said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from shared.events import Topic


class Record(NamedTuple):
    """A record as it lies on a topic; `appended_at` is the broker's time."""

    topic: Topic
    partition: int
    offset: int
    key: str
    value: bytes | None
    headers: dict[str, bytes]
    appended_at: datetime


class Message(NamedTuple):
    """A record to be said: its lane is a partition of its topic."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


Lane = tuple[Topic, int]


def size_of(message: Message) -> int:
    """The bytes of its key, its headers and its value, before compression."""
    headers = sum(len(name) + len(value) for name, value in message.headers)
    return len(message.key) + headers + len(message.value)


def record_of(topic: Topic, raw: Any) -> Record:
    """Our record of aiokafka's. A header without a value, which Kafka allows, is none to us."""
    return Record(
        topic,
        raw.partition,
        raw.offset,
        raw.key.decode("utf-8", "replace") if raw.key else "",
        raw.value,
        {name: value for name, value in raw.headers if value is not None},
        datetime.fromtimestamp(raw.timestamp / 1000, UTC),
    )
