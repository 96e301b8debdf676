"""Cases under the project's own policy in one street of Shahekou, and the officers they meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Literal, get_args
from uuid import UUID

import services.router
from services.router.decisions.case import Case
from services.router.decisions.commands import (
    OFFICER_COMMAND,
    ApplyOrder,
    Changed,
    Decision,
    OfficerCommand,
    Open,
    Refused,
)
from services.router.decisions.policy import PartKind, Policy, Role, parse_policy, read_part
from services.router.decisions.routing import Facts
from services.router.decisions.workflow import decide
from shared.divisions import CITY, Tier
from shared.events import Order
from shared.identity import Actor, service_actor

DATA = Path(services.router.__file__).parent / "data"
FILES: Mapping[PartKind, str] = {
    "settings": "policy.yaml",
    "categories": "categories.csv",
    "divisions": "divisions.csv",
    "calendar": "calendar.csv",
    "offices": "offices.csv",
    "duties": "duties.csv",
    "templates": "templates.csv",
}
DISTRICT, STREET = "210204", "210204005"
COMMUNITY, GRID = "210204005001", "210204005001001"
NEXT_GRID, NEXT_COMMUNITY, NEXT_STREET = "210204005001002", "210204005002", "210204004"
LADDER = (GRID, COMMUNITY, STREET, DISTRICT)
ROLES = {
    GRID: "grid_head",
    NEXT_GRID: "grid_head",
    COMMUNITY: "community_officer",
    NEXT_COMMUNITY: "community_officer",
    STREET: "street_dispatcher",
    NEXT_STREET: "street_dispatcher",
    DISTRICT: "district_dispatcher",
    CITY: "city_dispatcher",
}
LOCAL = timezone(timedelta(hours=8))
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
CASE = UUID(int=1)
ROUTER, ESCALATION = service_actor("router"), service_actor("escalation")

TASK_COMMANDS = (
    "report_in", "refuse_task", "decide_objection", "finish_task", "conference_decides",
)  # fmt: skip
RUBBISH, WISH, LAMP, BUS = "E0102", "W01", "P0202", "L09"  # a grid's, a street's, a district's
MANHOLE, FIRE, QUESTION, DISPUTE = "P0101", "X119", "C01", "D02"


@cache
def shipped_policy() -> Policy:
    """The policy that comes with the project."""
    return parse_policy(
        1, {kind: read_part(kind, (DATA / file).read_text(), file) for kind, file in FILES.items()}
    )


def at(text: str) -> datetime:
    """A moment of local time, "2024-05-20 10:00", in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=LOCAL).astimezone(UTC)


NOON = at("2024-05-20 10:00")  # a Monday within all duty hours


def sure(category: str, division: str = GRID) -> Facts:
    """What a reader is sure of."""
    return Facts(division=division, category=category, basis="suggested", confidence=0.9)


def unclear(division: str = GRID) -> Facts:
    """A petition that says where, and not what."""
    return Facts(division=division)


def petition(
    facts: Facts, received: datetime = NOON, *, contact: bool = True, case: UUID = CASE
) -> Open:
    """A petition as the router hears of it."""
    return Open(case, "20240520-000001-7", "phone", "report", received, contact, facts, Order(1, 1))


def opened(facts: Facts, received: datetime = NOON, *, contact: bool = True) -> Case:
    """Its case, opened at once."""
    decision = decide(
        None, petition(facts, received, contact=contact), ROUTER, shipped_policy(), received
    )
    assert isinstance(decision, Changed)
    return decision.case


def officer(division: str, *roles: str) -> Actor:
    """An officer of a division; without roles the one who answers for it."""
    return Actor("somebody", frozenset(roles or (ROLES[division],)), division)


def cadre(division: str = STREET) -> Actor:
    """Who owes the 24 hours' answer."""
    return officer(division, "street_cadre")


def command(name: str, **fields: object) -> OfficerCommand:
    """A command as it comes over HTTP."""
    return OFFICER_COMMAND.validate_python({"command": name} | fields)


