"""A town to be broken: PostgreSQL, Kafka, and replicas of each service as processes of their own.

Everything is started by the main thread, listens on 127.0.0.1 alone and ends with the town.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import choice
from typing import NamedTuple

import httpx
import psutil

from deploy.local.environment import SERVICES, inherited, service_environment
from deploy.local.kafka import Kafka, KafkaCluster
from deploy.local.postgres import Postgres
from deploy.local.prepare import prepare
from deploy.local.processes import ServerProcess
from deploy.local.stack import is_ready
from shared.clock import Clock, wall
from shared.settings import Settings
from tests.faults.looking import running
from tests.faults.versions import Older, older_code
from tests.servers import ROOT, free_port

READY_SECONDS = 90.0
STOP_SECONDS = 15.0
PREPARE_SECONDS = 30.0
SPEED = 720.0
"""One hour of promise time in five seconds: clocks run out, orders are given and answered."""


class Replica:
    """One process of a service: it may be killed, frozen, and started again on its port.

    `code` is the directory of another version of the project. `shared`: the port that it has
    together with others of its service; then what operations ask is asked on a port of its own.
    """

    def __init__(
        self, service: str, name: str, home: Path, code: Path = ROOT, shared: int | None = None
    ) -> None:
        self.service = service
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{shared or self.port}"
        self._operations = f"http://127.0.0.1:{self.port}"
        self._ports = {"CASEGRID_PORT": str(self.port)}
        if shared is not None:
            self._ports = {
                "CASEGRID_PORT": str(shared),
                "CASEGRID_REUSE_PORT": "true",
                "CASEGRID_OPERATIONS_PORT": str(self.port),
            }
        self._code = code
        # The only signal that ends a frozen process too.
        program, death = Path(sys.executable).name, signal.SIGKILL
        self._process = ServerProcess(name, home, program, signal.SIGTERM, death)

    @property
    def running(self) -> bool:
        """Whether the process is there, be it frozen."""
        return self._process.running

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self._process.log

    def launch(self, settings: dict[str, str], words: Sequence[str] = ()) -> None:
        """Start it; `words` follow `serve`."""
        self._process.claim({self.port: "another port"})
        told = inherited() | settings | self._ports
        command = [sys.executable, "-m", f"services.{self.service}", "serve", *words]
        self._process.launch(command, environment=told | {"PYTHONPATH": str(self._code)})

    def wait_ready(self) -> None:
        """Until it says that it can serve. Raises `DidNotStart`."""
        with httpx.Client(timeout=2, trust_env=False) as client:
            ready = partial(is_ready, client, f"{self._operations}/readyz")
            self._process.wait_until(ready, READY_SECONDS)

    def stop(self) -> None:
        """End it in good order."""
        self.thaw()
        self._process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill()

    def freeze(self) -> None:
        """It stands still, and keeps its connections and locks."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was, knowing nothing of the time between."""
        if self.running:
            os.kill(self._process.pid, signal.SIGCONT)

    def rss(self) -> int:
        """Its resident memory in bytes."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def metric(self, name: str) -> float:
        """The sum of a metric's samples; 0 when it does not answer."""
        try:
            text = httpx.get(f"{self._operations}/metrics", timeout=2, trust_env=False).text
        except httpx.HTTPError:
            return 0.0
        lines = (line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)
        return sum(float(line.rpartition(" ")[2]) for line in lines)


class Kind(NamedTuple):
    """What a town is like: 1 or 3 brokers, and settings of all its services beside the usual.

    `older`: the version that landed last was there first, so that the policy is one it knows.
    `shared_ports`: the replicas of a service have one port together.
    """

    brokers: int = 1
    settings: tuple[tuple[str, str], ...] = ()
    older: bool = False
    shared_ports: bool = False


PLAIN = Kind()
NEW_TYPES_OFF = (("CASEGRID_CENSUS", "false"), ("CASEGRID_HEARTBEAT_SECONDS", "0"))
"""Settings for two versions side by side: the older may not know the types of these events."""


