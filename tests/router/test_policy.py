"""The policy: the shipped files are accepted, and every way to break the law is refused by line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path

import orjson
import pytest

from services.router.decisions.policy import (
    Part,
    Policy,
    PolicyRefused,
    Problem,
    parse_policy,
    read_part,
)
from shared.business_time import DutyHours
from shared.divisions import Tier
from shared.durations import Limit, Unit, parse_limit
from shared.events import PolicyPartKind

DATA = Path(__file__).parents[2] / "services/router/data"
FILES: Mapping[PolicyPartKind, str] = {
    "settings": "policy.yaml",
    "divisions": "divisions.csv",
    "categories": "categories.csv",
    "calendar": "calendar.csv",
    "places": "places.csv",
    "vocabulary": "vocabulary.csv",
    "offices": "offices.csv",
    "duties": "duties.csv",
    "classes": "classes.csv",
    "model": "model.csv",
}
NEEDED: tuple[PolicyPartKind, ...] = (
    "settings", "divisions", "categories", "calendar", "offices", "duties",
)  # fmt: skip
SETTINGS = (DATA / "policy.yaml").read_text()


@cache
def shipped(kind: PolicyPartKind) -> Part:
    return read_part(kind, (DATA / FILES[kind]).read_text(), FILES[kind])


def parts(**texts: str) -> dict[PolicyPartKind, Part]:
    """The needed shipped files, with some of them in other words."""
    return {
        kind: read_part(kind, texts[kind], FILES[kind]) if kind in texts else shipped(kind)
        for kind in NEEDED
    }


def refused(given: Mapping[PolicyPartKind, Part], years: tuple[int, ...] = ()) -> list[Problem]:
    with pytest.raises(PolicyRefused) as refusal:
        parse_policy(1, given, years=years)
    return list(refusal.value.problems)


def with_setting(old: str, new: str) -> tuple[str, int]:
    """The policy file with one piece of text changed, and the line it stands in."""
    assert SETTINGS.count(old) == 1, old
    return SETTINGS.replace(old, new), SETTINGS[: SETTINGS.index(old)].count("\n") + 1


@pytest.fixture(scope="module")
def policy() -> Policy:
    return parse_policy(7, parts())


def test_an_older_version_gets_the_clocks_that_it_does_not_name() -> None:
    older = "\n".join(line for line in SETTINGS.splitlines() if "when: task," not in line)
    policy = parse_policy(7, parts(settings=older))
    assert policy.clocks == parse_policy(7, parts()).clocks


def test_the_shipped_policy_is_accepted() -> None:
    policy = parse_policy(7, {kind: shipped(kind) for kind in FILES}, years=(2024, 2027))
    assert policy.version == 7
    assert len(policy.categories) == 127
    assert {len(code) for code in policy.divisions} == {6, 9, 12, 15}


def test_rows_that_travelled_as_json_give_the_same_policy(policy: Policy) -> None:
    travelled = {kind: Part(f"policy 7, {kind}", part.rows) for kind, part in parts().items()}
    again = parse_policy(7, travelled)
    assert again.settings == policy.settings
    assert again.clocks == policy.clocks
    assert again.categories == policy.categories
    assert again.divisions == policy.divisions
    assert again.calendar == policy.calendar


@pytest.mark.parametrize("kind", FILES)
def test_rows_are_plain_json(kind: PolicyPartKind) -> None:
    rows = shipped(kind).rows
    assert orjson.loads(orjson.dumps(rows)) == [dict(row) for row in rows]


def test_every_street_of_2019_has_communities_and_every_community_has_grids(
    policy: Policy,
) -> None:
    codes = set(policy.divisions)
    for code in codes:
        if len(code) < 15:
            assert [c for c in codes if c[: len(code)] == code and len(c) == len(code) + 3], code
    assert policy.divisions["210212001"].name == "登峰街道"
    assert sum(len(code) == 9 and code.startswith("210204") for code in codes) == 9


# ---------------------------------------------------------------- what the values mean


def test_clock_limits_differ_by_urgency_and_route_as_the_file_says(policy: Policy) -> None:
    clocks = policy.clocks
    assert str(clocks["sign"].limit_for("U1")) == "10min"
    assert str(clocks["sign"].limit_for("U3")) == "30min"
    assert str(clocks["handover"].limit_for("U1")) == "5min"
    assert str(clocks["handover"].limit_for("U3", legal_route=True)) == "1wd"
    assert [str(clocks["final_reply"].limit_for(u)) for u in ("U1", "U2", "U3", "U4")] == [
        "2h",
        "24h",
        "168h",
        "360h",
    ]
    assert clocks["tier"].limit_for("U3") is None
    assert str(clocks["decide"].limit_for("U4")) == "60d"
    assert str(clocks["report_in"].limit_for("U2")) == "30min"


def test_a_breach_is_repeated_sooner_when_it_is_urgent(policy: Policy) -> None:
    tier = policy.clocks["tier"]
    assert tier.repeat_for("U1") == timedelta(hours=1)
    assert tier.repeat_for("U2") == timedelta(hours=24)
    assert policy.clocks["object"].repeat_for("U1") is None


def test_a_case_that_starts_higher_keeps_the_lower_shares(policy: Policy) -> None:
    def shares(first: Tier) -> list[int]:
        ladder = list(Tier)
        return [policy.tier_percent(tier, first) for tier in ladder[ladder.index(first) :]]

    assert shares(Tier.GRID) == [20, 25, 30, 25]
    assert shares(Tier.STREET) == [75, 25]
    assert shares(Tier.DISTRICT) == [100]


def test_a_short_clock_warns_once(policy: Policy) -> None:
    assert policy.warn_percents(timedelta(hours=2)) == (50, 80, 95)
    assert policy.warn_percents(timedelta(minutes=119)) == (80,)


def test_duty_hours_and_own_limits_are_typed(policy: Policy) -> None:
    assert isinstance(policy.duty_hours["grid"], DutyHours)
    assert policy.duty_hours["grid"].every_day
    assert not policy.duty_hours["offices"].every_day
    assert policy.resolve_limits["E0102"] == Limit(4, Unit.WORKING_HOURS)
    assert "X119" not in policy.resolve_limits


def test_the_calendar_keeps_its_version_until_it_says_something_else(policy: Policy) -> None:
    assert parse_policy(8, parts()).calendar.version == policy.calendar.version
    text, _ = with_setting('"13:30-17:30"', '"13:30-17:00"')
    assert parse_policy(8, parts(settings=text)).calendar.version != policy.calendar.version


# ---------------------------------------------------------------- the law: duties and rights

DUTIES = [
    ("petition_office_handles_within", "15d", "art. 22"),
    ("written_notice_within", "15d", "art. 23"),
    ("objection_within", "5wd", "art. 23"),
    ("decide_within", "60d", "art. 34"),
    ("extend_by_at_most", "30d", "art. 34"),
    ("review_within", "30d", "art. 35"),
    ("rereview_within", "30d", "art. 36"),
    ("limit", "30d", "Ningbo art. 27"),
    ("medical_limit", "30wd", "art. 38"),
    ("labour_limit", "15d", "art. 14"),
]
RIGHTS = [
    ("ask_review_within", "30d", "art. 35"),
    ("ask_rereview_within", "30d", "art. 36"),
    ("judicial_confirmation_within", "30d", "art. 33"),
]


def by(limit: str, days: int) -> str:
    parsed = parse_limit(limit)
    return str(Limit(parsed.amount + days, parsed.unit))


@pytest.mark.parametrize(("key", "limit", "law"), DUTIES)
def test_a_duty_of_the_office_is_never_lengthened(key: str, limit: str, law: str) -> None:
    text, line = with_setting(f"\n  {key}: {limit} ", f"\n  {key}: {by(limit, 1)} ")
    (problem,) = refused(parts(settings=text))
    assert (problem.file, problem.line) == ("policy.yaml", line + 1)
    assert problem.key.endswith(key)
    assert f"says {by(limit, 1)}" in problem.message
    assert f"at most {limit}" in problem.message
    assert law in problem.message


@pytest.mark.parametrize(("key", "limit", "law"), DUTIES)
def test_a_duty_of_the_office_may_be_shortened(key: str, limit: str, law: str) -> None:
    text, _ = with_setting(f"\n  {key}: {limit} ", f"\n  {key}: {by(limit, -1)} ")
    # A category's own limit follows the law, not the stricter file.
    assert parse_policy(1, parts(settings=text)).version == 1


@pytest.mark.parametrize(("key", "limit", "law"), RIGHTS)
def test_a_right_of_the_person_is_never_shortened(key: str, limit: str, law: str) -> None:
    text, line = with_setting(f"\n  {key}: {limit} ", f"\n  {key}: {by(limit, -1)} ")
    (problem,) = refused(parts(settings=text))
    assert problem.line == line + 1
    assert f"says {by(limit, -1)}" in problem.message
    assert f"at least {limit}" in problem.message
    assert law in problem.message


@pytest.mark.parametrize(("key", "limit", "law"), RIGHTS)
def test_a_right_of_the_person_may_be_longer(key: str, limit: str, law: str) -> None:
    text, _ = with_setting(f"\n  {key}: {limit} ", f"\n  {key}: {by(limit, 1)} ")
    assert parse_policy(1, parts(settings=text)).version == 1


@pytest.mark.parametrize(
    ("limit", "lawful"),
    [
        ("15d", True),
        ("360h", True),
        ("361h", False),
        ("14wd", False),
        ("1wd", False),
        ("1wh", False),
    ],
)
def test_another_unit_must_be_shorter_under_any_calendar(limit: str, lawful: bool) -> None:
    old = "petition_office_handles_within: 15d"
    text, _ = with_setting(old, f"petition_office_handles_within: {limit}")
    if lawful:
        assert parse_policy(1, parts(settings=text)).version == 1
    else:
        (problem,) = refused(parts(settings=text))
        assert "at most 15d" in problem.message


@pytest.mark.parametrize(
    ("old", "new", "law"),
    [
        ("never_to_accused: true", "never_to_accused: false", "art. 30"),
        ("recusal_on_interest: true", "recusal_on_interest: false", "art. 28"),
        ("after_rereview: closed_no_longer_accepted", "after_rereview: open", "art. 36"),
        ("fee: 0", "fee: 20", "art. 4"),
        ("consent_of_all_parties: required", "consent_of_all_parties: assumed", "art. 3 and 17"),
        ("on_failure_tell_other_routes: true", "on_failure_tell_other_routes: false", "art. 26"),
        ("report_crime_risk_to: public_security", "report_crime_risk_to: nobody", "art. 25"),
        ("joint_visit_representatives_max: 5", "joint_visit_representatives_max: 6", "art. 20"),
        ("max_times: 1", "max_times: 2", "art. 34"),
        ("must_tell_petitioner: true", "must_tell_petitioner: false", "art. 34"),
        ("needs_approval_of: office_head", "needs_approval_of: grid_head", "art. 34"),
        ("first_day_counts: false", "first_day_counts: true", "art. 201"),
        (
            "last_day_on_statutory_holiday_rolls_over: true",
            "last_day_on_statutory_holiday_rolls_over: false",
            "art. 203",
        ),
        (", decide_within, extend_by_at_most", ", extend_by_at_most", "art. 22-36"),
        ("[ask_review_within, ask_rereview_within]", "[ask_review_within]", "art. 22-36"),
    ],
)
def test_a_fixed_rule_of_the_law_stands(old: str, new: str, law: str) -> None:
    text, line = with_setting(old, new)
    (problem,) = refused(parts(settings=text))
    assert problem.line == line
    assert "says " in problem.message
    assert law in problem.message


def test_fewer_representatives_than_the_law_allows_are_accepted() -> None:
    text, _ = with_setting("representatives_max: 5", "representatives_max: 3")
    assert parse_policy(1, parts(settings=text)).version == 1


def test_a_statutory_clock_may_not_bring_a_limit_of_its_own() -> None:
    text, line = with_setting("decide:         {", "decide:         {limit_U1: 90d, ")
    (problem,) = refused(parts(settings=text))
    assert (problem.line, problem.key) == (line, "clocks.decide.limit_U1")
    assert "xinfang_track.decide_within" in problem.message


@pytest.mark.parametrize(
    ("code", "old", "new", "law"),
    [
        ("R05", "U4,60d", "U4,61d", "art. 34"),
        ("D02", "U3,30d", "U3,31d", "Ningbo"),
        ("D02", "U3,30d", "U3,30wd", "Ningbo"),
        ("D15", "U4,30wd", "U4,31wd", "art. 38"),
        ("D11", "U3,15d", "U3,16d", "art. 14"),
    ],
)
def test_a_category_may_not_have_more_time_than_its_track(
    code: str, old: str, new: str, law: str
) -> None:
    lines = (DATA / "categories.csv").read_text().splitlines()
    n = next(n for n, line in enumerate(lines) if line.startswith(code))
    assert old in lines[n]
    lines[n] = lines[n].replace(old, new)
    (problem,) = refused(parts(categories="\n".join(lines)))
    assert (problem.file, problem.line, problem.key) == ("categories.csv", n + 1, code)
    assert law in problem.message


def test_every_problem_is_told_at_once() -> None:
    text, _ = with_setting("  decide_within: 60d", "  decide_within: 90d")
    text = text.replace("  fee: 0", "  fee: 5").replace("  grid: 20 ", "  grid: 30 ")
    text = text.replace("version: 1", "version: 1\ncolour: red")
    divisions = "code,name\n210204,沙河口区\n210204005001,大庆社区\n210211,甘井子区\n"
    keys = {problem.key for problem in refused(parts(settings=text, divisions=divisions))}
    assert keys == {
        "xinfang_track.decide_within",
        "mediation_track.fee",
        "tier_budget",
        "colour",
        "210204005001",
    }


# ---------------------------------------------------------------- the shape of the file


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("patrol: {per_grid", "patrol: {colour: red, per_grid", "patrol.colour", "unknown key"),
        ("patrol: {per_grid_worker_per_day: 2, ", "patrol: {", "patrol.per_grid_worker", "missing"),
        ("returns_at_most: 2 ", 'returns_at_most: "2" ', "returns_at_most", "integer"),
        ("returns_at_most: 2 ", "returns_at_most: true ", "returns_at_most", "integer"),
        ("answer_call: 15s", "answer_call: 15", "hotline_desk.answer_call", "unit"),
        ("answer_call: 15s", "answer_call: 2wh", "hotline_desk.answer_call", "elapsed"),
        ("answer_call: 15s", "answer_call: 15 parsecs", "hotline_desk.answer_call", "not a limit"),
        ("{id: street, ", "{id: ward, ", "tiers.2.id", "ward"),
        ("U1: street,", "U1: ward,", "escalation.skip_to.U1", "ward"),
        ("owner: grid_team,", "owner: nobody,", "clocks.verify.owner", "nobody"),
        ("unclassified: {track: service, urgency: U3", "unclassified: {track: service, urgency: U9",
         "unclassified.urgency", "U9"),
        ("from: entered_tier,", "from: whenever,", "clocks.tier.from", "whenever"),
        ("when: place_known,", "when: sunny,", "clocks.verify.when", "sunny"),
        ("on_breach: promote,", "on_breach: shout,", "clocks.tier.on_breach", "shout"),
        ("limit: tier_budget,", "limit: enough,", "clocks.tier.limit", "enough"),
        ("tracks: [service, consult], from: entered_tier", "tracks: [servce], from: entered_tier",
         "clocks.tier.tracks.0", "servce"),
        ("  object:      {", "  objekt:      {", "clocks.objekt", "objekt"),
        ("from: signed, limit: 4wh", "from: signed", "clocks.object.limit", "missing"),
        ("  street: 30 ", "  street: 31 ", "tier_budget", "101"),
        ("grid_score:   {response: 10", "grid_score:   {response: 11", "grid_score", "101"),
        ("warn_at_percent: [50", "warn_at_percent: [0", "warn_at_percent.0", "greater"),
        ("80, 95]", "80, 100]", "warn_at_percent.2", "less"),
        ("  U1: {zh: 紧急(危及生命财产), final_reply: 2h}\n", "", "urgency", "missing: U1"),
        ("final_reply: 2h", "final_reply: 2wd", "urgency.U1.final_reply", "elapsed"),
        ("timezone: Asia/Shanghai", "timezone: Mars/Olympus", "timezone", "Mars"),
        ('"08:30-12:00", ', '"08:30-25:00", ', "calendar.working_hours", "25:00"),
        ('grid: "07:00-21:00"', 'grid: "late"', "duty_hours.grid", "late"),
        ("confidence_threshold: 0.5 ", "confidence_threshold: 5 ", "reading.confidence", "less"),
        ("suspicion_threshold: 0.25", "suspicion_threshold: 0.75", "reading", "suspect"),
        ("mass_incident: [E0409", "mass_incident: [E9999", "first_tier.mass_incident.0", "E9999"),
        ("legal_route: [R02", "legal_route: [E0102", "first_tier.legal_route.0", "handed off"),
        ("channels: [phone,", "channels: [pigeon,", "channels.0", "pigeon"),
        ("roles: [resident,", "roles: [king,", "roles.0", "king"),
        ("rates:  ", "patrol: {}\nrates:  ", "patrol", "twice"),
        ("version: 1\n", "version: [1\n", "-", "YAML"),
    ],
)  # fmt: skip
def test_a_slip_of_the_pen_is_named(old: str, new: str, key: str, says: str) -> None:
    text, _ = with_setting(old, new)
    problems = refused(parts(settings=text))
    about = [problem for problem in problems if key in problem.key and says in str(problem)]
    assert about, problems
    assert all(problem.line for problem in problems), problems


def test_a_line_is_that_of_the_key_that_is_wrong() -> None:
    text, line = with_setting("answer_message: 3min", "answer_message: soon")
    (problem,) = refused(parts(settings=text))
    assert str(problem).startswith(f"policy.yaml:{line}: hotline_desk.answer_message: says")


def test_a_file_that_is_no_list_of_settings_is_refused() -> None:
    for text in ("", "- 1\n- 2\n", "just words", "a: &loop [*loop]"):
        assert refused(parts(settings=text))


# ---------------------------------------------------------------- the tables

CATEGORY_HEADER = (
    "code,zh,en,kind,initial_tier,lead,community_may_lead,urgency,resolve_limit,sensitivity,track\n"
)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("Z01,甲,a,help,grid,x,Y,U3,2wd,0,servce", "track says 'servce'"),
        ("Z01,甲,a,help,ward,x,Y,U3,2wd,0,service", "initial_tier says 'ward'"),
        ("Z01,甲,a,help,grid,x,Y,U9,2wd,0,service", "urgency says 'U9'"),
        ("Z01,甲,a,beg,grid,x,Y,U3,2wd,0,service", "kind says 'beg'"),
        ("Z01,甲,a,help,grid,x,perhaps,U3,2wd,0,service", "community_may_lead says 'perhaps'"),
        ("Z01,甲,a,help,grid,x,Y,U3,2 weeks,0,service", "'2 weeks' is not a limit"),
        ("Z01,甲,a,help,grid,x,Y,U3,2wd,3,service", "sensitivity says 3"),
        ("Z01,甲,a,help,grid,x,Y,U1,,0,handoff", "has no first tier"),
        ("Z01,甲,a,help,,x,Y,U1,2h,0,handoff", "has no limit of ours"),
        ("Z01,甲,a,help,,x,Y,U3,2wd,0,service", "initial_tier is missing"),
        ("Z01,甲,a,help,grid,,Y,U3,2wd,0,service", "lead is missing"),
        ("Z01,甲,a,help,grid,x,Y,U3,2wd,0", "fewer cells"),
        ("Z01,甲,a,help,grid,x,Y,U3,2wd,0,service,and,more", "more or fewer cells"),
        ("R05,甲,a,help,grid,x,Y,U3,2wd,0,service", "said twice"),
    ],
)
def test_a_wrong_category_is_named_with_its_line(row: str, says: str) -> None:
    text = (DATA / "categories.csv").read_text()
    lines = [line.rpartition(",")[0] for line in text.splitlines()]
    problems = refused(parts(categories="\n".join([*lines, row])))
    assert [p for p in problems if says in p.message and p.line == len(lines) + 1], problems


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("210204,沙河口区\n21020,短", "6, 9, 12 or 15 digits"),
        ("210204,沙河口区\n2102O4,字", "6, 9, 12 or 15 digits"),
        ("210204,沙河口区\ncity,市", "the city is not listed"),
        ("210204,沙河口区\n210204005001,大庆社区", "its parent 210204005 is not in the list"),
        ("210204,沙河口区\n210204,沙河口区", "said twice"),
        ("210204,沙河口区\n210205, ", "name is missing"),
    ],
)
def test_a_wrong_division_is_named_with_its_line(rows: str, says: str) -> None:
    problems = refused(parts(divisions=f"code,name\n{rows}\n"))
    assert [p for p in problems if says in p.message and p.line == 3], problems


@pytest.mark.parametrize(
    ("days", "says"),
    [("2019-12-10,2019-13-01", "write YYYY-MM-DD"), ("2023-01-01,2019-01-01", "is not after")],
)
def test_the_days_of_a_division_are_days_in_order(days: str, says: str) -> None:
    text = f"code,name,valid_from,valid_to\n210204,沙河口区,{days}\n"
    assert any(says in problem.message for problem in refused(parts(divisions=text)))


def test_a_division_list_that_says_tier_and_parent_too_is_read() -> None:
    text = "code,name,tier,parent\n210211,甘井子区,district,\n210211001,周水子街道,street,210211\n"
    assert set(parse_policy(1, parts(divisions=text)).divisions) == {"210211", "210211001"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,division\n大庆小区,999999\n", "not a listed division"),
        ("name,division,lat,lon\n大庆小区,210204,38.9,\n", "come together"),
        ("name,division,lat,lon\n大庆小区,210204,121.5,38.9\n", "-90 to 90"),
        ("name,division,lat,lon\n大庆小区,210204,north,121.5\n", "lat says 'north'"),
        ("name,where\n大庆小区,210204\n", "unknown column"),
    ],
)
def test_a_place_lies_in_a_listed_division(text: str, says: str) -> None:
    given = parts() | {"places": read_part("places", text, "places.csv")}
    problems = refused(given)
    assert any(says in p.message and p.file == "places.csv" and p.line for p in problems), problems


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("路灯,P9999,1", "neither a category nor a sign"),
        ("路灯,sign:boredom,1", "neither a category nor a sign"),
        ("路灯,P0202,-1", "0 or more"),
        ("路灯,P0202,nan", "0 or more"),
        ("路灯,P0202,heavy", "weight says 'heavy'"),
        ("灯,P0202,2", "said twice"),
    ],
)
def test_a_word_speaks_once_for_something_that_exists(row: str, says: str) -> None:
    text = f"word,means,weight\n灯,P0202,1\n{row}\n"
    given = parts() | {"vocabulary": read_part("vocabulary", text, "vocabulary.csv")}
    (problem,) = refused(given)
    assert says in problem.message
    assert problem.line == 3


@pytest.mark.parametrize(
    ("text", "years", "says", "line"),
    [
        ("date,kind\n2024,published\n", (2025,), "nothing about this year", None),
        ("date,kind\n2024,published\n2026,published\n", (), "nothing about this year", None),
        ("date,kind\n2024,published\n2024-02-30,holiday\n", (), "no such day", 3),
        ("date,kind\n2024,published\n2025-01-01,holiday\n", (), "no row", 3),
        ("date,kind\n2024,published\n2024-01-01,feast\n", (), "2024-01-01,feast", 3),
        ("date,kind\n", (), "are missing", None),
    ],
)
def test_the_calendar_speaks_of_every_year_that_is_needed(
    text: str, years: tuple[int, ...], says: str, line: int | None
) -> None:
    (problem,) = refused(parts(calendar=text), years)
    assert says in problem.message
    assert problem.file == "calendar.csv"
    assert problem.line == line


@pytest.mark.parametrize("kind", NEEDED)
def test_a_policy_without_one_of_its_parts_is_refused(kind: PolicyPartKind) -> None:
    given = parts()
    del given[kind]
    assert any("missing" in problem.message for problem in refused(given))
