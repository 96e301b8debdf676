"""A world: one seed, some petitions, some days, and much that goes wrong. See `World.run`."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from services.intake.api import additions, bodies
from services.intake.handlers import census as intake_census
from shared import census
from shared.events import Topic
from shared.kafka import Lane, Message
from tests.simulation.broker import Broker, Raw
from tests.simulation.databases import Database
from tests.simulation.invariants import Broken, Sight, check, check_record
from tests.simulation.people import Book, Officers, Operator, Resident
from tests.simulation.processes import HEARS, REPLICAS, SERVICES, Member, ServiceName, Sky
from tests.simulation.scheduling import Execution, Killed, swapped

OWNERS: Final = ("intake", "router")
"""Those who count what they hold, so that others can compare."""

KEPT: Final = frozenset(
    {"schema_migrations", "epochs", "policy_versions", "policy_parts", "operator_acts"}
)
BEGIN: Final = datetime(2026, 4, 13, 1, 0, tzinfo=UTC)  # a Monday, 9 o'clock in Dalian
FAULTS: Final = (
    "crash", "freeze", "lost", "late", "rebalance", "deaf", "broker", "database", "clock", "spoil",
)  # fmt: skip
STEPS: Final = 160
MOST_FROZEN: Final = 5
CALM: Final = 0.0
STAYS_FROZEN: Final = 0.6

Databases = Mapping[ServiceName, Database]


@dataclass(frozen=True)
class Plan:
    """What makes a world: its seed, how many steps it has, and what is left out of it."""

    seed: int
    steps: int = STEPS
    without: frozenset[int] = frozenset()
    never: frozenset[str] = frozenset()


@dataclass
class Outcome:
    """How a world ended: well, or with what broke; and its story."""

    plan: Plan
    broken: str | None
    story: list[str]
    counts: Counter[str]


@dataclass
class World:
    """The services of a city as processes that are killed, frozen, misled and cut off.

    A world has no randomness but its seed's: the same plan is the same world, line by line.
    """

    plan: Plan
    databases: Databases
    story: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        nature = Random(f"{self.plan.seed}/nature")
        # Each world has its own evils, so that none of them hides behind the others.
        self.faults = {one for one in FAULTS if nature.random() < 0.6} - self.plan.never
        self.chance = nature.choice((0.03, 0.08, 0.15, 0.25))
        self.hurry = nature.choice((0.3, 1.0, 3.0))
        # Counting all again and again takes half of a world's time.
        self.compares = "spoil" in self.faults or nature.random() < 0.25
        self.compares_again = nature.random() < 0.25
        # Beats are many records, and they take half of a world's time too.
        self.sky = Sky(BEGIN, beats=nature.random() < 0.25)
        self.broker = Broker(self.appended)
        self.book = Book()
        self.sight = Sight(self.book, self.broker, self.databases, self.sky)
        self.resident, self.officers = Resident(self.book), Officers(self.book)
        self.operator = Operator()
        self.members = {
            name: Member(
                name, service, self.broker, self.databases[service], self.sky, self.sight.handled
            )
            for service in SERVICES
            for name in names_of(service)
        }
        self.turns: dict[str, Execution] = {}
        self.hot: dict[str, None] = {}
        self.ids = self.calm_turns = 0
        self.spoilt: set[str] = set()
        self.harmed = False  # by whoever made this world, behind the services' backs
        self.broker.spoils = self.spoils

    # ------------------------------------------------------------ what executions ask

    def allows(self, fault: str) -> bool:
        """Whether this may happen now."""
        if fault == "freeze" and sum(one.frozen for one in self.turns.values()) >= MOST_FROZEN:
            return False
        return fault in self.faults

    def tell(self, line: str) -> None:
        """A line of the story."""
        self.story.append(f"  {line}")

    def count(self, what: str) -> None:
        """One more of these."""
        self.counts[what] += 1

    # ------------------------------------------------------------ the whole

    async def run(self) -> Outcome:
        """Begin, live through all steps, let everything come to rest, and look."""
        broken: str | None = None
        with self.own_ids_and_time():
            try:
                await self.begin()
                for n in range(self.plan.steps):
                    if n not in self.plan.without:
                        await self.step(n)
                await self.settle()
                await check(self.sight)
            except Broken as what:
                broken = str(what)
            except Exception as bug:  # noqa: BLE001 (a bug of the services is what we look for)
                broken = f"a bug: {type(bug).__name__}: {bug}\n{traceback.format_exc()}"
            finally:
                await self.end()
        self.counts["petitions accepted"] = len(self.book.accepted())
        self.counts["petitions sent, again too"] = self.resident.sent
        self.counts["commands"] = len(self.book.commands)
        self.counts["commands sent, again too"] = sum(len(c.statuses) for c in self.book.commands)
        self.counts["commands done"] = sum(200 in c.statuses for c in self.book.commands)
        self.counts["supplements"] = self.book.supplements
        return Outcome(self.plan, broken, self.story, self.counts)

    async def begin(self) -> None:
        """Empty databases, empty topics, everybody alive."""
        for database in self.databases.values():
            database.up = True
            await database.empty(KEPT)
        for member in self.members.values():
            await member.begin()
        self.story.append("    before anything goes wrong")
        chance, self.chance = self.chance, CALM
        nature = Random(f"{self.plan.seed}/before")
        for _ in range(nature.randint(0, 4)):
            execution = Execution(self, "intake-1", "resident", nature)
            await execution.run(self.resident.hand_in(self.members["intake-1"], nature))
        await self.until_quiet()
        self.chance = chance

    async def end(self) -> None:
        """Nothing is left running."""
        for execution in self.turns.values():
            await execution.kill()
        for member in self.members.values():
            await self.resident.hang_up(member)
            await member.end()

    @contextmanager
    def own_ids_and_time(self) -> Iterator[None]:
        """Ids that intake makes come from the seed; the census goes by the world's time."""

        def uuid7() -> UUID:
            self.ids += 1
            drawn = Random(f"{self.plan.seed}/id/{self.ids}").getrandbits(62)
            ms = int(self.sky.now.timestamp() * 1000)
            return UUID(int=ms << 80 | 0x7 << 76 | (self.ids & 0xFFF) << 64 | 0x2 << 62 | drawn)

        def wall() -> datetime:
            return self.sky.now

        with ExitStack() as swaps:
            swaps.enter_context(swapped(bodies, "uuid7", uuid7))
            swaps.enter_context(swapped(additions, "uuid7", uuid7))
            swaps.enter_context(swapped(census, "wall", wall))
            swaps.enter_context(swapped(intake_census, "wall", wall))
            yield

    # ------------------------------------------------------------ one step

    async def step(self, n: int) -> None:
        """Somebody does something, or something happens."""
        rng = Random(f"{self.plan.seed}/{n}")
        name = self.next(rng)
        self.story.append(f"{n:3} {name}")
        self.pass_time(timedelta(milliseconds=rng.randint(1, 400)))
        happening = HAPPENINGS.get(name)
        if happening is not None:
            await happening(self, rng)
        else:
            await self.turn(name, rng)
        await self.resident.collect()

    def next(self, rng: Random) -> str:
        """Who is next: mostly a loop that has something to do."""
        hot = list(self.hot)
        if hot and rng.random() < 0.72:
            return rng.choice(hot)
        names, weights = zip(*self.choices(), strict=True)
        [name] = rng.choices(names, weights)
        return str(name)

    def choices(self) -> list[tuple[str, float]]:
        """Everybody who may be next, and how likely."""
        people = [
            ("resident", 6.0),
            ("resident adds", 3.0),
            ("officer 1", 12.0),
            ("officer 2", 12.0),
            ("officer takes note", 2.0),
            ("operator", 2.0),
        ]
        loops = [
            (f"{name}: {loop}", WEIGHTS.get(loop.split()[0], 3.0) / REPLICAS[member.service])
            for name, member in self.members.items()
            for loop in LOOPS[member.service]
        ]
        return [*people, *loops, *((name, weight) for name, weight in RARE.items())]

    async def turn(self, name: str, rng: Random) -> None:
        """One turn of a loop or a person; who was frozen goes on."""
        self.hot.pop(name, None)
        execution = self.turns.pop(name, None)
        member = self.member_of(name, rng)
        if execution is not None:
            member = self.members[execution.owner]
        if not member.alive:
            self.tell(f"{member.name} is dead")
            return
        if execution is not None and not self.calm and rng.random() < STAYS_FROZEN:
            self.turns[name] = execution
            return
        try:
            if execution is not None:
                done = await execution.go_on()
            else:
                execution = Execution(self, member.name, name, rng)
                done = await execution.run(self.work(name, member, rng))
        except Killed:
            self.did(name, member)
            await self.kill(member)
            return
        if not done:
            self.turns[name] = execution
        elif execution.result is not False:
            self.did(name, member)

    def member_of(self, name: str, rng: Random) -> Member:
        """Whose turn it is: of people, the process that they ask."""
        if ":" in name:
            return self.members[name.partition(":")[0]]
        service: ServiceName = "intake" if name.startswith("resident") else "router"
        if name == "officer takes note":
            service = "escalation"
        alive = [m for m in self.members.values() if m.service == service and m.alive]
        return rng.choice(alive) if alive else self.members[names_of(service)[0]]

    async def work(self, name: str, member: Member, rng: Random) -> Any:
        """What is done in this turn."""
        match name:
            case "resident":
                self.warm("commit", service="intake")
                return await self.resident.hand_in(member, rng)
            case "resident adds":
                return await self.resident.add(member, rng)
            case "operator":
                return await self.operator.replay(member, rng)
            case "officer takes note":
                return await self.officers.take_note(member, rng)
            case "officer 1" | "officer 2":
                return await self.officers.act(member, rng, self.sky.now.isoformat())
            case _:
                return await member.loops()[name.partition(": ")[2]]()

    async def kill(self, member: Member) -> None:
        """Everything that it was doing is over."""
        for name, execution in list(self.turns.items()):
            if execution.owner == member.name:
                del self.turns[name]
                await execution.kill()
        await self.resident.hang_up(member)
        await member.end()

    # ------------------------------------------------------------ what is said and done

    def warm(self, *loops: str, service: str | None = None) -> None:
        """These have something to do now."""
        for name, member in self.members.items():
            if service in (None, member.service):
                for loop in loops:
                    if loop in LOOPS[member.service]:
                        self.hot[f"{name}: {loop}"] = None

    def did(self, name: str, member: Member) -> None:
        """Something was done, or may have been: there may be something to say, read and sweep."""
        self.warm("relay", "read", "sweep", "raise", service=member.service)
        if ":" in name:
            self.hot[name] = None

    def appended(self, topic: Topic, raw: Raw) -> None:
        """A record was written."""
        self.warm(f"hear {topic}")
        self.counts[f"records on {topic}"] += 1
        if dict(raw.headers)["ce_type"] == b"casegrid.census.differed.v1":
            self.counts["differences asked for"] += 1
        check_record(self.sight, topic, raw)

    def spoils(self, lane: Lane, message: Message) -> bool:
        """Whether a record is written as nobody can read it: once of a petition, never the same."""
        if "spoil" not in self.faults or self.calm:
            return False
        key = message.key.decode()
        if key.startswith("heartbeat"):
            return False  # there are many, and none of them would be missed
        drawn = Random(f"{self.plan.seed}/spoil/{key}/{len(self.broker.logs[lane])}").random()
        if drawn >= 0.12 or key in self.spoilt:
            return False
        self.spoilt.add(key)
        self.count("records spoilt")
        self.tell(f"a record of {key} is spoilt on its way")
        return True

    # ------------------------------------------------------------ rest

    @property
    def calm(self) -> bool:
        """Whether nothing goes wrong any more."""
        return self.chance == CALM

    async def settle(self) -> None:
        """Nothing goes wrong any more: all wake up, all is said and heard, and time passes."""
        self.story.append("    all is well again")
        self.chance = CALM
        self.sky.beats = False
        await self.recover()
        await self.ask_what_is_unanswered()
        if self.compares:
            await self.compare_all()
        else:
            await self.until_quiet()
        await check(self.sight)
        for _ in range(DAYS):
            await self.until_quiet()
            following = await self.sight.next_due()
            if following is None:
                break
            later = following + timedelta(seconds=1) - self.sky.now
            self.pass_time(max(later, timedelta(0)))
            self.story.append(f"    it is {self.sky.now:%m-%d %H:%M:%S}")
        await self.until_quiet()

    async def ask_what_is_unanswered(self) -> None:
        """Whoever got no answer asks again, until there is one."""
        for _ in range(3):
            await self.until_quiet()
            for one in self.book.petitions:
                if one.status in (0, None):
                    await self.resident.post(self.members["intake-1"], one)
                    self.warm("commit")
            for asked in self.book.commands:
                if not asked.answered:
                    await self.officers.ask(self.members["router-1"], asked, "at last")

    async def compare_all(self) -> None:
        """Everything is counted and compared: what was missed is mended, and then nothing is."""
        await self.until_quiet()
        # A page that was counted in bad times may be compared long after, and ask in vain.
        in_bad_times = self.counts["differences asked for"]
        for again in (False, True) if self.compares_again else (False,):
            self.pass_time(timedelta(minutes=20))
            before = self.counts["differences asked for"]
            await self.walk()
            await self.until_quiet()
            if again and self.counts["differences asked for"] > before:
                raise Broken("what the census finds is mended", "it finds it again")
        spoilt = self.harmed or self.counts["records spoilt"]
        if self.counts["differences asked for"] > in_bad_times and not spoilt:
            raise Broken("nothing is missed that nothing spoilt", "the census found something")

    async def walk(self) -> None:
        """A whole walk of each who counts."""
        for owner in OWNERS:
            name = f"{owner}-1: count"
            self.hot[name] = None
            while name in self.hot:
                del self.hot[name]
                await self.calm_turn(name)

    def pass_time(self, how_long: timedelta) -> None:
        """It is later."""
        self.sky.now += how_long
        self.broker.now_ms = int(self.sky.now.timestamp() * 1000)

    async def recover(self) -> None:
        """Everybody lives, hears and reaches everything."""
        self.broker.up = True
        for database in self.databases.values():
            database.up = True
        for member in self.members.values():
            member.is_right_again()
        while self.turns:
            await self.turn(next(iter(self.turns)), Random(0))
        while self.broker.land():
            pass
        for member in self.members.values():
            if not member.alive:
                await member.begin()
        await self.resident.collect()

    async def until_quiet(self) -> None:
        """Turn after turn, until nobody has anything to do."""
        every = sorted({loop for loops in LOOPS.values() for loop in loops} - {"fold", "count"})
        self.warm(*every)
        for _ in range(MOST_ROUNDS):
            for name in list(self.hot):
                del self.hot[name]
                await self.calm_turn(name)
            self.rebalance_all()
            await self.resident.collect()
            if self.hot:
                continue
            if await self.sight.nothing_waits(self.groups()):
                return
            self.warm(*every)
        raise Broken("it comes to rest", await self.sight.what_waits(self.groups()))

    async def calm_turn(self, name: str) -> None:
        """A turn in which nothing goes wrong; whoever did something is asked again."""
        owner, _, loop = name.partition(": ")
        moved: list[bool] = []
        self.calm_turns += 1
        execution = Execution(self, owner, name, Random(f"{self.plan.seed}/calm/{self.calm_turns}"))
        await execution.run(noting(self.members[owner].loops()[loop], moved))
        if loop == "count":
            self.warm("relay", service=self.members[owner].service)
        if moved[0] and loop != "fold":
            self.did(name, self.members[owner])

    def groups(self) -> dict[str, Topic]:
        """Every group, and the topic that it hears."""
        return {f"{s}.{topic}": topic for s, topics in HEARS.items() for topic in topics}

    def rebalance_all(self) -> None:
        """Every group shares its topic among those who live."""
        for group in self.groups():
            live = self.live(group)
            known = self.broker.groups.get(group, {})
            share = set(self.broker.share.get(group, {}).values())
            if set(live) & known.keys() != share:
                self.broker.rebalance(group, live, lambda _: None)
                self.warm(f"hear {self.groups()[group]}")

    def live(self, group: str) -> list[str]:
        """The members of a group that are there."""
        return [
            hearer.simulated.member
            for member in self.members.values()
            if member.alive
            for hearer in member.hearers.values()
            if hearer.simulated.group == group
        ]


