"""Everything that is done to a town, by name.

Each fault is one function of a `Scene`: it does harm while the load goes on, undoes it, and waits
until the town is well again. What it did is judged afterwards, by the same invariants for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from deploy.local.environment import SERVICES
from deploy.local.kafka import KafkaCluster
from shared.failpoints import POINTS
from tests.faults.scene import NotRecovered, Scene
from tests.faults.town import NEW_TYPES_OFF, PLAIN, Kind, Replica, Town, sleep_until

FREEZES = (5.0, 30.0, 120.0)
TAKEOVER_SECONDS = 15.0
"""Where two run, the other one has taken over by then. [design: E21]"""
SERVERS = ("postgres", "broker")
MOST_PASSINGS = 20
PASSING_SECONDS = 60.0
STORM_SECONDS = 5.0
MOST_GROWN_BYTES = 64_000_000
LET_GO_SECONDS = 5.0
"""What was on its way to a broker when it was killed has its answer, or never will."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is done, by its name; in a town of this kind."""

    name: str
    about: str
    inflict: Callable[[Scene], None]
    kind: Kind = PLAIN


# ---------------------------------------------------------------- kill -9


def kill_replica(scene: Scene, replica: Replica) -> None:
    """Kill a process, start it again, wait until all is well."""
    scene.injected += 1
    replica.kill()
    took = scene.restart(replica)
    scene.say(f"{replica.service} killed; well after {took:.1f} s")


def kill_server(scene: Scene, name: str) -> None:
    """Kill PostgreSQL or the broker with all children, start it again, wait until all is well."""
    scene.injected += 1
    server = scene.town.postgres if name == "postgres" else scene.town.kafka
    since = time.monotonic()
    server.kill()
    server.start()
    took = scene.recover(since)
    scene.say(f"{name} killed; well after {took:.1f} s")


def kill(scene: Scene, target: str) -> None:
    """Kill a service's replica or a server."""
    if target in SERVERS:
        kill_server(scene, target)
    else:
        kill_replica(scene, scene.chance.choice(scene.town.replicas[target]))


def kill_without_rest(scene: Scene, targets: tuple[str, ...], rests: tuple[float, float]) -> None:
    """Kill one of these after the other, whether all was well again or not; wait at the end."""
    for left in scene.until(time.monotonic() + scene.seconds):
        time.sleep(min(left, scene.chance.uniform(*rests)))
        target = scene.chance.choice(targets)
        scene.injected += 1
        scene.say(f"{target} killed")
        if target in SERVERS:
            server = scene.town.postgres if target == "postgres" else scene.town.kafka
            server.kill()
            server.start()
        else:
            replica = scene.chance.choice(scene.town.replicas[target])
            replica.kill()
            scene.town.launch_all([replica])
    scene.recover(time.monotonic())


def kill_again_and_again(
    scene: Scene, targets: tuple[str, ...], rests: tuple[float, float]
) -> None:
    """Kill one of these after the other, with rests between, for as long as the scene says."""
    for left in scene.until(time.monotonic() + scene.seconds):
        time.sleep(min(left, scene.chance.uniform(*rests)))
        kill(scene, scene.chance.choice(targets))


# ---------------------------------------------------------------- SIGSTOP, SIGCONT


def freeze_one_of_two(scene: Scene, service: str, lengths: tuple[float, ...]) -> None:
    """Freeze the replica that relays while a second one runs; it comes back as a zombie.

    Recovery is counted from the freeze: the other one must have taken over in time.
    """
    second = scene.town.add(service)
    scene.recover(time.monotonic())
    scene.recoveries.clear()
    for seconds in lengths:
        freeze_replica(scene, relaying(scene.town, service), seconds)
    scene.town.remove(second)
    scene.recover(time.monotonic())


def relaying(town: Town, service: str) -> Replica:
    """The replica that carries the outbox; any, where nobody says that it does."""
    return max(town.replicas[service], key=lambda one: one.metric("casegrid_relay_active"))


def freeze_replica(scene: Scene, replica: Replica, seconds: float) -> None:
    """Freeze it for so long; if that is longer than it may take, others must take over."""
    scene.injected += 1
    since = time.monotonic()
    replica.freeze()
    try:
        if seconds > TAKEOVER_SECONDS:
            took = scene.recover(since)
            scene.note(f"{replica.name} frozen: taken over after {took:.1f} s")
            if took > TAKEOVER_SECONDS:
                scene.fail(f"{took:.1f} s are more than the {TAKEOVER_SECONDS:.0f} s promised")
        sleep_until(since + seconds)
    finally:
        replica.thaw()
    # The zombie finds its connections and its share of the topics gone.
    took = scene.recover(time.monotonic())
    if fenced := replica.metric("casegrid_batches_fenced_total"):
        scene.note(f"{replica.name} back: {fenced:.0f} of its batches were fenced so far")
    if not replica.running:
        scene.fail(f"{replica.name} ended when it came back: {replica.log.read_text()[-1000:]}")
    scene.say(f"{replica.name} back after {time.monotonic() - since:.0f} s; well in {took:.1f} s")


