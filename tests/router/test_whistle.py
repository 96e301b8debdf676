"""The grid stands guard, the community blows, the street commands, departments report in; and
whatever else one desk asks another to do in a case. [article; domain B6; F29, F30, S14, S16]"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce

import pytest

from services.escalation.decisions import News, action_of, arm, digests, sweep
from services.router.decisions.case import MOST_REMEMBERED, Case, duties, snapshot
from services.router.decisions.commands import Changed, OfficerCommand, Refused, Supplement
from services.router.decisions.policy import Policy
from services.router.decisions.scores import tallied
from services.router.decisions.tasks import MOST_OPEN, MOST_TASKS, Task
from services.router.decisions.workflow import allowed_actions, decide, may_read
from services.router.decisions.workflow.moving import held_at
from shared.divisions import CITY, Tier
from shared.events import Order, promise_of
from shared.identity import Actor
from tests.router.stories import (
    CASE,
    COMMUNITY,
    DISTRICT,
    ESCALATION,
    GRID,
    HOUR,
    MINUTE,
    NEXT_COMMUNITY,
    NEXT_GRID,
    NEXT_STREET,
    NOON,
    ROUTER,
    RUBBISH,
    STREET,
    at,
    cadre,
    changed,
    command,
    decided,
    done,
    officer,
    opened,
    order,
    shipped_policy,
    sure,
    why_not,
)

DAY = timedelta(days=1)
BUREAU, POLICE, LAMPS = "city-management", "public-security", "lighting"
SECRETARY = officer(GRID, "grid_branch_secretary")
COMMANDER = officer(STREET)
CENTRE = officer(DISTRICT)
ADVISER = Actor("the adviser", frozenset({"legal_adviser"}), COMMUNITY)


def of_office(office: str, division: str = STREET, role: str = "department_officer") -> Actor:
    """An officer of a department that serves the street."""
    return Actor(f"of {office}", frozenset({role}), division, office)


def ask() -> OfficerCommand:
    return command("ask_whistle", note="the heap is dumped by a building site")


def blow(*offices: str) -> OfficerCommand:
    return command(
        "whistle", offices=offices or (BUREAU,), reason="needs_department", note="come and see"
    )


def give(kind: str, office: str | None = None, until: datetime | None = None) -> OfficerCommand:
    return command("give_task", kind=kind, office=office, until=until, note="do it")


def coming(n: int, when: datetime = NOON + HOUR) -> OfficerCommand:
    return command("report_in", task=n, on_site=when)


def refuse(n: int) -> OfficerCommand:
    return command("refuse_task", task=n, reason="not_in_our_power", note="not ours")


def rule(n: int, decision: str) -> OfficerCommand:
    return command("decide_objection", task=n, decision=decision, note="by the duty list")


def finish(n: int, good: bool | None = None) -> OfficerCommand:
    return command("finish_task", task=n, result="the site was fined", good=good)


def withdraw(n: int) -> OfficerCommand:
    return command("withdraw_task", task=n, note="no longer needed")


def confer(*members: str, meets_at: datetime = NOON + DAY) -> OfficerCommand:
    members = members or (STREET, BUREAU, POLICE)
    return command("call_conference", members=members, meets_at=meets_at, note="come")


def whistled() -> Case:
    """A case that the street commands, after its community blew for its grid."""
    asked = done(opened(sure(RUBBISH)), ask(), SECRETARY)
    return done(asked, blow(BUREAU, POLICE), officer(COMMUNITY))


def commanded() -> Case:
    """Two departments are called: tasks 2 and 3."""
    case = done(whistled(), give("report_in", BUREAU), COMMANDER)
    return done(case, give("report_in", POLICE), COMMANDER)


def objected() -> Case:
    """The first of them says that it is not its own."""
    return done(commanded(), refuse(2), of_office(BUREAU))


def refused_again() -> Case:
    """It was overruled, and says so again."""
    case = done(objected(), rule(2, "overrule"), COMMANDER)
    return done(case, refuse(2), of_office(BUREAU))


def task(case: Case, n: int) -> Task:
    found = case.task(n)
    assert found is not None
    return found


def promises(case: Case) -> set[str]:
    """The clocks of its tasks."""
    return {clock.name for clock in case.clocks if promise_of(clock.name) != clock.name}


def due_at(case: Case, name: str) -> datetime:
    clock = case.clock(name)
    assert clock is not None, promises(case)
    return clock.due_at


# ---------------------------------------------------------------- the article's flow


def test_a_hard_matter_goes_the_whole_way_of_a_whistle() -> None:
    case = opened(sure(RUBBISH))
    deeds: Counter[tuple[str, str]] = Counter()

    def step(asked: OfficerCommand, actor: Actor, hours: float = 0) -> Changed:
        nonlocal case
        made = changed(case, asked, actor, NOON + timedelta(hours=hours))
        deeds.update(tallied(case, made.case))
        case = made.case
        return made

    # The grid stands guard and asks; the community blows.
    assert step(ask(), SECRETARY).event == "whistle_asked"
    assert (case.holder, promises(case)) == (GRID, {"whistle/1"})
    blown = step(blow(BUREAU, POLICE), officer(COMMUNITY))
    assert (blown.event, blown.transitions) == ("whistled", ("whistled", "assigned"))
    assert blown.detail["routing"].rule == "moved/whistled"  # type: ignore[attr-defined]

    # The street's own desk commands: who comes, and by when it is to be done.
    assert (case.holder, case.office, case.role, case.tier) == (
        STREET, None, "street_dispatcher", Tier.STREET,
    )  # fmt: skip
    assert case.whistle is not None
    assert (case.whistle.by, case.whistle.first) == (COMMUNITY, GRID)
    assert case.whistle.wants == (BUREAU, POLICE)
    until = NOON + 3 * DAY
    assert step(give("report_in", BUREAU, until), COMMANDER).transitions == ("commanded",)
    step(give("report_in", POLICE), COMMANDER)
    assert promises(case) == {"report_in/2", "report_in/3"}

    # One objects once and is overruled; both report in.
    assert step(refuse(2), of_office(BUREAU), 1).transitions == ("objected",)
    assert promises(case) == {"objection/2", "report_in/3"}
    assert step(rule(2, "overrule"), cadre(), 2).transitions == ("overruled",)
    assert due_at(case, "report_in/2") == NOON + 26 * HOUR
    step(coming(2), of_office(BUREAU), 3)
    step(coming(3), of_office(POLICE), 25)  # an hour late
    assert (due_at(case, "assist/2"), promises(case)) == (until, {"assist/2", "assist/3"})

    # They deal with it together, and the result goes to who had it first.
    assert step(finish(2), of_office(BUREAU), 30).transitions == ("task_done",)
    last = step(finish(3), of_office(POLICE), 31)
    assert last.transitions == ("task_done", "result_to_first_receiver")
    assert (promises(case), task(case, 4).division) == ({"result/4"}, GRID)
    closed = step(finish(4, good=True), officer(GRID, "grid_worker"), 40)
    assert closed.transitions == ("task_done", "whistle_closed")
    assert (case.whistle.state, promises(case), case.holder) == ("closed", set(), STREET)
    assert [one.state for one in case.tasks] == ["done"] * 4
    assert {name: case.on_time[name] for name in ("whistle", "report_in", "assist", "result")} == {
        "whistle": True, "report_in": False, "assist": True, "result": True,
    }  # fmt: skip

    # Both sides are scored.
    bureau, police = f"{STREET}/{BUREAU}", f"{STREET}/{POLICE}"
    assert deeds == {
        ("whistle", key): 1
        for key in (
            f"{GRID}//asked", f"{COMMUNITY}//blown",
            f"{bureau}/called", f"{bureau}/objected", f"{bureau}/reported_in_time",
            f"{bureau}/done_in_time", f"{bureau}/good",
            f"{police}/called", f"{police}/reported_late", f"{police}/done_in_time",
            f"{police}/good",
        )
    } | {("whistle", f"{STREET}//commanded"): 2}  # fmt: skip


def test_what_the_street_resolves_goes_to_the_first_receiver_too() -> None:
    case = done(whistled(), give("report_in", BUREAU), COMMANDER)
    case = done(case, command("reply", text="gone by tonight"), cadre())
    solver = replace(COMMANDER, subject="who solved it")
    step = changed(case, command("resolve", result="gone"), solver)
    assert step.transitions == ("signed", "resolved", "result_to_first_receiver")
    assert [one.state for one in step.case.tasks] == ["done", "withdrawn", "asked"]
    assert promises(step.case) == {"result/3"}


def test_a_resolved_case_without_a_contact_waits_for_its_first_receiver_and_is_closed() -> None:
    case = done(opened(sure(RUBBISH), contact=False), ask(), SECRETARY)
    case = done(case, blow(), officer(COMMUNITY))
    case = done(case, command("reply", text="gone by tonight"), cadre())
    case = done(case, command("resolve", result="gone"), COMMANDER)
    assert (case.stage, {clock.name for clock in case.clocks}) == ("resolved", {"result/2"})
    last = changed(case, finish(2, good=False), officer(GRID))
    assert last.transitions == (
        "task_done", "whistle_closed", "called_back/no_contact", "closed",
    )  # fmt: skip
    assert last.case.outcome == "solved"


# ---------------------------------------------------------------- each row of B6


def test_a_community_blows_for_its_own_queue_and_not_unasked_for_its_grids() -> None:
    own = done(opened(sure(RUBBISH)), command("promote", reason="beyond_authority"))
    assert own.holder == COMMUNITY
    assert done(own, blow(), officer(COMMUNITY)).holder == STREET
    says = why_not(opened(sure(RUBBISH)), blow(), officer(COMMUNITY))
    assert says.startswith("a community blows for what it has, or what its grid asked it to")


def test_a_community_may_say_why_it_does_not_blow() -> None:
    case = done(opened(sure(RUBBISH)), ask(), SECRETARY)
    assert "ask_whistle" not in allowed_actions(case, SECRETARY)
    step = changed(case, refuse(1), officer(COMMUNITY))
    assert (step.event, step.transitions) == ("task_refused", ("declined",))
    assert (step.case.holder, step.case.tasks[0].state, promises(step.case)) == (
        GRID, "declined", set(),
    )  # fmt: skip
    assert "ask_whistle" in allowed_actions(step.case, SECRETARY)


def test_the_urgent_report_in_sooner() -> None:
    urgent = replace(whistled(), urgency="U2")
    case = done(urgent, give("report_in", BUREAU), COMMANDER)
    assert due_at(case, "report_in/2") == NOON + 30 * MINUTE
    assert due_at(commanded(), "report_in/2") == NOON + DAY


def test_a_department_objects_within_four_working_hours() -> None:
    last = at("2024-05-20 15:30")  # two hours in the morning, two after lunch
    case = commanded()
    assert decided(case, refuse(2), of_office(BUREAU), last + MINUTE) == Refused(
        "not_allowed_now",
        "the right to object ended 4wh after it was asked",
    )
    assert changed(case, refuse(2), of_office(BUREAU), last).transitions == ("objected",)


def test_when_the_street_agrees_the_task_is_over_and_it_names_another() -> None:
    step = changed(objected(), rule(2, "uphold"), COMMANDER)
    assert (step.transitions, task(step.case, 2).state) == (("upheld",), "released")
    assert tallied(objected(), step.case) == {("whistle", f"{STREET}//released"): 1}
    again = done(step.case, give("report_in", LAMPS), COMMANDER)
    assert promises(again) == {"report_in/3", "report_in/4"}


def test_a_refusal_after_that_goes_to_the_district_and_is_counted() -> None:
    before = done(objected(), rule(2, "overrule"), COMMANDER)
    step = changed(before, refuse(2), of_office(BUREAU))
    assert step.transitions == ("refused", "to_the_district")
    assert tallied(before, step.case) == {("whistle", f"{STREET}/{BUREAU}/refused"): 1}
    clock = step.case.clock("objection/2")
    assert clock is not None
    assert (clock.owner_division, clock.owner_role) == (DISTRICT, "district_dispatcher")
    assert "decide_objection" not in allowed_actions(step.case, COMMANDER)
    assert why_not(step.case, rule(2, "uphold"), COMMANDER).startswith("decide_objection is for")
    assert "decide_objection" in allowed_actions(step.case, CENTRE)


def test_what_the_district_says_is_not_refused_a_third_time() -> None:
    case = done(refused_again(), rule(2, "overrule"), CENTRE)
    assert promises(case) == {"report_in/2", "report_in/3"}
    says = why_not(case, refuse(2), of_office(BUREAU))
    assert says == "who decides on refusals has said that this office has to"
    assert done(case, coming(2), of_office(BUREAU)).tasks[1].state == "accepted"


def test_a_dispute_goes_to_a_joint_conference_which_says_who_is_responsible() -> None:
    case = refused_again()
    called = changed(case, confer(), CENTRE)
    assert called.event == "conference_called"
    assert called.detail["members"] == (STREET, BUREAU, POLICE)
    meeting = task(called.case, 4)
    assert (meeting.division, meeting.role, meeting.meets_at) == (
        DISTRICT, "district_dispatcher", NOON + DAY,
    )  # fmt: skip
    assert due_at(called.case, "conference/4") == at("2024-05-28 17:30")  # 5 wd after it meets
    decision = command("conference_decides", division=STREET, office=BUREAU, note="by the law")
    assert why_not(called.case, decision, CENTRE, NOON + HOUR).startswith("it meets at")
    step = changed(called.case, decision, CENTRE, NOON + DAY)
    assert (step.event, step.rule, step.transitions) == (
        "conference_decided", "B6/conference", ("arbitrated", "assigned"),
    )  # fmt: skip
    after = step.case
    assert (after.holder, after.office, after.arbitration) == (STREET, BUREAU, "decided")
    assert [one.state for one in after.tasks] == ["done", "released", "asked", "done"]
    says = why_not(after, command("return", reason="not_in_my_power"), of_office(BUREAU))
    assert says.startswith("the arbiter said who has it")


def test_a_conference_may_say_that_who_has_it_keeps_it() -> None:
    case = done(objected(), confer(), COMMANDER)
    decision = command("conference_decides", division=STREET, note="the street itself")
    step = changed(case, decision, COMMANDER, NOON + DAY)
    assert step.transitions == ("arbitrated",)
    assert (step.case.holder, step.case.office, step.case.arbitration) == (STREET, None, "decided")
    assert task(step.case, 2).state == "released"


def test_what_waits_for_an_arbiter_may_go_to_a_conference() -> None:
    case = replace(opened(sure("L09")), had_by=(DISTRICT, "210202"), returns=1)
    case = done(case, command("return", reason="not_in_my_power"), officer(DISTRICT))
    assert (case.holder, case.arbitration) == (CITY, "asked")
    called = done(case, confer(DISTRICT, "210202"), officer(CITY))
    assert {"dispatch", "conference/1"} <= {clock.name for clock in called.clocks}
    decision = command("conference_decides", division="210202", note="it runs the line")
    after = done(called, decision, officer(CITY), NOON + DAY)
    assert (after.holder, after.stage, after.arbitration) == ("210202", "assigned", "decided")
    assert promises(after) == set()


def test_a_conference_that_nobody_needs_any_more_is_void() -> None:
    case = done(objected(), confer(), COMMANDER)
    after = done(case, rule(2, "uphold"), COMMANDER)
    assert (task(after, 4).state, promises(after)) == ("withdrawn", {"report_in/3"})


@pytest.mark.parametrize(
    ("asked", "actor", "says"),
    [
        pytest.param(confer(), COMMANDER, "nobody disputes whose it is", id="no dispute"),
        pytest.param(ask(), SECRETARY, "ask_whistle is for those who act for", id="not its case"),
        pytest.param(blow(), officer(COMMUNITY), "whistle is for those who act for", id="twice"),
        pytest.param(give("report_in", "fire"), COMMANDER, "there is no office 'fire'", id="typo"),
        pytest.param(give("report_in", "hotline"), COMMANDER,
                     "12345 hotline is no department, utility", id="a desk"),
        pytest.param(give("report_in", "ganjingzi-lighting"), COMMANDER,
                     "Ganjingzi lighting does nothing in", id="another district's"),
        pytest.param(give("report_in", BUREAU), COMMANDER, "city management has it, or a task",
                     id="asked already"),
        pytest.param(give("report_in"), COMMANDER, "name the office", id="nobody named"),
        pytest.param(give("copy", LAMPS), COMMANDER, "a task of the kind copy is of no office",
                     id="a copy to an office"),
        pytest.param(give("assist", LAMPS, NOON), COMMANDER, "a deadline lies ahead", id="past"),
        pytest.param(give("assist", LAMPS, NOON + 91 * DAY), COMMANDER, "a deadline lies ahead",
                     id="too far"),
        pytest.param(coming(2, NOON - DAY), of_office(BUREAU), "say when it is on site",
                     id="was there before it was asked"),
        pytest.param(coming(3), of_office(BUREAU), "it is not for you to say", id="another's"),
        pytest.param(coming(9), of_office(BUREAU), "this case has no task 9", id="no such task"),
        pytest.param(coming(1), of_office(BUREAU), "task 1 is over: it is done", id="over"),
        pytest.param(finish(2), of_office(BUREAU), "nothing is asked here that is done by saying",
                     id="not reported in"),
        pytest.param(rule(2, "uphold"), COMMANDER, "decide_objection is for those who",
                     id="no objection"),
        pytest.param(withdraw(1), COMMANDER, "task 1 is over", id="withdrawn too late"),
    ],
)  # fmt: skip
def test_what_may_not_be_asked(asked: OfficerCommand, actor: Actor, says: str) -> None:
    assert why_not(commanded(), asked, actor).startswith(says)


def test_without_a_whistle_departments_do_not_report_in() -> None:
    street = opened(sure(RUBBISH, STREET))
    street = done(street, command("reroute", division=STREET, reason="competence"), COMMANDER)
    says = why_not(street, give("report_in", BUREAU), COMMANDER)
    assert says == "departments report in after a whistle: ask it to assist"
    says = why_not(opened(sure(RUBBISH)), give("assist", BUREAU), officer(GRID))
    assert says.startswith("a grid or community commands no office")


def test_the_first_receiver_alone_says_what_came_of_it() -> None:
    case = done(whistled(), command("resolve", result="gone"), COMMANDER)
    case = replace(case, stage="signed")
    assert (
        why_not(case, withdraw(2), COMMANDER) == "nobody is asked to do anything that may be"
        " withdrawn"
    )
    assert why_not(case, finish(2), officer(GRID)).startswith("`good` is what the first receiver")
    assert why_not(case, finish(2, good=True), officer(NEXT_GRID)).startswith("finish_task is for")


def test_so_many_tasks_and_no_more() -> None:
    case = whistled()
    for _ in range(MOST_OPEN):
        case = done(case, give("copy"), COMMANDER)
    assert why_not(case, give("copy"), COMMANDER).startswith("it has 12 open tasks")
    while len(case.tasks) < MOST_TASKS:
        case = done(case, withdraw(case.open_tasks[0].n), COMMANDER)
        case = done(case, give("copy"), COMMANDER)
    case = done(case, withdraw(case.open_tasks[0].n), COMMANDER)
    assert why_not(case, give("copy"), COMMANDER) == "it had 30 tasks already: promote it"


# ---------------------------------------------------------------- other tasks


def test_lead_and_assisting_offices_have_their_own_deadlines() -> None:
    """F29."""
    case = opened(sure("P0202", STREET))
    assert case.office == LAMPS
    until = NOON + 2 * DAY
    case = done(case, give("assist", "municipal-works", until), of_office(LAMPS))
    case = done(case, give("assist", "traffic-police"), of_office(LAMPS))
    assert due_at(case, "assist/1") == until
    assert due_at(case, "assist/2") == at("2024-05-27 17:30")  # 5 wd
    assert task(case, 1).by == f"{STREET}/{LAMPS}"
    case = done(case, finish(1), of_office("municipal-works"), until + MINUTE)
    assert (task(case, 1).finished, case.on_time["assist"]) == (False, False)
    assert promises(case) == {"assist/2"}


def test_who_assists_may_object_too() -> None:
    case = done(opened(sure("P0202", STREET)), give("assist", "municipal-works"), of_office(LAMPS))
    case = done(case, refuse(1), of_office("municipal-works"))
    clock = case.clock("objection/1")
    assert clock is not None
    assert (clock.owner_division, clock.owner_role) == (STREET, "street_dispatcher")


def test_the_level_above_has_a_copy_that_asks_for_nothing() -> None:
    """F30."""
    case = done(opened(sure(RUBBISH)), give("copy"), officer(GRID))
    clock = case.clock("copy/1")
    assert clock is not None
    assert (clock.owner_division, clock.on_breach) == (COMMUNITY, "none")
    assert [(one.division, one.clock) for one in duties(case) if one.clock == "copy/1"] == [
        (COMMUNITY, "copy/1")
    ]
    seen = done(case, finish(1), officer(COMMUNITY))
    assert promises(seen) == set()


def test_volunteers_and_work_groups_have_tasks() -> None:
    """S14."""
    case = done(opened(sure(RUBBISH)), give("team"), officer(GRID))
    case = done(case, give("team", "political-legal-committee"), officer(GRID))
    owners = {(clock.name, clock.owner_division, clock.owner_role, clock.owner_office)
              for clock in case.clocks if clock.name.startswith("team/")}  # fmt: skip
    assert owners == {
        ("team/1", GRID, "grid_volunteer", None),
        ("team/2", STREET, "department_officer", "political-legal-committee"),
    }
    case = done(case, finish(1), officer(GRID, "grid_volunteer"))
    step = changed(case, refuse(2), of_office("political-legal-committee"))
    assert [one.state for one in step.case.tasks] == ["done", "declined"]


def test_the_communitys_legal_adviser_is_asked() -> None:
    """S16."""
    before = done(whistled(), "verify", officer(GRID))
    before = replace(before, restricted=True)  # nobody below the street has to do with it
    assert not may_read(before, ADVISER)
    case = done(before, give("adviser"), COMMANDER)
    assert may_read(case, ADVISER)
    assert allowed_actions(case, ADVISER) == ("refuse_task", "finish_task")
    assert due_at(case, "adviser/2") == at("2024-05-23 17:30")  # 3 wd
    step = changed(case, finish(2), ADVISER)
    assert (step.rule, step.detail["result"]) == ("done/adviser", "the site was fined")
    assert not may_read(step.case, ADVISER)


@pytest.mark.parametrize("kind", ["adviser", "team"])
def test_who_is_near_the_place_is_asked_only_where_that_is_known(kind: str) -> None:
    street = opened(sure(RUBBISH, STREET))
    street = done(street, command("reroute", division=STREET, reason="competence"), COMMANDER)
    says = why_not(street, give(kind), COMMANDER)
    assert says == "say in which community it is first: place it"


# ---------------------------------------------------------------- who reads, and who never


def test_whoever_has_a_task_reads_the_case_and_acts_on_it_and_no_longer() -> None:
    called, stranger = of_office(BUREAU), of_office(LAMPS)
    case = commanded()
    assert may_read(case, called)
    assert set(allowed_actions(case, called)) == {"report_in", "refuse_task"}
    assert not may_read(case, stranger)
    assert not may_read(case, of_office(BUREAU, NEXT_STREET))
    after = done(done(case, coming(2), called), finish(2), called)
    assert not may_read(after, called)


def test_an_office_that_turns_out_to_be_accused_has_no_task_any_more() -> None:
    """Petition Regs 30, 46."""
    case = done(objected(), confer(), COMMANDER)
    accusing = command("classify", category="R01", accused_office=POLICE)
    after = done(case, accusing, COMMANDER)
    assert all(not one.is_open or POLICE not in (one.office, *one.members) for one in after.tasks)
    assert not may_read(after, of_office(POLICE))
    says = why_not(replace(commanded(), accused_office=LAMPS), give("report_in", LAMPS), COMMANDER)
    assert says == "this office may have no part in this case"


def test_the_grid_that_is_accused_does_not_look_at_the_result() -> None:
    case = replace(commanded(), accused_division=GRID, accused=GRID)
    case = done(case, command("resolve", result="gone"), COMMANDER)
    assert case.whistle is not None
    assert (case.whistle.state, promises(case)) == ("void", set())


def test_where_the_street_is_accused_the_district_commands_and_the_city_decides() -> None:
    case = replace(opened(sure(RUBBISH)), accused_division=STREET, accused=STREET,
                   holder=DISTRICT, tier=Tier.DISTRICT, role="district_dispatcher")  # fmt: skip
    case = done(case, give("assist", BUREAU), CENTRE)
    assert task(case, 1).division == DISTRICT
    case = done(case, refuse(1), of_office(BUREAU, DISTRICT))
    clock = case.clock("objection/1")
    assert clock is not None
    assert clock.owner_division == DISTRICT
    case = done(case, rule(1, "overrule"), CENTRE)
    case = done(case, refuse(1), of_office(BUREAU, DISTRICT))
    clock = case.clock("objection/1")
    assert clock is not None
    assert (clock.owner_division, clock.owner_role) == (CITY, "city_dispatcher")


# ---------------------------------------------------------------- on its way


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        pytest.param(command("return", reason="wrong_category"), set(), id="to a desk"),
        pytest.param(command("promote", reason="scale_up"), {"report_in/2", "report_in/3"},
                     id="up to the district, which commands on"),
        pytest.param(command("reroute", division=NEXT_GRID, reason="agreed"), set(),
                     id="down to a grid, which commands nobody"),
    ],
)  # fmt: skip
def test_tasks_go_on_where_somebody_commands_and_are_void_elsewhere(
    asked: OfficerCommand, left: set[str]
) -> None:
    after = done(commanded(), asked, COMMANDER)
    assert promises(after) == left
    assert after.is_whistled is bool(left)


def test_a_correction_of_what_the_street_commands_leaves_it_with_the_street() -> None:
    step = changed(commanded(), command("classify", category="P0202"), COMMANDER)
    assert (step.case.holder, step.case.office) == (STREET, None)
    assert promises(step.case) == {"report_in/2", "report_in/3"}


def test_a_case_that_is_closed_or_reopened_has_no_tasks() -> None:
    case = done(whistled(), command("reply", text="gone by tonight"), cadre())
    solver = replace(COMMANDER, subject="who solved it")
    resolved = done(case, command("resolve", result="gone"), solver)
    close = command("close", callback="answered")
    assert why_not(resolved, close) == (
        "whoever received it first has not looked at what came of the whistle"
    )
    [result] = [task for task in resolved.open_tasks if task.kind == "result"]
    closed = done(done(resolved, finish(result.n, good=True), officer(GRID)), close)
    again = done(resolved, command("reopen", reason="came_back"), COMMANDER)
    for after, state in ((closed, "closed"), (again, "void")):
        assert after.open_tasks == ()
        assert after.whistle is not None
        assert after.whistle.state == state


def test_the_first_receiver_stays_the_first_however_many_had_it_since() -> None:
    case = opened(sure(RUBBISH))
    for n in range(2 * MOST_REMEMBERED):
        case = held_at(case, STREET, f"office-{n}")
    assert (case.had_by[0], case.had_by[-1]) == (GRID, f"{STREET}/office-{2 * MOST_REMEMBERED - 1}")
    assert len(case.had_by) == MOST_REMEMBERED
    back = replace(done(opened(sure(RUBBISH)), "promote"), had_by=case.had_by)
    blown = done(back, blow(BUREAU, POLICE), officer(COMMUNITY))
    assert blown.whistle is not None
    assert blown.whistle.first == GRID


def test_no_answer_ends_a_question_before_its_first_receiver_has_looked() -> None:
    case = done(replace(whistled(), track="consult"), command("resolve", result="gone"))
    assert [one.kind for one in case.open_tasks] == ["result"]
    for name in ("answer", "close"):
        assert "has not looked at what came of the whistle" in why_not(case, name)
    [result] = case.open_tasks
    seen = done(case, finish(result.n, good=True), officer(GRID))
    ended = done(seen, "answer")
    assert (ended.stage, ended.whistle and ended.whistle.state) == ("closed", "closed")


def test_a_pause_lets_no_department_wait() -> None:
    pause = command("pause", reason="force_majeure", until=NOON + 9 * HOUR, text="a storm")
    case = done(commanded(), pause, COMMANDER)
    clock = case.clock("report_in/2")
    assert clock is not None
    assert not clock.paused
    assert done(case, coming(2), of_office(BUREAU)).pause is not None


def test_what_the_resident_adds_leaves_tasks_alone(policy: Policy) -> None:
    case = commanded()
    decision = decide(case, Supplement(Order(1, 2)), ROUTER, policy, NOON)
    assert isinstance(decision, Changed)
    assert (decision.case.tasks, decision.case.clocks) == (case.tasks, case.clocks)


# ---------------------------------------------------------------- journeys of clocks


def test_each_tasks_clock_is_warned_breached_supervised_and_reminded_by_itself() -> None:
    case = commanded()
    news = News(CASE, Order(1, case.seq), NOON, snapshot(case, "街道"))
    armed = arm(None, news)
    late = sweep(armed, NOON + 25 * HOUR)
    orders = {one.clock: one for one in late.orders if promise_of(one.clock) == "report_in"}
    assert orders.keys() == {"report_in/2", "report_in/3"}
    assert all(one.action == "supervise" for one in orders.values())

    supervised = reduce(
        lambda one, name: done(one, order(one, name), ESCALATION, NOON + 25 * HOUR),
        sorted(orders), case,
    )  # fmt: skip
    assert supervised.supervised == 2
    told = arm(late.armed, News(CASE, Order(1, supervised.seq), NOON, snapshot(supervised, "街道")))
    assert all(
        action_of(clock) is None for clock in told.clocks if promise_of(clock.name) == "report_in"
    )
    repeated = sweep(told, NOON + 49 * HOUR)
    assert {one.desk.office for one in repeated.notices if one.clock == "report_in"} >= {
        BUREAU, POLICE,
    }  # fmt: skip


def test_an_order_for_a_task_that_is_over_is_stale() -> None:
    before = commanded()
    stale = order(before, "report_in/2")
    after = done(before, coming(2), of_office(BUREAU))
    decision = decide(after, stale, ESCALATION, shipped_policy(), NOON + DAY)
    assert isinstance(decision, Refused)
    assert decision.reason == "stale"


def test_a_digest_speaks_of_the_promise_and_names_a_case_once() -> None:
    case = commanded()
    news = News(CASE, Order(1, case.seq), NOON, snapshot(case, "街道"))
    late = sweep(arm(None, news), NOON + 25 * HOUR)
    repeated = sweep(late.armed, NOON + 49 * HOUR)
    of_street = [
        one for one in digests(repeated.notices)
        if one.desk.division == STREET and one.desk.office is None and one.clock == "report_in"
    ]  # fmt: skip
    assert [(one.count, one.cases) for one in of_street] == [(1, (CASE,))]


def test_tasks_stand_in_the_queues_of_those_who_have_them() -> None:
    case = commanded()
    assert {(one.division, one.office, one.clock) for one in duties(case)} >= {
        (STREET, BUREAU, "report_in/2"), (STREET, POLICE, "report_in/3"),
    }  # fmt: skip
    asked = done(opened(sure(RUBBISH)), give("team"), officer(GRID))
    assert ("team/1", "grid_volunteer") in {(one.clock, one.role) for one in duties(asked)}


def test_a_late_report_is_missed_for_good_and_the_next_one_counts_by_itself() -> None:
    case = done(commanded(), coming(2, NOON + 3 * DAY), of_office(BUREAU), NOON + 2 * DAY)
    case = done(case, coming(3, NOON + 3 * DAY), of_office(POLICE), NOON + DAY)
    assert (task(case, 2).reported, task(case, 3).reported) == (False, True)
    assert case.on_time["report_in"] is False


def test_a_neighbours_whistle_is_its_own_communitys() -> None:
    case = done(opened(sure(RUBBISH)), ask(), SECRETARY)
    decision = decided(case, blow(), officer(NEXT_COMMUNITY))
    assert isinstance(decision, Refused)
    assert decision.reason == "not_your_area"
