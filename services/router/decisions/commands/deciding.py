"""What our own services ask of a case, and what comes of any command: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias
from uuid import UUID

from services.router.decisions.case import Case, but
from services.router.decisions.commands.officers import OfficerCommand
from services.router.decisions.routing import Facts
from shared.divisions import Tier
from shared.events import Channel, Kind, Order, RatingReason


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
    """The resident added something, or urged."""

    heard: Order
    urges: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """The resident says whether it is solved, whether he is satisfied, and what is wrong."""

    heard: Order
    solved: bool
    satisfied: bool
    reason: RatingReason | None = None


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


Command: TypeAlias = OfficerCommand | Open | Supplement | Rate | ApplyOrder | Republish


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
    """Why not, in plain words, and what would be allowed instead.

    `newer_version`: this version cannot judge it; asked again, a newer one may.
    """

    reason: Literal[
        "not_allowed_now", "not_your_role", "not_your_area", "unknown", "incomplete", "stale",
        "newer_version",
    ]  # fmt: skip
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
