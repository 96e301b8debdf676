"""The one place where a case changes: `decide(case, command, actor, policy, now)`.

Pure. It reads the track's table for who may do what when, and `clocks` for the promises; it gives
`Changed` with the next case, or `Refused` with the reason and what would be allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Final

from services.router.decisions import clocks
from services.router.decisions.case import Case
from services.router.decisions.commands import (
    ApplyOrder,
    Changed,
    Classify,
    Close,
    Command,
    Decision,
    HandOver,
    OfficerCommand,
    Open,
    Place,
    Promote,
    Refused,
    Reply,
    Reroute,
    Resolve,
    Return,
    Sign,
    Supplement,
    Verify,
)
from services.router.decisions.policy import Policy
from services.router.decisions.routing import (
    Assigned,
    Facts,
    HandOff,
    Routed,
    WaitsForDispatcher,
    holder_for,
    lowest_tier,
    role_of,
    route,
)
from services.router.decisions.tracks import AT_THE_DESK_ONLY, TRACKS
from services.router.decisions.tracks.table import Step
from shared.divisions import CITY, Tier, is_within, next_tier, parent, tier_of
from shared.events import Stage
from shared.identity import SYSTEM, Actor

CLOCK_TOLERANCE = timedelta(minutes=5)
LADDER: Final = tuple(Tier)


def decide(
    case: Case | None, command: Command, actor: Actor, policy: Policy, now: datetime
) -> Decision:
    """What a command makes of a case. Every change goes through here."""
    match command:
        case Open():
            return (
                Refused("stale", "the case is open already")
                if case
                else opened(command, policy, now)
            )
        case Supplement() if case is not None:
            return stepped(case, replace(case, heard=command.heard), "supplemented", "petition")
        case ApplyOrder() if case is not None:
            if SYSTEM not in actor.roles:
                return Refused("not_your_role", "only escalation gives orders")
            return answer(case, command, policy, now)
        case ApplyOrder() | Supplement():
            return Refused("unknown", "there is no such case yet")
        case _:
            if case is None:
                return Refused("unknown", "there is no such case yet")
            return by_officer(case, command, actor, policy, now)


def stepped(
    before: Case,
    after: Case,
    event: str,
    rule: str,
    transitions: tuple[str, ...] = (),
    detail: Mapping[str, object] | None = None,
) -> Changed:
    """The next version of a case."""
    after = replace(after, version=before.version + 1, seq=before.seq + 1)
    return Changed(after, event, transitions or (event,), rule, detail or {})


# ---------------------------------------------------------------- opening


def opened(command: Open, policy: Policy, now: datetime) -> Changed:
    """Open and route in one step: one event, however many transitions."""
    case = Case(
        id=command.petition,
        number=command.number,
        channel=command.channel,
        kind=command.kind,
        track=policy.settings.unclassified.track,
        stage="registered",
        urgency=policy.settings.unclassified.urgency,
        holder=CITY,
        role="city_dispatcher",
        place=CITY,
        received_at=command.received_at,
        policy=policy.version,
        calendar=policy.calendar.version,
        heard=command.heard,
        contact=command.contact,
        accusation=command.facts.accusation,
        signs=command.facts.signs,
    )
    routed = route(command.facts, policy)
    after, transitions = settled(case, routed, command.facts.division, policy, now)
    return stepped(
        case,
        after,
        "opened",
        routed.reason.rule,
        ("received", *transitions),
        {"routing": asdict(routed.reason)},
    )


def settled(
    case: Case, routed: Routed, place: str, policy: Policy, now: datetime
) -> tuple[Case, tuple[str, ...]]:
    """The case where the routing puts it, with the clocks of that place."""
    case = replace(
        case,
        track=routed.track,
        category=routed.category,
        urgency=routed.urgency,
        sensitivity=routed.sensitivity,
        restricted=routed.restricted,
        accused_division=routed.accused_division,
        place=place if place in policy.divisions else CITY,
        holder=routed.division,
        role=routed.role,
    )
    match routed:
        case Assigned() if routed.track not in AT_THE_DESK_ONLY:
            case = entered(replace(case, stage="assigned"), tier_of(routed.division), now)
            case = clocks.keep(case, ("dispatch",), now)
            begins: tuple[str, ...] = ("received", "assigned", "entered_tier")
            return clocks.start(drop_inapplicable(case, policy), begins, policy, now), (
                "registered",
                "classified",
                "assigned",
            )
        case HandOff():
            case = entered(replace(case, stage="registered"), tier_of(routed.division), now)
            case = clocks.start(drop_inapplicable(case, policy), ("received",), policy, now)
            return case, ("registered", "waits_for_hand_over")
        case Assigned() | WaitsForDispatcher():
            case = entered(replace(case, stage="registered"), tier_of(routed.division), now)
            begins = ("received", "entered_queue")
            case = clocks.start(drop_inapplicable(case, policy), begins, policy, now)
            return case, ("registered", "waits_for_dispatcher")


def drop_inapplicable(case: Case, policy: Policy) -> Case:
    """End the clocks that the case's track and stage no longer have: no promise was kept."""
    gone = [
        clock.name
        for clock in case.clocks
        if not clocks.applies(policy.clocks[clock.name], case, policy)  # type: ignore[index]
    ]
    return clocks.drop(case, gone)


