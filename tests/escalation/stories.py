"""Snapshots of cases as the router says them, and what escalation says in return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.escalation.decisions import Armed, News, arm
from shared.divisions import Tier
from shared.events import (
    CASE_EVENTS,
    CaseChanged,
    CaseSnapshot,
    Change,
    ClockSnapshot,
    DeadlineBreached,
    Envelope,
    NoticePosted,
    Order,
    Topic,
    derived_id,
)
from shared.hearing import Batch, Heard, decode
from shared.kafka import Lane, Message, Record
from shared.outbox import relay_once
from shared.postgres import Transaction

STARTED = datetime(2019, 5, 20, 0, 30, tzinfo=UTC)
GRID, COMMUNITY, STREET, DISTRICT = (
    "210204005001001",
    "210204005001",
    "210204005",
    "210204",
)
CASE = UUID(int=1)
MINUTE = 60_000
HOUR = 60 * MINUTE


def at(milliseconds: int) -> datetime:
    """A moment of promise time."""
    return STARTED + timedelta(milliseconds=milliseconds)


def clock(name: object = "reply", **changes: object) -> ClockSnapshot:
    """A promise of a street cadre: 24 h, three marks, supervised each day, but for these fields."""
    fields: dict[str, object] = {
        "name": name,
        "generation": 1,
        "owner_division": STREET,
        "owner_role": "street_cadre",
        "due": 24 * HOUR,
        "warn": (12 * HOUR, 19 * HOUR, 23 * HOUR),
        "on_breach": "supervise",
        "repeat": 24 * HOUR,
    }
    return ClockSnapshot.model_validate(fields | changes)


def tier_clock(generation: int = 1, due: int = 5 * HOUR, **changes: object) -> ClockSnapshot:
    """The clock of a tier: promotes."""
    fields: dict[str, object] = {
        "generation": generation,
        "owner_division": GRID,
        "owner_role": "grid_head",
        "due": due,
        "warn": (),
        "on_breach": "promote",
    }
    return clock("tier", **(fields | changes))


def sign_clock(name: object = "sign", **changes: object) -> ClockSnapshot:
    """The holder signs within half an hour, else he and the level above are reminded."""
    fields: dict[str, object] = {
        "owner_division": GRID,
        "owner_role": "grid_head",
        "due": 30 * MINUTE,
        "warn": (24 * MINUTE,),
        "on_breach": "remind",
        "repeat": HOUR,
    }
    return clock(name, **(fields | changes))


def case(*clocks: ClockSnapshot, **changes: object) -> CaseSnapshot:
    """An open case in a grid with these clocks, but for these fields."""
    fields: dict[str, object] = {
        "number": "20190520-000001-7",
        "version": 1,
        "started_at": STARTED,
        "channel": "phone",
        "kind": "report",
        "track": "service",
        "stage": "assigned",
        "urgency": "U3",
        "tier": Tier.GRID,
        "holder": GRID,
        "role": "grid_head",
        "unit": "Grid 1",
        "place": GRID,
        "clocks": clocks,
        "policy": 1,
        "calendar": "2019",
    }
    return CaseSnapshot.model_validate(fields | changes)


def news(seq: int, snapshot: CaseSnapshot, case_id: UUID = CASE, epoch: int = 1) -> News:
    """A snapshot with its place."""
    return News(case_id, Order(epoch, seq), STARTED, snapshot)


def armed(*clocks: ClockSnapshot, **changes: object) -> Armed:
    """A case that was just heard of."""
    return arm(None, news(1, case(*clocks, **changes)))


def heard(
    seq: int,
    snapshot: CaseSnapshot,
    case_id: UUID | str = CASE,
    epoch: int = 1,
    order: UUID | None = None,
    trace: str | None = None,
    happened: str = "signed",
) -> Heard:
    """A snapshot as the consumer hands it on; `order`: the one that it answers."""
    key = str(case_id)
    type_ = CASE_EVENTS[happened]
    envelope = Envelope(
        event_id=derived_id(key, epoch, seq),
        type=type_,
        source="casegrid/router",
        subject=key,
        order=Order(epoch, seq),
        occurred_at=STARTED,
        caused_by="test",
        clock="real",
        traceparent=trace,
    )
    change = Change(transitions=("sign",), rule="step/sign", role="grid_head", order=order)
    data = CaseChanged(type=type_, case=snapshot, change=change)
    return Heard(Record(Topic.ROUTER, 0, seq, key, b"", {}, STARTED), envelope, data)


def batch(*events: Heard) -> Batch:
    """One batch of router.events."""
    return Batch(Topic.ROUTER, events)


async def relayed(tx: Transaction) -> list[Heard]:
    """All that waits in the outbox, carried off as the relay would, read as a consumer would."""
    carried: list[Heard] = []

    async def send(
        lanes: Mapping[Lane, Sequence[Message]],
    ) -> tuple[dict[Lane, int], dict[Lane, str]]:
        carried.extend(
            read(lane, message) for lane, messages in lanes.items() for message in messages
        )
        return {lane: len(messages) for lane, messages in lanes.items()}, {}

    while (await relay_once(tx, send)).sent:
        pass
    return carried


def read(lane: Lane, message: Message) -> Heard:
    """A message as its reader gets it: it must keep the contract."""
    topic, partition = lane
    headers = dict(message.headers)
    record = Record(topic, partition, 0, message.key.decode(), message.value, headers, STARTED)
    decoded = decode(record)
    assert isinstance(decoded, Heard), decoded
    return decoded


def only_orders(said: Iterable[Heard]) -> list[Heard]:
    """What was said to the router, without the notices to the desks."""
    return [one for one in said if isinstance(one.data, DeadlineBreached)]


def orders_in(said: Iterable[Heard]) -> list[tuple[str, DeadlineBreached]]:
    """The orders among what was said, with their cases."""
    return [
        (one.envelope.subject, one.data) for one in said if isinstance(one.data, DeadlineBreached)
    ]


def notices_in(said: Iterable[Heard]) -> list[NoticePosted]:
    """The notices among what was said."""
    return [one.data for one in said if isinstance(one.data, NoticePosted)]
