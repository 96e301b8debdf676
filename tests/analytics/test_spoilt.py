"""A snapshot that could not be read is asked for at once, and not for ever."""

from __future__ import annotations

from uuid import UUID, uuid4

import orjson

from services.analytics import store
from shared import hearing
from shared.census import MOST_ASKED, ask_for_missed
from shared.clock import wall
from shared.events import Topic
from shared.hearing import Batch, Unreadable
from shared.kafka import Record
from shared.postgres import Pool, transaction


def spoilt(key: str, offset: int) -> Unreadable:
    """A record that nobody can read."""
    record = Record(Topic.ROUTER, 0, offset, key, b'{"type":', {"ce_type": b"x"}, wall())
    return Unreadable(record, "not JSON")


async def asked_for(pool: Pool, *bad: Unreadable) -> list[UUID]:
    """What analytics asks for, having parked these."""
    async with transaction(pool) as tx:
        await tx.execute("delete from outbox")
        await hearing.park(tx, bad)
        await ask_for_missed(
            Batch(Topic.ROUTER, [], list(bad)), tx, wall(), store.for_census,
            Topic.ANALYTICS, "analytics", "test",
        )  # fmt: skip
        rows = await tx.fetch("select value from outbox")
    return [UUID(one["i"]) for row in rows for one in orjson.loads(row["value"])["missed"]]


async def test_a_snapshot_that_could_not_be_read_is_asked_for_at_once(pool: Pool) -> None:
    one, other = uuid4(), uuid4()
    found = await asked_for(pool, spoilt(str(one), 1), spoilt(str(other), 2), spoilt(str(one), 3))
    assert sorted(found) == sorted([one, other])


async def test_what_comes_unreadable_again_and_again_is_not_asked_for_for_ever(pool: Pool) -> None:
    one = uuid4()
    times = [await asked_for(pool, spoilt(str(one), n)) for n in range(MOST_ASKED + 3)]
    assert times == [[one]] * MOST_ASKED + [[]] * 3


async def test_a_key_that_names_no_case_is_only_parked(pool: Pool) -> None:
    assert await asked_for(pool, spoilt("census/3", 1), spoilt("", 2)) == []
