"""Hearing a topic: batches in, one transaction each, positions as rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from shared import hearing, kafka, lines, postgres, telemetry, traces
from shared.clock import wall
from shared.events import Topic
from shared.hearing import Batch, Done, Fenced, Handle
from shared.postgres import Transaction
from shared.service.lag import Lag
from shared.service.process import Backoff, Process


async def consume(process: Process, topic: Topic, handle: Handle) -> None:
    """Hear one topic, until weather that the consumer does not survive."""

    async def positions(topic: Topic, partitions: Sequence[int]) -> Mapping[int, int]:
        async with process.pool.acquire(timeout=10) as connection:
            return await hearing.positions(connection, topic, partitions)

    loop = f"consume {topic}"
    telemetry.begin(topic)
    process.health.starting(loop, "has not joined its group yet")
    lag = process.lags.setdefault(topic, Lag(wall()))
    await rest_while_too_many_parked(process, topic)
    group = f"{process.service.name}.{topic}"
    async with kafka.Consumer(process.settings, topic, group, positions) as consumer:
        backoff = Backoff()
        told = time.monotonic()
        while True:
            try:
                await hear_once(process, consumer, handle, lag)
                backoff.reset()
            except ValueError:
                raise
            except (*postgres.WEATHER, Fenced) as weather:
                if isinstance(weather, Fenced):
                    telemetry.FENCED.labels(topic).inc()
                telemetry.WEATHER.labels(loop, type(weather).__name__).inc()
                process.health.degraded(loop, type(weather).__name__)
                consumer.forget()
                await backoff.sleep()
            if time.monotonic() - told > 5:
                told = time.monotonic()
                consumer.doubt()
                await tell_kafka(process, consumer)


async def hear_once(process: Process, consumer: kafka.Consumer, handle: Handle, lag: Lag) -> None:
    """Whatever is there, handled; and how far behind we are."""
    topic = consumer.topic
    records = await consumer.batch()
    if consumer.hears():
        lag.given(consumer.assigned(), wall())
    lag.fetched(records)
    if records:
        lag.handled(await handle_records(process, consumer, handle, records))
    lag.at_end(consumer.read_up())
    behind = consumer.behind_on()
    telemetry.LAG_RECORDS.labels(topic).set(sum(behind.values()))
    telemetry.show_partitions(telemetry.PARTITION_LAG_RECORDS, topic, behind)
    telemetry.MISSED.labels(topic).inc(consumer.missed)
    consumer.missed = 0
    show_stopped(process, consumer)
    if consumer.hears():
        process.health.well(f"consume {topic}")
    elif consumer.joined:
        process.health.degraded(f"consume {topic}", "the topic is not there")


def show_stopped(process: Process, consumer: kafka.Consumer) -> None:
    """Which of our partitions are read no further, and why."""
    mine = set(consumer.assigned())
    prefix = f"partition {consumer.topic}/"
    reasons = {f"{prefix}{p}": s.reason for p, s in consumer.stopped.items() if p in mine}
    for name in [name for name in process.health.reasons if name.startswith(prefix)]:
        if name not in reasons:
            process.health.well(name)
    for name, reason in reasons.items():
        process.health.degraded(name, reason)
    telemetry.STOPPED_PARTITIONS.labels(consumer.topic).set(len(reasons))
    gone = sum(s.expired for p, s in consumer.stopped.items() if p in mine)
    telemetry.EXPIRED.labels(consumer.topic).set(gone)


async def tell_kafka(process: Process, consumer: kafka.Consumer) -> None:
    """Our positions, for lag tools; a broker that does not take them is away, and we say so."""
    if await consumer.tell_kafka():
        process.health.well(f"kafka {consumer.topic}")
    else:
        process.health.degraded(f"kafka {consumer.topic}", "the broker does not answer")


async def rest_while_too_many_parked(process: Process, topic: Topic) -> None:
    """Many unreadable in a row means it is us: wait until an operator says `parked resume`."""
    reason = f"parked {topic}"
    while True:
        async with process.pool.acquire(timeout=10) as connection:
            n = await hearing.in_a_row(connection, topic)
        if n < hearing.TOO_MANY_IN_A_ROW:
            process.health.well(reason)
            return
        process.health.degraded(reason, f"{n} unreadable in a row: look, then `parked resume`")
        await asyncio.sleep(2)


async def handle_records(
    process: Process, consumer: kafka.Consumer, handle: Handle, records: Sequence[kafka.Record]
) -> list[kafka.Record]:
    """One batch: decode, park, handle, move the positions, commit. Returns what was handled."""
    topic = consumer.topic
    batch, unknown = hearing.decoded(records)
    handled: list[kafka.Record] = []
    if batch is not None:
        handled = [u.record for u in batch.unreadable] + [e.record for e in batch.events]
        await commit(process, consumer, handle, batch)
    for partition, name in unknown.items():
        reason = f"unknown type {name[:80]}: deploy readers first"
        consumer.stop(partition, reason, consumer.known[partition])
    if batch is not None and batch.unreadable:
        telemetry.PARKED.labels(topic).inc(len(batch.unreadable))
        await rest_while_too_many_parked(process, topic)
    return handled


async def commit(process: Process, consumer: kafka.Consumer, handle: Handle, batch: Batch) -> None:
    """One transaction: what the batch changes, and the positions after it."""
    topic = batch.topic
    note_foreign_clocks(process, batch)
    first, after = hearing.next_offsets(batch)
    expected = {partition: consumer.known[partition] for partition in first}
    began = time.perf_counter()
    with telemetry.BATCH_SECONDS.labels(topic).time(), traces.Hearing(batch) as heard:
        async with postgres.transaction(process.pool, "batch") as tx:
            done = await hear(heard.batch, tx, process, handle)
            await hearing.advance(tx, topic, expected, after)
    if done is not None:
        done()
    consumer.handled(after)
    process.wake_relay.call()
    telemetry.HEARD.labels(topic).inc(len(batch.events))
    telemetry.BATCHES.labels(topic).inc()
    tell(batch, time.perf_counter() - began)


def tell(batch: Batch, seconds: float) -> None:
    """The line of a batch that was committed."""
    known = [one.envelope.traceparent for one in batch.events]
    # Whoever writes to a topic may put anything there.
    ours = (trace for trace in known if trace and traces.TRACEPARENT.fullmatch(trace))
    told = list(dict.fromkeys(map(traces.id_of, ours)))
    parked = len(batch.unreadable)
    lines.tell_batch(batch.topic, len(batch.events) + parked, parked, seconds, told)


async def hear(batch: Batch, tx: Transaction, process: Process, handle: Handle) -> Done | None:
    """What one batch changes; what it returns is run after the commit."""
    if batch.unreadable:
        await hearing.park(tx, batch.unreadable)
    await hearing.count_in_a_row(tx, batch.topic, len(batch.unreadable), len(batch.events))
    return await handle(batch, tx, process.clock.now())


def note_foreign_clocks(process: Process, batch: Batch) -> None:
    """Promises computed by another clock than ours are not comparable: say so loudly."""
    ours = process.clock.name
    foreign = sum(event.envelope.clock != ours for event in batch.events)
    if foreign:
        telemetry.FOREIGN_CLOCK.labels(batch.topic).inc(foreign)
        process.health.degraded("clock", f"events of another promise clock on {batch.topic}")
    elif batch.events:
        # What an earlier run of the stack left unsaid comes once, at the start.
        process.health.well("clock")
