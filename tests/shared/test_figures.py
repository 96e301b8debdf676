"""What every service measures of itself moves with what it measures."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from math import isnan, nan

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from shared import census, outbox, telemetry
from shared.clock import wall
from shared.events import Topic
from shared.http import create_app
from shared.postgres import Pool, open_pool, transaction
from shared.service import Process, timing
from shared.service.lag import Lag
from shared.service.timing import fold, watch_loop
from shared.settings import Settings
from shared.telemetry import PARTITION_LAG_SECONDS, show_partitions
from tests.shared.listener.__main__ import SERVICE
from tests.shared.sayings import ONE, TWO, saying


def shown(name: str, **labels: str) -> float:
    """What a metric shows; 0 of a series that is not there yet."""
    return REGISTRY.get_sample_value(f"casegrid_{name}", labels) or 0.0


@pytest.fixture
def process(dsn: str, pool: Pool) -> Process:
    """A process of the listener that needs no broker."""
    settings = Settings.model_validate({"database_url": dsn})
    return Process(SERVICE, settings, settings.clock(), pool)


@pytest.fixture
def app(process: Process) -> httpx.AsyncClient:
    """Asks the listener over HTTP, without a server in between."""
    transport = httpx.ASGITransport(create_app(process, SERVICE.routes), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://listener")


async def test_each_route_counts_its_answers_errors_and_times(app: httpx.AsyncClient) -> None:
    asked = (
        ("GET", "/heard", "/heard", "200"),
        ("GET", "/fail/bug/x", "/fail/{how}/{said}", "500"),
        ("GET", "/made/up", "(none)", "404"),
    )
    for method, path, route, status in asked:
        labels = {"route": route, "method": method, "status": status}
        answers = shown("http_requests_total", **labels)
        times = shown("http_request_seconds_count", route=route)
        assert (await app.request(method, path)).status_code == int(status)
        assert shown("http_requests_total", **labels) == answers + 1
        assert shown("http_request_seconds_count", route=route) == times + 1
    assert shown("http_requests_under_way") == 0


async def test_a_method_that_is_made_up_is_no_series(app: httpx.AsyncClient) -> None:
    labels = {"method": "(other)", "status": "405"}
    before = sum(shown("http_requests_total", route=one, **labels) for one in ("/heard", "(none)"))
    await app.request("PROPFIND", "/heard")
    after = sum(shown("http_requests_total", route=one, **labels) for one in ("/heard", "(none)"))
    assert after == before + 1


async def test_who_asks_for_openmetrics_finds_a_trace_to_look_up(app: httpx.AsyncClient) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    await app.get("/heard", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    plain = await app.get("/metrics")
    assert "trace_id" not in plain.text
    asked = await app.get(
        "/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"}
    )
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    read = text_string_to_metric_families(asked.text)  # type: ignore[no-untyped-call]
    families = {one.name: one for one in read}
    found = {
        sample.exemplar.labels["trace_id"]
        for sample in families["casegrid_http_request_seconds"].samples
        if sample.labels["route"] == "/heard" and sample.exemplar
    }
    assert trace in found


async def test_the_outbox_shows_its_depth_and_the_age_of_its_oldest(process: Process) -> None:
    async with transaction(process.pool) as tx:
        await outbox.append(tx, [saying(ONE, 1), saying(TWO, 1)])
        await tx.execute(
            "update outbox set said_at = said_at - interval '90 s' where key = $1", ONE
        )
    await fold(process)
    assert shown("outbox_depth") == 2
    assert shown("outbox_age_seconds") == pytest.approx(90, abs=30)
    async with transaction(process.pool) as tx:
        await tx.execute("delete from outbox")
    await fold(process)
    assert (shown("outbox_depth"), shown("outbox_age_seconds")) == (0, 0)


async def test_what_cannot_be_measured_is_not_shown_as_it_was(process: Process) -> None:
    await fold(process)
    assert shown("outbox_age_seconds") == shown("parked") == 0
    await process.pool.close()
    with pytest.raises(asyncpg.InterfaceError):
        await fold(process)
    for name in ("outbox_depth", "outbox_age_seconds", "parked", "clock_skew_seconds"):
        assert isnan(shown(name))


async def test_the_census_shows_how_old_its_last_walk_is_or_how_long_the_first_takes(
    process: Process,
) -> None:
    async def age(walk: str) -> float:
        async with transaction(process.pool) as tx:
            await tx.execute(walk)
            await census.show_age(tx)
        return shown("census_walk_age_seconds")

    telemetry.CENSUS_AGE.set_function(lambda: nan)
    assert isnan(await age("select 1")), "it has not begun"
    begun = await age("update census set begun_at = clock_timestamp() - interval '4 h'")
    assert begun == pytest.approx(4 * 3600, abs=30)
    done = await age("update census set done_at = clock_timestamp() - interval '1 h'")
    assert done == pytest.approx(3600, abs=30)


async def test_the_pool_shows_what_is_in_use_and_what_may_be(
    process: Process, app: httpx.AsyncClient
) -> None:
    async with process.pool.acquire(), process.pool.acquire():
        await app.get("/metrics")
        assert shown("pool_in_use") >= 2
        assert shown("pool_size") <= shown("pool_limit") == process.pool.get_max_size()
    await fold(process)
    assert abs(shown("clock_skew_seconds")) < 5


async def test_a_clock_that_is_stepped_is_told_by_the_seconds_and_makes_it_degraded(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step, well in ((3600, False), (-3600, False), (-1, True), (2.5, False), (0, True)):
        monkeypatch.setattr(timing, "wall", lambda step=step: wall() + timedelta(seconds=step))
        await fold(process)
        assert shown("clock_skew_seconds") == pytest.approx(-step, abs=0.4)
        assert ("skew" not in process.health.reasons) is well


async def test_whoever_waits_for_a_connection_is_measured(dsn: str) -> None:
    before = shown("pool_wait_seconds_sum"), shown("pool_wait_seconds_count")
    async with open_pool(dsn, 1, 2_000, "test") as pool:
        async with pool.acquire():
            with pytest.raises(TimeoutError):
                async with pool.acquire(timeout=0.3):
                    pass
        async with transaction(pool) as tx:
            await tx.execute("select 1")
    seconds, times = (
        shown(name) - was
        for name, was in zip(("pool_wait_seconds_sum", "pool_wait_seconds_count"), before,
                             strict=True)
    )  # fmt: skip
    assert times == 3
    assert 0.3 <= seconds < 30


async def test_a_loop_that_is_blocked_now_and_then_is_seen_though_it_is_well_when_asked(
    process: Process,
) -> None:
    slow = shown("loop_lag_seconds_count") - shown("loop_lag_seconds_bucket", le="0.25")
    watching = asyncio.create_task(watch_loop(process))
    await asyncio.sleep(0.1)
    time.sleep(1)  # noqa: ASYNC251 (this is the fault)
    await asyncio.sleep(1.2)
    watching.cancel()
    now = shown("loop_lag_seconds_count") - shown("loop_lag_seconds_bucket", le="0.25")
    assert now > slow


def test_a_partition_that_is_anothers_now_is_not_shown_any_more() -> None:
    at = wall()
    lag = Lag(at)
    lag.given([0, 1], at)
    topic = Topic.INTAKE
    show_partitions(PARTITION_LAG_SECONDS, topic, lag.ages(at + timedelta(seconds=7)))
    assert shown("partition_lag_seconds", topic=topic, partition="1") == 7
    lag.given([0], at)
    show_partitions(PARTITION_LAG_SECONDS, topic, lag.ages(at + timedelta(seconds=9)))
    assert shown("partition_lag_seconds", topic=topic, partition="0") == 9
    gone = {"topic": topic, "partition": "1"}
    assert REGISTRY.get_sample_value("casegrid_partition_lag_seconds", gone) is None