def entered(case: Case, tier: Tier | None, now: datetime) -> Case:
    """The case in a tier: when it left the one before, and the highest it ever had."""
    if tier is case.tier and tier in case.entered:
        return case
    left = dict(case.left)
    if case.tier is not None:
        left[case.tier] = now
    if tier is None:
        return replace(case, tier=None, left=left)
    highest = case.highest_tier
    if highest is None or LADDER.index(tier) > LADDER.index(highest):
        highest = tier
    return replace(
        case, tier=tier, entered={**case.entered, tier: now}, left=left, highest_tier=highest
    )


# ---------------------------------------------------------------- orders of escalation


def answer(case: Case, order: ApplyOrder, policy: Policy, now: datetime) -> Decision:
    """Apply an order, or refuse it as stale: judged by generation and tier, never by a clock."""
    clock = case.clock(order.clock)
    if not case.is_open:
        return Refused("stale", f"the case is {case.stage}")
    if clock is None or clock.generation != order.generation:
        current = case.generations.get(order.clock, 0)
        return Refused(
            "stale", f"generation {order.generation} of {order.clock} is past ({current})"
        )
    if clock.answered:
        return Refused("stale", f"generation {order.generation} of {order.clock} was answered")
    if order.action != clock.on_breach:
        return Refused("stale", f"a breach of {order.clock} means {clock.on_breach}")
    if order.action == "supervise":
        after = clocks.answered(replace(case, supervised=case.supervised + 1), order.clock)
        return stepped(case, after, "supervised", f"clock/{order.clock}")
    if order.tier != case.tier:
        return Refused("stale", f"the case is in tier {case.tier}, not in {order.tier}")
    return promoted(case, policy, now, f"clock/{order.clock}", {})


def promoted(
    case: Case, policy: Policy, now: datetime, rule: str, detail: Mapping[str, object]
) -> Decision:
    """One tier up; skipping what may not hold such a matter, and the accused. [article, policy]"""
    assert case.tier is not None
    target = next_tier(case.tier)
    if target is None:
        return Refused("not_allowed_now", "above the district there is supervision, not a tier")
    row = policy.categories.get(case.category or "")
    floor = lowest_tier(row, case.urgency, policy) if row is not None else None
    if floor is not None and LADDER.index(floor[0]) > LADDER.index(target):
        target = floor[0]
    holder = holder_for(target, case.place, case.accused_division, policy)
    counts = {**case.promotions, case.tier: case.promotions.get(case.tier, 0) + 1}
    after = clocks.drop(case, ("sign", "tier", "object"))
    after = moved(replace(after, promotions=counts), holder, policy, now)
    return stepped(case, after, "promoted", rule, ("promoted",), detail)


def moved(case: Case, holder: str, policy: Policy, now: datetime) -> Case:
    """The case with another holder: at his desk unsigned, or with the city's dispatcher."""
    tier = tier_of(holder)
    stage: Stage = "registered" if tier is None else "assigned"
    case = entered(replace(case, holder=holder, role=role_of(holder), stage=stage), tier, now)
    case = clocks.reassign(drop_inapplicable(case, policy), policy)
    begins = ("entered_queue",) if tier is None else ("assigned", "entered_tier")
    return clocks.start(case, begins, policy, now)


# ---------------------------------------------------------------- officers


def by_officer(
    case: Case, command: OfficerCommand, actor: Actor, policy: Policy, now: datetime
) -> Decision:
    """A person's command: the track's table says whether, the step says what."""
    step = TRACKS[case.track].step(command.command, case.stage)
    if refused := may_not(case, command.command, step, actor):
        return refused
    assert step is not None
    after = clocks.keep(case, step.fulfils, now)
    after = clocks.drop(after, step.ends)
    decision = STEPS[type(command)](case, after, command, step, policy, now)
    if isinstance(decision, Refused):
        return decision
    return closed_if_nothing_waits(case, decision, now)


