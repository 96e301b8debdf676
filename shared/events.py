"""THE CONTRACT: everything the services say to each other, and nothing else.

An event travels as a CloudEvents 1.0 record in binary mode: the `Envelope` is the headers, the
`Data` is the JSON value, the key is the subject. Names in JSON are short because a snapshot is
said again with every step of a case; names in Python are whole words. Times inside a snapshot
are milliseconds after `started_at`, the moment the petition was received.

Readers ignore fields they do not know. A new optional field keeps the version of a type;
anything else is a new class beside the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple, TypeAlias, get_args
from uuid import UUID, uuid5

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from shared.divisions import Tier

EVENT_IDS = UUID("6f1c1f52-6ad9-5d0c-9f0b-6b8f3a3f6f11")
"""Namespace of derived event ids: the same cause gives the same id."""


class Topic(StrEnum):
    """One topic per owner; the owner alone writes to it."""

    INTAKE = "intake.events"
    ROUTER = "router.events"
    ESCALATION = "escalation.events"
    ANALYTICS = "analytics.events"
    POLICY = "policy.events"


class Order(NamedTuple):
    """The place of an event among those of its subject: gapless per subject and owner."""

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the headers say: who says what about which subject, when, and because of what."""

    event_id: UUID
    type: str
    source: str
    subject: str
    order: Order
    occurred_at: datetime
    caused_by: str
    clock: str
    traceparent: str | None = None


