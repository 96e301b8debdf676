"""The broker is away, the router is killed: nothing is lost, nothing happens twice."""

import asyncio
import threading
import time

import httpx
import psutil
import pytest

from deploy.local.environment import SERVICES
from deploy.local.kafka import Kafka
from tests.journeys.city import GRID, City, eventually, rows

DOWN_SECONDS = 20
"""Ten minutes are `make chaos`."""
STOP_SECONDS = 20

pytestmark = pytest.mark.timeout(300)


def send_for(city: City, seconds: float, pause: float) -> tuple[list[str], list[int]]:
    """Send petitions at a steady pace; the ids accepted, and every other answer."""
    ids: list[str] = []
    refused: list[int] = []
    end = time.monotonic() + seconds
    with httpx.Client(timeout=10, trust_env=False) as client:
        while time.monotonic() < end:
            body = {"kind": "help", "channel": "app", "text": "停暖", "category": "P0105",
                    "place": {"code": GRID}}  # fmt: skip
            answer = client.post(city.stack.url("intake") + "/petitions", json=body)
            if answer.status_code == 202:
                ids.append(answer.json()["id"])
            else:
                refused.append(answer.status_code)
            time.sleep(pause)
    return ids, refused


def routed_once(city: City, ids: list[str]) -> bool:
    """Whether each of these is one case with one opening, armed and counted once."""
    wanted = "', '".join(ids)
    opened = asyncio.run(
        rows(
            city,
            "router",
            "select case_id, count(*) as n from history"
            f" where event = 'opened' and case_id in ('{wanted}') group by 1",
        )
    )
    armed = asyncio.run(
        rows(city, "escalation", f"select 1 from armed where case_id in ('{wanted}')")
    )
    counted = asyncio.run(
        rows(city, "analytics", f"select 1 from contributions where case_id in ('{wanted}')")
    )
    assert all(row["n"] == 1 for row in opened)
    return len(opened) == len(armed) == len(counted) == len(ids)


def told_to_end(city: City) -> dict[str, int | None]:
    """SIGTERM to every service at once; how each ended. All of them must, within 20 seconds."""
    processes = {name: psutil.Process(city.stack.pids()[name][0]) for name in SERVICES}
    end = time.monotonic() + STOP_SECONDS
    for process in processes.values():
        process.terminate()
    return {
        name: process.wait(max(0.0, end - time.monotonic())) for name, process in processes.items()
    }


def test_petitions_are_taken_while_kafka_is_down_and_routed_when_it_is_back(
    city_with_own_kafka: tuple[City, Kafka],
) -> None:
    city, broker = city_with_own_kafka
    before, _ = send_for(city, 1, 0.02)
    eventually(lambda: routed_once(city, before), bool)

    broker.stop()
    during, refused = send_for(city, DOWN_SECONDS, 0.1)
    assert refused == []
    assert len(during) > DOWN_SECONDS
    assert city.http.get(city.stack.url("intake") + "/livez").status_code == 200
    assert city.http.get(city.stack.url("intake") + "/readyz").json()["status"] == "degraded"
    eventually(lambda: city.metric("intake", "casegrid_outbox_depth"), lambda n: n >= len(during))
    # Besides, intake counts for the census what it has said, and its heart beats.
    of_petitions = "select 1 from outbox where key !~ '^(census|heartbeat)/'"
    assert len(asyncio.run(rows(city, "intake", of_petitions))) == len(during)

    assert told_to_end(city) == dict.fromkeys(SERVICES, 0)
    for service in SERVICES:
        city.stack.start_service(service)
    late, refused = send_for(city, 2, 0.1)
    assert refused == []
    during += late

    broker.start()
    eventually(lambda: routed_once(city, during), bool, seconds=60, pause=0.5)
    assert eventually(
        lambda: city.http.get(city.stack.url("intake") + "/readyz").json()["status"],
        lambda status: status == "ready",
    )


def test_the_router_is_killed_in_the_middle_and_nothing_is_lost_or_doubled(city: City) -> None:
    sent: list[str] = []

    def send() -> None:
        ids, refused = send_for(city, 12, 0.005)
        assert refused == []
        sent.extend(ids)

    load = threading.Thread(target=send)
    load.start()
    for _ in range(3):
        time.sleep(2)
        city.stack.kill_service("router")
        city.stack.start_service("router")
    load.join()
    assert len(sent) > 300
    eventually(lambda: routed_once(city, sent), bool, seconds=60, pause=0.5)
    assert asyncio.run(rows(city, "router", "select 1 from parked")) == []
    gaps = asyncio.run(
        rows(city, "router", "select case_id from history group by case_id, epoch"
                             " having max(seq) <> count(*)")
    )  # fmt: skip
    assert gaps == []
