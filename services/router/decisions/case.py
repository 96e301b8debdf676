"""The case: everything the router knows of it, as one value. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

import orjson
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from services.router.decisions.tasks import Task, Whistle
from services.router.decisions.unknown import (
    NOTHING_ELSE,
    Unknown,
    carries,
    put_back,
    set_aside,
)
from shared.business_time import Span
from shared.divisions import Tier
from shared.events import (
    CaseSnapshot,
    CategoryCode,
    Channel,
    ClockSnapshot,
    Kind,
    OnBreach,
    Order,
    Sign,
    Stage,
    Track,
    Urgency,
    fingerprint,
    promise_of,
)

MILLISECOND = timedelta(milliseconds=1)
NO_ORDER = Order(0, 0)
MOST_REMEMBERED = 12
"""So many of those who had a case are remembered, to see whether it goes round."""
OPEN_STAGES: frozenset[Stage] = frozenset({"registered", "assigned", "signed", "resolved"})
Outcome = Literal["solved", "handed_off"]
PauseReason = Literal["waiting_for_petitioner", "force_majeure", "in_statutory_procedure"]
CallBack = Literal["solved", "not_solved", "no_answer"]
Rated = Literal["solved", "not_solved"]
NotAccepted = Literal[
    "emergency_number", "legal_route", "repeat_without_new_facts", "secret", "in_nobodys_power",
    "unlawful",
]  # fmt: skip
"""The six special lanes of Beijing 11: why a request is not taken; each has its door. [city]"""


@dataclass(frozen=True, slots=True)
class Clock:
    """A running promise: whose, since when, until when, and what its breach does.

    `generation` counts every start, stop, reassignment and promotion of this clock of this case
    and is never reset: an order about an older one is stale. `answered`: the order of this
    generation was answered.
    """

    name: str
    generation: int
    owner_division: str
    owner_role: str
    started_at: datetime
    due_at: datetime
    warn_at: tuple[datetime, ...]
    on_breach: OnBreach
    repeat: timedelta | None = None
    answered: bool = False
    owner_office: str | None = None
    limit: str = ""
    paused: bool = False
    unknown: Unknown = None

    __pydantic_config__ = NOTHING_ELSE


@dataclass(frozen=True, slots=True)
class Pause:
    """Why promises stand still, since when, and until when at most."""

    reason: PauseReason
    since: datetime
    until: datetime
    unknown: Unknown = None

    __pydantic_config__ = NOTHING_ELSE


@dataclass(frozen=True, slots=True)
class Extension:
    """More time for the final reply: until when, by how much, who asked when, granted when."""

    until: datetime
    by: timedelta
    asked_by: str
    asked_at: datetime
    granted_at: datetime | None = None
    unknown: Unknown = None

    __pydantic_config__ = NOTHING_ELSE


@dataclass(frozen=True)
class Case:
    """A petition's case: who holds it, where it stands, which promises run.

    `place` is the smallest division known, `holder` the division whose queue it is in. `heard` is
    the last event of its petition; (`epoch`, `seq`) the last event about the case. `version` is
    raised by a change of state, holder or content, not by each event. `confirmed`: a person said
    what it is about; until then `suspected` are the matters that its reading could not exclude.
    `lowest_tier` and `highest_tier` are of those that had it to solve: a desk where it waits for
    a dispatcher is none.

    `accused` is the division that was named, `accused_division` the one that is shut out: nobody
    in it or below sees or holds the case. While who is accused is unknown (`accused_unknown`) that
    is the smallest division the case names. `accused_office` is the office that was named: wherever
    it serves, nobody of it sees the case, and it has no part in it. `cleared`: a person said that
    nobody is accused.
    `street_leads`: a community may not lead such a matter [Beijing 17]; it may start there, to be
    verified. `ordered` is the last order of escalation that was answered.

    `office` holds it in the holder's division: the `lead` of the duty catalogue from the street up,
    a desk of the division itself where it is None. `assisting` are the catalogue's too. `signed_by`
    is the person who signed it last at this desk, `assignee` whom the desk gave it to, `given_by`
    the desk that handed it on and may still take it back, `resolved_by` the person who resolved it.
    `tasks` are what others are, or were, asked to do in it, by number; `whistle` is the last one.

    `had_by` are those who had it to solve, in order. `arbitration`: whether an arbiter is to say
    who has it, or has said so. `pauses` are over, `pause` lasts. `promised_at` is when promises
    from receipt were made anew, because the case was reopened. `call_backs` are tries. `rated` is
    what the resident himself said of it since it was last dealt with: no office changes that.
    `unknown` is what a newer version wrote and this one cannot read, here as in its parts.
    """

    id: UUID
    number: str
    channel: Channel
    kind: Kind
    track: Track
    stage: Stage
    urgency: Urgency
    holder: str
    role: str
    place: str
    received_at: datetime
    policy: int
    calendar: str
    heard: Order
    ordered: Order = NO_ORDER
    epoch: int = 1
    seq: int = 0
    version: int = 0
    category: CategoryCode | None = None
    sensitivity: int = 0
    tier: Tier | None = None
    contact: bool = False
    restricted: bool = False
    accused: str | None = None
    accused_division: str | None = None
    accused_unknown: bool = False
    accused_office: str | None = None
    accusation: bool = False
    cleared: bool = False
    street_leads: bool = False
    office: str | None = None
    lead: str | None = None
    assisting: tuple[str, ...] = ()
    signed_by: str | None = None
    assignee: str | None = None
    given_by: str | None = None
    resolved_by: str | None = None
    had_by: tuple[str, ...] = ()
    arbitration: Literal["asked", "decided"] | None = None
    tasks: tuple[Task, ...] = ()
    whistle: Whistle | None = None
    handed_over: bool = False
    signs: tuple[Sign, ...] = ()
    confirmed: bool = False
    suspected: tuple[CategoryCode, ...] = ()
    clocks: tuple[Clock, ...] = ()
    generations: Mapping[str, int] = field(default_factory=dict)
    entered: Mapping[Tier, datetime] = field(default_factory=dict)
    left: Mapping[Tier, datetime] = field(default_factory=dict)
    promotions: Mapping[Tier, int] = field(default_factory=dict)
    lowest_tier: Tier | None = None
    highest_tier: Tier | None = None
    on_time: Mapping[str, bool] = field(default_factory=dict)
    supervised: int = 0
    replied: bool = False
    verified: bool = False
    returns: int = 0
    pause: Pause | None = None
    pauses: tuple[Span, ...] = ()
    extension: Extension | None = None
    urged: int = 0
    call_backs: int = 0
    called_back: CallBack | None = None
    satisfied: bool | None = None
    rated: Rated | None = None
    not_accepted: NotAccepted | None = None
    promised_at: datetime | None = None
    reopened: int = 0
    outcome: Outcome | None = None
    closed_at: datetime | None = None
    closing_tier: Tier | None = None
    unknown: Unknown = None

    __pydantic_config__ = NOTHING_ELSE

    @property
    def is_open(self) -> bool:
        """Whether anybody still has to do something."""
        return self.stage in OPEN_STAGES

    @property
    def is_first(self) -> bool:
        """Whether it stands on top of its queue: an emergency, or what may be one, that waits.

        [domain B3.1]
        """
        return self.urgency == "U1" and self.stage == "registered"

    @property
    def next_deadline(self) -> datetime | None:
        """The earliest due time of its running clocks; what stands still is not due."""
        return min((clock.due_at for clock in self.clocks if not clock.paused), default=None)

    @property
    def receipt(self) -> datetime:
        """From when promises from receipt are counted: reopened, they are made anew."""
        return self.promised_at or self.received_at

    @property
    def desk(self) -> str:
        """Who has it: a division, or an office in it."""
        return self.holder if self.office is None else f"{self.holder}/{self.office}"

    @property
    def person(self) -> str | None:
        """Whose own queue it stands in: whom it was given to, else who signed it."""
        return self.assignee or self.signed_by

    @property
    def open_tasks(self) -> tuple[Task, ...]:
        """The tasks about which somebody still has to do something."""
        return tuple(task for task in self.tasks if task.is_open)

    @property
    def is_whistled(self) -> bool:
        """Whether something is still to come of a whistle."""
        return self.whistle is not None and self.whistle.is_on

    def clock(self, name: str) -> Clock | None:
        """A running clock by its name."""
        return next((clock for clock in self.clocks if clock.name == name), None)

    def task(self, n: int) -> Task | None:
        """A task by its number."""
        return next((task for task in self.tasks if task.n == n), None)

    def task_of(self, clock: str) -> Task | None:
        """The open task whose clock this is; None for the case's own promises."""
        return next((task for task in self.tasks if task.is_open and task.clock == clock), None)