class Data(BaseModel):
    """The JSON value of an event."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )


Milliseconds: TypeAlias = int
CategoryCode: TypeAlias = str

Channel = Literal[
    "phone", "app", "web", "wechat", "sms", "letter", "email", "visit", "grid_patrol",
    "online_chat", "wish_box", "video", "iot", "transfer_in",
]  # fmt: skip
Kind = Literal["consult", "help", "complain", "report", "suggest", "praise", "wish"]
Urgency = Literal["U1", "U2", "U3", "U4"]
Track = Literal["service", "consult", "xinfang", "mediation", "project", "handoff"]
Sign = Literal["enforcement", "danger", "many_people", "mass_incident_suspected"]
Stage = Literal["registered", "assigned", "signed", "resolved", "closed", "handed_off"]
OnBreach = Literal["promote", "supervise", "remind", "lapse", "none"]
OfficeKind = Literal["desk", "department", "utility", "committee", "outside"]


# ---------------------------------------------------------------- the census


class Counted(Data):
    """A petition or case of a census: its last event, and the promises that run on it."""

    id: UUID = Field(alias="i")
    epoch: int = Field(default=1, alias="e")
    seq: int = Field(alias="s")
    fingerprint: str | None = Field(default=None, alias="f")
    closed: bool = Field(default=False, alias="c")


def fingerprint(holder: str, clocks: Iterable[tuple[str, int, int]]) -> str:
    """A hash over who holds a case and its clocks: (name, generation, due in ms after start)."""
    parts = [holder, *(f"{name}/{n}/{due}" for name, n, due in sorted(clocks))]
    return hashlib.blake2b("|".join(parts).encode(), digest_size=6).hexdigest()


class CensusTaken(Data):
    """What its owner holds of the ids after `after` up to `up_to` that lie in this partition.

    Of the router all cases that are open or were closed not long ago, of intake all petitions that
    were said. Whoever hears the owner knows as much by now, or has missed something. `taken_at` is
    wall time.
    """

    type: Literal["casegrid.census.taken.v1"]
    after: UUID
    up_to: UUID
    taken_at: AwareDatetime
    counted: tuple[Counted, ...] = ()


class Missed(Data):
    """A petition or case, and the seq up to which a listener knows it; 0: it never heard of it."""

    id: UUID = Field(alias="i")
    seq: int = Field(default=0, alias="s")


class CensusDiffered(Data):
    """A listener knows less, or otherwise, of these: the owner says them again."""

    type: Literal["casegrid.census.differed.v1"]
    missed: tuple[Missed, ...]


class Heartbeat(Data):
    """A made-up petition that only goes the way of one: no case comes of it, nothing counts it.

    `beat_at` is when intake said it, in wall time.
    """

    type: Literal["casegrid.heartbeat.v1"]
    beat_at: AwareDatetime


# ---------------------------------------------------------------- intake.events


class Candidate(Data):
    """A category the text may be about, with its share of all that spoke (0 to 1)."""

    code: CategoryCode = Field(alias="c")
    score: float = Field(alias="s")


class Word(Data):
    """A word of the published vocabulary that was found, and what it spoke for."""

    word: str = Field(alias="w")
    means: str = Field(alias="m")
    weight: float = Field(alias="x")


class Reading(Data):
    """What a petition means. Only vocabulary words and gazetteer names, never its own text."""

    state: Literal["read", "failed"] = "read"
    category: CategoryCode | None = None
    basis: Literal["given", "suggested", "none"] = "none"
    confidence: float = 0.0
    candidates: tuple[Candidate, ...] = ()
    words: tuple[Word, ...] = ()
    division: str = "city"
    placed_by: Literal["code", "coordinates", "name", "none"] = "none"
    place: str | None = None
    signs: tuple[Sign, ...] = ()


class PetitionReceived(Data):
    """Always the first event of a petition: accepted, stored and read.

    `accused` is a division, `accused_office` the id of an office.
    """

    type: Literal["casegrid.petition.received.v1"]
    number: str
    channel: Channel
    kind: Kind
    received_at: AwareDatetime
    happened_at: AwareDatetime | None = None
    reading: Reading
    contact: bool = False
    accused: str | None = None
    accused_office: str | None = None
    accusation: bool = False
    policy: int


class PetitionSupplemented(Data):
    """The resident added something, or urged; the words stay in intake."""

    type: Literal["casegrid.petition.supplemented.v1"]
    received_at: AwareDatetime
    urges: bool = False


RatingReason = Literal["not_solved", "came_back", "wrong_answer", "slow", "unkind"]


class PetitionRated(Data):
    """What the resident says of how it was handled. `reason`: what is wrong, where something is."""

    type: Literal["casegrid.petition.rated.v1"]
    received_at: AwareDatetime
    solved: bool
    satisfied: bool
    reason: RatingReason | None = None


# ---------------------------------------------------------------- router.events


class ClockSnapshot(Data):
    """One running promise. Escalation acts on this and computes no date of its own.

    Its owner is a division, a role there and sometimes an office; unsaid, who holds the case.
    """

    name: str = Field(alias="n")
    generation: int = Field(alias="g")
    owner_division: str | None = Field(default=None, alias="o")
    owner_role: str | None = Field(default=None, alias="r")
    owner_office: str | None = Field(default=None, alias="f")
    started: Milliseconds = Field(default=0, alias="s")
    due: Milliseconds = Field(alias="d")
    warn: tuple[Milliseconds, ...] = Field(default=(), alias="w")
    on_breach: OnBreach = Field(alias="b")
    repeat: Milliseconds | None = Field(default=None, alias="e")
    paused: bool = Field(default=False, alias="p")
    answered: bool = Field(default=False, alias="a")


def promise_of(clock: str) -> str:
    """Which promise a clock is: each task of a case has its own, `report_in/3`."""
    return clock.partition("/")[0]


class CaseSnapshot(Data):
    """The whole case as other services need it; the greatest (epoch, seq) is the truth.

    `accused_division` is shut out: nobody in it or below may see the case, be told of it or own
    a clock of it. It is the accused unit; of an accusation whose accused is not known, the
    smallest division that the case names. `accused_office` is shut out wherever it serves.
    """

    number: str = Field(alias="no")
    version: int = Field(alias="v")
    started_at: AwareDatetime = Field(alias="t")
    channel: Channel = Field(alias="ch")
    kind: Kind = Field(alias="k")
    track: Track = Field(alias="tr")
    stage: Stage = Field(alias="st")
    category: CategoryCode | None = Field(default=None, alias="c")
    urgency: Urgency = Field(alias="u")
    sensitivity: int = Field(default=0, alias="se")
    tier: Tier | None = Field(default=None, alias="ti")
    holder: str = Field(alias="h")
    role: str = Field(alias="hr")
    office: str | None = Field(default=None, alias="of")
    unit: str = Field(alias="un")
    place: str = Field(alias="pl")
    clocks: tuple[ClockSnapshot, ...] = Field(default=(), alias="cl")
    next_deadline: Milliseconds | None = Field(default=None, alias="nd")
    entered: dict[Tier, Milliseconds] = Field(default_factory=dict, alias="en")
    left: dict[Tier, Milliseconds] = Field(default_factory=dict, alias="le")
    promotions: dict[Tier, int] = Field(default_factory=dict, alias="pr")
    highest_tier: Tier | None = Field(default=None, alias="hi")
    reopened: int = Field(default=0, alias="ro")
    on_time: dict[str, bool] = Field(default_factory=dict, alias="ok")
    paused: str | None = Field(default=None, alias="pa")
    extended: bool = Field(default=False, alias="ex")
    urged: int = Field(default=0, alias="ug")
    called_back: str | None = Field(default=None, alias="cb")
    satisfied: bool | None = Field(default=None, alias="sa")
    not_accepted: str | None = Field(default=None, alias="na")
    outcome: Literal["solved", "handed_off"] | None = Field(default=None, alias="oc")
    closed: Milliseconds | None = Field(default=None, alias="cd")
    closing_tier: Tier | None = Field(default=None, alias="ct")
    restricted: bool = Field(default=False, alias="rs")
    accused_division: str | None = Field(default=None, alias="ac")
    accused_office: str | None = Field(default=None, alias="ao")
    policy: int = Field(alias="po")
    calendar: str = Field(alias="ca")


class Change(Data):
    """What happened, why and by whom: coded, never an officer's own words or name."""

    transitions: tuple[str, ...] = Field(alias="tr")
    rule: str = Field(alias="ru")
    role: str = Field(alias="by")
    division: str | None = Field(default=None, alias="di")
    order: UUID | None = Field(default=None, alias="or")
    appended_at: AwareDatetime | None = Field(default=None, alias="at")


