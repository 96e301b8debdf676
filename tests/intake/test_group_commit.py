"""The group commit: one transaction for many, an answer for each, and bad rows or weather."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from prometheus_client import REGISTRY
from uuid_utils.compat import uuid7

from services.intake.__main__ import SERVICE
from services.intake.decisions.additions import Addition
from services.intake.decisions.petitions import Petition, Submission
from services.intake.handlers.loops import commit_group, intake_of, open_intake
from services.intake.handlers.petitions import (
    ROWS,
    Accepted,
    Full,
    GroupCommit,
    Outcome,
    Unanswered,
    Unstorable,
)
from shared.http import create_app
from shared.postgres import Pool, Transaction, open_pool
from shared.service import Process
from shared.settings import Settings
from tests.intake.samples import petition
from tests.intake.steps import hand_in, problem


def one(text: str = "text") -> Submission:
    """A petition that passed the checks."""
    now = datetime(2026, 4, 12, tzinfo=UTC)
    return Submission(
        Petition(
            id=uuid7(),
            query_code="23456789",
            kind="help",
            channel="web",
            subject=None,
            text=text,
            category=None,
            place_code=None,
            lat=None,
            lon=None,
            place_words=None,
            accused=None,
            accused_office=None,
            accused_unknown=False,
            happened_at=None,
            received_at=now,
            contact=False,
            idempotency_key=None,
            body_hash=None,
            traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-00",
        )
    )


def more(key: str | None = None) -> Addition:
    """Something that a resident adds."""
    now = datetime(2026, 4, 12, tzinfo=UTC)
    return Addition(uuid7(), "more", now, key, b"hash" if key else None, None)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    """Connections to the database of intake."""
    async with open_pool(dsn, 4, 5_000, "test") as pool:
        yield pool


async def test_those_who_wait_are_committed_together(pool: Pool, database: Transaction) -> None:
    commits = GroupCommit(1_000)
    waiting = asyncio.gather(*(commits.accept(one()) for _ in range(ROWS + 20)))
    await asyncio.sleep(0)
    assert await commits.flush(pool) is None
    assert await database.fetchval("select count(*) from petitions") == ROWS
    assert await database.fetchval("select count(distinct xmin::text) from petitions") == 1
    assert not waiting.done()
    await commits.flush(pool)
    outcomes = await waiting
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert await database.fetchval("select count(*) from unread") == ROWS + 20


async def test_nobody_is_answered_before_the_commit(pool: Pool, database: Transaction) -> None:
    commits = GroupCommit(1_000)
    await database.execute("begin; lock table petitions in exclusive mode")
    answer = asyncio.ensure_future(commits.accept(one()))
    flushing = asyncio.ensure_future(commits.flush(pool))
    await asyncio.sleep(0.2)
    assert not answer.done()
    await database.execute("rollback")
    await flushing
    assert isinstance(await answer, Accepted)
    assert await database.fetchval("show synchronous_commit") == "on"


async def test_what_is_stored_or_replayed_is_counted_after_the_commit(
    pool: Pool, database: Transaction
) -> None:
    def counted() -> list[float]:
        names = ("accepted", "replayed", "unstorable")
        return [REGISTRY.get_sample_value(f"casegrid_intake_{name}_total") or 0 for name in names]

    async def give(given: Submission) -> Outcome | BaseException:
        commits = GroupCommit(1_000)
        answer = asyncio.ensure_future(commits.accept(given))
        await asyncio.sleep(0)
        await commits.flush(pool)
        (outcome,) = await asyncio.gather(answer, return_exceptions=True)
        return outcome

    await database.execute(
        """
        create function away() returns trigger language plpgsql as
        $$ begin raise exception using errcode = '57P01'; end $$;
        create constraint trigger away after insert on petitions
            deferrable initially deferred for each row execute function away()
        """
    )
    keyed = Submission(one().petition._replace(idempotency_key="k", body_hash=b"hash"))
    before = counted()
    assert isinstance(await give(keyed), Unanswered)
    assert counted() == before
    await database.execute("drop trigger away on petitions")
    assert isinstance(await give(keyed), Accepted)
    assert isinstance(await give(keyed), Accepted)
    assert isinstance(await give(one("a\0b")), Unstorable)
    assert counted() == [n + 1 for n in before]


async def test_a_bad_row_fails_alone(pool: Pool, database: Transaction) -> None:
    commits = GroupCommit(1_000)
    waiting = asyncio.gather(
        commits.accept(one("first")), commits.accept(one("a\0b")), commits.accept(one("last"))
    )
    await asyncio.sleep(0)
    assert await commits.flush(pool) is None
    first, bad, last = await waiting
    assert isinstance(first, Accepted)
    assert isinstance(bad, Unstorable)
    assert isinstance(last, Accepted)
    assert {row[0] for row in await database.fetch("select text from petitions")} == {
        "first",
        "last",
    }


async def test_a_value_that_the_driver_refuses_fails_alone_too(pool: Pool) -> None:
    commits = GroupCommit(1_000)
    early = datetime.fromisoformat("0001-01-01T00:00:00+14:00")
    bad = Submission(one().petition._replace(happened_at=early))
    waiting = asyncio.gather(commits.accept(one()), commits.accept(bad))
    await asyncio.sleep(0)
    await commits.flush(pool)
    good, refused = await waiting
    assert isinstance(good, Accepted)
    assert isinstance(refused, Unstorable)


async def test_a_full_queue_refuses_at_once(pool: Pool) -> None:
    commits = GroupCommit(2)
    waiting = asyncio.gather(commits.accept(one()), commits.accept(one()))
    await asyncio.sleep(0)
    with pytest.raises(Full):
        await commits.accept(one())
    await commits.flush(pool)
    await waiting


async def test_a_caller_who_went_away_does_not_stop_the_others(pool: Pool) -> None:
    commits = GroupCommit(1_000)
    gone = asyncio.ensure_future(commits.accept(one()))
    waits = asyncio.ensure_future(commits.accept(one()))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    await commits.flush(pool)
    assert isinstance(await waits, Accepted)


async def test_with_the_database_away_all_are_told(unused_dsn: str) -> None:
    async with open_pool(unused_dsn, 2, 5_000, "test") as pool:
        commits = GroupCommit(1_000)
        waiting = asyncio.gather(
            commits.accept(one()), commits.accept(one()), return_exceptions=True
        )
        await asyncio.sleep(0)
        assert await commits.flush(pool) is not None
        assert [type(answer) for answer in await waiting] == [Unanswered, Unanswered]


@pytest.fixture
def unused_dsn() -> str:
    """A port where nobody listens."""
    return "postgresql://nobody@127.0.0.1:1/nothing"


async def test_weather_is_a_503_that_says_when_to_come_again(
    process: Process, client: httpx.AsyncClient, database: Transaction
) -> None:
    await database.execute(
        """
        create function away() returns trigger language plpgsql as
        $$ begin raise exception using errcode = '57P01'; end $$;
        create trigger away before insert on petitions execute function away()
        """
    )
    answer = await client.post("/petitions", json=petition())
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    problem(answer)
    assert "accepting" in process.health.reasons
    await database.execute("drop trigger away on petitions")
    await hand_in(client)
    assert "accepting" not in process.health.reasons


async def test_a_full_queue_is_a_503(dsn: str) -> None:
    settings = Settings.model_validate({"database_url": dsn, "accept_queue": 1})
    async with open_pool(dsn, 2, 5_000, "test") as pool:
        process = Process(SERVICE, settings, settings.clock(), pool)
        process.state = await open_intake(process)
        transport = httpx.ASGITransport(create_app(process, SERVICE.routes))
        async with httpx.AsyncClient(transport=transport, base_url="http://intake") as client:
            first = asyncio.ensure_future(client.post("/petitions", json=petition()))
            async with asyncio.timeout(5):
                while not intake_of(process).commits.waiting:  # noqa: ASYNC110 (no event for it)
                    await asyncio.sleep(0)
            answer = await client.post("/petitions", json=petition())
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            problem(answer)
            await commit_group(process)
            assert (await first).status_code == 202
