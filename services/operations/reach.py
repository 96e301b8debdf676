"""How far a service's positions are from the ends of their logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared import hearing, kafka
from shared.settings import Settings


class Reach(NamedTuple):
    """How many records are not heard yet, and which positions no log reaches, in plain words."""

    behind: int
    off_their_logs: list[str]


async def reach(settings: Settings, at: Sequence[hearing.Position]) -> Reach:
    """Ask the broker. Raises the weather of Kafka."""
    logs = {topic: await kafka.extents(settings, topic) for topic in {one.topic for one in at}}
    behind, off = 0, []
    for one in at:
        extent = logs[one.topic][one.partition]
        behind += max(0, extent.end - one.next_offset)
        if wrong := kafka.outside(one.next_offset, extent):
            off.append(f"{one.topic}/{one.partition}: {wrong}")
    return Reach(behind, off)
