"""Prometheus beside a city, with our rules sixty times as fast: what fires, and what has fired."""

from __future__ import annotations

import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import httpx
import yaml

from deploy.local.environment import SERVICES
from deploy.prometheus.__main__ import write
from tests.journeys.city import City, eventually
from tests.servers import free_port
from tests.tools import PrometheusTools

FASTER = 60
LOOK_SECONDS = 0.5
QUIET_LOOKS = 10
HOLD_SECONDS = 8.0
"""After what must fire has, for what must not: a `for` of five minutes, a scrape, an evaluation."""
ALWAYS = frozenset({"CasegridWatchdog", "CasegridCalendarEnds"})
"""The sign of life; and near the end of a year, that the next one's holidays are not known yet."""
LINGERING = "BudgetBurns"
"""Their tickets look back for hours, here for minutes: what was late is told long after it is over.
The pages of the same name are over with it, and are looked at."""


class Watching:
    """The alerts that fire now, by name; all that fired since `begin`."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=10, trust_env=False)
        self.seen: set[str] = set()
        self._ends = threading.Event()
        self._looks = threading.Thread(target=self._look, name="watching", daemon=True)

    def __enter__(self) -> Watching:
        self._looks.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.set()
        self._looks.join()
        self.http.close()

    def _look(self) -> None:
        while not self._ends.wait(LOOK_SECONDS):
            now = self.firing()
            # Not `|=` around the look: it would put back what was seen before a new beginning.
            self.seen.update(now)

    def firing(self) -> set[str]:
        """What fires now, as `name` or `name/job`."""
        alerts = self.http.get("/api/v1/alerts").json()["data"]["alerts"]
        return {
            "/".join(filter(None, (one["labels"]["alertname"], one["labels"].get("job"))))
            for one in alerts
            if one["state"] == "firing" and not lingers(one["labels"])
        }

    def quiet(self, seconds: float = 150) -> None:
        """Wait until nothing fires but the sign of life for a while, and begin to keep anew."""
        looks: deque[set[str]] = deque(maxlen=QUIET_LOOKS)

        def look() -> set[str]:
            looks.append(self.firing() - ALWAYS)
            return set[str]().union(*looks)

        def is_quiet(told: set[str]) -> bool:
            return len(looks) == QUIET_LOOKS and not told

        eventually(look, is_quiet, seconds, LOOK_SECONDS)
        self.seen = set()

    def fires(self, *must: str, seconds: float = 90, may: tuple[str, ...] = ()) -> None:
        """Wait until these fire, and a while longer; nothing else has, but what may.

        `may`: names that follow from the same cause, of whichever service.
        """
        eventually(self.firing, lambda now: set(must) <= now, seconds, LOOK_SECONDS)
        time.sleep(HOLD_SECONDS)
        others = self.seen - set(must) - ALWAYS
        strange = {one for one in others if one.partition("/")[0] not in may}
        assert not strange, f"also: {strange}; {self.scrapes()}"

    def scrapes(self) -> list[str]:
        """How long the last look at each service took, and what went wrong."""
        targets = self.http.get("/api/v1/targets").json()["data"]["activeTargets"]
        return [
            f"{one['labels']['job']}: {one['lastScrapeDuration']:.3f} s {one['lastError']}"
            for one in targets
        ]


def lingers(labels: Mapping[str, str]) -> bool:
    """Whether an alert tells of what was, in its own way."""
    return labels["alertname"].endswith(LINGERING) and labels["severity"] == "ticket"


@contextmanager
def watching(city: City, tools: PrometheusTools, home: Path) -> Iterator[Watching]:
    """Prometheus scrapes the city every two seconds."""
    home.mkdir(parents=True)
    rules = write(home / "rules", faster=FASTER)
    targets = [
        {
            "job_name": service,
            "static_configs": [{"targets": [city.stack.url(service).removeprefix("http://")]}],
        }
        for service in SERVICES
    ]
    settings = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": targets,
    }
    config = home / "prometheus.yml"
    config.write_text(yaml.safe_dump(settings))
    port = free_port()
    command = [
        str(tools.prometheus),
        f"--config.file={config}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    url = f"http://127.0.0.1:{port}"
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            eventually(lambda: is_ready(url), bool, 30)
            with Watching(url) as one:
                yield one
        finally:
            process.terminate()
            process.wait(20)


def is_ready(url: str) -> bool:
    """Whether Prometheus answers."""
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
