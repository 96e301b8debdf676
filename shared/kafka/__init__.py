"""The only package that knows aiokafka: topics as code, records in, batches out.

Positions are the caller's: a `Consumer` asks for them when partitions are assigned and seeks
there. What Kafka itself remembers of a group is written afterwards, for lag tools only.
"""

from shared.kafka.connection import WEATHER
from shared.kafka.consumer import Consumer, Positions, Stopped
from shared.kafka.logs import Extent, end_offsets, extents, outside, read_to_end
from shared.kafka.records import Lane, Message, Record, size_of
from shared.kafka.sender import Sender, Unknown
from shared.kafka.topics import (
    COMPACTED_TOPICS,
    IN_STEP,
    PARTITIONS,
    REPLICAS,
    TOPIC_SETTINGS,
    TopicDiffers,
    check_safety,
    check_topics,
    create_topics,
    lane_of,
    murmur2,
)

__all__ = [
    "COMPACTED_TOPICS",
    "IN_STEP",
    "PARTITIONS",
    "REPLICAS",
    "TOPIC_SETTINGS",
    "WEATHER",
    "Consumer",
    "Extent",
    "Lane",
    "Message",
    "Positions",
    "Record",
    "Sender",
    "Stopped",
    "TopicDiffers",
    "Unknown",
    "check_safety",
    "check_topics",
    "create_topics",
    "end_offsets",
    "extents",
    "lane_of",
    "murmur2",
    "outside",
    "read_to_end",
    "size_of",
]
