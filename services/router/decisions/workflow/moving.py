"""A case moves: from holder to holder, from tier to tier, to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from services.router.decisions import clocks
from services.router.decisions.case import MOST_REMEMBERED, Case, Outcome, but
from services.router.decisions.commands import Decision, Refused, stepped
from services.router.decisions.policy import Policy
from services.router.decisions.routing import Reason, Rule, holder_for, lowest_tier
from shared.divisions import LADDER, Tier, dispatcher_of, next_tier, tier_of

CLOCK_TOLERANCE = timedelta(minutes=5)
"""What a person says was at a time may lie so far in our future: clocks of handhelds differ."""


def drop_inapplicable(case: Case, policy: Policy, now: datetime) -> Case:
    """End the clocks that the case's track and stage no longer have: no promise was kept."""
    gone = [
        clock.name
        for clock in case.clocks
        if case.task_of(clock.name) is None
        and not clocks.applies(clocks.rule_of(clock.name, policy), case, policy)
    ]
    return clocks.drop(case, gone, now)


def entered(case: Case, tier: Tier | None, now: datetime) -> Case:
    """The case in a tier: when it left the one before, and how low and high it ever was held."""
    if tier is not None and case.stage == "assigned":
        held = [one for one in (tier, case.lowest_tier, case.highest_tier) if one is not None]
        case = but(
            case,
            lowest_tier=min(held, key=LADDER.index),
            highest_tier=max(held, key=LADDER.index),
        )
    if tier is case.tier:
        return case
    left = dict(case.left)
    if case.tier is not None:
        left[case.tier] = now
    if tier is None:
        return but(case, tier=None, left=left)
    left.pop(tier, None)
    return but(case, tier=tier, entered={**case.entered, tier: now}, left=left)


def promoted(
    case: Case,
    policy: Policy,
    now: datetime,
    rule: str,
    detail: Mapping[str, object],
    to: Tier | None = None,
) -> Decision:
    """One tier up, or to the tier that a person says; skipping what may not hold such a matter,
    and the accused. [article, policy]"""
    assert case.tier is not None
    target = to or next_tier(case.tier)
    if target is None:
        return Refused("not_allowed_now", "above the district there is supervision, not a tier")
    if LADDER.index(target) <= LADDER.index(case.tier):
        return Refused("not_allowed_now", f"it is in tier {case.tier}: name one above it")
    floor = lowest_holder(case, policy)
    if floor is not None and LADDER.index(floor) > LADDER.index(target):
        target = floor
    holder = holder_for(target, case.place, case.accused_division, policy)
    counts = {**case.promotions, case.tier: case.promotions.get(case.tier, 0) + 1}
    after = clocks.drop(case, ("sign", "tier", "object"), now)
    after = moved(but(after, promotions=counts), holder, policy, now)
    reason = moved_reason("moved/promoted", rule, case, after, policy)
    return stepped(case, after, "promoted", rule, (), {**detail, "routing": reason})


def moved_reason(rule: Rule, why: str, before: Case, after: Case, policy: Policy) -> Reason:
    """Why a case came to its new holder by a step that is no routing; `why` is the step's rule."""
    matched = [("from", before.holder), ("to", after.holder), ("why", why)]
    if after.category is not None:
        matched.append(("category", after.category))
    return because(Reason(rule, policy.version, tuple(matched)), after, policy)


def because(reason: Reason, case: Case, policy: Policy) -> Reason:
    """The reason with the office that has the case, or would from the street up.

    With it the entry of the duty catalogue that says so: by its division, `*` for everywhere.
    """
    office = case.office or case.lead
    if office is None or case.category is None:
        return reason
    duty = policy.duty(case.category, case.holder if case.office else case.place)
    if duty is not None and duty.lead.id == office:
        said = (("lead_office", office), ("duty_division", duty.division))
        return replace(reason, matched=(*reason.matched, *said))
    return replace(reason, matched=(*reason.matched, ("office", office)))


def lowest_holder(case: Case, policy: Policy) -> Tier | None:
    """The lowest tier that may hold a case from handling on; None if any may."""
    row = policy.categories.get(case.category or "")
    floor = None if row is None else lowest_tier(row, case.urgency, policy, begun=True)
    return None if floor is None else floor[0]


def held_by(case: Case, holder: str, policy: Policy, office: str | None = None) -> Case:
    """The case with another holder who is to solve it, and there the office that leads it."""
    return held_at(case, holder, office or clocks.office_of(case, holder, policy))


def held_at(case: Case, holder: str, office: str | None) -> Case:
    """The case with another holder: an office there, or the division's own desk."""
    role = dispatcher_of(holder) if office is None else clocks.DEPARTMENT
    held = but(case, holder=holder, office=office, role=role, stage="assigned", **NOBODY_YET)
    if case.had_by[-1:] == (held.desk,):
        return held
    had = (*case.had_by, held.desk)
    if len(had) > MOST_REMEMBERED:
        # The first receiver is told of the result, however long ago that was. [B6]
        had = (had[0], *had[1 - MOST_REMEMBERED :])
    return but(held, had_by=had)


NOBODY_YET: Final[Mapping[str, None]] = dict.fromkeys(
    ("signed_by", "assignee", "given_by", "arbitration")
)
"""At a new desk no person has it yet, and no arbiter said that this one must."""


def at_the_desk(case: Case, division: str) -> Case:
    """The case with a dispatcher, who says where it goes."""
    return but(
        case,
        holder=division,
        office=None,
        role=dispatcher_of(division),
        stage="registered",
        **NOBODY_YET,
    )


def moved(case: Case, holder: str, policy: Policy, now: datetime) -> Case:
    """The case with another holder: at his desk unsigned, or with the city's dispatcher."""
    tier = tier_of(holder)
    case = at_the_desk(case, holder) if tier is None else held_by(case, holder, policy)
    begins = ("entered_queue",) if tier is None else ("assigned", "entered_tier")
    return settled_in(case, begins, policy, now)


def settled_in(case: Case, begins: tuple[str, ...], policy: Policy, now: datetime) -> Case:
    """The case with its new holder: in his tier, under the clocks that begin with him."""
    case = entered(case, tier_of(case.holder), now)
    case = clocks.reassign(drop_inapplicable(case, policy, now), policy)
    return clocks.start(case, begins, policy, now)


def outcome_of(case: Case) -> Outcome | None:
    """Closed as solved, unless it was not taken, or the resident himself says that it is not."""
    return None if case.not_accepted or case.rated == "not_solved" else "solved"


def closed(case: Case, now: datetime) -> Case:
    """A case that is done."""
    return but(
        clocks.drop(case, [clock.name for clock in case.clocks], now),
        stage="closed",
        outcome=outcome_of(case),
        closed_at=now,
        closing_tier=case.tier,
        left={**case.left, case.tier: now} if case.tier else case.left,
    )
