"""The one place where a case changes: `decide(case, command, actor, policy, now)`.

Pure. It reads the track's table for who may do what when, and `clocks` for the promises; it gives
`Changed` with the next case, or `Refused` with the reason and what would be allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
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
    smallest_known,
)
from services.router.decisions.tracks import AT_THE_DESK_ONLY, TRACKS
from services.router.decisions.tracks.table import Step
from shared.divisions import CITY, Tier, is_within, next_tier, parent, tier_of
from shared.events import Candidate, CategoryCode, Stage
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
            return stepped(case, but(case, heard=command.heard), "supplemented", "petition")
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
    after = but(after, version=before.version + 1, seq=before.seq + 1)
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
        suspected=suspected(command.facts, policy),
    )
    routed = route(command.facts, policy)
    after, transitions = settled(case, routed, command.facts.division, policy, now)
    return stepped(
        case,
        after,
        "opened",
        routed.reason.rule,
        ("received", *transitions),
        {"routing": routed.reason},
    )


def suspected(facts: Facts, policy: Policy) -> tuple[CategoryCode, ...]:
    """The matters that a reading could not exclude: they hold until a person says otherwise."""
    least = policy.settings.reading.suspicion_threshold
    best = (facts.category,) if facts.category else ()
    return tuple(dict.fromkeys((*best, *(c.code for c in facts.candidates if c.score >= least))))


def settled(
    case: Case, routed: Routed, place: str, policy: Policy, now: datetime
) -> tuple[Case, tuple[str, ...]]:
    """The case where the routing puts it, with the clocks of that place."""
    waits_on = routed.division == case.holder and case.clock("dispatch") is not None
    case = but(
        case,
        track=routed.track,
        category=routed.category,
        urgency=routed.urgency,
        sensitivity=routed.sensitivity,
        restricted=routed.restricted,
        accused_division=routed.accused_division,
        place=smallest_known(place, policy),
        holder=routed.division,
        role=routed.role,
        stage="registered",
    )
    begins: tuple[str, ...]
    match routed:
        case Assigned() if routed.track not in AT_THE_DESK_ONLY:
            case = clocks.keep(but(case, stage="assigned"), ("dispatch",), now)
            begins = ("received", "assigned", "entered_tier")
            transitions: tuple[str, ...] = ("registered", "classified", "assigned")
        case HandOff():
            begins, transitions = ("received",), ("registered", "waits_for_hand_over")
        case Assigned() | WaitsForDispatcher():
            # Who says something more of a case that waits on has no new time to dispatch it.
            begins = ("received",) if waits_on else ("received", "entered_queue")
            transitions = ("registered", "waits_for_dispatcher")
    case = entered(case, tier_of(routed.division), now)
    case = clocks.reassign(drop_inapplicable(case, policy), policy)
    return clocks.start(case, begins, policy, now), transitions


def drop_inapplicable(case: Case, policy: Policy) -> Case:
    """End the clocks that the case's track and stage no longer have: no promise was kept."""
    gone = [
        clock.name
        for clock in case.clocks
        if not clocks.applies(policy.clocks[clock.name], case, policy)  # type: ignore[index]
    ]
    return clocks.drop(case, gone)


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
        after = clocks.answered(but(case, supervised=case.supervised + 1), order.clock)
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
    after = moved(but(after, promotions=counts), holder, policy, now)
    return stepped(case, after, "promoted", rule, ("promoted",), detail)


def moved(case: Case, holder: str, policy: Policy, now: datetime) -> Case:
    """The case with another holder: at his desk unsigned, or with the city's dispatcher."""
    tier = tier_of(holder)
    stage: Stage = "registered" if tier is None else "assigned"
    case = entered(but(case, holder=holder, role=role_of(holder), stage=stage), tier, now)
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
    if accused_reads(case, actor):
        return Refused("not_your_area", "this case is not for this office")
    allowed = allowed_actions(case, actor)
    if step is None:
        return Refused(
            "not_allowed_now",
            f"a {case.track} case that is {case.stage} takes no {command}",
            allowed,
        )
    if not actor.roles & step.roles:
        return Refused(
            "not_your_role", f"{command} takes one of: {', '.join(sorted(step.roles))}", allowed
        )
    if not in_area(case, step, actor):
        area = case.holder if step.where == "holder" else case.place
        return Refused("not_your_area", f"{command} is for those who act for {area}", allowed)
    return None


def in_area(case: Case, step: Step, actor: Actor) -> bool:
    """The holder's area, for some steps the place's too; and who owns a promise may keep it."""
    if actor.acts_for(case.holder) or (step.where == "place" and actor.acts_for(case.place)):
        return True
    return any(
        clock.name in step.fulfils
        and clock.owner_role in actor.roles
        and actor.acts_for(clock.owner_division)
        for clock in case.clocks
    )


def accused_reads(case: Case, actor: Actor) -> bool:
    """Whether the actor belongs to the accused unit or below it. Petition Regs 30, 46. [law]"""
    accused = case.accused_division
    return accused is not None and actor.division != CITY and is_within(actor.division, accused)


def may_read(case: Case, actor: Actor) -> bool:
    """Row scope: the holder's area and above, and those who own a running clock of the case.

    Where nothing is restricted, those who act for its place too.
    """
    if accused_reads(case, actor):
        return False
    divisions = [case.holder, *(clock.owner_division for clock in case.clocks)]
    if not case.restricted:
        divisions.append(case.place)
    return any(map(actor.acts_for, divisions))


