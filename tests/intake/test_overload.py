"""More comes than can be done: refused at once, unread, and the others are served meanwhile."""

import asyncio
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import orjson
import pytest
from prometheus_client import REGISTRY
from starlette.types import Message

from services.intake.__main__ import SERVICE
from services.intake.handlers.loops import (
    intake_of,
    look_behind,
    measure,
    open_intake,
    tend_door,
)
from services.intake.handlers.petitions import ROWS
from shared.divisions import CITY
from shared.http import create_app
from shared.identity import issue
from shared.postgres import Transaction, open_pool
from shared.service import Process
from shared.service.running import server_of
from shared.settings import Settings
from tests.intake.conftest import commit_without_end
from tests.intake.samples import petition
from tests.intake.steps import hand_in, hear_policy, problem
from tests.servers import free_port

SECRET = "s" * 32
pytestmark = pytest.mark.timeout(30)


@pytest.fixture
async def process(dsn: str) -> AsyncIterator[Process]:
    """A process with narrow limits that commits what it accepts."""
    settings = Settings.model_validate(
        {"database_url": dsn, "token_secret": SECRET, "accept_wait_seconds": 0.1}
        | {"unread_limit": 3, "outbox_limit": 2, "port": free_port()}
    )
    async with open_pool(dsn, 4, 5_000, "intake-test") as pool:
        process = Process(SERVICE, settings, settings.clock(), pool)
        process.state = await open_intake(process)
        committing = asyncio.get_running_loop().create_task(commit_without_end(process))
        yield process
        committing.cancel()
        await asyncio.wait([committing])


def whose(subject: str) -> dict[str, str]:
    """The headers of a sender."""
    return {"authorization": f"Bearer {issue(SECRET, subject, ['resident'], CITY)}"}


def refusal(answer: httpx.Response, status: int) -> dict[str, object]:
    """A refusal that says when to come again."""
    assert answer.status_code == status, answer.text
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    return problem(answer)


def refused(reason: str) -> float:
    """How many were refused for this reason."""
    name = "casegrid_intake_refused_total"
    return REGISTRY.get_sample_value(name, {"reason": reason}) or 0.0


def shown(name: str) -> float:
    """What a gauge of intake shows."""
    return REGISTRY.get_sample_value(f"casegrid_intake_{name}") or 0.0


async def status_unread(process: Process) -> int:
    """The status of a petition whose body never comes."""
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/petitions", "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await create_app(process, SERVICE.routes)(scope, receive, send)
    return int(sent[0]["status"])


async def test_while_too_many_wait_the_next_is_told_at_once_and_unread(
    process: Process, client: httpx.AsyncClient, database: Transaction
) -> None:
    commits = intake_of(process).commits
    await database.execute("begin; lock table petitions in exclusive mode")
    posts = [asyncio.ensure_future(client.post("/petitions", json=petition()))]
    async with asyncio.timeout(10):
        while commits.waiting or not commits.under_way:  # noqa: ASYNC110 (no event for it)
            await asyncio.sleep(0.01)
        more = (client.post("/petitions", json=petition()) for _ in range(ROWS))
        posts += [asyncio.ensure_future(post) for post in more]
        while commits.waiting < ROWS:  # noqa: ASYNC110 (no event for it)
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    before, started = refused("waiting"), time.perf_counter()
    told = refusal(await client.post("/petitions", json=petition()), 503)
    assert await status_unread(process) == 503
    assert time.perf_counter() - started < 1
    assert refused("waiting") == before + 2
    assert "Idempotency-Key" in str(told["detail"])
    await database.execute("rollback")
    assert {post.status_code for post in await asyncio.gather(*posts)} == {202}
    await hand_in(client)


async def test_who_floods_is_told_so_while_another_is_accepted(
    process: Process, client: httpx.AsyncClient
) -> None:
    door = intake_of(process).door
    door.rate = 40.0
    await client.post("/petitions", json=petition(), headers=whose("other"))
    posts = (client.post("/petitions", json=petition(), headers=whose("flood")) for _ in range(200))
    answers = await asyncio.gather(*posts)
    told = [answer for answer in answers if answer.status_code != 202]
    assert 50 <= len(told) <= 180
    assert "your share" in str(refusal(told[0], 429)["detail"])
    other = await client.post("/petitions", json=petition(), headers=whose("other"))
    assert other.status_code == 202


