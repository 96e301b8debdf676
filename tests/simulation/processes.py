"""The processes of a world: the services' own code, on simulated Kafka, clock and scheduling."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from types import ModuleType
from typing import Any, Final, Literal, cast

from fastapi import FastAPI

from services.analytics import __main__ as analytics
from services.escalation import __main__ as escalation
from services.escalation import handlers as of_escalation
from services.intake import __main__ as intake
from services.intake.decisions.policy import PartBody, compile_policy
from services.intake.decisions.policy import Policy as IntakePolicy
from services.intake.handlers import census as intake_census
from services.intake.handlers import reading
from services.intake.handlers.codes import WrongCodes
from services.intake.handlers.loops import Intake, intake_of, voice_of
from services.intake.handlers.petitions import GroupCommit
from services.intake.handlers.policy import Shelf
from services.router import __main__ as router
from services.router.handlers import policies
from services.router.handlers.census import Census
from services.router.handlers.policies import Policies, policies_of
from shared import hearing, outbox, postgres, tally
from shared.clock import Clock, wall
from shared.events import Topic, part_body
from shared.hearing import Handle
from shared.heartbeat import beat_once
from shared.http import create_app
from shared.kafka import WEATHER as KAFKA_WEATHER
from shared.kafka import Consumer, Record, Unknown
from shared.service import Lag, Process
from shared.service.consuming import hear_once
from shared.settings import Settings
from tests.router.stories import shipped_policy
from tests.simulation.broker import Broker, Client
from tests.simulation.databases import Connection, Database, Pool
from tests.simulation.scheduling import rng, tell

ServiceName = Literal["intake", "router", "escalation", "analytics"]
SERVICES: Final[Mapping[ServiceName, ModuleType]] = {
    "intake": intake, "router": router, "escalation": escalation, "analytics": analytics,
}  # fmt: skip
REPLICAS: Final[Mapping[ServiceName, int]] = {
    "intake": 1, "router": 2, "escalation": 2, "analytics": 1,
}  # fmt: skip
SECRET = "the simulated worlds' own secret, 32 bytes"
LATER = timedelta(hours=2)
"""Every pause before an order is said again is shorter than this."""

TELLS_KAFKA = 0.3
BEAT = timedelta(seconds=5)

Loop = Callable[[], Awaitable[bool]]
Done = Callable[[Topic, int, int, int], None]
"""Told of each batch that was committed: topic, partition, first offset, and the one after it."""


@dataclass(slots=True)
class Sky:
    """The time of a world: the same for all, but for whoever's own clock is wrong."""

    now: datetime
    pauses: int = 0
    beats: bool = False


class WorldClock(Clock):
    """A process's clock of promises, in a world."""

    def __init__(self, sky: Sky) -> None:
        super().__init__()
        object.__setattr__(self, "sky", sky)
        object.__setattr__(self, "skew", timedelta(0))

    sky: Sky
    skew: timedelta

    def at(self, utc: datetime) -> datetime:
        """Promise time is the world's."""
        return utc

    def now(self) -> datetime:
        """The world's time, as this process reads it."""
        return self.sky.now + self.skew

    @property
    def name(self) -> str:
        """All processes of a world have the same."""
        return "world"


class Hearer(Consumer):
    """The project's own consumer on a client of the simulated broker."""

    def __init__(
        self,
        settings: Settings,
        topic: Topic,
        group: str,
        process: Process,
        client: Client,
        done: Done,
    ) -> None:
        async def positions(topic: Topic, partitions: Any) -> Mapping[int, int]:
            async with process.pool.acquire(timeout=10) as connection:
                return await hearing.positions(connection, topic, partitions)

        self.simulated, self.done = client, done
        super().__init__(settings, topic, group, positions)

    def client(self, settings: Settings, group: str) -> Any:
        """Not aiokafka's."""
        return self.simulated

    async def batch(self, limit: int = 200, timeout_ms: int = 250) -> list[Record]:
        """What is to be handled: none is passed over, for no log here has a hole."""
        records = await super().batch(limit, timeout_ms)
        due = dict(self.known)
        for record in records:
            assert record.offset == due[record.partition], "a record is passed over"
            due[record.partition] += 1
        return records

    def handled(self, after: Mapping[int, int]) -> None:
        """The rows are here now: somebody takes note of what was handled."""
        for partition, end in after.items():
            self.done(self.topic, partition, self.known[partition], end)
        super().handled(after)


class Relaying:
    """The relay's connection: it may die under the relay while that is frozen."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.gone = False

    def __getattr__(self, name: str) -> Any:
        if self.gone:
            raise ConnectionResetError("the server ended the session")
        return getattr(self.connection, name)


@cache
def reading_policy() -> IntakePolicy:
    """The project's own rules, as intake reads by them."""
    parts = policies.published(policies.read_files(policies.files()))
    return compile_policy(
        1,
        [
            PartBody(1, kind, n, part_body(kind, n, rows))
            for kind, n, rows in policies.chunked(parts)
        ],
    )


