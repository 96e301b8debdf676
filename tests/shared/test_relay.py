"""The relay on the real broker: nothing lost, nothing overtaken, nothing deleted on a guess."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from functools import partial

import pytest
from prometheus_client import REGISTRY

from shared import kafka, outbox, postgres, telemetry
from shared.events import Topic
from shared.kafka import Lane, Message, Sender, Unknown
from shared.outbox import relay_once
from shared.postgres import Transaction, transaction
from shared.service import Process, relay, through_weather
from shared.service.relaying import awake
from shared.settings import Settings
from tests.servers import free_port
from tests.shared.sayings import LANE, ONE, OTHER_LANE, TWO, eventually, saying

TOO_LARGE = secrets.token_hex(1_500_000)
"""More than a record may have, also when compressed."""


async def enqueue(tx: Transaction, *sayings: tuple[str, int] | tuple[str, int, str]) -> None:
    """Say these when the transaction commits."""
    await outbox.append(tx, [saying(*one) for one in sayings])


async def said(settings: Settings) -> dict[str, list[int]]:
    """The events that lie on the topic, by subject and in order."""
    found: dict[str, list[int]] = {}
    async for records, _, _ in kafka.read_to_end(settings, Topic.INTAKE):
        for record in records:
            found.setdefault(record.key, []).append(int(record.headers["ce_seq"]))
    return found


async def waiting(tx: Transaction) -> int:
    """The rows of the outbox."""
    return int(await tx.fetchval("select count(*) from outbox"))


def counted(topic: Topic) -> float:
    """The bytes that were said by this process."""
    (metric,) = telemetry.SAID_BYTES.labels(topic).collect()
    return metric.samples[0].value


async def test_a_send_that_takes_long_does_not_cost_the_relay_its_session(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "FROZEN_SECONDS", 1)
    connection = await postgres.connect(dsn, "relay")

    async def slow(_: Mapping[Lane, Sequence[Message]]) -> tuple[dict[Lane, int], dict[Lane, str]]:
        await asyncio.sleep(2.5)
        return {}, {}

    try:
        await connection.execute("set idle_session_timeout = '1s'")
        assert await awake(connection, slow)({}) == ({}, {})
        assert await connection.fetchval("select 1") == 1
    finally:
        await connection.close()


async def test_what_is_committed_is_said_once_and_in_order(
    tx: Transaction, settings: Settings
) -> None:
    for seq in range(1, 51):
        await enqueue(tx, (ONE, seq), (TWO, seq))
    sender = Sender(settings)
    done = await relay_once(tx, sender.send)
    assert await waiting(tx) == 0
    assert (done.sent[Topic.INTAKE], done.refused, done.more) == (100, {}, False)
    size = kafka.size_of(Message(b"one", b"", outbox.headers_of(saying(ONE, 1).envelope)))
    assert 100 * size < done.sent_bytes[Topic.INTAKE] < 100 * (size + 150)
    assert (await relay_once(tx, sender.send)).sent == {}
    await sender.drop()
    assert await said(settings) == {ONE: [*range(1, 51)], TWO: [*range(1, 51)]}


async def test_a_lane_of_more_than_one_batch_keeps_its_order(
    tx: Transaction, settings: Settings
) -> None:
    for seq in range(1, 8):
        await enqueue(tx, (ONE, seq, "y" * 300_000))
    sender = Sender(settings)
    rounds = 0
    while (await relay_once(tx, sender.send)).sent:
        rounds += 1
    await sender.drop()
    assert rounds > 1
    assert await said(settings) == {ONE: [*range(1, 8)]}


async def test_a_refused_lane_holds_up_nobody_else(tx: Transaction, settings: Settings) -> None:
    await enqueue(tx, (ONE, 1, TOO_LARGE), (ONE, 2), (TWO, 1))
    sender = Sender(settings)
    done = await relay_once(tx, sender.send)
    assert done.sent == {Topic.INTAKE: 1}
    assert list(done.refused) == [(Topic.INTAKE, LANE)]
    assert await waiting(tx) == 2
    await enqueue(tx, (TWO, 2))
    done = await relay_once(tx, sender.send, list(done.refused))
    assert (done.sent[Topic.INTAKE], done.refused) == (1, {})
    await sender.drop()
    assert await said(settings) == {TWO: [1, 2]}


async def test_a_refused_lane_is_told_until_it_is_carried_again(process: Process) -> None:
    name = f"lane {Topic.INTAKE}/{LANE}"
    async with transaction(process.pool) as tx:
        await enqueue(tx, (ONE, 1, TOO_LARGE), (ONE, 2), (TWO, 1))
    before = counted(Topic.INTAKE)
    why_not = {"reason": "MessageSizeTooLargeError"}
    refused = partial(REGISTRY.get_sample_value, "casegrid_lanes_refused_total", why_not)
    refused_before = refused() or 0

    async def why() -> str | None:
        return process.health.reasons.get(name)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(through_weather(process, "relay", lambda: relay(process)))
        assert await eventually(why, bool) == "MessageSizeTooLargeError"
        async with transaction(process.pool) as tx:
            await tx.execute("delete from outbox where length(headers) > 1000000")
        await eventually(why, lambda reason: reason is None)
        task.cancel()
    assert await said(process.settings) == {ONE: [2], TWO: [1]}
    assert 0 < counted(Topic.INTAKE) - before < 2_000
    assert (refused() or 0) > refused_before


async def test_without_an_answer_nothing_is_deleted(tx: Transaction, settings: Settings) -> None:
    await enqueue(tx, (ONE, 1), (ONE, 2))
    nowhere = settings.model_copy(
        update={
            "kafka_bootstrap": f"127.0.0.1:{free_port()}",
            "kafka_request_timeout_ms": 1_000,
        }
    )
    away = Sender(nowhere)
    with pytest.raises(Unknown):
        await relay_once(tx, away.send)
    assert await waiting(tx) == 2


async def test_an_answer_that_was_lost_is_asked_for_again_and_order_is_kept(
    tx: Transaction, settings: Settings
) -> None:
    """The batch was written, and nobody heard so: it is said again, whole, and nothing between."""
    await enqueue(tx, (ONE, 1), (ONE, 2))
    sender = Sender(settings)

    async def unheard(
        lanes: Mapping[Lane, Sequence[Message]],
    ) -> tuple[dict[Lane, int], dict[Lane, str]]:
        await sender.send(lanes)
        raise Unknown("TimeoutError")

    with pytest.raises(Unknown):
        await relay_once(tx, unheard)
    assert await waiting(tx) == 2
    await enqueue(tx, (ONE, 3))
    await relay_once(tx, sender.send)
    await sender.drop()
    assert await said(settings) == {ONE: [1, 2, 1, 2, 3]}


RELAY_SESSIONS = """
    select pid from pg_locks where locktype = 'advisory' and objid = $1 and granted
    and database = (select oid from pg_database where datname = current_database())
