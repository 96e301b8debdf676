"""Carrying the outbox to Kafka: one relay per service, replicas stand by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from shared import kafka, outbox, postgres, telemetry, traces
from shared.outbox import RelayRound
from shared.postgres import Transaction
from shared.service.process import Process


async def relay(process: Process) -> None:
    """Be the relay of this service, or stand by for it."""
    for reason in telemetry.LABELS["reason"]:
        telemetry.REFUSED_LANES.labels(reason)
    connection = await postgres.connect(process.dsn, f"{process.service.name}-relay")
    sender = kafka.Sender(process.settings)
    try:
        # A frozen relay must not hold its lock for ever: an idle session is ended by the server.
        await connection.execute(f"set idle_session_timeout = '{postgres.FROZEN_SECONDS}s'")
        while not await connection.fetchval("select pg_try_advisory_lock($1)", outbox.RELAY_LOCK):
            process.health.well("relay")
            await asyncio.sleep(1)
        telemetry.RELAYING.set(1)
        await rounds(process, connection, sender)
    finally:
        telemetry.RELAYING.set(0)
        await sender.drop()
        with suppress(*postgres.WEATHER):
            await connection.close(timeout=2)


async def rounds(process: Process, connection: Transaction, sender: kafka.Sender) -> None:
    """Round after round; a lane that the broker refused for good rests five seconds."""
    resting: dict[kafka.Lane, float] = {}
    send = traces.sending(sender.send)
    while True:
        now = time.monotonic()
        tried = [lane for lane, until in resting.items() if until <= now]
        done = await outbox.relay_once(
            connection, awake(connection, send), [k for k in resting if k not in tried]
        )
        for lane in tried:
            # Without a word of it the lane is empty now: somebody took out what was refused.
            del resting[lane]
            if lane not in done.refused:
                process.health.well(name_of(lane))
        for lane, reason in done.refused.items():
            resting[lane] = now + 5
            telemetry.REFUSED_LANES.labels(reason).inc()
            process.health.degraded(name_of(lane), reason)
        count(done)
        process.health.well("relay")
        if not done.more or done.refused:
            await process.wake_relay.wait(0.02)


def awake(connection: Transaction, send: outbox.Send) -> outbox.Send:
    """A send that may take longer than a session may be idle: the server is spoken to meanwhile.

    A process that is frozen says nothing: its lock is another's in time all the same.
    """

    async def sending(lanes: Mapping[kafka.Lane, Sequence[kafka.Message]]) -> outbox.Sent:
        answer = asyncio.ensure_future(send(lanes))
        try:
            while True:
                await asyncio.wait([answer], timeout=postgres.FROZEN_SECONDS / 4)
                if answer.done():
                    return await answer
                await connection.execute("select 1")
        finally:
            answer.cancel()

    return sending


def name_of(lane: kafka.Lane) -> str:
    """A lane as health and logs call it."""
    return f"lane {lane[0]}/{lane[1]}"


def count(done: RelayRound) -> None:
    """What a round carried."""
    for topic, n in done.sent.items():
        telemetry.SAID.labels(topic).inc(n)
    for topic, n in done.sent_bytes.items():
        telemetry.SAID_BYTES.labels(topic).inc(n)
