"""`run` with everything real: up, petitions everywhere, down without a trace, up again."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.environment import SERVICES, Ports, external_databases, external_kafka
from deploy.local.processes import PortTaken
from deploy.local.stack import Stack
from shared.clock import wall
from tests.servers import FreshDatabase, KafkaServer, free_port

SPEED = 720
TIERS = {"grid", "community", "street", "district", "city"}


@dataclass
class Run:
    """`python -m deploy.local run` as a person starts it, in a terminal's process group."""

    process: subprocess.Popen[str]
    output: Path
    ports: Ports

    def up(self) -> None:
        """Wait until all is up."""
        wait_for(lambda: "all services are ready" in self.said() or not self.lives(), 120)
        assert self.lives(), self.said()

    def said(self) -> str:
        return self.output.read_text()

    def lives(self) -> bool:
        return self.process.poll() is None

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def service(self, name: str) -> psutil.Process:
        words = f"services.{name}"
        return next(child for child in self.family() if words in child.cmdline())

    def ask(self, service: str, path: str) -> httpx.Response:
        answer = httpx.get(
            f"http://127.0.0.1:{self.ports.of(service)}{path}", trust_env=False, timeout=20
        )
        assert answer.status_code == 200, answer.text
        return answer

    def counts(self, service: str, metric: str, label: str) -> dict[str, int]:
        """A metric's sums by a label."""
        sums: dict[str, int] = {}
        for family in text_string_to_metric_families(self.ask(service, "/metrics").text):
            for sample in family.samples:
                if sample.name == metric:
                    key = sample.labels[label]
                    sums[key] = sums.get(key, 0) + int(sample.value)
        return {key: n for key, n in sums.items() if n}

    def open_by_tier(self) -> dict[str, int]:
        return self.counts("router", "casegrid_router_open_cases", "tier")


@contextmanager
def running(data: Path, *options: str, servers: Mapping[str, str] | None = None) -> Iterator[Run]:
    """A run that is ended, whatever the test does; `servers` are named by the environment."""
    base = free_base()
    output = data.with_name(f"{data.name}-{base}.txt")
    words = ["run", "--data", str(data), "--port-base", str(base), *options]
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", *words],
            stdout=file, stderr=subprocess.STDOUT, text=True,
            env=environment() | dict(servers or {}),
        )  # fmt: skip
    try:
        yield Run(process, output, Ports.after(base))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(25)


def environment() -> dict[str, str]:
    """Ours, without servers that a person may have named."""
    named = ("CASEGRID_KAFKA_BOOTSTRAP", *(f"CASEGRID_{s.upper()}_DATABASE_URL" for s in SERVICES))
    return {name: value for name, value in os.environ.items() if name not in named}


def free_base() -> int:
    """A port with seven free ones after it."""
    while True:
        base = free_port()
        try:
            for port in range(base + 1, base + 8):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return base


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def hand_in(run: Run) -> str:
    """Hand in a petition; the path of its receipt."""
    body = {"kind": "report", "channel": "web", "text": "沙河口区马栏街道路灯坏了三天"}
    url = f"http://127.0.0.1:{run.ports.intake}/petitions"
    path: str = httpx.post(url, json=body, trust_env=False, timeout=20).json()["links"]["receipt"]
    return path


def routed_at(run: Run, receipt: str) -> datetime | None:
    """When a petition was routed, in promise time, as its receipt says; None if not yet."""
    steps = {step["step"]: step["at"] for step in run.ask("intake", receipt).json()["steps"]}
    return datetime.fromisoformat(steps["routed"]) if steps.get("routed") else None


def saved(data: Path) -> datetime:
    """The promise time at which an ended run stood."""
    found = json.loads((data / "promise_time.json").read_text())
    assert found["stopped"]
    return datetime.fromisoformat(found["promise"])


