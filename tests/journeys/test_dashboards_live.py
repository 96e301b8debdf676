"""Every question of every dashboard, asked of a real Prometheus while a city is at work."""

from __future__ import annotations

import asyncio
import json
import math
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

import httpx
import pytest
import yaml

from deploy.grafana.__main__ import HERE
from deploy.local.crew import Crew, Habits
from deploy.local.environment import SERVICES
from deploy.local.samples import patrol_finds, samples
from deploy.local.submitting import Submitted, submit
from deploy.prometheus.alerts import OF_CLUSTERS
from tests.journeys.city import City, eventually
from tests.journeys.conftest import running_city
from tests.journeys.watching import Watching, is_ready, watching
from tests.servers import KafkaServer, PostgresServer, free_port
from tests.tools import PrometheusTools

pytestmark = pytest.mark.timeout(400)

ROOT: Final = Path(__file__).parents[2]
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
SPEED = 3600
"""An hour passes in a second: promises are kept and broken while the test looks."""
A_SECOND = 10
SECONDS, PAUSE = 150, 3
WINDOW = "1m"

QUIET: Final[Mapping[str, str]] = {
    'ALERTS{alertstate="firing",severity!="none"}': "nothing is wrong",
    "casegrid_weather_total": "no broker or database went away",
    OF_CLUSTERS: "no CloudNativePG runs here",
    "casegrid_router_orders_stale_total": "nobody need act just before an order",
}
"""What has no series until it happens, and why it need not happen here."""


class Asked(NamedTuple):
    """A question of a panel as it stands in the file of its dashboard."""

    where: str
    expr: str
    legend: str

    def of(self, service: str) -> str:
        """The question about one service and all its processes, as Grafana would ask it."""
        chosen = {"service": service, "instance": ".+", "__rate_interval": WINDOW}
        return re.sub(r"\$(\w+)", lambda found: chosen[found[1]], self.expr)

    @property
    def services(self) -> tuple[str, ...]:
        """Of which services it is asked: of each that can be chosen, if it depends on that."""
        return SERVICES if "$service" in self.expr else SERVICES[:1]

    @property
    def may_be_empty(self) -> bool:
        """Whether it asks for something that is not there while nothing is wrong."""
        return any(name in self.expr for name in QUIET)


