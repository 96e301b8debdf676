"""A person takes note of a notice."""

from __future__ import annotations

from collections import Counter

from services.escalation.store import notices
from services.escalation.store.notices import Acknowledged, Posted
from shared import tally
from shared.postgres import Transaction


async def acknowledge(tx: Transaction, posted: Posted, who: Acknowledged) -> Posted:
    """The notice, acknowledged; the first person to do so stays. `posted` is locked by `tx`."""
    if posted.acknowledged is not None:
        return posted
    await notices.acknowledge(tx, posted.id, who)
    await tally.add(tx, Counter({("notices", posted.digest.reason): -1}))
    return posted._replace(acknowledged=who)
