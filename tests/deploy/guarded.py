"""A Kafka that lets each user do what was allowed, and nothing else: as the one of a cluster does.

Users and rules are those of Strimzi's `KafkaUser`. What differs: PLAIN stands for SCRAM, and
nothing is encrypted. Without a user, on the first port, everything may be done, as by an operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka.protocol.admin import CreateAclsRequest, CreateAclsRequest_v1

from deploy.local.kafka import Kafka
from deploy.local.processes import HOST
from shared.kafka.connection import admin
from shared.settings import Settings

Manifest = dict[str, Any]

PASSWORD = "of-this-test-alone"
SETTINGS = """
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller},SASL_PLAINTEXT://{host}:{guarded}
advertised.listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller},SASL_PLAINTEXT://{host}:{guarded}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required {users};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
"""
RESOURCES = {"topic": 2, "group": 3}
LITERAL, ALLOW = 3, 3
OPERATIONS = {"Read": 3, "Write": 4, "Describe": 8, "DescribeConfigs": 10}


class GuardedKafka(Kafka):
    """With a second port, on which one is a user by name."""

    def __init__(
        self, data_dir: Path, port: int, controller_port: int, guarded_port: int, names: list[str]
    ) -> None:
        super().__init__(data_dir, port, controller_port, heap="256m")
        self.guarded = f"{HOST}:{guarded_port}"
        users = " ".join(f'user_{name}="{PASSWORD}"' for name in names)
        self._more = SETTINGS.format(
            host=HOST, port=port, controller=controller_port, guarded=guarded_port, users=users
        )

    def _write_settings(self) -> None:
        super()._write_settings()
        with (self.data_dir / "server.properties").open("a") as file:
            file.write(self._more)


class CreateAcls(CreateAclsRequest):  # type: ignore[misc]
    """aiokafka knows the words of this request, and not how to say them."""

    def __init__(self, creations: Sequence[tuple[Any, ...]]) -> None:
        self.creations = creations

    def build(self, request_struct_class: object) -> CreateAclsRequest_v1:
        """The request."""
        return CreateAclsRequest_v1(list(self.creations))


async def allow(settings: Settings, users: Sequence[Manifest]) -> None:
    """Make the rules of these users, as Strimzi's operator does."""
    creations = [
        (
            RESOURCES[rule["resource"]["type"]],
            rule["resource"]["name"],
            LITERAL,
            f"User:{user['metadata']['name']}",
            "*",
            OPERATIONS[operation],
            ALLOW,
        )
        for user in users
        for rule in user["spec"]["authorization"]["acls"]
        for operation in rule["operations"]
    ]
    async with admin(settings) as client:
        answer = await client._send_request(CreateAcls(creations))
    assert {code for code, _ in answer.creation_responses} == {0}, answer
