"""Divisions: a code is a prefix hierarchy, so "above" and "within" are questions about text.

District 6 digits, street 9, community 12, grid 15. Above the districts stands `CITY`: not a tier,
only the dispatcher's queue of petitions that name no district. Pure; the lists are router data.
"""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

DivisionCode: TypeAlias = str

CITY = DivisionCode("city")


class Tier(StrEnum):
    """A rung of the ladder a case climbs, lowest first. [article]"""

    GRID = "grid"
    COMMUNITY = "community"
    STREET = "street"
    DISTRICT = "district"


_DIGITS = {Tier.GRID: 15, Tier.COMMUNITY: 12, Tier.STREET: 9, Tier.DISTRICT: 6}
_TIERS = {digits: tier for tier, digits in _DIGITS.items()}
_NEXT = {
    Tier.GRID: Tier.COMMUNITY,
    Tier.COMMUNITY: Tier.STREET,
    Tier.STREET: Tier.DISTRICT,
}
_CODE = re.compile(r"[0-9]{6}(?:[0-9]{3}){0,3}")


@dataclass(frozen=True, slots=True)
class Division:
    """A listed place, valid from `valid_from` to the day before `valid_to` (None: no limit)."""

    code: DivisionCode
    name: str
    valid_from: date | None = None
    valid_to: date | None = None

    @property
    def tier(self) -> Tier | None:
        """The tier its code says; None for the city."""
        return tier_of(self.code)


def parse_code(text: str) -> DivisionCode:
    """The division code a person or a file wrote; ValueError when it is none."""
    if text == CITY or _CODE.fullmatch(text):
        return DivisionCode(text)
    raise ValueError('a division code has 6, 9, 12 or 15 digits, or is "city"')


def tier_of(code: DivisionCode) -> Tier | None:
    """The tier of a division; None for the city."""
    return None if code == CITY else _TIERS[len(code)]


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


def next_tier(tier: Tier) -> Tier | None:
    """One step up the ladder; None above the district, where supervision begins."""
    return _NEXT.get(tier)
