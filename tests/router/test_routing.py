"""Who gets a case first: the rules as tables of examples, the accused as a property."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.decisions.policy import Policy, parse_policy, read_part
from services.router.decisions.routing import (
    Assigned,
    Facts,
    HandOff,
    Routed,
    Rule,
    WaitsForDispatcher,
    holder_for,
    lowest_tier,
    route,
    sentence,
    smallest_known,
)
from shared.divisions import CITY, DivisionCode, Tier, is_within, tier_of
from shared.events import (
    Candidate,
    CategoryRow,
    PetitionReceived,
    PolicyPartKind,
    Reading,
    Sign,
    Word,
)
from tests.router.trees import places, trees

DATA = Path(__file__).parents[2] / "services/router/data"
FILES: dict[PolicyPartKind, str] = {
    "settings": "policy.yaml",
    "divisions": "divisions.csv",
    "categories": "categories.csv",
    "calendar": "calendar.csv",
    "offices": "offices.csv",
    "duties": "duties.csv",
}
POLICY = parse_policy(
    3, {kind: read_part(kind, (DATA / file).read_text(), file) for kind, file in FILES.items()}
)
DISTRICT, STREET = "210204", "210204005"
COMMUNITY, GRID = "210204005001", "210204005001002"
NEIGHBOUR = "210204005001001"
DAYS = ("valid_from", "valid_to")
ROLES = {
    None: "city_dispatcher",
    Tier.DISTRICT: "district_dispatcher",
    Tier.STREET: "street_dispatcher",
    Tier.COMMUNITY: "community_officer",
    Tier.GRID: "grid_head",
}


def sure(category: str, division: str = GRID, **more: object) -> Facts:
    """A reading that suggests this category with confidence."""
    facts = Facts(division=division, category=category, basis="suggested", confidence=0.9)
    return replace(facts, **more)  # type: ignore[arg-type]


def unsure(category: str, division: str = GRID, **more: object) -> Facts:
    return replace(sure(category, division, **more), confidence=0.3)


def signs(*found: Sign) -> tuple[Sign, ...]:
    return found


# ---------------------------------------------------------------- assigned


@pytest.mark.parametrize(
    ("facts", "division", "rule"),
    [
        pytest.param(sure("E0102"), GRID, "B3.4/category-tier", id="the address decides the grid"),
        pytest.param(sure("E0103"), COMMUNITY, "B3.4/category-tier", id="starts at a community"),
        pytest.param(sure("P0202"), STREET, "B3.4/category-tier", id="starts at a street"),
        pytest.param(sure("P0202", STREET), STREET, "B3.4/category-tier", id="a street is enough"),
        pytest.param(sure("L09"), DISTRICT, "B3.4/category-tier", id="starts at a district"),
        pytest.param(sure("E0107"), COMMUNITY, "B3.4/category-tier",
                     id="may start where it may not be led"),
        pytest.param(sure("E0102", signs=signs("enforcement")), COMMUNITY, "B3.4/enforcement",
                     id="enforcement raises one step"),
        pytest.param(sure("E0103", signs=signs("enforcement")), STREET, "B3.4/enforcement",
                     id="and to the street"),
        pytest.param(sure("P0202", signs=signs("enforcement")), STREET, "B3.4/category-tier",
                     id="but not above it"),
        pytest.param(sure("D07", signs=signs("enforcement")), STREET, "B3.4/category-tier",
                     id="not even what a community may lead"),
        pytest.param(sure("E0107", signs=signs("enforcement")), COMMUNITY, "B3.4/category-tier",
                     id="not what was listed with its department"),
        pytest.param(sure("C01", signs=signs("enforcement")), GRID, "B3.4/category-tier",
                     id="a question needs no enforcement"),
        pytest.param(sure("D02", signs=signs("enforcement")), COMMUNITY, "B3.4/enforcement",
                     id="a dispute may"),
        pytest.param(sure("E0102", signs=signs("many_people")), COMMUNITY, "B3.5/many-people",
                     id="several persons are no small matter"),
        pytest.param(sure("E0103", signs=signs("many_people")), COMMUNITY, "B3.4/category-tier",
                     id="for a big matter they change nothing"),
        pytest.param(sure("E0102", signs=signs("many_people", "enforcement")), COMMUNITY,
                     "B3.4/enforcement", id="one step, not two"),
        pytest.param(sure("H02"), COMMUNITY, "B3.4/category-tier",
                     id="sensitive care stays where it is"),
        pytest.param(sure("P0501"), STREET, "B3.4/category-tier", id="urgent is at the street"),
        pytest.param(Facts(division=GRID, category="E0102", basis="given", confidence=1.0), GRID,
                     "B3.4/category-tier", id="given"),
        pytest.param(unsure("E0102", confirmed=True), GRID, "B3.4/category-tier", id="confirmed"),
        pytest.param(sure("S07", confirmed=True), DISTRICT, "B3.4/category-tier",
                     id="a mass incident that a person confirmed"),
        pytest.param(sure("E0102", signs=signs("mass_incident_suspected"), confirmed=True), GRID,
                     "B3.4/category-tier", id="or dismissed"),
        pytest.param(sure("E0102", accused=COMMUNITY), STREET, "B3.7/accused",
                     id="never the accused's own grid"),
        pytest.param(sure("E0102", accused=STREET), DISTRICT, "B3.7/accused",
                     id="the next tier above the accused"),
        pytest.param(sure("E0102", accused="210204006"), GRID, "B3.4/category-tier",
                     id="a unit elsewhere does not matter"),
        pytest.param(sure("R01", accused=STREET), DISTRICT, "B3.4/category-tier",
                     id="a complaint on staff conduct, above the accused already"),
    ],
)  # fmt: skip
def test_a_matter_that_is_known_and_placed_is_assigned(
    facts: Facts, division: str, rule: Rule
) -> None:
    routed = route(facts, POLICY)
    assert routed.division == division
    assert routed.reason.rule == rule
    assert routed.role == ROLES[tier_of(routed.division)]
    assert isinstance(routed, Assigned)
    assert routed.tier == tier_of(routed.division)
    row = POLICY.categories[routed.category]
    assert (routed.track, routed.urgency) == (row.track, row.urgency)


def test_a_restricted_report_never_starts_below_the_street() -> None:
    low = POLICY.categories["S05"].model_copy(update={"initial_tier": Tier.GRID})
    policy = with_category(low)
    routed = route(sure("S05"), policy)
    assert isinstance(routed, Assigned)
    assert (routed.tier, routed.restricted) == (Tier.STREET, True)
    assert routed.reason.rule == "B3.4/sensitive"
    assert (GRID, "B3.4/sensitive") in routed.reason.rejected


def test_care_and_disputes_stay_where_they_are_but_restricted() -> None:
    low = POLICY.categories["D15"].model_copy(update={"initial_tier": Tier.GRID})
    routed = route(sure("D15"), with_category(low))
    assert isinstance(routed, Assigned)
    assert (routed.tier, routed.restricted) == (Tier.GRID, True)


def test_an_urgent_matter_skips_the_tiers_below_the_street() -> None:
    urgent = POLICY.categories["E0102"].model_copy(update={"urgency": "U1"})
    policy = with_category(urgent)
    routed = route(sure("E0102"), policy)
    assert isinstance(routed, Assigned)
    assert (routed.tier, routed.reason.rule) == (Tier.STREET, "B3.4/urgent")
    assert lowest_tier(urgent, "U1", policy, begun=False) == (Tier.STREET, "B3.4/urgent")
    assert lowest_tier(urgent, "U3", policy, begun=True) is None


def test_a_confirmed_mass_incident_skips_to_the_district() -> None:
    row = POLICY.categories["E0409"].model_copy(update={"initial_tier": Tier.STREET})
    routed = route(unsure("E0409", confirmed=True), with_category(row))
    assert isinstance(routed, Assigned)
    assert (routed.tier, routed.reason.rule) == (Tier.DISTRICT, "B3.4/mass-incident")


# ---------------------------------------------------------------- waiting


@pytest.mark.parametrize(
    ("facts", "division", "urgency", "rule"),
    [
        pytest.param(Facts(division=GRID), GRID, "U3", "B3.9/no-category", id="no category"),
        pytest.param(Facts(division=CITY), CITY, "U3", "B3.9/no-category", id="nothing at all"),
        pytest.param(Facts(division=GRID, signs=signs("danger")), GRID, "U1", "B3.9/no-category",
                     id="signs of danger on something unclassified"),
        pytest.param(sure("E9999"), GRID, "U3", "B3.9/no-category", id="an unlisted category"),
        pytest.param(unsure("E0102"), GRID, "U3", "B3.9/not-sure", id="not sure"),
        pytest.param(sure("E0102", confidence=0.49), GRID, "U3", "B3.9/not-sure", id="just under"),
        pytest.param(unsure("P0501"), GRID, "U3", "B3.9/not-sure", id="no guess at urgency"),
        pytest.param(sure("E0102", failed=True), GRID, "U3", "B3.9/reading-failed", id="unread"),
        pytest.param(sure("E0102", CITY), CITY, "U3", "B3.9/no-district", id="no district"),
        pytest.param(sure("L09", CITY), CITY, "U3", "B3.9/no-district", id="nor for a district"),
        pytest.param(sure("E0102", DISTRICT), DISTRICT, "U3", "B3.9/place-too-coarse",
                     id="a district is not enough for a grid"),
        pytest.param(sure("E0115", COMMUNITY), COMMUNITY, "U2", "B3.9/place-too-coarse",
                     id="nor a community; the urgency is the category's"),
        pytest.param(sure("E0102", "210204005001099"), COMMUNITY, "U3", "B3.9/place-too-coarse",
                     id="an unlisted grid is known as its community"),
        pytest.param(sure("E0102", "999999005"), CITY, "U3", "B3.9/no-district",
                     id="an unlisted district is none"),
        pytest.param(unsure("X119"), GRID, "U1", "B3.1/emergency-suspected",
                     id="perhaps an emergency"),
        pytest.param(unsure("E0102", candidates=(Candidate(code="X120", score=0.25),)), GRID, "U1",
                     "B3.1/emergency-suspected", id="perhaps an emergency besides"),
        pytest.param(unsure("E0102", candidates=(Candidate(code="X120", score=0.24),)), GRID, "U3",
                     "B3.9/not-sure", id="hardly an emergency"),
        pytest.param(sure("S07"), STREET, "U1", "B3.6/mass-incident-suspected",
                     id="a reading never sets a mass incident"),
        pytest.param(replace(sure("E0409"), basis="given"), STREET, "U1",
                     "B3.6/mass-incident-suspected", id="nor does the submitter"),
        pytest.param(sure("D10", signs=signs("mass_incident_suspected")), STREET, "U1",
                     "B3.6/mass-incident-suspected", id="signs of one"),
        pytest.param(sure("D10", DISTRICT, signs=signs("mass_incident_suspected")), DISTRICT, "U1",
                     "B3.6/mass-incident-suspected", id="signs of one, no street known"),
        pytest.param(sure("E0102", accusation=True), COMMUNITY, "U3", "B3.7/accused-unknown",
                     id="one tier above the smallest division named"),
        pytest.param(sure("E0102", DISTRICT, accusation=True), CITY, "U3", "B3.7/accused-unknown",
                     id="above a district the city"),
        pytest.param(sure("R01"), DISTRICT, "U3", "B3.7/accused-unknown",
                     id="staff conduct, nobody named: not below its own first tier"),
        pytest.param(unsure("R02"), STREET, "U3", "B3.7/accused-unknown",
                     id="perhaps an accusation: not below the street"),
        pytest.param(sure("E0102", accused="999999"), COMMUNITY, "U3", "B3.7/accused-unknown",
                     id="the accused is not on the list"),
        pytest.param(sure("E0102", accused=CITY), COMMUNITY, "U3", "B3.7/accused-unknown",
                     id="the city is no unit"),
        pytest.param(Facts(division=GRID, accused=COMMUNITY), STREET, "U3", "B3.9/no-category",
                     id="a desk of the accused is none either"),
        pytest.param(sure("E0102", accused=DISTRICT), CITY, "U3", "B3.7/accused",
                     id="above the accused district there is only the city's desk"),
    ],
)  # fmt: skip
def test_what_a_person_must_decide_waits_at_a_desk(
    facts: Facts, division: str, urgency: str, rule: Rule
) -> None:
    routed = route(facts, POLICY)
    assert isinstance(routed, WaitsForDispatcher)
    assert (routed.division, routed.urgency, routed.reason.rule) == (division, urgency, rule)
    assert routed.role == ROLES[tier_of(routed.division)]


@pytest.mark.parametrize(
    ("facts", "shut_out", "unknown"),
    [
        pytest.param(sure("E0102"), None, False, id="nobody is accused"),
        pytest.param(sure("E0102", accused=COMMUNITY), COMMUNITY, False, id="the accused"),
        pytest.param(sure("E0102", accusation=True), GRID, True, id="unknown: where it happened"),
        pytest.param(sure("R01"), GRID, True, id="also when the matter alone accuses"),
        pytest.param(unsure("R02"), GRID, True, id="or may accuse"),
        pytest.param(sure("E0102", "210204005001099", accusation=True), COMMUNITY, True,
                     id="the listed division of a place that is not"),
        pytest.param(sure("E0102", accused="999999"), GRID, True, id="the accused is not listed"),
        pytest.param(sure("E0102", CITY, accusation=True), None, True, id="the city is no unit"),
        pytest.param(sure("E0102", accusation=True, shut_out=STREET), STREET, True,
                     id="a finer place makes it no narrower"),
        pytest.param(sure("E0102", accusation=True, shut_out="210202001"), GRID, True,
                     id="a place elsewhere takes its place"),
        pytest.param(sure("E0102", accused=NEIGHBOUR, shut_out=STREET), NEIGHBOUR, False,
                     id="the name of the accused does"),
        pytest.param(sure("R01", cleared=True), None, False, id="a person says nobody is"),
    ],
)  # fmt: skip
def test_who_is_shut_out_of_an_accusation(
    facts: Facts, shut_out: str | None, unknown: bool
) -> None:
    routed = route(facts, POLICY)
    assert (routed.accused_division, routed.accused_unknown) == (shut_out, unknown)


def test_what_was_begun_does_not_start_again_where_it_may_not_be_led() -> None:
    assert route(sure("S01"), POLICY).division == COMMUNITY
    routed = route(sure("S01", begun=True), POLICY)
    assert (routed.division, routed.reason.rule) == (STREET, "B3.8/may-not-lead")
    assert (COMMUNITY, "B3.8/may-not-lead") in routed.reason.rejected
    assert "may not lead" in sentence(routed.reason, "en")
    assert route(sure("E0102", begun=True), POLICY).division == GRID


@pytest.mark.parametrize(
    ("days", "day", "place"),
    [
        pytest.param(("2020-01-01", None), "2020-01-01", GRID, id="on its first day"),
        pytest.param(("2020-01-01", None), "2019-12-31", COMMUNITY, id="before it"),
        pytest.param((None, "2020-01-01"), "2019-12-31", GRID, id="on its last day"),
        pytest.param((None, "2020-01-01"), "2020-01-01", COMMUNITY, id="after it"),
        pytest.param(("2019-01-01", "2020-01-01"), "2019-06-01", GRID, id="between"),
    ],
)
def test_a_division_that_is_past_or_to_come_is_not_listed(
    days: tuple[str | None, str | None], day: str, place: str
) -> None:
    row = POLICY.divisions[GRID].model_copy(update=dict(zip(DAYS, days, strict=True)))
    policy = replace(POLICY, divisions={**POLICY.divisions, GRID: row}).on(date.fromisoformat(day))
    routed = route(sure("E0102"), policy)
    assert dict(routed.reason.matched)["place"] == place
    assert isinstance(routed, Assigned) is (place == GRID)
    assert routed.division == place


def test_without_days_the_policy_is_the_same_every_day() -> None:
    assert POLICY.on(date(1999, 1, 1)).divisions == POLICY.divisions


def test_a_guess_is_shown_but_never_set() -> None:
    guessed = route(unsure("E0102"), POLICY)
    assert (guessed.category, guessed.track) == (None, "service")
    assert ("suggested", "E0102") in guessed.reason.matched
    assert route(sure("D02", DISTRICT), POLICY).category == "D02"
    assert route(sure("S07"), POLICY).category is None


@pytest.mark.parametrize(
    ("facts", "restricted"),
    [
        (sure("E0102"), False),
        (sure("D02"), False),
        (sure("S05"), True),
        (sure("H02"), True),
        (sure("X110"), True),
        (sure("X119"), False),
        (sure("R03"), True),
        (unsure("S05"), True),
        (sure("E0102", accused="210204006"), True),
        (sure("E0102", accusation=True), True),
        (Facts(division=GRID, accused=COMMUNITY), True),
    ],
)
def test_sensitive_matters_and_accusations_are_restricted(facts: Facts, restricted: bool) -> None:
    assert route(facts, POLICY).restricted is restricted


# ---------------------------------------------------------------- handed off


@pytest.mark.parametrize(
    ("facts", "division", "legal", "follow_up", "rule"),
    [
        pytest.param(sure("X119"), GRID, False, False, "B3.1/emergency", id="the nearest desk"),
        pytest.param(sure("X119", CITY), CITY, False, False, "B3.1/emergency", id="no place"),
        pytest.param(sure("E0403", STREET), STREET, False, True, "B3.1/emergency", id="gas"),
        pytest.param(sure("H04"), GRID, False, True, "B3.1/emergency", id="violence at home"),
        pytest.param(sure("H04", accused=COMMUNITY), STREET, False, True, "B3.1/emergency",
                     id="not to the accused, not even now"),
        pytest.param(sure("X110", signs=signs("mass_incident_suspected")), STREET, False, False,
                     "B3.1/emergency", id="with signs of a mass incident: the street"),
        pytest.param(sure("R03"), STREET, True, False, "B3.2/legal-route", id="courts"),
        pytest.param(sure("R02", accused=STREET), DISTRICT, True, False, "B3.2/legal-route",
                     id="an accusation above the accused"),
        pytest.param(sure("R02"), STREET, True, False, "B3.2/legal-route",
                     id="an accusation of nobody known"),
        pytest.param(sure("R02", STREET), DISTRICT, True, False, "B3.2/legal-route",
                     id="one tier above the street it names"),
    ],
)  # fmt: skip
def test_emergencies_and_legal_routes_are_handed_off(
    facts: Facts, division: str, legal: bool, follow_up: bool, rule: Rule
) -> None:
    routed = route(facts, POLICY)
    assert isinstance(routed, HandOff)
    assert (routed.division, routed.reason.rule) == (division, rule)
    assert (routed.legal_route, routed.follow_up, routed.track) == (legal, follow_up, "handoff")
    assert routed.urgency == POLICY.categories[routed.category].urgency


# ---------------------------------------------------------------- reasons


def test_the_reason_names_the_words_the_place_and_who_was_passed_over() -> None:
    facts = sure(
        "E0102",
        signs=signs("enforcement"),
        accused=COMMUNITY,
        placed_by="name",
        place="大庆小区",
        words=(
            Word(word="垃圾", means="E0102", weight=2),
            Word(word="路灯", means="P0202", weight=1),
            Word(word="无证", means="sign:enforcement", weight=1),
        ),
    )
    routed = route(facts, POLICY)
    assert routed.reason.rule == "B3.7/accused"
    assert routed.reason.policy == 3
    assert dict(routed.reason.matched) == {
        "category": "E0102",
        "basis": "suggested",
        "confidence": "0.90",
        "threshold": "0.50",
        "words": "垃圾",
        "enforcement_words": "无证",
        "place": GRID,
        "placed_by": "name",
        "place_name": "大庆小区",
        "accused": COMMUNITY,
        "tier": "community",
        "urgency": "U3",
    }
    assert routed.reason.rejected == ((GRID, "B3.4/enforcement"), (COMMUNITY, "B3.7/accused"))
    english = sentence(routed.reason, "en", POLICY)
    assert "垃圾" in english
    assert "无证" in english
    assert "大庆社区 (210204005001)" in english
    assert english.endswith("[rule B3.7/accused, policy 3]")
    chinese = sentence(routed.reason, "zh", POLICY)
    assert "被反映单位" in chinese
    assert "大庆小区" in chinese


def test_a_sentence_calls_categories_and_tiers_by_their_names() -> None:
    reason = route(sure("P0202"), POLICY).reason
    assert sentence(reason, "en").startswith("P0202 starts at the street;")
    assert sentence(reason, "en", POLICY).startswith("P0202 (street lamp fault) starts at the")
    assert sentence(reason, "zh", POLICY).startswith("P0202道路交通-路灯的首办层级为街道")


def test_the_facts_are_those_of_the_petition_as_it_was_read() -> None:
    petition = PetitionReceived(
        type="casegrid.petition.received.v1",
        number="20260101-000001",
        channel="letter",
        kind="report",
        received_at=datetime(2026, 1, 1, tzinfo=UTC),
        reading=Reading(
            category="E0102",
            basis="suggested",
            confidence=0.8,
            candidates=(Candidate(code="E0102", score=0.8),),
            words=(Word(word="垃圾", means="E0102", weight=2),),
            division=GRID,
            placed_by="name",
            place="大庆小区",
            signs=("danger",),
        ),
        accused=STREET,
        accusation=True,
        policy=3,
    )
    facts = Facts.of(petition)
    unread = Facts.of(petition.model_copy(update={"reading": Reading(state="failed")}))
    assert facts == Facts(
        division=GRID,
        category="E0102",
        basis="suggested",
        confidence=0.8,
        candidates=petition.reading.candidates,
        words=petition.reading.words,
        signs=("danger",),
        placed_by="name",
        place="大庆小区",
        accused=STREET,
        accusation=True,
    )
    assert unread.failed
    assert unread.division == CITY


# ---------------------------------------------------------------- properties


def with_category(row: CategoryRow) -> Policy:
    """The policy with one category in other words."""
    return replace(POLICY, categories={**POLICY.categories, row.code: row})


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_the_accused_and_what_lies_below_never_hold_a_case(data: st.DataObject) -> None:
    policy = data.draw(trees())
    place = data.draw(places(policy))
    accused = data.draw(places(policy).filter(lambda code: code != CITY))
    tier = data.draw(st.sampled_from(Tier))
    holder = holder_for(tier, place, accused, policy)
    assert not is_within(holder, DivisionCode(accused))
    assert holder == CITY or holder in policy.divisions
    known = smallest_known(place, policy)
    assert is_within(known, holder)
    held_at, known_at = tier_of(holder), tier_of(known)
    ladder: list[Tier | None] = [*Tier, None]
    assert ladder.index(held_at) >= max(ladder.index(tier), ladder.index(known_at)) or (
        held_at == known_at
    )
    unaccused = holder_for(tier, place, None, policy)
    if not is_within(unaccused, DivisionCode(accused)):
        assert holder == unaccused


@st.composite
def any_facts(draw: st.DrawFn, policy: Policy) -> Facts:
    codes = st.sampled_from([*policy.categories, "Z99"])
    score = st.floats(0, 1)
    return Facts(
        division=draw(places(policy)),
        category=draw(st.none() | codes),
        basis=draw(st.sampled_from(("given", "suggested", "none"))),
        confidence=draw(score),
        confirmed=draw(st.booleans()),
        failed=draw(st.booleans()),
        candidates=tuple(
            Candidate(code=draw(codes), score=draw(score)) for _ in range(draw(st.integers(0, 3)))
        ),
        signs=tuple(draw(st.sets(st.sampled_from(get_args(Sign))))),
        accused=draw(st.none() | places(policy) | st.sampled_from(("", "2102", "nobody"))),
        accusation=draw(st.booleans()),
        cleared=draw(st.booleans()),
        shut_out=draw(st.none() | st.sampled_from(sorted(policy.divisions))),
        begun=draw(st.booleans()),
    )


@given(data=st.data())
@settings(max_examples=600, deadline=None)
def test_every_petition_gets_one_place_a_reason_and_never_the_accused(data: st.DataObject) -> None:
    policy = data.draw(trees())
    facts = data.draw(any_facts(policy))
    routed: Routed = route(facts, policy)
    assert routed == route(facts, policy)
    assert routed.division == CITY or routed.division in policy.divisions
    assert is_within(smallest_known(facts.division, policy), routed.division)
    shut_out = routed.accused_division
    if shut_out is not None:
        assert not is_within(routed.division, DivisionCode(shut_out))
        assert routed.restricted
    if facts.accused in policy.divisions and not facts.cleared:
        assert (shut_out, routed.accused_unknown) == (facts.accused, False)
    if routed.accused_unknown:
        assert is_within(smallest_known(facts.division, policy), DivisionCode(shut_out or CITY))
    if facts.cleared:
        assert (shut_out, routed.accused_unknown) == (None, False)
    if isinstance(routed, Assigned):
        row = policy.categories[routed.category]
        floor = lowest_tier(row, routed.urgency, policy, begun=facts.begun)
        ladder = list(Tier)
        assert floor is None or ladder.index(routed.tier) >= ladder.index(floor[0])
    for language in ("en", "zh"):
        said = sentence(routed.reason, language, policy)
        assert routed.reason.rule in said
        assert "{" not in said
