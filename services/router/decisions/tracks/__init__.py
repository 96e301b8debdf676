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
UNRESOLVED = WAITING | HELD

AT_THE_DESK = (
    Step("classify", WAITING, "registered", DISPATCHERS),
    Step("place", WAITING, "registered", DISPATCHERS),
    Step(
        "reroute",
        UNRESOLVED,
        "assigned",
        DISPATCHERS,
        ends=("dispatch", "sign", "tier"),
        starts=("received", "assigned", "entered_tier"),
    ),
)
WITH_A_HOLDER = (
    Step("sign", UNSIGNED, "signed", HOLDERS, fulfils=("sign",), starts=("signed",)),
    Step(
        "return",
        HELD,
        "registered",
        HOLDERS,
        ends=("sign", "tier", "object"),
        starts=("entered_queue",),
    ),
    Step(
        "promote",
        HELD,
        "assigned",
        HOLDERS,
        ends=("sign", "tier", "object"),
        starts=("assigned", "entered_tier"),
    ),
    Step(
        "resolve",
        HELD,
        "resolved",
        HOLDERS,
        fulfils=("sign", "tier", "final_reply"),
        ends=("verify", "object"),
        starts=("resolved",),
    ),
)
SERVICE = TrackTable(
    name="service",
    steps=(
        *AT_THE_DESK,
        *WITH_A_HOLDER,
        Step("verify", HELD, None, GRID_TEAM, where="place", fulfils=("verify",)),
        Step("reply", UNRESOLVED | {"resolved"}, None, CADRES, where="place", fulfils=("reply",)),
        Step("close", frozenset({"resolved"}), "closed", HOLDERS, fulfils=("callback",)),
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
    steps=(
        *AT_THE_DESK,
        *WITH_A_HOLDER,
        # Whoever holds a question may answer it; the answer is the matter.
        Step("reply", UNRESOLVED | {"resolved"}, None, HOLDERS | CADRES, fulfils=("reply",)),
        Step("close", HELD | {"resolved"}, "closed", HOLDERS, fulfils=("tier", "final_reply")),
    ),
    waits=(
        ("registered", "dispatch"),
        ("assigned", "tier"),
        ("signed", "tier"),
        ("resolved", "callback"),
    ),
)
HANDOFF = TrackTable(
    name="handoff",
    steps=(
        Step("hand_over", WAITING, "handed_off", DISPATCHERS, fulfils=("handover",)),
        Step("classify", WAITING, "registered", DISPATCHERS),
        Step("place", WAITING, "registered", DISPATCHERS),
    ),
    waits=(("registered", "handover"),),
)


def held_at_the_desk(track: Track) -> TrackTable:
    """A track whose own table comes later: a dispatcher holds its cases, under his clock.

    He answers, hands over to the body that takes it, or classifies it otherwise.
    """
    return TrackTable(
        name=track,
        steps=(
            Step("hand_over", WAITING, "handed_off", DISPATCHERS, fulfils=("dispatch",)),
            Step("classify", WAITING, "registered", DISPATCHERS),
            Step("place", WAITING, "registered", DISPATCHERS),
            Step("reply", WAITING, None, CADRES | DISPATCHERS, fulfils=("reply",)),
        ),
        waits=(("registered", "dispatch"),),
    )


TRACKS: Mapping[Track, TrackTable] = {
    "service": prove(SERVICE, {"registered", "assigned"}),
    "consult": prove(CONSULT, {"registered", "assigned"}),
    "handoff": prove(HANDOFF, {"registered"}),
    "mediation": prove(held_at_the_desk("mediation"), {"registered"}),
    "xinfang": prove(held_at_the_desk("xinfang"), {"registered"}),
    "project": prove(held_at_the_desk("project"), {"registered"}),
}
AT_THE_DESK_ONLY: frozenset[Track] = frozenset({"mediation", "xinfang", "project"})
