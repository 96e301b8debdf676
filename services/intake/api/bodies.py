"""What may be sent to intake, and how it becomes a petition. Fields that are unknown are refused.

Sizes are in characters. None of these checks quotes what was sent.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError
from uuid_utils.compat import uuid7

from services.intake.api.headers import hash_under
from services.intake.decisions.petitions import Petition, Registration, Submission
from services.intake.decisions.policy import Policy
from shared.events import Channel, Kind
from shared.http import Problem, spelt_out
from shared.identity import Actor

TOLERANCE = timedelta(minutes=5)
"""[ours] A sender's clock may run this much ahead of ours."""

LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)

ON_PAPER: frozenset[Channel] = frozenset({"letter", "visit"})
"""What nobody but an officer can hand in."""

FOR_A_PERSON: frozenset[Channel] = ON_PAPER | {
    "phone", "email", "sms", "wish_box", "transfer_in", "online_chat",
}  # fmt: skip
"""The channels on which an officer may have taken it for the person. [ours]"""

CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""No 0 and O, no 1, I and L: a query code is read out on the phone."""

CODE_LENGTH = 8


def says_something(text: str) -> str:
    """Words, not only blanks, that a database can keep."""
    if "\0" in text:
        raise PydanticCustomError("nul", "must not contain the character NUL")
    if text.isspace():
        raise PydanticCustomError("blank", "must not be blank")
    return text


SAYS = AfterValidator(says_something)


class Body(BaseModel):
    """A JSON object: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


DivisionCode = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{6}([0-9]{3}){0,3}$"),
    Field(description="6 (district), 9 (street), 12 (community) or 15 (grid) digits"),
]


class Place(Body):
    """Where it is: a division code, WGS 84 coordinates, or words; the code counts most."""

    code: DivisionCode | None = None
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = None
    words: Annotated[str, Field(min_length=1, max_length=500), SAYS] | None = None

    @model_validator(mode="after")
    def some_place(self) -> Self:
        """At least one way to find it, and coordinates in pairs."""
        if (self.lat is None) != (self.lon is None):
            raise PydanticCustomError("half_a_point", "lat and lon are given together or not")
        if self.code is None and self.lat is None and self.words is None:
            raise PydanticCustomError("no_place", "give code, or lat and lon, or words")
        return self


class Person(Body):
    """Who it is from; kept in the vault, apart from the petition."""

    name: Annotated[str, Field(min_length=1, max_length=100), SAYS]
    address: Annotated[str, Field(min_length=1, max_length=300), SAYS] | None = None


class Contact(Body):
    """How to reach them; kept in the vault, apart from the petition."""

    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9() -]{2,28}[0-9]$")] | None = (
        None
    )
    email: (
        Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00]+@[^@\s\x00]+$")]
        | None
    ) = None

    @model_validator(mode="after")
    def some_way(self) -> Self:
        """An empty contact is a slip."""
        if self.phone is None and self.email is None:
            raise PydanticCustomError("no_contact", "give phone or email, or leave contact out")
        return self


class Accused(Body):
    """Whom it accuses: a division, an office, or somebody that it does not name."""

    division: DivisionCode | None = None
    office: Annotated[str, Field(min_length=1, max_length=60), SAYS] | None = Field(
        default=None, description="the id of an office, not of a division's own desk"
    )
    unknown: Literal[True] | None = None

    @model_validator(mode="after")
    def one_of_them(self) -> Self:
        """Known or unknown."""
        if [self.division, self.office, self.unknown].count(None) != 2:
            raise PydanticCustomError("accused", 'give one of division, office, "unknown": true')
        return self


class OnBehalf(Body):
    """A letter, visit or call that an officer registers for the person."""

    came_at: AwareDatetime = Field(
        description="when it came, with a time zone; the clocks run from now"
    )
    reference: Annotated[str, Field(min_length=1, max_length=100), SAYS] | None = None


class NewPetition(Body):
    """What a resident says, as a channel hands it in."""

    kind: Kind
    channel: Channel
    text: Annotated[str, Field(min_length=1, max_length=20_000), SAYS]
    subject: Annotated[str, Field(min_length=1, max_length=300), SAYS] | None = None
    category: Annotated[str, StringConstraints(pattern=r"^[A-Z][0-9]{2,6}$")] | None = None
    place: Place | None = None
    person: Person | None = None
    contact: Contact | None = None
    accused: Accused | None = None
    on_behalf: OnBehalf | None = Field(
        default=None,
        description="registered for the person, as each letter and visit is; needs an officer's"
        " token",
    )
    occurred_at: AwareDatetime | None = Field(
        default=None, description="when it happened, with a time zone; never starts a clock"
    )


