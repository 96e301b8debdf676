"""About whose area a question is, and whether it is the caller's."""

from __future__ import annotations

from fastapi import Request

from shared.divisions import parse_code
from shared.http import Problem, officer
from shared.identity import Actor


def division_of(unit: str) -> str:
    """The division that a caller names. Raises a 422 `Problem`."""
    try:
        return parse_code(unit)
    except ValueError as wrong:
        raise Problem(422, "invalid-division", str(wrong)) from wrong


def officer_of(request: Request, division: str, office: str | None) -> Actor:
    """Who asks, if that is an officer for this division, and for this office where he has one.

    Raises a 401 or 403 `Problem`.
    """
    who = officer(request)
    if not who.acts_for(division):
        raise Problem(
            403, "not-your-area", "Your token is for another area: ask the office that holds this."
        )
    if who.office not in (None, office):
        raise Problem(403, "not-your-office", f"Your token acts for the office {who.office} only.")
    return who
