"""A person's command: the track's table says whether, the step says what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.commands import (
    Changed,
    Classify,
    Close,
    Decision,
    HandOver,
    OfficerCommand,
    Place,
    Promote,
    Refused,
    Reply,
    Reroute,
    Resolve,
    Return,
    Sign,
    Verify,
    stepped,
)
from services.router.decisions.policy import Policy
from services.router.decisions.routing import holder_for
from services.router.decisions.tracks import TRACKS
from services.router.decisions.tracks.table import Step
from services.router.decisions.workflow.access import may_not, only_starts_here
from services.router.decisions.workflow.desk import on_classify, on_place, on_reroute, on_return
from services.router.decisions.workflow.moving import closed, moved, moved_reason, promoted
from shared.divisions import Tier
from shared.identity import Actor

CLOCK_TOLERANCE = timedelta(minutes=5)


def by_officer(
    case: Case, command: OfficerCommand, actor: Actor, policy: Policy, now: datetime
) -> Decision:
    """What a person's command makes of a case, if he may give it now."""
    step = TRACKS[case.track].step(command.command, case.stage)
    if refused := may_not(case, command.command, step, actor):
        return refused
    assert step is not None
    after = clocks.keep(case, step.fulfils, now)
    after = clocks.drop(after, step.ends, now)
    if isinstance(command, Sign):
        after = but(after, signed_by=actor.subject)
    if isinstance(command, Classify):
        decision = on_classify(case, command, actor, policy, now)
    else:
        decision = STEPS[type(command)](case, after, command, step, policy, now)
    if isinstance(decision, Refused):
        return decision
    return closed_if_nothing_waits(case, decision, now)


def closed_if_nothing_waits(before: Case, changed: Changed, now: datetime) -> Changed:
    """A resolved case with nobody left to answer or to call is closed: it waits for nobody."""
    case = changed.case
    if case.stage != "resolved" or case.clocks:
        return changed
    ends = ("closed",) if case.contact else ("called_back/no_contact", "closed")
    return replace(changed, case=closed(case, now), transitions=(*changed.transitions, *ends))


def on_sign(
    before: Case, after: Case, _: Sign, step: Step, policy: Policy, now: datetime
) -> Decision:
    """The desk takes responsibility."""
    after = clocks.start(but(after, stage="signed"), step.starts, policy, now)
    return stepped(before, after, "signed", "step/sign")


def on_verify(
    before: Case, after: Case, command: Verify, _: Step, policy: Policy, now: datetime
) -> Decision:
    """The grid team was there; what it may not lead goes to its lead office now. [domain B3.8]"""
    if before.verified:
        return Refused("not_allowed_now", "it was verified already")
    if command.at > now + CLOCK_TOLERANCE or command.at < before.received_at:
        return Refused("incomplete", "the time on site lies before the receipt or in the future")
    detail = {"at": command.at, "finding": command.finding, "evidence": command.evidence}
    after = but(after, verified=True)
    if not only_starts_here(before):
        return stepped(before, after, "verified", "step/verify", (), detail)
    after = clocks.drop(after, ("sign", "tier", "object"), now)
    lead = holder_for(Tier.STREET, after.place, after.accused_division, policy)
    after = moved(after, lead, policy, now)
    passed = ("verified", "passed_to_lead")
    rule = "B3.8/may-not-lead"
    reason = moved_reason("B3.8/verified", rule, before, after, policy)
    return stepped(before, after, "verified", rule, passed, {**detail, "routing": reason})


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


def on_promote(
    before: Case, _: Case, command: Promote, __: Step, policy: Policy, now: datetime
) -> Decision:
    """A person sends it up; the policy lists the reasons."""
    if command.reason not in policy.settings.escalation.promote_on:
        return Refused("not_allowed_now", f"the policy does not promote for {command.reason}")
    detail = {"reason": command.reason, "note": command.note}
    return promoted(before, policy, now, f"promote/{command.reason}", detail)


def on_hand_over(
    before: Case, after: Case, command: HandOver, _: Step, policy: Policy, now: datetime
) -> Decision:
    """Passed on: the outside body, when, and its reference; some go on with the named carers."""
    if command.at > now + CLOCK_TOLERANCE or command.at < before.received_at:
        says = "the time of the hand-over lies before the receipt or in the future"
        return Refused("incomplete", says)
    detail: dict[str, object] = {
        "body": command.body,
        "at": command.at,
        "reference": command.reference,
    }
    after = but(after, handed_over=True)
    if before.category in policy.settings.first_tier.follow_up:
        after = followed_up(after, policy, now)
        passed = ("handed_over", "follow_up_opened")
        reason = moved_reason("B3.1/follow-up", "B3.1/follow-up", before, after, policy)
        detail["routing"] = reason
        return stepped(before, after, "handed_over", "B3.1/follow-up", passed, detail)
    after = closed(after, now)
    after = but(after, stage="handed_off", outcome="handed_off")
    return stepped(before, after, "handed_over", "step/hand_over", (), detail)


def followed_up(case: Case, policy: Policy, now: datetime) -> Case:
    """The outside body has come; now the case is a service of the named carers. [domain B3.1]"""
    case = clocks.drop(but(case, track="service"), ("handover",), now)
    carers = holder_for(Tier.STREET, case.place, case.accused_division, policy)
    return clocks.start(moved(case, carers, policy, now), ("received",), policy, now)


STEPS: Final[Mapping[type, Callable[..., Decision]]] = {
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