CaseEventType = Literal[
    "casegrid.case.opened.v1",
    "casegrid.case.supplemented.v1",
    "casegrid.case.classified.v1",
    "casegrid.case.placed.v1",
    "casegrid.case.signed.v1",
    "casegrid.case.verified.v1",
    "casegrid.case.replied.v1",
    "casegrid.case.resolved.v1",
    "casegrid.case.closed.v1",
    "casegrid.case.returned.v1",
    "casegrid.case.rerouted.v1",
    "casegrid.case.promoted.v1",
    "casegrid.case.supervised.v1",
    "casegrid.case.handed_over.v1",
    "casegrid.case.order_refused.v1",
    "casegrid.case.republished.v1",
    "casegrid.case.given.v1",
    "casegrid.case.recalled.v1",
    "casegrid.case.paused.v1",
    "casegrid.case.resumed.v1",
    "casegrid.case.extension_asked.v1",
    "casegrid.case.extension_declined.v1",
    "casegrid.case.extended.v1",
    "casegrid.case.not_accepted.v1",
    "casegrid.case.called_back.v1",
    "casegrid.case.rated.v1",
    "casegrid.case.reopened.v1",
    "casegrid.case.whistle_asked.v1",
    "casegrid.case.whistled.v1",
    "casegrid.case.task_given.v1",
    "casegrid.case.reported_in.v1",
    "casegrid.case.task_refused.v1",
    "casegrid.case.objection_decided.v1",
    "casegrid.case.task_done.v1",
    "casegrid.case.task_withdrawn.v1",
    "casegrid.case.conference_called.v1",
    "casegrid.case.conference_decided.v1",
]


CASE_EVENTS: dict[str, CaseEventType] = {
    name.split(".")[2]: name for name in get_args(CaseEventType)
}
"""The full type name of each thing that can happen to a case."""


class CaseChanged(Data):
    """One command gave this; it carries the whole snapshot after it."""

    type: CaseEventType
    case: CaseSnapshot = Field(alias="s")
    change: Change = Field(alias="x")


# ---------------------------------------------------------------- escalation.events


class DeadlineBreached(Data):
    """An order: promote the case one tier, or supervise it. The router applies or refuses it."""

    type: Literal["casegrid.deadline.breached.v1"]
    clock: str
    generation: int
    tier: Tier | None = None
    action: Literal["promote", "supervise"]
    due_at: AwareDatetime
    fired_at: AwareDatetime


class NoticePosted(Data):
    """One digest: what is about to be late, or is late. Changes no case.

    It is for an office in a division; unsaid, for the division's own desk. `raised_from`: the
    notice below that nobody took note of in time; this one is for the desk above. `about`: what
    else it says: an order to promote (a reminder), a whistle or a task (a warning, long before).
    """

    type: Literal["casegrid.notice.posted.v1"]
    division: str
    role: str
    office: str | None = None
    clock: str
    reason: Literal["warning", "reminder", "supervision"]
    count: int
    oldest_due_at: AwareDatetime
    cases: tuple[UUID, ...]
    raised_from: UUID | None = None
    about: Literal["promotion", "whistle", "task"] | None = None


# ---------------------------------------------------------------- policy.events


class DivisionRow(Data):
    """A grid, community, street or district; its tier is the length of its code.

    It exists from `valid_from` to the day before `valid_to` (YYYY-MM-DD, none: no limit).
    """

    code: str
    name: str
    valid_from: str | None = None
    valid_to: str | None = None


class PlaceRow(Data):
    """A name people use for a place, and the division it lies in."""

    name: str
    division: str
    lat: float | None = None
    lon: float | None = None


