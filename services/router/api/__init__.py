"""The router over HTTP: cases, why they came, queues, and officers' commands."""

from fastapi import APIRouter

from services.router.api import accounts, cases, commands, policy, queues, registry

__all__ = ["routes"]

routes = APIRouter()
for part in (cases, accounts, commands, queues, registry, policy):
    routes.include_router(part.routes)
