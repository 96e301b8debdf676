"""The topics as code: partitions, settings, and how a key finds its partition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from struct import unpack_from

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.events import Topic
from shared.kafka.connection import admin
from shared.settings import Settings

DAY_MS = 24 * 3600 * 1000
KEEP = str(30 * DAY_MS)
COMMON = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1048588"}
COMPACTED = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": KEEP,
    "delete.retention.ms": KEEP,
}
KEPT = {"cleanup.policy": "delete", "retention.ms": KEEP}
PARTITIONS: dict[Topic, int] = {
    Topic.INTAKE: 12,
    Topic.ROUTER: 12,
    Topic.ESCALATION: 12,
    Topic.ANALYTICS: 12,
    Topic.POLICY: 1,
}
TOPIC_SETTINGS: dict[Topic, dict[str, str]] = {
    Topic.INTAKE: COMMON | KEPT,
    Topic.ROUTER: COMMON | COMPACTED,
    Topic.ESCALATION: COMMON | KEPT,
    Topic.ANALYTICS: COMMON | KEPT,
    Topic.POLICY: COMMON | {"cleanup.policy": "compact"},
}
MIN_INSYNC = "min.insync.replicas"
REPLICAS, IN_STEP = "replicas", "replicas in step"
SAFETY = (REPLICAS, MIN_INSYNC, IN_STEP)
COMPACTED_TOPICS = frozenset(
    topic for topic, config in TOPIC_SETTINGS.items() if config["cleanup.policy"] == "compact"
)
"""Where a hole in the offsets is ordinary: a later record of the same key took its place."""


@dataclass(frozen=True, slots=True)
class TopicDiffers:
    """A topic of the broker that is not as the code says."""

    topic: str
    what: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} should be {self.wanted}, is {self.found}"


def lane_of(topic: Topic, key: str) -> int:
    """The partition that Kafka's own partitioner gives a key (murmur2, positive, modulo)."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS[topic]


def murmur2(data: bytes) -> int:
    """Kafka's hash of a key: aiokafka's own takes four times as long, once for each event.

    A test holds it to aiokafka's over keys of every length.
    """
    words, tail = divmod(len(data), 4)
    h = 0x9747B28C ^ len(data)
    for k in unpack_from(f"<{words}I", data):
        k = k * 0x5BD1E995 & 0xFFFFFFFF
        k = (k ^ k >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        h = h * 0x5BD1E995 & 0xFFFFFFFF ^ k
    if tail:
        h = (h ^ int.from_bytes(data[words * 4 :], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return h ^ h >> 15


async def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing; says which. Never changes one that exists."""
    created = []
    async with admin(settings) as client:
        there = set(await client.list_topics())
        for topic, partitions in PARTITIONS.items():
            name = settings.topic_prefix + topic
            if name in there:
                continue
            configs = TOPIC_SETTINGS[topic] | {MIN_INSYNC: str(settings.kafka_min_insync)}
            new = NewTopic(name, partitions, settings.kafka_replication, topic_configs=configs)
            response = await client.create_topics([new], timeout_ms=20_000)
            for name_, code, *message in response.topic_errors:
                if code not in (0, TopicAlreadyExistsError.errno):
                    raise KafkaError(f"topic {name_} was not created: {code} {message}")
            created.append(name)
    if created:
        await see_topics(settings, created)
    return created


async def see_topics(settings: Settings, names: Sequence[str]) -> None:
    """Wait until the brokers have told each other of new topics. Raises `TimeoutError`."""
    async with asyncio.timeout(20), admin(settings) as client:
        while True:
            described = await client.describe_topics(list(names))
            if all(topic["error_code"] == 0 and topic["partitions"] for topic in described):
                return
            await asyncio.sleep(0.1)


async def check_topics(settings: Settings) -> list[TopicDiffers]:
    """Compare every topic of the broker with the code."""
    differs: list[TopicDiffers] = []
    async with admin(settings) as client:
        # Listed and not described: a broker may create a topic that is asked for by its name.
        there = set(await client.list_topics())
        for topic, partitions in PARTITIONS.items():
            name = settings.topic_prefix + topic
            if name not in there:
                differs.append(TopicDiffers(name, "partitions", str(partitions), "missing"))
                continue
            (described,) = await client.describe_topics([name])
            if described["error_code"]:
                raise for_code(described["error_code"])
            found = len(described["partitions"])
            if found != partitions:
                differs.append(TopicDiffers(name, "partitions", str(partitions), str(found)))
                continue
            values = await settings_of(client, name)
            differs += [
                TopicDiffers(name, key, wanted, str(values.get(key)))
                for key, wanted in TOPIC_SETTINGS[topic].items()
                if values.get(key) != wanted
            ]
    return differs


async def check_safety(settings: Settings) -> list[TopicDiffers]:
    """Whether the topics that are there are kept by as many brokers as the settings say.

    More is no difference. A service serves all the same: this is for the operator to see.
    """
    differs: list[TopicDiffers] = []
    async with admin(settings) as client:
        there = set(await client.list_topics())
        for name in (settings.topic_prefix + topic for topic in PARTITIONS):
            if name not in there:
                continue
            (described,) = await client.describe_topics([name])
            if described["error_code"]:
                raise for_code(described["error_code"])
            least = int((await settings_of(client, name))[MIN_INSYNC])
            copies = min(len(one["replicas"]) for one in described["partitions"])
            in_step = min(len(one["isr"]) for one in described["partitions"])
            wanted = settings.kafka_replication, settings.kafka_min_insync, copies
            found = copies, least, in_step
            differs += [
                TopicDiffers(name, what, str(want), str(is_))
                for what, want, is_ in zip(SAFETY, wanted, found, strict=True)
                if is_ < want
            ]
    return differs


async def settings_of(client: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    """The settings of a topic. Raises `KafkaError` when the broker does not tell them."""
    (response,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    (code, _, _, _, entries) = response.resources[0]
    if code:
        raise for_code(code)
    return {entry[0]: entry[1] for entry in entries}
