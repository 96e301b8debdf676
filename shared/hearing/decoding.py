"""From records to what was said: `Heard`, `Unreadable`, or of an `UnknownType`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from pydantic import ValidationError

from shared.events import MODELS, Data, Envelope, Order, Topic
from shared.kafka import Record
from shared.postgres import Transaction

MOST: Final = 2**31 - 1
"""The greatest epoch and seq that the tables hold (integer)."""


class Heard(NamedTuple):
    """An event as it was said, and the record that carried it."""

    record: Record
    envelope: Envelope
    data: Data


class Unreadable(NamedTuple):
    """A record that breaks the contract; `reason` never quotes its content."""

    record: Record
    reason: str


class UnknownType(NamedTuple):
    """A record of a type or version that this code does not know."""

    record: Record
    type: str


Decoded: TypeAlias = Heard | Unreadable | UnknownType


@dataclass(frozen=True, slots=True)
class Batch:
    """What a handler is given: records in order within each partition."""

    topic: Topic
    events: Sequence[Heard]
    unreadable: Sequence[Unreadable] = ()


Done: TypeAlias = Callable[[], None]
"""Run after the commit: counts what was done, which a rollback must not count."""

Handle: TypeAlias = Callable[[Batch, Transaction, datetime], Awaitable[Done | None]]
"""Everything that a batch changes happens in this transaction; `now` is promise time."""


def names_of(model: type[Data]) -> set[str]:
    """Every name of a field in this model and those derived from it."""
    names = {one for name, field in model.model_fields.items() for one in (name, field.alias)}
    return {name for name in names if name}.union(*map(names_of, model.__subclasses__()))


FIELD_NAMES = names_of(Data)


def reason_of(error: ValidationError) -> str:
    """What broke, by field and kind; never the value or a key, which could be anybody's."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(place_of, problem['loc']))}: {problem['type']}" for problem in problems[:5]
    )


def place_of(part: str | int) -> str:
    """A step on the way to what broke: a name of the contract or a number, as it is."""
    return str(part) if isinstance(part, int) or part in FIELD_NAMES else "(key)"


class Unfit(ValueError):
    """A header is not there, or is not what the contract wants; the message names it."""


def text(headers: Mapping[str, bytes], name: str) -> str:
    """A header as text. Raises `ValueError`, also for what no text column takes."""
    value = headers.get(name)
    if value is None:
        raise Unfit(f"header {name} is missing")
    if b"\x00" in value:
        raise Unfit(f"header {name} holds a zero byte")
    return value.decode()


def number(headers: Mapping[str, bytes], name: str) -> int:
    """A header as a number that the tables hold. Raises `ValueError`."""
    n = int(text(headers, name))
    if not 0 <= n <= MOST:
        raise Unfit(f"header {name} is out of range")
    return n


def moment(headers: Mapping[str, bytes], name: str) -> datetime:
    """A header as a moment in UTC. Raises `ValueError` or `OverflowError`."""
    at = datetime.fromisoformat(text(headers, name))
    if at.tzinfo is None:
        raise Unfit(f"header {name} has no time zone")
    return at.astimezone(UTC)


def envelope_of(record: Record) -> Envelope:
    """What the headers say. Raises `ValueError` or `OverflowError`."""
    headers = record.headers
    if "\x00" in record.key:
        raise Unfit("the key holds a zero byte")
    return Envelope(
        event_id=UUID(text(headers, "ce_id")),
        type=text(headers, "ce_type"),
        source=text(headers, "ce_source"),
        subject=record.key,
        order=Order(number(headers, "ce_epoch"), number(headers, "ce_seq")),
        occurred_at=moment(headers, "ce_time"),
        caused_by=text(headers, "ce_causedby"),
        clock=text(headers, "ce_clock"),
        traceparent=text(headers, "traceparent") if headers.get("traceparent") else None,
    )


def decode(record: Record) -> Decoded:
    """Read one record against the contract; whatever lies on a topic, this does not fail."""
    try:
        envelope = envelope_of(record)
    except Unfit as wrong:
        return Unreadable(record, str(wrong))
    except (ValueError, OverflowError) as wrong:
        return Unreadable(record, f"a header is not readable: {type(wrong).__name__}")
    model = MODELS[record.topic].get(envelope.type)
    if model is None:
        return UnknownType(record, envelope.type)
    if record.value is None:
        return Unreadable(record, "the value is empty")
    if b"\\u0000" in record.value:
        return Unreadable(record, "the value holds a zero character")
    try:
        data = model.model_validate_json(record.value)
    except ValidationError as wrong:
        return Unreadable(record, reason_of(wrong))
    return Heard(record, envelope, data)


def decoded(records: Sequence[Record]) -> tuple[Batch | None, dict[int, str]]:
    """A batch up to the first unknown type of each partition, and those partitions."""
    events: list[Heard] = []
    unreadable: list[Unreadable] = []
    stopped: dict[int, str] = {}
    for record in records:
        if record.partition in stopped:
            continue
        match decode(record):
            case Heard() as heard:
                events.append(heard)
            case Unreadable() as bad:
                unreadable.append(bad)
            case UnknownType(_, name):
                stopped[record.partition] = name
    if not events and not unreadable:
        return None, stopped
    return Batch(records[0].topic, events, unreadable), stopped


def next_offsets(batch: Batch) -> tuple[dict[int, int], dict[int, int]]:
    """(first, after the last) offset of each partition in a batch."""
    first: dict[int, int] = {}
    after: dict[int, int] = {}
    for record in [e.record for e in batch.events] + [u.record for u in batch.unreadable]:
        p, offset = record.partition, record.offset
        first[p] = min(first.get(p, offset), offset)
        after[p] = max(after.get(p, 0), offset + 1)
    return first, after
