"""The router over HTTP: cases, why they came, queues, and officers' commands."""

from fastapi import APIRouter

from services.router.api import (
    accounts,
    answers,
    cases,
    commands,
    policy,
    queues,
    registry,
    whistles,
)

__all__ = ["routes"]

routes = APIRouter()
for part in (cases, accounts, answers, commands, queues, registry, policy, whistles):
    routes.include_router(part.routes)
