"""What must never happen is on a process's first page, at 0: Prometheus sees what increases."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from deploy.prometheus.alerts import ALERTS
from services.metrics_page import LISTS, exported_name, metrics_of, names_of
from shared.events import Topic
from shared.settings import Settings
from tests.servers import free_port
from tests.shared.conftest import Start
from tests.shared.test_stopping import page

ONLY = {"topic": Topic.INTAKE, "reason": "MessageSizeTooLargeError"}
"""What the listener hears, and what a broker refuses for good."""
SKELETON = LISTS["every service"]
IN_ANY_CASE = ("casegrid_weather_total",)
"""Asked for by its rate over a quarter of an hour: its first event is one of many, or no alert."""


def counters_of_alerts() -> Iterator[tuple[str, str]]:
    """The labelled counters of every service that an alert asks for, each with its label."""
    asked = " ".join(alert.expr for alerts in ALERTS.values() for alert in alerts)
    names = set(re.findall(r"\bcasegrid_\w+_total\b", asked)) - set(IN_ANY_CASE)
    for metric in metrics_of(SKELETON):
        if isinstance(metric, Counter) and exported_name(metric) in names and names_of(metric):
            (label,) = names_of(metric)
            yield exported_name(metric), label


async def test_what_must_never_happen_is_there_at_zero_before_anything_happens(
    settings: Settings, start: Start
) -> None:
    port = free_port()
    start(settings, "serve", CASEGRID_PORT=str(port))
    families = text_string_to_metric_families((await page(port, "/metrics")).text)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    found = list(counters_of_alerts())
    assert len(found) >= 5
    for name, label in found:
        assert samples.get((name, ONLY[label])) == 0, name
    for gauge in ("casegrid_records_expired", "casegrid_stopped_partitions"):
        assert samples[gauge, Topic.INTAKE] == 0
