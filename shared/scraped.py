"""What a service says of itself on /metrics, read back."""

from __future__ import annotations

from collections import defaultdict
from math import isnan

from prometheus_client.parser import text_string_to_metric_families


class Page:
    """The samples of one service's /metrics; without those of which nothing is known (NaN)."""

    def __init__(self, text: str) -> None:
        self._samples: defaultdict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if not isnan(sample.value):
                    self._samples[sample.name].append((sample.labels, sample.value))

    def by(self, name: str, label: str, **only: str) -> dict[str, float]:
        """The sums of a metric by one of its labels, of the samples that have the labels `only`."""
        sums: defaultdict[str, float] = defaultdict(float)
        for labels, value in self._samples[name]:
            if only.items() <= labels.items():
                sums[labels.get(label, "")] += value
        return sums

    def total(self, name: str, **only: str) -> float:
        """The sum of a metric; 0 of none."""
        return sum(self.by(name, "", **only).values())

    def largest(self, name: str, **only: str) -> float:
        """The greatest sample of a metric, of those that have the labels `only`; 0 of none."""
        samples = self._samples[name]
        return max((v for labels, v in samples if only.items() <= labels.items()), default=0.0)
