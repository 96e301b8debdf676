"""The census of petitions: intake counts what it has said, and says again what the router missed.

It also compares what the router says of its cases with the receipts that residents are shown.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from uuid import UUID

from services.intake.decisions.additions import Later, numbered
from services.intake.decisions.petitions import Accusations, received
from services.intake.handlers.announcing import Voice
from services.intake.handlers.policy import Shelf
from services.intake.metrics import SAID_AGAIN
from services.intake.store import census as store
from services.intake.store.additions import said_later
from shared import census, outbox
from shared.census import FIRST, Page
from shared.clock import wall
from shared.events import Counted, Topic
from shared.hearing import Batch
from shared.outbox import Saying
from shared.postgres import Transaction

PAGE = 1_000
HORIZON = timedelta(days=1)
"""[ours] A walk begins with the petitions of a day ago: what the router misses, it missed since."""

SETTLED = timedelta(minutes=1)
"""A walk ends with those of a minute ago: what is younger is still on its way."""


async def walk_on(tx: Transaction, voice: Voice, now: datetime) -> bool:
    """Say the next page of petitions; False when the walk rests."""
    return await census.walk_on(tx, Topic.INTAKE, count, spoken(voice), now, PAGE)


async def count(tx: Transaction, after: UUID, most: int) -> Page:
    """The next petitions that were said, up to the first that is unread."""
    if after == FIRST:
        after = first_at(wall() - HORIZON)
    end = min(first_at(wall() - SETTLED), await store.first_unread(tx) or census.LAST)
    rows = await store.said_between(tx, after, end, most)
    last = len(rows) < most
    up_to = max(after, end) if last else rows[-1].petition_id
    return Page(after, up_to, [Counted(id=r.petition_id, seq=r.said_seq) for r in rows], last)


def first_at(moment: datetime) -> UUID:
    """The smallest id (UUIDv7) of a moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def spoken(voice: Voice) -> census.Voice:
    """How intake speaks in a census."""
    return census.Voice("intake", voice.epoch, voice.clock)


async def hear(batch: Batch, tx: Transaction, now: datetime, voice: Voice, shelf: Shelf) -> None:
    """Say again what the router missed; ask for what the receipts have not heard."""
    if missed := await census.reported(tx, batch):
        rules = shelf.policy.accusations if shelf.policy else Accusations()
        await say_again(tx, {one.id: one.seq for one in missed}, voice, rules, now)
    found = await census.compared(tx, batch, store.for_census)
    # A case that the router does not list may be closed long ago: his last word of it mends that.
    wanted = [*found.differing, *found.strangers, *await census.spoilt(tx, batch)]
    await census.report(tx, Topic.INTAKE, wanted, spoken(voice), now)


async def say_again(
    tx: Transaction,
    known: dict[UUID, int],
    voice: Voice,
    rules: Accusations,
    now: datetime,
) -> None:
    """What was said of these petitions after what the router knows, under the same ids."""
    later: defaultdict[UUID, list[Later]] = defaultdict(list)
    for one in await said_later(tx, list(known)):
        later[one.petition_id].append(one)
    sayings: list[Saying] = []
    for petition, reading, policy in await store.said(tx, list(known)):
        data = received(petition, reading, policy, rules)
        first = voice.received(petition.id, data, now, petition.traceparent)
        every = [(1, first)]
        every += [(seq, voice.later(one, seq, now)) for seq, one in numbered(later[petition.id])]
        sayings += [saying for seq, saying in every if seq > known[petition.id]]
    await outbox.append(tx, sayings)
    SAID_AGAIN.inc(len(sayings))
