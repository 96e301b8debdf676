"""What residents say later: they add, urge and rate. When they may, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import count
from typing import Literal, NamedTuple, TypeAlias, get_args
from uuid import UUID

from services.intake.decisions.wording import ZONE
from shared.durations import elapsed, parse_limit
from shared.events import RatingReason, SettingsRow, Stage

URGINGS_A_DAY = 3
"""[ours] Enough to say it in the morning, at noon and in the evening; more tells an office nothing
new, and each is an event of the case."""

RATING_REASONS: tuple[RatingReason, ...] = get_args(RatingReason)

DONE: frozenset[Stage] = frozenset({"resolved", "closed"})
ENDED: frozenset[Stage] = frozenset({"closed", "handed_off"})


class Addition(NamedTuple):
    """What a resident adds to a petition; received in promise time. Who `urges` may add no words.

    Every field is a column of `supplements`, in this order.
    """

    id: UUID
    text: str | None
    received_at: datetime
    idempotency_key: str | None
    body_hash: bytes | None
    traceparent: str | None
    urges: bool = False


class Rating(NamedTuple):
    """What a resident says of how it was handled; received in promise time.

    Every field is a column of `ratings`, in this order.
    """

    id: UUID
    solved: bool
    satisfied: bool
    reason: RatingReason | None
    text: str | None
    received_at: datetime
    idempotency_key: str | None
    body_hash: bytes | None
    traceparent: str | None


# ---------------------------------------------------------------- when they may


class Reopening(NamedTuple):
    """How long after its end a case may be rated and come back, and the reasons that reopen it.

    [policy: escalation.reopen] What an older version does not say is as the router takes it.
    """

    within: timedelta = timedelta(days=15)
    reasons: tuple[str, ...] = ("not_solved", "came_back", "wrong_answer")


def reopening(settings: Iterable[SettingsRow]) -> Reopening:
    """What the settings of a policy say of it. ValueError when that is not elapsed time."""
    for row in settings:
        if row.name == "escalation" and isinstance(row.value, dict):
            said = row.value.get("reopen", {})
            found = Reopening()
            if "reasons" in said:
                found = found._replace(reasons=tuple(said["reasons"]))
            if "within" in said:
                found = found._replace(within=elapsed(parse_limit(said["within"])))
            return found
    return Reopening()


class Ending(NamedTuple):
    """How far a case got: as what it ended, when it was closed, how often it was reopened."""

    stage: Stage | None
    closed_at: datetime | None
    reopened: int

    def until(self, rules: Reopening) -> datetime | None:
        """Until when it may be rated; None while that has no end."""
        return None if self.closed_at is None else self.closed_at + rules.within


NoRating: TypeAlias = Literal["not_done", "rated", "too_late"]
"""Why a case may not be rated now."""


def no_rating(
    ending: Ending, rated: Iterable[int], rules: Reopening, now: datetime
) -> NoRating | None:
    """Why a case may not be rated now; None when it may. `rated`: the endings that were. [F57]"""
    if ending.stage not in DONE:
        return "not_done"
    if ending.reopened in rated:
        return "rated"
    until = ending.until(rules)
    return "too_late" if until is not None and now > until else None


def today(now: datetime) -> tuple[datetime, datetime]:
    """When this day began in Beijing, and when the next one begins."""
    began = now.astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    return began, began + timedelta(days=1)


# ---------------------------------------------------------------- in which order it was said


class Later(NamedTuple):
    """What was said of a petition after its receipt. `solved` is None where nobody rated it."""

    petition_id: UUID
    id: UUID
    seq: int | None
    received_at: datetime
    traceparent: str | None
    urges: bool = False
    solved: bool | None = None
    satisfied: bool | None = None
    reason: RatingReason | None = None


def numbered(later: Sequence[Later]) -> list[tuple[int, Later]]:
    """What was said of one petition, each with its seq, in order.

    Of what an older intake said the seq was not kept: it has the places that are left, by its id.
    """
    taken = {one.seq for one in later}
    left = (seq for seq in count(2) if seq not in taken)
    by_id = sorted(later, key=lambda one: one.id)
    found = [(next(left) if one.seq is None else one.seq, one) for one in by_id]
    return sorted(found, key=lambda pair: pair[0])