class Duty(NamedTuple):
    """A running clock whose owner is not the holder of the case."""

    division: str
    office: str | None
    role: str
    clock: str
    due_at: datetime


CASE: TypeAdapter[Case] = TypeAdapter(Case)
MAY_LACK = frozenset(
    f.name for f in fields(Case) if f.default is not MISSING or f.default_factory is not MISSING
)

if TYPE_CHECKING:
    from dataclasses import replace

    but = replace
else:

    def but(case, **changes):
        """The case with these fields changed: `dataclasses.replace`, ten times as fast."""
        changed = object.__new__(Case)
        changed.__dict__.update(case.__dict__, **changes)
        return changed


def document(case: Case) -> str:
    """The whole case as JSON, defaults left out."""
    if not carries(case):
        return CASE.dump_json(case, exclude_defaults=True).decode()
    plain = put_back(CASE.dump_python(case, mode="json", exclude_defaults=True), case)
    # What a step of this version set since it was put aside is newer.
    return orjson.dumps({**(case.unknown or {}), **plain}).decode()


def case_of(document: bytes | str) -> Case:
    """The case that was kept so, by this version, an older or a newer one. Raises `UnreadableCase`.

    That is one whose clocks, or what every case has, this version cannot read.
    """
    try:
        return CASE.validate_json(document)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False, include_input=False)
    return with_unknown(document, errors)