def questions() -> Iterator[Asked]:
    """All of them."""
    for file in sorted(HERE.glob("*.json")):
        for panel in json.loads(file.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                where = f"{file.stem}: {panel['title']}"
                yield Asked(where, target["expr"], target["legendFormat"])


def variables() -> Iterator[tuple[str, str]]:
    """What is asked for the choice of values: series, and the label of which they are."""
    for file in sorted(HERE.glob("*.json")):
        for variable in json.loads(file.read_text(encoding="utf-8"))["templating"]["list"]:
            if variable["type"] == "query":
                found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
                assert found is not None
                yield found[1], found[2]


def test_every_panel_of_every_dashboard_has_an_answer_while_a_city_is_at_work(
    server_directory: Path,
    postgres_server: PostgresServer,
    kafka_server: KafkaServer,
    prometheus_tools: PrometheusTools,
) -> None:
    home = server_directory / f"prometheus-{uuid4().hex[:8]}"
    with (
        running_city(
            server_directory,
            postgres_server,
            kafka_server.bootstrap,
            SPEED,
            CASEGRID_HEARTBEAT_SECONDS="1",
        ) as city,
        watching(city, prometheus_tools, home) as prometheus,
    ):
        assert not (wrong := asyncio.run(asked_at_work(city, prometheus))), "\n".join(wrong)
        for series, label in variables():
            for service in SERVICES:
                match = {"match[]": series.replace("$service", service)}
                assert ask(prometheus, f"label/{label}/values", match), f"{series} of {service}"


def test_a_request_of_the_dashboard_leads_to_its_trace(
    server_directory: Path,
    postgres_server: PostgresServer,
    kafka_server: KafkaServer,
    prometheus_tools: PrometheusTools,
) -> None:
    home = server_directory / f"exemplars-{uuid4().hex[:8]}"
    home.mkdir()
    with running_city(server_directory, postgres_server, kafka_server.bootstrap, SPEED) as city:
        url = city.stack.url("intake")
        scrape = {
            "job_name": "intake",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [url.removeprefix("http://")]}],
        }
        (home / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
        with prometheus_as_in_compose(prometheus_tools, home) as prometheus:
            asked = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            httpx.get(f"{url}/openapi.json", headers=asked, trust_env=False).raise_for_status()

            def traces() -> set[str]:
                found = prometheus.get(
                    "/api/v1/query_exemplars",
                    params={
                        "query": "casegrid_http_request_seconds_bucket",
                        "start": time.time() - 300,
                        "end": time.time() + 300,
                    },
                ).json()["data"]
                return {one["labels"]["trace_id"] for each in found for one in each["exemplars"]}

            eventually(traces, lambda found: TRACE in found, 60, 1)


@contextmanager
def prometheus_as_in_compose(tools: PrometheusTools, home: Path) -> Iterator[httpx.Client]:
    """A Prometheus of these settings, with what docker-compose.yml asks it to be able to do."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    features = [one for one in services["prometheus"]["command"] if "enable-feature" in one]
    port = free_port()
    command = [
        str(tools.prometheus),
        f"--config.file={home / 'prometheus.yml'}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *features,
    ]
    url = f"http://127.0.0.1:{port}"
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: is_ready(url), bool, 30)
        with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait(20)


def test_what_may_be_empty_is_asked_for() -> None:
    assert [name for name in QUIET if not any(name in one.expr for one in questions())] == []


async def asked_at_work(city: City, prometheus: Watching) -> list[str]:
    """Ask until each question had its answer once; what is wrong with those that never had."""
    left = [(one, service) for one in questions() for service in one.services]
    wrong: list[str] = []
    ends = time.monotonic() + SECONDS
    async with asyncio.TaskGroup() as group:
        work = group.create_task(at_work(city))
        while left and time.monotonic() < ends:
            await asyncio.sleep(PAUSE)
            found = {one: await asyncio.to_thread(problem, prometheus, *one) for one in left}
            left = [one for one, what in found.items() if what]
            wrong = [f"{what}: {one.where} [{service}]\n    {one.of(service)}"
                     for (one, service), what in found.items() if what]  # fmt: skip
        work.cancel()
    return wrong


async def at_work(city: City) -> None:
    """Residents, patrols and officers; the officers neglect a third."""
    secret, clock = city.stack.secret_file.read_text(), city.stack.promise_time.clock
    said = zip(samples(1, clock.now()), patrol_finds(1), strict=False)
    bodies = (body for two in said for body in two)
    async with (
        httpx.AsyncClient(base_url=city.stack.url("router"), timeout=30, trust_env=False) as desks,
        httpx.AsyncClient(base_url=city.stack.url("intake"), timeout=30, trust_env=False) as desk,
        asyncio.TaskGroup() as group,
    ):
        crew = Crew(desks, secret, clock, Habits(seed=1, rate=100, neglected=0.3))
        group.create_task(crew.work_on())
        group.create_task(submit(desk, bodies, A_SECOND, "seen", Submitted(), secret))
        group.create_task(asked_in_vain(city))


async def asked_in_vain(city: City) -> None:
    """Somebody asks each service for what is not there."""
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        while True:
            for service in SERVICES:
                await client.get(f"{city.stack.url(service)}/nothing")
            await asyncio.sleep(0.5)


def ask(prometheus: Watching, path: str, params: Mapping[str, str]) -> Any:
    """What Prometheus answers; a question that it does not understand is an error of ours."""
    answer = prometheus.http.get(f"/api/v1/{path}", params=params).json()
    assert answer["status"] == "success", f"{answer.get('error')}: {params}"
    return answer["data"]


def problem(prometheus: Watching, question: Asked, service: str) -> str | None:
    """What is wrong with an answer, if anything."""
    if unknown := named(question.expr) - exported(prometheus):
        return f"no service exports {', '.join(sorted(unknown))}"
    answer = ask(prometheus, "query", {"query": question.of(service)})["result"]
    values = [one for one in answer if not math.isnan(float(one["value"][1]))]
    if not values:
        return None if question.may_be_empty else f"no value among {len(answer)} series"
    labels = set(re.findall(r"{{(\w+)}}", question.legend))
    lacking = labels.difference(*(one["metric"] for one in values))
    return f"no label {', '.join(lacking)}" if lacking else None


def named(expr: str) -> set[str]:
    """The metrics that an expression names; what our rules record is asked for by its value."""
    bare = re.sub(r'"[^"]*"', "", expr)
    return set(re.findall(r"(?<![\w:])(?:casegrid|process)_\w+", bare))


PARTS: Final = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}
"""Under which names a metric has series, by its type: OpenMetrics tells a counter without any."""


def exported(prometheus: Watching) -> set[str]:
    """The metrics that the services say they have, whether or not there are series."""
    told = ask(prometheus, "metadata", {})
    return {
        f"{name}{part}"
        for name, (first, *_) in told.items()
        for part in ("", *PARTS.get(first["type"], ()))
    }