def allowed_actions(case: Case, actor: Actor) -> tuple[str, ...]:
    """What this actor may do with the case now."""
    if accused_reads(case, actor):
        return ()
    return tuple(
        step.command
        for step in TRACKS[case.track].steps
        if case.stage in step.sources and actor.roles & step.roles and in_area(case, step, actor)
    )


def closed_if_nothing_waits(before: Case, changed: Changed, now: datetime) -> Changed:
    """A resolved case with nobody left to answer or to call is closed: it waits for nobody."""
    case = changed.case
    if case.stage != "resolved" or case.clocks:
        return changed
    ends = ("closed",) if case.contact else ("called_back/no_contact", "closed")
    return replace(changed, case=closed(case, now), transitions=(*changed.transitions, *ends))


def closed(case: Case, now: datetime) -> Case:
    """A case that is done."""
    return but(
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
    said = but(before, category=command.category, confirmed=True, suspected=())
    return rerouted_by_facts(before, said, "classified", before.place, policy, now)


def on_place(
    before: Case, _: Case, command: Place, __: Step, policy: Policy, now: datetime
) -> Decision:
    """The dispatcher says where it is: routed at once when the matter is known.

    That is no word on the matter: what its reading suspects, a person has still to look at.
    """
    if command.division not in policy.divisions:
        return Refused("unknown", f"there is no division {command.division[:20]!r}")
    return rerouted_by_facts(before, before, "placed", command.division, policy, now)


def rerouted_by_facts(
    before: Case, said: Case, event: str, place: str, policy: Policy, now: datetime
) -> Decision:
    """Route again with what a person said."""
    facts = Facts(
        division=place,
        category=said.category,
        basis="given" if said.category else "none",
        confirmed=said.confirmed,
        candidates=tuple(Candidate(code=code, score=1.0) for code in said.suspected),
        signs=before.signs,
        placed_by="code",
        accused=before.accused_division,
        accusation=before.accusation,
    )
    routed = route(facts, policy)
    after, transitions = settled(said, routed, place, policy, now)
    detail = {"routing": routed.reason}
    return stepped(before, after, event, routed.reason.rule, (event, *transitions), detail)


def on_sign(
    before: Case, after: Case, _: Sign, step: Step, policy: Policy, now: datetime
) -> Decision:
    """The desk takes responsibility."""
    after = clocks.start(but(after, stage="signed"), step.starts, policy, now)
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
    return stepped(before, but(after, verified=True), "verified", "step/verify", (), detail)


def on_reply(
    before: Case, after: Case, command: Reply, _: Step, __: Policy, ___: datetime
) -> Decision:
    """The cadre's answer."""
    detail = {"text": command.text}
    return stepped(before, but(after, replied=True), "replied", "step/reply", (), detail)


def on_resolve(
    before: Case, after: Case, command: Resolve, step: Step, policy: Policy, now: datetime
) -> Decision:
    """Dealt with; a contact is called back, an answer still owed stays owed."""
    transitions = ("resolved",) if before.stage == "signed" else ("signed", "resolved")
    after = clocks.start(but(after, stage="resolved"), step.starts, policy, now)
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
    after = but(after, stage="registered", holder=desk, role=role_of(desk))
    after = but(after, returns=before.returns + 1)
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
    """To the division a dispatcher names; never the accused or below it.

    Another holder in the same tier goes on with its time: only a tier that is entered has its own.
    """
    if refused := may_not_hold(before, command.division, policy):
        return refused
    tier = tier_of(command.division)
    after = but(
        after,
        holder=command.division,
        role=role_of(command.division),
        place=place_after(before, command),
        stage="assigned",
    )
    after = entered(after, tier, now)
    after = clocks.reassign(drop_inapplicable(after, policy), policy)
    goes_on = before.tier is tier and after.clock("tier") is not None
    begins = [moment for moment in step.starts if not (goes_on and moment == "entered_tier")]
    after = clocks.start(after, begins, policy, now)
    detail = {"reason": command.reason, "note": command.note}
    return stepped(before, after, "rerouted", f"reroute/{command.reason}", (), detail)


def may_not_hold(case: Case, division: str, policy: Policy) -> Refused | None:
    """Why a case may not be given to this division; None if it may."""
    if case.category is None:
        return Refused("incomplete", "say what it is about first: classify it")
    if division not in policy.divisions:
        return Refused("unknown", f"there is no division {division[:20]!r}")
    if division == case.holder and case.stage != "registered":
        return Refused("not_allowed_now", "this division holds it already")
    if holder_for_desk(division, case, policy) != division:
        return Refused("not_your_area", "this division may not hold this case")
    floor = lowest_tier(policy.categories[case.category], case.urgency, policy)
    tier = tier_of(division)
    if floor is not None and tier is not None and LADDER.index(tier) < LADDER.index(floor[0]):
        return Refused("not_your_area", f"such a matter is held in tier {floor[0]} or above")
    return None


def place_after(case: Case, command: Reroute) -> str:
    """A division within the place says it finer; one outside it corrects it, if it says so."""
    finer = is_within(command.division, case.place)
    outside = not is_within(case.place, command.division)
    corrected = outside and command.reason == "correction"
    return command.division if finer or corrected else case.place


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
    after = but(after, stage="handed_off", outcome="handed_off")
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
