"""What is asked of escalation: the clocks of a case, the notices of a desk, and what comes."""

from fastapi import APIRouter

from services.escalation.api import cases, forecast, notices

__all__ = ["routes"]

routes = APIRouter()
for part in (cases, notices, forecast):
    routes.include_router(part.routes)
