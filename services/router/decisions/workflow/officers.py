"""A person's command: the track's table says whether, the step says what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.commands import (
    Answer,
    AskWhistle,
    Assign,
    BlowWhistle,
    CallBack,
    CallConference,
    Changed,
    Classify,
    Close,
    ConferenceDecides,
    DecideObjection,
    Decision,
    DeclineExtension,
    Extend,
    FinishTask,
    GiveTask,
    GrantExtension,
    HandOver,
    NotAccept,
    OfficerCommand,
    Pause,
    Place,
    Promote,
    Recall,
    Refused,
    RefuseTask,
    Reopen,
    Reply,
    ReportIn,
    Reroute,
    Resolve,
    Resume,
    Return,
    Sign,
    Verify,
    WithdrawTask,
    stepped,
)
from services.router.decisions.policy import Policy
from services.router.decisions.routing import holder_for
from services.router.decisions.tracks import TRACKS
from services.router.decisions.workflow.access import may_not, only_starts_here
from services.router.decisions.workflow.answering import (
    on_decide_objection,
    on_finish_task,
    on_refuse_task,
    on_report_in,
    on_withdraw_task,
)
from services.router.decisions.workflow.asked import Given
from services.router.decisions.workflow.desk import on_classify, on_place, on_reroute
from services.router.decisions.workflow.ending import (
    on_answer,
    on_call_back,
    on_close,
    on_hand_over,
    on_not_accept,
    on_reopen,
    on_resolve,
)
from services.router.decisions.workflow.moving import (
    CLOCK_TOLERANCE,
    closed,
    moved,
    moved_reason,
    promoted,
)
from services.router.decisions.workflow.pausing import (
    on_decline_extension,
    on_extend,
    on_grant_extension,
    on_pause,
    on_resume,
)
from services.router.decisions.workflow.returning import on_recall, on_return
from services.router.decisions.workflow.tasking import on_give_task
from services.router.decisions.workflow.tidying import tidied
from services.router.decisions.workflow.whistling import (
    on_ask_whistle,
    on_call_conference,
    on_conference_decides,
    on_whistle,
)
from services.router.decisions.workflow.wording import noted, said_to_resident
from shared.divisions import Tier
from shared.identity import Actor

ENDS_A_PAUSE: Final = frozenset(
    [
        "classify",
        "place",
        "reroute",
        "return",
        "recall",
        "promote",
        "resolve",
        "answer",
        "close",
        "not_accept",
        "whistle",
        "conference_decides",
    ]
)
"""Who moves a case, or ends it, has what he waited for: its promises go on first."""
LEAVES_UNTOUCHED: Final = frozenset(["classify", "place", "reroute", "recall"])
"""What says where a case belongs, and is no work on it: who handed it on may take it back."""


def by_officer(
    case: Case, command: OfficerCommand, actor: Actor, policy: Policy, now: datetime
) -> Decision:
    """What a person's command makes of a case, if he may give it now."""
    step = TRACKS[case.track].step(command.command, case.stage)
    if refused := may_not(case, command.command, step, actor):
        return refused
    assert step is not None
    said = said_to_resident(case, command, actor, policy)
    if isinstance(said, Refused):
        return said
    if command.command in ENDS_A_PAUSE:
        case = clocks.going_on(case, policy, now)
    after = clocks.drop(clocks.keep(case, step.fulfils, now), step.ends, now)
    if command.command not in LEAVES_UNTOUCHED and after.given_by is not None:
        after = but(after, given_by=None)
    decision = STEPS[type(command)](case, after, command, Given(actor, step, policy, now, said))
    decision = tidily(decision, now)
    if isinstance(decision, Refused):
        return decision
    return closed_if_nothing_waits(case, decision, now)


def tidily(decision: Decision, now: datetime) -> Decision:
    """What a step comes to, without the tasks that it left void."""
    if isinstance(decision, Refused):
        return decision
    case = decision.case
    if not case.tasks and case.whistle is None:
        return decision
    return replace(decision, case=tidied(case, now))


