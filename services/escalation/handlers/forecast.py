"""What is foreseen for the whole city, as gauges: exact up to 100,000 cases, the nearest ones.

They are read as often as a hundredth of this timer's time allows: with many cases due, less often.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from services.escalation.decisions import NO_TIER, OUTCOMES
from services.escalation.metrics import FORECAST, HOURS
from services.escalation.store import forecast
from services.escalation.store.forecast import WHOLE_CITY
from shared.divisions import Tier
from shared.postgres import Transaction
from shared.service import Process, Timer

MOST = 100_000
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
REST = 100


async def show_forecast(tx: Transaction, now: datetime) -> None:
    """Set the gauges; what is not counted is 0."""
    hours = {now + timedelta(hours=n): n for n in HOURS}
    counted = {
        (one.outcome, one.tier, hours[one.until]): one.cases
        for one in await forecast.counts(tx, list(hours), WHOLE_CITY, MOST)
    }
    for action in OUTCOMES:
        for tier in (*Tier, NO_TIER):
            for n in HOURS:
                FORECAST.labels(action, tier, n).set(counted.get((action, tier, n), 0))


async def step(process: Process) -> float:
    """Each second while that is cheap."""
    began = time.monotonic()
    async with process.pool.acquire(timeout=10) as connection:
        await show_forecast(connection, process.clock.now())
    return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, REST * (time.monotonic() - began)))


FORESEE = Timer("forecast", "sweep", step)
