"""The forecast: which promises break if nobody acts, when, and what the sweep does then.

Each clock is foreseen up to its next breach. What the router starts afresh once it applied an order
is not there yet, and a pause that ends moves what it held: neither is guessed. [ours]
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from services.escalation.decisions.armed import Armed, Clock, moment, next_of
from services.escalation.decisions.notices import Desk, desk_of, shielded
from services.escalation.decisions.orders import action_of
from shared.divisions import ancestor, next_tier
from shared.events import Milliseconds

Outcome: TypeAlias = Literal["promote", "supervise", "remind"]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


class Foreseen(NamedTuple):
    """A promise that breaks at `at` unless its owner acts, and what happens to the case then.

    `owner` is who is told, so never the accused.
    """

    at: datetime
    outcome: Outcome
    clock: str
    generation: int
    owner: Desk


class Breaks(NamedTuple):
    """When a case is promoted, supervised and reminded of next if nobody acts. None: never."""

    promotes_at: datetime | None
    supervises_at: datetime | None
    reminds_at: datetime | None


def breaks_at(clock: Clock) -> Milliseconds | None:
    """When the sweep will find a clock broken. None: it stands still, or was found so already."""
    return None if clock.fired or next_of(clock) is None else clock.due


def outcome_of(clock: Clock) -> Outcome | None:
    """What a breach does: an order, or a reminder to the owner and the level above.

    None once the order was answered, and for a right that lapses: no office has to keep it.
    """
    return "remind" if clock.on_breach == "remind" else action_of(clock)


def foreseen(armed: Armed, until: datetime) -> list[Foreseen]:
    """What happens to a case by `until` (promise time), in due order; what is late comes first."""
    found = []
    for clock in armed.clocks:
        due, outcome = breaks_at(clock), outcome_of(clock)
        if due is None or outcome is None or (at := moment(armed, due)) > until:
            continue
        owner = Desk(clock.owner_division, clock.owner_role, clock.owner_office)
        found.append(
            Foreseen(at, outcome, clock.name, clock.generation, shielded(owner, armed.accused))
        )
    return sorted(found, key=lambda one: (one.at, one.clock))


def breaks(armed: Armed) -> Breaks:
    """The first breach of a case for each thing that a breach does."""
    first: dict[Outcome, Milliseconds] = {}
    for clock in armed.clocks:
        if (outcome := outcome_of(clock)) and (due := breaks_at(clock)) is not None:
            known = first.get(outcome)
            if known is None or due < known:
                first[outcome] = due
    return Breaks._make(
        [moment(armed, first[outcome]) if outcome in first else None for outcome in OUTCOMES]
    )


def promoted_to(armed: Armed) -> str | None:
    """The division that a promotion gives a case to; None above the ladder.

    The one that it lies in, one tier up, apart from the accused; the router gives it to a higher
    one where the policy says that such a matter may not be held there.
    """
    tier = armed.tier and next_tier(armed.tier)
    if tier is None:
        return None
    return shielded(desk_of(ancestor(armed.holder, tier) or armed.holder), armed.accused).division
