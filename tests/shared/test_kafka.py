"""What is ours about Kafka without a broker: the partition of a key."""

from uuid import uuid4

from aiokafka.partitioner import murmur2 as theirs
from hypothesis import given
from hypothesis import strategies as st

from shared.events import Topic
from shared.kafka import PARTITIONS, lane_of, murmur2


@given(st.binary(max_size=80))
def test_the_hash_of_a_key_is_kafkas(key: bytes) -> None:
    assert murmur2(key) == theirs(key)


def test_a_lane_is_a_partition_of_its_topic() -> None:
    for topic, partitions in PARTITIONS.items():
        lanes = {lane_of(topic, str(uuid4())) for _ in range(500)}
        assert lanes == set(range(partitions))
    assert lane_of(Topic.INTAKE, "a") == (theirs(b"a") & 0x7FFFFFFF) % 12
