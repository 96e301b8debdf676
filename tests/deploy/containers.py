"""What deployments say of our containers, and the same commands started on this machine."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from deploy.image.dockerfile import stages
from deploy.local.environment import SERVICES
from deploy.local.postgres import SUPERUSER, Postgres, binary, tools
from services.operations.postgres_tools import TOOLS
from shared.audit import ACTOR
from shared.divisions import CITY
from shared.identity import issue
from shared.settings import Settings
from tests.servers import ROOT, free_port

GRID = "210212001001001"
ENVIRONMENT = stages((ROOT / "Dockerfile").read_text())[-1].environment
"""What every container of the image starts with."""
KNOWN = {f"CASEGRID_{name.upper()}" for name in Settings.model_fields}
KNOWN_TO_OPERATOR = {ACTOR, TOOLS} | {
    f"CASEGRID_{service.upper()}_{what}" for service in SERVICES for what in ("DATABASE_URL", "URL")
}
PETITION = {"kind": "help", "channel": "phone", "category": "E0102", "text": "楼道的垃圾没人清理",
            "place": {"code": GRID}}  # fmt: skip


@dataclass(frozen=True)
class Container:
    """One container of our image: what it is called, its command, what it is told."""

    name: str
    words: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def serves(self) -> bool:
        """Whether it runs until it is told to end."""
        return "serve" in self.words

    def unknown(self) -> set[str]:
        """Variables that no service reads: a name that is spelt wrong changes nothing, silently."""
        ours = {name for name in self.environment if name.startswith("CASEGRID_")}
        return ours - KNOWN - (KNOWN_TO_OPERATOR if self.is_operator else set())

    @property
    def is_operator(self) -> bool:
        """Whether it is the operator's hand, which asks all services."""
        return self.name.endswith("operator")


ONE_BROKER = {
    "CASEGRID_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
    "CASEGRID_KAFKA_REPLICATION": "1",
    "CASEGRID_KAFKA_MIN_INSYNC": "1",
}


@dataclass(frozen=True)
class Beside:
    """The servers of this machine that stand for those of the deployment.

    `kafka_settings`: what the one broker here needs beside its address, where the deployment's are
    three, and encrypt.
    """

    postgres: Postgres
    kafka: str
    kafka_settings: Mapping[str, str] = field(default_factory=dict[str, str])

    def told(self, container: Container, port: int) -> dict[str, str]:
        """The environment of a container, with the addresses of this machine."""
        told = {**ENVIRONMENT, **container.environment}
        del told["PATH"]
        for name in told:
            if name.endswith("DATABASE_URL"):
                told[name] = self.moved(told[name])
        return told | {
            "CASEGRID_POSTGRES_TOOLS": str(tools()),
            "CASEGRID_KAFKA_BOOTSTRAP": self.kafka,
            **self.kafka_settings,
            "CASEGRID_HOST": "127.0.0.1",
            "CASEGRID_PORT": str(port),
        }

    def moved(self, dsn: str) -> str:
        """A database as this machine has it."""
        url = urlsplit(dsn)
        login = url.netloc.rpartition("@")[0]
        return url._replace(netloc=f"{login}@127.0.0.1:{self.postgres.port}").geturl()