def examples(now: datetime = NOON) -> dict[str, OfficerCommand]:
    """One good command of each kind."""
    return {
        "classify": command("classify", category=RUBBISH),
        "place": command("place", division=GRID),
        "sign": command("sign"),
        "verify": command("verify", at=now, finding="a heap", evidence="photo 1"),
        "reply": command("reply", text="it is gone by tonight"),
        "answer": command("answer", text="in the town hall, room 3"),
        "resolve": command("resolve", result="it is gone"),
        "close": command("close", callback="answered"),
        "return": command("return", reason="not_in_my_power"),
        "reroute": command("reroute", division=NEXT_GRID, reason="workload"),
        "promote": command("promote", reason="beyond_authority"),
        "hand_over": command("hand_over", body="fire brigade", at=now, reference="119-7"),
        "not_accept": command(
            "not_accept", reason="legal_route", door="the court", text="go there"
        ),
        "call_back": command("call_back", result="solved", satisfied=True),
        "reopen": command("reopen", reason="came_back"),
        "assign": command("assign", to="li"),
        "recall": command("recall"),
        "pause": command(
            "pause", reason="waiting_for_petitioner", until=now + HOUR, text="which flat is it?"
        ),
        "resume": command("resume"),
        "extend": command(
            "extend", until=now + timedelta(days=9), reason="a part is missing", text="by then"
        ),
        "grant_extension": command("grant_extension"),
        "decline_extension": command("decline_extension", note="there is time enough"),
        "ask_whistle": command("ask_whistle", note="the grid cannot move it alone"),
        "whistle": command(
            "whistle", offices=["city-management"], reason="needs_department", note="come"
        ),
        "give_task": command("give_task", kind="copy", note="for your information"),
        "report_in": command("report_in", task=1, on_site=now + HOUR),
        "refuse_task": command("refuse_task", task=1, reason="not_in_our_power", note="not ours"),
        "decide_objection": command("decide_objection", task=1, decision="overrule", note="it is"),
        "finish_task": command("finish_task", task=1, result="seen"),
        "withdraw_task": command("withdraw_task", task=1, note="no longer needed"),
        "call_conference": command(
            "call_conference", members=["housing", "lighting"], meets_at=now + HOUR, note="come"
        ),
        "conference_decides": command("conference_decides", division=DISTRICT, note="it is yours"),
    }


def decided(
    case: Case,
    asked: str | OfficerCommand | ApplyOrder,
    actor: Actor | None = None,
    now: datetime = NOON,
) -> Decision:
    """What a command comes to, given by the holder unless it says otherwise."""
    whole = examples(now)[asked] if isinstance(asked, str) else asked
    if (asked, case.track) == ("close", "consult"):
        whole = command("close")
    if actor is None:
        actor = ESCALATION if isinstance(whole, ApplyOrder) else officer(case.holder)
        if not isinstance(whole, ApplyOrder):
            actor = giver(whole.command, case)
    return decide(case, whole, actor, shipped_policy(), now)


def giver(name: str, case: Case) -> Actor:
    """Who gives such a command, as a rule."""
    match name:
        case "reply":
            return cadre(CITY)
        case "close" | "call_back":
            return replace(officer(CITY, "hotline_agent"), subject="another")
        case "grant_extension" | "decline_extension":
            return replace(officer(case.holder, "office_head"), subject="the head")
        case "recall":
            return officer(case.given_by or case.holder)
        case "ask_whistle" | "whistle" | "call_conference":
            return officer(case.holder, "grid_head", "community_officer", "street_dispatcher")
        case _ if name in TASK_COMMANDS:
            return Actor("somebody", frozenset(get_args(Role)), CITY)
        case _:
            return officer(case.holder)


def changed(
    case: Case,
    asked: str | OfficerCommand | ApplyOrder,
    actor: Actor | None = None,
    now: datetime = NOON,
) -> Changed:
    """The step of a command that is taken."""
    decision = decided(case, asked, actor, now)
    assert isinstance(decision, Changed), decision
    return decision


def done(
    case: Case,
    asked: str | OfficerCommand | ApplyOrder,
    actor: Actor | None = None,
    now: datetime = NOON,
) -> Case:
    """The case after a command that is taken."""
    return changed(case, asked, actor, now).case


def refusal(
    case: Case,
    asked: str | OfficerCommand | ApplyOrder,
    actor: Actor | None = None,
    now: datetime = NOON,
) -> Refused:
    """What is said to a command that is not taken."""
    decision = decided(case, asked, actor, now)
    assert isinstance(decision, Refused), decision
    return decision


def refused(
    case: Case,
    asked: str | OfficerCommand | ApplyOrder,
    actor: Actor | None = None,
    now: datetime = NOON,
) -> str:
    """Why a command is not taken."""
    return refusal(case, asked, actor, now).reason


def why_not(
    case: Case,
    asked: str | OfficerCommand | ApplyOrder,
    actor: Actor | None = None,
    now: datetime = NOON,
) -> str:
    """The same in words."""
    return refusal(case, asked, actor, now).says


def order(case: Case, clock: str = "tier", /, **changes: object) -> ApplyOrder:
    """The order that a breach of this clock gives."""
    running = case.clock(clock)
    assert running is not None, [one.name for one in case.clocks]
    action: Literal["promote", "supervise"] = (
        "promote" if running.on_breach == "promote" else "supervise"
    )
    fresh = ApplyOrder(UUID(int=9), clock, running.generation, case.tier, action)
    return replace(fresh, **changes)  # type: ignore[arg-type]


def climbed(case: Case, tier: Tier, now: datetime = NOON) -> Case:
    """The case after nobody solved it below this tier."""
    while case.tier is not tier:
        case = done(case, order(case), now=now)
    return case


def resolved(case: Case, now: datetime = NOON) -> Case:
    """The case after it was signed and dealt with."""
    solver = replace(officer(case.holder), subject="who solved it")
    return done(done(case, "sign", now=now), "resolve", solver, now)
