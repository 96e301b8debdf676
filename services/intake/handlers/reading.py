"""Reading: the oldest unread petitions become readings and `petition.received` events.

A text that breaks the reading of its page is read alone; if that fails too, the petition is said
as one that could not be read, and a dispatcher reads it. Nothing stays unread for ever.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.intake.decisions.petitions import FAILED, UnreadPetition, received, to_read
from services.intake.decisions.policy import Policy
from services.intake.decisions.reading import Reader
from services.intake.handlers.announcing import Voice
from services.intake.metrics import PAGE_SECONDS, READ
from services.intake.store import reading as store
from services.intake.store.reading import PendingSupplement, Read
from shared import outbox
from shared.events import Reading
from shared.outbox import Saying
from shared.postgres import WEATHER, Transaction

logger = logging.getLogger(__name__)

PAGE = 200
SLICE_SECONDS = 0.005


class PageRead(NamedTuple):
    """How many petitions left the queue: those that were read, and those that nobody could."""

    read: int = 0
    failed: int = 0

    def note(self) -> None:
        """So many more, after their commit."""
        READ.labels("read").inc(self.read)
        READ.labels("failed").inc(self.failed)


async def read_once(tx: Transaction, now: datetime, policy: Policy, voice: Voice) -> PageRead:
    """Read the oldest unread petitions, at most a page."""
    page = await store.unread_page(tx, PAGE)
    if not page:
        return PageRead()
    with PAGE_SECONDS.time():
        try:
            async with tx.transaction():
                await keep_and_say(
                    tx, page, await read_all(policy.reader, page), now, policy, voice
                )
        except WEATHER:
            raise
        except Exception as poison:  # noqa: BLE001 (whatever a text does, the others go on)
            logger.warning("a page could not be read: %s; reading singly", type(poison).__name__)
            alone = [await read_alone(tx, one, now, policy, voice) for one in page]
            return PageRead(sum(alone), len(page) - sum(alone))
    return PageRead(len(page))


async def read_alone(
    tx: Transaction, petition: UnreadPetition, now: datetime, policy: Policy, voice: Voice
) -> bool:
    """One petition of a page that failed; says if it was read. It leaves the queue either way."""
    try:
        async with tx.transaction():
            readings = await read_all(policy.reader, [petition])
            await keep_and_say(tx, [petition], readings, now, policy, voice)
    except WEATHER:
        raise
    except Exception as poison:  # noqa: BLE001 (told as a reading that failed, and counted)
        # Never the trace: an exception may quote the text.
        logger.error("petition %s could not be read: %s", petition.id, type(poison).__name__)  # noqa: TRY400
        await keep_and_say(tx, [petition], [FAILED], now, policy, voice)
        return False
    return True


async def read_all(reader: Reader, page: Sequence[UnreadPetition]) -> list[Reading]:
    """Read a page; the loop gets its turn every 5 ms, so that HTTP answers meanwhile."""
    readings: list[Reading] = []
    since = time.perf_counter()
    for petition in page:
        readings.append(reader.read(to_read(petition)))
        if time.perf_counter() - since > SLICE_SECONDS:
            await asyncio.sleep(0)
            since = time.perf_counter()
    return readings


async def keep_and_say(
    tx: Transaction,
    page: Sequence[UnreadPetition],
    readings: Sequence[Reading],
    now: datetime,
    policy: Policy,
    voice: Voice,
) -> None:
    """Keep readings and say them; what was added meanwhile is said after its petition."""
    pending: dict[UUID, list[PendingSupplement]] = {}
    for added in await store.pending_supplements(tx, [petition.id for petition in page]):
        pending.setdefault(added.petition_id, []).append(added)
    read: list[Read] = []
    sayings: list[Saying] = []
    for petition, reading in zip(page, readings, strict=True):
        data = received(petition, reading, policy.version, policy.accusations)
        sayings.append(voice.received(petition.id, data, now, petition.traceparent))
        added_here = pending.get(petition.id, ())
        for seq, added in enumerate(added_here, start=2):
            sayings.append(voice.supplemented(petition.id, added, seq, now))
        read.append(Read(petition.id, reading, tuple(added.id for added in added_here)))
    await store.save_read(tx, read, policy.version, now)
    await outbox.append(tx, sayings)
