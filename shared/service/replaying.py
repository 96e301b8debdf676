"""What was parked is heard again, by a person's word: through the handler of its topic, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared import audit, hearing, outbox, postgres
from shared.hearing import Done, Parked
from shared.postgres import Transaction
from shared.service.process import Process, Replayed, Service
from shared.settings import Settings


@asynccontextmanager
async def at_hand(service: Service, settings: Settings) -> AsyncIterator[Process]:
    """A process of a service for a command: it knows what its handlers need, and runs no loop."""
    async with postgres.open_pool(
        settings.database_url.get_secret_value(), 3, settings.lock_timeout_ms, "command"
    ) as pool:
        process = Process(service, settings, settings.clock(), pool)
        async with pool.acquire(timeout=10) as connection:
            process.epoch = await outbox.epoch(connection)
        if service.open is not None:
            process.state = await service.open(process)
        yield process


async def replay(
    service: Service, settings: Settings, parked_id: int, actor: str, reason: str
) -> Replayed | None:
    """Hear one parked record again, in one transaction with the note of who wanted it and why.

    None where nothing waits under that id: it was settled before, perhaps by another person at the
    same moment. What cannot be heard now either stays as it was.
    """
    async with at_hand(service, settings) as process:
        try:
            async with postgres.transaction(process.pool) as tx:
                one = await hearing.parked_one(tx, parked_id)
                if one is None:
                    return None
                await audit.note(tx, actor, "replay", f"parked {parked_id}", reason)
                found, done = await heard_again(process, tx, one)
        except hearing.StillParked as still:
            return Replayed(0, [str(still)])
        if done is not None:
            done()
        return found


async def heard_again(
    process: Process, tx: Transaction, one: Parked
) -> tuple[Replayed, Done | None]:
    """By the service's own way, or by itself."""
    if process.service.replay is not None:
        found = await process.service.replay(process, tx, one)
        if found is not None:
            return found, None
    handle = process.service.hears(process).get(one.record.topic)
    if handle is None:
        raise hearing.StillParked(f"this version does not hear {one.record.topic}")
    return Replayed(1, []), await hearing.replay(tx, one, handle, process.clock.now())
