"""A process that stands still keeps no lock for long, wherever it was when it was frozen."""

import asyncio
import subprocess
import sys
import time

import asyncpg
import pytest

from tests.servers import ROOT, PostgresServer

LONGEST_SECONDS = 14.0

FREEZE = """
import asyncio, os, signal, sys, threading
from shared import postgres

dsn, where, lock = sys.argv[1:]
freeze = lambda: os.kill(os.getpid(), signal.SIGSTOP)


async def hold(tx):
    await tx.execute("select pg_advisory_xact_lock($1)", int(lock))
    print("holds", flush=True)
    if where == "between statements":
        freeze()
    threading.Timer(0.05, freeze).start()
    # More than fits into the buffers of the connection: the server cannot finish its answer.
    await tx.fetch("select repeat('x', 1000) from generate_series(1, 3000000)")


async def main():
    async with postgres.open_pool(dsn, 2, 5000, "frozen") as pool:
        async with postgres.transaction(pool) as tx:
            await hold(tx)


asyncio.run(main())
"""


@pytest.mark.parametrize("where", ["between statements", "while it is answered"])
async def test_others_have_the_lock_of_a_frozen_process_in_time(
    postgres_server: PostgresServer, where: str
) -> None:
    dsn, lock = postgres_server.dsn("postgres"), 4_000 + len(where)
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
