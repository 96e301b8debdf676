"""Places in the listings of the router, as clients hold them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from shared.events import Order
from shared.http import Problem, parts_of

PAGE = 100
BEGINNING = (datetime.fromisoformat("0001-01-01T00:00:00+00:00"), UUID(int=0), "")


def step_after(cursor: str) -> Order:
    """The step that a cursor names. Raises a 422 `Problem`."""
    epoch, seq = parts_of(cursor, 2)
    if not all(isinstance(part, int) and 0 <= part < 2**31 for part in (epoch, seq)):
        raise invalid_cursor()
    return Order(epoch, seq)


def line_after(cursor: str) -> tuple[datetime, UUID, str]:
    """The line of a queue that a cursor names. Raises a 422 `Problem`."""
    due_at, case_id, clock = parts_of(cursor, 3)
    try:
        line = (datetime.fromisoformat(due_at), UUID(case_id), str(clock))
    except (TypeError, ValueError, AttributeError) as wrong:
        raise invalid_cursor() from wrong
    if line[0].tzinfo is None or "\x00" in line[2]:
        raise invalid_cursor()
    return line


def queue_after(cursor: str) -> tuple[str, str]:
    """The queue that a cursor names: division and office. Raises a 422 `Problem`."""
    division, office = parts_of(cursor, 2)
    if not isinstance(division, str) or not isinstance(office, str):
        raise invalid_cursor()
    if "\x00" in division + office:
        raise invalid_cursor()
    return division, office


def invalid_cursor() -> Problem:
    """The 422 for a cursor that is not ours."""
    return Problem(
        422, "invalid-cursor", "The cursor is not one of ours: leave it out to begin anew."
    )