def freeze_server(scene: Scene, name: str) -> None:
    """Freeze PostgreSQL or the broker."""
    server = scene.town.postgres if name == "postgres" else scene.town.kafka
    for seconds in FREEZES:
        scene.injected += 1
        pids = server.pids()
        scene.town.freeze_server(pids)
        try:
            time.sleep(seconds)
        finally:
            scene.town.thaw_server(pids)
        took = scene.recover(time.monotonic())
        scene.say(f"{name} frozen for {seconds:.0f} s; well {took:.1f} s after its return")


# ---------------------------------------------------------------- failpoints


def die_at(scene: Scene, service: str, point: str) -> None:
    """A process of the service kills itself at a point; then it is started again."""
    scene.restart(dies(scene, service, point))


def dies(scene: Scene, service: str, point: str) -> Replica:
    """A process that has killed itself at a point, one of the first times that it passed there."""
    replica = scene.town.replicas[service][0]
    replica.stop()
    where = f"{service}.{point}:{scene.chance.randint(1, MOST_PASSINGS)}"
    replica.launch(scene.town.settings(service) | {"CASEGRID_FAIL_AT": where})
    deadline = time.monotonic() + PASSING_SECONDS
    while replica.running:
        if time.monotonic() > deadline:
            raise NotRecovered(f"{where} was not passed in {PASSING_SECONDS:.0f} s")
        time.sleep(0.05)
    # Not by anything else: the process says so as the last thing that it does.
    if not replica.log.read_text().endswith(f"failpoint {point}: killed\n"):
        raise NotRecovered(f"{replica.name} ended, but not at {point}")
    scene.injected += 1
    return replica


# ---------------------------------------------------------------- rebalances


def storm(scene: Scene, services: tuple[str, ...] = ("router", "escalation")) -> None:
    """Every five seconds a replica comes or goes, in good order or killed: one to three of each."""
    begin = time.monotonic()
    for n, _ in enumerate(scene.until(begin + scene.seconds)):
        for service in services:
            replicas = scene.town.replicas[service]
            goes = len(replicas) > 1 and (len(replicas) == 3 or scene.chance.random() < 0.5)
            scene.injected += 1
            if goes:
                at_once = scene.chance.random() < 0.5
                scene.town.remove(scene.chance.choice(replicas), at_once=at_once)
            else:
                scene.town.add(service)
        sleep_until(begin + (n + 1) * STORM_SECONDS)
    scene.recover(time.monotonic())
    for service in services:
        for replica in scene.town.replicas[service][1:]:
            scene.town.remove(replica)
    scene.recover(time.monotonic())


# ---------------------------------------------------------------- brokers


def broker_down(scene: Scene, seconds: float) -> None:
    """No broker for so long: petitions are taken all the while, memory stays, all follows."""
    book, town = scene.load.book, scene.town
    scene.injected += 1
    town.kafka.stop()
    before, began = book.sums(), time.monotonic()
    memory = {replica.name: [replica.rss()] for replica in town.all_replicas()}
    for left in scene.until(began + seconds):
        time.sleep(min(left, 10.0))
        for replica in town.all_replicas():
            memory[replica.name].append(replica.rss())
    down = book.sums().since(before)
    scene.note(f"{down.accepted:,} petitions accepted without a broker, {down.unknown} without"
               f" an answer")  # fmt: skip
    if down.accepted < 0.5 * seconds * scene.load.rate:
        scene.fail(f"only {down.accepted} petitions were accepted without a broker")
    for name, sizes in memory.items():
        scene.note(f"memory of {name}: {told(sizes)}")
    grown = {name: sizes[-1] - sizes[0] for name, sizes in memory.items()}
    if max(grown.values()) > MOST_GROWN_BYTES:
        scene.fail(f"memory grew without a broker: {grown}")
    since = time.monotonic()
    town.kafka.start()
    scene.recover(since, most=600)
    drained = scene.drained(since)
    scene.note(f"every outbox empty {drained:.1f} s after the broker's start")


