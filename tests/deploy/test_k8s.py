"""The manifests of Kubernetes, rendered as a cluster's own tool does, against rules of our own."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import kubernetes_validate
import pytest
import yaml
from pydantic import SecretStr

from deploy.image.dockerfile import stages
from deploy.k8s.__main__ import BASE, RULES, WRITTEN, text
from deploy.local.environment import SERVICES
from deploy.local.postgres import Postgres
from deploy.prometheus.alerts import OF_CLUSTERS
from services.operations.places import NAMES, places
from shared.contract import LISTENERS
from shared.events import OWNERS, Topic
from shared.kafka import PARTITIONS, TOPIC_SETTINGS, create_topics
from shared.settings import Settings
from shared.telemetry import LAG_SECONDS
from tests.deploy.containers import (
    ONE_BROKER,
    Beside,
    Container,
    all_of_them,
    make_databases,
    secrets_in,
)
from tests.deploy.guarded import PASSWORD, GuardedKafka, allow
from tests.servers import ROOT, free_port

KUBECTL = Path(sys.executable).with_name("kubectl")
OVERLAY = ROOT / "deploy" / "k8s" / "overlays" / "city"
RESTORE = OVERLAY.with_name("restore")
VERSIONS = ("1.31", "1.37")
"""The oldest and the newest Kubernetes that the manifests are held against."""
OF_OTHERS = {
    "barmancloud.cnpg.io", "kafka.strimzi.io", "keda.sh", "monitoring.coreos.com",
    "postgresql.cnpg.io",
}  # fmt: skip
"""Whose schemas we do not have: what these read is held against the tests below alone."""
OPERATOR = "casegrid-operator"
POOL_BESIDES = 4
"""Connections that a process opens beside its pool: the relay's, and those that wait for news."""

Manifest = dict[str, Any]


