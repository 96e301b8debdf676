"""Which promises run, whose they are and until when. Pure: the policy and `now` are arguments.

A clock starts at a *moment* (received, entered_queue, assigned, entered_tier, signed, resolved)
as the policy file says under `from`. Every start, stop and change of owner raises its generation,
which is never reset. Clocks are promises of time to a person: `received` is always the server's
`received_at`, whatever happened before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from services.router.decisions.case import Case, Clock, but
from services.router.decisions.policy import ClockRule, Policy, elapsed
from services.router.decisions.routing import holder_for, office_for
from shared.business_time import Due, due, due_within_duty
from shared.divisions import CITY, Tier, dispatcher_of, is_within, next_tier, tier_of
from shared.events import OnBreach

DEPARTMENT = "department_officer"
REACHABLE_ON_FOOT = (Tier.GRID, Tier.COMMUNITY)


class Owner(NamedTuple):
    """Whose promise a clock is. Without an office it is the division's own."""

    division: str
    role: str
    office: str | None = None


def owner_of(rule: ClockRule, case: Case, policy: Policy) -> Owner:
    """The owner of a clock: a division and a role in it, never the accused or below it."""
    match rule.owner:
        case "street_cadre":
            street = holder_for(Tier.STREET, case.place, case.accused_division, policy)
            return Owner(street or case.holder, "street_cadre" if street else case.role)
        case "grid_team":
            return Owner(case.place, "grid_team")
        case "hotline":
            return Owner(CITY, "hotline_agent")
        case "lead_office":
            return lead_of(case, policy)
        case _:
            return Owner(case.holder, case.role, case.office)


def lead_of(case: Case, policy: Policy) -> Owner:
    """Who leads: the holder, but of what only starts below the street its lead office there.

    Where no office may have it, the desk of the street leads.
    """
    holder = Owner(case.holder, case.role, case.office)
    starts_here = case.street_leads and tier_of(case.holder) in REACHABLE_ON_FOOT
    if case.stage == "registered" or not starts_here:
        return holder
    street = holder_for(Tier.STREET, case.place, case.accused_division, policy)
    office = office_of(case, street, policy)
    role = dispatcher_of(street) if office is None else DEPARTMENT
    return Owner(street, role, office)


def office_of(case: Case, division: str, policy: Policy) -> str | None:
    """The office that is to hold a case in a division; None where its own desk does.

    Nobody but desks while it is not known who is accused: it may be any office, and is likeliest
    the one that would lead. Petition Regs 30, 46. [law]
    """
    if case.accused_unknown:
        return None
    return office_for(case.category, division, case.accused_office, policy)


def applies(rule: ClockRule, case: Case, policy: Policy) -> bool:
    """Whether the policy gives this case this clock."""
    if case.track not in rule.tracks:
        return False
    waiting = case.stage == "registered" and case.track != "handoff"
    if waiting and rule.name not in policy.settings.unclassified.clocks:
        return False
    if rule.name == "reply" and case.replied:
        return False
    match rule.when:
        case None:
            return True
        case "waiting_for_dispatcher":
            return waiting
        case "place_known":
            # A visit needs an address: a team cannot verify "somewhere in this street". [ours]
            on_foot = tier_of(case.place) in REACHABLE_ON_FOOT
            return on_foot and not case.verified and not accused_within(case)
        case "contact_known":
            return case.contact
        case _:
            return False


def accused_within(case: Case) -> bool:
    """Whether the place of a case lies with who is shut out of it: he is never asked to look."""
    return case.accused_division is not None and is_within(case.place, case.accused_division)