MOST_ROUNDS: Final = 150
DAYS: Final = 6
"""So many due times are lived through after all is well: up the whole ladder."""


async def noting(turn: Callable[[], Awaitable[bool]], moved: list[bool]) -> None:
    """A turn, and whether it did anything."""
    moved.append(bool(await turn()))


def names_of(service: ServiceName) -> list[str]:
    """The replicas of a service."""
    return [f"{service}-{n}" for n in range(1, REPLICAS[service] + 1)]


# ---------------------------------------------------------------- what happens to a world


async def time_passes(world: World, rng: Random) -> None:
    """Minutes, or days."""
    world.warm("sweep", "say again")
    jump = timedelta(seconds=rng.choice((5, 60, 400, 1900, 4000, 30_000, 90_000)) * world.hurry)
    world.sky.now += jump
    world.tell(f"{jump} pass: it is {world.sky.now:%m-%d %H:%M:%S}")


async def rebalances(world: World, rng: Random) -> None:
    """A group shares its topic anew; who is frozen or deaf does not know, and may be left out."""
    groups = world.groups()
    frozen = [one for name, one in sorted(world.turns.items()) if ": hear" in name]
    if frozen and "rebalance" in world.faults and rng.random() < 0.7:
        zombie = rng.choice(frozen)
        topic = zombie.name.partition(": hear ")[2]
        group = f"{world.members[zombie.owner].service}.{topic}"
        live = [m for m in world.live(group) if m.partition("/")[0] != zombie.owner]
    else:
        group = rng.choice(sorted(groups))
        live = world.live(group)
        if "rebalance" in world.faults:
            live = [m for m in live if rng.random() < 0.7] or live
    world.broker.rebalance(group, live, rng.shuffle)
    world.count("rebalances")
    world.warm(f"hear {groups[group]}")
    world.tell(f"{group} is shared by {', '.join(live) or 'nobody'}")


