"""What the router counted of its cases against the clocks that are armed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.escalation.decisions import Armed, Breaks, breaks, next_at
from services.escalation.store import armed
from shared.census import Known
from shared.events import fingerprint
from shared.postgres import Transaction

UNSOUND = "unsound"
"""The fingerprint of a case that is swept or foreseen at another time than its clocks say."""


async def look(
    tx: Transaction, ids: Sequence[UUID], after: UUID, up_to: UUID
) -> Mapping[UUID, Known]:
    """These cases as they are armed, and all that are open between two ids."""
    rows = await armed.for_census(tx, ids, after, up_to)
    return {case.case_id: known(case, swept_at, to_come) for case, swept_at, to_come in rows}


def known(case: Armed, swept_at: datetime | None, to_come: Breaks) -> Known:
    """What is armed of a case: when it is swept, and when it breaks its promises."""
    clocks = ((clock.name, clock.generation, clock.due) for clock in case.clocks)
    sound = swept_at == next_at(case) and to_come == breaks(case)
    print_ = fingerprint(case.holder, clocks) if sound else UNSOUND
    return Known(case.order, print_, case.open)
