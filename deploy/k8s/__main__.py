"""`python -m deploy.k8s`: write the manifests that follow from the code.

The topics as Strimzi's operator makes them, what each service may do on them, and the rules of
Prometheus as its operator reads them. A test compares the files with the code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.local.environment import SERVICES
from shared.contract import LISTENERS
from shared.events import OWNERS, Topic
from shared.kafka import PARTITIONS, TOPIC_SETTINGS

BASE: Final = Path(__file__).parent / "base"
RULES: Final = Path(__file__).resolve().parents[1] / "prometheus" / "rules"
HEAD: Final = "# Written by `python -m deploy.k8s`; change the code, not this file.\n"
REPLICAS, IN_SYNC = 3, 2
OF_KAFKA: Final = {"strimzi.io/cluster": "casegrid"}

Manifest = dict[str, Any]


def topics() -> Iterator[Manifest]:
    """Each topic, as the services compare it with the code at their start."""
    for topic, partitions in PARTITIONS.items():
        yield {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": {"name": topic.value, "labels": OF_KAFKA},
            "spec": {
                "partitions": partitions,
                "replicas": REPLICAS,
                "config": TOPIC_SETTINGS[topic] | {"min.insync.replicas": str(IN_SYNC)},
            },
        }


def users() -> Iterator[Manifest]:
    """Each service: it writes its own topics alone, and reads those that it hears. And the
    operator, who reads all of them, as no member of a group, and writes none."""
    for service in SERVICES:
        yield user(service, [rule for topic in Topic for rule in may(service, topic)])
    looks = ["Describe", "DescribeConfigs", "Read"]
    yield user("operator", [allowed("topic", topic.value, looks) for topic in Topic])


def user(name: str, rules: list[Manifest]) -> Manifest:
    """One user, and all that it may do."""
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {"name": f"casegrid-{name}", "labels": OF_KAFKA},
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": rules},
        },
    }


def may(service: str, topic: Topic) -> Iterator[Manifest]:
    """What a service may do on a topic. All look at all: they compare their settings."""
    operations = ["Describe", "DescribeConfigs"]
    if OWNERS[topic][0] == service:
        operations.append("Write")
    if service in LISTENERS[topic]:
        operations.append("Read")
        yield allowed("group", f"{service}.{topic}", ["Read"])
    yield allowed("topic", topic.value, operations)


def allowed(kind: str, name: str, operations: list[str]) -> Manifest:
    """One rule."""
    resource = {"type": kind, "name": name, "patternType": "literal"}
    return {"resource": resource, "operations": operations}


def rules() -> Iterator[Manifest]:
    """All rules of Prometheus that there are."""
    read = [yaml.safe_load(path.read_text()) for path in sorted(RULES.glob("*.yml"))]
    yield {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "casegrid"},
        "spec": {"groups": [group for one in read for group in one["groups"]]},
    }


WRITTEN: Final = {"topics.yaml": topics, "users.yaml": users, "rules.yaml": rules}


def text(name: str) -> str:
    """A file as it is written."""
    manifests = list(WRITTEN[name]())
    return HEAD + yaml.dump_all(
        manifests, Dumper=Plain, sort_keys=False, allow_unicode=True, width=100
    )


class Plain(yaml.SafeDumper):
    """Spells out what appears twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def main() -> None:
    """Write them."""
    for name in WRITTEN:
        (BASE / name).write_text(text(name), encoding="utf-8")
        sys.stdout.write(f"{BASE / name}\n")


if __name__ == "__main__":
    main()
