"""What the router counted of its cases against those that are counted here."""

from __future__ import annotations

from datetime import datetime

from services.analytics import store
from shared import census, outbox
from shared.census import Voice
from shared.events import Topic
from shared.hearing import Batch
from shared.postgres import Transaction


async def hear(batch: Batch, tx: Transaction, now: datetime, clock: str) -> None:
    """Ask for what is not counted here as the router says; `clock` is the name of our own."""
    found = await census.compared(tx, batch, store.for_census)
    missed = [*found.differing, *found.strangers]
    if missed:
        voice = Voice("analytics", await outbox.epoch(tx), clock)
        await census.report(tx, Topic.ANALYTICS, missed, voice, now)
