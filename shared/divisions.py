"""Divisions: a code is a prefix hierarchy, so "above" and "within" are questions about text.

District 6 digits, street 9, community 12, grid 15. Above the districts stands `CITY`: not a tier,
only the dispatcher's queue of petitions that name no district. Pure; the lists are router data.
"""

import re
from collections.abc import Container
from enum import StrEnum
from typing import Final, Literal, TypeAlias

DivisionCode: TypeAlias = str

CITY = DivisionCode("city")


class Tier(StrEnum):
    """A rung of the ladder a case climbs, lowest first. [article]"""

    GRID = "grid"
    COMMUNITY = "community"
    STREET = "street"
    DISTRICT = "district"


LADDER: Final = tuple(Tier)
"""The tiers from the lowest to the highest; `LADDER.index` compares two."""

DispatcherRole: TypeAlias = Literal[
    "grid_head", "community_officer", "street_dispatcher", "district_dispatcher", "city_dispatcher"
]
_DISPATCHERS: Final[dict[Tier | None, DispatcherRole]] = {
    Tier.GRID: "grid_head",
    Tier.COMMUNITY: "community_officer",
    Tier.STREET: "street_dispatcher",
    Tier.DISTRICT: "district_dispatcher",
    None: "city_dispatcher",
}

_DIGITS = {Tier.GRID: 15, Tier.COMMUNITY: 12, Tier.STREET: 9, Tier.DISTRICT: 6}
_TIERS = {digits: tier for tier, digits in _DIGITS.items()}
_NEXT = {
    Tier.GRID: Tier.COMMUNITY,
    Tier.COMMUNITY: Tier.STREET,
    Tier.STREET: Tier.DISTRICT,
}
_CODE = re.compile(r"[0-9]{6}(?:[0-9]{3}){0,3}")


def parse_code(text: str) -> DivisionCode:
    """The division code a person or a file wrote; ValueError when it is none."""
    if text == CITY or _CODE.fullmatch(text):
        return DivisionCode(text)
    raise ValueError('a division code has 6, 9, 12 or 15 digits, or is "city"')


def tier_of(code: DivisionCode) -> Tier | None:
    """The tier of a division; None for the city."""
    return None if code == CITY else _TIERS[len(code)]


def dispatcher_of(code: DivisionCode) -> DispatcherRole:
    """Who answers for what a division holds, where nobody is named."""
    return _DISPATCHERS[tier_of(code)]


def parent(code: DivisionCode) -> DivisionCode:
    """The division one step above, the city above a district; ValueError for the city itself."""
    if code == CITY:
        raise ValueError("nothing stands above the city")
    return DivisionCode(code[:-3]) if len(code) > _DIGITS[Tier.DISTRICT] else CITY


def ancestor(code: DivisionCode, tier: Tier) -> DivisionCode | None:
    """The division of this tier that `code` is or lies in; None if `code` stands above the tier."""
    digits = _DIGITS[tier]
    return DivisionCode(code[:digits]) if code != CITY and len(code) >= digits else None


def is_within(code: DivisionCode, scope: DivisionCode) -> bool:
    """Whether `code` is `scope` or lies below it; everything lies in the city."""
    return scope == CITY or code.startswith(scope)


def smallest_known(code: str, listed: Container[str]) -> DivisionCode:
    """The listed division that a code names or lies in; the city when there is none."""
    division = DivisionCode(code)
    while division != CITY and division not in listed:
        division = parent(division)
    return division


def next_tier(tier: Tier) -> Tier | None:
    """One step up the ladder; None above the district, where supervision begins."""
    return _NEXT.get(tier)
