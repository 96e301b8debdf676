"""The embedded PostgreSQL and Kafka: up, down, killed, in the way of others, never left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.jars import LIST, Jar, cache_directory, kafka_jars
from deploy.local.kafka import Kafka
from deploy.local.postgres import SUPERUSER, Postgres
from deploy.local.processes import AlreadyRuns, PortTaken
from tests.servers import FreshDatabase, KafkaServer, PostgresServer, free_port

STARTER = """
import sys, threading, time
from pathlib import Path
from deploy.local.postgres import Postgres

server = Postgres(Path(sys.argv[1]), int(sys.argv[2]), fast=True)
if sys.argv[3] == "tied":
    server.start()
else:
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
print(server.pid, flush=True)
time.sleep(60)
"""


async def test_postgres_has_what_was_written_after_kill_9(
    own_postgres: Callable[[], Postgres],
) -> None:
    server = own_postgres()
    server.prepare(["casegrid_router"])
    await _run(server.dsn("casegrid_router"), "create table kept as select 42 as answer")

    os.kill(server.pid, signal.SIGKILL)
    _wait_for(lambda: not server.running)
    server.start()

    assert await _ask(server.dsn("casegrid_router"), "select answer from kept") == 42


def test_a_stale_pid_file_that_names_a_living_program_does_not_matter(
    own_postgres: Callable[[], Postgres],
) -> None:
    server = own_postgres()
    server.kill()
    stale = server.data_dir / "pgdata" / "postmaster.pid"
    _, *others = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getpid()), *others]))
    server.start()
    assert server.running


async def test_kafka_has_what_was_written_after_kill_9_and_takes_other_ports(
    own_kafka: Callable[[], Kafka],
) -> None:
    server = own_kafka()
    await _create_topic(server.bootstrap, "kept")
    await _send(server.bootstrap, "kept", b"written")

    server.kill()
    elsewhere = Kafka(server.data_dir, free_port(), free_port(), heap="256m")
    elsewhere.start()
    try:
        await _send(elsewhere.bootstrap, "kept", b"written later")
        assert await _read(elsewhere.bootstrap, "kept", 2) == [b"written", b"written later"]
    finally:
        elsewhere.stop()


async def test_the_shared_kafka_takes_a_record(kafka_server: KafkaServer) -> None:
    topic = f"shared-{uuid4().hex}"
    await _create_topic(kafka_server.bootstrap, topic)
    await _send(kafka_server.bootstrap, topic, b"hello")
    assert await _read(kafka_server.bootstrap, topic, 1) == [b"hello"]


def test_stop_leaves_no_process(
    own_postgres: Callable[[], Postgres], own_kafka: Callable[[], Kafka]
) -> None:
    postgres, kafka = own_postgres(), own_kafka()
    family = [*postgres.pids(), *kafka.pids()]
    assert len(family) > 2

    postgres.stop()
    kafka.stop()

    assert [pid for pid in family if _lives(pid)] == []
    assert not postgres.running
    assert not kafka.running


def test_stop_of_a_postgres_that_does_not_listen_is_bounded(
    own_postgres: Callable[[], Postgres],
) -> None:
    server = own_postgres()
    family = server.pids()
    os.kill(server.pid, signal.SIGSTOP)

    started = time.monotonic()
    server.stop(timeout=0.5)

    assert time.monotonic() - started < 5
    assert [pid for pid in family if _lives(pid)] == []


@pytest.mark.parametrize(
    ("taken", "words"),
    [("postgres", "--postgres-port"), ("kafka", "--kafka-port"), ("controller", "controller-port")],
)
def test_a_taken_port_is_a_clear_error(tmp_path: Path, taken: str, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        server: Postgres | Kafka
        if taken == "postgres":
            server = Postgres(tmp_path, port)
        elif taken == "kafka":
            server = Kafka(tmp_path, port, free_port())
        else:
            server = Kafka(tmp_path, free_port(), port)
        with pytest.raises(PortTaken, match=f"port {port} .* is taken.*{words}"):
            server.start()
    assert not server.running


def test_a_data_directory_serves_one_run_at_a_time(own_postgres: Callable[[], Postgres]) -> None:
    first = own_postgres()
    second = Postgres(first.data_dir, free_port())
    with pytest.raises(AlreadyRuns, match="in use by another run"):
        second.start()
    assert first.running


def test_the_server_is_never_run_as_root(own_postgres: Callable[[], Postgres]) -> None:
    assert psutil.Process(own_postgres().pid).uids().effective != 0


@pytest.mark.postgres
def test_data_below_a_private_directory_can_be_served(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = Postgres(private / "postgres", free_port(), fast=True)
    server.start()
    server.stop()
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.postgres
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_a_killed_starter_takes_its_server_along(tmp_path: Path) -> None:
    pid = _start_elsewhere_and_kill_the_starter(tmp_path, free_port(), "tied")
    _wait_for(lambda: not _lives(pid))


@pytest.mark.postgres
def test_a_server_left_behind_is_ended_at_the_next_start(tmp_path: Path) -> None:
    port = free_port()
    pid = _start_elsewhere_and_kill_the_starter(tmp_path, port, "loose")
    assert _lives(pid)

    server = Postgres(tmp_path, port, fast=True)
    server.start()

    assert not _lives(pid)
    assert server.pid != pid
    server.stop()


async def test_a_role_enters_its_own_database_only(own_postgres: Callable[[], Postgres]) -> None:
    server = own_postgres()
    for _ in range(2):
        server.prepare(["casegrid_intake", "casegrid_router"])

    assert await _ask(server.dsn("casegrid_intake"), "select 1") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(server.dsn("casegrid_router", "casegrid_intake"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(server.dsn("postgres", SUPERUSER), password="guess")


async def test_a_commit_is_on_the_disk_before_it_is_answered(
    own_postgres: Callable[[], Postgres],
) -> None:
    dsn = own_postgres().dsn("postgres", SUPERUSER)
    assert await _ask(dsn, "show fsync") == "on"
    assert await _ask(dsn, "show synchronous_commit") == "on"


async def test_a_fresh_database_is_migrated_once_and_empty_each_time(
    fresh_database: FreshDatabase, postgres_server: PostgresServer
) -> None:
    migrated: list[str] = []

    async def migrate(dsn: str) -> None:
        migrated.append(dsn)
        await _run(dsn, "create table facts (fact text)")

    first = await fresh_database("stack", migrate)
    await _run(first, "insert into facts values ('one')")
    second = await fresh_database("stack", migrate)

    assert len(migrated) == 1
    assert await _ask(first, "select count(*) from facts") == 1
    assert await _ask(second, "select count(*) from facts") == 0


def test_the_second_start_of_kafka_asks_no_registry(
    monkeypatch: pytest.MonkeyPatch, kafka_server: KafkaServer
) -> None:
    monkeypatch.setitem(sys.modules, "jgo", None)
    monkeypatch.setitem(sys.modules, "jgo.maven", None)
    directory = kafka_jars(cache_directory())
    assert (directory / "kafka_2.13-4.3.1.jar").exists()


def test_every_jar_is_named_once_with_its_checksum() -> None:
    lines = [line for line in LIST.read_text().splitlines() if not line.startswith("#")]
    jars = [Jar(*line.split()) for line in lines]
    assert len({jar.filename for jar in jars}) == len(jars)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)


def _start_elsewhere_and_kill_the_starter(directory: Path, port: int, how: str) -> int:
    words = [sys.executable, "-c", STARTER, str(directory), str(port), how]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    return pid


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def _with(dsn: str, act: Callable[[asyncpg.Connection], Awaitable[object]]) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await act(connection)
    finally:
        await connection.close()


async def _run(dsn: str, statement: str) -> None:
    await _with(dsn, lambda connection: connection.execute(statement))


async def _ask(dsn: str, question: str) -> object:
    return await _with(dsn, lambda connection: connection.fetchval(question))


async def _create_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def _send(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def _read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()