async def test_a_petition_that_was_refused_may_come_again_under_its_key(
    process: Process, client: httpx.AsyncClient, database: Transaction
) -> None:
    door = intake_of(process).door
    headers = whose("eager") | {"idempotency-key": "k"}
    given = petition()
    door.unread = 3
    refusal(await client.post("/petitions", json=given, headers=headers), 503)
    door.unread = 0
    first = await client.post("/petitions", json=given, headers=headers)
    again = await client.post("/petitions", json=given, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert await database.fetchval("select count(*) from petitions") == 1


@asynccontextmanager
async def connected(process: Process) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    """One connection to a real server."""
    server = server_of(process, ("http",))
    serving = asyncio.ensure_future(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", process.settings.port)
    yield reader, writer
    writer.close()
    server.should_exit = True
    await serving


async def answered(reader: StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of the next answer; its body is read."""
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers


async def test_on_the_wire_it_is_refused_before_its_body_and_the_connection_goes_on(
    process: Process,
) -> None:
    door = intake_of(process).door
    body = orjson.dumps(petition())
    head = b"POST /petitions HTTP/1.1\r\nhost: intake\r\ncontent-type: application/json\r\n"
    head += b"content-length: %d\r\n\r\n" % len(body)
    async with connected(process) as (reader, writer):
        door.unread = 3
        writer.write(head)
        status, headers = await answered(reader)
        assert (status, headers["content-type"]) == (503, "application/problem+json")
        assert int(headers["retry-after"]) >= 1
        assert "date" in headers
        writer.write(body + head + body)
        assert (await answered(reader))[0] == 503
        door.unread = 0
        before = refused("unread")
        # Three at once on one connection: each has its own answer, in order.
        writer.write((head + body) * 3)
        assert [(await answered(reader))[0] for _ in range(3)] == [202] * 3
        assert refused("unread") == before
        door.unread = 3
        writer.write(head + body)
        assert (await answered(reader))[0] == 503
        writer.write(b"GET /livez HTTP/1.1\r\nhost: intake\r\nconnection: close\r\n\r\n")
        assert (await answered(reader))[0] == 200


async def test_what_lies_unread_stops_the_next_and_nobody_who_asks(
    process: Process, client: httpx.AsyncClient, database: Transaction
) -> None:
    one = await hand_in(client)
    for _ in range(2):
        await hand_in(client)
    await look_behind(process)
    await measure(process)
    assert (shown("unread"), shown("unread_age_seconds") > 0) == (3, True)
    assert "wait to be read" in str(
        refusal(await client.post("/petitions", json=petition()), 503)["detail"]
    )
    assert (await client.get(one["links"]["receipt"])).status_code == 200
    for more in ("supplements", "urgings", "rating"):
        refusal(await client.post(one["links"][more], json={"text": "and more"}), 503)
    await database.execute("delete from unread")
    await look_behind(process)
    await hand_in(client)


async def test_what_cannot_be_passed_on_stops_the_next(
    process: Process, client: httpx.AsyncClient, database: Transaction
) -> None:
    row = "insert into outbox (topic, lane, event_id, key, headers, value) values"
    values = "('intake.events', 0, gen_random_uuid(), 'k', '', '')"
    await database.execute(f"{row} {values}, {values}, {values}")
    await look_behind(process)
    refusal(await client.post("/petitions", json=petition()), 503)
    await database.execute("delete from outbox where id = (select max(id) from outbox) - 1")
    await database.execute("delete from outbox where id = (select min(id) from outbox)")
    await look_behind(process)
    await hand_in(client)


async def test_the_door_learns_only_from_groups_that_were_full(
    process: Process, client: httpx.AsyncClient
) -> None:
    await hear_policy(process, 1)
    await hand_in(client)
    await tend_door(process)
    assert intake_of(process).door.rate is None
    assert shown("carried_rate") == 0
    intake_of(process).door.rate = 50.0
    await tend_door(process)
    assert shown("carried_rate") == intake_of(process).door.rate
    assert shown("carried_rate") > 0
