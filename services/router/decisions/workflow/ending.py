"""A case comes to its end, and may come back: resolved, called back, closed, rated, reopened."""

from __future__ import annotations

from datetime import datetime

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.commands import (
    Answer,
    CallBack,
    Changed,
    Close,
    Decision,
    HandOver,
    NotAccept,
    Rate,
    Refused,
    Reopen,
    Resolve,
    stepped,
)
from services.router.decisions.policy import Policy
from services.router.decisions.routing import holder_for
from services.router.decisions.workflow.answering import with_result
from services.router.decisions.workflow.asked import Given
from services.router.decisions.workflow.desk import office_may_not
from services.router.decisions.workflow.moving import (
    CLOCK_TOLERANCE,
    closed,
    held_at,
    moved,
    moved_reason,
    outcome_of,
    settled_in,
)
from services.router.decisions.workflow.returning import waiting_at
from services.router.decisions.workflow.wording import noted
from shared.divisions import CITY, LADDER, Tier, tier_of


def on_resolve(before: Case, after: Case, command: Resolve, given: Given) -> Decision:
    """Dealt with; a contact is called back, an answer still owed stays owed."""
    transitions: tuple[str, ...] = (
        ("resolved",) if before.stage == "signed" else ("signed", "resolved")
    )
    after = but(after, stage="resolved", resolved_by=given.actor.subject)
    after = clocks.start(after, given.step.starts, given.policy, given.now)
    after, more = with_result(after, given)
    transitions = (*transitions, *more)
    detail = {**given.said, **noted(command.note)}
    return stepped(before, after, "resolved", "step/resolve", transitions, detail)


def on_answer(before: Case, after: Case, command: Answer, given: Given) -> Decision:
    """A question is answered, and with that done: nobody is called back for it. [domain B1]"""
    after = closed(but(after, replied=True), given.now)
    detail = {**given.said, **noted(command.note)}
    return stepped(before, after, "replied", "step/answer", ("replied", "closed"), detail)


def on_close(before: Case, after: Case, command: Close, given: Given) -> Decision:
    """Only after a call-back try, or where there is nobody to call; never without an answer.

    Of a question the answer is all that was asked for: nobody is called, nobody says that he was.
    [domain B1]
    """
    if not before.replied:
        return Refused("incomplete", "the resident has no answer yet: reply first")
    if before.track == "consult":
        if command.callback in ("answered", "no_answer"):
            says = "nobody is called back for an answered question: leave `callback` out"
            return Refused("incomplete", says)
        return stepped(before, closed(after, given.now), "closed", "step/close")
    if command.callback is None or (before.contact and command.callback == "no_contact"):
        return Refused("incomplete", "try to call back first, and say what came of it")
    if command.callback == "no_answer":
        least, tries = given.policy.settings.escalation.call_back.attempts, before.call_backs + 1
        if tries < least:
            says = f"this is try {tries} of {least}: say `call_back`, and call again"
            return Refused("incomplete", says)
    if command.callback != "no_contact":
        result = "solved" if command.callback == "answered" else "no_answer"
        after = but(after, call_backs=before.call_backs + 1, called_back=result)
    transitions = (f"called_back/{command.callback}", "closed")
    return stepped(before, closed(after, given.now), "closed", "step/close", transitions)


def on_call_back(before: Case, after: Case, command: CallBack, given: Given) -> Decision:
    """A try is counted; what the resident says closes the case or reopens it. [Beijing 23; F58]

    What is not solved is never closed as solved: manners and speed are said of what is. What the
    resident said himself stands, whatever the office hears that he judges. [ours]
    """
    if command.result == "not_solved" and not reopens(command.reason, given.policy):
        reasons = ", ".join(given.policy.settings.escalation.reopen.reasons)
        says = (
            f"not solved for one of: {reasons}; or it is solved, and he is not satisfied with how"
        )
        return Refused("incomplete", says)
    detail: dict[str, object] = {
        "result": command.result,
        "satisfied": command.satisfied,
        "reason": command.reason,
        **given.said,
        **noted(command.note),
    }
    after = but(after, call_backs=before.call_backs + 1, called_back=command.result)
    if before.rated is None and command.satisfied is not None:
        after = but(after, satisfied=command.satisfied)
    transitions: tuple[str, ...] = (f"called_back/{command.result}",)
    if command.result == "not_solved":
        after, ways = reopened(after, given.policy, given.now)
        after = but(after, called_back=command.result)
        return stepped(
            before, after, "called_back", "step/call_back", (*transitions, *ways), detail
        )
    if command.result != "no_answer":
        after = clocks.keep(after, ("callback",), given.now)
    return stepped(before, after, "called_back", "step/call_back", transitions, detail)


def on_not_accept(before: Case, after: Case, command: NotAccept, given: Given) -> Decision:
    """It is not for us; the resident is told why and where the right door is. [Beijing 11; F8]

    Who was refused and came back too often is refused by a desk above, once and for all: else it
    would go round. [ours]
    """
    own = given.actor.division == before.holder and before.holder != CITY
    if own and came_back_often(before, given.policy):
        says = f"it was opened again {before.reopened} times: a desk above says that it is not ours"
        return Refused("not_allowed_now", says)
    after = closed(but(after, replied=True, not_accepted=command.reason), given.now)
    detail = {
        "reason": command.reason,
        "door": command.door,
        **given.said,
        **noted(command.note),
    }
    rule, passed = f"not_accepted/{command.reason}", ("not_accepted", "closed")
    return stepped(before, after, "not_accepted", rule, passed, detail)