class Town:
    """One town: servers of its own, and at first one replica of each service.

    `fast` gives up PostgreSQL's safety against a power cut, which nobody tries here. `old`: the
    revision of the older version of a kind that has one; else the last that landed.
    """

    def __init__(
        self, home: Path, kind: Kind = PLAIN, *, fast: bool = False, old: str | None = None
    ) -> None:
        self.home = home.resolve()
        self.postgres = Postgres(self.home / "postgres", free_port(), fast=fast)
        self.kafka: Kafka | KafkaCluster
        if kind.brokers == 1:
            self.kafka = Kafka(self.home / "kafka", free_port(), free_port(), heap="256m")
        else:
            ports = [(free_port(), free_port()) for _ in range(kind.brokers)]
            self.kafka = KafkaCluster(self.home / "kafka", ports, heap="256m")
        self.replicas: dict[str, list[Replica]] = {}
        self.secret = secrets.token_urlsafe(36)
        began = wall()
        self.clock = Clock(SPEED, began, began)
        self.kind, self.old = kind, old
        self._ports = {name: free_port() if kind.shared_ports else None for name in SERVICES}
        self.older: Older | None = None
        self._laid_out = ExitStack()
        self._made = 0

    # ------------------------------------------------------------ the whole

    def start(self) -> None:
        """Start everything and wait until it serves. A start that fails leaves nothing.

        Raises `NoHistory` where there is no older version to begin with.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        try:
            self.kafka.launch()
            self.postgres.start()
            self.postgres.prepare(f"casegrid_{name}" for name in SERVICES)
            self.kafka.wait_ready()
            self._prepare()
            if self.kind.older:
                self._begin_with_the_older()
            for service in SERVICES:
                self.replicas[service] = [self.new_replica(service)]
            self.launch_all(self.all_replicas())
        except BaseException:
            self.stop()
            raise

    def _prepare(self) -> None:
        """Tables and topics, as the code says."""
        deadline = time.monotonic() + PREPARE_SECONDS
        databases = {name: self.dsn(name) for name in SERVICES}
        # Of several brokers one may not have heard yet of the topics that another one made.
        while wrong := running(prepare(self.kafka_settings(), databases)):
            if time.monotonic() > deadline:
                raise RuntimeError("; ".join(wrong))
            time.sleep(0.5)

    def _begin_with_the_older(self) -> None:
        """A router of the older version, which loads its own policy, and goes again."""
        self.older = self._laid_out.enter_context(older_code(self.home, self.old))
        first = self.new_replica("router", self.older.code)
        self.launch_all([first])
        first.stop()

    def stop(self) -> None:
        """End everything, by force: what a town holds nobody wants."""
        with ExitStack() as steps:
            steps.callback(self._laid_out.close)
            steps.callback(self.postgres.kill)
            steps.callback(self.kafka.kill)
            for replica in self.all_replicas():
                steps.callback(replica.kill)

    # ------------------------------------------------------------ replicas

    def new_replica(self, service: str, code: Path = ROOT) -> Replica:
        """One more process of a service, not started and not known to those who send."""
        self._made += 1
        name = f"{service}-{self._made}"
        home = self.home / "services" / name
        return Replica(service, name, home, code, self._ports[service])

    def add(self, service: str, code: Path = ROOT) -> Replica:
        """One more process of a service, ready."""
        replica = self.new_replica(service, code)
        self.join([replica])
        return replica

    def join(self, replicas: Sequence[Replica]) -> None:
        """Start these together; once they are ready, requests go to them too."""
        self.launch_all(replicas)
        for replica in replicas:
            self.replicas[replica.service].append(replica)

    def remove(self, replica: Replica, *, at_once: bool = False) -> None:
        """Nobody is sent there any more, then it ends: in good order, or at once."""
        self.replicas[replica.service].remove(replica)
        if at_once:
            replica.kill()
        else:
            replica.stop()

    def launch_all(self, replicas: Sequence[Replica], words: Sequence[str] = ()) -> None:
        """Start these together and wait until each is ready."""
        for replica in replicas:
            replica.launch(self.settings(replica.service), words)
        for replica in replicas:
            replica.wait_ready()

    def all_replicas(self) -> list[Replica]:
        """Every process of every service."""
        return [one for replicas in self.replicas.values() for one in replicas]

    def url(self, service: str) -> str:
        """Where a request goes: to any replica, dead or alive, as a simple balancer would."""
        return choice(self.replicas[service]).url

    # ------------------------------------------------------------ settings

    def dsn(self, service: str) -> str:
        """The database of a service."""
        return self.postgres.dsn(f"casegrid_{service}")

    def settings(self, service: str) -> dict[str, str]:
        """What a service is told by its environment, all but its port."""
        common = service_environment(
            database_url=self.dsn(service),
            kafka=self.kafka.bootstrap,
            topic_prefix="",
            port=0,
            clock=self.clock,
            token_secret=self.secret,
        )
        return common | dict(self.kind.settings)

    def kafka_settings(self) -> Settings:
        """How to speak to this town's Kafka."""
        return Settings(
            database_url=self.dsn("router"),
            kafka_bootstrap=self.kafka.bootstrap,
            kafka_replication=self.kind.brokers,
            kafka_min_insync=2 if self.kind.brokers == 3 else 1,
        )

    # ------------------------------------------------------------ servers

    def freeze_server(self, pids: Sequence[int]) -> None:
        """A server and its children stand still."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

    def thaw_server(self, pids: Sequence[int]) -> None:
        """They go on."""
        for pid in pids:
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGCONT)


def sleep_until(moment: float) -> None:
    """Until this moment (monotonic seconds)."""
    time.sleep(max(0.0, moment - time.monotonic()))
