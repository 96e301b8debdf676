"""What can be asked of a case, and what comes of it: closed lists, plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    model_validator,
)
from pydantic_core import PydanticCustomError

from services.router.decisions.case import Case, but
from services.router.decisions.routing import Facts
from shared.divisions import Tier
from shared.events import CategoryCode, Channel, Kind, Order
from shared.events import Sign as OfSign

Word = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00]+$")]
Text = Annotated[Word, Field(max_length=4_000)]
OfficeId = Annotated[Word, Field(max_length=60)]
NOBODY = "none"


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Classify(_Command):
    """Say what it is about; with a place known, the first tier follows at once.

    `accused` names the division that is accused, `accused_office` the office, which then never see
    the case; "none" says that nobody is. What is named takes the place of all that was known of
    the accused; left out, that stands; so do the signs. Of a case that somebody holds already it
    is a correction, and `note` says why.
    """

    command: Literal["classify"]
    category: CategoryCode
    signs: tuple[OfSign, ...] | None = None
    note: Text | None = None
    accused: Annotated[str, Field(pattern=r"^(none|[0-9]{6}([0-9]{3}){0,3})$")] | None = None
    accused_office: OfficeId | None = None

    @model_validator(mode="after")
    def nobody_or_somebody(self) -> Self:
        """Who is accused is somebody, or nobody."""
        if self.accused == NOBODY and self.accused_office is not None:
            raise PydanticCustomError("accused", 'with "none" no office is accused either')
        return self


class Place(_Command):
    """Say where it is: a division code, as fine as is known; of a held case, a correction."""

    command: Literal["place"]
    division: str
    note: Text | None = None


class Sign(_Command):
    """The receiving desk takes responsibility."""

    command: Literal["sign"]


class Verify(_Command):
    """The grid team was on site: when, what it found, and what shows it. [article]"""

    command: Literal["verify"]
    at: AwareDatetime
    finding: Text
    evidence: Annotated[Word, Field(max_length=500)]


class Reply(_Command):
    """The street cadre's answer: what was found, what will be done, by whom, by when. [article]"""

    command: Literal["reply"]
    text: Text


class Resolve(_Command):
    """The matter is dealt with, and how: kept in the history, for the officers of the case."""

    command: Literal["resolve"]
    result: Text


class Close(_Command):
    """The call-back was tried, or there is nobody to call. [domain B1]"""

    command: Literal["close"]
    callback: Literal["answered", "no_answer", "no_contact"]


class Return(_Command):
    """Not mine: to the dispatcher one level above, with a coded reason."""

    command: Literal["return"]
    reason: Literal["not_in_my_area", "not_in_my_power", "wrong_category", "double"]
    note: Text | None = None


class Reroute(_Command):
    """Give it to this division, with a coded reason.

    From the street up to the office named, else to the one that the duty catalogue lets lead.
    """

    command: Literal["reroute"]
    division: str
    office: OfficeId | None = None
    reason: Literal["correction", "workload", "competence", "agreed"]
    note: Text | None = None


class Promote(_Command):
    """One tier up by a person's decision. [policy: escalation.promote_on]"""

    command: Literal["promote"]
    reason: Literal["beyond_authority", "repeat_open", "scale_up", "petitioner_request"]
    note: Text | None = None


class HandOver(_Command):
    """Passed to an outside body: which, when, and its reference. Only this ends a hand-off."""

    command: Literal["hand_over"]
    body: Annotated[Word, Field(max_length=100)]
    at: AwareDatetime
    reference: Annotated[Word, Field(max_length=100)]


OfficerCommand = Annotated[
    Classify
    | Place
    | Sign
    | Verify
    | Reply
    | Resolve
    | Close
    | Return
    | Reroute
    | Promote
    | HandOver,
    Field(discriminator="command"),
]
OFFICER_COMMAND: TypeAdapter[OfficerCommand] = TypeAdapter(OfficerCommand)


@dataclass(frozen=True, slots=True)
class Open:
    """A petition was received and read: open its case."""

    petition: UUID
    number: str
    channel: Channel
    kind: Kind
    received_at: datetime
    contact: bool
    facts: Facts
    heard: Order


@dataclass(frozen=True, slots=True)
class Supplement:
    """The resident added something."""

    heard: Order


@dataclass(frozen=True, slots=True)
class ApplyOrder:
    """Escalation says that a clock was breached: promote or supervise."""

    order: UUID
    clock: str
    generation: int
    tier: Tier | None
    action: Literal["promote", "supervise"]


@dataclass(frozen=True, slots=True)
class Republish:
    """Somebody who listens has missed something of the case: say it again, whole."""


Command: TypeAlias = OfficerCommand | Open | Supplement | ApplyOrder | Republish


@dataclass(frozen=True, slots=True)
class Changed:
    """The case after the step, and what to say of it.

    `event` is the event's verb; `detail` goes into the history only, where words are allowed.
    """

    case: Case
    event: str
    transitions: tuple[str, ...]
    rule: str
    detail: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not, in plain words, and what would be allowed instead."""

    reason: Literal[
        "not_allowed_now", "not_your_role", "not_your_area", "unknown", "incomplete", "stale"
    ]
    says: str
    allowed: tuple[str, ...] = ()


Decision: TypeAlias = Changed | Refused


def stepped(
    before: Case,
    after: Case,
    event: str,
    rule: str,
    transitions: tuple[str, ...] = (),
    detail: Mapping[str, object] | None = None,
) -> Changed:
    """The next version of a case: its state, holder or content changed."""
    after = but(after, version=before.version + 1, seq=before.seq + 1)
    return Changed(after, event, transitions or (event,), rule, detail or {})