def make_databases(postgres: Postgres, passwords: Mapping[str, str]) -> None:
    """Run the script that the PostgreSQL of docker-compose.yml runs at its first start."""
    at = urlsplit(postgres.dsn("postgres", SUPERUSER))
    environment = {
        "PATH": f"{binary('psql').parent}:/usr/bin:/bin",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGUSER": SUPERUSER,
        "PGPASSWORD": at.password or "",
        "PGDATABASE": "postgres",
        **passwords,
    }
    done = subprocess.run(
        [ROOT / "deploy" / "compose" / "databases.sh"],
        env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def command(container: Container) -> list[str]:
    """What the image's entry point runs."""
    return [sys.executable, "-m", "services", *container.words]


def environment(told: Mapping[str, str]) -> dict[str, str]:
    """Of a process: what it is told, and where the code is."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **told}


def run_to_its_end(container: Container, beside: Beside) -> None:
    """What is done once: migrations, topics."""
    done = subprocess.run(
        command(container),
        env=environment(beside.told(container, 0)), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, (container.name, done.stdout, done.stderr)


@contextmanager
def serving(
    containers: Sequence[Container], beside: Beside, logs: Path
) -> Iterator[dict[str, str]]:
    """Each serves until the end of the block; where each answers, by its service."""
    urls: dict[str, str] = {}
    with ExitStack() as stack:
        for one in containers:
            port = free_port()
            log = stack.enter_context((logs / f"{one.name}.log").open("wb"))
            process = subprocess.Popen(
                command(one), env=environment(beside.told(one, port)), stdout=log, stderr=log
            )
            stack.callback(end, process)
            urls[one.words[0]] = f"http://127.0.0.1:{port}"
        for name, url in urls.items():
            eventually(lambda url=url: answers(f"{url}/readyz"), logs / f"{name}.log")  # type: ignore[misc]
        yield urls


def end(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, as an engine says it; it must be enough."""
    process.terminate()
    try:
        process.wait(20)
    finally:
        process.kill()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def is_whole(url: str) -> bool:
    """Whether nothing is missing."""
    answer = httpx.get(f"{url}/readyz", trust_env=False, timeout=5)
    return bool(answer.json()["status"] == "ready")


def eventually(condition: Callable[[], bool], log: Path, seconds: float = 60) -> None:
    """Wait for it; else the end of what was logged."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-2000:] if log.exists() else log
        time.sleep(0.2)


def reaches_a_queue(urls: Mapping[str, str], token_secret: str, logs: Path) -> None:
    """One petition, from its acceptance to the queue of the grid that must answer it."""
    sent = httpx.post(
        f"{urls['intake']}/petitions", json=PETITION,
        headers={"Idempotency-Key": uuid4().hex}, trust_env=False, timeout=20,
    )  # fmt: skip
    assert sent.status_code == 202, sent.text
    token = issue(token_secret, "auditor", ["auditor"], CITY)

    def is_there() -> bool:
        queue = httpx.get(
            f"{urls['router']}/queues/{GRID}",
            headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=20,
        )  # fmt: skip
        assert queue.status_code == 200, queue.text
        return sent.json()["id"] in {entry["case"] for entry in queue.json()["entries"]}

    eventually(is_there, logs / "router.log", 30)


def all_of_them(
    containers: Sequence[Container], beside: Beside, logs: Path, secret: str, asked: set[str]
) -> None:
    """What is done once, then the four services, what each is asked for, then one petition."""
    (operator,) = [one for one in containers if one.is_operator]
    once = [one for one in containers if not one.serves and not one.is_operator]
    assert {one.words[0] for one in once if one.words[1:] == ("migrate",)} == set(SERVICES)
    for one in once:
        run_to_its_end(one, beside)
    served = [one for one in containers if one.serves]
    assert {one.words[0] for one in served} == set(SERVICES)
    with serving(served, beside, logs) as urls:
        for name, url in urls.items():
            assert [path for path in asked if not answers(url + path)] == []
            # Not only not down: what it may not do would degrade it.
            eventually(lambda url=url: is_whole(url), logs / f"{name}.log")  # type: ignore[misc]
        reaches_a_queue(urls, secret, logs)
        operates(operator, beside, urls, logs)


def operates(container: Container, beside: Beside, urls: Mapping[str, str], folder: Path) -> None:
    """Whoever is on call has all that the commands ask, and no program of his own machine."""
    told = beside.told(container, 0)
    assert {f"CASEGRID_{name.upper()}_URL" for name in SERVICES} <= told.keys()
    told |= {f"CASEGRID_{name.upper()}_URL": url for name, url in urls.items()}

    def well(*words: str, **more: str) -> bool:
        done = subprocess.run(
            command(replace(container, words=words)),
            env=environment(told | more), capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        (folder / "operator.log").write_text(f"{words}\n{done.stdout}\n{done.stderr}")
        return done.returncode == 0

    eventually(lambda: well("status"), folder / "operator.log")
    for words in (
        ("topics", "check"), ("census",), ("parked", "list"),
        ("backup", str(folder / "backup"), "--reason", "drill", "--by", "li"),
    ):  # fmt: skip
        assert well(*words), (folder / "operator.log").read_text()
    # Services run: it comes as far as that, and no further.
    assert not well("restore", str(folder / "backup"), "--yes", "--reason", "drill", "--by", "li")
    assert "stop all processes" in (folder / "operator.log").read_text()
    # As it is said after a database went back by its own log.
    own = {"CASEGRID_DATABASE_URL": told["CASEGRID_ROUTER_DATABASE_URL"]}
    restored = ("router", "restored", "--reason", "drill", "--by", "li")
    assert well(*restored, **own), (folder / "operator.log").read_text()


SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|DATABASE_URL|_KEY$")


def secrets_in(document: Any) -> list[str]:
    """Names that sound like a secret and stand beside a value, anywhere in a document."""
    found: list[str] = []
    if isinstance(document, dict):
        name = document.get("name")
        if isinstance(name, str) and SECRET_NAME.search(name) and "value" in document:
            found.append(name)
        for key, value in document.items():
            if SECRET_NAME.search(str(key)) and isinstance(value, str):
                found.append(str(key))
            found += secrets_in(value)
    elif isinstance(document, list):
        for one in document:
            found += secrets_in(one)
    return found
