"""Notices are pushed at least once, into a file or to a real server, and never lost on the way."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
import uvicorn
from prometheus_client import REGISTRY
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from services.escalation.__main__ import SERVICE
from services.escalation.decisions import MOST_PUSHES, Desk, Digest, pause_after
from services.escalation.handlers import PUSH, acknowledge, push_once, pushing, sender
from services.escalation.store import notices
from services.escalation.store.notices import Acknowledged, Posted
from shared.clock import Clock, wall
from shared.postgres import Pool, transaction
from shared.service import Process
from shared.settings import Settings
from tests.escalation.stories import CASE, STREET, at
from tests.escalation.test_figures import gauge
from tests.servers import free_port

IDS = [UUID(int=n) for n in range(1, 4)]
TOKEN = "secret-of-the-endpoint"


def notice(id_: UUID) -> Posted:
    """A warning to an office of the street."""
    desk = Desk(STREET, "department_officer", "lighting")
    return Posted(id_, Digest(desk, "reply", "warning", 1, at(0), (CASE,)), at(0))


async def posted(pool: Pool, ids: Sequence[UUID]) -> None:
    """These stand in their list."""
    async with transaction(pool) as tx:
        await notices.insert(tx, [notice(id_) for id_ in ids])


async def as_kept(pool: Pool) -> list[tuple[bool, bool, int]]:
    """Of each notice: whether it is pushed, is to be pushed, and how often it was tried."""
    rows = await pool.fetch(
        "select pushed_at is not null, push_at is not null, push_attempts from notices order by id"
    )
    return [(row[0], row[1], row[2]) for row in rows]


def settings(dsn: str, **changes: object) -> Settings:
    """A process that pushes as these say."""
    return Settings.model_validate({"database_url": dsn, **changes})


def pushed() -> float:
    """How many arrived, ever."""
    name = "casegrid_escalation_notices_pushed_total"
    return REGISTRY.get_sample_value(name, {"result": "arrived"}) or 0.0


def way(dsn: str, **changes: object) -> pushing.Send:
    """The way out that these settings choose."""
    send = sender(settings(dsn, **changes))
    assert send is not None
    return send


# ---------------------------------------------------------------- a real server


@dataclass
class Endpoint:
    """Who is told over HTTP: answers as it is told to, and remembers what came."""

    status: int = 204
    seconds: float = 0.0
    port: int = field(default_factory=free_port)
    came: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/told"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        whole, more = b"", True
        while more:
            message = await receive()
            whole += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        self.came.append((headers, orjson.loads(whole)))
        await asyncio.sleep(self.seconds)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def listening(endpoint: Endpoint) -> AsyncIterator[Endpoint]:
    """While this lasts the endpoint answers."""
    config = uvicorn.Config(endpoint, port=endpoint.port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
    yield endpoint
    server.should_exit = True
    await serving


# ---------------------------------------------------------------- tests


async def test_a_notice_is_posted_once_under_its_id_and_says_no_more_than_the_list(
    escalation_dsn: str, pool: Pool
) -> None:
    await posted(pool, IDS)
    async with listening(Endpoint()) as endpoint:
        send = way(escalation_dsn, push_url=endpoint.url, push_token=TOKEN)
        before = pushed()
        assert await push_once(pool, send, wall()) == (3, 3)
        assert await push_once(pool, send, wall() + timedelta(days=1)) == (0, 0)
        assert pushed() == before + 3
    assert {headers["idempotency-key"] for headers, _ in endpoint.came} == set(map(str, IDS))
    assert {headers["authorization"] for headers, _ in endpoint.came} == {f"Bearer {TOKEN}"}
    one = next(said for _, said in endpoint.came if said["id"] == str(IDS[0]))
    assert one == {
        "id": str(IDS[0]),
        "title": {
            "zh": "即将超时(reply,1 件)",
            "en": "about to be late (reply, 1 case)",
        },
        "division": STREET,
        "role": "department_officer",
        "office": "lighting",
        "about": None,
        "clock": "reply",
        "reason": "warning",
        "count": 1,
        "oldest_due_at": at(0).isoformat(),
        "cases": [str(CASE)],
        "posted_at": at(0).isoformat(),
        "raised_from": None,
    }
    assert await as_kept(pool) == [(True, False, 1)] * 3


async def test_what_did_not_arrive_is_tried_again_later_and_in_the_end_shown(
    escalation_dsn: str, pool: Pool
) -> None:
    await posted(pool, IDS[:1])
    send = way(escalation_dsn, push_url=f"http://127.0.0.1:{free_port()}/")  # nobody listens
    now = wall()
    for attempt in range(1, MOST_PUSHES + 1):
        assert await push_once(pool, send, now) == (1, 0)
        assert (await as_kept(pool))[0] == (False, attempt < MOST_PUSHES, attempt)
        at_last = await pool.fetchval("select push_at from notices")
        if attempt < MOST_PUSHES:
            pause = at_last - wall()
            assert pause_after(attempt) - timedelta(seconds=10) < pause <= pause_after(attempt)
            assert await push_once(pool, send, at_last - timedelta(seconds=1)) == (0, 0)
            now = at_last
    assert await push_once(pool, send, now + timedelta(days=9)) == (0, 0)
    process = Process(SERVICE, settings(escalation_dsn, push_url="http://x/"), Clock(), pool)
    await PUSH.step(process)
    assert (gauge("notices_not_pushed"), gauge("notices_to_push")) == (1, 0)
    assert "pushed notices" not in process.health.reasons, "one that is lost is no state"
    async with transaction(pool) as tx:
        taken = await notices.take(tx, IDS[0])
        assert taken is not None, "the list is the truth"
        await acknowledge(tx, taken, Acknowledged(at(0), "grid_head", "officer"))
    await PUSH.step(process)
    assert gauge("notices_not_pushed") == 0


async def test_we_are_degraded_while_what_is_pushed_does_not_arrive(
    escalation_dsn: str, pool: Pool, tmp_path: Path
) -> None:
    def process(**way: str) -> Process:
        return Process(SERVICE, settings(escalation_dsn, **way), Clock(), pool)

    await posted(pool, IDS[:1])
    one = process(push_url=f"http://127.0.0.1:{free_port()}/")  # nobody listens
    await PUSH.step(one)
    assert "pushed notices" in one.health.reasons
    assert not one.health.blocking
    await PUSH.step(one)
    assert "pushed notices" in one.health.reasons, "it waits to be tried again"
    await pool.execute("update notices set push_at = clock_timestamp()")
    other = process(push_file=str(tmp_path / "pushed"))
    other.health = one.health
    await PUSH.step(other)
    assert "pushed notices" not in one.health.reasons


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_only_2xx_is_success(escalation_dsn: str, pool: Pool, status: int) -> None:
    await posted(pool, IDS[:1])
    async with listening(Endpoint(status)) as endpoint:
        send = way(escalation_dsn, push_url=endpoint.url)
        assert await push_once(pool, send, wall()) == (1, 0)
    assert await as_kept(pool) == [(False, True, 1)]


async def test_a_slow_endpoint_holds_no_transaction_and_no_notice(
    escalation_dsn: str, pool: Pool
) -> None:
    await posted(pool, IDS)
    async with listening(Endpoint(seconds=1.0)) as endpoint:
        send = way(escalation_dsn, push_url=endpoint.url, push_timeout_seconds=0.5)
        pushing_now = asyncio.ensure_future(push_once(pool, send, wall()))
        async with asyncio.timeout(10):
            while len(endpoint.came) < len(IDS):  # noqa: ASYNC110 (it is another program's turn)
                await asyncio.sleep(0.01)
        assert await in_transactions(pool) == 0
        async with transaction(pool) as tx:
            taken = await notices.take(tx, IDS[0])
            assert taken is not None
            await acknowledge(tx, taken, Acknowledged(at(0), "grid_head", "officer"))
        assert await push_once(pool, send, wall()) == (0, 0), "leased"
        started = asyncio.get_running_loop().time()
        assert await pushing_now == (3, 0)
        assert asyncio.get_running_loop().time() - started < 5
    assert await as_kept(pool) == [(False, True, 1)] * 3
    again = wall() + timedelta(minutes=2)
    async with transaction(pool) as tx:
        page = await notices.take_to_push(tx, again, pushing.LEASE, 10)
    assert {one.posted.id for one in page} == set(IDS[1:]), "what a person noted is not pushed"


async def in_transactions(pool: Pool) -> int:
    """How many other connections to this database stand in a transaction."""
    return int(
        await pool.fetchval(
            """
            select count(*) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()
              and state like 'idle in transaction%'
            """
        )
    )


async def test_one_who_dies_on_the_way_leaves_it_to_others_after_the_lease(pool: Pool) -> None:
    await posted(pool, IDS[:1])

    async def dies(page: Sequence[Posted]) -> set[UUID]:
        raise ConnectionError

    at_ = wall()
    with pytest.raises(ConnectionError):
        await push_once(pool, dies, at_)
    arrived: list[UUID] = []

    async def arrives(page: Sequence[Posted]) -> set[UUID]:
        arrived.extend(one.id for one in page)
        return {one.id for one in page}

    assert await push_once(pool, arrives, at_ + pushing.LEASE - timedelta(seconds=1)) == (0, 0)
    assert await push_once(pool, arrives, at_ + pushing.LEASE) == (1, 1)
    assert arrived == IDS[:1]


async def test_a_late_word_of_failure_does_not_undo_a_success(pool: Pool) -> None:
    await posted(pool, IDS[:1])
    slow_lease = wall()

    async def slow(page: Sequence[Posted]) -> set[UUID]:
        assert await push_once(pool, quick, slow_lease + pushing.LEASE) == (1, 1)
        return set()

    async def quick(page: Sequence[Posted]) -> set[UUID]:
        return {one.id for one in page}

    assert await push_once(pool, slow, slow_lease) == (1, 0)
    assert await as_kept(pool) == [(True, False, 2)]


async def test_two_who_push_at_once_push_each_once(
    escalation_dsn: str, pool: Pool, tmp_path: Path
) -> None:
    ids = [UUID(int=n) for n in range(1, 6 * pushing.PAGE)]
    await posted(pool, ids)
    file = tmp_path / "notices.ndjson"
    process = Process(SERVICE, settings(escalation_dsn, push_file=file), Clock(), pool)

    async def pusher() -> None:
        while await PUSH.step(process) == 0.0:
            pass

    await asyncio.gather(pusher(), pusher())
    lines = [orjson.loads(line)["id"] for line in file.read_bytes().splitlines()]
    assert sorted(lines) == sorted(map(str, ids))
    assert await as_kept(pool) == [(True, False, 1)] * len(ids)


def test_pages_that_many_append_at_once_are_lines_each(tmp_path: Path) -> None:
    file = tmp_path / "notices.ndjson"
    page = b"".join(orjson.dumps({"n": n, "more": "x" * 2_000}) + b"\n" for n in range(20))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: pushing.written(file, page), range(400)))
    assert file.read_bytes() == page * 400


async def test_a_file_that_another_keeps_for_too_long_is_tried_again(
    escalation_dsn: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "LOCK_SECONDS", 0.1)
    await posted(pool, IDS[:1])
    file = tmp_path / "notices.ndjson"
    send = way(escalation_dsn, push_file=file)
    with file.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert await push_once(pool, send, wall()) == (1, 0)
    assert await as_kept(pool) == [(False, True, 1)]
    assert file.read_bytes() == b""


async def test_a_line_that_a_crash_cut_off_spoils_no_other(
    escalation_dsn: str, pool: Pool, tmp_path: Path
) -> None:
    file = tmp_path / "notices.ndjson"
    file.write_bytes(b'{"id": "cut o')
    await posted(pool, IDS)
    send = way(escalation_dsn, push_file=file)
    assert await push_once(pool, send, wall()) == (3, 3)
    cut, *whole = file.read_bytes().splitlines()
    assert cut == b'{"id": "cut o'
    assert {orjson.loads(line)["id"] for line in whole} == set(map(str, IDS))


async def test_a_file_that_cannot_be_written_is_tried_again(
    escalation_dsn: str, pool: Pool, tmp_path: Path
) -> None:
    await posted(pool, IDS[:1])
    send = way(escalation_dsn, push_file=tmp_path / "no" / "such" / "directory")
    assert await push_once(pool, send, wall()) == (1, 0)
    assert await as_kept(pool) == [(False, True, 1)]


async def test_without_a_way_out_nothing_is_tried_and_what_waits_is_pushed_when_there_is_one(
    escalation_dsn: str, pool: Pool, tmp_path: Path
) -> None:
    await posted(pool, IDS)
    assert await PUSH.step(Process(SERVICE, settings(escalation_dsn), Clock(), pool)) > 1
    assert await as_kept(pool) == [(False, True, 0)] * 3
    file = tmp_path / "notices.ndjson"
    with_file = Process(SERVICE, settings(escalation_dsn, push_file=file), Clock(), pool)
    assert await PUSH.step(with_file) == 1.0
    assert len(file.read_bytes().splitlines()) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"push_file": "/tmp/x", "push_url": "http://x/"},
        {"push_url": "ftp://x/"},
        {"push_url": "nowhere"},
        {"push_url": "http://x/", "push_timeout_seconds": 61},
    ],
)
def test_settings_that_choose_no_way_out_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings("postgres://x/", **wrong)


def test_the_lease_is_longer_than_any_page_may_take() -> None:
    longest = Settings.model_fields["push_timeout_seconds"].metadata
    limit = next(one.le for one in longest if hasattr(one, "le"))
    assert timedelta(seconds=limit) < pushing.LEASE