def case_with(whole: Mapping[str, object]) -> Case:
    """The case of these fields, as `changed_fields` wrote them. Raises `UnreadableCase`."""
    try:
        return CASE.validate_python(whole)
    except ValidationError as wrong:
        errors = wrong.errors(include_url=False, include_input=False)
    return with_unknown(orjson.dumps(whole), errors)


def with_unknown(document: bytes | str, wrong: Sequence[ErrorDetails]) -> Case:
    """The case of a document that says more than this version knows. Raises `UnreadableCase`."""
    plain: dict[str, Any] = orjson.loads(document)
    set_aside(plain, wrong, MAY_LACK)
    return CASE.validate_python(plain)


def duties(case: Case) -> list[Duty]:
    """The clocks of a case that others own: they stand in their owners' queues too."""
    return [
        Duty(clock.owner_division, clock.owner_office, clock.owner_role, clock.name, clock.due_at)
        for clock in case.clocks
        if clock.owner_division != case.holder
        or clock.owner_office not in (None, case.office)
        or is_anothers_task(clock, case)
    ]


def is_anothers_task(clock: Clock, case: Case) -> bool:
    """Whether it is the clock of a task that somebody else than the holder has in his division."""
    holder = (case.role, case.office)
    return promise_of(clock.name) != clock.name and (clock.owner_role, clock.owner_office) != holder


