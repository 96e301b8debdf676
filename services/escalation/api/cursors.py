"""Places in the listings of escalation, as clients hold them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from pydantic import AwareDatetime, TypeAdapter

from services.escalation.store.forecast import BEGINNING, Place
from shared.divisions import parse_code
from shared.http import cursor_of, invalid_cursor, parts_of

NOTICE = TypeAdapter(tuple[AwareDatetime, UUID])
CASE = TypeAdapter(tuple[AwareDatetime, str, UUID])


def notice_after(cursor: str) -> tuple[datetime, UUID]:
    """The notice that a cursor names. Raises a 422 `Problem`."""
    try:
        posted_at, id_ = NOTICE.validate_python(parts_of(cursor, 2))
        return posted_at.astimezone(UTC), id_
    except (ValueError, OverflowError) as wrong:
        raise invalid_cursor() from wrong


def case_after(cursor: str | None) -> Place:
    """The case of a forecast that a cursor names; without one, before the first. Raises a 422."""
    if cursor is None:
        return BEGINNING
    try:
        due_at, holder, case_id = CASE.validate_python(parts_of(cursor, 3))
        return Place(due_at.astimezone(UTC), parse_code(holder), case_id)
    except (ValueError, OverflowError) as wrong:
        raise invalid_cursor() from wrong


def case_cursor(place: Place) -> str:
    """The cursor of a case in a forecast."""
    return cursor_of([place.due_at.isoformat(), place.holder, str(place.case_id)])
