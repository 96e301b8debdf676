"""The whistle and the joint conference. The grid stands guard, the community blows, the street
commands, departments report in. [article; domain B6]"""

from __future__ import annotations

from dataclasses import replace

from services.router.decisions import clocks
from services.router.decisions.case import Case, but
from services.router.decisions.clocks import Owner
from services.router.decisions.commands import (
    AskWhistle,
    BlowWhistle,
    CallConference,
    ConferenceDecides,
    Decision,
    Refused,
    Reroute,
    stepped,
)
from services.router.decisions.policy import Policy
from services.router.decisions.routing import apart_from_accused, holder_for
from services.router.decisions.tasks import Whistle
from services.router.decisions.workflow.asked import Given
from services.router.decisions.workflow.desk import on_reroute
from services.router.decisions.workflow.moving import held_at, moved_reason, settled_in
from services.router.decisions.workflow.tasking import (
    DOES,
    LONGEST,
    asked,
    kept,
    may_be_accused,
    no_room,
    office_may_not,
    own_task,
)
from shared.divisions import dispatcher_of, tier_of


def on_ask_whistle(before: Case, after: Case, command: AskWhistle, given: Given) -> Decision:
    """The grid asks; its community blows, or says why not."""
    if refused := no_room(before):
        return refused
    caller = given.policy.settings.whistle.caller
    community = holder_for(caller, before.holder, before.accused_division, given.policy)
    if tier_of(community) is not caller:
        return Refused("not_allowed_now", "its community may have no part in it: promote it")
    after = asked(after, "whistle", Owner(community, dispatcher_of(community)), given)
    detail = {"task": after.tasks[-1].n, "note": command.note}
    return stepped(before, after, "whistle_asked", "B6/ask", (), detail)


def on_whistle(before: Case, after: Case, command: BlowWhistle, given: Given) -> Decision:
    """The street's own desk has the case now, and commands; its departments are asked by it."""
    policy, now = given.policy, given.now
    street = street_of(before, policy)
    if street is None:
        return Refused("not_allowed_now", "no street may command it: promote it")
    if refused := no_room(before) or wants_nobody(before, command, street, policy):
        return refused
    community = holder_for(
        policy.settings.whistle.caller, before.holder, before.accused_division, policy
    )
    for task in before.open_tasks:
        if task.kind == "whistle":
            after = kept(after, task, "done", now)
    first = (before.had_by or (before.holder,))[0].partition("/")[0]
    whistle = Whistle(community, first, now, tuple(dict.fromkeys(command.offices)))
    after = but(held_at(after, street, None), whistle=whistle)
    after = settled_in(after, given.step.starts, policy, now)
    rule = f"whistle/{command.reason}"
    reason = moved_reason("moved/whistled", rule, before, after, policy)
    detail = {
        "offices": whistle.wants,
        "reason": command.reason,
        "note": command.note,
        "routing": reason,
    }
    return stepped(before, after, "whistled", rule, ("whistled", "assigned"), detail)


def street_of(case: Case, policy: Policy) -> str | None:
    """Who commands: the street, or who stands in for an accused one; above all districts nobody."""
    commander = policy.settings.whistle.commander
    street = holder_for(commander, case.holder, case.accused_division, policy)
    return None if tier_of(street) is None else street


def wants_nobody(case: Case, command: BlowWhistle, street: str, policy: Policy) -> Refused | None:
    """Why an office that a community wants cannot come; None if all can."""
    problems = (
        office_may_not(case, office, street, DOES["report_in"], policy)
        for office in command.offices
    )
    return next((one for one in problems if one is not None), None)


# ---------------------------------------------------------------- the joint conference


def on_call_conference(
    before: Case, after: Case, command: CallConference, given: Given
) -> Decision:
    """Who meets, and when; it has to decide so long after that. Whoever calls it, leads it."""
    if refused := no_room(before) or meets_wrongly(before, command, given):
        return refused
    chair = apart_from_accused(given.actor.division, before.accused_division, given.policy)
    members = tuple(dict.fromkeys(command.members))
    owner = Owner(chair, dispatcher_of(chair))
    after = asked(after, "conference", owner, given, members=members, meets_at=command.meets_at)
    detail = {
        "task": after.tasks[-1].n,
        "members": members,
        "meets_at": command.meets_at,
        "note": command.note,
    }
    return stepped(before, after, "conference_called", "B6/conference", (), detail)


def meets_wrongly(case: Case, command: CallConference, given: Given) -> Refused | None:
    """Why these cannot meet then; None if they can."""
    if not given.now <= command.meets_at <= given.now + LONGEST:
        return Refused("incomplete", f"it meets in the future, and within {LONGEST.days} days")
    if len(set(command.members)) < 2:
        return Refused("incomplete", "a conference of one is none")
    for member in command.members:
        if may_be_accused(member, case):
            return Refused("not_your_area", f"{member} may have no part in this case")
        if member not in given.policy.divisions and given.policy.office(member) is None:
            return Refused("unknown", f"there is no division or office {member[:40]!r} today")
    return None


def on_conference_decides(
    before: Case, after: Case, command: ConferenceDecides, given: Given
) -> Decision:
    """Whom it names has the case from now on, and keeps it; no task is disputed any more."""
    [conference] = [task for task in before.open_tasks if task.kind == "conference"]
    owned = own_task(before, conference.n, given)
    if isinstance(owned, Refused):
        return owned
    if conference.meets_at is not None and given.now < conference.meets_at:
        return Refused("not_allowed_now", f"it meets at {conference.meets_at}")
    after = kept(after, conference, "done", given.now)
    for task in before.open_tasks:
        if task.is_disputed:
            after = kept(after, task, "released", given.now, decider=None)
    detail = {"task": conference.n, "note": command.note}
    rule = "B6/conference"
    same = command.division == before.holder and command.office in (None, before.office)
    if same and before.stage != "registered":
        after = but(after, arbitration="decided")
        return stepped(before, after, "conference_decided", rule, ("arbitrated",), detail)
    return given_to(before, after, command, given, detail)


def given_to(
    before: Case, after: Case, command: ConferenceDecides, given: Given, detail: dict[str, object]
) -> Decision:
    """To whom the conference named, as a dispatcher would give it, and for good."""
    to = Reroute(
        command="reroute", division=command.division, office=command.office, reason="agreed"
    )
    after = clocks.drop(after, ("sign", "object"), given.now)
    decision = on_reroute(but(before, arbitration="asked"), after, to, given)
    if isinstance(decision, Refused):
        return decision
    reason = moved_reason("moved/conference", "B6/conference", before, decision.case, given.policy)
    return replace(
        decision,
        event="conference_decided",
        rule="B6/conference",
        transitions=("arbitrated", "assigned"),
        detail={**detail, "office": decision.case.office, "routing": reason},
    )
