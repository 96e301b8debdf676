"""The whole of Casegrid on one machine: PostgreSQL, Kafka, the four services, one promise time.

    stack = Stack(Path(".casegrid/fast-720"))
    stack.start()                # all or nothing: a start that fails leaves no process
    ...
    stack.stop()                 # always: in a `finally`

`make run`, the journeys and the load runs use it alike. Start it in the main thread: the processes
then end with it, even when it is killed. The data directory holds `postgres`, `kafka`, the
`logs` of the services, `promise_time.json`, `token_secret`, the settings of each service as
`<service>.env`, and those of the operator's commands as `operator.env`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import httpx

from deploy.local.environment import (
    SERVICES,
    Ports,
    inherited,
    operator_environment,
    service_environment,
    token_secret,
    write_settings,
)
from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres, tools
from deploy.local.processes import HOST, ServerProcess, launched
from deploy.local.promise_time import PromiseTime
from shared.clock import Clock

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
COMMAND_SECONDS = 120.0
SERVICE_STOP_SECONDS, KAFKA_STOP_SECONDS, POSTGRES_STOP_SECONDS = 9.0, 5.0, 3.0
"""Together under the 20 s in which Ctrl-C has ended everything."""

Parts: TypeAlias = Mapping[str, Sequence[Sequence[str]]]
"""By service: one process for each group of parts ("http", "read", "relay", "consume", "sweep")."""


class CommandFailed(RuntimeError):
    """A service's own command ended with an error; the message carries what it said."""


class Member(NamedTuple):
    """One process of a service."""

    service: str
    words: tuple[str, ...]
    answers: bool
    process: ServerProcess


def silent(_: str) -> None:
    """Tell nobody."""