def may_not(case: Case, command: str, step: Step | None, actor: Actor) -> Refused | None:
    """Why this actor may not give this command now; None if he may."""
    allowed = allowed_actions(case, actor)
    if step is None:
        return Refused(
            "not_allowed_now",
            f"a {case.track} case that is {case.stage} takes no {command}",
            allowed,
        )
    if accused_reads(case, actor):
        return Refused("not_your_area", "this case is not for this office")
    if not actor.roles & step.roles:
        return Refused(
            "not_your_role", f"{command} takes one of: {', '.join(sorted(step.roles))}", allowed
        )
    area = case.holder if step.where == "holder" else case.place
    if not actor.acts_for(area) and not (step.where == "place" and actor.acts_for(case.holder)):
        return Refused("not_your_area", f"{command} is for those who act for {area}", allowed)
    return None


def accused_reads(case: Case, actor: Actor) -> bool:
    """Whether the actor belongs to the accused unit or below it. Petition Regs 30, 46. [law]"""
    accused = case.accused_division
    return accused is not None and actor.division != CITY and is_within(actor.division, accused)


def allowed_actions(case: Case, actor: Actor) -> tuple[str, ...]:
    """What this actor may do with the case now."""
    if accused_reads(case, actor):
        return ()
    return tuple(
        step.command
        for step in TRACKS[case.track].steps
        if case.stage in step.sources
        and actor.roles & step.roles
        and (actor.acts_for(case.holder) or (step.where == "place" and actor.acts_for(case.place)))
    )


def closed_if_nothing_waits(before: Case, changed: Changed, now: datetime) -> Changed:
    """A resolved case with nobody left to answer or to call is closed: it waits for nobody."""
    case = changed.case
    if case.stage != "resolved" or case.clocks:
        return changed
    return replace(
        changed,
        case=closed(case, now),
        transitions=(*changed.transitions, "called_back/no_contact", "closed"),
    )


def closed(case: Case, now: datetime) -> Case:
    """A case that is done."""
    return replace(
        clocks.drop(case, [clock.name for clock in case.clocks]),
        stage="closed",
        outcome="solved",
        closed_at=now,
        closing_tier=case.tier,
        left={**case.left, case.tier: now} if case.tier else case.left,
    )


def on_classify(
    before: Case, _: Case, command: Classify, __: Step, policy: Policy, now: datetime
) -> Decision:
    """The dispatcher says what it is about: routed at once, clocks counted from receipt."""
    if command.category not in policy.categories:
        return Refused("unknown", f"there is no category {command.category[:20]!r}")
    return rerouted_by_facts(before, "classified", command.category, before.place, policy, now)


def on_place(
    before: Case, _: Case, command: Place, __: Step, policy: Policy, now: datetime
) -> Decision:
    """The dispatcher says where it is: routed at once when the matter is known."""
    if command.division not in policy.divisions:
        return Refused("unknown", f"there is no division {command.division[:20]!r}")
    return rerouted_by_facts(before, "placed", before.category, command.division, policy, now)


def rerouted_by_facts(
    before: Case, event: str, category: str | None, place: str, policy: Policy, now: datetime
) -> Decision:
    """Route again with what a person said."""
    facts = Facts(
        division=place,
        category=category,
        basis="given" if category else "none",
        confirmed=category is not None,
        signs=before.signs,
        placed_by="code",
        accused=before.accused_division,
        accusation=before.accusation,
    )
    routed = route(facts, policy)
    after, transitions = settled(before, routed, place, policy, now)
    detail = {"routing": asdict(routed.reason)}
    return stepped(before, after, event, routed.reason.rule, (event, *transitions), detail)


def on_sign(
    before: Case, after: Case, _: Sign, step: Step, policy: Policy, now: datetime
) -> Decision:
    """The desk takes responsibility."""
    after = clocks.start(replace(after, stage="signed"), step.starts, policy, now)
    return stepped(before, after, "signed", "step/sign")


def on_verify(
    before: Case, after: Case, command: Verify, _: Step, __: Policy, now: datetime
) -> Decision:
    """The grid team was there."""
    if before.verified:
        return Refused("not_allowed_now", "it was verified already")
    if command.at > now + CLOCK_TOLERANCE or command.at < before.received_at:
        return Refused("incomplete", "the time on site lies before the receipt or in the future")
    detail = {"at": command.at, "finding": command.finding, "evidence": command.evidence}
    return stepped(before, replace(after, verified=True), "verified", "step/verify", (), detail)


def on_reply(
    before: Case, after: Case, command: Reply, _: Step, __: Policy, ___: datetime
) -> Decision:
    """The cadre's answer."""
    detail = {"text": command.text}
    return stepped(before, replace(after, replied=True), "replied", "step/reply", (), detail)


