"""`python -m bench city`: every petition of a file through the pipeline, and where each one went.

Starts a stack of its own at real time, loads the city's divisions and places as a policy version,
sends the file with `casegrid intake import`, and reads the figures from the services' databases.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from bench.costs import Memory, memory_by_process
from bench.ledger import Latencies, latencies
from bench.run import free_ports
from deploy.local.stack import Stack

DRAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Files:
    """The petitions, and the city they speak of."""

    messages: Path
    divisions: Path
    places: Path


@dataclass(frozen=True, slots=True)
class CityRun:
    """What a run found."""

    sent: int
    seconds: float
    queues: Sequence[tuple[str, int, int, int]]
    rules: Sequence[tuple[str, int]]
    without_a_reason: int
    accept_to_routed: Latencies
    memory: Mapping[str, Memory]


QUEUES = """
    select coalesce(doc ->> 'tier', 'city') as tier,
           count(*) filter (where stage = 'assigned') as assigned,
           count(*) filter (where stage = 'registered') as waiting,
           count(distinct holder) as queues
    from cases where open group by 1
    order by array_position(array['grid', 'community', 'street', 'district', 'city'],
                            coalesce(doc ->> 'tier', 'city'))
"""
RULES = "select rule, count(*) as n from history where event = 'opened' group by 1 order by 2 desc"
NO_REASON = """
    select count(*) from history
    where event = 'opened' and coalesce(json_array_length(detail -> 'routing' -> 'matched'), 0) = 0
"""
NEWEST = "select coalesce(max(version), 0) from policy_versions"
ROUTED = "select count(*) from receipts where routed_at is not null"
TIMES = """
    select extract(epoch from r.routed_at - p.received_at)::float8 as seconds
    from receipts r join petitions p on p.id = r.petition_id where r.routed_at is not null
"""


def run(files: Files, data: Path, console: Console) -> CityRun:
    """Send the whole file through a fresh stack; raises `CommandFailed` if a command fails."""
    shutil.rmtree(data, ignore_errors=True)
    stack = Stack(data, ports=free_ports(), speed=1)
    stack.start(console.print)
    try:
        divisions, places = str(files.divisions.resolve()), str(files.places.resolve())
        words = ("policy", "load", "--divisions", divisions, "--places", places,
                 "--reason", "the divisions and places of this city")  # fmt: skip
        stack.run_command("router", *words)
        wait_for_policy(stack)
        started = time.monotonic()
        send(stack, files.messages)
        seconds = time.monotonic() - started
        sent = sum(1 for line in files.messages.open() if line.strip())
        wait_until(lambda: asyncio.run(value(stack, ROUTED)) >= sent, DRAIN_SECONDS)
        return asyncio.run(found(stack, sent, seconds))
    finally:
        stack.stop()


def wait_for_policy(stack: Stack) -> None:
    """Until intake reads by the version that was just loaded."""
    wait_until(lambda: asyncio.run(value(stack, NEWEST)) >= 2, DRAIN_SECONDS)
    time.sleep(1.5)  # each process looks for a new version every second


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    """Ask until it is true. Raises `TimeoutError`."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.2)


async def value(stack: Stack, sql: str) -> int:
    """A number from intake's database."""
    connection = await asyncpg.connect(stack.database_url("intake"))
    try:
        return int(await connection.fetchval(sql))
    finally:
        await connection.close()


def send(stack: Stack, messages: Path) -> None:
    """As an operator would, with the progress on the screen."""
    command = [
        sys.executable, "-m", "services.intake", "import", str(messages.resolve()),
        "--url", stack.url("intake"), "--set", "kind=complain", "--set", "channel=web",
    ]  # fmt: skip
    subprocess.run(command, check=True, env=os.environ | stack.settings("intake"))


async def found(stack: Stack, sent: int, seconds: float) -> CityRun:
    """Where everything went, once everything has arrived."""
    router = await asyncpg.connect(stack.database_url("router"))
    intake = await asyncpg.connect(stack.database_url("intake"))
    try:
        times = await intake.fetch(TIMES)
        return CityRun(
            sent,
            seconds,
            [tuple(row) for row in await router.fetch(QUEUES)],
            [tuple(row) for row in await router.fetch(RULES)],
            int(await router.fetchval(NO_REASON)),
            latencies(row["seconds"] for row in times),
            memory_by_process(stack.pids()),
        )
    finally:
        await router.close()
        await intake.close()


def show(result: CityRun, console: Console) -> None:
    """The figures as tables."""
    console.print(
        f"{result.sent:,} petitions in {result.seconds:.0f} s"
        f" ({result.sent / result.seconds:,.0f}/s by one importer);"
        f" {result.accept_to_routed.n:,} routed,"
        f" {result.without_a_reason} without a reason"
    )
    console.print(
        f"accept to routed: p50 {result.accept_to_routed.p50 * 1000:,.0f} ms,"
        f" p99 {result.accept_to_routed.p99 * 1000:,.0f} ms"
    )
    queues = Table("tier", "assigned", "waits for dispatcher", "share", "queues with cases")
    for tier, assigned, waiting, n in result.queues:
        share = f"{(assigned + waiting) / result.sent:.1%}"
        queues.add_row(tier, f"{assigned:,}", f"{waiting:,}", share, f"{n:,}")
    rules = Table("rule that decided", "petitions", "share")
    for rule, n in result.rules:
        rules.add_row(rule, f"{n:,}", f"{n / result.sent:.1%}")
    memory = Table("process", "memory (proportional)")
    for name, used in result.memory.items():
        memory.add_row(name, f"{used.pss / 1e6:.0f} MB")
    for table in (queues, rules, memory):
        console.print(table)
