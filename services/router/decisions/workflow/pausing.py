"""Promises that stand still for a while, and more time for the final reply."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.router.decisions import clocks
from services.router.decisions.case import Case, Extension, but
from services.router.decisions.case import Pause as Pausing
from services.router.decisions.commands import (
    Decision,
    DeclineExtension,
    Extend,
    GrantExtension,
    Pause,
    Refused,
    Resume,
    stepped,
)
from services.router.decisions.workflow.asked import Given
from services.router.decisions.workflow.wording import noted


def on_pause(before: Case, after: Case, command: Pause, given: Given) -> Decision:
    """For a reason of the policy, and all pauses together so long at most. [F47; sum: ours]

    What is late already runs on.
    """
    rules = given.policy.settings.escalation
    if command.reason not in rules.pause_only_for:
        return Refused("not_allowed_now", f"the policy does not pause for {command.reason}")
    if command.until <= given.now:
        return Refused("incomplete", "the end of the pause lies in the past")
    since = before.receipt
    stood = sum((p.end - p.start for p in before.pauses if p.start >= since), timedelta())
    if stood + (command.until - given.now) > rules.pause.at_most:
        most, left = (
            max(0.0, time.total_seconds() / 3600)
            for time in (rules.pause.at_most, rules.pause.at_most - stood)
        )
        return Refused("incomplete", f"pauses last {most:.0f} hours in all: {left:.0f} are left")
    pause = Pausing(command.reason, given.now, command.until)
    after = clocks.paused(after, pause, given.policy, given.now)
    if not any(clock.paused for clock in after.clocks):
        return Refused("not_allowed_now", "what could stand still is late already, and runs on")
    detail = {
        "reason": command.reason,
        "until": command.until,
        **given.said,
        **noted(command.note),
    }
    return stepped(before, after, "paused", f"pause/{command.reason}", (), detail)


def on_resume(before: Case, after: Case, _: Resume, given: Given) -> Decision:
    """What was left of each promise is left again."""
    after = clocks.going_on(after, given.policy, given.now)
    return stepped(before, after, "resumed", "step/resume")


def on_extend(before: Case, after: Case, command: Extend, given: Given) -> Decision:
    """Ask for more time for the final reply; until it is granted the promise stands. [F48]"""
    promised = before.clock("final_reply")
    if promised is None:
        return Refused("not_allowed_now", "no final reply is owed: there is nothing to extend")
    more = command.until - promised.due_at
    percent = given.policy.settings.escalation.extension.at_most_percent
    most = (promised.due_at - promised.started_at) * percent / 100
    if command.until <= max(promised.due_at, given.now):
        return Refused("incomplete", f"that is no more time: it is due {promised.due_at}")
    if more > most:
        return Refused("incomplete", f"at most until {promised.due_at + most}")
    asked = Extension(command.until, more, given.actor.subject, given.now)
    detail = {"until": command.until, "reason": command.reason, **given.said}
    rule = "Petition Regs 34/ask"
    return stepped(before, but(after, extension=asked), "extension_asked", rule, (), detail)


def on_grant_extension(before: Case, after: Case, _: GrantExtension, given: Given) -> Decision:
    """Another than who asked, the head of the office, gives it; the resident is told. [law]"""
    asked, promised = before.extension, before.clock("final_reply")
    assert asked is not None
    if given.actor.subject == asked.asked_by:
        return Refused("not_your_role", "who asks for more time does not grant it to himself")
    if promised is None or asked.until <= promised.due_at:
        return Refused("not_allowed_now", "the final reply has as much time already: decline it")
    asked = replace(asked, by=asked.until - promised.due_at)
    after = clocks.extended(after, asked, given.policy, given.now)
    detail = {"until": asked.until}
    return stepped(before, after, "extended", "Petition Regs 34/grant", (), detail)


def on_decline_extension(
    before: Case, after: Case, command: DeclineExtension, _: Given
) -> Decision:
    """The promise stands; it may be asked for again."""
    after = but(after, extension=None)
    rule, detail = "Petition Regs 34/decline", {"note": command.note}
    return stepped(before, after, "extension_declined", rule, (), detail)