def on_resolve(
    before: Case, after: Case, command: Resolve, step: Step, policy: Policy, now: datetime
) -> Decision:
    """Dealt with; a contact is called back, an answer still owed stays owed."""
    transitions = ("resolved",) if before.stage == "signed" else ("signed", "resolved")
    after = clocks.start(replace(after, stage="resolved"), step.starts, policy, now)
    detail = {"result": command.result}
    return stepped(before, after, "resolved", "step/resolve", transitions, detail)


def on_close(
    before: Case, after: Case, command: Close, _: Step, __: Policy, now: datetime
) -> Decision:
    """Only after a call-back try, or where there is nobody to call; never without an answer."""
    if not before.replied:
        return Refused("incomplete", "the resident has no answer yet: reply first")
    if before.contact and command.callback == "no_contact":
        return Refused("incomplete", "there is a contact: try to call back first")
    transitions = (f"called_back/{command.callback}", "closed")
    return stepped(before, closed(after, now), "closed", "step/close", transitions)


def on_return(
    before: Case, after: Case, command: Return, step: Step, policy: Policy, now: datetime
) -> Decision:
    """To the dispatcher one level above the holder."""
    if before.holder == CITY:
        return Refused("not_allowed_now", "the city is the last desk: reroute it instead")
    desk = holder_for_desk(parent(before.holder), before, policy)
    after = replace(after, stage="registered", holder=desk, role=role_of(desk))
    after = replace(after, returns=before.returns + 1)
    after = entered(after, tier_of(desk), now)
    after = clocks.reassign(drop_inapplicable(after, policy), policy)
    after = clocks.start(after, step.starts, policy, now)
    detail = {"reason": command.reason, "note": command.note}
    return stepped(before, after, "returned", f"return/{command.reason}", (), detail)


def holder_for_desk(division: str, case: Case, policy: Policy) -> str:
    """That division, or the next above the accused."""
    return holder_for(tier_of(division) or Tier.DISTRICT, division, case.accused_division, policy)


def on_reroute(
    before: Case, after: Case, command: Reroute, step: Step, policy: Policy, now: datetime
) -> Decision:
    """To the division a dispatcher names; never the accused or below it."""
    if before.category is None:
        return Refused("incomplete", "say what it is about first: classify it")
    if command.division not in policy.divisions:
        return Refused("unknown", f"there is no division {command.division[:20]!r}")
    if holder_for_desk(command.division, before, policy) != command.division:
        return Refused("not_your_area", "this division may not hold this case")
    row = policy.categories[before.category]
    floor = lowest_tier(row, before.urgency, policy)
    tier = tier_of(command.division)
    if floor is not None and tier is not None and LADDER.index(tier) < LADDER.index(floor[0]):
        return Refused("not_your_area", f"such a matter is held in tier {floor[0]} or above")
    after = replace(after, holder=command.division, role=role_of(command.division))
    after = entered(replace(after, stage="assigned"), tier, now)
    after = clocks.reassign(drop_inapplicable(after, policy), policy)
    after = clocks.start(after, step.starts, policy, now)
    detail = {"reason": command.reason, "note": command.note}
    return stepped(before, after, "rerouted", f"reroute/{command.reason}", (), detail)


def on_promote(
    before: Case, _: Case, command: Promote, __: Step, policy: Policy, now: datetime
) -> Decision:
    """A person sends it up; the policy lists the reasons."""
    if command.reason not in policy.settings.escalation.promote_on:
        return Refused("not_allowed_now", f"the policy does not promote for {command.reason}")
    detail = {"reason": command.reason, "note": command.note}
    return promoted(before, policy, now, f"promote/{command.reason}", detail)


def on_hand_over(
    before: Case, after: Case, command: HandOver, _: Step, __: Policy, now: datetime
) -> Decision:
    """Passed on: the outside body, when, and its reference."""
    if command.at > now + CLOCK_TOLERANCE:
        return Refused("incomplete", "the hand-over lies in the future")
    after = closed(after, now)
    after = replace(after, stage="handed_off", outcome="handed_off")
    detail = {"body": command.body, "at": command.at, "reference": command.reference}
    return stepped(before, after, "handed_over", "step/hand_over", (), detail)


STEPS: Final[Mapping[type, Callable[..., Decision]]] = {
    Classify: on_classify,
    Place: on_place,
    Sign: on_sign,
    Verify: on_verify,
    Reply: on_reply,
    Resolve: on_resolve,
    Close: on_close,
    Return: on_return,
    Reroute: on_reroute,
    Promote: on_promote,
    HandOver: on_hand_over,
}