async def goes_deaf(world: World, rng: Random) -> None:
    """A consumer hears of no rebalance for a while, or does again."""
    if "deaf" not in world.faults:
        return
    name = rng.choice(sorted(world.members))
    for hearer in world.members[name].hearers.values():
        hearer.simulated.deaf = not hearer.simulated.deaf
    world.count("consumers deaf to rebalances")
    world.tell(f"{name} does not hear of rebalances, or does again")


async def is_killed(world: World, rng: Random) -> None:
    """A process is killed between two turns."""
    if "crash" not in world.faults:
        return
    name = rng.choice(sorted(world.members))
    world.count("processes killed")
    world.tell(f"{name} is killed")
    await world.kill(world.members[name])


async def comes_back(world: World, rng: Random) -> None:
    """The dead begin anew."""
    for name, member in world.members.items():
        if not member.alive and rng.random() < 0.8:
            world.tell(f"{name} is started")
            await member.begin()


async def broker_goes_or_comes(world: World, _: Random) -> None:
    """The broker is away, or is back."""
    if "broker" in world.faults or not world.broker.up:
        world.broker.up = not world.broker.up
        world.count("broker away or back")
        world.tell(f"the broker is {'back' if world.broker.up else 'away'}")


async def database_goes_or_comes(world: World, rng: Random) -> None:
    """A database is away: every open transaction of it is lost; or it is back."""
    service = rng.choice(sorted(world.databases))
    database = world.databases[service]
    if "database" not in world.faults and database.up:
        return
    database.up = not database.up
    world.count("database away or back")
    world.tell(f"the database of {service} is {'back' if database.up else 'away'}")
    if not database.up:
        for execution in world.turns.values():
            if world.members[execution.owner].service == service:
                execution.cut = True
        for member in world.members.values():
            if member.service == service:
                await member.drop_relay()


