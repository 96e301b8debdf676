"""A policy version as the value that every decision of the router takes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, Literal

from services.router.decisions.policy.offices import Duties, Duty, Office, read_duties, read_offices
from services.router.decisions.policy.parts import Part, PartKind, Parts
from services.router.decisions.policy.problems import PolicyRefused, Problem
from services.router.decisions.policy.sections import ClockSettings
from services.router.decisions.policy.settings import Settings, parse_settings, raw_settings
from services.router.decisions.policy.statutes import CLOCK_LIMITS, broken_by_settings
from services.router.decisions.policy.tables import (
    check_classes,
    check_places,
    check_vocabulary,
    read_calendar,
    read_categories,
    read_divisions,
)
from services.router.decisions.policy.templates import NO_TEMPLATES, Templates, read_templates
from services.router.decisions.policy.terms import (
    URGENCIES,
    ClockName,
    ClockOwner,
    ClockStart,
    ClockWhen,
)
from shared.business_time import Calendar, DutyHours, parse_duty
from shared.divisions import Tier
from shared.durations import Limit
from shared.events import (
    CategoryCode,
    CategoryRow,
    DivisionRow,
    OnBreach,
    PolicyPartKind,
    Track,
    Urgency,
)

_HANDED_OFF: Final = frozenset({"legal_route", "follow_up"})
_SHORT: Final = timedelta(hours=2)
_NEEDED: Final[tuple[PolicyPartKind, ...]] = (
    "settings", "divisions", "categories", "calendar", "offices", "duties",
)  # fmt: skip
_MAY_LACK: Final[tuple[PartKind, ...]] = (
    "places", "vocabulary", "classes", "model", "templates",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClockRule:
    """One promise of the policy: when it runs, how long, whose it is, what a breach does.

    `limits` is by urgency, empty for the tier clock, whose limit is the tier's share.
    """

    name: ClockName
    tracks: frozenset[Track]
    when: ClockWhen | None
    start: ClockStart
    limits: Mapping[Urgency, Limit]
    legal_route: Limit | None
    owner: ClockOwner
    on_breach: OnBreach
    repeat_every: timedelta | None
    repeat_every_u1: timedelta | None

    def limit_for(self, urgency: Urgency, *, legal_route: bool = False) -> Limit | None:
        """How long the promise has; None where the budget of the tier or an agreement decides."""
        if legal_route and self.legal_route is not None:
            return self.legal_route
        return self.limits.get(urgency)

    def repeat_for(self, urgency: Urgency) -> timedelta | None:
        """How often a breach is said again; None for once."""
        if urgency == "U1" and self.repeat_every_u1 is not None:
            return self.repeat_every_u1
        return self.repeat_every


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """Everything a version says, checked. Two versions are never compared: their number is."""

    version: int
    settings: Settings
    clocks: Mapping[ClockName, ClockRule]
    categories: Mapping[str, CategoryRow]
    resolve_limits: Mapping[str, Limit]
    divisions: Mapping[str, DivisionRow]
    duties: Duties
    calendar: Calendar
    duty_hours: Mapping[Literal["grid", "offices"], DutyHours]
    day: date = date.max
    templates: Templates = NO_TEMPLATES

    def on(self, day: date, today: date | None = None) -> "Policy":
        """The policy of that day: divisions and offices that are past or to come are not in it.

        With `today`, the offices are those of another day: who answers now in divisions of then.
        """
        return _on(self, day, today or day)

    def in_words_of(self, newest: "Policy") -> "Policy":
        """The same policy with the templates of another version.

        Promises and limits stay those that a case was opened under; words are those of today.
        """
        return self if newest.version == self.version else _in_words(self, newest)

    def office(self, id_: str) -> Office | None:
        """An office that exists on the day of the policy; the registry knows the others too."""
        found = self.duties.offices.get(id_)
        return found if found is not None and found.exists(self.day.isoformat()) else None

    def duty(self, category: CategoryCode, division: str) -> Duty | None:
        """Who leads a matter in a division, and who assists; None for what nobody knows."""
        return self.duties.of(category, division, self.day)

    def tier_percent(self, tier: Tier, first: Tier) -> int:
        """The share of the final reply that `tier` has, for a case that started in `first`.

        A case that starts higher keeps the shares of the tiers it never saw. [ours]
        """
        budget = self.settings.tier_budget
        share = budget.of(tier)
        if tier is first and budget.unused_lower_budget_goes_to_first_tier:
            ladder = list(Tier)
            share += sum(budget.of(lower) for lower in ladder[: ladder.index(first)])
        return share

    def warn_percents(self, length: timedelta) -> tuple[int, ...]:
        """When a clock of this length warns, in percent of it; a short clock warns less often."""
        if length < _SHORT:
            return self.settings.warn_at_percent_under_2h
        return self.settings.warn_at_percent


@lru_cache(maxsize=64)
def _on(policy: Policy, day: date, today: date) -> Policy:
    then = day.isoformat()
    listed = {code: row for code, row in policy.divisions.items() if _exists(row, then)}
    return replace(policy, divisions=listed, day=today)


@lru_cache(maxsize=64)
def _in_words(policy: Policy, newest: Policy) -> Policy:
    return replace(policy, templates=newest.templates)


def _exists(row: DivisionRow, day: str) -> bool:
    return (row.valid_from or day) <= day and (row.valid_to is None or day < row.valid_to)


def parse_policy(version: int, parts: Parts, *, years: Iterable[int] = ()) -> Policy:
    """The policy that these parts say, from files or from rows as they travel.

    `years` are those a promise may fall into, so the calendar must speak of them. Raises
    PolicyRefused with every problem of every part.
    """
    problems = [problem for part in parts.values() for problem in part.problems]
    given: dict[PartKind, Part] = {kind: Part(kind, ()) for kind in (*_NEEDED, *_MAY_LACK)}
    given |= {kind: part for kind, part in parts.items()}
    for kind in _NEEDED:
        if not given[kind].rows and not given[kind].problems:
            problems.append(given[kind].problem("-", f"the {kind} are missing"))
    settings, misshapen = parse_settings(given["settings"])
    problems += misshapen
    problems += broken_by_settings(given["settings"])
    divisions = read_divisions(given["divisions"], problems)
    categories, limits = read_categories(given["categories"], problems)
    if divisions:
        check_places(given["places"], divisions, problems)
    if categories:
        check_vocabulary(given["vocabulary"], categories, problems)
        check_classes(given["classes"], given["model"], categories, problems)
    offices = read_offices(given["offices"], divisions, problems)
    duties = read_duties(given["duties"], offices, categories, divisions, problems)
    templates = read_templates(version, given["templates"], categories, problems)
    problems += _lists(given["settings"], categories)
    calendar = read_calendar(given["calendar"], settings, years, problems)
    if problems or settings is None or calendar is None:
        raise PolicyRefused(problems)
    return Policy(
        version=version,
        settings=settings,
        clocks={name: _rule(name, clock, settings) for name, clock in settings.clocks.items()},
        categories=categories,
        resolve_limits=limits,
        divisions=divisions,
        duties=duties,
        calendar=calendar,
        duty_hours={
            "grid": parse_duty(settings.duty_hours.grid, calendar),
            "offices": parse_duty(settings.duty_hours.offices, calendar),
        },
        templates=templates,
    )


def _lists(part: Part, categories: Mapping[str, CategoryRow]) -> Iterator[Problem]:
    """The categories that `first_tier` names exist; those to be handed off are of that track."""
    said = raw_settings(part).get("first_tier")
    for name, codes in said.items() if isinstance(said, dict) else ():
        for n, code in enumerate(codes if isinstance(codes, list) else ()):
            row = categories.get(str(code))
            if row is None:
                yield part.problem(f"first_tier.{name}.{n}", f"{code} is not a listed category")
            elif name in _HANDED_OFF and row.track != "handoff":
                yield part.problem(f"first_tier.{name}.{n}", f"{code} is not handed off")


def _rule(name: ClockName, clock: ClockSettings, settings: Settings) -> ClockRule:
    return ClockRule(
        name=name,
        tracks=frozenset(clock.tracks),
        when=clock.when,
        start=clock.start,
        limits=_limits(name, clock, settings),
        legal_route=clock.limit_legal_route,
        owner=clock.owner,
        on_breach=clock.on_breach,
        repeat_every=clock.repeat_every,
        repeat_every_u1=clock.repeat_every_U1,
    )


def _limits(name: ClockName, clock: ClockSettings, settings: Settings) -> dict[Urgency, Limit]:
    by_urgency = (clock.limit_U1, clock.limit_U2, clock.limit_U3, clock.limit_U4)
    own = {u: limit for u, limit in zip(URGENCIES, by_urgency, strict=True) if limit is not None}
    match clock.limit:
        case Limit() as limit:
            return dict.fromkeys(URGENCIES, limit) | own
        case "by_urgency":
            return {u: settings.urgency[u].final_reply for u in URGENCIES} | own
        case "tier_budget" | "as_agreed":
            return own
        case None:
            section, _, key = CLOCK_LIMITS[name].partition(".")
            return dict.fromkeys(URGENCIES, getattr(getattr(settings, section), key))