def changed_fields(before: Case | None, after: Case) -> bytes:
    """JSON of the fields that a step changed, with their new values; the whole of a new case."""
    if before is None:
        return document(after).encode()
    changed = {f.name for f in fields(Case) if getattr(after, f.name) != getattr(before, f.name)}
    if not carries(after):
        return CASE.dump_json(after, include=changed)
    return orjson.dumps(put_back(CASE.dump_python(after, mode="json", include=changed), after))


def as_it_stood(changes: Sequence[bytes | str]) -> Case | None:
    """A case after these steps, each as `changed_fields` wrote it; None before the first."""
    whole: dict[str, object] = {}
    for change in changes:
        whole.update(orjson.loads(change))
    return case_with(whole) if whole else None


def after_each(changes: Iterable[bytes | str]) -> Iterator[Case]:
    """A case after each of these steps, as `changed_fields` wrote them."""
    whole: dict[str, object] = {}
    for change in changes:
        whole.update(orjson.loads(change))
        yield case_with(whole)


def milliseconds(start: datetime, then: datetime) -> int:
    """How long after the start, in whole milliseconds."""
    return (then - start) // MILLISECOND


def snapshot(case: Case, unit: str) -> CaseSnapshot:
    """The case as other services see it; `unit` is the holder's name in words."""
    start = case.received_at

    def after(then: datetime | None) -> int | None:
        return None if then is None else milliseconds(start, then)

    return CaseSnapshot(
        number=case.number,
        version=case.version,
        started_at=start,
        channel=case.channel,
        kind=case.kind,
        track=case.track,
        stage=case.stage,
        category=case.category,
        urgency=case.urgency,
        sensitivity=case.sensitivity,
        tier=case.tier,
        holder=case.holder,
        role=case.role,
        office=case.office,
        unit=unit,
        place=case.place,
        clocks=tuple(clock_snapshot(case, clock) for clock in case.clocks),
        next_deadline=after(case.next_deadline),
        entered={tier: milliseconds(start, at) for tier, at in case.entered.items()},
        left={tier: milliseconds(start, at) for tier, at in case.left.items()},
        promotions=dict(case.promotions),
        highest_tier=case.highest_tier,
        reopened=case.reopened,
        on_time=dict(case.on_time),
        paused=None if case.pause is None else case.pause.reason,
        extended=case.extension is not None and case.extension.granted_at is not None,
        urged=case.urged,
        called_back=case.called_back,
        satisfied=case.satisfied,
        not_accepted=case.not_accepted,
        outcome=case.outcome,
        closed=after(case.closed_at),
        closing_tier=case.closing_tier,
        restricted=case.restricted,
        accused_division=case.accused_division,
        accused_office=case.accused_office,
        policy=case.policy,
        calendar=case.calendar,
    )


def fingerprint_of(case: Case) -> str:
    """What escalation must have armed of a case, as the census compares it."""
    start = case.received_at
    clocks = ((c.name, c.generation, milliseconds(start, c.due_at)) for c in case.clocks)
    return fingerprint(case.holder, clocks)


def clock_snapshot(case: Case, clock: Clock) -> ClockSnapshot:
    """A clock, its times as offsets from the case's start; of the holder's own no owner is said."""
    start, repeat = case.received_at, clock.repeat
    owner = (clock.owner_division, clock.owner_role, clock.owner_office)
    division, role, office = (
        (None, None, None) if owner == (case.holder, case.role, case.office) else owner
    )
    return ClockSnapshot(
        name=clock.name,
        generation=clock.generation,
        owner_division=division,
        owner_role=role,
        owner_office=office,
        started=milliseconds(start, clock.started_at),
        due=milliseconds(start, clock.due_at),
        warn=tuple(milliseconds(start, at) for at in clock.warn_at),
        on_breach=clock.on_breach,
        repeat=None if repeat is None else repeat // MILLISECOND,
        paused=clock.paused,
        answered=clock.answered,
    )
