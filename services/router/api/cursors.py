"""Places in the listings of the router, as clients hold them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.router.store.queues import BEGINNING, Place, QueueEntry
from shared.events import Order
from shared.http import cursor_of, invalid_cursor, parts_of

PAGE = 100


def step_after(cursor: str) -> Order:
    """The step that a cursor names. Raises a 422 `Problem`."""
    epoch, seq = parts_of(cursor, 2)
    if not all(isinstance(part, int) and 0 <= part < 2**31 for part in (epoch, seq)):
        raise invalid_cursor()
    return Order(epoch, seq)


def line_after(cursor: str | None) -> Place:
    """The line of a queue that a cursor names; without one, before the first. Raises a 422."""
    if cursor is None:
        return BEGINNING
    rank, due_at, case_id, clock = parts_of(cursor, 4)
    try:
        line = Place(int(rank), datetime.fromisoformat(due_at), UUID(case_id), str(clock))
    except (TypeError, ValueError, AttributeError) as wrong:
        raise invalid_cursor() from wrong
    if line.rank not in (0, 1) or line.due_at.tzinfo is None or "\x00" in line.clock:
        raise invalid_cursor()
    return line


def line_cursor(entry: QueueEntry) -> str:
    """The cursor of a line."""
    return cursor_of([entry.rank, entry.due_at.isoformat(), str(entry.case_id), entry.clock])


def queue_after(cursor: str) -> tuple[str, str]:
    """The queue that a cursor names: division and office. Raises a 422 `Problem`."""
    division, office = parts_of(cursor, 2)
    if not isinstance(division, str) or not isinstance(office, str):
        raise invalid_cursor()
    if "\x00" in division + office:
        raise invalid_cursor()
    return division, office
