"""Which number to call, told at once to whoever writes of an emergency. Pure. [domain B3.1]

The reading comes after the accept and has a person confirm an emergency; a number must not wait
for that. So a petition is looked through for the strong words of what is handed off at once, and
who sent it is told the number: told once too often is no harm, told too late is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.intake.decisions.matching import Matcher, octets_of
from shared.events import CategoryCode, CategoryRow, DutyRow, OfficeRow, WordRow

STRONG: Final = 2.0
"""The weight of a vocabulary word from which it alone names a number. [ours]"""
_EVERYWHERE: Final = "*"


class Call(NamedTuple):
    """A number to call, and who answers it."""

    number: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True, eq=False)
class Emergencies:
    """The numbers of each matter that is handed off at once, and the words that speak for one."""

    calls: Mapping[CategoryCode, tuple[Call, ...]]
    matcher: Matcher[CategoryCode | None]

    def numbers(
        self, category: CategoryCode | None, subject: str | None, text: str
    ) -> tuple[Call, ...]:
        """Whom to call: by the category that was given, else by the words that were said."""
        found = {category: None} if category else {}
        for string in (subject or "", text):
            for code, _ in self.matcher.find(octets_of(string)):
                if code is not None:
                    found[code] = None
        calls = (call for code in found for call in self.calls.get(code, ()))
        return tuple(dict.fromkeys(calls))


def compile_emergencies(
    words: Iterable[WordRow],
    categories: Iterable[CategoryRow],
    offices: Iterable[OfficeRow],
    duties: Iterable[DutyRow],
) -> Emergencies:
    """The numbers of the duty catalogue: those of the outside bodies that lead or assist."""
    # A legal route is handed off too, but nobody calls for help there.
    handed_off = {row.code for row in categories if row.track == "handoff" and row.urgency == "U1"}
    by_id = {office.id: office for office in offices}
    calls: dict[CategoryCode, tuple[Call, ...]] = {}
    for duty in duties:
        if duty.category in handed_off and duty.division == _EVERYWHERE:
            ids = (duty.lead, *duty.assisting.split(";"))
            named = (by_id[one] for one in ids if one in by_id)
            calls[duty.category] = tuple(
                Call(office.phone, office.zh, office.en) for office in named if office.phone
            )
    # Words of weight 0 say nothing and shield what is inside: "if it should catch fire".
    strong: dict[str, CategoryCode | None] = {}
    for word in words:
        if calls.get(word.means) and (word.weight >= STRONG or word.weight == 0):
            strong[word.word.lower()] = word.means if word.weight else None
    return Emergencies(calls, Matcher(strong))