def closed_if_nothing_waits(before: Case, changed: Changed, now: datetime) -> Changed:
    """A resolved case with nobody left to answer or to call is closed: it waits for nobody."""
    case = changed.case
    if case.stage != "resolved" or case.clocks:
        return changed
    ends = ("closed",) if case.contact else ("called_back/no_contact", "closed")
    return replace(changed, case=closed(case, now), transitions=(*changed.transitions, *ends))


def on_sign(before: Case, after: Case, _: Sign, given: Given) -> Decision:
    """The desk takes responsibility."""
    after = but(after, stage="signed", signed_by=given.actor.subject)
    after = clocks.start(after, given.step.starts, given.policy, given.now)
    return stepped(before, after, "signed", "step/sign")


def on_assign(before: Case, after: Case, command: Assign, _: Given) -> Decision:
    """It stands in a person's own queue; the promises stay the desk's. [F34]"""
    if command.to == before.person:
        return Refused("not_allowed_now", "it is this person's already")
    after = but(after, assignee=command.to)
    return stepped(before, after, "given", "step/assign")


def on_verify(before: Case, after: Case, command: Verify, given: Given) -> Decision:
    """The grid team was there; what it may not lead goes to its lead office now. [domain B3.8]"""
    policy, now = given.policy, given.now
    if before.verified:
        return Refused("not_allowed_now", "it was verified already")
    if command.at > now + CLOCK_TOLERANCE or command.at < before.receipt:
        return Refused("incomplete", "the time on site lies before the receipt or in the future")
    detail = {"at": command.at, "finding": command.finding, "evidence": command.evidence}
    after = but(after, verified=True)
    if not only_starts_here(before):
        return stepped(before, after, "verified", "step/verify", (), detail)
    after = clocks.drop(clocks.going_on(after, policy, now), ("sign", "tier", "object"), now)
    lead = holder_for(Tier.STREET, after.place, after.accused_division, policy)
    after = moved(after, lead, policy, now)
    passed = ("verified", "passed_to_lead")
    rule = "B3.8/may-not-lead"
    reason = moved_reason("B3.8/verified", rule, before, after, policy)
    return stepped(before, after, "verified", rule, passed, {**detail, "routing": reason})


def on_reply(before: Case, after: Case, command: Reply, given: Given) -> Decision:
    """The cadre's answer."""
    detail = {**given.said, **noted(command.note)}
    return stepped(before, but(after, replied=True), "replied", "step/reply", (), detail)


def on_promote(before: Case, _: Case, command: Promote, given: Given) -> Decision:
    """A person sends it up; the policy lists the reasons."""
    policy = given.policy
    if command.reason not in policy.settings.escalation.promote_on:
        return Refused("not_allowed_now", f"the policy does not promote for {command.reason}")
    detail = {"reason": command.reason, "note": command.note}
    rule = f"promote/{command.reason}"
    return promoted(before, policy, given.now, rule, detail, command.to)


STEPS: Final[Mapping[type, Callable[..., Decision]]] = {
    Classify: on_classify,
    Place: on_place,
    Reroute: on_reroute,
    Return: on_return,
    Recall: on_recall,
    Sign: on_sign,
    Assign: on_assign,
    Verify: on_verify,
    Reply: on_reply,
    Answer: on_answer,
    Promote: on_promote,
    Pause: on_pause,
    Resume: on_resume,
    Extend: on_extend,
    GrantExtension: on_grant_extension,
    DeclineExtension: on_decline_extension,
    Resolve: on_resolve,
    CallBack: on_call_back,
    Close: on_close,
    NotAccept: on_not_accept,
    HandOver: on_hand_over,
    Reopen: on_reopen,
    AskWhistle: on_ask_whistle,
    BlowWhistle: on_whistle,
    GiveTask: on_give_task,
    ReportIn: on_report_in,
    RefuseTask: on_refuse_task,
    DecideObjection: on_decide_objection,
    FinishTask: on_finish_task,
    WithdrawTask: on_withdraw_task,
    CallConference: on_call_conference,
    ConferenceDecides: on_conference_decides,
}
