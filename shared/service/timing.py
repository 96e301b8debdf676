"""What a service does by itself, again and again."""

from __future__ import annotations

import asyncio
import time

from shared import hearing, heartbeat, kafka, outbox, postgres, tally, telemetry
from shared.clock import wall
from shared.service.process import Process, Timer


async def keep_time(process: Process, timer: Timer) -> None:
    """Run a timer's step again and again."""
    while True:
        pause = await timer.step(process)
        process.health.well(timer.name)
        if pause > 0:
            await asyncio.sleep(pause)


MEASURED = (
    telemetry.OUTBOX_DEPTH,
    telemetry.OUTBOX_AGE,
    telemetry.PARKED_NOW,
    telemetry.CLOCK_SKEW,
)


async def fold(process: Process) -> float:
    """Each second: fold the counts and measure; what cannot be measured is not shown as it was."""
    try:
        return await measure(process)
    except BaseException:
        for gauge in MEASURED:
            gauge.set(float("nan"))
        raise


async def measure(process: Process) -> float:
    """Fold the counts, measure outbox, heartbeats, parked and skew."""
    async with postgres.transaction(process.pool, "timer") as tx:
        await tally.fold(tx)
    async with process.pool.acquire(timeout=10) as connection:
        depth, age = await outbox.waiting(connection)
        telemetry.OUTBOX_DEPTH.set(depth)
        telemetry.OUTBOX_AGE.set(age)
        if process.settings.heartbeat_seconds:
            await heartbeat.show_ages(connection, process.service.name, process.since)
        telemetry.PARKED_NOW.set(await hearing.parked_count(connection))
        asked = wall()
        skew = await connection.fetchval("select clock_timestamp()") - asked
        telemetry.CLOCK_SKEW.set(skew.total_seconds())
    if abs(skew.total_seconds()) > 2:
        process.health.degraded("skew", f"the database's clock differs by {skew}")
    else:
        process.health.well("skew")
    return 1.0


FOLD = Timer("fold", "sweep", fold)


async def watch_loop(process: Process) -> None:
    """How late does the event loop wake us, and how far behind are we, also when nothing moves?"""
    while True:
        due = time.monotonic() + 0.5
        await asyncio.sleep(0.5)
        telemetry.LOOP_LAG.observe(max(0.0, time.monotonic() - due))
        for topic, lag in process.lags.items():
            now = wall()
            telemetry.LAG_SECONDS.labels(topic).set(lag.seconds(now))
            telemetry.show_partitions(telemetry.PARTITION_LAG_SECONDS, topic, lag.ages(now))


async def compare_topics(process: Process) -> None:
    """At the start: are the topics as the code says? Until they are, we are not ready."""
    while differs := await kafka.check_topics(process.settings):
        process.health.degraded("topics", "; ".join(map(str, differs)), blocking=True)
        await asyncio.sleep(5)
    process.health.well("topics")