def due_of(rule: ClockRule, case: Case, start: datetime, policy: Policy) -> Due:
    """When a clock that starts at `start` is due."""
    legal = case.category in policy.settings.first_tier.legal_route
    limit = rule.limit_for(case.urgency, legal_route=legal)
    if limit is None:
        return tier_due(case, start, policy)
    duty = policy.settings.duty_hours
    if (
        rule.name in duty.apply_to.clocks
        and case.urgency in duty.apply_to.urgency
        and not duty.around_the_clock
    ):
        at_the_grid = rule.owner == "grid_team" or case.tier is Tier.GRID
        hours = policy.duty_hours["grid" if at_the_grid else "offices"]
        return due_within_duty(start, limit, hours, policy.calendar)
    return due(start, limit, policy.calendar)


def tier_due(case: Case, start: datetime, policy: Policy) -> Due:
    """Entered tier + min(share of the final reply, the matter's own limit), afresh in each tier.

    [ours] A case that starts higher keeps the unused shares of the tiers below.
    """
    assert case.tier is not None
    percent = policy.tier_percent(case.tier, case.lowest_tier or case.tier)
    final_reply = policy.clocks["final_reply"].limit_for(case.urgency)
    assert final_reply is not None
    budget = Due(start + elapsed(final_reply) * percent / 100, provisional=False)
    own = policy.resolve_limits.get(case.category or "")
    if own is None:
        return budget
    return min(budget, due(start, own, policy.calendar), key=lambda one: one.at)


def warnings(start: datetime, due_at: datetime, policy: Policy) -> tuple[datetime, ...]:
    """When a clock warns before its breach, each mark at most once."""
    length = due_at - start
    return tuple(start + length * percent / 100 for percent in policy.warn_percents(length))


def on_breach(rule: ClockRule, case: Case, policy: Policy) -> tuple[OnBreach, timedelta | None]:
    """What a breach does and how often it is said again; above the last tier is supervision."""
    if rule.on_breach == "promote" and case.tier is not None and next_tier(case.tier) is None:
        top = policy.settings.escalation.at_the_top
        every = top.supervise_every_U1 if case.urgency == "U1" else top.supervise_every
        return "supervise", every
    return rule.on_breach, rule.repeat_for(case.urgency)


def start(case: Case, moments: Iterable[str], policy: Policy, now: datetime) -> Case:
    """Start, afresh, every clock of these moments that applies to the case as it now stands.

    A clock that runs from receipt and is past already, because the matter was classified late, is
    due after the policy's grace. [ours] What was missed by then stays missed.
    """
    wanted = set(moments)
    running = {clock.name: clock for clock in case.clocks}
    on_time = dict(case.on_time)
    generations = dict(case.generations)
    calendar = case.calendar
    for name, rule in policy.clocks.items():
        if rule.start not in wanted or not applies(rule, case, policy):
            continue
        from_receipt = rule.start == "received"
        begun = case.received_at if from_receipt else now
        when = due_of(rule, case, begun, policy)
        when_at = with_grace(when.at, policy, now)
        before = running.get(name)
        if from_receipt and is_made(before, when.at, when_at):
            continue
        if before is not None and now > before.due_at:
            on_time[name] = False
        generations[name] = generations.get(name, 0) + 1
        running[name] = new_clock(rule, case, generations[name], begun, when_at, policy)
        if when.provisional:
            calendar = f"{policy.calendar.version}/provisional"
    clocks = tuple(running.values())
    return but(case, clocks=clocks, generations=generations, calendar=calendar, on_time=on_time)


def with_grace(due_at: datetime, policy: Policy, now: datetime) -> datetime:
    """The due time of a promise that is made now; one that is past has the policy's grace."""
    return due_at if due_at > now else now + policy.settings.unclassified.grace_after_classifying


def is_made(clock: Clock | None, due_at: datetime, graced: datetime) -> bool:
    """Whether this promise runs already: from receipt it is made once, not with each step.

    A grace is given once: what is past for the second time keeps the due time that it has.
    """
    if clock is None:
        return False
    return clock.due_at == due_at or (graced != due_at and clock.due_at <= graced)