@pytest.mark.postgres
@pytest.mark.kafka
@pytest.mark.timeout(400)
def test_a_run_brings_everything_up_stops_without_a_trace_and_goes_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, "--rate", "25") as first:
        first.up()
        receipt = hand_in(first)
        wait_for(lambda: routed_at(first, receipt) is not None, 20)
        wait_for(lambda: set(first.open_by_tier()) == TIERS, 60)
        wait_for(lambda: re.search(r"open [1-9].*samples [1-9]", first.said()) is not None, 20)
        routed = routed_at(first, receipt)
        family = first.family()
        words = {word for child in family for word in child.cmdline()}
        assert words > {f"services.{name}" for name in SERVICES} | {"kafka.Kafka"}

        began = time.monotonic()
        first.process.send_signal(signal.SIGINT)
        assert first.process.wait(20) == 0
        assert time.monotonic() - began < 20

    assert [child for child in family if lives(child)] == []
    assert "1 hour of promise time passes in 5 seconds" in first.said()
    assert f"http://127.0.0.1:{first.ports.router}/metrics" in first.said()
    stood = saved(data)
    assert routed is not None
    assert routed < stood

    with running(data, "--no-samples") as again:
        again.up()
        assert set(again.open_by_tier()) == TIERS
        assert routed_at(again, receipt) == routed
        newer = hand_in(again)
        wait_for(lambda: routed_at(again, newer) is not None, 20)
        now = routed_at(again, newer)
        assert now is not None
        assert stood < now < stood + timedelta(seconds=40) * SPEED, "the stop lasted longer"

        family = again.family()
        again.service("escalation").kill()
        assert again.process.wait(20) == 1

    assert [child for child in family if lives(child)] == []
    assert "escalation ended by itself. The end of" in again.said()
    assert saved(data) > now


@pytest.mark.postgres
@pytest.mark.kafka
@pytest.mark.timeout(200)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_a_killed_run_takes_everything_along(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--no-samples") as run:
        run.up()
        family = run.family()
        assert len(family) > 6
        run.process.kill()
        wait_for(lambda: not any(lives(child) for child in family), 20)


async def nothing(_: str) -> None:
    """An empty database."""


@pytest.mark.timeout(200)
async def test_servers_of_a_persons_own_are_used_and_speed_1_is_real_time(
    tmp_path: Path, kafka_server: KafkaServer, fresh_database: FreshDatabase
) -> None:
    servers = {
        f"CASEGRID_{name.upper()}_DATABASE_URL": await fresh_database("empty", nothing)
        for name in SERVICES
    }
    servers["CASEGRID_KAFKA_BOOTSTRAP"] = kafka_server.bootstrap
    servers["CASEGRID_TOPIC_PREFIX"] = f"own-{uuid4().hex}."
    with running(tmp_path / "data", "--speed", "1", "--no-samples", servers=servers) as run:
        run.up()
        words = {word for child in run.family() for word in child.cmdline()}
        assert words & {"kafka.Kafka", "-D"} == set(), "a server was started"
        receipt = hand_in(run)
        wait_for(lambda: routed_at(run, receipt) is not None, 20)
        routed = routed_at(run, receipt)
        assert routed is not None
        assert abs(routed - wall()) < timedelta(seconds=30)
        run.process.terminate()
        assert run.process.wait(20) == 0
    assert "promises run in real time" in run.said()
    assert f"Kafka: {kafka_server.bootstrap}" in run.said()


@pytest.mark.parametrize("service", SERVICES)
def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path, service: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        ports = Ports(**{name: free_port() for name in SERVICES} | {service: port})
        stack = Stack(tmp_path / "data", ports=ports)
        with pytest.raises(PortTaken, match=f"{service} .*port {port} .* taken.*--{service}-port"):
            stack.start()
    assert stack.pids() == {}
    assert not (tmp_path / "data" / "promise_time.json").exists()


def test_the_command_tells_of_a_taken_port_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = str(occupant.getsockname()[1])
        words = ["run", "--data", str(tmp_path), "--analytics-port", port]
        words += ["--port-base", str(free_base())]
        done = subprocess.run(
            [sys.executable, "-m", "deploy.local", *words],
            capture_output=True, text=True, env=environment(), timeout=30,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert "Traceback" not in done.stderr


def test_data_made_at_another_speed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "promise_time.json").write_text(
        '{"promise":"2026-03-02T09:00:00Z","wall":"2026-03-02T09:00:00Z","speed":720,'
        '"stopped":true}'
    )
    words = ["run", "--speed", "1", "--data", str(tmp_path), "--port-base", str(free_base())]
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local", *words],
        capture_output=True, text=True, env=environment(), timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert "made at speed 720" in done.stderr


def test_a_person_names_servers_of_their_own() -> None:
    said = {
        "CASEGRID_KAFKA_BOOTSTRAP": "kafka.example:9093",
        "CASEGRID_ROUTER_DATABASE_URL": "postgresql://db.example/router",
    }
    assert external_kafka(said) == "kafka.example:9093"
    assert external_databases(said) == {"router": "postgresql://db.example/router"}
    stack = Stack(Path("unused"), kafka=external_kafka(said), databases=external_databases(said))
    assert stack.kafka is None
    assert stack.postgres is not None, "the other three services need one"
    assert stack.database_url("router") == "postgresql://db.example/router"
