"""Petitions as values: as they are stored, as they wait to be read, as they are announced.

Also who may see them. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.reading import ToRead
from shared.divisions import CITY, is_within
from shared.events import Channel, Kind, PetitionReceived, Reading

ACCUSATION = "R02"
"""Accusation against an official. [law] Petition Regulations, Art 29, 30."""

FAILED = Reading(state="failed")
"""What is said of a petition that could not be read: a dispatcher reads it."""


class Petition(NamedTuple):
    """What was said. Every field is a column of `petitions`, in this order."""

    id: UUID
    query_code: str
    kind: Kind
    channel: Channel
    subject: str | None
    text: str
    category: str | None
    place_code: str | None
    lat: float | None
    lon: float | None
    place_words: str | None
    accused: str | None
    accused_unknown: bool
    happened_at: datetime | None
    received_at: datetime
    contact: bool
    idempotency_key: str | None
    body_hash: bytes | None
    traceparent: str | None


class Registration(NamedTuple):
    """Who registered a petition for the person, when it came, and its reference there."""

    subject: str
    roles: tuple[str, ...]
    division: str
    office: str | None
    came_at: datetime | None
    reference: str | None


class Submission(NamedTuple):
    """A petition with what goes to the vault, as JSON; None where nothing was given."""

    petition: Petition
    person: str | None = None
    contact: str | None = None
    registration: Registration | None = None


class Addition(NamedTuple):
    """What a resident adds to a petition; received in promise time."""

    id: UUID
    text: str
    received_at: datetime
    idempotency_key: str | None
    body_hash: bytes | None
    traceparent: str | None


class UnreadPetition(NamedTuple):
    """What the reading of a petition needs, and what is said of it afterwards."""

    id: UUID
    number: str
    kind: Kind
    channel: Channel
    subject: str | None
    text: str
    category: str | None
    place_code: str | None
    lat: float | None
    lon: float | None
    place_words: str | None
    accused: str | None
    accused_unknown: bool
    happened_at: datetime | None
    received_at: datetime
    contact: bool
    traceparent: str | None


def to_read(petition: UnreadPetition) -> ToRead:
    """What the reader is given."""
    return ToRead(
        text=petition.text,
        kind=petition.kind,
        subject=petition.subject or "",
        category=petition.category,
        division=petition.place_code,
        lat=petition.lat,
        lon=petition.lon,
        place_words=petition.place_words or "",
    )


def received(petition: UnreadPetition, reading: Reading, policy: int) -> PetitionReceived:
    """What is said of a petition once it was read: what it means, never its words."""
    return PetitionReceived(
        type="casegrid.petition.received.v1",
        number=petition.number,
        channel=petition.channel,
        kind=petition.kind,
        received_at=petition.received_at,
        happened_at=petition.happened_at,
        reading=reading,
        contact=petition.contact,
        accused=petition.accused,
        accusation=is_accusation(petition.accused, petition.accused_unknown, reading),
        policy=policy,
    )


def is_accusation(accused: str | None, accused_unknown: bool, reading: Reading | None) -> bool:
    """Whether somebody is accused: by the petition itself, or by what it was read to be about."""
    return (
        accused is not None
        or accused_unknown
        or (reading is not None and reading.category == ACCUSATION)
    )


def may_see(
    division: str, accused: str | None, accused_unknown: bool, reading: Reading | None
) -> bool:
    """Whether an officer who acts for `division` may see a petition. One not read is the city's.

    The accused unit and all below it never may; while it is not known who is accused, that is
    the division that the petition names. [law] Petition Regulations, Art 30, 46(5)
    """
    lies_in = CITY if reading is None else reading.division
    if not is_within(lies_in, division):
        return False
    if not is_accusation(accused, accused_unknown, reading):
        return True
    shut_out = accused or lies_in
    return shut_out == CITY or not is_within(division, shut_out)


def accepted_at(petition_id: UUID) -> datetime:
    """The wall time at which a petition was taken in: its id (UUIDv7) begins with it."""
    return datetime.fromtimestamp((petition_id.int >> 80) / 1000, UTC)
