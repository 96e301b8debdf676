"""The hierarchy of division codes: examples, and laws that hold for every code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.divisions import (
    CITY,
    LADDER,
    DivisionCode,
    Tier,
    ancestor,
    dispatcher_of,
    is_within,
    next_tier,
    parent,
    parse_code,
    smallest_known,
    tier_of,
)

# Few digits, so that codes under the same district are drawn often.
codes = st.builds(
    lambda district, parts: DivisionCode("99010" + district + "".join(parts)),
    st.sampled_from("12"),
    st.lists(st.sampled_from(["001", "002"]), max_size=3),
)
places = st.one_of(codes, st.just(CITY))


def climb(code: DivisionCode) -> list[DivisionCode]:
    """The code, then each parent up to the city."""
    path = [code]
    while path[-1] != CITY:
        path.append(parent(path[-1]))
    return path


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ("210203", Tier.DISTRICT),
        ("210203005", Tier.STREET),
        ("210203005012", Tier.COMMUNITY),
        ("210203005012003", Tier.GRID),
        ("city", None),
    ],
)
def test_the_length_of_a_code_says_its_tier(text: str, tier: Tier | None) -> None:
    assert tier_of(parse_code(text)) is tier


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2102",
        "2102030",
        "210203005012003001",
        "21020a",
        " 210203",
        "210203\n",
        "City",
        "２１０２０３",
    ],
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="6, 9, 12 or 15 digits"):
        parse_code(text)


def test_the_ladder_ends_above_the_district() -> None:
    ladder = [next_tier(tier) for tier in Tier]
    assert ladder == [Tier.COMMUNITY, Tier.STREET, Tier.DISTRICT, None]


def test_each_tier_and_the_city_have_a_dispatcher_of_their_own() -> None:
    assert [dispatcher_of(place) for place in climb(DivisionCode("210203005001001"))] == [
        "grid_head",
        "community_officer",
        "street_dispatcher",
        "district_dispatcher",
        "city_dispatcher",
    ]


def test_the_ladder_is_climbed_one_step_at_a_time() -> None:
    assert [next_tier(tier) for tier in LADDER] == [*LADDER[1:], None]


def test_nothing_stands_above_the_city() -> None:
    with pytest.raises(ValueError, match="above the city"):
        parent(CITY)
    assert [ancestor(CITY, tier) for tier in Tier] == [None] * 4


@given(codes)
def test_climbing_meets_one_division_of_each_tier_up_to_the_city(code: DivisionCode) -> None:
    *divisions, top = climb(code)
    assert top == CITY
    assert [tier_of(division) for division in divisions] == list(Tier)[-len(divisions) :]


@given(codes, st.sampled_from(Tier))
def test_the_ancestor_is_the_division_of_that_tier_on_the_way_up(
    code: DivisionCode, tier: Tier
) -> None:
    met = {tier_of(division): division for division in climb(code)}
    assert ancestor(code, tier) == met.get(tier)


@given(places, places)
def test_a_code_is_within_exactly_itself_and_what_it_climbs_through(
    code: DivisionCode, scope: DivisionCode
) -> None:
    assert is_within(code, scope) == (scope in climb(code))


@given(codes)
def test_a_code_reads_back_as_itself(code: DivisionCode) -> None:
    assert parse_code(code) == code


@given(code=codes, listed=st.sets(codes))
def test_the_smallest_known_is_the_first_listed_one_on_the_way_up(
    code: DivisionCode, listed: set[DivisionCode]
) -> None:
    assert smallest_known(code, listed) == next((c for c in climb(code) if c in listed), CITY)


@pytest.mark.parametrize("code", ["", "city", "2102", "2102030", "nobody"])
def test_what_is_no_code_is_known_as_the_city(code: str) -> None:
    assert smallest_known(code, {"210204"}) == CITY
