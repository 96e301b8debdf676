"""Each figure of the lists moves: where a little of everything happens, or in a test of its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.environment import SERVICES
from services.metrics_page import LISTS, metrics_of
from tests.journeys.city import GRID, STREET, City, eventually, rows
from tests.journeys.conftest import running_city
from tests.journeys.test_metrics import families
from tests.journeys.test_parked import message, put, received
from tests.servers import KafkaServer, PostgresServer

ROOT = Path(__file__).parents[2]

ELSEWHERE: dict[str, str] = {}
"""What this city is spared, and the test in which it moves."""


@pytest.fixture(scope="module")
def lived(
    server_directory: Path, postgres_server: PostgresServer, kafka_server: KafkaServer
) -> Iterator[City]:
    """Where cases climb, an office works, records are spoilt and somebody asks for trouble."""
    with running_city(
        server_directory,
        postgres_server,
        kafka_server.bootstrap,
        speed=28_800,
        CASEGRID_HEARTBEAT_SECONDS="0.5",
    ) as city:
        for category, place in (("E0102", GRID), ("H01", GRID), ("E0110", STREET)):
            one = city.submit(category=category, place={"code": place})
            city.case(one["id"])
        city.submit(text="一件小事")
        spoilt = uuid4()
        asyncio.run(put(city, spoilt, message(spoilt, 1, b"{")))
        asyncio.run(put(city, spoilt, message(spoilt, 2, received())))
        waiting = f"select 1 from parked where key = '{spoilt}'"
        eventually(lambda: asyncio.run(rows(city, "router", waiting)), lambda found: len(found) > 1)
        yield city


def moved(city: City) -> set[str]:
    """The figures that any process says something of, but for nothing."""
    return {
        name
        for service in SERVICES
        for name, family in families(city, service).items()
        if any(sample.value and not math.isnan(sample.value) for sample in family.samples)
    }


def test_each_figure_moves(lived: City) -> None:
    listed = {metric._name for module in LISTS.values() for metric in metrics_of(module)}
    wanted = listed - ELSEWHERE.keys()
    eventually(lambda: wanted - moved(lived), lambda left: left == set(), seconds=60)


def test_what_moves_elsewhere_has_its_test() -> None:
    for name, test in ELSEWHERE.items():
        file, _, function = test.partition("::")
        text = (ROOT / file).read_text()
        assert f"def {function}(" in text, name
