"""Petitions as values: as they are stored, as they wait to be read, as they are announced.

Also who may see them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.reading import ToRead
from shared.divisions import CITY, is_within
from shared.events import Channel, Kind, PetitionReceived, Reading
from shared.identity import Actor

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
    accused_office: str | None
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
    came_at: datetime
    reference: str | None


class Submission(NamedTuple):
    """A petition with what goes to the vault, as JSON; None where nothing was given."""

    petition: Petition
    person: str | None = None
    contact: str | None = None
    registration: Registration | None = None


class Accused(NamedTuple):
    """Whom a petition accuses: a division, an office, or somebody that it does not name."""

    division: str | None = None
    office: str | None = None
    unknown: bool = False

    @property
    def is_somebody(self) -> bool:
        """Whether the petition itself accuses anybody."""
        return self.division is not None or self.office is not None or self.unknown


class Accusations(NamedTuple):
    """What a policy says of them: the categories that are some, the offices that can be accused.

    [law] Petition Regulations, Art 29, 30.
    """

    categories: frozenset[str] = frozenset()
    offices: frozenset[str] = frozenset()

    def is_one(self, accused: Accused, reading: Reading | None) -> bool:
        """Whether somebody is accused: by the petition itself, or by what it was read to say."""
        about = None if reading is None else reading.category
        return accused.is_somebody or about in self.categories


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
    accused_office: str | None
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


def received(
    petition: UnreadPetition, reading: Reading, policy: int, rules: Accusations
) -> PetitionReceived:
    """What is said of a petition once it was read: what it means, never its words.

    An office that is none of the policy's was only words: it is not said.
    """
    office = petition.accused_office
    accused = Accused(petition.accused, office, petition.accused_unknown)
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
        accused_office=office if office in rules.offices else None,
        accusation=rules.is_one(accused, reading),
        policy=policy,
    )


class ShutOut(NamedTuple):
    """Who may not see a case, as the router says: a division with all below it, an office."""

    division: str | None
    office: str | None

    def has(self, who: Actor) -> bool:
        """Whether an officer belongs to who is shut out."""
        if who.office is not None and who.office == self.office:
            return True
        return self.division is not None and is_within(who.division, self.division)


class Part(NamedTuple):
    """An office in a division that has a part in a case: it holds it, or owes something in it."""

    division: str
    office: str


def may_see(
    who: Actor,
    accused: Accused,
    reading: Reading | None,
    rules: Accusations,
    parts: Iterable[Part] = (),
) -> bool:
    """Whether an officer may see a petition. One not read is the city's.

    The accused unit and all below it never may. While it is not known who is accused, that is the
    division that the petition names; who names no office that there is names nobody. Who acts for
    an office sees what the router gave his office a `part` in: of an accusation of somebody unknown
    that is no office. [law] Petition Regulations, Art 30, 46(5)
    """
    if who.office is not None:
        named = accused.division is not None and is_within(who.division, accused.division)
        has_part = any(
            part.office == who.office and is_within(part.division, who.division) for part in parts
        )
        return has_part and not named and who.office != accused.office
    lies_in = CITY if reading is None else reading.division
    if not is_within(lies_in, who.division):
        return False
    if not rules.is_one(accused, reading):
        return True
    if accused.division is None and accused.office in rules.offices:
        return True
    shut_out = accused.division or lies_in
    return shut_out == CITY or not is_within(who.division, shut_out)


def accepted_at(petition_id: UUID) -> datetime:
    """The wall time at which a petition was taken in: its id (UUIDv7) begins with it."""
    return datetime.fromtimestamp((petition_id.int >> 80) / 1000, UTC)
