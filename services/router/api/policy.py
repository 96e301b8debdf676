"""The rules in force."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from services.router.handlers.policies import policies_of
from shared.http import json, process_of

routes = APIRouter(tags=["policy"])


@routes.get("/policy", summary="The policy in force")
async def get_policy(request: Request) -> Response:
    """Version, number of divisions, categories; the limits are in the policy file."""
    policy = policies_of(process_of(request)).current
    return json(
        {
            "version": policy.version,
            "calendar": policy.calendar.version,
            "divisions": len(policy.divisions),
            "categories": len(policy.categories),
        }
    )
