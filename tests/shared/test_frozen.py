"""A process that stands still keeps no lock for long, wherever it was when it was frozen."""

import asyncio
import re
import subprocess
import sys
import time

import asyncpg
import pytest

from tests.servers import ROOT

LONGEST_SECONDS = 14.0
MOMENTS = ["between statements", "while its rows are packed", "while it is answered"]

FREEZE = """
import asyncio, os, signal, sys, threading
from dataclasses import replace
from uuid import UUID
from shared import outbox, postgres
from tests.shared.sayings import ONE, saying

dsn, where, lock = sys.argv[1:]
freeze = lambda: os.kill(os.getpid(), signal.SIGSTOP)


class Freezing(UUID):
    @property
    def bytes(self):
        freeze()
        return super().bytes


async def hold(tx):
    await tx.execute("select pg_advisory_xact_lock($1)", int(lock))
    print("holds", flush=True)
    if where == "between statements":
        freeze()
    if where == "while its rows are packed":
        one = saying(ONE, 1)
        id_ = Freezing(int=one.envelope.event_id.int)
        await outbox.append(tx, [one._replace(envelope=replace(one.envelope, event_id=id_))])
    threading.Timer(0.05, freeze).start()
    # More than fits into the buffers of the connection: the server cannot finish its answer.
    await tx.fetch("select repeat('x', 1000) from generate_series(1, 3000000)")


async def main():
    async with postgres.open_pool(dsn, 2, 5000, "frozen") as pool:
        async with postgres.transaction(pool) as tx:
            await hold(tx)


asyncio.run(main())
"""


def test_no_statement_of_a_service_has_the_server_wait_for_more_of_it() -> None:
    # In the middle of such a one a client is not idle: a frozen one keeps its locks without end.
    modules = [path for name in ("shared", "services") for path in (ROOT / name).rglob("*.py")]
    streaming = r"\.(copy_records_to_table|copy_to_table|executemany)\("
    assert len(modules) > 50
    assert [path for path in modules if re.search(streaming, path.read_text())] == []


@pytest.mark.parametrize("where", MOMENTS)
async def test_others_have_the_lock_of_a_frozen_process_in_time(dsn: str, where: str) -> None:
    lock = 4_000 + len(where)
    words = (sys.executable, "-c", FREEZE, dsn, where, str(lock))
    frozen = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=subprocess.PIPE)
    connection = await asyncpg.connect(dsn)
    try:
        assert frozen.stdout is not None
        assert await frozen.stdout.readline() == b"holds\n"
        begun = time.monotonic()
        assert not await connection.fetchval("select pg_try_advisory_lock($1)", lock)
        await connection.fetchval("select pg_advisory_lock($1)", lock, timeout=LONGEST_SECONDS)
        assert time.monotonic() - begun > 2, "it was not frozen at all"
    finally:
        frozen.kill()
        await frozen.wait()
        await connection.close()
