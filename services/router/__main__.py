"""The router: which office answers a petition, by when, and who is next. `--help` says more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from services.router import store
from services.router.api import routes
from services.router.handlers import measures, petitions, policies, stuck
from services.router.handlers.census import Census
from services.router.handlers.orders import Orders
from services.router.handlers.petitions import Petitions
from services.router.handlers.policies import Policies, policies_of
from services.router.operator import add_verbs
from shared import postgres
from shared.census import besides, show_age
from shared.command import service_command
from shared.events import Topic
from shared.hearing import Handle, Parked
from shared.heartbeat import On, feeling
from shared.postgres import Transaction
from shared.service import Process, Replayed, Service, Timer


async def open_policies(process: Process) -> Policies:
    """Know a policy before anything runs: the newest, or the one that comes with the project."""
    await policies.load_default(process.pool, process.epoch, process.clock)
    known = Policies(process.pool)
    async with process.pool.acquire(timeout=10) as connection:
        await known.refresh(connection)
    return known


def hears(process: Process) -> Mapping[Topic, Handle]:
    """What the router listens to."""
    known = policies_of(process)
    counting = Census(known, process.epoch, process.clock)
    heard = Petitions(known, process.epoch, process.clock)
    orders = Orders(known, process.epoch, process.clock)
    on = On(Topic.ROUTER, counting.voice)
    return {
        Topic.INTAKE: feeling(besides(counting.hear, heard.handle), on),
        Topic.ESCALATION: feeling(besides(counting.hear, orders.handle)),
        Topic.ANALYTICS: counting.hear,
    }


async def replay(process: Process, tx: Transaction, one: Parked) -> Replayed | None:
    """What is parked of a petition is heard in its order, and as a whole."""
    case_id = petitions.uuid_of(one.record.key)
    if one.record.topic is not Topic.INTAKE or case_id is None:
        return None
    handler = Petitions(policies_of(process), process.epoch, process.clock)
    return Replayed(*await petitions.replay(tx, handler, case_id, process.clock.now()))


async def count(process: Process) -> float:
    """Walk over the open cases, a page a second."""
    if not process.settings.census:
        return 60.0
    counting = Census(policies_of(process), process.epoch, process.clock)
    async with postgres.transaction(process.pool, "timer") as tx:
        more = await counting.walk_on(tx)
        await show_age(tx)
    process.wake_relay.call()
    return 1.0 if more else 5.0


async def recount(process: Process) -> float:
    """At the start, and each hour: the stuck queues. An older version may have worked beside us."""
    async with postgres.transaction(process.pool, "timer") as tx:
        await stuck.recount(tx)
    return 3600.0


async def look_for_policy(process: Process) -> float:
    """Each second: switch to the newest policy, whichever process loaded it."""
    async with process.pool.acquire(timeout=10) as connection:
        await policies_of(process).refresh(connection)
    return 1.0


async def look(process: Process) -> float:
    """Each second: the figures, and old answers forgotten."""
    async with postgres.transaction(process.pool, "timer") as tx:
        await store.commands.forget_old(tx)
        await measures.measure(tx, policies_of(process), process.clock.now())
    return 1.0


SERVICE = Service(
    name="router",
    about="Opens a case for each petition and decides who holds it, by when, and who is next.",
    migrations=Path(__file__).parent / "migrations",
    routes=routes,
    hears=hears,
    timers=(
        Timer("policy for http", "http", look_for_policy),
        Timer("policy for consume", "consume", look_for_policy),
        Timer("policy for sweep", "sweep", look_for_policy),
        Timer("look", "sweep", look),
        Timer("census", "sweep", count),
        Timer("recount", "sweep", recount),
    ),
    open=open_policies,
    replay=replay,
)
app = service_command(SERVICE)
add_verbs(app)

if __name__ == "__main__":
    app()
