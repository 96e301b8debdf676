"""What is armed and what is swept, as tables of examples."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

import services.router
from services.escalation.decisions import (
    MOST_REMINDERS,
    PATIENCE,
    Accused,
    Armed,
    Desk,
    Digest,
    OrderGiven,
    Reason,
    Swept,
    answered,
    arm,
    asked,
    commanded,
    counted_as,
    digests,
    may_note,
    next_at,
    noted_by,
    pause_after,
    raised,
    sweep,
    title,
)
from shared.divisions import Tier
from shared.events import CaseSnapshot, ClockSnapshot, derived_id, promise_of
from shared.identity import Actor
from tests.escalation.stories import (
    CASE,
    COMMUNITY,
    DISTRICT,
    GRID,
    HOUR,
    MINUTE,
    STREET,
    armed,
    at,
    case,
    clock,
    news,
    sign_clock,
    tier_clock,
)

DEFAULT_POLICY = Path(services.router.__file__).parent / "data" / "policy.yaml"


def told(swept: Swept) -> list[tuple[str, str, str]]:
    """(clock, reason, division) of the notices of a sweep."""
    return [(n.clock, n.reason, n.desk.division) for n in swept.notices]


def ordered(swept: Swept) -> list[tuple[str, int, str]]:
    """(clock, generation, action) of the orders of a sweep."""
    return [(o.clock, o.generation, o.action) for o in swept.orders]


def swept_at(state: Armed, *hours: float) -> list[Swept]:
    """One sweep after the other."""
    done = []
    for hour in hours:
        done.append(sweep(state, at(int(hour * HOUR))))
        state = done[-1].armed
    return done


# ---------------------------------------------------------------- warnings


def test_a_clock_warns_its_owner_at_each_mark_once() -> None:
    sweeps = swept_at(armed(clock()), 11.9, 12, 12, 18.9, 19, 23, 23.9)
    assert [told(one) for one in sweeps] == [
        [],
        [("reply", "warning", STREET)],
        [],
        [],
        [("reply", "warning", STREET)],
        [("reply", "warning", STREET)],
        [],
    ]


def test_a_warning_given_is_not_given_again_after_a_pause() -> None:
    (warned,) = swept_at(armed(clock()), 12)
    paused = arm(warned.armed, news(2, case(clock(generation=2, paused=True))))
    assert next_at(paused) is None
    assert told(sweep(paused, at(30 * HOUR))) == []
    moved = clock(generation=3, due=34 * HOUR, warn=(22 * HOUR, 29 * HOUR, 33 * HOUR))
    resumed = arm(paused, news(3, case(moved)))
    assert next_at(resumed) == at(29 * HOUR)


def test_a_warning_given_is_not_given_again_when_the_clock_comes_back_with_its_start() -> None:
    (warned,) = swept_at(armed(clock()), 19)
    stopped = arm(warned.armed, news(2, case()))
    assert next_at(stopped) is None
    assert next_at(arm(stopped, news(3, case(clock(generation=3))))) == at(23 * HOUR)
    afresh = clock(generation=3, started=HOUR, warn=(13 * HOUR,))
    assert next_at(arm(stopped, news(3, case(afresh)))) == at(13 * HOUR)


def test_marks_that_a_breach_passed_over_are_told_when_the_clock_is_due_later() -> None:
    (broken,) = swept_at(armed(clock()), 30)
    assert [reason for _, reason, _ in told(broken)] != ["warning"]
    later = clock(generation=2, due=48 * HOUR, warn=(24 * HOUR, 38 * HOUR, 46 * HOUR))
    again = arm(broken.armed, news(2, case(later)))
    sweeps = swept_at(again, 31, 38, 46)
    assert [told(one) for one in sweeps] == [[("reply", "warning", STREET)]] * 3


def test_after_downtime_only_the_latest_mark_is_told() -> None:
    (late,) = swept_at(armed(clock()), 19.5)
    assert told(late) == [("reply", "warning", STREET)]
    assert next_at(late.armed) == at(23 * HOUR)


# ---------------------------------------------------------------- breaches


@pytest.mark.parametrize(
    ("fields", "orders", "notices"),
    [
        pytest.param(
            {"on_breach": "promote"},
            [("reply", 1, "promote")],
            [("reply", "reminder", STREET), ("reply", "reminder", DISTRICT)],
            id="promote: the owner and the level above know of the order",
        ),
        pytest.param(
            {"on_breach": "supervise"},
            [("reply", 1, "supervise")],
            [("reply", "supervision", STREET), ("reply", "supervision", DISTRICT)],
            id="supervise: they too",
        ),
        pytest.param(
            {"on_breach": "remind"},
            [],
            [("reply", "reminder", STREET), ("reply", "reminder", DISTRICT)],
            id="remind: the owner and the level above",
        ),
        pytest.param(
            {"on_breach": "remind", "owner_division": "city", "owner_role": "hotline_agent"},
            [],
            [("reply", "reminder", "city"), ("reply", "reminder", "city")],
            id="in the city its dispatcher stands above the others",
        ),
        pytest.param(
            {"on_breach": "lapse"}, [], [("reply", "reminder", STREET)], id="lapse: its owner"
        ),
        pytest.param({"on_breach": "none"}, [], [], id="none"),
        pytest.param({"on_breach": "promote", "paused": True}, [], [], id="paused"),
        pytest.param({"on_breach": "supervise", "answered": True}, [], [], id="answered before"),
    ],
)
def test_a_breach_does_what_its_clock_says_and_does_it_once(
    fields: dict[str, object],
    orders: list[tuple[str, int, str]],
    notices: list[tuple[str, str, str]],
) -> None:
    first, second = swept_at(armed(clock(repeat=None, **fields)), 24, 25)
    assert (ordered(first), told(first)) == (orders, notices)
    assert (ordered(second), told(second), next_at(second.armed)) == ([], [], None)


def test_an_order_says_from_which_tier_and_why() -> None:
    (breach,) = swept_at(armed(tier_clock()), 6)
    assert {(n.about, n.due_at) for n in breach.notices} == {("promotion", at(5 * HOUR))}
    assert breach.orders == (
        OrderGiven(
            derived_id("order", CASE, "tier", 1, "promote"),
            CASE,
            "tier",
            1,
            "promote",
            Tier.GRID,
            at(5 * HOUR),
            at(6 * HOUR),
        ),
    )
    assert breach.late == (timedelta(hours=1),)
    assert breach.armed.said == 1


def test_a_case_climbs_by_generations_and_ends_in_supervision() -> None:
    state = armed(tier_clock())
    climbed = []
    ladder = [Tier.COMMUNITY, Tier.STREET, Tier.DISTRICT, None]
    for seq, tier in enumerate(ladder, start=2):
        due = (seq - 1) * 5 * HOUR
        swept = sweep(state, at(due))
        climbed += ordered(swept)
        on_breach = "supervise" if tier is Tier.DISTRICT else "promote"
        if tier is not None:
            following = tier_clock(seq, due + 5 * HOUR, on_breach=on_breach, started=due)
            state = arm(swept.armed, news(seq, case(following, tier=tier)))
    assert climbed == [
        ("tier", 1, "promote"),
        ("tier", 2, "promote"),
        ("tier", 3, "promote"),
        ("tier", 4, "supervise"),
    ]


def test_a_breach_is_repeated_to_the_owner_and_the_level_above_without_another_order() -> None:
    sweeps = swept_at(armed(clock()), 24, 47, 48, 72)
    assert [ordered(one) for one in sweeps] == [[("reply", 1, "supervise")], [], [], []]
    card = [("reply", "supervision", STREET), ("reply", "supervision", DISTRICT)]
    assert [told(one) for one in sweeps] == [card, [], card, card]


def test_a_supervised_clock_is_repeated_while_it_lasts() -> None:
    (breach,) = swept_at(armed(clock()), 24)
    marked = arm(breach.armed, news(2, case(clock(answered=True))))
    (repeat,) = swept_at(marked, 48)
    assert ordered(repeat) == []
    assert [reason for _, reason, _ in told(repeat)] == ["supervision", "supervision"]


def test_reminders_are_repeated_as_reminders() -> None:
    sweeps = swept_at(armed(sign_clock()), 0.4, 0.5, 1, 1.5)
    assert [told(one) for one in sweeps] == [
        [("sign", "warning", GRID)],
        [("sign", "reminder", GRID), ("sign", "reminder", COMMUNITY)],
        [],
        [("sign", "reminder", GRID), ("sign", "reminder", COMMUNITY)],
    ]


def test_reminders_end_in_cards_for_the_level_above_without_end() -> None:
    sweeps = swept_at(armed(sign_clock(warn=())), 0.5, 1.5, 2.5, 3.4, 3.5, 10.4, 10.5, 17.5, 1000)
    both = [("sign", "reminder", GRID), ("sign", "reminder", COMMUNITY)]
    card = [("sign", "supervision", COMMUNITY)]
    assert [told(one) for one in sweeps] == [both, both, both, [], card, [], card, card, card]
    assert next_at(sweeps[4].armed) == at(HOUR // 2 + (MOST_REMINDERS + PATIENCE) * HOUR)


def test_another_generation_is_reminded_of_from_the_first() -> None:
    *_, card = swept_at(armed(sign_clock(warn=())), 0.5, 1.5, 2.5, 3.5)
    again = arm(card.armed, news(2, case(sign_clock(generation=2, warn=(), due=5 * HOUR))))
    sweeps = swept_at(again, 5, 6, 7, 8, 9)
    reasons = [sorted({reason for _, reason, _ in told(one)}) for one in sweeps]
    assert reasons == [["reminder"]] * 3 + [["supervision"], []]


@pytest.mark.parametrize(
    ("one", "noted_at", "again", "then"),
    [
        pytest.param(sign_clock(warn=()), 1, 10.5, COMMUNITY, id="reminded: a card above"),
        pytest.param(sign_clock(warn=()), 20, 26.5, COMMUNITY, id="a card: the next card"),
        pytest.param(clock(warn=()), 25, 24 * 8, DISTRICT, id="supervised: again"),
        pytest.param(clock(warn=()), 24 * 9, 24 * 16, DISTRICT, id="supervised again: again"),
    ],
)
def test_who_takes_note_stops_the_chain_until_his_note_lapses(
    one: ClockSnapshot, noted_at: float, again: float, then: str
) -> None:
    *_, last = swept_at(armed(one), one.due / HOUR, noted_at)
    desk = Desk(DISTRICT, "district_dispatcher")
    digest = Digest(desk, one.name, "reminder", 1, at(one.due), (CASE,))
    when = at(int(noted_at * HOUR))
    quiet = noted_by(desk, digest, last.armed, when, when)
    early, later = swept_at(quiet, again - 0.1, again)
    assert told(early) == []
    assert (one.name, "supervision", then) in told(later)
    changed = one.model_copy(update={"generation": 2, "due": one.due + 1})
    anew = arm(quiet, news(2, case(changed)))
    assert next_at(anew) == at(one.due + 1), "another generation is told from the first"


@pytest.mark.parametrize(
    ("desk", "fields"),
    [
        pytest.param(Desk(GRID, "grid_head"), {"reason": "warning"}, id="only warned"),
        pytest.param(Desk(GRID, "grid_head"), {"clock": "verify"}, id="another promise"),
        pytest.param(Desk("210202", "district_dispatcher"), {}, id="not above the owner"),
        pytest.param(Desk(GRID, "department_officer", "lighting"), {}, id="another office"),
    ],
)
def test_whose_note_changes_nothing(desk: Desk, fields: dict[str, Any]) -> None:
    (late,) = swept_at(armed(sign_clock(warn=())), 1)
    digest = Digest(desk, "sign", "reminder", 1, at(30 * MINUTE), (CASE,))
    assert noted_by(desk, replace(digest, **fields), late.armed, at(HOUR), at(HOUR)) == late.armed
    own = Desk(GRID, "grid_head")
    assert noted_by(own, digest, late.armed, at(MINUTE), at(HOUR)) == late.armed, "posted before"
    assert noted_by(own, digest, late.armed, at(HOUR), at(HOUR)) != late.armed


def test_when_the_time_of_reminders_is_over_at_once_the_owner_gets_the_card_too() -> None:
    late, later = swept_at(armed(sign_clock()), 4, 100)
    assert told(late) == [("sign", "supervision", GRID), ("sign", "supervision", COMMUNITY)]
    assert told(later) == [("sign", "supervision", COMMUNITY)]


@pytest.mark.parametrize(
    ("role", "reminded", "card"),
    [
        ("hotline_agent", ["hotline_agent", "city_dispatcher"], ["city_dispatcher"]),
        ("city_dispatcher", ["city_dispatcher"], ["city_dispatcher"]),
    ],
)
def test_the_card_of_the_city_is_its_dispatchers(
    role: str, reminded: list[str], card: list[str]
) -> None:
    of_the_city = sign_clock(owner_division="city", owner_role=role, warn=())
    sweeps = swept_at(armed(of_the_city), 0.5, 1.5, 2.5, 3.5, 4.5)
    assert [[n.desk.role for n in one.notices] for one in sweeps] == [*[reminded] * 3, card, []]


def test_the_policy_of_the_city_asks_for_as_many_reminders_as_are_counted_to() -> None:
    text = DEFAULT_POLICY.read_text()
    assert yaml.safe_load(text)["reminders"]["at_most"] == MOST_REMINDERS


def test_after_downtime_a_breach_is_one_order_and_the_next_repeat_lies_in_the_future() -> None:
    (late,) = swept_at(armed(clock(), sign_clock(repeat=33 * HOUR)), 24 * 4 + 1)
    assert ordered(late) == [("reply", 1, "supervise")]
    assert told(late) == [
        ("reply", "supervision", STREET),
        ("reply", "supervision", DISTRICT),
        ("sign", "reminder", GRID),
        ("sign", "reminder", COMMUNITY),
    ]
    assert next_at(late.armed) == at((24 * 4 + 3) * HOUR + 30 * MINUTE)
    (later,) = swept_at(late.armed, 24 * 9)
    assert told(later) == [
        ("reply", "supervision", STREET),
        ("reply", "supervision", DISTRICT),
        ("sign", "supervision", COMMUNITY),
    ]


def test_another_generation_is_another_breach() -> None:
    (first,) = swept_at(armed(clock()), 24)
    passed_on = arm(first.armed, news(2, case(clock(generation=2, owner_division=DISTRICT))))
    (second,) = swept_at(passed_on, 25)
    assert ordered(second) == [("reply", 2, "supervise")]


def test_lateness_counts_from_when_the_breach_could_be_known() -> None:
    known_late = armed(clock())._replace(changed_at=at(30 * HOUR))
    assert sweep(known_late, at(31 * HOUR)).late == (timedelta(hours=1),)


@pytest.mark.parametrize("stage", ["closed", "handed_off"])
def test_a_closed_case_never_fires_again(stage: str) -> None:
    over = arm(armed(clock()), news(2, case(clock(), stage=stage)))
    assert (over.open, over.clocks, next_at(over), counted_as(over)) == (False, (), None, ())


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("snapshot", "is_answer"),
    [
        pytest.param(case(tier_clock(), clock("verify")), False, id="nothing about it"),
        pytest.param(case(tier_clock(2)), True, id="a greater generation"),
        pytest.param(case(clock()), True, id="no such clock"),
        pytest.param(case(tier_clock(answered=True)), True, id="marked answered"),
        pytest.param(case(tier_clock(), stage="closed"), True, id="closed"),
    ],
)
def test_what_answers_an_order(snapshot: CaseSnapshot, is_answer: bool) -> None:
    (breach,) = swept_at(armed(tier_clock()), 5)
    (order,) = breach.orders
    after = arm(breach.armed, news(2, snapshot))
    assert answered(breach.armed, after) == ([order.id] if is_answer else [])


def test_a_snapshot_before_any_breach_answers_nothing() -> None:
    assert answered(None, armed(tier_clock())) == []
    assert answered(armed(tier_clock()), armed()) == []


def test_an_order_is_said_again_after_1_2_4_to_60_minutes() -> None:
    pauses = [pause_after(n) / timedelta(minutes=1) for n in range(1, 10)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


# ---------------------------------------------------------------- who is told


@pytest.mark.parametrize(
    ("accused", "offices"),
    [
        pytest.param(None, [(GRID, "grid_head"), (COMMUNITY, "community_officer")], id="nobody"),
        pytest.param(
            GRID, [(COMMUNITY, "community_officer")], id="the owner: the level above, once"
        ),
        pytest.param(COMMUNITY, [(STREET, "street_dispatcher")], id="the level above too"),
        pytest.param(DISTRICT, [("city", "city_dispatcher")], id="the whole district"),
        pytest.param("city", [("city", "city_dispatcher")], id="the city is no unit"),
        pytest.param(
            "210202", [(GRID, "grid_head"), (COMMUNITY, "community_officer")], id="elsewhere"
        ),
    ],
)
def test_the_accused_and_all_below_never_hear_of_it(
    accused: str | None, offices: list[tuple[str, str]]
) -> None:
    state = armed(sign_clock(), restricted=True, accused_division=accused)
    assert [n.desk[:2] for n in sweep(state, at(HOUR)).notices] == offices


def test_a_digest_names_the_longest_overdue_twenty() -> None:
    notices = [
        sweep(armed(sign_clock(due=n * MINUTE, warn=())), at(HOUR)).notices[0]
        for n in range(30, 0, -1)
    ]
    numbered = [n._replace(case_id=UUID(int=i)) for i, n in enumerate(notices)]
    (digest,) = digests(numbered)
    assert (digest.desk, digest.clock, digest.reason) == (
        Desk(GRID, "grid_head"),
        "sign",
        "reminder",
    )
    assert (digest.count, digest.oldest_due_at) == (30, at(MINUTE))
    assert [case_id.int for case_id in digest.named] == list(range(29, 9, -1))
    assert [case_id.int for case_id in digest.cases] == list(range(29, -1, -1))


def test_who_knows_orders_and_tasks_not_reads_reasons_that_he_knows() -> None:
    (breach,) = swept_at(armed(tier_clock()), 5)
    asks = asked(None, armed(task("assist/1", OF_LIGHTING)))
    notices = [*breach.notices, *asks]
    assert {n.reason for n in notices} <= {"warning", "reminder", "supervision"}


def test_digests_are_apart_by_office_clock_and_reason() -> None:
    state = armed(sign_clock(), sign_clock(name="verify"), clock(warn=(HOUR,)))
    made = digests(sweep(state, at(HOUR)).notices)
    assert {(d.clock, d.reason, d.desk.division) for d in made} == {
        ("sign", "reminder", GRID),
        ("sign", "reminder", COMMUNITY),
        ("verify", "reminder", GRID),
        ("verify", "reminder", COMMUNITY),
        ("reply", "warning", STREET),
    }


# ---------------------------------------------------------------- offices

OF_LIGHTING = Desk(STREET, "department_officer", "lighting")
OF_DRAINAGE = Desk(STREET, "department_officer", "drainage")
OF_THE_STREET = Desk(STREET, "street_dispatcher")
OF_THE_DISTRICT = Desk(DISTRICT, "district_dispatcher")


def of_office(one: ClockSnapshot, office: str = "lighting") -> ClockSnapshot:
    """The same promise, of an office in the street."""
    return one.model_copy(
        update={
            "owner_division": STREET,
            "owner_role": "department_officer",
            "owner_office": office,
        }
    )


@pytest.mark.parametrize(
    ("said", "office"),
    [
        pytest.param({}, None, id="a division that is said"),
        pytest.param({"owner_division": None, "owner_role": None}, "lighting", id="unsaid"),
        pytest.param({"owner_office": "drainage"}, "drainage", id="an office that is said"),
    ],
)
def test_unsaid_the_owner_is_the_office_that_holds_the_case(
    said: dict[str, object], office: str | None
) -> None:
    held = {"holder": STREET, "role": "department_officer", "office": "lighting"}
    (kept,) = armed(clock(**said), **held).clocks
    assert kept.owner_office == office


def test_above_an_office_is_the_desk_of_the_division_that_it_serves() -> None:
    sweeps = swept_at(armed(of_office(sign_clock())), 0.4, 0.5, 1.5)
    assert [[n.desk for n in one.notices] for one in sweeps] == [
        [OF_LIGHTING],
        [OF_LIGHTING, OF_THE_STREET],
        [OF_LIGHTING, OF_THE_STREET],
    ]


def test_what_an_office_leaves_late_is_supervised_from_outside_the_division_too() -> None:
    sweeps = swept_at(armed(of_office(clock(answered=True))), 24, 48)
    assert [n.desk for n in sweeps[1].notices] == [OF_LIGHTING, OF_THE_STREET, OF_THE_DISTRICT]


def test_an_office_of_the_city_has_the_city_above_it_and_nobody_else() -> None:
    of_the_city = of_office(clock(answered=True)).model_copy(update={"owner_division": "city"})
    *_, last = swept_at(armed(of_the_city), 24, 48)
    assert [n.desk.subject for n in last.notices] == [
        "city/department_officer/lighting",
        "city/city_dispatcher",
    ]


@pytest.mark.parametrize(
    ("accused", "desks"),
    [
        pytest.param({"accused_office": "lighting"}, [OF_THE_STREET], id="the owner"),
        pytest.param(
            {"accused_office": "drainage"}, [OF_LIGHTING, OF_THE_STREET], id="another office"
        ),
        pytest.param({"accused_division": STREET}, [OF_THE_DISTRICT], id="the whole street"),
        pytest.param(
            {"accused_division": STREET, "accused_office": "lighting"},
            [OF_THE_DISTRICT],
            id="both",
        ),
    ],
)
def test_the_accused_office_never_hears_of_it(
    accused: dict[str, object], desks: list[Desk]
) -> None:
    state = armed(of_office(sign_clock()), restricted=True, **accused)
    assert [n.desk for n in sweep(state, at(HOUR)).notices] == desks


def test_each_office_has_a_digest_of_its_own() -> None:
    offices = ("lighting", "drainage", "lighting")
    notices = [
        notice
        for n, office in enumerate(offices)
        for notice in sweep(armed(of_office(sign_clock(), office)), at(HOUR)).notices
        for notice in [notice._replace(case_id=UUID(int=n))]
    ]
    assert [(d.desk, d.count) for d in digests(notices)] == [
        (OF_DRAINAGE, 1),
        (OF_LIGHTING, 2),
        (OF_THE_STREET, 3),
    ]


# ---------------------------------------------------------------- one level up

NOBODY = Accused(None, None)
FIRST = UUID(int=77)


def digest_for(desk: Desk, raised_from: UUID | None = None) -> Digest:
    """A digest of two cases about signing."""
    cases = (UUID(int=1), UUID(int=2))
    return Digest(desk, "sign", "reminder", 2, at(30 * MINUTE), cases, raised_from)


@pytest.mark.parametrize(
    ("desk", "above"),
    [
        pytest.param(Desk(GRID, "grid_head"), Desk(COMMUNITY, "community_officer"), id="grid"),
        pytest.param(Desk(STREET, "street_cadre"), OF_THE_DISTRICT, id="any desk of a street"),
        pytest.param(OF_LIGHTING, OF_THE_STREET, id="an office: the division it serves"),
        pytest.param(OF_THE_DISTRICT, Desk("city", "city_dispatcher"), id="district"),
        pytest.param(
            Desk("city", "department_officer", "lighting"),
            Desk("city", "city_dispatcher"),
            id="an office of the city",
        ),
        pytest.param(Desk("city", "city_dispatcher"), None, id="the city ends it"),
    ],
)
def test_a_notice_that_nobody_notes_is_told_to_the_desk_above(
    desk: Desk, above: Desk | None
) -> None:
    told = raised(FIRST, digest_for(desk), [NOBODY])
    assert told == (None if above is None else digest_for(above, raised_from=FIRST))


def test_a_notice_raised_twice_names_the_first_of_them() -> None:
    once = raised(FIRST, digest_for(Desk(GRID, "grid_head")), [])
    assert once is not None
    twice = raised(UUID(int=78), once, [])
    assert twice == digest_for(OF_THE_STREET, raised_from=FIRST)


@pytest.mark.parametrize(
    ("accused", "division"),
    [
        pytest.param([NOBODY], COMMUNITY, id="nobody"),
        pytest.param([NOBODY, Accused(COMMUNITY, None)], STREET, id="the desk above"),
        pytest.param([Accused(STREET, None), Accused(COMMUNITY, None)], DISTRICT, id="two of them"),
        pytest.param([Accused(COMMUNITY, None), Accused(STREET, None)], DISTRICT, id="either way"),
        pytest.param([Accused(DISTRICT, None)], "city", id="a whole district"),
        pytest.param([Accused(None, "lighting")], COMMUNITY, id="an office of no division"),
        pytest.param([Accused("210202", None)], COMMUNITY, id="elsewhere"),
    ],
)
def test_a_notice_rises_past_whoever_is_accused_by_now(
    accused: list[Accused], division: str
) -> None:
    told = raised(FIRST, digest_for(Desk(GRID, "grid_head")), accused)
    assert told is not None
    assert told.desk.division == division


@pytest.mark.parametrize(
    ("reason", "raised_from", "count", "zh", "en"),
    [
        ("warning", None, 1, "即将超时(sign,1 件)", "about to be late (sign, 1 case)"),
        ("reminder", None, 2, "已到期(sign,2 件)", "past its due time (sign, 2 cases)"),
        (
            "supervision",
            FIRST,
            2,
            "逾期无人查阅,督办:仍未办结(sign,2 件)",
            "nobody took note: supervised: still not done (sign, 2 cases)",
        ),
    ],
)
def test_a_notice_has_a_line_in_both_languages(
    reason: Reason, raised_from: UUID | None, count: int, zh: str, en: str
) -> None:
    digest = replace(digest_for(OF_LIGHTING, raised_from), reason=reason, count=count)
    assert title(digest) == {"zh": zh, "en": en}


# ---------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("clocks", "due"),
    [
        pytest.param((), None, id="no clock"),
        pytest.param((clock(), sign_clock()), 30 * MINUTE, id="the earliest"),
        pytest.param((clock(), sign_clock(paused=True)), 24 * HOUR, id="a paused one waits"),
        pytest.param(
            (clock(), sign_clock(on_breach="none")), 24 * HOUR, id="a right is no promise"
        ),
    ],
)
def test_a_case_counts_under_its_tier_and_its_earliest_promise(
    clocks: tuple[object, ...], due: int | None
) -> None:
    counted = counted_as(armed(*clocks))  # type: ignore[arg-type]
    minute = "" if due is None else f"{int(at(due).timestamp()) // 60:010d}/grid/service"
    assert counted == (("open", "grid"), ("due", minute))[: 1 if due is None else 2]


# ---------------------------------------------------------------- who is asked


def task(name: str, desk: Desk, **changes: object) -> ClockSnapshot:
    """The promise that a task is, in its state."""
    fields: dict[str, object] = {
        "owner_division": desk.division,
        "owner_role": desk.role,
        "owner_office": desk.office,
        "warn": (),
    }
    return clock(name, **(fields | changes))


TO_LIGHTING, TO_DRAINAGE = task("report_in/1", OF_LIGHTING), task("report_in/2", OF_DRAINAGE)


@pytest.mark.parametrize(
    ("before", "after", "told_of"),
    [
        pytest.param([], [clock()], [], id="no task"),
        pytest.param([], [TO_LIGHTING], [("report_in", OF_LIGHTING)], id="asked to report in"),
        pytest.param([TO_LIGHTING], [TO_LIGHTING], [], id="told already"),
        pytest.param(
            [TO_LIGHTING], [TO_LIGHTING, TO_DRAINAGE], [("report_in", OF_DRAINAGE)], id="one more"
        ),
        pytest.param(
            [TO_LIGHTING], [task("assist/1", OF_LIGHTING)], [], id="he goes on with what he took"
        ),
        pytest.param(
            [TO_LIGHTING],
            [task("objection/1", OF_THE_STREET)],
            [("objection", OF_THE_STREET)],
            id="he objects: the street decides",
        ),
        pytest.param(
            [task("objection/1", OF_THE_STREET)],
            [TO_LIGHTING],
            [("report_in", OF_LIGHTING)],
            id="overruled: asked again",
        ),
    ],
)
def test_who_has_something_to_do_about_a_task_is_told_when_it_becomes_his(
    before: list[ClockSnapshot], after: list[ClockSnapshot], told_of: list[tuple[str, Desk]]
) -> None:
    old = armed(*before)
    notices = asked(old, arm(old, news(2, case(*after))))
    assert [(n.clock, n.desk) for n in notices] == told_of
    assert {(n.reason, n.about) for n in notices} <= {("warning", "task")}
    assert [(n.clock, n.desk) for n in asked(None, armed(*before))] == [
        (
            promise_of(one.name),
            Desk(one.owner_division or "", one.owner_role or "", one.owner_office),
        )
        for one in before
    ]


def test_the_accused_is_asked_for_nothing() -> None:
    notices = asked(None, armed(TO_LIGHTING, restricted=True, accused_office="lighting"))
    assert [n.desk for n in notices] == [OF_THE_STREET]


def test_after_a_whistle_the_street_is_told_that_it_commands_by_its_first_promise() -> None:
    held = {"holder": STREET, "role": "street_dispatcher", "tier": Tier.STREET}
    own: dict[str, Any] = {"owner_division": None, "owner_role": None}
    of_the_street = [tier_clock(**own, due=9 * HOUR), sign_clock(**own), clock(due=MINUTE)]
    (notice,) = commanded(armed(*of_the_street, **held))
    assert (notice.desk, notice.clock, notice.about) == (OF_THE_STREET, "sign", "whistle")
    assert notice.due_at == at(30 * MINUTE)


# ---------------------------------------------------------------- who takes note

OF_THE_CADRE = Desk(STREET, "street_cadre")


@pytest.mark.parametrize(
    ("desk", "division", "roles", "office", "noted_as"),
    [
        pytest.param(OF_THE_CADRE, STREET, ["street_cadre"], None, "street_cadre", id="told"),
        pytest.param(
            OF_THE_CADRE, STREET, ["street_dispatcher"], None, "street_dispatcher", id="its desk"
        ),
        pytest.param(
            OF_THE_CADRE, DISTRICT, ["district_dispatcher"], None, "district_dispatcher", id="above"
        ),
        pytest.param(OF_THE_CADRE, "city", ["city_dispatcher"], None, "city_dispatcher", id="city"),
        pytest.param(OF_THE_CADRE, STREET, ["auditor"], None, None, id="an auditor"),
        pytest.param(OF_THE_CADRE, DISTRICT, ["street_cadre"], None, None, id="of nowhere"),
        pytest.param(OF_THE_CADRE, DISTRICT, ["street_dispatcher"], None, None, id="not its own"),
        pytest.param(OF_THE_CADRE, COMMUNITY, ["community_officer"], None, None, id="below"),
        pytest.param(OF_THE_CADRE, "210202", ["district_dispatcher"], None, None, id="elsewhere"),
        pytest.param(OF_THE_CADRE, STREET, ["street_cadre"], "lighting", None, id="an office"),
        pytest.param(
            OF_LIGHTING, STREET, ["department_officer"], "lighting", "department_officer",
            id="the office",
        ),
        pytest.param(
            OF_LIGHTING, DISTRICT, ["department_officer"], "lighting", "department_officer",
            id="the office, whose district is larger",
        ),
        pytest.param(OF_LIGHTING, STREET, ["department_officer"], "drainage", None, id="another"),
        pytest.param(OF_LIGHTING, STREET, ["department_officer"], None, None, id="of no office"),
        pytest.param(
            OF_LIGHTING, STREET, ["street_dispatcher"], None, "street_dispatcher",
            id="who commands the office",
        ),
        pytest.param(
            Desk(GRID, "grid_team"), GRID, ["grid_worker", "auditor"], None, "grid_worker",
            id="one of the team",
        ),
    ],
)  # fmt: skip
def test_who_may_take_note_of_what_a_desk_is_told(
    desk: Desk, division: str, roles: list[str], office: str | None, noted_as: str | None
) -> None:
    assert may_note(Actor("somebody", frozenset(roles), division, office), desk) == noted_as
