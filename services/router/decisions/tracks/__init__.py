"""The tracks: `service`, `consult`, `handoff`, and the three whose own tables come later."""

from __future__ import annotations

from collections.abc import Mapping

from services.router.decisions.policy import Role
from services.router.decisions.tracks.table import Step, TrackTable, prove
from shared.events import Stage, Track

GRID_TEAM: frozenset[Role] = frozenset({"grid_head", "grid_worker", "grid_branch_secretary"})
DISPATCHERS: frozenset[Role] = frozenset(
    {
        "grid_head",
        "community_officer",
        "street_dispatcher",
        "district_dispatcher",
        "city_dispatcher",
        "hotline_agent",
    }
)
HOLDERS: frozenset[Role] = (
    DISPATCHERS | GRID_TEAM | {"street_cadre", "department_officer", "office_head"}
)
CADRES: frozenset[Role] = frozenset({"street_cadre"})

WAITING: frozenset[Stage] = frozenset({"registered"})
HELD: frozenset[Stage] = frozenset({"assigned", "signed"})
UNSIGNED: frozenset[Stage] = frozenset({"assigned"})
RESOLVED: frozenset[Stage] = frozenset({"resolved"})
UNRESOLVED = WAITING | HELD
ROUTED = WAITING | UNSIGNED
DONE: frozenset[Stage] = frozenset({"resolved", "closed"})
HEADS: frozenset[Role] = frozenset({"office_head"})

CONVENERS: frozenset[Role] = frozenset(
    {"community_officer", "street_dispatcher", "district_dispatcher", "city_dispatcher"}
)
DOERS: frozenset[Role] = HOLDERS | {"grid_volunteer", "legal_adviser"}
"""Whoever may have a task; a task itself says whose it is."""

