"""Steps of a case as they are read: how it stood at each, and whether the caller may know of it.

A history may be long; what a page costs does not depend on that. Every so many steps keep the whole
case, and a page is read from the last of those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from services.router import store
from services.router.decisions.case import Case, after_each, as_it_stood
from services.router.decisions.workflow import may_know
from services.router.store.history import HistoryRow
from shared.events import Order
from shared.http import cursor_of
from shared.identity import Actor
from shared.postgres import Transaction

BEGINNING = Order(0, 0)
END = Order(2**31 - 1, 2**31 - 1)
LOOKED_AT = 200
"""So many steps are looked at for one page of what only some of them say."""
One = TypeVar("One")


class Stood(NamedTuple):
    """A step, the case before and after it, and whether the caller may know of it."""

    row: HistoryRow
    before: Case | None
    case: Case
    known: bool

    @property
    def order(self) -> Order:
        """Its place in the history."""
        return order_of(self.row)


def order_of(row: HistoryRow) -> Order:
    """The place of a step in its history."""
    return Order(row.epoch, row.seq)


async def stood(
    tx: Transaction, case_id: UUID, rows: Sequence[HistoryRow], who: Actor | None
) -> list[Stood]:
    """Steps that follow each other, as they stood; without `who`, of its resident."""
    if not rows:
        return []
    first = order_of(rows[0])
    base = await store.history.base_before(tx, case_id, first)
    after = BEGINNING if base is None else base.order
    between = await store.history.changes_between(tx, case_id, after, first)
    earlier = [*([] if base is None else [base.whole]), *between]
    cases = [*after_each([*earlier, *(row.changed for row in rows)])]
    known = [True] * len(cases) if who is None else [*may_know(cases, who)]
    n = len(earlier)
    befores = [None, *cases]
    return [Stood(*one) for one in zip(rows, befores[n:-1], cases[n:], known[n:], strict=True)]


async def case_at(tx: Transaction, case_id: UUID, moment: datetime) -> Case | None:
    """A case as it stood at a moment of promise time; None before it was opened."""
    base = await store.history.base_at(tx, case_id, moment)
    changes = [] if base is None else [base.whole]
    after = BEGINNING if base is None else base.order
    while rows := await store.history.page(tx, case_id, after, LOOKED_AT):
        changes += [row.changed for row in rows if row.at <= moment]
        if rows[-1].at > moment:
            break
        after = order_of(rows[-1])
    return as_it_stood(changes)


def paged(
    found: Sequence[One], limit: int, place: Callable[[One], Order], looked_up_to: Order | None
) -> tuple[Sequence[One], str | None]:
    """The page of what was found, and its cursor: behind it, or behind all that was looked at.

    `looked_up_to` is the last step that was looked at, where more follow.
    """
    page = found[:limit]
    at = place(page[-1]) if len(found) > limit else looked_up_to
    return page, None if at is None else cursor_of([*at])