@cache
def rendered(folder: Path) -> tuple[Manifest, ...]:
    done = subprocess.run(
        [KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(yaml.safe_load_all(done.stdout))


def of(kind: str) -> dict[str, Manifest]:
    """All of a kind by their names."""
    return {one["metadata"]["name"]: one for one in rendered(OVERLAY) if one["kind"] == kind}


@dataclass(frozen=True)
class Pod:
    """What a Deployment or a Job starts."""

    owner: Manifest

    @property
    def name(self) -> str:
        name: str = self.owner["metadata"]["name"]
        return name

    @property
    def spec(self) -> Manifest:
        spec: Manifest = self.owner["spec"]["template"]["spec"]
        return spec

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.owner["spec"]["template"]["metadata"]["labels"]
        return labels

    @property
    def container(self) -> Manifest:
        (one,) = self.spec["containers"]
        found: Manifest = one
        return found

    def environment(self) -> Iterator[tuple[str, str | Manifest]]:
        """Each variable with its value, or with the key of the secret that has it."""
        for source in self.container.get("envFrom", ()):
            yield from of("ConfigMap")[source["configMapRef"]["name"]]["data"].items()
        for variable in self.container.get("env", ()):
            value = variable.get("value")
            yield variable["name"], value or variable["valueFrom"]["secretKeyRef"]


def pods(*kinds: str) -> list[Pod]:
    return [Pod(one) for kind in kinds or ("Deployment", "Job") for one in of(kind).values()]


def served() -> list[Pod]:
    """The four services."""
    found = [pod for pod in pods("Deployment") if pod.name != OPERATOR]
    assert {pod.name for pod in found} == {f"casegrid-{service}" for service in SERVICES}
    return found


def operator() -> Pod:
    return Pod(of("Deployment")[OPERATOR])


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector of labels means these."""
    wanted: dict[str, str] = selector.get("matchLabels", {})
    there = [one["key"] in labels for one in selector.get("matchExpressions", ())]
    return wanted.items() <= labels.items() and all(there)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("folder", [BASE, OVERLAY, RESTORE], ids=lambda folder: folder.name)
def test_kubernetes_knows_every_word(folder: Path, version: str) -> None:
    known = [one for one in rendered(folder) if group(one) not in OF_OTHERS]
    assert {group(one) for one in known} == {"", "apps", "batch", "policy", "networking.k8s.io"}
    for one in known:
        kubernetes_validate.validate(one, version, strict=True)


def group(one: Manifest) -> str:
    name, slash, _ = one["apiVersion"].partition("/")
    return name if slash else ""


@pytest.mark.parametrize("name", WRITTEN)
def test_what_follows_from_the_code_is_as_the_code_says(name: str) -> None:
    assert (BASE / name).read_text() == text(name)


def test_every_service_has_all_that_it_needs() -> None:
    names = {f"casegrid-{service}" for service in SERVICES}
    for kind in ("Service", "PodDisruptionBudget", "ScaledObject"):
        assert set(of(kind)) == names, kind
    for kind in ("Deployment", "ServiceAccount", "KafkaUser"):
        assert set(of(kind)) == names | {OPERATOR}, kind
    databases = {f"casegrid-db-{service}" for service in SERVICES}
    for kind in ("Cluster", "ScheduledBackup", "PodMonitor"):
        assert set(of(kind)) == databases, kind
    assert set(of("Job")) == {f"casegrid-migrate-{service}" for service in SERVICES}


def test_no_operator_gives_something_of_its_own_a_name_of_ours() -> None:
    """CloudNativePG calls a ServiceAccount and a PodDisruptionBudget as the cluster is called."""
    theirs = set(of("Cluster")) | {f"{name}-primary" for name in of("Cluster")}
    theirs |= {f"{name}-{role}" for name in of("Cluster") for role in ("rw", "ro", "r")}
    theirs |= {f"{name}-kafka" for name in of("Kafka")}
    theirs |= {f"{name}-entity-operator" for name in of("Kafka")}
    for kind in ("ServiceAccount", "PodDisruptionBudget", "Service"):
        assert not theirs & set(of(kind))


def test_every_container_is_restricted() -> None:
    (space,) = of("Namespace").values()
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods():
        of_the_pod = dict(pod.spec["securityContext"])
        group = int(stages((ROOT / "Dockerfile").read_text())[-1].user.partition(":")[2])
        # The operator's volume belongs to the group that the image runs as.
        assert of_the_pod.pop("fsGroup", None) == (group if pod.name == OPERATOR else None)
        assert of_the_pod == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
        assert pod.container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.spec.keys()
        written = {one["mountPath"] for one in pod.container.get("volumeMounts", ())
                   if not one.get("readOnly")}  # fmt: skip
        assert written == ({"/backups"} if pod.name == OPERATOR else set())
        kinds = {kind for one in pod.spec.get("volumes", ()) for kind in one.keys() - {"name"}}
        assert kinds <= {"secret"} | ({"persistentVolumeClaim"} if written else set())


def test_nobody_has_a_token_of_the_cluster() -> None:
    accounts = of("ServiceAccount")
    assert not any(one["automountServiceAccountToken"] for one in accounts.values())
    for pod in pods():
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["serviceAccountName"] in accounts


def test_all_have_the_image_that_compose_has() -> None:
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert {pod.container["image"] for pod in pods()} == {composed["x-casegrid"]["image"]}


def test_what_runs_asks_for_what_it_needs_and_is_limited_in_memory() -> None:
    for pod in pods():
        resources = pod.container["resources"]
        assert set(resources["requests"]) == {"cpu", "memory"}
        assert set(resources["limits"]) == {"memory"}


def test_a_process_is_asked_whether_it_started_lives_and_is_ready() -> None:
    port = stages((ROOT / "Dockerfile").read_text())[-1].port
    for pod in served():
        assert pod.container["ports"] == [{"name": "http", "containerPort": port}]
        asked = {
            kind: pod.container[f"{kind}Probe"]["httpGet"]
            for kind in ("startup", "liveness", "readiness")
        }
        assert asked == {
            "startup": {"path": "/startupz", "port": "http"},
            "liveness": {"path": "/livez", "port": "http"},
            "readiness": {"path": "/readyz", "port": "http"},
        }


def test_nobody_is_sent_to_a_process_that_ends_and_it_has_the_time_it_needs() -> None:
    for pod in served():
        pause = pod.container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pause >= 5
        assert pod.spec["terminationGracePeriodSeconds"] - pause >= 20
        assert pod.owner["spec"]["strategy"]["rollingUpdate"] == {
            "maxUnavailable": 0,
            "maxSurge": 1,
        }


def test_at_most_one_process_of_a_service_is_taken_away_and_they_stand_apart() -> None:
    for pod in served():
        budget = of("PodDisruptionBudget")[pod.name]["spec"]
        assert budget["maxUnavailable"] == 1
        assert selects(budget["selector"], pod.labels)
        spread = {one["topologyKey"]: one for one in pod.spec["topologySpreadConstraints"]}
        assert set(spread) == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
        assert all(selects(one["labelSelector"], pod.labels) for one in spread.values())


def test_a_service_and_its_budget_mean_its_own_processes_alone() -> None:
    for name in of("Service"):
        selectors = [
            {"matchLabels": of("Service")[name]["spec"]["selector"]},
            of("PodDisruptionBudget")[name]["spec"]["selector"],
            of("Deployment")[name]["spec"]["selector"],
        ]
        for selector in selectors:
            assert [pod.name for pod in pods() if selects(selector, pod.labels)] == [name]


def policies(direction: str, labels: dict[str, str]) -> list[Manifest]:
    """What may come in or go out of the pods of these labels."""
    return [
        rule
        for one in of("NetworkPolicy").values()
        if selects(one["spec"]["podSelector"], labels)
        for rule in one["spec"].get(direction, ())
    ]


def test_nothing_is_allowed_that_is_not_named() -> None:
    nothing = of("NetworkPolicy")["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for one in of("NetworkPolicy").values():
        for direction in ("ingress", "egress"):
            assert {} not in one["spec"].get(direction, ())


def test_every_port_is_named_and_allowed() -> None:
    for pod in served():
        allowed = {
            port["port"] for rule in policies("ingress", pod.labels) for port in rule["ports"]
        }
        assert allowed == {port["name"] for port in pod.container["ports"]}
        (port,) = of("Service")[pod.name]["spec"]["ports"]
        assert port["targetPort"] in allowed


def test_a_service_reaches_kafka_and_its_own_database_and_no_other() -> None:
    for pod in [*served(), *pods("Job")]:
        service = pod.labels["app.kubernetes.io/name"]
        reached = {
            (to["podSelector"]["matchLabels"].get(key), port["port"])
            for rule in policies("egress", pod.labels)
            for to in rule["to"]
            for port in rule["ports"]
            for key in ("strimzi.io/cluster", "cnpg.io/cluster")
            if key in to["podSelector"]["matchLabels"]
        }
        kafka = {("casegrid", 9093)} if pod.owner["kind"] == "Deployment" else set()
        assert reached == {(f"casegrid-db-{service}", 5432)} | kafka
        into = {
            (peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"], port["port"])
            for rule in policies("ingress", {"cnpg.io/cluster": f"casegrid-db-{service}"})
            for peer in rule["from"]
            for port in rule["ports"]
            if "matchLabels" in peer.get("podSelector", {})
        }
        assert into == {(service, 5432), ("operator", 5432)}


def goes(source: dict[str, str], to: dict[str, str], port: int | str) -> bool:
    """Whether both ends let pods of these labels speak, by a port."""

    def meant(rule: Manifest, side: str, labels: dict[str, str]) -> bool:
        peers = [one["podSelector"] for one in rule.get(side, ()) if "podSelector" in one]
        open_ = {one["port"] for one in rule["ports"]}
        return port in open_ and any(selects(peer, labels) for peer in peers)

    out = any(meant(rule, "to", to) for rule in policies("egress", source))
    return out and any(meant(rule, "from", source) for rule in policies("ingress", to))


def test_the_operator_reaches_every_service_every_database_and_kafka_and_nobody_him() -> None:
    hand = operator().labels
    for pod in served():
        assert goes(hand, pod.labels, "http")
        assert not any(goes(pod.labels, other.labels, "http") for other in served())
    for name in of("Cluster"):
        assert goes(hand, {"cnpg.io/cluster": name}, 5432)
    broker = {"strimzi.io/cluster": "casegrid", "strimzi.io/broker-role": "true"}
    out = [rule for rule in policies("egress", hand) if {"port": 9093} in rule["ports"]]
    assert [selects(to["podSelector"], broker) for rule in out for to in rule["to"]] == [True]
    (listener,) = of("Kafka")["casegrid"]["spec"]["kafka"]["listeners"]
    peers = [one["podSelector"] for one in listener["networkPolicyPeers"]]
    for pod in [*served(), operator()]:
        assert any(selects(peer, pod.labels) for peer in peers), pod.name
    assert policies("ingress", hand) == []


def test_the_operator_is_there_when_somebody_calls_and_is_told_what_the_commands_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hand = operator()
    assert hand.owner["spec"]["replicas"] == 0
    assert hand.container["command"] == ["sleep", "infinity"]
    told = dict(hand.environment())
    for service in SERVICES:
        name = f"CASEGRID_{service.upper()}_DATABASE_URL"
        assert told[name] == {"name": f"casegrid-db-{service}-app", "key": "uri"}
    for name, value in told.items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "postgresql://x/x")
    monkeypatch.setenv("CASEGRID_KAFKA_CA_FILE", "")
    known = {f"http://{name}": name for name in of("Service")}
    assert [known[str(one.url)] for one in places()] == [f"casegrid-{s}" for s in NAMES]
    assert {port["port"] for one in of("Service").values() for port in one["spec"]["ports"]} == {80}


def test_every_process_is_asked_for_its_metrics_by_the_name_that_the_rules_know() -> None:
    (monitor,) = of("ServiceMonitor").values()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["path"] == "/metrics"
    for service in SERVICES:
        served = of("Service")[f"casegrid-{service}"]
        assert selects(monitor["spec"]["selector"], served["metadata"]["labels"])
        assert endpoint["port"] in {port["name"] for port in served["spec"]["ports"]}
        assert served["metadata"]["labels"][monitor["spec"]["jobLabel"]] == service


def test_the_databases_are_asked_by_the_name_that_the_rules_know() -> None:
    (name,) = re.findall('job=~"(.+)"', OF_CLUSTERS)
    monitors = of("PodMonitor").values()
    assert len(monitors) == len(SERVICES)
    for monitor in monitors:
        # What the Prometheus operator makes the label `job` of.
        assert re.fullmatch(name, "casegrid/" + monitor["metadata"]["name"])
        assert {one["port"] for one in monitor["spec"]["podMetricsEndpoints"]} == {"metrics"}


def test_the_rules_are_those_that_are_tested() -> None:
    (rules,) = of("PrometheusRule").values()
    tested = [yaml.safe_load(path.read_text())["groups"] for path in sorted(RULES.glob("*.yml"))]
    assert rules["spec"]["groups"] == [group for groups in tested for group in groups]
    assert rules["spec"]["groups"]


def test_every_variable_is_one_that_a_service_reads() -> None:
    for one in containers():
        assert one.unknown() == set(), one.name


def test_a_secret_is_only_ever_named() -> None:
    assert "Secret" not in {one["kind"] for one in rendered(OVERLAY)}
    assert [secrets_in(one) for one in rendered(OVERLAY) if group(one) not in OF_OTHERS] == [
        [] for one in rendered(OVERLAY) if group(one) not in OF_OTHERS
    ]
    made = {(f"{name}-app", "uri") for name in of("Cluster")}
    made |= {(name, "password") for name in of("KafkaUser")}
    made |= {("casegrid-token", "secret")}
    named = {
        (value["name"], value["key"])
        for pod in pods()
        for _, value in pod.environment()
        if isinstance(value, dict)
    }
    assert named == made


def test_the_topics_are_those_of_the_code() -> None:
    made = {name: one["spec"] for name, one in of("KafkaTopic").items()}
    assert set(made) == {topic.value for topic in Topic}
    for topic in Topic:
        spec = made[topic.value]
        assert spec["partitions"] == PARTITIONS[topic]
        assert spec["config"].items() >= TOPIC_SETTINGS[topic].items()
        assert (spec["replicas"], spec["config"]["min.insync.replicas"]) == (3, "2")


def test_a_topic_has_one_writer_and_is_read_by_those_who_hear_it() -> None:
    for topic in Topic:
        writers, readers = set(), set()
        for name, user in of("KafkaUser").items():
            rules = user["spec"]["authorization"]["acls"]
            by_name = {rule["resource"]["name"]: rule["operations"] for rule in rules}
            service = name.removeprefix("casegrid-")
            writers |= {service} if "Write" in by_name[topic.value] else set()
            if "Read" in by_name[topic.value]:
                readers.add(service)
                # The operator reads as no member of a group: he moves nobody's place.
                groups = [] if service == "operator" else ["Read"]
                assert by_name.get(f"{service}.{topic}", []) == groups
        assert writers == {OWNERS[topic][0]}
        assert readers == {*LISTENERS[topic], "operator"}


def test_it_grows_by_the_lag_to_no_more_than_there_are_partitions() -> None:
    (gauge,) = LAG_SECONDS.collect()
    for service in SERVICES:
        scaled = of("ScaledObject")[f"casegrid-{service}"]["spec"]
        assert scaled["scaleTargetRef"]["name"] in of("Deployment")
        assert scaled["maxReplicaCount"] <= max(PARTITIONS.values())
        assert scaled["minReplicaCount"] >= 2
        (lag,) = [one for one in scaled["triggers"] if one["type"] == "prometheus"]
        assert lag["metadata"]["query"] == f'max({gauge.name}{{job="{service}"}})'
        assert "replicas" not in of("Deployment")[f"casegrid-{service}"]["spec"]


def test_a_database_has_room_for_every_process_and_a_second_server_has_each_commit() -> None:
    pool = Settings.model_fields["database_pool"].default
    for service in SERVICES:
        cluster = of("Cluster")[f"casegrid-db-{service}"]["spec"]
        most = of("ScaledObject")[f"casegrid-{service}"]["spec"]["maxReplicaCount"] + 1
        parameters = cluster["postgresql"]["parameters"]
        assert most * (pool + POOL_BESIDES) <= int(parameters["max_connections"])
        assert cluster["instances"] >= 3
        synchronous = cluster["postgresql"]["synchronous"]
        assert synchronous == {"method": "any", "number": 1, "dataDurability": "required"}
        (archived,) = cluster["plugins"]
        assert archived["isWALArchiver"]
        assert archived["parameters"]["barmanObjectName"] in of("ObjectStore")
        backup = of("ScheduledBackup")[f"casegrid-db-{service}"]["spec"]
        assert backup["cluster"]["name"] == f"casegrid-db-{service}"


def test_a_database_that_goes_back_keeps_its_name_reads_its_archive_and_writes_another() -> None:
    """So its secret, its NetworkPolicies and its monitor are those that are there."""
    restored = {
        one["metadata"]["name"]: one["spec"]
        for one in rendered(RESTORE)
        if one["kind"] == "Cluster"
    }
    assert set(restored) == set(of("Cluster"))
    for name, spec in restored.items():
        recovery = spec["bootstrap"]["recovery"]
        assert set(spec["bootstrap"]) == {"recovery"}
        made = of("Cluster")[name]["spec"]
        assert {key: recovery[key] for key in ("database", "owner")} == {
            key: made["bootstrap"]["initdb"][key] for key in ("database", "owner")
        }
        (source,) = spec["externalClusters"]
        assert source["name"] == recovery["source"]
        (written,) = spec["plugins"]
        read = source["plugin"]["parameters"]
        assert source["plugin"]["name"] == written["name"] == made["plugins"][0]["name"]
        assert read == {"barmanObjectName": "casegrid-backups", "serverName": name}
        assert read["barmanObjectName"] in of("ObjectStore")
        assert written["parameters"]["serverName"] == f"{name}-2"
        same = spec.keys() - {"bootstrap", "externalClusters", "plugins"}
        assert {key: spec[key] for key in same} == {key: made[key] for key in same}


INSTALL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def told_in(page: str, word: str) -> list[str]:
    """The lines of the first block of commands of a page that says this."""
    blocks = INSTALL.findall((ROOT / "docs" / page).read_text())
    found: str = next(block for block in blocks if word in block)
    return found.splitlines()


def test_the_secrets_that_are_a_person_s_are_made_where_the_page_says_in_a_namespace() -> None:
    lines = told_in("deploy.md", "create secret")
    assert lines[0] == "kubectl apply -f deploy/k8s/base/namespace.yaml"
    assert (BASE / "namespace.yaml").exists()
    made = {(line.split()[6], key.split("=")[0]) for line in lines[1:]
            for key in line.split("--from-literal=")[1:]}  # fmt: skip
    (store,) = of("ObjectStore").values()
    keys = store["spec"]["configuration"]["s3Credentials"].values()
    assert made == {("casegrid-token", "secret")} | {(one["name"], one["key"]) for one in keys}


def test_a_roll_out_makes_room_for_each_job_and_waits_for_it_before_the_processes() -> None:
    lines = [line.strip().partition("#")[0] for line in told_in("deploy.md", "rollout status")]
    assert lines[0] == "set -e"
    (loop,) = [line for line in lines if line.startswith("for service in")]
    order = loop.removeprefix("for service in ").removesuffix("; do").split()
    assert sorted(order) == sorted(SERVICES)
    body = lines[lines.index(loop) + 1 : lines.index("done")]
    for service in order:
        said = [line.replace("$service", service) for line in body]
        assert " delete " in said[0]
        job = f"casegrid-migrate-{service}"
        assert f"job {job} --ignore-not-found" in said[0]
        assert f"app.kubernetes.io/name={service}" in said[1]
        assert f"condition=complete job/{job} " in said[2]
        assert f"deployment/casegrid-{service}" in said[3]
        assert job in of("Job")
    labels = {one["metadata"].get("labels", {}).get("app.kubernetes.io/name") for one in
              rendered(OVERLAY)}  # fmt: skip
    assert labels - {None} == {*SERVICES, "operator"}
    assert any("name=operator" in line for line in lines)


def containers(secrets: dict[tuple[str, str], str] | None = None) -> list[Container]:
    """The commands and what they are told; a secret is given as `secrets` has it."""
    known = secrets or {}
    found = []
    for pod in pods("Job", "Deployment"):
        told = {
            name: value if isinstance(value, str) else known.get((value["name"], value["key"]), "")
            for name, value in pod.environment()
        }
        found.append(Container(pod.name, tuple(pod.container.get("args", ["status"])), told))
    return found


@pytest.fixture
def guarded_kafka(server_directory: Path) -> Iterator[GuardedKafka]:
    """A Kafka with the users of the manifests, who may what the manifests say."""
    home = server_directory / f"kafka-{uuid4().hex}"
    broker = GuardedKafka(home, free_port(), free_port(), free_port(), list(of("KafkaUser")))
    broker.start()
    operator = Settings(database_url=SecretStr(""), kafka_bootstrap=broker.bootstrap)
    asyncio.run(make_topics_and_rules(operator))
    yield broker
    broker.stop()


async def make_topics_and_rules(operator: Settings) -> None:
    """What Strimzi's operator makes of the manifests; one broker keeps one copy."""
    await create_topics(operator)
    await allow(operator, list(of("KafkaUser").values()))


@pytest.mark.kafka
@pytest.mark.timeout(400)
def test_the_commands_bring_one_petition_into_a_queue_with_no_more_than_they_may(
    own_postgres: Callable[[], Postgres], guarded_kafka: GuardedKafka, tmp_path: Path
) -> None:
    settings = ONE_BROKER | {
        "CASEGRID_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "CASEGRID_KAFKA_SASL_MECHANISM": "PLAIN",
    }
    beside = Beside(own_postgres(), guarded_kafka.guarded, settings)
    make_databases(beside.postgres, {f"{s.upper()}_PASSWORD": f"of-{s}" for s in SERVICES})
    token = "only-of-this-test-and-longer-than-32-bytes"
    secrets = {("casegrid-token", "secret"): token}
    secrets[OPERATOR, "password"] = PASSWORD
    for service in SERVICES:
        secrets[f"casegrid-{service}", "password"] = PASSWORD
        host = f"casegrid-db-{service}-rw.casegrid:5432"
        uri = f"postgresql://casegrid_{service}:of-{service}@{host}/casegrid_{service}"
        secrets[f"casegrid-db-{service}-app", "uri"] = uri
    all_of_them(containers(secrets), beside, tmp_path, token, paths())


def paths() -> set[str]:
    """Everything that the cluster asks a process for."""
    probed = {
        pod.container[f"{kind}Probe"]["httpGet"]["path"]
        for pod in served()
        for kind in ("startup", "liveness", "readiness")
    }
    (monitor,) = of("ServiceMonitor").values()
    return probed | {monitor["spec"]["endpoints"][0]["path"]}