def new_clock(
    rule: ClockRule,
    case: Case,
    generation: int,
    begun: datetime,
    due_at: datetime,
    policy: Policy,
) -> Clock:
    """A clock of this generation."""
    does, repeat = on_breach(rule, case, policy)
    owner = owner_of(rule, case, policy)
    return Clock(
        name=rule.name,
        generation=generation,
        owner_division=owner.division,
        owner_role=owner.role,
        owner_office=owner.office,
        started_at=begun,
        due_at=due_at,
        warn_at=warnings(begun, due_at, policy),
        on_breach=does,
        repeat=repeat,
    )


def keep(case: Case, names: Iterable[str], now: datetime) -> Case:
    """These promises were fulfilled: stop their clocks and record whether in time.

    A clock may run several times in the life of a case, as the tier clock does: it was on time
    only if it was so each time. Once missed, the promise of that name stays missed.
    """
    names = set(names)
    on_time = dict(case.on_time)
    for clock in case.clocks:
        if clock.name in names:
            on_time[clock.name] = on_time.get(clock.name, True) and now <= clock.due_at
    return stop(case, names, on_time)


def drop(case: Case, names: Iterable[str], now: datetime) -> Case:
    """These promises are void: stop their clocks. One that was missed by now is recorded so.

    Nothing is recorded of one that was not due yet: it was neither kept nor broken.
    """
    names = set(names)
    missed = {c.name: False for c in case.clocks if c.name in names and now > c.due_at}
    return stop(case, names, {**case.on_time, **missed})


def stop(case: Case, names: Collection[str], on_time: Mapping[str, bool]) -> Case:
    """Stop these clocks; `on_time` is what is recorded of the promises of the case from now on."""
    ended = [clock.name for clock in case.clocks if clock.name in names]
    if not ended:
        return case
    generations = dict(case.generations)
    for name in ended:
        generations[name] += 1
    running = tuple(clock for clock in case.clocks if clock.name not in names)
    return but(case, clocks=running, generations=generations, on_time=on_time)


def shortened(case: Case, names: Collection[str], policy: Policy, now: datetime) -> Case:
    """After a correction: what these promises have too much is cut, from the start that they had.

    Never lengthened: a promise that was made stands. What would be past already is due after the
    policy's grace. [ours]
    """
    generations = dict(case.generations)
    clocks: list[Clock] = []
    for clock in case.clocks:
        rule = policy.clocks[clock.name]  # type: ignore[index]
        if clock.name in names:
            due_of_it = due_of(rule, case, clock.started_at, policy).at
            due_at = with_grace(due_of_it, policy, now)
            if due_at < clock.due_at:
                generations[clock.name] += 1
                generation = generations[clock.name]
                clock = new_clock(rule, case, generation, clock.started_at, due_at, policy)
        clocks.append(clock)
    return but(case, clocks=tuple(clocks), generations=generations)


def reassign(case: Case, policy: Policy) -> Case:
    """After a change of holder: clocks whose owner changed get him, and a new generation.

    The promise itself goes on: its start and due time stay, so no warning is given twice.
    """
    generations = dict(case.generations)
    clocks: list[Clock] = []
    for clock in case.clocks:
        owner = owner_of(policy.clocks[clock.name], case, policy)  # type: ignore[index]
        if owner == (clock.owner_division, clock.owner_role, clock.owner_office):
            clocks.append(clock)
            continue
        generations[clock.name] += 1
        clocks.append(
            replace(
                clock,
                generation=generations[clock.name],
                owner_division=owner.division,
                owner_role=owner.role,
                owner_office=owner.office,
                answered=False,
            )
        )
    return but(case, clocks=tuple(clocks), generations=generations)


def answered(case: Case, name: str) -> Case:
    """The order of this clock's generation was answered; the breach itself stands."""
    return but(
        case,
        clocks=tuple(
            replace(clock, answered=True) if clock.name == name else clock for clock in case.clocks
        ),
    )
