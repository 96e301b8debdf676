"""Which promises run, whose they are and until when: a row of the policy each, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.router.decisions import clocks
from services.router.decisions.case import Case, Clock, duties
from services.router.decisions.policy import Policy
from services.router.decisions.routing import Facts
from shared.divisions import CITY, Tier
from shared.events import Candidate
from tests.router.stories import (
    BUS,
    COMMUNITY,
    DISPUTE,
    DISTRICT,
    FIRE,
    GRID,
    HOUR,
    LAMP,
    LOCAL,
    MANHOLE,
    MINUTE,
    NEXT_COMMUNITY,
    NEXT_GRID,
    NOON,
    QUESTION,
    RUBBISH,
    STREET,
    WISH,
    at,
    cadre,
    climbed,
    command,
    done,
    officer,
    opened,
    order,
    resolved,
    sure,
    unclear,
)

DAY = 24 * HOUR
U2_AT_A_GRID, U4_AT_A_STREET, U1_AT_A_DISTRICT = "E0115", "E0101", "E0401"


def running(case: Case) -> set[str]:
    return {clock.name for clock in case.clocks}


def the(case: Case, name: str) -> Clock:
    clock = case.clock(name)
    assert clock is not None, running(case)
    return clock


def local(moment: datetime) -> str:
    return moment.astimezone(LOCAL).strftime("%m-%d %H:%M")


# ---------------------------------------------------------------- which, whose, until when


@pytest.mark.parametrize(
    ("name", "owner", "due", "on_breach", "repeat", "warns"),
    [
        pytest.param("sign", (GRID, "grid_head"), 30 * MINUTE, "remind", HOUR, [24], id="sign"),
        pytest.param("verify", (GRID, "grid_team"), HOUR, "remind", HOUR, [48], id="verify"),
        pytest.param("reply", (STREET, "street_cadre"), DAY, "supervise", DAY,
                     [720, 1152, 1368], id="reply"),
        pytest.param("tier", (GRID, "grid_head"), 5.5 * HOUR, "promote", DAY,
                     [165, 264, 313.5], id="tier"),
        pytest.param("final_reply", (GRID, "grid_head"), 168 * HOUR, "supervise", DAY,
                     [5040, 8064, 9576], id="final_reply"),
    ],
)  # fmt: skip
def test_a_matter_of_the_grid_starts_five_promises_from_its_receipt(
    name: str,
    owner: tuple[str, str],
    due: timedelta,
    on_breach: str,
    repeat: timedelta,
    warns: list[float],
) -> None:
    case = opened(sure(RUBBISH))
    assert len(case.clocks) == 5
    clock = the(case, name)
    assert (clock.owner_division, clock.owner_role) == owner
    assert (clock.generation, clock.started_at, clock.answered) == (1, NOON, False)
    assert clock.due_at - NOON == due
    assert (clock.on_breach, clock.repeat) == (on_breach, repeat)
    assert [(mark - NOON) / MINUTE for mark in clock.warn_at] == warns


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        pytest.param(sure(RUBBISH, GRID), "sign verify reply tier final_reply", id="on foot"),
        pytest.param(sure(LAMP, COMMUNITY), "sign verify reply tier final_reply",
                     id="a community can be walked to"),
        pytest.param(sure(LAMP, STREET), "sign reply tier final_reply", id="a street cannot"),
        pytest.param(sure(QUESTION), "reply tier final_reply", id="a question is not signed for"),
        pytest.param(sure(FIRE), "handover", id="an emergency is only handed over"),
        pytest.param(sure(DISPUTE), "dispatch reply", id="a dispute waits for its own table"),
        pytest.param(sure("R05"), "dispatch reply", id="a statutory petition too"),
        pytest.param(sure("W02"), "dispatch reply", id="a project too"),
        pytest.param(unclear(), "dispatch reply final_reply", id="unclear"),
        pytest.param(unclear(CITY), "dispatch reply final_reply", id="unclear and nowhere"),
        pytest.param(replace(sure(RUBBISH), accused=GRID), "sign reply tier final_reply",
                     id="the accused is not sent to look"),
        pytest.param(replace(sure(RUBBISH), accused=STREET), "sign reply tier final_reply",
                     id="nor what lies below it"),
        pytest.param(replace(sure(RUBBISH), accused=NEXT_GRID),
                     "sign verify reply tier final_reply", id="its neighbour may"),
    ],
)  # fmt: skip
def test_a_case_has_the_clocks_of_its_track_and_place(facts: Facts, names: str) -> None:
    assert running(opened(facts)) == set(names.split())


@pytest.mark.parametrize(
    ("facts", "owner"),
    [
        pytest.param(sure(RUBBISH), STREET, id="the street the place lies in"),
        pytest.param(sure(BUS), STREET, id="also when the district holds it"),
        pytest.param(replace(sure(RUBBISH), accused=GRID), STREET, id="above the accused"),
    ],
)
def test_the_reply_is_owed_by_the_cadre_of_the_street(facts: Facts, owner: str) -> None:
    clock = the(opened(facts), "reply")
    assert (clock.owner_division, clock.owner_role) == (owner, "street_cadre")


@pytest.mark.parametrize(
    ("facts", "owner"),
    [
        pytest.param(
            sure(BUS, DISTRICT),
            (DISTRICT, "department_officer", "transport"),
            id="no street is known: the office that has it",
        ),
        pytest.param(
            unclear(CITY), (CITY, "city_dispatcher", None), id="nothing is known: the desk"
        ),
        pytest.param(
            replace(sure(RUBBISH), accused=STREET),
            (DISTRICT, "department_officer", "sanitation"),
            id="never the accused",
        ),
        pytest.param(
            replace(sure(RUBBISH), accused=DISTRICT),
            (CITY, "city_dispatcher", None),
            id="nor below the accused",
        ),
    ],
)
def test_where_no_street_may_answer_the_reply_is_owed_by_whoever_has_the_case(
    facts: Facts, owner: tuple[str, str, str | None]
) -> None:
    clock = the(opened(facts), "reply")
    assert (clock.owner_division, clock.owner_role, clock.owner_office) == owner


def test_clocks_that_others_own_are_duties_in_their_queues() -> None:
    case = opened(sure(BUS))
    assert {(duty.division, duty.role, duty.clock) for duty in duties(case)} == {
        (GRID, "grid_team", "verify"),
        (STREET, "street_cadre", "reply"),
    }


# ---------------------------------------------------------------- duty hours


@pytest.mark.parametrize(
    ("category", "place", "received", "sign", "verify"),
    [
        pytest.param(RUBBISH, GRID, "2024-05-20 10:00", "05-20 10:30", "05-20 11:00", id="by day"),
        pytest.param(RUBBISH, GRID, "2024-05-20 20:50", "05-20 21:20", "05-20 21:50",
                     id="what begins in time may end after it"),
        pytest.param(RUBBISH, GRID, "2024-05-20 21:00", "05-21 07:30", "05-21 08:00",
                     id="at night it waits for the grid's morning"),
        pytest.param(RUBBISH, GRID, "2024-05-21 02:00", "05-21 07:30", "05-21 08:00",
                     id="also after midnight"),
        pytest.param(RUBBISH, GRID, "2024-05-25 12:00", "05-25 12:30", "05-25 13:00",
                     id="a grid works on Saturdays"),
        pytest.param(LAMP, GRID, "2024-05-20 12:30", "05-20 14:00", "05-20 13:30",
                     id="an office rests at noon, the grid team does not"),
        pytest.param(LAMP, GRID, "2024-05-24 20:00", "05-27 09:00", "05-24 21:00",
                     id="an office rests at the weekend"),
        pytest.param(LAMP, GRID, "2024-05-24 22:00", "05-27 09:00", "05-25 08:00",
                     id="each waits for its own opening"),
        pytest.param(U4_AT_A_STREET, GRID, "2024-05-20 22:00", "05-21 09:00", "05-21 08:00",
                     id="U4 waits too"),
        pytest.param(U2_AT_A_GRID, GRID, "2024-05-20 22:00", "05-20 22:30", "05-20 23:00",
                     id="U2 does not wait"),
        pytest.param(MANHOLE, GRID, "2024-05-20 22:00", "05-20 22:10", "05-20 23:00",
                     id="U1 even less"),
        pytest.param(LAMP, GRID, "2024-10-01 10:00", "10-08 09:00", "10-01 11:00",
                     id="over the National Day holiday"),
        pytest.param(LAMP, GRID, "2024-09-29 10:00", "09-29 10:30", "09-29 11:00",
                     id="on a Sunday made a workday"),
    ],
)  # fmt: skip
def test_signing_and_verifying_wait_for_the_day_only_where_it_is_not_urgent(
    category: str, place: str, received: str, sign: str, verify: str
) -> None:
    case = opened(sure(category, place), at(received))
    assert local(the(case, "sign").due_at) == sign
    assert local(the(case, "verify").due_at) == verify


@pytest.mark.parametrize("received", ["2024-05-20 10:00", "2024-05-20 23:00", "2024-10-01 03:00"])
def test_reply_and_final_reply_run_through_nights_and_holidays(received: str) -> None:
    case = opened(sure(RUBBISH), at(received))
    assert the(case, "reply").due_at == at(received) + DAY
    assert the(case, "final_reply").due_at == at(received) + 168 * HOUR


# ---------------------------------------------------------------- the tier's budget


@pytest.mark.parametrize(
    ("category", "hours"),
    [
        pytest.param(WISH, [33.6, 42, 50.4, 42], id="U3 from the grid: 20 25 30 25 percent"),
        pytest.param("L99", [75.6, 50.4, 42], id="from the community: the grid's share too"),
        pytest.param("L06", [126, 42], id="from the street: three shares"),
        pytest.param(BUS, [168], id="from the district: the whole"),
        pytest.param("S02", [10.8, 7.2, 6], id="U2"),
        pytest.param(MANHOLE, [1.5, 0.5], id="U1"),
        pytest.param("L13", [360], id="U4"),
        pytest.param(U2_AT_A_GRID, [2, 3 + 23 / 60, 7.2, 6], id="U2, or two working hours"),
    ],
)
def test_each_tier_has_its_share_of_the_final_reply_or_the_items_own_limit(
    category: str, hours: list[float]
) -> None:
    case, now, given = opened(sure(category)), NOON, []
    while True:
        clock = the(case, "tier")
        assert clock.started_at == now
        given.append((clock.due_at - now) / HOUR)
        if clock.on_breach == "supervise":
            break
        now = clock.due_at + 7 * MINUTE
        case = done(case, order(case), now=now)
    assert given == pytest.approx(hours)


def test_the_items_own_limit_is_counted_in_its_own_units() -> None:
    case = opened(sure(RUBBISH), at("2024-05-20 16:30"))  # 4wh: an hour today, three tomorrow
    assert local(the(case, "tier").due_at) == "05-21 11:30"
    case = opened(sure("G05"), at("2024-05-20 10:00"))  # 15d, but the share is 15 times 24 h
    assert the(case, "tier").due_at == NOON + 360 * HOUR


def test_waiting_at_a_desk_costs_a_case_nothing_of_its_budget() -> None:
    case = opened(unclear(GRID))
    assert case.tier is Tier.GRID
    now = NOON + 3 * MINUTE
    case = done(case, command("classify", category="L06"), now=now)
    assert (case.tier, case.lowest_tier) == (Tier.STREET, Tier.STREET)
    assert the(case, "tier").due_at == now + 126 * HOUR


def test_the_top_is_supervised_more_often_when_it_is_urgent() -> None:
    slow, urgent = opened(sure(BUS)), opened(sure(U1_AT_A_DISTRICT))
    assert (the(slow, "tier").on_breach, the(slow, "tier").repeat) == ("supervise", DAY)
    assert (the(urgent, "tier").on_breach, the(urgent, "tier").repeat) == ("supervise", HOUR)
    below = opened(sure(MANHOLE))
    assert (the(below, "tier").on_breach, the(below, "tier").repeat) == ("promote", HOUR)


# ---------------------------------------------------------------- late classification


def test_classifying_counts_from_receipt_and_what_is_past_is_due_after_the_grace() -> None:
    now = NOON + 2 * HOUR
    case = done(opened(unclear(GRID)), command("classify", category=RUBBISH), now=now)
    verify, tier = the(case, "verify"), the(case, "tier")
    assert (verify.started_at, verify.due_at) == (NOON, now + 10 * MINUTE)
    assert tier.started_at == now
    assert the(case, "final_reply").due_at == NOON + 168 * HOUR
    assert the(case, "reply").due_at == NOON + DAY


def test_a_matter_that_turns_out_urgent_too_late_is_due_after_the_grace() -> None:
    now = NOON + 3 * HOUR
    waiting = opened(unclear(GRID))
    case = done(waiting, command("classify", category=MANHOLE), now=now)
    assert the(case, "final_reply").due_at == now + 10 * MINUTE
    assert the(case, "final_reply").generation > the(waiting, "final_reply").generation


def test_a_grace_is_given_once() -> None:
    late = NOON + 3 * HOUR
    case = done(opened(unclear(COMMUNITY)), command("classify", category=MANHOLE), now=late)
    case = done(case, command("return", reason="wrong_category"), now=late + MINUTE)
    again = command("reroute", division=DISTRICT, reason="competence")
    later = done(case, again, now=late + 5 * MINUTE)
    assert the(later, "final_reply").due_at == late + 10 * MINUTE
    much_later = done(case, again, now=late + HOUR)
    assert the(much_later, "final_reply").due_at == late + 10 * MINUTE


def test_the_final_reply_never_starts_afresh() -> None:
    case = opened(sure(WISH))
    first = the(case, "final_reply")
    for now, step in enumerate(
        [
            command("reroute", division=NEXT_GRID, reason="workload"),
            "return",
            command("reroute", division=NEXT_COMMUNITY, reason="agreed"),
            "sign",
            "promote",
            command("reroute", division=DISTRICT, reason="competence"),
        ]
    ):
        case = done(case, step, now=NOON + now * DAY)  # past its reply, then near its final reply
        clock = the(case, "final_reply")
        assert (clock.started_at, clock.due_at) == (first.started_at, first.due_at)
        assert clock.owner_division == case.holder


@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
def test_a_promise_that_was_kept_is_not_made_again(late: bool) -> None:
    now = NOON + (2 * DAY if late else 5 * MINUTE)
    case = done(opened(sure(RUBBISH)), "verify", officer(GRID), now)
    case = done(case, "reply", cadre(), now)
    case = done(done(case, "return", now=now), "reroute", officer(COMMUNITY), now)
    case = done(done(case, "return", now=now), command("place", division=NEXT_GRID), now=now)
    assert not running(case) & {"verify", "reply"}
    assert (case.on_time["verify"], case.on_time["reply"]) == (not late, not late)


# ---------------------------------------------------------------- generations


def test_every_start_stop_and_change_of_owner_raises_the_generation() -> None:
    case = opened(sure(WISH))
    assert case.generations == {"sign": 1, "verify": 1, "reply": 1, "tier": 1, "final_reply": 1}
    steps: list[tuple[object, dict[str, int]]] = [
        ("sign", {"sign": 2, "object": 1}),
        ("promote", {"sign": 3, "tier": 3, "final_reply": 2, "object": 2}),
        ("sign", {"sign": 4, "object": 3}),
        (
            command("reroute", division=NEXT_COMMUNITY, reason="workload"),
            {"sign": 5, "tier": 4, "final_reply": 3, "object": 4},
        ),
        ("return", {"sign": 6, "tier": 5, "final_reply": 4, "verify": 2, "dispatch": 1}),
        (
            command("reroute", division=COMMUNITY, reason="agreed"),
            {"sign": 7, "tier": 6, "final_reply": 5, "verify": 3, "dispatch": 2},
        ),
        ("reply", {"reply": 2}),
        ("resolve", {"sign": 8, "tier": 7, "final_reply": 6, "verify": 4, "callback": 1}),
        ("close", {"callback": 2}),
    ]
    for step, raised in steps:
        before = dict(case.generations)
        case = done(case, step)  # type: ignore[arg-type]
        assert case.generations == before | raised
        assert all(c.generation == case.generations[c.name] for c in case.clocks)


def test_a_new_owner_gets_the_promise_as_it_stands_unanswered() -> None:
    case = opened(sure(WISH))
    case = done(case, order(case, "final_reply"))
    answered = the(case, "final_reply")
    assert answered.answered
    case = done(case, order(case))
    after = the(case, "final_reply")
    assert after == replace(
        answered,
        generation=answered.generation + 1,
        owner_division=COMMUNITY,
        owner_role="community_officer",
        answered=False,
    )


def test_who_stays_the_owner_keeps_the_generation() -> None:
    case = opened(sure(WISH))
    up = climbed(case, Tier.STREET)
    for name in ("reply", "verify"):
        assert the(up, name) == the(case, name)


def test_keeping_and_dropping_a_clock_that_does_not_run_changes_nothing(policy: Policy) -> None:
    case = opened(sure(WISH))
    assert clocks.keep(case, ("callback",), NOON) == case
    assert clocks.drop(case, ("callback",), NOON) is case
    assert clocks.reassign(case, policy) == case


# ---------------------------------------------------------------- on time


@pytest.mark.parametrize(
    ("after", "sign", "verify"),
    [
        pytest.param(30 * MINUTE, True, True, id="at the last moment"),
        pytest.param(30 * MINUTE + timedelta(microseconds=1), False, True, id="just too late"),
        pytest.param(61 * MINUTE, False, False, id="both late"),
    ],
)
def test_each_promise_is_kept_in_time_or_late_by_its_own_due_time(
    after: timedelta, sign: bool, verify: bool
) -> None:
    now = NOON + after
    case = done(done(opened(sure(RUBBISH)), "sign", now=now), "verify", officer(GRID), now)
    assert case.on_time == {"sign": sign, "verify": verify}


def test_resolving_settles_tier_and_final_reply_and_a_visit_that_was_due() -> None:
    case = resolved(opened(sure(RUBBISH)), NOON + 6 * HOUR)
    assert case.on_time == {"sign": False, "verify": False, "tier": False, "final_reply": True}
    assert running(case) == {"reply", "callback"}
    callback = the(case, "callback")
    assert (callback.owner_division, callback.owner_role) == (CITY, "hotline_agent")
    assert callback.due_at == NOON + 54 * HOUR


def test_a_promise_that_was_dropped_before_it_was_due_is_neither_kept_nor_broken() -> None:
    case = done(done(opened(sure(RUBBISH)), "promote"), "return")
    assert case.on_time == {}
    assert running(case) == {"dispatch", "reply", "final_reply"}


def test_a_tier_that_ran_out_of_time_was_not_on_time_however_soon_the_next_one_is_done() -> None:
    case = opened(sure(WISH))
    late = the(case, "tier").due_at + MINUTE
    case = done(case, order(case), now=late)
    assert case.on_time == {"sign": False, "tier": False}
    case = resolved(case, late + MINUTE)
    assert (case.on_time["tier"], case.on_time["sign"]) == (False, False)
    assert case.on_time["final_reply"]


@pytest.mark.parametrize("step", ["promote", "return", "reroute"])
def test_who_lets_a_promise_run_out_and_passes_the_case_on_has_not_kept_it(step: str) -> None:
    case = done(opened(sure(WISH)), step, now=NOON + 31 * MINUTE)
    assert case.on_time == {"sign": False}
    soon = done(opened(sure(WISH)), step, now=NOON + 30 * MINUTE)
    assert soon.on_time == {}


def test_a_missed_desk_stays_missed_when_the_next_one_is_in_time() -> None:
    case = done(
        opened(unclear(STREET)), command("place", division=COMMUNITY), now=NOON + 6 * MINUTE
    )
    assert case.on_time == {"dispatch": False}
    case = done(case, "classify", now=NOON + 7 * MINUTE)
    assert case.on_time["dispatch"] is False


def test_a_visit_that_is_overdue_is_owed_until_somebody_was_there() -> None:
    late = NOON + 2 * HOUR
    case = done(done(opened(sure(RUBBISH)), "return", now=late), "reroute", now=late)
    assert case.on_time["verify"] is False
    assert the(case, "verify").due_at == late + 10 * MINUTE
    case = done(case, "verify", officer(GRID), late + MINUTE)
    assert case.on_time["verify"] is False
    assert "verify" not in running(case)


@pytest.mark.parametrize(
    ("minutes", "in_time"), [pytest.param(5, True, id="in time"), pytest.param(6, False, id="late")]
)
@pytest.mark.parametrize("how", ["classify", "reroute"])
def test_a_dispatcher_keeps_his_promise_by_giving_the_case_to_somebody(
    how: str, minutes: int, in_time: bool
) -> None:
    now = NOON + minutes * MINUTE
    if how == "classify":
        case = done(opened(unclear()), "classify", now=now)
    else:
        case = done(opened(sure(RUBBISH, STREET)), "reroute", now=now)
    assert case.on_time == {"dispatch": in_time}
    assert "dispatch" not in running(case)


# ---------------------------------------------------------------- waiting


def test_saying_more_of_a_case_that_waits_on_gives_no_new_time_to_dispatch_it() -> None:
    case = opened(unclear(STREET))
    again = done(case, command("place", division=STREET), now=NOON + 4 * MINUTE)
    assert the(again, "dispatch") == the(case, "dispatch")
    lower = done(case, command("place", division=COMMUNITY), now=NOON + 4 * MINUTE)
    assert the(lower, "dispatch").started_at == NOON + 4 * MINUTE
    assert the(lower, "dispatch").owner_division == COMMUNITY


def test_all_promises_follow_a_case_that_is_placed_or_classified() -> None:
    case = opened(unclear(CITY))
    assert {clock.owner_division for clock in case.clocks} == {CITY}
    case = done(case, command("place", division=GRID))
    assert {c.name: c.owner_division for c in case.clocks} == {
        "dispatch": GRID,
        "reply": STREET,
        "final_reply": GRID,
    }
    case = done(case, command("classify", category=LAMP))
    assert the(case, "final_reply").owner_division == STREET


def test_a_danger_or_a_suspected_emergency_has_two_hours() -> None:
    danger = opened(replace(unclear(), signs=("danger",)))
    suspected = opened(replace(unclear(), candidates=(Candidate(code=FIRE, score=0.3),)))
    for case in (danger, suspected):
        assert case.urgency == "U1"
        assert the(case, "final_reply").due_at == NOON + 2 * HOUR


def test_a_hand_over_has_five_minutes_or_a_working_day_on_a_legal_route() -> None:
    assert the(opened(sure(FIRE)), "handover").due_at == NOON + 5 * MINUTE
    legal = opened(Facts(division=GRID, category="R03", basis="given"), at("2024-05-24 20:00"))
    assert local(the(legal, "handover").due_at) == "05-27 17:30"


def test_a_promise_beyond_the_published_calendar_is_marked_provisional() -> None:
    assert "/" not in opened(sure(RUBBISH)).calendar
    assert opened(sure(RUBBISH), at("2027-03-01 10:00")).calendar.endswith("/provisional")