"""


async def relay_session(process: Process) -> int | None:
    """The session that holds the relay's lock."""
    async with process.pool.acquire() as tx:
        pid: int | None = await tx.fetchval(RELAY_SESSIONS, outbox.RELAY_LOCK)
        return pid


async def until_sent(process: Process) -> None:
    """Wait until the outbox is empty."""

    async def left() -> int:
        async with process.pool.acquire() as tx:
            return await waiting(tx)

    await eventually(left, lambda n: not n)


async def test_a_relay_that_lost_its_lock_starts_anew_and_one_stands_by(process: Process) -> None:
    other = Process(process.service, process.settings, process.clock, process.pool)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(through_weather(one, "relay", lambda one=one: relay(one)))  # type: ignore[misc]
            for one in (process, other)
        ]
        first = await eventually(lambda: relay_session(process), bool)
        async with transaction(process.pool) as tx:
            await enqueue(tx, (ONE, 1), (TWO, 1))
        await until_sent(process)
        async with process.pool.acquire() as tx:
            await tx.execute("select pg_terminate_backend($1)", first)
        second = await eventually(
            lambda: relay_session(process), lambda pid: pid not in (None, first)
        )
        assert second != first
        async with transaction(process.pool) as tx:
            await enqueue(tx, (ONE, 2), (TWO, 2))
        await until_sent(process)
        for task in tasks:
            task.cancel()
    assert await said(process.settings) == {ONE: [1, 2], TWO: [1, 2]}
    assert OTHER_LANE != LANE
