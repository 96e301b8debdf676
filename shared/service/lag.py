"""How far behind a process is on a topic, in seconds: also while it hears nothing at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.kafka import Record

FRESH = timedelta(seconds=2)
"""An idle partition is asked four times a second: an end as old as this is no longer known."""


@dataclass(slots=True)
class Lag:
    """The moment up to which everything that was said is handled, by partition.

    All times are wall time. Before this process was given its share, `since` counts.
    """

    since: datetime
    joined: bool = False
    handled_to: dict[int, datetime] = field(default_factory=dict)
    guessed: set[int] = field(default_factory=set)
    read_up: set[int] = field(default_factory=set)

    def given(self, partitions: Sequence[int], now: datetime) -> None:
        """These partitions are ours; of new ones it is not known yet how far they were heard."""
        self.joined = True
        if self.handled_to.keys() == set(partitions):
            return
        self.guessed |= set(partitions) - self.handled_to.keys()
        self.handled_to = {p: self.handled_to.get(p, now) for p in partitions}

    def fetched(self, records: Iterable[Record]) -> None:
        """These wait to be handled; the first of a new partition says how old its backlog is."""
        if self.guessed:
            for record in records:
                if record.partition in self.guessed:
                    self.guessed.discard(record.partition)
                    self.handled_to[record.partition] = record.appended_at

    def handled(self, records: Iterable[Record]) -> None:
        """These are done."""
        self.move({record.partition: record.appended_at for record in records})

    def at_end(self, asked: Mapping[int, datetime]) -> None:
        """The broker said at these moments that it holds no more of these partitions."""
        self.move(asked)
        self.guessed -= asked.keys()
        self.read_up = set(asked)

    def move(self, moments: Mapping[int, datetime]) -> None:
        """Never back: the clocks of brokers may differ from ours."""
        for partition, moment in moments.items():
            last = self.handled_to.get(partition)
            if last is not None and last < moment:
                self.handled_to[partition] = moment

    def seconds(self, now: datetime) -> float:
        """0 where all partitions are known to be read to their ends, else the age of the worst."""
        if not self.joined:
            return max(0.0, (now - self.since).total_seconds())
        return max(self.ages(now).values(), default=0.0)

    def ages(self, now: datetime) -> dict[int, float]:
        """The same of each partition."""
        return {
            partition: max(0.0, (now - moment).total_seconds())
            if partition not in self.read_up or now - moment > FRESH
            else 0.0
            for partition, moment in self.handled_to.items()
        }