async def session_ends(world: World, rng: Random) -> None:
    """The server ends a relay's session: another may be the relay now, this one does not know."""
    if "freeze" not in world.faults:
        return
    frozen = sorted(one.owner for name, one in world.turns.items() if ": relay" in name)
    name = rng.choice(frozen or sorted(world.members))
    await world.members[name].drop_relay()
    world.count("relay sessions ended")
    world.warm("relay", service=world.members[name].service)
    world.tell(f"the relay of {name} loses its session")


async def lands(world: World, _: Random) -> None:
    """A batch that nobody waits for any more is written."""
    if "late" in world.faults and (what := world.broker.land()):
        world.count("late batches")
        world.tell(what)


async def clock_steps(world: World, rng: Random) -> None:
    """The clock of one process is wrong by up to an hour, or right again."""
    if "clock" not in world.faults:
        return
    member = world.members[rng.choice(sorted(world.members))]
    if member.alive:
        skew = timedelta(seconds=rng.choice((0, 0, -3600, -5, 5, 3600)))
        object.__setattr__(member.process.clock, "skew", skew)
        world.count("clock steps")
        world.tell(f"the clock of {member.name} is {skew.total_seconds():+.0f} s off")


Happening = Callable[[World, Random], Awaitable[None]]
HAPPENINGS: Final[Mapping[str, Happening]] = {
    "time passes": time_passes,
    "a rebalance": rebalances,
    "a deaf consumer": goes_deaf,
    "a kill": is_killed,
    "a start": comes_back,
    "the broker": broker_goes_or_comes,
    "a database": database_goes_or_comes,
    "a session ends": session_ends,
    "a late batch": lands,
    "a clock": clock_steps,
}
RARE: Final[Mapping[str, float]] = {
    "time passes": 6.0,
    "a rebalance": 6.0,
    "a deaf consumer": 1.0,
    "a kill": 1.5,
    "a start": 4.0,
    "the broker": 1.0,
    "a database": 1.2,
    "a session ends": 3.0,
    "a late batch": 3.0,
    "a clock": 1.0,
}
WEIGHTS: Final[Mapping[str, float]] = {
    "hear": 8.0, "relay": 8.0, "commit": 8.0, "read": 6.0, "sweep": 7.0, "say": 2.0, "fold": 0.5,
    "count": 1.0, "raise": 2.0,
}  # fmt: skip
LOOPS: Final[Mapping[ServiceName, tuple[str, ...]]] = {
    service: (
        "relay",
        "fold",
        *(f"hear {topic}" for topic in HEARS[service]),
        *(("commit", "read") if service == "intake" else ()),
        *(("count",) if service in OWNERS else ()),
        *(("sweep", "say again", "raise") if service == "escalation" else ()),
    )
    for service in SERVICES
}