def on_hand_over(before: Case, after: Case, command: HandOver, given: Given) -> Decision:
    """Passed on: the outside body, when, and its reference; some go on with the named carers."""
    policy, now = given.policy, given.now
    if command.at > now + CLOCK_TOLERANCE or command.at < before.received_at:
        says = "the time of the hand-over lies before the receipt or in the future"
        return Refused("incomplete", says)
    detail: dict[str, object] = {
        "body": command.body,
        "at": command.at,
        "reference": command.reference,
        **given.said,
        **noted(command.note),
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


# ---------------------------------------------------------------- not done after all


def on_reopen(before: Case, after: Case, command: Reopen, given: Given) -> Decision:
    """Within the window, and for a reason of the policy. [F55]"""
    if not within_window(before, given.policy, given.now):
        hours = given.policy.settings.escalation.reopen.within.total_seconds() / 3600
        says = f"it was closed more than {hours:.0f} hours ago: a new petition is a new case"
        return Refused("not_allowed_now", says)
    if refused_for_good(before, given.policy):
        says = "a desk above said that it is not for us: with new facts it is a new petition"
        return Refused("not_allowed_now", says)
    if not reopens(command.reason, given.policy):
        return Refused("not_allowed_now", f"the policy reopens nothing for {command.reason}")
    after, ways = reopened(after, given.policy, given.now)
    detail = {"reason": command.reason, **noted(command.note)}
    return stepped(before, after, "reopened", f"reopen/{command.reason}", ways, detail)


def rated(before: Case, asked: Rate, policy: Policy, now: datetime) -> Changed:
    """What the resident says of it; some reasons reopen what is resolved or closed. [F57, F59]

    What he finds unsolved and does not come back is not counted as solved either. [ours]
    """
    after = but(before, heard=asked.heard, satisfied=asked.satisfied)
    done = before.track in ("service", "consult") and before.stage in ("resolved", "closed")
    if done:
        after = but(after, rated="solved" if asked.solved else "not_solved")
    if before.stage == "closed":
        after = but(after, outcome=outcome_of(after))
    wrong = not asked.solved and reopens(asked.reason, policy)
    over = refused_for_good(before, policy) or not within_window(before, policy, now)
    if over or not (done and wrong):
        return stepped(before, after, "rated", "petition")
    after, ways = reopened(after, policy, now)
    return stepped(before, after, "reopened", f"reopen/{asked.reason}", ("rated", *ways))


def within_window(case: Case, policy: Policy, now: datetime) -> bool:
    """Whether a case may be opened again."""
    window = policy.settings.escalation.reopen.within
    return case.closed_at is None or now - case.closed_at <= window


def came_back_often(case: Case, policy: Policy) -> bool:
    """Whether it was opened again more often than the desk that has it settles alone."""
    return case.reopened > policy.settings.escalation.reopen_after_dissatisfied_callback.max


def refused_for_good(case: Case, policy: Policy) -> bool:
    """Whether a desk above refused what had come back too often."""
    return case.not_accepted is not None and came_back_often(case, policy)


def reopens(reason: str | None, policy: Policy) -> bool:
    """Whether such a reason opens a case again."""
    return reason in policy.settings.escalation.reopen.reasons


def reopened(case: Case, policy: Policy, now: datetime) -> tuple[Case, tuple[str, ...]]:
    """Open again with whoever had it, as an arbiter said if one did, its promises made anew; too
    often, the street meets on it.

    [policy: escalation.reopen_after_dissatisfied_callback]
    """
    again = but(
        clocks.drop(case, [clock.name for clock in case.clocks], now),
        reopened=case.reopened + 1,
        promised_at=now,
        replied=False,
        verified=False,
        resolved_by=None,
        extension=None,
        not_accepted=None,
        call_backs=0,
        called_back=None,
        rated=None,
        outcome=None,
        closed_at=None,
        closing_tier=None,
        left={tier: at for tier, at in case.left.items() if tier is not case.tier},
    )
    if case.category is None:
        again = waiting_at(again, case.holder, policy, now)
        return clocks.start(again, ("received",), policy, now), ("reopened", "registered")
    below = tier_of(case.holder) in LADDER[: LADDER.index(Tier.STREET)]
    meets = below and came_back_often(again, policy)
    if meets:
        holder = holder_for(Tier.STREET, case.place, case.accused_division, policy)
        ways: tuple[str, ...] = ("reopened", "street_meeting", "assigned")
        again = moved(again, holder, policy, now)
    else:
        ways = ("reopened", "assigned")
        again = back(again, policy, now)
    return clocks.start(again, ("received",), policy, now), ways


def back(case: Case, policy: Policy, now: datetime) -> Case:
    """The case at the desk that had it, unsigned.

    In the catalogue's office, if its own is gone or it never came further than a dispatcher.
    """
    office = case.office
    gone = office is not None and office_may_not(case, office, case.holder, policy) is not None
    if gone or case.had_by[-1:] != (case.desk,):
        return moved(case, case.holder, policy, now)
    held = but(held_at(case, case.holder, office), arbitration=case.arbitration)
    return settled_in(held, ("assigned", "entered_tier"), policy, now)
