"""What the router missed is said again: the same events, in the same order, under the same ids."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
from uuid_utils.compat import uuid7

from services.intake.decisions.additions import Addition, Rating, Reopening
from services.intake.handlers.additions import Kept, rate, supplement, urge
from services.intake.handlers.census import say_again
from services.intake.handlers.loops import intake_of, voice_of
from shared.events import Order
from shared.postgres import Transaction
from shared.service import Process
from tests.intake.samples import case_event
from tests.intake.steps import hand_in, hear, read_all

NOW = datetime(2026, 4, 12, 9, 0, tzinfo=UTC)


async def said_since(database: Transaction, after: int) -> list[tuple[Any, ...]]:
    """What was put into the outbox since: (event id, type, seq, caused by, value)."""
    rows = await database.fetch(
        "select id, event_id, headers, value from outbox where id > $1 order by id", after
    )
    found = []
    for row in rows:
        headers = dict(orjson.loads(row["headers"]))
        names = ("ce_type", "ce_seq", "ce_causedby")
        found.append((row["event_id"], *(headers[name] for name in names), row["value"]))
    return found


async def say_all_again(
    process: Process, database: Transaction, petition_id: UUID, known: int
) -> list[tuple[Any, ...]]:
    """What is said again to a router that knows the petition so far."""
    policy = intake_of(process).shelf.policy
    assert policy is not None
    last = await database.fetchval("select coalesce(max(id), 0) from outbox")
    async with database.transaction():
        rules = policy.accusations
        await say_again(database, {petition_id: known}, voice_of(process), rules, NOW)
    return await said_since(database, last)


def said_at(id_: UUID, text: str | None = None, *, urges: bool = False) -> Addition:
    """Something that a resident says later."""
    return Addition(id_, text, NOW, None, None, None, urges)


async def whole_life(client: httpx.AsyncClient, process: Process, database: Transaction) -> UUID:
    """Added and urged before it was read; then what came first by its id was said last; rated."""
    told = await hand_in(client)
    petition_id, voice = UUID(told["id"]), voice_of(process)
    early = [uuid7() for _ in range(4)]
    added = said_at(early[0], "more")
    assert isinstance(await supplement(database, petition_id, added, voice), Kept)
    urging = said_at(early[2], urges=True)
    assert isinstance(await urge(database, petition_id, urging, voice), Kept)
    await read_all(process)
    await hear(process, case_event(petition_id, Order(1, 1), stage="resolved"))
    rating = Rating(uuid7(), False, False, "came_back", "again", NOW, None, None, None)
    assert isinstance(await rate(database, petition_id, rating, Reopening(), voice), Kept)
    for id_ in (early[3], early[1]):
        assert isinstance(await supplement(database, petition_id, said_at(id_, "x"), voice), Kept)
    await hear(process, case_event(petition_id, Order(1, 2), stage="closed", reopened=1))
    rating = Rating(uuid7(), True, True, None, None, NOW, None, None, None)
    assert isinstance(await rate(database, petition_id, rating, Reopening(), voice), Kept)
    return petition_id


async def test_all_is_said_again_as_it_was_said(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    petition_id = await whole_life(client, with_policy, database)
    first = await said_since(database, 0)
    assert [int(seq) for _, _, seq, _, _ in first] == list(range(1, 8))
    kinds = [type_.split(".")[2] for _, type_, _, _, _ in first]
    assert kinds == ["received", *["supplemented"] * 2, "rated", *["supplemented"] * 2, "rated"]
    assert await say_all_again(with_policy, database, petition_id, 0) == first
    assert await say_all_again(with_policy, database, petition_id, 3) == first[3:]
    assert await say_all_again(with_policy, database, petition_id, 7) == []


async def test_what_an_older_intake_said_has_the_places_that_are_left(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    told = await hand_in(client)
    petition_id, voice = UUID(told["id"]), voice_of(with_policy)
    await read_all(with_policy)
    for _ in range(2):
        await supplement(database, petition_id, said_at(uuid7(), "old"), voice)
    await database.execute("update supplements set seq = null")
    await hear(with_policy, case_event(petition_id, Order(1, 1), stage="closed"))
    rating = Rating(uuid7(), True, True, None, None, NOW, None, None, None)
    assert isinstance(await rate(database, petition_id, rating, Reopening(), voice), Kept)
    first = await said_since(database, 0)
    assert await say_all_again(with_policy, database, petition_id, 0) == first