def check(given: NewPetition, policy: Policy | None, now: datetime) -> None:
    """What needs a clock or a policy. Without a policy yet, codes are checked when it is read.

    Raises a 422 `Problem` that names each field.
    """
    came_at = given.on_behalf.came_at if given.on_behalf else None
    if given.category is None and not (
        given.place or given.accused or given.occurred_at or came_at or given.channel in ON_PAPER
    ):
        return
    wrong = registered_wrongly(given)
    at = given.occurred_at
    if at is not None and at > now + TOLERANCE:
        wrong.append({"field": "occurred_at", "says": "lies in the future"})
    if at is not None and at < LONG_AGO:
        wrong.append({"field": "occurred_at", "says": "lies before 1900"})
    if came_at is not None and not LONG_AGO <= came_at <= now + TOLERANCE:
        wrong.append({"field": "on_behalf.came_at", "says": "lies in the future or before 1900"})
    if policy is not None:
        wrong += unknown_codes(given, policy)
    if wrong:
        raise Problem(
            422,
            "invalid-request",
            "Some fields are wrong; each is named under `errors`. Correct them and send again.",
            errors=wrong,
        )


def registered_wrongly(given: NewPetition) -> list[dict[str, str]]:
    """What a channel does not take: a letter of nobody's, or a patrol registered for a person."""
    if given.on_behalf is None and given.channel in ON_PAPER:
        says = (
            f"a {given.channel} is registered by an officer: say under on_behalf when it came"
            " (came_at), and send an officer's token"
        )
    elif given.on_behalf is not None and given.channel not in FOR_A_PERSON:
        says = f"nobody is registered for on the channel {given.channel}: leave it out"
    else:
        return []
    return [{"field": "on_behalf", "says": says}]


def unknown_codes(given: NewPetition, policy: Policy) -> list[dict[str, str]]:
    """The codes that the policy in force does not have."""
    wrong = []
    if given.category is not None and given.category not in policy.categories:
        wrong.append({"field": "category", "says": "no category of the policy has this code"})
    named = {
        "place.code": given.place and given.place.code,
        "accused.division": given.accused and given.accused.division,
    }
    for field, code in named.items():
        if code is not None and code not in policy.divisions:
            wrong.append({"field": field, "says": "no division has this code"})
    office = given.accused and given.accused.office
    if office is not None and office not in policy.offices:
        says = "no office has this id; of a division's own desk name the division"
        wrong.append({"field": "accused.office", "says": says})
    return wrong


def query_code() -> str:
    """A new random query code."""
    n = secrets.randbelow(len(CODE_LETTERS) ** CODE_LENGTH)
    letters = ""
    for _ in range(CODE_LENGTH):
        n, letter = divmod(n, len(CODE_LETTERS))
        letters += CODE_LETTERS[letter]
    return letters


def submission(
    given: NewPetition,
    raw: bytes,
    key: str | None,
    now: datetime,
    trace: str,
    registrar: Actor | None = None,
) -> Submission:
    """A new petition of what was sent, received `now` (promise time); by whom it was registered."""
    place, accused = given.place, given.accused
    petition = Petition(
        id=uuid7(),
        query_code=query_code(),
        kind=given.kind,
        channel=given.channel,
        subject=given.subject,
        text=given.text,
        category=given.category,
        place_code=place.code if place else None,
        lat=place.lat if place else None,
        lon=place.lon if place else None,
        place_words=place.words if place else None,
        accused=accused.division if accused else None,
        accused_office=accused.office if accused else None,
        accused_unknown=accused is not None and accused.unknown is True,
        happened_at=given.occurred_at,
        received_at=now,
        contact=given.contact is not None,
        idempotency_key=key,
        body_hash=hash_under(key, raw),
        traceparent=trace,
    )
    return Submission(
        petition,
        for_vault(given.person),
        for_vault(given.contact),
        registration(given.on_behalf, registrar),
    )


def registration(on_behalf: OnBehalf | None, registrar: Actor | None) -> Registration | None:
    """Who registered it, where somebody did."""
    if on_behalf is None or registrar is None:
        return None
    return Registration(
        subject=registrar.subject,
        roles=tuple(sorted(registrar.roles)),
        division=registrar.division,
        office=registrar.office,
        came_at=on_behalf.came_at,
        reference=on_behalf.reference,
    )


def for_vault(who: Person | Contact | None) -> str | None:
    """What goes to the vault, as JSON."""
    return None if who is None else who.model_dump_json(exclude_none=True)


def schema_of(body: type[Body]) -> dict[str, Any]:
    """The request body of an operation that reads it raw, for the API page."""
    schema = spelt_out(body.model_json_schema())
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    }