APPS: dict[str, Any] = {}
"""By process name: making an application takes longer than a world."""


@dataclass(slots=True)
class Member:
    """A replica of a service: it lives, is killed, and lives again with nothing remembered."""

    name: str
    service: ServiceName
    broker: Broker
    database: Database
    sky: Sky
    done: Callable[[str, Topic, int, int, int], None]
    alive: bool = False
    life: int = 0
    process: Process = field(init=False)
    hearers: dict[Topic, Hearer] = field(default_factory=dict)
    handles: Mapping[Topic, Handle] = field(default_factory=dict)
    relaying: Relaying | None = None

    # ------------------------------------------------------------ life

    async def begin(self) -> None:
        """Start with nothing in memory."""
        self.alive, self.life = True, self.life + 1
        service = SERVICES[self.service].SERVICE
        pool = cast("postgres.Pool", Pool(self.database))
        settings = settings_of(self.database.dsn)
        self.process = Process(service, settings, WorldClock(self.sky), pool)
        [row] = await self.database.rows("select epoch from epochs")
        self.process.epoch = row["epoch"]
        self.process.state = self.state(pool)
        self.handles = service.hears(self.process)
        self.hearers = {}
        self.app.state.process = self.process

    def state(self, pool: postgres.Pool) -> object:
        """What `Service.open` makes; the policy is read once for all worlds."""
        match self.service:
            case "router":
                known = Policies(pool)
                known.read[1], known.newest = shipped_policy(), 1
                return known
            case "intake":
                made = Intake(GroupCommit(100), Shelf(), WrongCodes())
                made.shelf.policy = reading_policy()
                return made
            case "analytics":
                return hearing.Progress()
            case _:
                return None

    @property
    def app(self) -> FastAPI:
        """Its HTTP, without a server in between."""
        if self.name not in APPS:
            APPS[self.name] = create_app(self.process, SERVICES[self.service].SERVICE.routes)
        app: FastAPI = APPS[self.name].app
        return app

    async def end(self) -> None:
        """All that it had in memory is gone; the group does not know yet."""
        self.alive = False
        self.hearers = {}
        await self.drop_relay()

    def is_right_again(self) -> None:
        """Its clock is right, and it hears of rebalances."""
        if self.alive:
            object.__setattr__(self.process.clock, "skew", timedelta(0))
        for hearer in self.hearers.values():
            hearer.simulated.deaf = False

    async def drop_relay(self) -> None:
        """The server ends the relay's session, and with it the lock."""
        relaying, self.relaying = self.relaying, None
        if relaying is not None:
            relaying.gone = True
            await relaying.connection.execute("select pg_advisory_unlock_all()")
            self.database.give_back(relaying.connection)

    # ------------------------------------------------------------ what it does by itself

    def loops(self) -> dict[str, Loop]:
        """Each loop of the service, as one turn of it; a turn says whether it did anything."""
        turns: dict[str, Loop] = {"relay": self.relay, "fold": self.fold}
        for topic in HEARS[self.service]:
            turns[f"hear {topic}"] = lambda topic=topic: self.hear(topic)  # type: ignore[misc]
        if self.service == "intake":
            turns |= {"commit": self.commit_group, "read": self.read, "count": self.count}
        if self.service == "router":
            turns |= {"count": self.count}
        if self.service == "escalation":
            turns |= {"sweep": self.sweep, "say again": self.say_again, "raise": self.raise_notices}
        return turns

    async def hear(self, topic: Topic) -> bool:
        """One turn of `shared.service.consume`: weather is rolled back and tried again."""
        try:
            hearer = self.hearers.get(topic) or await self.join(topic)
            before = dict(hearer.known)
            lag = self.process.lags.setdefault(topic, Lag(wall()))
            await hear_once(self.process, hearer, self.handles[topic], lag)
            if rng().random() < TELLS_KAFKA:
                await hearer.tell_kafka()
        except ValueError:
            raise
        except (*KAFKA_WEATHER, *postgres.WEATHER, hearing.Fenced) as weather:
            tell(f"is undone: {type(weather).__name__}")
            self.doubt(topic, weather)
            return False
        moved = [
            f"{p}: {before.get(p, 0)}→{end}"
            for p, end in hearer.known.items()
            if before.get(p, 0) != end
        ]
        if moved:
            tell(f"heard partition {', '.join(moved)}")
        # A new share is read from at the next turn; of what waits, a turn may have fetched none.
        new = hearer.share is not hearer.simulated.view
        return bool(moved) or new or hearer.behind() > 0

    def doubt(self, topic: Topic, weather: BaseException) -> None:
        """Ask the database again where we are; a consumer that lost its broker begins anew."""
        if isinstance(weather, (*postgres.WEATHER, hearing.Fenced)):
            if topic in self.hearers:
                self.hearers[topic].forget()
        else:
            self.hearers.pop(topic, None)

    async def join(self, topic: Topic) -> Hearer:
        """Join the group anew."""
        group = f"{self.service}.{topic}"
        client = Client(self.broker, group, f"{self.name}/{self.life}")
        settings = self.process.settings
        done = partial(self.done, self.service)
        hearer = Hearer(settings, topic, group, self.process, client, done)
        await hearer.__aenter__()
        self.hearers[topic] = hearer
        return hearer

    async def relay(self) -> bool:
        """One round of the relay, if this replica has the lock or gets it."""
        try:
            if self.relaying is None and not await self.take_relay():
                return False
            assert self.relaying is not None
            done = await outbox.relay_once(cast("Any", self.relaying), self.broker.send)
        except (*postgres.WEATHER, Unknown) as weather:
            tell(f"begins anew after {type(weather).__name__}")
            await self.drop_relay()
            return False
        return bool(done.sent)

    async def take_relay(self) -> bool:
        """Be the relay of this service."""
        if not self.database.up:
            raise ConnectionRefusedError
        connection = await self.database.connection()
        if await connection.fetchval("select pg_try_advisory_lock($1)", outbox.RELAY_LOCK):
            self.relaying = Relaying(connection)
            return True
        self.database.give_back(connection)
        return False

    async def fold(self) -> bool:
        """Sum up the counts."""
        return await self.through(lambda tx: tally.fold(tx)) or False

    async def commit_group(self) -> bool:
        """Commit the petitions that wait."""
        commits = intake_of(self.process).commits
        if not commits.waiting:
            return False
        if weather := await commits.flush(self.process.pool):
            tell(f"could not take petitions in: {weather}")
        return True

    async def read(self) -> bool:
        """Read a page, and let the heart beat."""
        policy, voice = intake_of(self.process).shelf.policy, voice_of(self.process)
        assert policy is not None
        now = self.process.clock.now()

        async def turn(tx: postgres.Transaction) -> bool:
            page = await reading.read_once(tx, now, policy, voice)
            speaks = intake_census.spoken(voice)
            beat = self.sky.beats and await beat_once(tx, speaks, now, self.sky.now, BEAT)
            return any(page) or beat

        return bool(await self.through(turn))

    async def count(self) -> bool:
        """A page of the census."""
        now = self.process.clock.now()
        if self.service == "intake":
            voice = voice_of(self.process)
            return bool(await self.through(lambda tx: intake_census.walk_on(tx, voice, now)))
        known = policies_of(self.process)
        counting = Census(known, self.process.epoch, self.process.clock)
        return bool(await self.through(counting.walk_on))

    async def sweep(self) -> bool:
        """A page of what is due."""
        now, name = self.process.clock.now(), self.process.clock.name
        page = await self.through(lambda tx: of_escalation.sweep_once(tx, now, name))
        return bool(page)

    async def raise_notices(self) -> bool:
        """A page of what nobody took note of goes one level up."""
        now, name = self.process.clock.now(), self.process.clock.name
        risen = await self.through(lambda tx: of_escalation.raise_once(tx, now, name))
        return bool(risen and risen.taken)

    async def say_again(self) -> bool:
        """Say what got no answer again, as if its pause were over."""
        name = self.process.clock.name
        self.sky.pauses += 1
        at = wall() + LATER * self.sky.pauses
        again = await self.through(lambda tx: of_escalation.say_again_once(tx, at, name))
        return bool(again and again.said)

    async def through(self, work: Callable[[postgres.Transaction], Awaitable[Any]]) -> Any:
        """In a transaction; weather is for the next turn."""
        try:
            async with postgres.transaction(self.process.pool) as tx:
                return await work(tx)
        except ValueError:
            raise
        except postgres.WEATHER as weather:
            tell(f"is undone: {type(weather).__name__}")
            return None


HEARS: Final[Mapping[ServiceName, tuple[Topic, ...]]] = {
    "intake": (Topic.ROUTER,),
    "router": (Topic.INTAKE, Topic.ESCALATION, Topic.ANALYTICS),
    "escalation": (Topic.ROUTER,),
    "analytics": (Topic.ROUTER,),
}
"""The policy is the same in all worlds: nobody hears policy.events."""


@cache
def settings_of(dsn: str) -> Settings:
    """What a process is told."""
    return Settings.model_validate(
        {
            "database_url": dsn,
            "kafka_bootstrap": "simulated:9092",
            "token_secret": SECRET,
        }
    )
