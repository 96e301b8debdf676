"""Who answers for what: the office registry and the duty catalogue, checked when they load.

The catalogue names, for a category and a division, the office that leads and those that assist;
the row of the narrowest division that a place lies in decides, `*` is everywhere. Every category
has, in every division and on every day, a lead that exists and serves it, or the policy is
refused and the gap is named. So is an entry for a division that its offices never serve.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from services.router.decisions.policy.parts import Part, typed_rows
from services.router.decisions.policy.problems import Problem
from shared.divisions import CITY, DivisionCode, is_within, parent
from shared.events import CategoryCode, CategoryRow, DivisionRow, DutyRow, OfficeKind, OfficeRow

EVERYWHERE: Final = "*"
_FIRST: Final = date.min.isoformat()
_LAST: Final = date.max.isoformat()


@dataclass(frozen=True, slots=True)
class Office:
    """A desk, department, utility, committee or outside body. `divisions` is empty for all.

    `of_community`: a body of a community, which holds only what a community may lead.
    """

    id: str
    zh: str
    en: str
    kind: OfficeKind
    divisions: frozenset[str]
    phone: str | None
    since: str
    until: str
    of_community: bool = False

    @property
    def valid_from(self) -> str | None:
        """The first day of it; None for no limit."""
        return None if self.since == _FIRST else self.since

    @property
    def valid_to(self) -> str | None:
        """The first day without it; None for no limit."""
        return None if self.until == _LAST else self.until

    def exists(self, day: str) -> bool:
        """Whether there is such an office on a day."""
        return self.since <= day and (day < self.until or self.until == _LAST)

    def serves(self, division: str) -> bool:
        """Whether it answers in a division: one of its own, or one that lies in one of them."""
        return not self.divisions or any(code in self.divisions for code in _upwards(division))

    def reaches(self, division: str) -> bool:
        """Whether it answers in a division, or somewhere in it."""
        within = any(is_within(code, division) for code in self.divisions)
        return within or self.serves(division)


@dataclass(frozen=True, slots=True)
class Duty:
    """An entry of the catalogue: who leads, and who assists, in which division; `*` for all."""

    lead: Office
    assisting: tuple[Office, ...]
    division: str = EVERYWHERE

    def there(self, division: str, day: str) -> "Duty":
        """The entry with those who assist in this division on this day."""
        kept = tuple(one for one in self.assisting if one.exists(day) and one.serves(division))
        return self if kept == self.assisting else replace(self, assisting=kept)


@dataclass(frozen=True, slots=True, eq=False)
class Duties:
    """The duty catalogue: of each category, the entries by division."""

    offices: Mapping[str, Office]
    entries: Mapping[tuple[CategoryCode, str], Sequence[Duty]]

    def of(self, category: CategoryCode, division: str, day: date) -> Duty | None:
        """Who leads and assists in a division on a day; None for a category that is unknown."""
        today = day.isoformat()
        for duty in self.candidates(category, division):
            if duty.lead.exists(today):
                return duty.there(division, today)
        return None

    def candidates(self, category: CategoryCode, division: str) -> Iterator[Duty]:
        """The entries that fit a place, those of the narrowest division first."""
        for code in (*_upwards(division), EVERYWHERE):
            for duty in self.entries.get((category, code), ()):
                if duty.lead.serves(division):
                    yield duty


def _upwards(division: str) -> Iterator[str]:
    code = DivisionCode(division)
    while code != CITY:
        yield code
        code = parent(code)


def read_offices(
    part: Part, divisions: Mapping[str, DivisionRow], problems: list[Problem]
) -> dict[str, Office]:
    """The offices by id: each with names, and serving divisions that are listed."""
    found: dict[str, Office] = {}
    for n, row in typed_rows(part, OfficeRow, problems):
        problems.extend(part.problem(row.id, said, row=n) for said in _office(row, divisions))
        if row.id in found:
            problems.append(part.problem(row.id, "this id is said twice", row=n))
        found[row.id] = Office(
            id=row.id,
            zh=row.zh,
            en=row.en,
            kind=row.kind,
            divisions=frozenset(_served(row)),
            phone=row.phone,
            since=row.valid_from or _FIRST,
            until=row.valid_to or _LAST,
            of_community=row.of_community,
        )
    return found


def _served(row: OfficeRow) -> list[str]:
    return [] if row.divisions == EVERYWHERE else row.divisions.split(";")


def _office(row: OfficeRow, divisions: Mapping[str, DivisionRow]) -> Iterator[str]:
    if not row.id.strip() or not row.zh.strip() or not row.en.strip():
        yield "id, zh and en may not be empty"
    for code in _served(row):
        if code not in divisions:
            yield f"serves {code!r}, which is not a listed division; write * for all"
    for day in filter(None, (row.valid_from, row.valid_to)):
        if not _is_day(day):
            yield f"{day!r} is no day: write YYYY-MM-DD"


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def read_duties(
    part: Part,
    offices: Mapping[str, Office],
    categories: Mapping[str, CategoryRow],
    divisions: Mapping[str, DivisionRow],
    problems: list[Problem],
) -> Duties:
    """The catalogue, if its rows name what exists and leave no gap."""
    entries: dict[tuple[CategoryCode, str], list[Duty]] = {}
    for n, row in typed_rows(part, DutyRow, problems):
        assisting = tuple(filter(None, row.assisting.split(";")))
        unknown = [one for one in (row.lead, *assisting) if one not in offices]
        wrong = [f"{one!r} is not a listed office" for one in unknown]
        if row.category not in categories:
            wrong.append("this is not a listed category")
        if row.division != EVERYWHERE and row.division not in divisions:
            wrong.append(f"{row.division!r} is not a listed division; write * for all")
        named = [offices[one] for one in (row.lead, *assisting) if one in offices]
        wrong += [
            f"{one.id!r} serves nothing in {row.division}"
            for one in named
            if row.division != EVERYWHERE and not one.reaches(row.division)
        ]
        problems.extend(part.problem(row.category, said, row=n) for said in wrong)
        if not wrong:
            lead, *others = named
            entry = Duty(lead, tuple(others), row.division)
            entries.setdefault((row.category, row.division), []).append(entry)
    duties = Duties(offices, entries)
    if not any(problem.file == part.file for problem in problems):
        problems.extend(
            part.problem(category, said) for category, said in _gaps(duties, categories, divisions)
        )
    return duties


def _gaps(
    duties: Duties, categories: Iterable[str], divisions: Mapping[str, DivisionRow]
) -> Iterator[tuple[CategoryCode, str]]:
    """Categories that nobody leads somewhere; of a division and what lies in it, the division."""
    special = {code for _, code in duties.entries} | {
        code for office in duties.offices.values() for code in office.divisions
    }
    for category in categories:
        # What no entry and no office names is decided as its parent is.
        named = [code for code in divisions if len(code) == len("210202") or code in special]
        without: set[str] = set()
        for code in sorted(named, key=len):
            if any(above in without for above in _upwards(code)):
                continue
            if not _always(list(duties.candidates(category, code))):
                without.add(code)
                yield category, f"has no lead office in {code} {divisions[code].name}"


def _always(candidates: Sequence[Duty]) -> bool:
    """Whether somebody leads on every day there is."""
    reached = _FIRST
    for since, until in sorted((one.lead.since, one.lead.until) for one in candidates):
        if since > reached:
            return False
        reached = max(reached, until)
    return reached == _LAST