class CategoryRow(Data):
    """A matter: who may lead it, where it starts, how urgent it is by itself."""

    code: CategoryCode
    zh: str
    en: str
    kind: Kind
    initial_tier: Tier | None = None
    lead: str
    community_may_lead: bool
    urgency: Urgency
    resolve_limit: str | None = None
    sensitivity: int = 0
    track: Track


class WordRow(Data):
    """A word and what it speaks for: a category code, or `sign:<name>`."""

    word: str
    means: str
    weight: float


class ClassRow(Data):
    """A category and a class of matters that it belongs to; it may belong to two or to none."""

    category: CategoryCode
    matter_class: str


class ModelRow(Data):
    """What labelled petitions taught of a vocabulary word: its weight for a class of matters.

    The empty word is the class itself, whatever is said.
    """

    word: str = ""
    matter_class: str
    weight: float


class OfficeRow(Data):
    """An office behind the queues. `divisions`: those it serves, `*` for all of them.

    `of_community`: a body of a community, which holds only what a community may lead.
    """

    id: str
    zh: str
    en: str
    kind: OfficeKind
    divisions: str
    phone: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    of_community: bool = False


class DutyRow(Data):
    """Who leads a matter, and who assists: in a division and what lies in it, `*` for all.

    `assisting` are ids of offices with `;` between them.
    """

    category: CategoryCode
    division: str
    lead: str
    assisting: str = ""


class SettingsRow(Data):
    """The policy file itself (tiers, clocks, limits), as it was loaded."""

    name: str
    value: object


PolicyPartKind = Literal[
    "divisions", "places", "categories", "vocabulary", "settings", "calendar",
    "offices", "duties", "classes", "model",
]  # fmt: skip


class PolicyPart(Data):
    """Rows of one kind of a policy version; at most 256 kB."""

    type: Literal["casegrid.policy.part.v1"]
    version: int
    kind: PolicyPartKind
    n: int
    rows: tuple[dict[str, object], ...]


def part_body(kind: PolicyPartKind, n: int, rows: Sequence[Mapping[str, object]]) -> bytes:
    """A part of a policy version in the one spelling that everybody keeps and hashes."""
    return orjson.dumps({"kind": kind, "n": n, "rows": rows}, option=orjson.OPT_SORT_KEYS)


def hash_of_parts(parts: Iterable[tuple[PolicyPartKind, int, bytes]]) -> str:
    """The hash of a version: over the bodies of its parts in the order of (kind, n)."""
    digest = hashlib.sha256()
    for _, _, body in sorted(parts):
        digest.update(body + b"\n")
    return digest.hexdigest()


class PolicyPublished(Data):
    """Closes a version: with this many parts of this hash it is whole, and is in force."""

    type: Literal["casegrid.policy.published.v1"]
    version: int
    parts: int
    sha256: str


AnyEvent = Annotated[
    PetitionReceived
    | PetitionSupplemented
    | PetitionRated
    | CaseChanged
    | DeadlineBreached
    | NoticePosted
    | PolicyPart
    | PolicyPublished
    | CensusTaken
    | CensusDiffered
    | Heartbeat,
    Field(discriminator="type"),
]
ANY_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)

OWNERS: dict[Topic, tuple[str, tuple[type[Data], ...]]] = {
    Topic.INTAKE: (
        "intake",
        (
            PetitionReceived, PetitionSupplemented, PetitionRated, CensusTaken, CensusDiffered,
            Heartbeat,
        ),
    ),
    Topic.ROUTER: ("router", (CaseChanged, CensusTaken, CensusDiffered, Heartbeat)),
    Topic.ESCALATION: ("escalation", (DeadlineBreached, NoticePosted, CensusDiffered, Heartbeat)),
    Topic.ANALYTICS: ("analytics", (CensusDiffered,)),
    Topic.POLICY: ("router", (PolicyPart, PolicyPublished)),
}  # fmt: skip


def types_of(model: type[Data]) -> tuple[str, ...]:
    """The versioned type names that a model carries."""
    return tuple(model.model_fields["type"].annotation.__args__)  # type: ignore[union-attr]


MODELS: dict[Topic, dict[str, type[Data]]] = {
    topic: {name: model for model in models for name in types_of(model)}
    for topic, (_, models) in OWNERS.items()
}


def derived_id(*cause: object) -> UUID:
    """The id of an event that this cause gives, and gives again when it is replayed."""
    return uuid5(EVENT_IDS, "/".join(str(part) for part in cause))


def dump(data: Data) -> bytes:
    """The JSON value of an event: short names, no nulls, no defaults (a default is contract)."""
    return data.__pydantic_serializer__.to_json(
        data, by_alias=True, exclude_none=True, exclude_defaults=True
    )