def told(sizes: Sequence[int]) -> str:
    """Memory over time, in MB."""
    few = [sizes[len(sizes) * n // 6] for n in range(6)] + [sizes[-1]]
    return " → ".join(f"{size / 1e6:.0f}" for size in few) + " MB"


def lose_brokers(scene: Scene) -> None:
    """Of three brokers one is lost, which costs nothing; then two: publishing stops, accepting goes
    on; then all are back."""
    cluster, book = scene.town.kafka, scene.load.book
    assert isinstance(cluster, KafkaCluster)
    for node in cluster.nodes:
        scene.injected += 1
        since = time.monotonic()
        before = book.sums()
        node.kill()
        took = scene.recover(since)
        lost = book.sums().since(before)
        scene.note(f"one broker of three killed: all well after {took:.1f} s,"
                   f" {lost.unknown} without an answer")  # fmt: skip
        node.start()
        scene.recover(time.monotonic())
    scene.injected += 1
    pair = scene.chance.sample(cluster.nodes, 2)
    for node in pair:
        node.kill()
    time.sleep(LET_GO_SECONDS)
    before = book.sums()
    time.sleep(scene.seconds)
    down = book.sums().since(before)
    unsaid = scene.unsaid("intake")
    scene.note(f"two brokers of three killed: {down.accepted:,} accepted, {down.unknown} without"
               f" an answer, {unsaid:,} not published")  # fmt: skip
    if down.accepted < 0.5 * scene.seconds * scene.load.rate:
        scene.fail(f"only {down.accepted} petitions were accepted with one broker")
    if unsaid < 0.5 * down.accepted:
        scene.fail("one broker alone took records that need two copies")
    since = time.monotonic()
    for node in pair:
        node.launch()
    for node in pair:
        node.wait_ready()
    scene.recover(since)


# ---------------------------------------------------------------- two versions


def two_versions(scene: Scene) -> None:
    """Each service in two versions side by side; then the older one goes.

    Without census and heartbeat: their records are new to the older version, which would stop there
    and wait for a reader that knows them. Of one that loses what it does not know of a case, the
    new commands are given only when it has gone.
    """
    assert scene.town.older is not None
    code, name = scene.town.older
    scene.note(f"the other version is {name}")
    scene.injected += 1
    since = time.monotonic()
    olds = [scene.town.new_replica(service, code) for service in SERVICES]
    scene.town.join(olds)
    scene.recover(since)
    for left in scene.until(time.monotonic() + scene.seconds):
        time.sleep(min(left, 1.0))
    said = {replica.name: replica.metric("casegrid_events_heard_total") for replica in olds}
    scene.note("events heard by the older version: "
               + ", ".join(f"{name} {n:,.0f}" for name, n in said.items()))  # fmt: skip
    for replica in olds:
        scene.town.remove(replica)
    scene.load.whole_life = True
    scene.recover(time.monotonic())


# ---------------------------------------------------------------- all there are


def kills() -> Iterator[Fault]:
    """kill -9, one target after the other, and all at random."""
    for target in (*SERVICES, *SERVERS):
        yield Fault(
            f"kill-{target}",
            f"kill -9 of {target} again and again, started again at once",
            partial(kill_again_and_again, targets=(target,), rests=(1.0, 4.0)),
        )
    yield Fault(
        "kill-any",
        "kill -9 of anything at random, every 5 to 20 s, well again or not",
        partial(kill_without_rest, targets=(*SERVICES, *SERVERS), rests=(5.0, 20.0)),
    )


def freezes() -> Iterator[Fault]:
    """SIGSTOP for 5, 30 and 120 s."""
    for service in SERVICES:
        yield Fault(
            f"freeze-{service}",
            f"one of two replicas of {service} stands still for 5, 30 and 120 s and comes back",
            partial(freeze_one_of_two, service=service, lengths=FREEZES),
        )
    for name in SERVERS:
        yield Fault(
            f"freeze-{name}",
            f"{name} stands still for 5, 30 and 120 s",
            partial(freeze_server, name=name),
        )


def failpoints() -> Iterator[Fault]:
    """Every point of every service."""
    for point, services in POINTS.items():
        for service in services:
            yield Fault(
                f"die-{service}.{point}",
                f"a process of {service} kills itself at {point}",
                partial(die_at, service=service, point=point),
            )


FAULTS: tuple[Fault, ...] = (
    *kills(),
    *failpoints(),
    Fault("storm", "replicas of router and escalation come and go every 5 s", storm),
    Fault(
        "two-versions",
        "every service in the last landed version beside this one",
        two_versions,
        Kind(settings=NEW_TYPES_OFF, older=True),
    ),
    *freezes(),
    Fault(
        "broker-down",
        "no broker for ten minutes, under load",
        partial(broker_down, seconds=600.0),
    ),
    Fault("three-brokers", "one of three brokers is lost, then two", lose_brokers, Kind(brokers=3)),
)
