"""What a process of intake holds in memory, and what it does by itself."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from services.intake.decisions.admission import Limits
from services.intake.decisions.petitions import accepted_at
from services.intake.handlers import census, reading
from services.intake.handlers.admission import Door
from services.intake.handlers.announcing import Voice
from services.intake.handlers.codes import WrongCodes
from services.intake.handlers.petitions import GroupCommit
from services.intake.handlers.policy import Shelf
from services.intake.metrics import UNREAD, UNREAD_AGE, UNROUTED_AGE
from services.intake.store import reading as store
from shared.census import show_age
from shared.clock import wall
from shared.heartbeat import Heart
from shared.postgres import transaction
from shared.service import Process

POLL_SECONDS = 0.05
LEARN_SECONDS = 0.5
YOUNG_SECONDS = 20
"""[ours] So long a petition may be on its way from its id to its commit."""
LOOKED_AT = 50_000
REST_SECONDS = 0.02
"""Without it each group commit would be read, said and routed by transactions of its own; at
700 petitions a second the rest saves a seventh of the CPU here and a fifth of PostgreSQL's."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What one process holds."""

    commits: GroupCommit
    shelf: Shelf
    wrong_codes: WrongCodes
    door: Door = field(default_factory=Door)
    heart: Heart = field(default_factory=Heart)


async def open_intake(process: Process) -> Intake:
    """Make what a process holds, with the newest policy that its database has."""
    settings = process.settings
    commits = GroupCommit(settings.accept_queue)
    limits = Limits(settings.accept_wait_seconds, settings.unread_limit, settings.outbox_limit)
    heart = Heart(timedelta(seconds=settings.heartbeat_seconds))
    intake = Intake(commits, Shelf(), WrongCodes(), Door(limits, commits.wait), heart)
    async with process.pool.acquire(timeout=10) as connection:
        await intake.shelf.newest(connection)
    return intake


def intake_of(process: Process) -> Intake:
    """What this process holds."""
    assert isinstance(process.state, Intake)
    return process.state


def voice_of(process: Process) -> Voice:
    """How this process speaks."""
    return Voice(process.epoch, process.clock.name)


async def commit_group(process: Process) -> float:
    """Commit the next group of petitions; weather is told to those who wait."""
    weather = await intake_of(process).commits.flush(process.pool)
    if weather:
        process.health.degraded("accepting", weather)
    else:
        process.health.well("accepting")
        process.wake_read.call()
    return 0


async def read(process: Process) -> float:
    """Read a page; a full page is followed by the next at once, any other by a short rest.

    The heartbeat is the reader's: while nothing is read, nothing beats.
    """
    policy = intake_of(process).shelf.policy
    if policy is None:
        process.health.degraded("policy", "no policy yet: petitions are taken, not read")
        return REST_SECONDS
    process.health.well("policy")
    async with transaction(process.pool, "read") as tx:
        now, voice = process.clock.now(), voice_of(process)
        page = await reading.read_once(tx, now, policy, voice)
        beat = await intake_of(process).heart.beat(tx, census.spoken(voice), now)
    page.note()
    if any(page) or beat:
        process.wake_relay.call()
    if sum(page) == reading.PAGE:
        return 0
    await process.wake_read.wait(POLL_SECONDS)
    return REST_SECONDS


async def look_for_policy(process: Process) -> float:
    """Learn of a new policy, whichever process heard of it."""
    async with process.pool.acquire(timeout=10) as connection:
        await intake_of(process).shelf.newest(connection)
    return 1.0


async def count(process: Process) -> float:
    """Walk over what was said of petitions, a page a second."""
    if not process.settings.census:
        return 60.0
    async with transaction(process.pool, "timer") as tx:
        more = await census.walk_on(tx, voice_of(process), process.clock.now())
        await show_age(tx)
    process.wake_relay.call()
    return 1.0 if more else 5.0


async def tend_door(process: Process) -> float:
    """Learn from the last half second how much is carried."""
    intake = intake_of(process)
    began = time.monotonic()
    await asyncio.sleep(LEARN_SECONDS)
    seconds = time.monotonic() - began
    intake.door.learn(intake.commits.progress(), seconds - LEARN_SECONDS, seconds)
    return 0


async def look_behind(process: Process) -> float:
    """How much waits behind the commit, as far as the door's limits reach."""
    door = intake_of(process).door
    # Without a policy nothing is read, and that is no reason to take less.
    door.reads = intake_of(process).shelf.policy is not None
    async with process.pool.acquire(timeout=10) as connection:
        door.unread, door.outbox = await store.behind(connection, *door.limits[1:])
    return LEARN_SECONDS


async def measure(process: Process) -> float:
    """How many petitions wait to be read, how long the oldest has, and the oldest unrouted."""
    young = UUID(int=int((wall().timestamp() - YOUNG_SECONDS) * 1000) << 80)
    async with process.pool.acquire(timeout=10) as connection:
        depth, oldest = await store.queue(connection)
        unrouted = await store.oldest_unrouted(connection, young, LOOKED_AT)
    UNREAD.set(depth)
    age = 0.0 if oldest is None else (wall() - accepted_at(oldest)).total_seconds()
    UNREAD_AGE.set(max(0.0, age))
    UNROUTED_AGE.set(unrouted_age(unrouted))
    return 2.0 if unrouted.caught_up else 0.1


def unrouted_age(unrouted: store.Unrouted) -> float:
    """How long the oldest petition that is not routed has waited; 0 of none, NaN if not known."""
    if unrouted.oldest is None:
        return 0.0 if unrouted.caught_up else float("nan")
    return max(0.0, (wall() - accepted_at(unrouted.oldest)).total_seconds())