# A resolved case that waited for nothing but this answer is closed by it.
LAST_ANSWER: tuple[Stage, ...] = ("resolved", "closed")
AFTER_A_LOOK: tuple[Stage, ...] = ("assigned", "signed", "registered")
SAY_WHAT = Step("classify", WAITING, ("registered",), DISPATCHERS, anew=True)
SAY_WHERE = Step("place", WAITING, ("registered",), DISPATCHERS, anew=True)
WITH_A_HOLDER = (
    SAY_WHAT,
    SAY_WHERE,
    # A correction of what is held already decides again.
    Step("classify", HELD, ("registered", "assigned", "signed"), HOLDERS, anew=True),
    Step("place", HELD, ("registered", "assigned", "signed"), HOLDERS, anew=True),
    Step(
        "reroute",
        UNRESOLVED,
        # Where it would go round, the arbiter is asked.
        ("assigned", "registered"),
        DISPATCHERS,
        fulfils=("dispatch",),
        ends=("sign", "object"),
        starts=("received", "assigned", "entered_tier"),
    ),
    Step(
        "recall",
        UNSIGNED,
        ("registered",),
        DISPATCHERS,
        where="giver",
        guards=("handed_on",),
        ends=("sign", "tier", "object"),
        starts=("entered_queue",),
    ),
    Step("assign", HELD, (), HOLDERS),
    Step("pause", HELD, (), HOLDERS, guards=("runs",)),
    Step("resume", HELD, (), HOLDERS, guards=("stands_still",)),
    Step("extend", HELD, (), HOLDERS, guards=("never_extended", "runs")),
    Step("grant_extension", HELD, (), HEADS, guards=("extension_asked", "runs")),
    Step("decline_extension", HELD, (), HEADS, guards=("extension_asked",)),
    # The answer says why, and where the right door is.
    Step(
        "not_accept",
        UNRESOLVED,
        ("closed",),
        DISPATCHERS,
        leads=True,
        fulfils=("dispatch", "reply"),
    ),
    Step(
        "reopen",
        DONE,
        # Above an accused district there is only the city's desk.
        ("assigned", "registered"),
        HOLDERS,
        reopens=True,
        ends=("callback", "reply"),
        starts=("received", "assigned", "entered_tier"),
    ),
    Step("sign", UNSIGNED, ("signed",), HOLDERS, fulfils=("sign",), starts=("signed",)),
    Step(
        "return",
        HELD,
        ("registered",),
        HOLDERS,
        guards=("may_be_returned",),
        ends=("sign", "tier", "object"),
        starts=("entered_queue",),
    ),
    Step(
        "promote",
        HELD,
        # Above an accused district there is only the city's desk.
        ("assigned", "registered"),
        HOLDERS,
        ends=("sign", "tier", "object"),
        starts=("assigned", "entered_tier"),
    ),
    Step(
        "resolve",
        HELD,
        # A case that waits for nobody is closed at once.
        ("resolved", "closed"),
        HOLDERS,
        leads=True,
        fulfils=("sign", "tier", "final_reply"),
        ends=("verify", "object"),
        starts=("resolved",),
    ),
)
WITH_TASKS = (
    Step(
        "ask_whistle",
        HELD,
        (),
        frozenset({"grid_branch_secretary", "grid_head"}),
        guards=("may_be_asked_for",),
    ),
    Step(
        "whistle",
        HELD,
        ("assigned",),
        frozenset({"community_officer"}),
        guards=("may_be_blown",),
        ends=("sign", "tier", "object"),
        starts=("assigned", "entered_tier"),
    ),
    Step("give_task", HELD, (), HOLDERS),
    Step("report_in", HELD, (), DOERS, where="task", guards=("is_to_report",)),
    Step("refuse_task", HELD, (), DOERS, where="task", guards=("may_refuse",)),
    Step("decide_objection", HELD, (), CONVENERS | CADRES, where="task", guards=("is_to_decide",)),
    Step("finish_task", HELD, (), DOERS, where="task", guards=("has_to_do",)),
    # A resolved case may wait for nothing but its first receiver.
    Step("finish_task", RESOLVED, LAST_ANSWER, DOERS, where="task", guards=("has_to_do",)),
    Step("withdraw_task", HELD, (), HOLDERS, guards=("has_asked",)),
    Step("call_conference", UNRESOLVED, (), CONVENERS, guards=("disputed",)),
    Step(
        "conference_decides",
        WAITING,
        ("assigned",),
        CONVENERS,
        where="task",
        guards=("confers",),
        fulfils=("dispatch",),
        starts=("received", "assigned", "entered_tier"),
    ),
    Step(
        "conference_decides",
        HELD,
        # Who has it already may be told to keep it.
        ("assigned", "signed"),
        CONVENERS,
        where="task",
        guards=("confers",),
        starts=("received", "assigned", "entered_tier"),
    ),
)
SERVICE = TrackTable(
    name="service",
    initial=ROUTED,
    steps=(
        *WITH_A_HOLDER,
        *WITH_TASKS,
        # What only starts in the grid goes to its lead office once somebody was there.
        Step("verify", HELD, AFTER_A_LOOK, GRID_TEAM, where="place", fulfils=("verify",)),
        # A cadre of the street answers; where the place is in no street, whoever has it does.
        *(
            Step(
                "reply",
                stages,
                targets,
                CADRES | HOLDERS,
                where="place",
                guards=("may_answer",),
                fulfils=("reply",),
            )
            for stages, targets in ((UNRESOLVED, ()), (RESOLVED, LAST_ANSWER))
        ),
        Step(
            "close",
            RESOLVED,
            ("closed",),
            HOLDERS,
            guards=("by_another", "result_is_seen"),
            fulfils=("callback",),
        ),
        # What he says may close it, or reopen it.
        Step(
            "call_back",
            RESOLVED,
            ("resolved", "closed", "assigned", "registered"),
            HOLDERS,
            guards=("somebody_to_call", "by_another"),
        ),
    ),
    waits=(
        ("registered", "dispatch"),
        ("assigned", "sign"),
        ("signed", "tier"),
        ("resolved", "callback"),
    ),
)
CONSULT = TrackTable(
    name="consult",
    initial=ROUTED,
    steps=(
        *WITH_A_HOLDER,
        *WITH_TASKS,
        # Whoever holds a question may answer it; the answer is the matter, and closes it also at
        # the dispatcher's desk. [domain B1]
        Step("reply", UNRESOLVED, (), HOLDERS, fulfils=("reply",)),
        Step("reply", RESOLVED, LAST_ANSWER, HOLDERS, fulfils=("reply",)),
        # Answered at once, from a template or in words of one's own, or else assigned: `reroute`.
        Step(
            "answer",
            UNRESOLVED | RESOLVED,
            ("closed",),
            HOLDERS,
            leads=True,
            guards=("result_is_seen",),
            fulfils=("dispatch", "reply", "tier", "final_reply"),
        ),
        Step(
            "close",
            UNRESOLVED | RESOLVED,
            ("closed",),
            HOLDERS,
            leads=True,
            guards=("result_is_seen",),
            fulfils=("dispatch", "tier", "final_reply"),
        ),
    ),
    waits=(
        ("registered", "dispatch"),
        ("assigned", "tier"),
        ("signed", "tier"),
        ("resolved", "reply"),
    ),
)
HANDOFF = TrackTable(
    name="handoff",
    initial=WAITING,
    steps=(
        # The named carers go on with some, as a service. [domain B3.1]
        Step("hand_over", WAITING, ("handed_off",), DISPATCHERS, fulfils=("handover",), anew=True),
        SAY_WHAT,
        SAY_WHERE,
    ),
    waits=(("registered", "handover"),),
)


def held_at_the_desk(track: Track) -> TrackTable:
    """A track whose own table comes later: a dispatcher holds its cases, under his clock.

    He answers, hands over to the body that takes it, or classifies it otherwise.
    """
    return TrackTable(
        name=track,
        initial=WAITING,
        steps=(
            Step("hand_over", WAITING, ("handed_off",), DISPATCHERS, fulfils=("dispatch",)),
            SAY_WHAT,
            SAY_WHERE,
            Step("reply", WAITING, (), CADRES | DISPATCHERS, fulfils=("reply",)),
        ),
        waits=(("registered", "dispatch"),),
    )


AT_THE_DESK_ONLY: frozenset[Track] = frozenset({"mediation", "xinfang", "project"})
TRACKS: Mapping[Track, TrackTable] = {
    table.name: prove(table)
    for table in (SERVICE, CONSULT, HANDOFF, *map(held_at_the_desk, sorted(AT_THE_DESK_ONLY)))
}
