"""Who there is: divisions with what lies in them, offices, and who answers for what."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from services.router.decisions.policy import Office, Policy
from services.router.handlers.policies import policies_of
from shared.divisions import CITY, DivisionCode, parent, tier_of
from shared.http import Problem, json, process_of

routes = APIRouter(tags=["who answers for what"])


def policy_of(request: Request) -> Policy:
    """The policy in force, as it is today (promise time)."""
    process = process_of(request)
    policy = policies_of(process).current
    return policy.on(process.clock.now().astimezone(policy.calendar.zone).date())


@routes.get("/divisions/{code}", summary="A division, and those right below it")
async def get_division(request: Request, code: str) -> Response:
    """Code, name and tier; `city` lists the districts."""
    policy = policy_of(request)
    row = policy.divisions.get(code)
    if row is None and code != CITY:
        raise Problem(404, "no-such-division", "No division of this code is known.")
    children = [
        {"code": one.code, "name": one.name}
        for one in policy.divisions.values()
        if parent(DivisionCode(one.code)) == code
    ]
    tier = tier_of(DivisionCode(code))
    name = None if row is None else row.name
    return json({"code": code, "name": name, "tier": tier, "children": children})


@routes.get("/offices", summary="The office registry")
async def get_offices(request: Request) -> Response:
    """Desks, departments, utilities, committees, outside bodies: where and when they serve.

    Those of yesterday and of tomorrow too: `valid_to` is the first day without it.
    """
    offices = policy_of(request).duties.offices.values()
    return json({"offices": [office_view(office) for office in offices]})


def office_view(office: Office) -> dict[str, Any]:
    """An office in the registry's words."""
    return {
        "id": office.id,
        "zh": office.zh,
        "en": office.en,
        "kind": office.kind,
        "divisions": sorted(office.divisions) or ["*"],
        "phone": office.phone,
        "of_community": office.of_community,
        "valid_from": office.valid_from,
        "valid_to": office.valid_to,
    }


@routes.get("/duties", summary="Who leads a matter in a division, and who assists")
async def get_duty(
    request: Request,
    category: Annotated[str, Query(max_length=20)],
    division: Annotated[str, Query(max_length=15)] = CITY,
) -> Response:
    """The entry of the duty catalogue that decides today, and whether a community may lead."""
    policy = policy_of(request)
    row = policy.categories.get(category)
    if row is None:
        raise Problem(404, "no-such-category", "No category of this code is known.")
    if division != CITY and division not in policy.divisions:
        raise Problem(404, "no-such-division", "No division of this code is known.")
    duty = policy.duty(category, division)
    if duty is None:
        raise Problem(404, "no-lead", "Nobody leads this everywhere: name a division.")
    return json(
        {
            "category": category,
            "division": division,
            "entry": duty.division,
            "community_may_lead": row.community_may_lead,
            "lead": office_view(duty.lead),
            "assisting": [office_view(office) for office in duty.assisting],
        }
    )
