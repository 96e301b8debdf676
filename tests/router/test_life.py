"""What happens to a case on its way: objections, pauses, more time, call-backs, and back again."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.router.decisions.case import Case
from services.router.decisions.commands import (
    ApplyOrder,
    Changed,
    OfficerCommand,
    Rate,
    Refused,
    Supplement,
)
from services.router.decisions.policy import Policy
from services.router.decisions.workflow import allowed_actions, decide
from shared.divisions import CITY, Tier
from shared.events import Order, RatingReason
from shared.identity import Actor
from tests.router.stories import (
    COMMUNITY,
    DISTRICT,
    GRID,
    HOUR,
    LAMP,
    MINUTE,
    NEXT_GRID,
    NOON,
    QUESTION,
    ROUTER,
    RUBBISH,
    STREET,
    WISH,
    at,
    changed,
    command,
    decided,
    done,
    officer,
    opened,
    order,
    refused,
    resolved,
    shipped_policy,
    sure,
    unclear,
    why_not,
)

DAY = timedelta(days=1)
THIRD_GRID = "210204005002001"
HEAD = replace(officer(GRID, "office_head"), subject="the head")


def to(division: str, reason: str = "competence") -> OfficerCommand:
    return command("reroute", division=division, reason=reason)


def due(case: Case, name: str) -> datetime:
    clock = case.clock(name)
    assert clock is not None
    return clock.due_at


# ---------------------------------------------------------------- objections [F28, X9]


def test_after_signing_it_may_be_returned_for_four_working_hours() -> None:
    case = done(opened(sure(WISH)), "sign")
    last = at("2024-05-20 15:30")  # two hours in the morning, two after lunch
    assert done(case, "return", now=last).stage == "registered"
    says = why_not(case, "return", now=last + MINUTE)
    assert says.startswith("the right to object ended 4wh after it was signed")


def test_before_anybody_signs_it_may_be_returned_at_any_time() -> None:
    assert done(opened(sure(WISH)), "return", now=NOON + 5 * DAY).returns == 1


def test_the_second_return_goes_to_the_arbiter_who_stands_above_all_that_had_it() -> None:
    case = done(opened(sure(WISH)), "return")
    assert (case.holder, case.arbitration) == (COMMUNITY, None)
    case = done(case, to(NEXT_GRID))
    assert case.had_by == (GRID, NEXT_GRID)
    step = changed(case, "return")
    assert step.transitions == ("returned", "to_arbiter")
    assert (step.case.holder, step.case.stage, step.case.arbitration) == (
        COMMUNITY, "registered", "asked",
    )  # fmt: skip
    assert step.detail["routing"].rule == "moved/to-arbiter"  # type: ignore[attr-defined]


def test_whom_the_arbiter_names_keeps_it() -> None:
    case = done(done(done(opened(sure(WISH)), "return"), to(NEXT_GRID)), "return")
    step = changed(case, to(GRID))
    assert step.transitions == ("rerouted", "arbitrated")
    assert (step.case.holder, step.case.arbitration) == (GRID, "decided")
    assert "return" not in allowed_actions(step.case, officer(GRID))
    assert why_not(step.case, "return").startswith("the arbiter said who has it")
    up = done(step.case, "promote")
    assert (up.holder, up.arbitration) == (COMMUNITY, None)


def test_from_peer_to_peer_and_back_goes_to_the_arbiter_by_itself() -> None:
    case = done(opened(sure(WISH)), to(THIRD_GRID), officer(GRID))
    step = changed(case, to(GRID), officer(THIRD_GRID, "grid_head"))
    assert step.transitions == ("rerouted", "to_arbiter")
    assert (step.case.holder, step.case.arbitration) == (STREET, "asked")
    assert {clock.name for clock in step.case.clocks} == {"dispatch", "reply", "final_reply"}


def test_who_stands_above_all_that_had_it_is_the_arbiter_and_decides_at_once() -> None:
    case = done(opened(sure(WISH)), to(THIRD_GRID), officer(GRID))
    step = changed(case, to(GRID), officer(STREET))
    assert (step.case.holder, step.case.arbitration) == (GRID, "decided")


def test_up_and_down_the_ladder_is_no_round() -> None:
    case = done(opened(sure(WISH)), "promote")
    down = done(case, to(GRID, "agreed"), officer(COMMUNITY))
    again = done(down, to(COMMUNITY, "agreed"), officer(GRID))
    assert (again.holder, again.arbitration) == (COMMUNITY, None)


def test_two_districts_have_only_the_citys_desk_above_them() -> None:
    case = replace(opened(sure("L09")), had_by=(DISTRICT, "210202"), returns=1)
    step = changed(case, "return", officer(DISTRICT))
    assert (step.case.holder, step.case.arbitration) == (CITY, "asked")


# ---------------------------------------------------------------- taken back, given [F34, F39]


def test_what_nobody_touched_is_taken_back_by_the_desk_that_gave_it() -> None:
    case = done(opened(sure(RUBBISH, COMMUNITY)), to(GRID))
    assert case.given_by == COMMUNITY
    assert "recall" in allowed_actions(case, officer(COMMUNITY))
    assert "recall" not in allowed_actions(case, officer(GRID))
    assert refused(case, "recall", officer(GRID)) == "not_your_area"
    back = changed(case, "recall")
    assert (back.event, back.case.holder, back.case.stage) == ("recalled", COMMUNITY, "registered")
    assert back.case.clock("dispatch") is not None


@pytest.mark.parametrize("touch", ["sign", "verify", "assign"])
def test_what_somebody_touched_is_not_taken_back(touch: str) -> None:
    case = done(opened(sure(RUBBISH, COMMUNITY)), to(GRID))
    touched = done(case, touch)
    decision = decided(touched, "recall", officer(COMMUNITY))
    assert isinstance(decision, Refused)
    assert decision.reason == "not_allowed_now"


def test_a_case_stands_in_the_queue_of_whom_it_is_given_to() -> None:
    case = done(done(opened(sure(RUBBISH)), "sign"), command("assign", to="li"))
    assert (case.signed_by, case.assignee, case.person) == ("somebody", "li", "li")
    assert why_not(case, command("assign", to="li")) == "it is this person's already"
    moved = done(case, to(NEXT_GRID))
    assert moved.person is None


def test_a_person_may_send_it_up_over_levels_but_never_down() -> None:
    case = opened(sure(WISH))
    up = done(case, command("promote", reason="scale_up", to="street"))
    assert (up.tier, up.promotions) == (Tier.STREET, {Tier.GRID: 1})
    assert refused(up, command("promote", reason="scale_up", to="community")) == "not_allowed_now"


# ---------------------------------------------------------------- standing still [F47, E5]


def pause(
    hours: int = 10, reason: str = "waiting_for_petitioner", now: datetime = NOON
) -> OfficerCommand:
    return command("pause", reason=reason, until=now + hours * HOUR, text="which flat is it?")


def test_in_a_pause_the_tier_and_the_final_reply_stand_still_and_the_answer_does_not() -> None:
    case = opened(sure(WISH))
    step = changed(case, pause())
    assert (step.event, step.rule) == ("paused", "pause/waiting_for_petitioner")
    still = {clock.name for clock in step.case.clocks if clock.paused}
    assert still == {"tier", "final_reply"}
    assert step.case.clock("pause") is not None
    assert step.case.next_deadline == min(c.due_at for c in step.case.clocks if not c.paused)
    for name in still:
        before, after = case.clock(name), step.case.clock(name)
        assert before is not None
        assert after is not None
        assert after.generation == before.generation + 1


def test_what_was_left_is_left_when_it_goes_on_and_no_mark_comes_twice() -> None:
    case = opened(sure(WISH))
    still = done(case, pause(), now=NOON + HOUR)
    on = done(still, "resume", now=NOON + 6 * HOUR)
    for name in ("tier", "final_reply"):
        before, after = case.clock(name), on.clock(name)
        assert before is not None
        assert after is not None
        assert after.due_at == before.due_at + 5 * HOUR
        assert after.warn_at == tuple(mark + 5 * HOUR for mark in before.warn_at)
        assert not after.paused
        assert after.started_at == before.started_at
    assert (on.pause, on.clock("pause"), len(on.pauses)) == (None, None, 1)


def test_pauses_add_up_and_are_no_lateness() -> None:
    case, now = opened(sure(WISH)), NOON
    promised = due(case, "final_reply")
    for _ in range(3):
        case = done(case, pause(120, now=now), now=now)
        now += 119 * HOUR
        case = done(case, "resume", now=now)
        now += HOUR
    assert due(case, "final_reply") == promised + 3 * 119 * HOUR
    assert why_not(case, pause(4, now=now), now=now) == "pauses last 360 hours in all: 3 are left"
    assert done(case, pause(3, now=now), now=now).pause is not None
    solved = resolved(case, now)
    assert solved.on_time["final_reply"]


def test_what_is_late_already_runs_on() -> None:
    case = opened(sure(WISH))
    late = due(case, "tier") + MINUTE
    still = done(case, pause(now=late), now=late)
    assert {clock.name for clock in still.clocks if clock.paused} == {"final_reply"}
    both = due(case, "final_reply") + MINUTE
    assert refused(case, pause(now=both), now=both) == "not_allowed_now"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (pause(0), "incomplete"),
        (pause(361), "incomplete"),
        (pause(360), None),
    ],
)
def test_a_pause_ends_in_the_future_and_lasts_fifteen_days_at_most(
    asked: str | OfficerCommand | ApplyOrder, reason: str | None
) -> None:
    decision = decided(opened(sure(WISH)), asked)
    assert (decision.reason if isinstance(decision, Refused) else None) == reason


def test_the_policy_lists_what_it_is_paused_for(policy: Policy) -> None:
    rules = policy.settings.escalation.model_copy(update={"pause_only_for": ("force_majeure",)})
    stricter = replace(policy, settings=policy.settings.model_copy(update={"escalation": rules}))
    case = opened(sure(WISH))
    asked = command("pause", reason="waiting_for_petitioner", until=NOON + HOUR, text="x")
    assert isinstance(decide(case, asked, officer(GRID), stricter, NOON), Refused)


def test_a_second_pause_and_a_resume_of_nothing_are_refused() -> None:
    case = opened(sure(WISH))
    assert refused(case, "resume") == "not_allowed_now"
    assert refused(done(case, pause()), pause()) == "not_allowed_now"


def test_a_pause_that_runs_out_is_supervised_and_the_promises_go_on() -> None:
    still = done(opened(sure(WISH)), pause(10))
    step = changed(still, order(still, "pause"), now=NOON + 10 * HOUR)
    assert (step.event, step.transitions) == ("supervised", ("supervised", "resumed"))
    assert (step.case.pause, step.case.supervised) == (None, 1)
    assert not any(clock.paused for clock in step.case.clocks)
    assert refused(step.case, order(still, "pause")) == "stale"


def test_an_order_about_a_clock_that_stands_still_is_stale() -> None:
    case = opened(sure(WISH))
    assert refused(done(case, pause()), order(case)) == "stale"


def test_what_the_resident_adds_ends_the_wait_for_him(policy: Policy) -> None:
    for reason, ends in (("waiting_for_petitioner", True), ("force_majeure", False)):
        still = done(opened(sure(WISH)), pause(reason=reason))
        step = decide(still, Supplement(Order(1, 2)), ROUTER, policy, NOON + HOUR)
        assert isinstance(step, Changed)
        assert (step.case.pause is None) is ends
        assert ("resumed" in step.transitions) is ends


@pytest.mark.parametrize("asked", ["promote", "return", "resolve", "reroute", "classify"])
def test_whoever_moves_a_case_ends_its_pause(asked: str) -> None:
    still = done(opened(sure(WISH)), pause())
    after = done(still, asked, now=NOON + HOUR)
    assert after.pause is None
    assert not any(clock.paused for clock in after.clocks)
    assert after.clock("pause") is None


# ---------------------------------------------------------------- more time [F48, E6]


def extend(until: datetime) -> OfficerCommand:
    return command("extend", until=until, reason="a part is missing", text="we need until then")


def test_more_time_is_asked_for_and_granted_by_the_head_of_the_office() -> None:
    case = opened(sure(WISH))
    until = due(case, "final_reply") + 2 * DAY
    asked = changed(case, extend(until))
    assert (asked.event, due(asked.case, "final_reply")) == (
        "extension_asked", due(case, "final_reply"),
    )  # fmt: skip
    granted = changed(asked.case, "grant_extension", HEAD)
    assert (granted.event, granted.rule) == ("extended", "Petition Regs 34/grant")
    assert due(granted.case, "final_reply") == until
    assert due(granted.case, "tier") == due(case, "tier") + 2 * DAY
    assert due(granted.case, "reply") == due(case, "reply")


def test_it_is_granted_once_and_never_by_who_asked() -> None:
    case = opened(sure(WISH))
    asked = done(case, extend(due(case, "final_reply") + DAY), HEAD_AND_HOLDER)
    assert why_not(asked, "grant_extension", HEAD_AND_HOLDER).startswith("who asks for more time")
    granted = done(asked, "grant_extension", HEAD)
    assert why_not(granted, extend(due(case, "final_reply") + 2 * DAY)).startswith("more time was")
    assert refused(granted, "grant_extension", HEAD) == "not_allowed_now"


HEAD_AND_HOLDER = officer(GRID, "office_head", "grid_head")


def test_what_is_declined_leaves_the_promise_and_may_be_asked_again() -> None:
    case = opened(sure(WISH))
    asked = done(case, extend(due(case, "final_reply") + DAY))
    declined = done(asked, "decline_extension", HEAD)
    assert due(declined, "final_reply") == due(case, "final_reply")
    assert done(declined, extend(due(case, "final_reply") + DAY)).extension is not None


def test_at_most_as_long_again() -> None:
    case = opened(sure(WISH))
    length = due(case, "final_reply") - NOON
    assert refused(case, extend(NOON + 2 * length + MINUTE)) == "incomplete"
    assert refused(case, extend(due(case, "final_reply"))) == "incomplete"
    assert done(case, extend(NOON + 2 * length)).extension is not None


def test_what_was_missed_before_it_was_extended_stays_missed() -> None:
    case = opened(sure(WISH))
    late = due(case, "final_reply") + MINUTE
    asked = done(case, extend(due(case, "final_reply") + DAY))
    granted = done(asked, "grant_extension", HEAD, now=late)
    assert granted.on_time["final_reply"] is False
    assert resolved(granted, late).on_time["final_reply"] is False


def test_a_pause_after_an_extension_lengthens_it_further() -> None:
    case = opened(sure(WISH))
    until = due(case, "final_reply") + DAY
    case = done(done(case, extend(until)), "grant_extension", HEAD)
    late = until - HOUR
    case = done(case, pause(now=late), now=late)
    case = done(case, "resume", now=late + 2 * HOUR)
    assert due(case, "final_reply") == until + 2 * HOUR


def test_the_next_tier_has_its_own_time_and_no_more() -> None:
    case = opened(sure(WISH))
    case = done(done(case, extend(due(case, "final_reply") + DAY)), "grant_extension", HEAD)
    later, plain = NOON + HOUR, opened(sure(WISH))
    up, plain = done(case, order(case), now=later), done(plain, order(plain), now=later)
    assert due(up, "tier") == due(plain, "tier")
    assert due(up, "final_reply") == due(case, "final_reply")


def test_what_was_late_before_a_pause_goes_up_in_it_and_still_waits_for_the_resident() -> None:
    case = opened(sure(RUBBISH))
    late = due(case, "tier") + MINUTE
    still = done(case, pause(9, now=late), now=late)
    assert {clock.name for clock in still.clocks if clock.paused} == {"final_reply"}
    up = done(still, order(still), now=late + MINUTE)
    assert (up.tier, up.pause) == (Tier.COMMUNITY, still.pause)
    assert {clock.name for clock in up.clocks if clock.paused} == {"final_reply"}
    waits = up.clock("pause")
    assert waits is not None
    assert waits.owner_division == COMMUNITY


@pytest.mark.parametrize(("more", "kept"), [(HOUR, HOUR), (3 * DAY, 2 * HOUR)])
def test_what_was_granted_stays_in_another_urgency_as_far_as_that_may_have_more(
    more: timedelta, kept: timedelta
) -> None:
    case = opened(sure(WISH))
    case = done(done(case, extend(due(case, "final_reply") + more)), "grant_extension", HEAD)
    urgent = done(case, command("classify", category="P0101"))
    assert urgent.urgency != case.urgency
    never = done(opened(sure(WISH)), command("classify", category="P0101"))
    assert due(urgent, "final_reply") == due(never, "final_reply") + kept
    assert refused(urgent, extend(due(urgent, "final_reply") + HOUR)) == "not_allowed_now"
    asked = done(opened(sure(WISH)), extend(due(case, "final_reply")))
    assert done(asked, command("classify", category="P0101")).extension is None


@pytest.mark.parametrize("name", ["李四", "li si", "0411-8360 0001", "", "x" * 256])
def test_a_case_is_given_to_the_subject_of_a_token_and_to_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="string_pattern_mismatch"):
        command("assign", to=name)


# ---------------------------------------------------------------- not for us [F8]


def test_what_is_not_for_us_ends_with_a_reason_and_the_right_door() -> None:
    case = opened(unclear())
    step = changed(case, "not_accept", officer(GRID))
    assert (step.rule, step.transitions) == (
        "not_accepted/legal_route", ("not_accepted", "closed"),
    )  # fmt: skip
    after = step.case
    assert (after.stage, after.outcome, after.not_accepted) == ("closed", None, "legal_route")
    assert step.detail == {"reason": "legal_route", "door": "the court", "text": "go there"}
    assert after.on_time["reply"]
    assert after.clocks == ()


def test_who_may_not_lead_a_matter_refuses_nobody() -> None:
    case = opened(sure("E0107"))
    assert case.street_leads
    assert refused(case, "not_accept") == "not_allowed_now"


# ---------------------------------------------------------------- called back, rated [F57 to F59]


def answered(category: str = RUBBISH) -> Case:
    return resolved(done(opened(sure(category)), "reply"))


def test_another_unit_than_who_solved_it_calls_and_closes() -> None:
    grid, office = answered(), answered(LAMP)
    assert (grid.office, office.holder, office.office) == (None, STREET, "lighting")
    lamps = Actor("another", frozenset({"department_officer"}), STREET, "lighting")
    for case, who, may in (
        (grid, replace(officer(CITY), subject=grid.resolved_by or ""), False),
        (grid, officer(GRID), False),
        (grid, officer(GRID, "grid_worker"), False),
        (grid, officer(GRID, "grid_head", "hotline_agent"), False),
        (grid, officer(GRID, "hotline_agent"), True),
        (grid, officer(CITY, "hotline_agent"), True),
        (grid, officer(COMMUNITY), True),
        (office, lamps, False),
        # Who has an office's role and names none is of the one that has it.
        (office, replace(lamps, office=None), False),
        (office, officer(STREET), True),
        (office, officer(DISTRICT), True),
    ):
        for name in ("close", "call_back"):
            assert (name in allowed_actions(case, who)) is may, (name, who)
            if not may:
                assert why_not(case, name, who).startswith("another unit than the one that")


def test_who_is_content_closes_it_by_the_call() -> None:
    step = changed(answered(), "call_back")
    assert step.transitions == ("called_back/solved", "closed")
    case = step.case
    assert (case.stage, case.outcome, case.call_backs) == ("closed", "solved", 1)
    assert (case.called_back, case.satisfied, case.on_time["callback"]) == ("solved", True, True)


def test_tries_are_counted_and_the_promise_to_call_runs_on() -> None:
    case = done(answered(), command("call_back", result="no_answer"))
    case = done(case, command("call_back", result="no_answer"))
    assert (case.stage, case.call_backs, case.called_back) == ("resolved", 2, "no_answer")
    assert case.clock("callback") is not None
    closed = done(case, command("close", callback="no_answer"))
    assert (closed.stage, closed.call_backs) == ("closed", 3)


def test_what_is_not_solved_is_reopened_with_promises_made_anew() -> None:
    now = NOON + 3 * DAY
    case = answered()
    asked = command("call_back", result="not_solved", satisfied=False, reason="not_solved")
    step = changed(case, asked, now=now)
    assert step.transitions == ("called_back/not_solved", "reopened", "assigned")
    again = step.case
    assert (again.stage, again.holder, again.reopened) == ("assigned", GRID, 1)
    assert (again.replied, again.verified, again.outcome) == (False, False, None)
    assert due(again, "reply") == now + DAY
    assert due(again, "final_reply") == now + 7 * DAY
    assert {"sign", "tier", "verify"} <= {clock.name for clock in again.clocks}
    for clock in again.clocks:
        assert clock.generation > case.generations.get(clock.name, 0)


def test_only_some_reasons_reopen() -> None:
    slow = command("call_back", result="solved", satisfied=False, reason="slow")
    step = changed(answered(), slow)
    assert (step.case.stage, step.case.satisfied) == ("closed", False)
    assert step.case.called_back == "solved"
    # What is not solved is never closed as solved.
    asked = command("call_back", result="not_solved", satisfied=False, reason="slow")
    assert why_not(answered(), asked).startswith("not solved for one of: not_solved, came_back")


def test_what_is_opened_again_is_with_whoever_had_it_and_nobody_was_called() -> None:
    # An arbiter gave it to the street's own desk, which the catalogue does not name.
    case = opened(sure(WISH))
    had = replace(case, office=None, role="street_dispatcher", arbitration="decided",
                  had_by=(case.holder,))  # fmt: skip
    closed = done(done(resolved(had), "reply"), command("close", callback="answered"))
    assert closed.called_back == "solved"
    again = done(closed, command("reopen", reason="came_back"))
    assert (again.holder, again.office, again.arbitration) == (case.holder, None, "decided")
    assert (again.called_back, again.call_backs, again.replied) == (None, 0, False)
    # Where its office is gone, the catalogue's has it.
    gone = replace(closed, office="abolished", had_by=(f"{case.holder}/abolished",))
    assert done(gone, command("reopen", reason="came_back")).office == case.office


def test_who_came_back_too_often_is_refused_by_a_desk_above_and_for_good() -> None:
    case = opened(sure(WISH))
    for _ in range(3):
        case = done(done(case, "not_accept"), command("reopen", reason="wrong_answer"))
    assert case.reopened == 3
    assert why_not(case, "not_accept") == (
        "it was opened again 3 times: a desk above says that it is not ours"
    )
    over = done(case, "not_accept", officer(DISTRICT))
    assert why_not(over, "reopen").startswith("a desk above said that it is not for us")
    assert rate(over, solved=False, reason="not_solved").event == "rated"
    # What is solved may come back as before.
    solved = done(resolved(done(case, "reply")), "close")
    assert done(solved, "reopen").reopened == 4


@pytest.mark.parametrize(
    "name",
    ["pause", "extend", "give_task", "ask_whistle", "reply", "assign", "verify", "sign", "resolve"],
)
def test_whoever_got_it_and_did_anything_keeps_it(name: str) -> None:
    case = done(opened(sure(RUBBISH)), command("reroute", division=NEXT_GRID, reason="workload"),
                officer(COMMUNITY))  # fmt: skip
    assert case.given_by is not None
    assert done(case, "recall").stage == "registered"
    touched = done(case, name)
    assert touched.given_by is None
    assert "recall" not in allowed_actions(touched, officer(CITY))


@pytest.mark.parametrize(
    "fields",
    [
        {"result": "not_solved"},
        {"result": "no_answer", "satisfied": True},
        {"result": "no_answer", "reason": "slow"},
    ],
)
def test_a_call_that_says_too_little_or_too_much_is_no_command(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"say what is wrong|nobody answered"):
        command("call_back", **fields)


def test_there_is_nobody_to_call_where_nobody_left_a_number() -> None:
    case = resolved(opened(sure(RUBBISH), contact=False))
    assert case.stage == "resolved"  # the answer is owed
    assert why_not(case, "call_back").startswith("there is nobody to call")


def rate(
    case: Case, *, solved: bool, reason: RatingReason | None = None, now: datetime = NOON
) -> Changed:
    rating = Rate(Order(1, 2), solved, solved, reason)
    decision = decide(case, rating, ROUTER, shipped_policy(), now)
    assert isinstance(decision, Changed)
    return decision


@pytest.mark.parametrize(
    ("case", "solved", "reason", "event"),
    [
        pytest.param(done(answered(), "close"), True, None, "rated", id="solved"),
        pytest.param(done(answered(), "close"), False, "not_solved", "reopened", id="not solved"),
        pytest.param(done(answered(), "close"), False, "unkind", "rated", id="unkind"),
        pytest.param(done(answered(), "close"), False, None, "rated", id="no reason"),
        pytest.param(answered(), False, "came_back", "reopened", id="resolved and come back"),
        pytest.param(opened(sure(WISH)), False, "not_solved", "rated", id="still open"),
        pytest.param(opened(unclear()), False, "not_solved", "rated", id="at the desk"),
    ],
)
def test_a_rating_is_kept_and_reopens_for_some_reasons(
    case: Case, solved: bool, reason: RatingReason | None, event: str
) -> None:
    step = rate(case, solved=solved, reason=reason)
    assert (step.event, step.case.satisfied, step.case.heard) == (event, solved, Order(1, 2))
    assert step.case.is_open is (case.is_open or event == "reopened")


def test_what_the_resident_says_himself_no_office_changes() -> None:
    case = rate(answered(), solved=False, reason="slow").case
    for says in (
        command("call_back", result="no_answer"),
        command("call_back", result="solved", satisfied=True),
    ):
        case = done(case, says)
        assert case.satisfied is False
    assert (case.stage, case.called_back, case.outcome) == ("closed", "solved", None)
    # Dealt with once more, it is judged once more.
    again = done(resolved(done(done(case, "reopen"), "reply")), "call_back")
    assert (again.satisfied, again.outcome) == (True, "solved")


def test_what_he_finds_unsolved_is_not_counted_as_solved_though_it_does_not_come_back() -> None:
    closed = done(answered(), "close")
    assert closed.outcome == "solved"
    step = rate(closed, solved=False, reason="slow")
    assert (step.event, step.case.stage, step.case.outcome) == ("rated", "closed", None)
    # What is rated before it is dealt with is no word on how it was.
    early = rate(opened(sure(RUBBISH)), solved=False, reason="slow").case
    assert done(resolved(done(early, "reply")), "close").outcome == "solved"


def test_that_he_was_called_and_it_is_not_solved_stays_said_until_he_is_called_again() -> None:
    asked = command("call_back", result="not_solved", satisfied=False, reason="came_back")
    again = done(answered(), asked)
    assert (again.stage, again.called_back, again.satisfied) == ("assigned", "not_solved", False)
    assert done(resolved(done(again, "reply")), "close").called_back == "solved"


# ---------------------------------------------------------------- back again [F55, E10]


def test_it_is_reopened_for_fifteen_days() -> None:
    closed = done(answered(), "close")
    assert done(closed, "reopen", now=NOON + 15 * DAY).stage == "assigned"
    says = why_not(closed, "reopen", now=NOON + 15 * DAY + MINUTE)
    assert says.startswith("it was closed more than 360 hours ago")
    rating = rate(closed, solved=False, reason="not_solved", now=NOON + 16 * DAY)
    assert rating.event == "rated"
    assert refused(closed, command("reopen", reason="slow")) == "not_allowed_now"


def test_the_third_time_the_street_meets_on_it() -> None:
    case, ways = answered(), []
    for _ in range(3):
        step = changed(done(case, "close"), "reopen")
        ways.append(step.transitions)
        case = resolved(done(step.case, "reply"))
    assert ways == [("reopened", "assigned")] * 2 + [("reopened", "street_meeting", "assigned")]
    assert (case.holder, case.reopened) == (STREET, 3)


def test_a_question_is_reopened_at_the_desk_that_answered_it() -> None:
    asked = done(opened(sure(QUESTION, COMMUNITY)), "reply", officer(COMMUNITY))
    closed = done(asked, "close")
    again = done(closed, command("reopen", reason="wrong_answer"), officer(COMMUNITY))
    assert again.is_open
    assert {"tier", "reply"} <= {clock.name for clock in again.clocks}


def test_what_was_not_taken_is_looked_at_again_by_the_desk() -> None:
    closed = done(opened(unclear()), "not_accept")
    again = done(closed, command("reopen", reason="wrong_answer"))
    assert (again.stage, again.not_accepted) == ("registered", None)
    assert {clock.name for clock in again.clocks} == {"dispatch", "reply", "final_reply"}


def test_an_order_of_before_says_nothing_of_what_was_reopened() -> None:
    case = opened(sure(WISH))
    late = order(case)
    again = done(done(resolved(done(case, "reply")), "close"), "reopen")
    assert refused(again, late) == "stale"


def test_its_time_in_each_tier_goes_on() -> None:
    closed = done(answered(), "close", now=NOON + HOUR)
    again = done(closed, "reopen", now=NOON + DAY)
    assert (again.tier, again.left) == (Tier.GRID, {})
    assert again.highest_tier is Tier.GRID


# ---------------------------------------------------------------- urged [F52]


def test_urging_is_counted_and_changes_nothing_else(policy: Policy) -> None:
    case = opened(sure(WISH))
    step = decide(case, Supplement(Order(1, 2), urges=True), ROUTER, policy, NOON)
    assert isinstance(step, Changed)
    assert (step.event, step.transitions) == ("supplemented", ("urged",))
    same = replace(case, heard=Order(1, 2), urged=1, version=2, seq=2)
    assert step.case == same


# ---------------------------------------------------------------- who sees a find [S7]


def test_the_street_sees_what_a_grid_finds_and_may_command_it_at_once() -> None:
    found = opened(sure(RUBBISH), contact=False)
    assert found.holder == GRID
    street = officer(STREET)
    assert {"reroute", "promote", "classify"} <= set(allowed_actions(found, street))
    taken = done(found, command("reroute", division=STREET, reason="competence"), street)
    assert taken.tier is Tier.STREET


def test_a_small_firms_legal_question_stands_in_the_queue_of_the_legal_service() -> None:
    case = opened(sure("C05", STREET))
    assert (case.track, case.holder, case.office) == ("consult", STREET, "legal-service")
    answered = done(case, command("answer", text="劳动合同可以这样改"), officer(STREET))
    assert answered.stage == "closed"


def test_it_is_never_taken_back_by_who_is_accused_meanwhile() -> None:
    case = done(opened(sure("P0202", STREET)), to(DISTRICT, "agreed"), officer(STREET))
    assert (case.holder, case.given_by) == (DISTRICT, STREET)
    accused = done(case, command("classify", category="P0202", accused=STREET), officer(DISTRICT))
    assert accused.accused_division == STREET
    asked = decided(accused, command("recall"), officer(CITY))
    assert isinstance(asked, Refused) or not asked.case.holder.startswith(STREET)
