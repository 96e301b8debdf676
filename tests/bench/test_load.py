"""The load generator: due times, answers on the wire, and an open loop against a real server."""

import asyncio
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev
from uuid import UUID

import pytest

from bench.ledger import NO_ANSWER, Ledger, Told, read
from bench.load import Load, answer, arrivals, planned, request

PETITION = UUID("01934d2e-0000-7000-8000-000000000001")
BODY = b'{"id":"%b","number":"CG-20260101-0000001"}' % str(PETITION).encode()
ANSWER = b"HTTP/1.1 202 Accepted\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}"

Reply = Callable[[int], Awaitable[bytes | None]]


@asynccontextmanager
async def server(reply: Reply) -> AsyncIterator[int]:
    """Answers request number n with `reply(n)`; None closes the connection."""
    seen = 0
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        while head := await reader.read(4096):
            assert head.startswith(b"POST /petitions HTTP/1.1\r\n")
            seen += 1
            data = await reply(seen)
            if data is None:
                break
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]
        async with asyncio.timeout(5):
            await asyncio.gather(*serving)


async def told_by(reply: Reply, due: list[float], file: Path) -> list[Told]:
    """What a load is told by such a server."""
    async with server(reply) as port:
        with file.open("wb") as book:
            load = Load("127.0.0.1", port, [b"{}"], array("d", due), Ledger(book))
            await load.run()
            load.close()
    return list(read(file))


async def at_once(n: int) -> bytes:
    return ANSWER


def test_the_same_seed_gives_the_same_arrivals() -> None:
    assert arrivals(100, 5, seed=7) == arrivals(100, 5, seed=7)
    assert arrivals(100, 5, seed=7) != arrivals(100, 5, seed=8)


def test_arrivals_have_the_rate_and_come_independently() -> None:
    due = arrivals(1_000, 20, seed=1)
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert len(due) == pytest.approx(20_000, rel=0.03)
    assert 0 < due[0] < due[-1] < 20
    assert pstdev(gaps) == pytest.approx(fmean(gaps), rel=0.05)


def test_an_answer_is_read_when_it_is_whole_and_not_before() -> None:
    assert [answer(ANSWER[:n]) for n in range(len(ANSWER))] == [None] * len(ANSWER)
    assert answer(ANSWER) == (202, BODY)
    assert answer(BUSY) == (503, b"{}")


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(ValueError, match="content-length"):
        answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")


def test_a_request_carries_its_body_and_its_length() -> None:
    assert request("127.0.0.1", 80, "居".encode()).endswith(
        b"content-length: 3\r\n\r\n" + "居".encode()
    )


def test_a_plan_is_one_load_after_the_other() -> None:
    due = planned("100x10,400x5", seed=3)
    assert due[: len(arrivals(100, 10, 3))] == arrivals(100, 10, 3)
    assert list(due) == sorted(due)
    assert sum(at >= 10 for at in due) == pytest.approx(2_000, rel=0.1)
    assert max(due) < 15


def test_a_sender_is_known_by_his_token() -> None:
    assert b"\r\nauthorization: Bearer abc\r\n" in request("127.0.0.1", 80, b"{}", "abc")
    assert b"authorization" not in request("127.0.0.1", 80, b"{}")


async def test_every_request_is_sent_and_noted(tmp_path: Path) -> None:
    told = await told_by(at_once, [n / 1000 for n in range(300)], tmp_path / "book")
    assert {one.id for one in told} == {PETITION}
    assert [one.status for one in told] == [202] * 300


async def test_a_server_that_stalls_is_charged_for_all_that_was_due_meanwhile(
    tmp_path: Path,
) -> None:
    stalled = asyncio.Event()

    async def reply(n: int) -> bytes:
        if n == 1:
            asyncio.get_running_loop().call_later(0.3, stalled.set)
        await stalled.wait()
        return ANSWER

    due = [n / 1000 for n in range(250)]
    told = await told_by(reply, due, tmp_path / "book")
    start = min(one.due for one in told)
    assert len(told) == 250
    for one in told:
        assert one.seconds >= 0.29 - (one.due - start)


async def test_a_refusal_is_noted_as_what_it_is(tmp_path: Path) -> None:
    async def reply(n: int) -> bytes:
        return BUSY if n % 2 else ANSWER

    told = await told_by(reply, [n / 1000 for n in range(100)], tmp_path / "book")
    assert sum(one.status == 503 and one.id is None for one in told) == 50


async def test_a_connection_that_ends_leaves_its_request_without_an_answer(
    tmp_path: Path,
) -> None:
    async def reply(n: int) -> bytes | None:
        return None if n == 10 else ANSWER

    told = await told_by(reply, [n / 1000 for n in range(100)], tmp_path / "book")
    assert sum(one.status == NO_ANSWER for one in told) == 1
    assert sum(one.status == 202 for one in told) == 99


async def test_a_202_that_names_no_petition_is_no_promise(tmp_path: Path) -> None:
    async def reply(n: int) -> bytes:
        return b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}"

    told = await told_by(reply, [0.0], tmp_path / "book")
    assert [one.status for one in told] == [NO_ANSWER]