class Stack:
    """All servers and services with their data below `data_dir`.

    `speed` is promise seconds per second. `kafka` names a broker and `databases` PostgreSQL
    databases (by service, as URLs) that are there already; what is not named is embedded.
    `parts` splits a service into several processes; `extra_env` goes to every one of them.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        ports: Ports | None = None,
        speed: float = 720.0,
        kafka: str | None = None,
        databases: Mapping[str, str] | None = None,
        topic_prefix: str = "",
        parts: Parts | None = None,
        extra_env: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.ports = ports or Ports()
        self.promise_time = PromiseTime(self.data_dir / "promise_time.json", speed)
        self.secret_file = self.data_dir / "token_secret"
        self.postgres: Postgres | None = None
        self.kafka: Kafka | None = None
        self._databases = dict(databases or {})
        self._topic_prefix = topic_prefix
        self._extra = dict(extra_env or {})
        self._clock = Clock()
        self._wanted: set[str] = set()
        if set(SERVICES) - set(self._databases):
            self.postgres = Postgres(self.data_dir / "postgres", self.ports.postgres)
        if kafka is None:
            at, controller = self.ports.kafka, self.ports.kafka_controller
            self.kafka = Kafka(self.data_dir / "kafka", at, controller)
        self.bootstrap = kafka or f"{HOST}:{self.ports.kafka}"
        self._members = self._make_members(parts or {})

    # ------------------------------------------------------------ the whole

    def start(self, told: Callable[[str], None] = silent) -> None:
        """Start everything and wait until every service is ready; `told` hears how it goes.

        Raises `PortTaken`, `AlreadyRuns`, `CannotResume`, `CannotFetch`, `DidNotStart` or
        `CommandFailed`; then nothing runs.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        (self.data_dir / "logs").mkdir(exist_ok=True)
        self._clock = self.promise_time.check()
        try:
            # Before the servers: a taken port is told at once, not after they are up.
            for member in self._members.values():
                self._claim(member)
            self._start_servers(told)
            self._start_services(told)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything in under 20 s: the services together, then Kafka, then PostgreSQL.

        Whatever does not end in order is killed. Nothing to stop is no error.
        """
        self._wanted.clear()
        with ExitStack() as steps:
            if self.postgres is not None:
                steps.callback(self.postgres.stop, POSTGRES_STOP_SECONDS)
            if self.kafka is not None:
                steps.callback(self.kafka.stop, KAFKA_STOP_SECONDS)
            # After the last service: none of them may say a later time than the one saved.
            steps.callback(self.promise_time.end)
            steps.callback(self._stop_members, list(self._members))

    def died(self) -> str | None:
        """What ended by itself, with the end of its log; None while all is well."""
        for name in sorted(self._wanted):
            process = self._members[name].process
            if not process.running:
                return f"{name} ended by itself. {process.last_words()}"
        for server in (self.postgres, self.kafka):
            if self._wanted and server is not None and not server.running:
                return f"{type(server).__name__} ended by itself. Its logs: {server.data_dir}"
        return None

    def pids(self) -> dict[str, list[int]]:
        """The processes that run now, by name, for figures of memory and CPU."""
        families = {name: member.process.pids() for name, member in self._members.items()}
        if self.kafka is not None:
            families["kafka"] = self.kafka.pids()
        if self.postgres is not None:
            families["postgres"] = self.postgres.pids()
        return {name: pids for name, pids in families.items() if pids}

    # ------------------------------------------------------------ one service

    def url(self, service: str) -> str:
        """Where a service answers."""
        return f"http://{HOST}:{self.ports.of(service)}"

    def log(self, process: str) -> Path:
        """The log of a process, by its name in `pids`."""
        return self._members[process].process.log

    def start_service(self, service: str) -> None:
        """Start all processes of a service and wait until it is ready."""
        for name in self._named(service):
            self._claim(self._members[name])
        self._launch(self._named(service))
        self._wait_ready(self._named(service))

    def stop_service(self, service: str) -> None:
        """End all processes of a service in good order, or by force after 9 s."""
        self._wanted.difference_update(self._named(service))
        self._stop_members(self._named(service))

    def kill_service(self, service: str) -> None:
        """End all processes of a service at once, as a crash would (SIGKILL)."""
        self._wanted.difference_update(self._named(service))
        for name in self._named(service):
            self._members[name].process.kill()

    def settings(self, service: str) -> dict[str, str]:
        """What a service, or a command of it, is told by its environment."""
        common = service_environment(
            database_url=self.database_url(service),
            kafka=self.bootstrap,
            topic_prefix=self._topic_prefix,
            port=self.ports.of(service),
            clock=self._clock,
            token_secret=token_secret(self.secret_file),
        )
        return common | self._extra

    def operator_settings(self) -> dict[str, str]:
        """What the commands about all services are told: `casegrid status` and its like."""
        return operator_environment(
            {name: self.settings(name) for name in SERVICES},
            {name: self.url(name) for name in SERVICES},
            tools(),
        )

    def database_url(self, service: str) -> str:
        """The service's own database, for its own role."""
        if service in self._databases:
            return self._databases[service]
        assert self.postgres is not None
        return self.postgres.dsn(f"casegrid_{service}")

    def run_command(self, service: str, *words: str) -> str:
        """Run a service's own command to its end and return what it said: `migrate`, `parked list`.

        Raises `CommandFailed`.
        """
        command = [sys.executable, "-m", f"services.{service}", *words]
        return self._run(command, self.settings(service))

    # ------------------------------------------------------------ how

    def _make_members(self, parts: Parts) -> dict[str, Member]:
        members = {}
        for service in SERVICES:
            for n, group in enumerate(parts.get(service, [()]), 1):
                name = service if n == 1 else f"{service}-{n}"
                home = self.data_dir / "services" / name
                program = Path(sys.executable).name
                process = ServerProcess(name, home, program, signal.SIGTERM)
                process.log = self.data_dir / "logs" / f"{name}.log"
                words = ("serve", "--parts", ",".join(group)) if group else ("serve",)
                members[name] = Member(service, words, not group or "http" in group, process)
        return members

    def _named(self, service: str) -> list[str]:
        return [name for name, member in self._members.items() if member.service == service]

    def _claim(self, member: Member) -> None:
        service = member.service
        change = f"--{service}-port or CASEGRID_{service.upper()}_PORT"
        member.process.claim({self.ports.of(service): change} if member.answers else {})

    def _start_servers(self, told: Callable[[str], None]) -> None:
        started = time.monotonic()
        if self.kafka is not None:
            self.kafka.launch()
        if self.postgres is not None:
            self.postgres.start()
            embedded = [name for name in SERVICES if name not in self._databases]
            self.postgres.prepare(f"casegrid_{name}" for name in embedded)
            told(f"PostgreSQL answers on port {self.ports.postgres}")
        if self.kafka is not None:
            self.kafka.wait_ready()
            told(f"Apache Kafka answers on port {self.ports.kafka}")
        databases = {
            f"CASEGRID_{name.upper()}_DATABASE_URL": self.database_url(name) for name in SERVICES
        }
        self._run(
            [sys.executable, "-m", "deploy.local.prepare"], self.settings("router") | databases
        )
        told(f"databases and topics are as the code says ({time.monotonic() - started:.1f} s)")

    def _start_services(self, told: Callable[[str], None]) -> None:
        # Only now: until here no time has passed for the promises.
        self._clock = self.promise_time.begin()
        for service in SERVICES:
            write_settings(self.data_dir / f"{service}.env", self.settings(service))
        write_settings(self.data_dir / "operator.env", self.operator_settings())
        self._launch(list(self._members))
        self._wait_ready(list(self._members))
        told("all services are ready")

    def _launch(self, names: Sequence[str]) -> None:
        for name in names:
            member = self._members[name]
            settings = self.settings(member.service)
            if not member.answers:
                settings |= {"CASEGRID_PORT": "0"}  # any: the service's own is taken
            member.process.launch(
                [sys.executable, "-m", f"services.{member.service}", *member.words],
                environment=inherited() | settings,
            )
            self._wanted.add(name)

    def _wait_ready(self, names: Sequence[str]) -> None:
        # Without the environment: a proxy set there is not for this machine's own services.
        with httpx.Client(timeout=2, trust_env=False) as client:
            for name in names:
                member = self._members[name]
                if member.answers:
                    ready = partial(is_ready, client, f"{self.url(member.service)}/readyz")
                    member.process.wait_until(ready, READY_SECONDS)

    def _stop_members(self, names: Sequence[str]) -> None:
        def stop(name: str) -> None:
            self._members[name].process.stop(SERVICE_STOP_SECONDS)

        with ThreadPoolExecutor(len(names)) as together:
            list(together.map(stop, names))

    def _run(self, command: Sequence[str], settings: Mapping[str, str]) -> str:
        """Run a short command, out of the terminal's reach and ended with us."""
        with subprocess.Popen(
            launched(command, self.data_dir, (0, 0), signal.SIGKILL),
            cwd=ROOT,
            env={**inherited(), **settings, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                said = f"no end after {COMMAND_SECONDS:.0f} s\n{process.communicate()[0]}"
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            raise CommandFailed(f"`{' '.join(command[1:])}` failed:\n{said.strip()}")
        return said


def is_ready(client: httpx.Client, url: str) -> bool:
    """Whether a service says that it can serve."""
    try:
        return client.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
