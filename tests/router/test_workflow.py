"""Who may do what when, and what comes of it: every command, stage and role, by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import pytest

from services.router.decisions.case import Case
from services.router.decisions.commands import Changed, Rate, Refused, Supplement
from services.router.decisions.policy import Policy, Role
from services.router.decisions.routing import Facts
from services.router.decisions.tracks import TRACKS
from services.router.decisions.workflow import (
    accused_reads,
    allowed_actions,
    decide,
    may_read,
)
from services.router.decisions.workflow.moving import entered
from shared.divisions import CITY, Tier
from shared.events import CASE_EVENTS, Candidate, Order, Stage, Track
from shared.identity import SYSTEM, Actor
from tests.router.stories import (
    BUS,
    CASE,
    COMMUNITY,
    DISPUTE,
    DISTRICT,
    ESCALATION,
    FIRE,
    GRID,
    HOUR,
    LADDER,
    LAMP,
    MANHOLE,
    MINUTE,
    NEXT_COMMUNITY,
    NEXT_GRID,
    NEXT_STREET,
    NOON,
    QUESTION,
    ROUTER,
    RUBBISH,
    STREET,
    WISH,
    climbed,
    command,
    decided,
    done,
    examples,
    officer,
    opened,
    order,
    petition,
    refused,
    resolved,
    shipped_policy,
    sure,
    unclear,
    why_not,
)

COMMANDS = sorted(examples())
DESKS = {
    "grid_head",
    "community_officer",
    "street_dispatcher",
    "district_dispatcher",
    "city_dispatcher",
    "hotline_agent",
}
TEAM = {"grid_head", "grid_worker", "grid_branch_secretary"}
ALL_HOLDERS = DESKS | TEAM | {"street_cadre", "department_officer", "office_head"}
MAYOR = officer(CITY, *get_args(Role))


def changed(case: Case, asked: object, actor: Actor | None = None) -> Changed:
    decision = decided(case, asked, actor)  # type: ignore[arg-type]
    assert isinstance(decision, Changed), decision
    return decision


# ---------------------------------------------------------------- stages


STAGES: Mapping[str, Mapping[str, Case]] = {
    "service": {
        "registered": opened(unclear()),
        "assigned": opened(sure(RUBBISH)),
        "signed": done(opened(sure(RUBBISH)), "sign"),
        "resolved": resolved(opened(sure(RUBBISH))),
        "closed": resolved(done(opened(sure(RUBBISH), contact=False), "reply")),
    },
    "consult": {
        "registered": opened(sure(QUESTION, COMMUNITY)),
        "assigned": opened(sure(QUESTION)),
        "signed": done(opened(sure(QUESTION)), "sign"),
        "resolved": resolved(opened(sure(QUESTION))),
        "closed": resolved(done(opened(sure(QUESTION)), "reply")),
    },
    "handoff": {
        "registered": opened(sure(FIRE)),
        "handed_off": done(opened(sure(FIRE)), "hand_over"),
    },
    "mediation": {
        "registered": opened(sure(DISPUTE)),
        "handed_off": done(opened(sure(DISPUTE)), "hand_over"),
    },
}
TAKEN: Mapping[str, Mapping[str, str]] = {
    "service": {
        "registered": "classify place reroute reply not_accept",
        "assigned": "classify place sign verify reply resolve return reroute promote not_accept"
                    " assign pause extend ask_whistle give_task",
        "signed": "classify place verify reply resolve return reroute promote not_accept"
                  " assign pause extend ask_whistle give_task",
        "resolved": "reply close call_back reopen",
        "closed": "reopen",
    },
    "consult": {
        "registered": "classify place reroute reply answer close not_accept",
        "assigned": "classify place sign reply answer resolve return reroute promote"
                    " close not_accept assign pause extend ask_whistle give_task",
        "signed": "classify place reply answer resolve return reroute promote close not_accept"
                  " assign pause extend ask_whistle give_task",
        "resolved": "reply answer close reopen",
        "closed": "reopen",
    },
    "handoff": {"registered": "hand_over classify place", "handed_off": ""},
    "mediation": {"registered": "hand_over classify place reply", "handed_off": ""},
}  # fmt: skip
GUARDED = {
    "resume", "recall", "grant_extension", "decline_extension", "whistle", "report_in",
    "refuse_task", "decide_objection", "finish_task", "withdraw_task", "call_conference",
    "conference_decides",
}  # fmt: skip
"""Nothing stands still, nothing was handed on, nobody asks for more time, a whistle, or another to
do something, and nobody disputes whose it is in these stories."""


@pytest.mark.parametrize(
    ("track", "stage"), [(track, stage) for track in STAGES for stage in STAGES[track]]
)
def test_each_stage_takes_its_commands_and_refuses_all_others(track: str, stage: Stage) -> None:
    case = STAGES[track][stage]
    assert (case.track, case.stage) == (track, stage)
    taken = set(TAKEN[track][stage].split())
    assert set(allowed_actions(case, MAYOR)) == taken
    for name in COMMANDS:
        answered = replace(case, replied=True)
        if name == "reroute":
            answered = replace(answered, category=RUBBISH)
        decision = decided(answered, name, MAYOR)
        if name in taken:
            assert isinstance(decision, Changed), (name, decision)
        else:
            assert isinstance(decision, Refused), name
            assert decision.reason == "not_allowed_now"
            assert f"takes no {name}" in decision.says or name in GUARDED
            assert set(decision.allowed) == taken


WHO: Mapping[tuple[str, str, str], set[str]] = {
    ("service", "registered", "classify"): DESKS,
    ("service", "registered", "place"): DESKS,
    ("service", "assigned", "reroute"): DESKS,
    ("service", "assigned", "sign"): ALL_HOLDERS,
    ("service", "assigned", "return"): ALL_HOLDERS,
    ("service", "signed", "promote"): ALL_HOLDERS,
    ("service", "signed", "resolve"): ALL_HOLDERS,
    ("service", "resolved", "close"): ALL_HOLDERS,
    ("service", "signed", "verify"): TEAM,
    ("consult", "assigned", "reply"): ALL_HOLDERS,
    ("consult", "assigned", "close"): ALL_HOLDERS,
    ("consult", "registered", "answer"): ALL_HOLDERS,
    ("consult", "assigned", "answer"): ALL_HOLDERS,
    ("handoff", "registered", "hand_over"): DESKS,
    ("mediation", "registered", "hand_over"): DESKS,
    ("mediation", "registered", "reply"): DESKS | {"street_cadre"},
    ("service", "registered", "not_accept"): DESKS,
    ("service", "assigned", "assign"): ALL_HOLDERS,
    ("service", "signed", "pause"): ALL_HOLDERS,
    ("service", "signed", "ask_whistle"): {"grid_head", "grid_branch_secretary"},
    ("service", "signed", "give_task"): ALL_HOLDERS,
    ("service", "signed", "extend"): ALL_HOLDERS,
    ("service", "resolved", "call_back"): ALL_HOLDERS,
    ("service", "closed", "reopen"): ALL_HOLDERS,
}


@pytest.mark.parametrize(("track", "stage", "name"), WHO)
def test_each_command_takes_one_of_its_roles(track: str, stage: str, name: str) -> None:
    case = replace(STAGES[track][stage], replied=True)
    for role in get_args(Role):
        actor = officer(CITY, role)
        decision = decided(case, name, actor)
        if role in WHO[track, stage, name]:
            assert isinstance(decision, Changed), (role, decision)
            assert name in allowed_actions(case, actor)
        else:
            assert isinstance(decision, Refused), role
            assert decision.reason == "not_your_role"
            assert name not in allowed_actions(case, actor)
    assert refused(case, name, officer(CITY, SYSTEM)) == "not_your_role"


AREAS = (NEXT_GRID, NEXT_COMMUNITY, NEXT_STREET, "210202")


@pytest.mark.parametrize(
    ("name", "case", "areas"),
    [
        pytest.param("sign", opened(sure(RUBBISH)), LADDER, id="the grid's own and all above"),
        pytest.param("sign", opened(sure(LAMP)), (STREET, DISTRICT), id="not those below"),
        pytest.param("promote", opened(sure(LAMP)), (STREET, DISTRICT), id="nor promote"),
        pytest.param("classify", opened(unclear(COMMUNITY)), (COMMUNITY, STREET, DISTRICT),
                     id="the desk and above"),
        pytest.param("verify", opened(sure(LAMP)), LADDER, id="but those of the place may verify"),
        pytest.param("verify", opened(sure(LAMP, COMMUNITY)), (COMMUNITY, STREET, DISTRICT),
                     id="not a grid where no grid is known"),
        pytest.param("reply", opened(sure(BUS)), LADDER, id="and reply"),
        pytest.param("reply", opened(sure("G05")), (STREET, DISTRICT),
                     id="a question above is answered by its holder and by the cadre who owes it"),
        pytest.param("close", resolved(done(opened(sure(LAMP)), "reply")), (STREET, DISTRICT),
                     id="close what an office solved"),
    ],
)  # fmt: skip
def test_each_command_is_for_those_of_its_area(
    name: str, case: Case, areas: tuple[str, ...]
) -> None:
    roles = "grid_head", "street_cadre"
    for division in (*LADDER, CITY):
        actor = officer(division, *roles)
        decision = decided(case, name, actor)
        if division in (*areas, CITY):
            assert isinstance(decision, Changed), (division, decision)
            assert name in allowed_actions(case, actor)
        else:
            assert isinstance(decision, Refused), division
            assert decision.reason == "not_your_area"
            assert name not in allowed_actions(case, actor)
    for elsewhere in AREAS:
        assert refused(case, name, officer(elsewhere, *roles)) == "not_your_area"


def test_only_those_who_call_back_may_end_a_call_back_from_outside_the_area() -> None:
    case = resolved(done(opened(sure(RUBBISH)), "reply"))
    assert done(case, "close", officer(CITY, "hotline_agent")).stage == "closed"
    assert refused(case, "close", officer("210202", "hotline_agent")) == "not_your_area"


# ---------------------------------------------------------------- what a command refuses


@pytest.mark.parametrize(
    ("case", "asked", "reason"),
    [
        pytest.param(opened(unclear()), command("classify", category="Z99"), "unknown",
                     id="a category that is none"),
        pytest.param(opened(unclear()), command("place", division="999999"), "unknown",
                     id="a division that is none"),
        pytest.param(opened(unclear()), command("place", division=CITY), "unknown",
                     id="the city is no place"),
        pytest.param(opened(sure(RUBBISH)),
                     command("reroute", division="210204999", reason="agreed"), "unknown",
                     id="reroute to a division that is none"),
        pytest.param(opened(unclear()), command("reroute", division=GRID, reason="agreed"),
                     "incomplete", id="reroute what nobody classified"),
        pytest.param(opened(sure(RUBBISH)), command("reroute", division=GRID, reason="workload"),
                     "not_allowed_now", id="reroute to where it is"),
        pytest.param(opened(sure(MANHOLE)),
                     command("reroute", division=COMMUNITY, reason="workload"), "not_your_area",
                     id="an urgent matter below the street"),
        pytest.param(opened(sure("S05")),
                     command("reroute", division=NEXT_GRID, reason="workload"), "not_your_area",
                     id="a restricted report below the street"),
        pytest.param(opened(replace(sure(RUBBISH), accused=COMMUNITY)),
                     command("reroute", division=COMMUNITY, reason="agreed"), "not_your_area",
                     id="reroute to the accused"),
        pytest.param(opened(replace(sure(RUBBISH), accused=COMMUNITY)),
                     command("reroute", division=NEXT_GRID, reason="agreed"), "not_your_area",
                     id="or below it"),
        pytest.param(opened(sure(BUS)), "promote", "not_allowed_now",
                     id="promote above the district"),
        pytest.param(resolved(opened(sure(RUBBISH))), "close", "incomplete",
                     id="close without an answer"),
        pytest.param(opened(sure(QUESTION)), "close", "incomplete",
                     id="close a question without an answer"),
        pytest.param(resolved(done(opened(sure(RUBBISH)), "reply")),
                     command("close", callback="no_contact"), "incomplete",
                     id="no contact where there is one"),
        pytest.param(opened(sure(RUBBISH)),
                     command("verify", at=NOON + 6 * MINUTE, finding="x", evidence="y"),
                     "incomplete", id="a visit in the future"),
        pytest.param(opened(sure(RUBBISH)),
                     command("verify", at=NOON - MINUTE, finding="x", evidence="y"),
                     "incomplete", id="a visit before the petition"),
        pytest.param(done(opened(sure(RUBBISH)), "verify"), "verify", "not_allowed_now",
                     id="a second visit"),
        pytest.param(opened(sure(FIRE)),
                     command("hand_over", body="x", at=NOON + 6 * MINUTE, reference="y"),
                     "incomplete", id="a hand-over in the future"),
    ],
)  # fmt: skip
def test_a_command_that_does_not_hold_is_refused(case: Case, asked: object, reason: str) -> None:
    decision = decided(case, asked, MAYOR)  # type: ignore[arg-type]
    assert isinstance(decision, Refused)
    assert (decision.reason, bool(decision.says)) == (reason, True)


@pytest.mark.parametrize("name", ["place", "reroute"])
def test_a_division_that_does_not_exist_any_more_is_given_nothing(
    policy: Policy, name: str
) -> None:
    gone = policy.divisions[NEXT_GRID].model_copy(update={"valid_to": "2024-05-20"})
    merged = replace(policy, divisions={**policy.divisions, NEXT_GRID: gone})
    case = opened(sure(LAMP, STREET)) if name == "reroute" else opened(unclear(STREET))
    fields = {"reason": "agreed"} if name == "reroute" else {}
    decision = decide(case, command(name, division=NEXT_GRID, **fields), MAYOR, merged, NOON)
    assert isinstance(decision, Refused)
    assert decision.reason == "unknown"


def test_a_promotion_takes_a_reason_of_the_policy(policy: Policy) -> None:
    escalation = policy.settings.escalation.model_copy(update={"promote_on": ("scale_up",)})
    settings = policy.settings.model_copy(update={"escalation": escalation})
    stricter = replace(policy, settings=settings)
    case = opened(sure(RUBBISH))
    for reason in ("beyond_authority", "scale_up"):
        decision = decide(case, command("promote", reason=reason), officer(GRID), stricter, NOON)
        assert isinstance(decision, Changed) is (reason == "scale_up")


def test_a_return_from_the_city_has_nowhere_to_go() -> None:
    case = replace(opened(sure(RUBBISH)), holder=CITY)
    assert refused(case, "return", officer(CITY)) == "not_allowed_now"


def test_nothing_can_be_asked_of_a_case_that_is_not_there(policy: Policy) -> None:
    orders = (order(opened(sure(RUBBISH))), Supplement(Order(1, 2)), command("sign"))
    for asked in orders:
        decision = decide(None, asked, ESCALATION, policy, NOON)
        assert decision == Refused("unknown", "there is no such case yet")


def test_a_case_is_opened_once(policy: Policy) -> None:
    again = decide(opened(sure(RUBBISH)), petition(sure(RUBBISH)), ESCALATION, policy, NOON)
    assert isinstance(again, Refused)
    assert again.reason == "stale"


# ---------------------------------------------------------------- the accused


@pytest.mark.parametrize("accused", LADDER)
def test_the_accused_and_those_below_are_told_and_may_do_nothing(accused: str) -> None:
    case = opened(replace(sure(RUBBISH), accused=accused))
    for division in LADDER:
        actor = officer(division, *get_args(Role))
        below = LADDER.index(division) <= LADDER.index(accused)
        assert accused_reads(case, actor) is below
        if below:
            assert not may_read(case, actor)
            assert allowed_actions(case, actor) == ()
            for name in COMMANDS:
                decision = decided(case, name, actor)
                assert decision == Refused("not_your_area", "this case is not for this office")
        else:
            assert may_read(case, actor)
    assert may_read(case, officer(CITY))


@pytest.mark.parametrize("accused", LADDER)
def test_the_accused_is_never_holder_nor_owner_however_far_the_case_climbs(accused: str) -> None:
    case = opened(replace(sure(WISH), accused=accused))
    holders = []
    while True:
        holders.append(case.holder)
        assert not case.holder.startswith(accused)
        assert not any(clock.owner_division.startswith(accused) for clock in case.clocks)
        tier = case.clock("tier")
        if tier is None or tier.on_breach == "supervise":
            break
        case = done(case, order(case))
    assert holders == [*LADDER[LADDER.index(accused) + 1 :]] or holders == [CITY]


def test_above_an_accused_district_the_citys_desk_has_the_case_under_a_clock() -> None:
    case = replace(opened(sure(WISH)), accused_division=DISTRICT)
    step = changed(case, order(case))
    up = step.case
    assert (up.holder, up.stage, up.tier, up.role) == (CITY, "registered", None, "city_dispatcher")
    assert {clock.name for clock in up.clocks} == {"dispatch", "reply", "final_reply"}
    assert up.promotions == {Tier.GRID: 1}


# ---------------------------------------------------------------- who reads


def test_a_case_is_read_in_its_area_and_above_and_by_those_who_owe_something() -> None:
    plain = opened(sure(BUS))
    assert all(may_read(plain, officer(division)) for division in (*LADDER, CITY))
    assert not any(may_read(plain, officer(division, "grid_head")) for division in AREAS)
    restricted = opened(replace(sure(LAMP, COMMUNITY), accused=NEXT_COMMUNITY))
    assert restricted.restricted
    assert [d for d in LADDER if may_read(restricted, officer(d))] == [COMMUNITY, STREET, DISTRICT]
    seen = done(restricted, "verify", officer(COMMUNITY, "grid_head"))
    assert [d for d in LADDER if may_read(seen, officer(d))] == [STREET, DISTRICT]


# ---------------------------------------------------------------- the way up


@pytest.mark.parametrize(
    ("category", "way"),
    [
        pytest.param(WISH, [Tier.GRID, Tier.COMMUNITY, Tier.STREET, Tier.DISTRICT], id="grid"),
        pytest.param("L99", [Tier.COMMUNITY, Tier.STREET, Tier.DISTRICT], id="community"),
        pytest.param(LAMP, [Tier.STREET, Tier.DISTRICT], id="street"),
        pytest.param(MANHOLE, [Tier.STREET, Tier.DISTRICT], id="urgent"),
        pytest.param(BUS, [Tier.DISTRICT], id="district"),
    ],
)
@pytest.mark.parametrize("sign", [False, True], ids=["nobody signs", "each signs"])
def test_what_nobody_solves_climbs_tier_by_tier_and_is_supervised_at_the_top(
    category: str, way: list[Tier], sign: bool
) -> None:
    case, now = opened(sure(category)), NOON
    for n, tier in enumerate(way):
        assert (case.tier, case.stage) == (tier, "assigned")
        assert case.holder == LADDER[list(Tier).index(tier)]
        assert case.entered[tier] == now
        assert tier not in case.left
        if sign:
            case = done(case, "sign", now=now)
        if n + 1 == len(way):
            break
        now += HOUR
        step = changed_at(case, now)
        assert (step.event, step.transitions, step.rule) == (
            "promoted", ("promoted",), "clock/tier",
        )  # fmt: skip
        assert step.case.left[tier] == now
        case = step.case
    assert case.promotions == dict.fromkeys(way[:-1], 1)
    assert (case.lowest_tier, case.highest_tier) == (way[0], Tier.DISTRICT)
    top = changed_at(case, now + HOUR)
    assert (top.event, top.rule) == ("supervised", "clock/tier")
    assert (top.case.tier, top.case.supervised) == (Tier.DISTRICT, 1)
    assert refused(top.case, order(case)) == "stale"


def changed_at(case: Case, now: object) -> Changed:
    decision = decided(case, order(case), None, now)  # type: ignore[arg-type]
    assert isinstance(decision, Changed), decision
    return decision


def test_a_promotion_skips_what_may_not_hold_such_a_matter() -> None:
    case = replace(opened(sure(WISH)), urgency="U1")
    assert done(case, order(case)).tier is Tier.STREET
    mass = replace(opened(sure(WISH)), category="E0409")
    assert done(mass, order(mass)).tier is Tier.DISTRICT


def test_a_promotion_reaches_the_first_known_division_where_the_place_is_coarse() -> None:
    case = done(opened(sure(RUBBISH, DISTRICT)), command("reroute", division=GRID, reason="agreed"))
    assert case.place == GRID
    assert climbed(case, Tier.DISTRICT).holder == DISTRICT
    assert climbed(case, Tier.COMMUNITY).holder == COMMUNITY


def test_an_officer_may_send_it_up_with_a_reason() -> None:
    step = changed(opened(sure(WISH)), command("promote", reason="scale_up", note="ten people"))
    assert (step.case.tier, step.rule) == (Tier.COMMUNITY, "promote/scale_up")
    assert (step.detail["reason"], step.detail["note"]) == ("scale_up", "ten people")


# ---------------------------------------------------------------- stale orders


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"generation": 0}, "generation 0 of tier is past", id="an old generation"),
        pytest.param({"generation": 2}, "generation 2 of tier is past", id="or one to come"),
        pytest.param({"tier": Tier.COMMUNITY}, "the case is in tier grid", id="another tier"),
        pytest.param({"tier": None}, "the case is in tier grid, not in None", id="no tier"),
        pytest.param({"action": "supervise"}, "a breach of tier means promote", id="other action"),
        pytest.param({"clock": "dispatch"}, "generation 1 of dispatch is past", id="no such clock"),
        pytest.param({"clock": "sign", "action": "promote"}, "a breach of sign means remind",
                     id="a clock that gives no orders"),
    ],
)  # fmt: skip
def test_an_order_is_judged_by_generation_and_tier(changes: dict[str, object], says: str) -> None:
    case = opened(sure(WISH))
    decision = decided(case, order(case, **changes))
    assert isinstance(decision, Refused)
    assert decision.reason == "stale"
    assert decision.says.startswith(says)


def test_an_order_is_never_judged_by_a_clock() -> None:
    case = opened(sure(WISH))
    assert done(case, order(case), now=NOON).tier is Tier.COMMUNITY


@pytest.mark.parametrize("end", ["resolved", "closed", "handed_off", "returned"])
def test_an_order_about_a_case_that_went_on_is_stale(end: str) -> None:
    case = opened(sure(WISH))
    late = order(case)
    after = {
        "resolved": resolved(case),
        "closed": resolved(done(opened(sure(WISH), contact=False), "reply")),
        "handed_off": STAGES["handoff"]["handed_off"],
        "returned": done(case, "return"),
    }[end]
    assert refused(after, late) == "stale"


def test_an_order_is_answered_once() -> None:
    case = opened(sure(WISH))
    first = order(case, "reply")
    supervised = done(case, first)
    assert refused(supervised, first) == "stale"
    up = done(supervised, order(supervised))
    assert refused(up, order(case)) == "stale"
    assert up.tier is Tier.COMMUNITY


def test_only_escalation_gives_orders() -> None:
    case = opened(sure(WISH))
    assert refused(case, order(case), MAYOR) == "not_your_role"


# ---------------------------------------------------------------- the desk


def test_classifying_routes_at_once_in_one_step() -> None:
    step = changed(opened(unclear()), command("classify", category=LAMP))
    assert step.transitions == ("classified", "registered", "classified", "assigned")
    assert (step.event, step.rule) == ("classified", "B3.4/category-tier")
    assert (step.case.holder, step.case.stage, step.case.confirmed) == (STREET, "assigned", True)
    assert (step.case.version, step.case.seq) == (2, 2)


@pytest.mark.parametrize(
    ("category", "track", "stage"),
    [
        (RUBBISH, "service", "assigned"),
        (QUESTION, "consult", "assigned"),
        (FIRE, "handoff", "registered"),
        (DISPUTE, "mediation", "registered"),
        ("R05", "xinfang", "registered"),
        ("W02", "project", "registered"),
    ],
)
def test_classifying_may_change_the_track_there_and_back(
    category: str, track: str, stage: str
) -> None:
    case = done(opened(unclear()), command("classify", category=category))
    assert (case.track, case.stage) == (track, stage)
    if stage == "registered":
        back = done(case, command("classify", category=LAMP))
        assert (back.track, back.stage) == ("service", "assigned")
        assert {clock.name for clock in back.clocks} == {
            "sign", "verify", "reply", "tier", "final_reply",
        }  # fmt: skip


def test_a_place_routes_what_is_known_and_moves_what_is_not() -> None:
    known = opened(sure(RUBBISH, CITY))
    assert (known.holder, known.stage) == (CITY, "registered")
    placed = changed(known, command("place", division=GRID))
    assert (placed.case.holder, placed.case.stage, placed.event) == (GRID, "assigned", "placed")
    unknown = done(opened(unclear(CITY)), command("place", division=COMMUNITY))
    assert (unknown.holder, unknown.stage, unknown.place) == (COMMUNITY, "registered", COMMUNITY)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(Facts(CITY, FIRE, "suggested", 0.3), id="the best guess is a fire"),
        pytest.param(replace(unclear(CITY), candidates=(Candidate(code=FIRE, score=0.3),)),
                     id="or it may be one"),
        pytest.param(Facts(CITY, "S07", "given", 1.0), id="somebody says mass incident"),
        pytest.param(replace(sure(RUBBISH, CITY), signs=("mass_incident_suspected",)),
                     id="its signs do"),
    ],
)  # fmt: skip
def test_a_place_is_no_word_on_the_matter_what_was_suspected_is_still(facts: Facts) -> None:
    case = opened(facts)
    assert (case.urgency, case.stage) == ("U1", "registered")
    placed = done(case, command("place", division=GRID))
    assert (placed.urgency, placed.stage, placed.place) == ("U1", "registered", GRID)
    dismissed = done(placed, command("classify", category=RUBBISH), MAYOR)
    assert (dismissed.urgency, dismissed.stage, dismissed.suspected) == ("U3", "assigned", ())


def test_a_restricted_suspicion_stays_above_the_grid_and_restricted_when_it_is_placed() -> None:
    case = opened(Facts(CITY, "S05", "suggested", 0.3))
    placed = done(case, command("place", division=GRID))
    assert (placed.holder, placed.restricted, placed.sensitivity) == (STREET, True, 2)


def test_what_a_person_said_holds_when_the_place_comes_later() -> None:
    case = done(opened(unclear(CITY)), command("classify", category="E0409"))
    assert (case.stage, case.confirmed) == ("registered", True)
    placed = done(case, command("place", division=GRID))
    assert (placed.holder, placed.stage) == (DISTRICT, "assigned")


def test_a_place_finer_than_the_lists_is_the_listed_one_above_it() -> None:
    case = opened(sure(RUBBISH, COMMUNITY + "999"))
    assert (case.place, case.holder, case.stage) == (COMMUNITY, COMMUNITY, "registered")
    held = done(case, command("reroute", division=COMMUNITY, reason="agreed"))
    assert done(held, order(held)).holder == STREET


def test_waiting_at_a_desk_is_no_tier_that_had_it_to_solve() -> None:
    case = done(opened(unclear(STREET)), command("place", division=GRID))
    case = done(case, command("classify", category=RUBBISH))
    assert (case.lowest_tier, case.highest_tier) == (Tier.GRID, Tier.GRID)
    back = done(done(case, "return"), command("reroute", division=NEXT_GRID, reason="agreed"))
    assert back.highest_tier is Tier.GRID


# ---------------------------------------------------------------- returned and rerouted


@pytest.mark.parametrize(
    ("category", "desk"), [(RUBBISH, COMMUNITY), (LAMP, DISTRICT), (BUS, CITY), ("L99", STREET)]
)
def test_a_return_goes_to_the_dispatcher_one_level_above(category: str, desk: str) -> None:
    step = changed(opened(sure(category)), command("return", reason="not_in_my_area"))
    case = step.case
    assert (case.holder, case.stage, case.returns) == (desk, "registered", 1)
    assert (step.event, step.rule) == ("returned", "return/not_in_my_area")
    assert {clock.name for clock in case.clocks} == {"dispatch", "reply", "final_reply"}


def test_a_return_passes_over_the_accused() -> None:
    case = replace(opened(sure(RUBBISH)), accused_division=COMMUNITY, holder=NEXT_GRID)
    assert done(case, "return", officer(CITY)).holder == STREET


@pytest.mark.parametrize(
    ("reason", "division", "place"),
    [
        pytest.param("workload", NEXT_GRID, GRID, id="help from next door: the place stays"),
        pytest.param("correction", NEXT_GRID, NEXT_GRID, id="a correction moves it"),
        pytest.param("correction", COMMUNITY, GRID, id="a holder above says nothing of the place"),
        pytest.param("competence", DISTRICT, GRID, id="nor does another office"),
    ],
)
def test_a_reroute_moves_the_place_only_when_it_says_so(
    reason: str, division: str, place: str
) -> None:
    case = done(opened(sure(RUBBISH)), command("reroute", division=division, reason=reason))
    assert (case.holder, case.place, case.stage) == (division, place, "assigned")


def test_a_reroute_from_the_citys_desk_says_where_it_is() -> None:
    case = done(opened(sure(RUBBISH, CITY)), command("reroute", division=GRID, reason="competence"))
    assert (case.place, case.holder) == (GRID, GRID)
    assert [climbed(case, tier).holder for tier in Tier] == list(LADDER)
    reply = case.clock("reply")
    assert reply is not None
    assert reply.owner_division == STREET


def test_another_holder_in_the_same_tier_goes_on_with_its_time() -> None:
    case = opened(sure(WISH))
    later = NOON + HOUR
    moved = done(case, command("reroute", division=NEXT_GRID, reason="workload"), now=later)
    before, after = case.clock("tier"), moved.clock("tier")
    assert before is not None
    assert after is not None
    assert (after.due_at, after.owner_division) == (before.due_at, NEXT_GRID)
    assert after.generation == before.generation + 1
    up = done(moved, command("reroute", division=COMMUNITY, reason="competence"), now=later)
    down = done(up, command("reroute", division=GRID, reason="agreed"), now=later)
    fresh = down.clock("tier")
    assert fresh is not None
    assert fresh.started_at == later


def test_a_reroute_ends_the_last_holders_right_to_object() -> None:
    case = done(opened(sure(WISH)), "sign")
    assert case.clock("object") is not None
    moved = done(case, command("reroute", division=NEXT_GRID, reason="workload"))
    assert moved.clock("object") is None
    assert moved.stage == "assigned"


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize("category", [RUBBISH, QUESTION])
@pytest.mark.parametrize("contact", [False, True], ids=["nobody to call", "somebody to call"])
@pytest.mark.parametrize("replied", [False, True], ids=["answer owed", "answered"])
def test_no_resolved_case_waits_for_nobody(category: str, contact: bool, replied: bool) -> None:
    case = opened(sure(category), contact=contact)
    if replied:
        case = done(case, "reply")
    step = changed(done(case, "sign"), "resolve")
    waits_for = {clock.name for clock in step.case.clocks}
    calls = contact and category == RUBBISH
    assert waits_for == ({"callback"} if calls else set()) | (set() if replied else {"reply"})
    assert step.case.stage == ("resolved" if waits_for else "closed")
    assert step.event == "resolved"
    if not waits_for:
        called = () if contact else ("called_back/no_contact",)
        assert step.transitions == ("resolved", *called, "closed")
        assert step.case.closed_at == NOON


def test_the_answer_that_was_still_owed_closes_a_case_that_waits_for_nothing_else() -> None:
    case = resolved(opened(sure(RUBBISH), contact=False))
    step = changed(case, "reply")
    assert (step.event, step.case.stage, step.case.outcome) == ("replied", "closed", "solved")
    assert step.transitions == ("replied", "called_back/no_contact", "closed")


def test_an_answer_does_not_close_a_case_whose_resident_is_still_to_be_called() -> None:
    case = done(resolved(opened(sure(RUBBISH))), "reply")
    assert case.stage == "resolved"
    assert refused(case, command("close", callback="no_answer")) == "incomplete"
    case = done(case, command("call_back", result="no_answer"))
    assert (case.stage, case.call_backs) == ("resolved", 1)
    step = changed(case, command("close", callback="no_answer"))
    assert step.transitions == ("called_back/no_answer", "closed")
    closed = step.case
    assert (closed.stage, closed.outcome, closed.closing_tier) == ("closed", "solved", Tier.GRID)
    assert (closed.clocks, closed.next_deadline, closed.is_open) == ((), None, False)
    assert closed.left[Tier.GRID] == closed.closed_at == NOON
    assert closed.on_time["callback"]


def test_where_no_street_is_known_whoever_has_it_answers_and_it_can_be_closed() -> None:
    case = opened(sure(BUS, DISTRICT))
    assert case.office is not None
    owed = case.clock("reply")
    assert owed is not None
    assert (owed.owner_division, owed.owner_office) == (case.holder, case.office)
    lead = Actor("somebody", frozenset({"department_officer"}), case.holder, case.office)
    other = Actor("somebody", frozenset({"department_officer"}), case.holder, "education")
    assert "reply" in allowed_actions(case, lead)
    assert "reply" not in allowed_actions(case, other)
    case = resolved(done(case, "reply", lead))
    assert done(case, "close").stage == "closed"
    # Where there is a street its cadre answers, and nobody who happens to have the case.
    in_a_street = opened(sure(BUS, GRID))
    for role in get_args(Role):
        assert ("reply" in allowed_actions(in_a_street, officer(CITY, role))) == (
            role == "street_cadre"
        )
    assert refused(in_a_street, "reply", officer(DISTRICT)) == "not_allowed_now"
    assert refused(in_a_street, "reply", officer(CITY, "auditor")) == "not_your_role"


def test_a_question_is_closed_by_its_answer_even_at_the_desk() -> None:
    case = opened(sure(QUESTION, COMMUNITY))
    case = done(case, "reply", officer(COMMUNITY))
    closed = done(case, "close", now=NOON + 6 * MINUTE)
    assert (closed.stage, closed.on_time) == (
        "closed",
        {"reply": True, "dispatch": False, "final_reply": True},
    )


def test_nobody_is_called_for_an_answered_question_nor_counted_as_called() -> None:
    case = done(opened(sure(QUESTION)), "reply")
    for callback in ("answered", "no_answer"):
        assert why_not(case, command("close", callback=callback)).startswith("nobody is called")
    step = changed(case, "close")
    assert step.transitions == ("closed",)
    assert (step.case.called_back, step.case.call_backs, step.case.outcome) == (None, 0, "solved")
    # Of what is solved somebody has to say what came of the call.
    solved = resolved(done(opened(sure(RUBBISH)), "reply"))
    assert refused(solved, command("close")) == "incomplete"


@pytest.mark.parametrize(
    ("track", "stage"),
    [(track, stage) for track in STAGES for stage in STAGES[track]],
)
def test_a_rating_opens_again_what_the_table_lets_an_officer_open_again(
    track: Track, stage: Stage
) -> None:
    case = STAGES[track][stage]
    step = TRACKS[track].step("reopen", stage)
    asked = Rate(Order(1, 2), solved=False, satisfied=False, reason="not_solved")
    rated = decide(case, asked, ROUTER, shipped_policy(), NOON)
    assert isinstance(rated, Changed)
    assert rated.case.satisfied is False
    if step is None:
        assert (rated.event, rated.case.stage) == ("rated", stage)
    else:
        assert rated.event == "reopened"
        assert rated.case.stage in step.targets


@pytest.mark.parametrize("category", [RUBBISH, QUESTION])
def test_a_matter_or_a_question_that_nobody_touched_is_taken_back(category: str) -> None:
    case = done(opened(sure(category)), "reroute", officer(COMMUNITY))
    back = done(case, "recall")
    assert (back.stage, back.holder, back.given_by) == ("registered", COMMUNITY, None)
    assert back.clock("dispatch") is not None
    assert "recall" not in allowed_actions(back, MAYOR)


def test_what_is_handed_off_is_neither_taken_back_nor_opened_again() -> None:
    for case in STAGES["handoff"].values():
        assert {"recall", "reopen"}.isdisjoint(allowed_actions(case, MAYOR))
        assert refused(case, "recall", MAYOR) == refused(case, "reopen", MAYOR) == "not_allowed_now"


def test_resolving_without_signing_says_so() -> None:
    assert changed(opened(sure(RUBBISH)), "resolve").transitions == ("signed", "resolved")


def test_a_hand_over_ends_with_body_time_and_reference() -> None:
    step = changed(opened(sure(FIRE)), "hand_over")
    assert (step.event, step.case.stage, step.case.outcome) == (
        "handed_over", "handed_off", "handed_off",
    )  # fmt: skip
    assert step.detail == {"body": "fire brigade", "at": NOON, "reference": "119-7"}
    assert (step.case.clocks, step.case.on_time) == ((), {"handover": True})
    early = command("hand_over", body="119", at=NOON - MINUTE, reference="119-7")
    assert refused(opened(sure(FIRE)), early) == "incomplete"


# ---------------------------------------------------------------- what is said


def test_one_step_raises_version_and_seq_by_one_and_gives_one_known_event() -> None:
    case = opened(sure(RUBBISH))
    assert (case.id, case.version, case.epoch, case.seq) == (CASE, 1, 1, 1)
    for name in ("sign", "verify", "reply", "promote", "return", "reroute", "resolve"):
        step = changed(case, name)
        assert (step.case.version, step.case.seq) == (case.version + 1, case.seq + 1)
        assert step.event in CASE_EVENTS
        assert step.rule
        case = step.case


def test_opening_is_one_step_that_lists_its_transitions(policy: Policy) -> None:
    for facts, last in [
        (sure(RUBBISH), ("registered", "classified", "assigned")),
        (unclear(), ("registered", "waits_for_dispatcher")),
        (sure(FIRE), ("registered", "waits_for_hand_over")),
        (sure(DISPUTE), ("registered", "waits_for_dispatcher")),
    ]:
        step = decide(None, petition(facts), ESCALATION, policy, NOON)
        assert isinstance(step, Changed)
        assert (step.event, step.transitions) == ("opened", ("received", *last))


def test_words_go_into_the_history_and_nowhere_else() -> None:
    step = changed(opened(sure(RUBBISH)), command("reply", text="we came on Monday"))
    assert step.detail == {"text": "we came on Monday"}
    assert "Monday" not in repr(step.case)


def test_what_a_resident_adds_is_heard_in_any_stage(policy: Policy) -> None:
    for case in (opened(unclear()), STAGES["service"]["closed"], STAGES["handoff"]["handed_off"]):
        step = decide(case, Supplement(Order(1, 2)), ESCALATION, policy, NOON)
        assert isinstance(step, Changed)
        assert (step.event, step.case.heard, step.case.stage) == (
            "supplemented", Order(1, 2), case.stage,
        )  # fmt: skip


def test_a_case_that_comes_back_to_a_tier_has_not_left_it() -> None:
    case = opened(sure(WISH))
    case = done(case, "promote", now=NOON + HOUR)
    case = done(case, command("reroute", division=GRID, reason="agreed"), now=NOON + 2 * HOUR)
    assert case.entered[Tier.GRID] == NOON + 2 * HOUR
    assert case.left == {Tier.COMMUNITY: NOON + 2 * HOUR}
    assert (case.lowest_tier, case.highest_tier) == (Tier.GRID, Tier.COMMUNITY)
    assert entered(case, Tier.GRID, NOON + 3 * HOUR) == case
