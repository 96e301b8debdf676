"""The image: what the Dockerfile promises, and each of its steps done in a clean root."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import httpx
import pytest

from deploy.image.building import ROOT, build, container
from deploy.image.debian import Missing
from deploy.image.dockerfile import Copy, Run, Stage, Unknown, stages
from deploy.local.jars import cache_directory
from services.operations.postgres_tools import TOOLS, environment_of
from tests.servers import FreshDatabase, KafkaServer, free_port

DOCKERFILE = ROOT / "Dockerfile"
IMAGE_LOCKS = ("runtime.lock", "build.lock", "postgres.lock")
SECRET = "only-of-this-test-and-longer-than-32-bytes"


@dataclass
class Image:
    """The last stage, and its root."""

    stage: Stage
    root: Path

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(words, settings), capture_output=True, text=True, timeout=120
        )

    def command(self, words: tuple[str, ...], settings: Mapping[str, str]) -> list[str]:
        return container(self.stage, self.root, list(words), dict(settings))

    def shell(self, line: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """What a person would do who looks into a container."""
        stage = Stage("", "", environment=self.stage.environment, user=self.stage.user)
        command = container(stage, self.root, ["/bin/sh", "-c", line], settings)
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def is_healthy(self, settings: Mapping[str, str]) -> bool:
        stage = Stage("", "", environment=self.stage.environment, user=self.stage.user)
        command = container(stage, self.root, list(self.stage.health), dict(settings))
        return subprocess.run(command, capture_output=True, timeout=30).returncode == 0


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Made once, below the cache; where it cannot be made the tests skip and say why, CI fails."""
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as name:
        Path(name).chmod(0o755)
        try:
            yield Image(*build(cache, Path(name)))
        except Missing as missing:
            if os.environ.get("CI"):
                pytest.fail(str(missing), pytrace=False)
            pytest.skip(str(missing))


def last_stage() -> Stage:
    return stages(DOCKERFILE.read_text())[-1]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_has_a_number_for_a_user_one_port_and_a_health_check() -> None:
    last = last_stage()
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last.user)
    assert last.environment["CASEGRID_PORT"] == str(last.port)
    assert last.health
    assert last.entrypoint == ("casegrid",)


def test_the_last_stage_takes_over_the_environment_of_python_alone() -> None:
    (copied,) = last_stage().steps
    assert copied == Copy("build", ("/opt/casegrid",), "/opt/casegrid", last_stage().within)


@pytest.mark.parametrize("name", IMAGE_LOCKS)
def test_the_image_has_the_versions_that_are_tested(name: str) -> None:
    ours = pins((ROOT / "deploy" / "image" / name).read_text())
    tested = pins((ROOT / "requirements.lock").read_text())
    assert ours
    assert ours.items() <= tested.items()


def pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The version and the hashes of each package."""
    found = re.findall(r"^(\S+)==(\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", lock, re.MULTILINE)
    return {
        name: (version, frozenset(re.findall(r"sha256:\w+", hashes)))
        for name, version, hashes in found
    }


def test_everything_is_installed_by_its_hash() -> None:
    lines = [s.line for one in stages(DOCKERFILE.read_text()) for s in one.steps if type(s) is Run]
    installs = [part for line in lines for part in line.split("&&") if " install " in part]
    assert installs
    assert all("--require-hashes" in part or "wheels/*.whl" in part for part in installs)


def test_what_is_copied_is_what_an_engine_is_sent() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert lines[0] == "*"
    copied = [
        Path(path)
        for stage in stages(DOCKERFILE.read_text())
        for step in stage.steps
        if type(step) is Copy and step.source is None
        for path in step.paths
    ]
    assert [path for path in copied if not any(path.match(one) for one in sent)] == []
    assert [one for one in sent if not any(path.match(one) for path in copied)] == []


@pytest.mark.parametrize("line", ["ADD x /x", "VOLUME /x", "COPY --chown=1 x /x"])
def test_an_instruction_that_could_not_be_tried_is_refused(line: str) -> None:
    with pytest.raises(Unknown):
        stages(f"FROM scratch\n{line}\n")


@pytest.mark.timeout(900)
def test_each_step_is_done_in_a_clean_root_and_the_command_is_there(image: Image) -> None:
    assert "services: intake, router, escalation, analytics" in image.run().stdout
    for name in ("intake", "router", "escalation", "analytics"):
        assert "serve" in image.run(name, "--help").stdout
    by_module = image.shell("cd / && python -m services")
    assert "services: intake" in by_module.stdout, by_module.stderr


@pytest.mark.timeout(900)
async def test_it_has_the_programs_of_postgresql_that_a_backup_needs_of_the_server_s_version(
    image: Image, fresh_database: FreshDatabase
) -> None:
    async def migrate(dsn: str) -> None:
        done = image.run("analytics", "migrate", CASEGRID_DATABASE_URL=dsn)
        assert done.returncode == 0, done.stderr

    dsn = await fresh_database("analytics in its image", migrate)
    told = {name: value for name, value in environment_of(dsn).items() if name.startswith("PG")}
    folder = last_stage().environment[TOOLS]
    dumped = image.shell(f"{folder}/pg_dump --format=custom | {folder}/pg_restore -f -", **told)
    assert dumped.returncode == 0, dumped.stderr
    assert "create table public.contributions" in dumped.stdout.lower()
    asked = image.shell(f"{folder}/psql -XAtc 'show server_version_num'", **told)
    assert asked.stdout.startswith("18"), asked.stderr


@pytest.mark.timeout(900)
def test_in_it_nobody_is_root_and_nothing_can_be_written(image: Image) -> None:
    assert image.shell("id -u; id -g").stdout.split() == image.stage.user.split(":")
    for place in ("/", "/tmp", "/opt/casegrid", "/etc"):
        refused = image.shell(f"echo x > {place}/written")
        assert "Read-only file system" in refused.stderr, (place, refused.stderr)


@pytest.mark.timeout(900)
async def test_a_service_serves_there_is_healthy_and_ends_when_told(
    image: Image, fresh_database: FreshDatabase, kafka_server: KafkaServer
) -> None:
    async def migrate(dsn: str) -> None:
        done = image.run("router", "migrate", CASEGRID_DATABASE_URL=dsn)
        assert done.returncode == 0, done.stderr

    port = free_port()
    settings = {
        "CASEGRID_DATABASE_URL": await fresh_database("router in its image", migrate),
        "CASEGRID_KAFKA_BOOTSTRAP": kafka_server.bootstrap,
        "CASEGRID_TOPIC_PREFIX": f"image-{uuid4().hex[:8]}.",
        "CASEGRID_TOKEN_SECRET": SECRET,
        "CASEGRID_HOST": "127.0.0.1",
        "CASEGRID_PORT": str(port),
    }
    made = image.run("router", "topics", "--create", **settings)
    assert made.returncode == 0, made.stderr
    assert not image.is_healthy(settings)
    with subprocess.Popen(  # noqa: ASYNC220 (the loop has nothing else to do)
        image.command(("router", "serve"), settings), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_ready(f"http://127.0.0.1:{port}/readyz", process)
            assert image.is_healthy(settings)
        finally:
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said


def wait_ready(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("it was not ready in 60 s")
