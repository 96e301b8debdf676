"""What the resident is told by a command: an officer's own words, or a template's. [F40, F41]

The template's words are kept in both languages, with its code and the policy version it is of. A
slot that nobody can fill is a refusal: nobody is sent a letter with holes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

from services.router.decisions.case import Case
from services.router.decisions.commands import (
    CallBack,
    Extend,
    HandOver,
    NotAccept,
    OfficerCommand,
    Pause,
    Refused,
    WordedCommand,
)
from services.router.decisions.policy import Policy, Template
from services.router.decisions.workflow.guards import OF_AN_OFFICE
from shared.divisions import CITY
from shared.identity import Actor

HOTLINE: Final = "12345"
"""[std] The number of the government service hotline, the same in the whole country."""
LONGEST: Final = 4_000
"""As long as an officer's own words may be."""

Both: TypeAlias = tuple[str, str]
"""In Chinese and in English."""


def noted(note: str | None) -> dict[str, str]:
    """What officers note, and the resident never sees."""
    return {} if note is None else {"note": note}


def said_to_resident(
    case: Case, command: OfficerCommand, actor: Actor, policy: Policy
) -> Mapping[str, object] | Refused:
    """What the history keeps of the words for the resident; empty for a command without any."""
    if not isinstance(command, WordedCommand):
        return {}
    if command.template is None:
        return {} if command.words is None else {command.words_in: command.words}
    template = chosen(case, command, command.template, policy)
    if isinstance(template, Refused):
        return template
    values = filled(case, command, template, actor, policy)
    if isinstance(values, Refused):
        return values
    zh = template.said({slot: both[0] for slot, both in values.items()}, "zh")
    en = template.said({slot: both[1] for slot, both in values.items()}, "en")
    if max(len(zh), len(en)) > LONGEST:
        return Refused("incomplete", f"with these slots it is longer than {LONGEST} characters")
    return {
        command.words_in: zh,
        "text_en": en,
        "template": template.code,
        "templates": policy.templates.version,
    }


def chosen(case: Case, command: WordedCommand, code: str, policy: Policy) -> Template | Refused:
    """The template of this code that is good for this case and command, the narrowest of it."""
    templates = policy.templates
    fitting = templates.fitting(case.category, command.command, case.stage, reason_of(command))
    for template in fitting:
        if template.code == code:
            return template
    where = f"GET /templates?case={case.id}&command={command.command} lists those that are good"
    if not templates.has(code):
        return Refused("incomplete", f"the policy has no template of this code; {where}")
    says = f"template {code} is not for this command of such a case, or not for this reason"
    return Refused("not_allowed_now", f"{says}; {where}")


def reason_of(command: WordedCommand) -> str | None:
    """The coded reason that a template may be for."""
    match command:
        case NotAccept() | Pause():
            return command.reason
        case CallBack():
            return command.result
    return None


def filled(
    case: Case, command: WordedCommand, template: Template, actor: Actor, policy: Policy
) -> Mapping[str, Both] | Refused:
    """Each slot of a template with what stands in it."""
    given = command.slots
    if unknown := given.keys() - set(template.asks):
        asks = ", ".join(template.asks) or "none"
        says = f"{len(unknown)} of these slots are not yours to fill in {template.code}"
        return Refused("incomplete", f"{says}; it asks for: {asks}")
    if missing := [slot for slot in template.asks if slot not in given]:
        return Refused("incomplete", f"template {template.code} needs: {', '.join(missing)}")
    known = of_itself(case, command, actor, policy)
    if empty := [slot for slot in template.slots if slot not in known and slot not in given]:
        says = f"this case has nothing for {', '.join(empty)}: take another template"
        return Refused("incomplete", says)
    return {slot: known[slot] if slot in known else (given[slot],) * 2 for slot in template.slots}


def of_itself(
    case: Case, command: WordedCommand, actor: Actor, policy: Policy
) -> Mapping[str, Both]:
    """The slots that fill themselves, so far as there is something to say."""
    office = actor.office or office_speaking(case, actor.division, actor.roles)
    values: dict[str, Both] = {
        "number": (case.number,) * 2,
        "unit": unit_in_words(actor.division, office, policy),
        "received": moment(case.received_at, policy),
        "hotline": (HOTLINE,) * 2,
    }
    if (row := policy.categories.get(case.category or "")) is not None:
        values["category"] = (row.zh, row.en)
    if (promised := case.clock("final_reply")) is not None:
        values["due"] = moment(promised.due_at, policy)
    match command:
        case Pause() | Extend():
            values["until"] = moment(command.until, policy)
        case NotAccept():
            values["door"] = (command.door,) * 2
        case HandOver():
            values["body"] = (command.body,) * 2
    return values


def moment(at: datetime, policy: Policy) -> Both:
    """A moment in local time, as one writes it."""
    local = at.astimezone(policy.calendar.zone)
    zh = f"{local.year}年{local.month}月{local.day}日{local:%H:%M}"
    return zh, f"{local:%Y-%m-%d %H:%M}"


def office_speaking(case: Case, division: str, roles: Iterable[str]) -> str | None:
    """The office that holds the case, if it is one of its people who speaks."""
    if case.holder == division and not OF_AN_OFFICE.isdisjoint(roles):
        return case.office
    return None


def unit_in_words(division: str, office: str | None, policy: Policy) -> Both:
    """A division, and its office if one speaks: who says something, never a person."""
    row = policy.divisions.get(division)
    name = division if row is None else row.name
    zh, en = ("市级派单台", "the city desk") if division == CITY else (name, name)
    found = policy.duties.offices.get(office or "")
    return (zh, en) if found is None else (f"{zh} {found.zh}", f"{found.en}, {en}")
