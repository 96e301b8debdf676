"""What the running services export: linted, bounded by their lists, no more with 100,000 cases."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from uuid import uuid4

import asyncpg
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.environment import SERVICES
from services.metrics_page import LISTS, labels_of, metrics_of
from shared.telemetry import Bound
from tests.journeys.city import GRID, City, eventually
from tests.tools import PrometheusTools

MOST_SERIES = 1_000
"""The budget of one process: what Prometheus keeps of it, with ten cases or ten million."""
CASES = 100_000


def page(city: City, service: str) -> str:
    """What Prometheus reads of a service."""
    return city.http.get(city.stack.url(service) + "/metrics").text


def families(city: City, service: str) -> dict[str, Metric]:
    """The metrics of a service by name."""
    found = text_string_to_metric_families(page(city, service))
    return {family.name: family for family in found}


def series(city: City) -> dict[str, set[tuple[str, tuple[tuple[str, str], ...]]]]:
    """Every series of every service, but for weather, which comes when it comes."""
    return {
        service: {
            (sample.name, tuple(sorted(sample.labels.items())))
            for family in families(city, service).values()
            for sample in family.samples
            if family.name != "casegrid_weather"
        }
        for service in SERVICES
    }


@pytest.fixture(scope="module")
def busy_city(beating_city: City) -> City:
    """A city in which something of each kind happened."""
    petition = beating_city.submit(text="垃圾三天没人清理", category="E0102", place={"code": GRID})
    beating_city.submit(text="一件小事")
    case_id = beating_city.case(petition["id"])["id"]
    for n in range(40):
        # What nobody can make a series of: ids, addresses, methods and statuses made up.
        beating_city.get("router", f"/cases/{uuid4()}")
        for service in SERVICES:
            beating_city.http.get(f"{beating_city.stack.url(service)}/made/up/{n}")
            beating_city.http.request("PROPFIND", f"{beating_city.stack.url(service)}/livez")
    answer = beating_city.command(case_id, {"command": "sign"}, "grid_worker", GRID)
    assert answer.status_code == 200, answer.text
    eventually(lambda: beating_city.receipt(petition)["where"]["stage"], lambda s: s == "signed")
    return beating_city


@pytest.mark.parametrize("service", SERVICES)
def test_promtool_finds_no_fault(
    busy_city: City, service: str, prometheus_tools: PrometheusTools
) -> None:
    linted = subprocess.run(
        [prometheus_tools.promtool, "check", "metrics"],
        input=page(busy_city, service), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_exported_is_what_the_lists_say(busy_city: City, service: str) -> None:
    found = families(busy_city, service)
    lists = [LISTS["every service"], LISTS[service]]
    listed = {metric._name for module in lists for metric in metrics_of(module)}
    assert {name for name in found if name.startswith("casegrid_")} == listed
    for module in lists:
        exported = [found[metric._name] for metric in metrics_of(module)]
        for label, bound in labels_of(module).items():
            values = values_of(label, exported)
            if isinstance(bound, Bound):
                assert len(values) <= bound.most, f"{label}: {sorted(values)}"
            else:
                assert values <= set(bound), label


def values_of(label: str, metrics: Iterable[Metric]) -> set[str]:
    """Everything that a label says in these metrics."""
    samples = [sample for metric in metrics for sample in metric.samples]
    return {sample.labels[label] for sample in samples if label in sample.labels}


COPIES: Mapping[str, Mapping[str, str]] = {
    "intake": {
        "petitions": "'id', t.id, 'number', t.n, 'idempotency_key', null",
        "receipts": "'petition_id', t.id",
    },
    "router": {"cases": "'case_id', t.id, 'number', t.n"},
    "escalation": {"armed": "'case_id', t.id, 'next_at', null"},
    "analytics": {"contributions": "'case_id', t.id"},
}
"""What differs between the rows of two cases in each table."""
COUNTS: Mapping[str, tuple[str, ...]] = {
    "intake": (),
    "router": (
        "select 'open', tier||'/'||track||'/'||stage, $n / 100 from unnest('{grid,street,city}'::"
        "text[]) tier, unnest('{service,consult}'::text[]) track, unnest('{assigned,signed}'::"
        "text[]) stage",
        "select 'queue', n || '/signed', 1 from generate_series(1, $n) n",
        "select 'waiting', 'pause/grid/service', $n",
    ),
    "escalation": (
        "select 'open', 'grid', $n",
        "select 'due', lpad(n::text, 10, '0') || '/grid/service', 1"
        " from generate_series(1, $n / 10) n",
        "select 'notices', 'reminder', $n",
    ),
    "analytics": (),
}
"""How the counts of these cases stand: many queues, many minutes in which something is due."""


def grow(city: City, n: int) -> None:
    """So many cases more, in all tables and counts."""
    for service in SERVICES:
        asyncio.run(grow_service(city.stack.database_url(service), service, n))


async def grow_service(dsn: str, service: str, n: int) -> None:
    """The same of one service, behind its back."""
    connection = await asyncpg.connect(dsn, command_timeout=60)
    for table, differs in COPIES[service].items():
        names = await connection.fetchrow(
            """
            select string_agg(quote_ident(attname), ', '),
                   string_agg('copy.' || quote_ident(attname), ', ') from pg_attribute
            where attrelid = $1::text::regclass and attnum > 0 and not attisdropped
                and attgenerated = ''
            """,
            table,
        )
        assert names is not None
        columns, copied = names
        await connection.execute(
            f"""
            insert into {table} ({columns}) select {copied}
            from (select to_jsonb(t) as doc from {table} t limit 1) one,
                 (select gen_random_uuid() as id, gen_random_uuid()::text as n
                  from generate_series(1, {n})) t,
                 jsonb_populate_record(null::{table}, doc || jsonb_build_object({differs})) copy
            """
        )
    for counted in COUNTS[service]:
        await connection.execute(
            f"insert into tally_deltas (name, key, n) {counted.replace('$n', str(n))}"
        )
    await connection.close()


def test_a_hundred_thousand_cases_make_no_series_more(busy_city: City) -> None:
    grow(busy_city, 1_000)
    eventually(lambda: busy_city.metric("router", "casegrid_router_open_cases"), lambda n: n > 100)
    eventually(
        lambda: busy_city.metric("escalation", "casegrid_escalation_overdue_cases"),
        lambda n: n >= 100,
    )
    series(busy_city)  # to be asked is a request of its own, counted from the next time on
    time.sleep(3)
    before = series(busy_city)
    grow(busy_city, CASES)
    for service, name, least in (
        ("router", "casegrid_router_open_cases", CASES / 100),
        ("router", "casegrid_router_waiting_cases", CASES),
        ("escalation", "casegrid_escalation_open_cases", CASES),
        ("escalation", "casegrid_escalation_overdue_cases", CASES / 10),
    ):
        eventually(
            lambda service=service, name=name: busy_city.metric(service, name),  # type: ignore[misc]
            lambda n, least=least: n >= least,  # type: ignore[misc]
            seconds=60,
        )
    after = series(busy_city)
    for service in SERVICES:
        more = Counter(name for name, _ in after[service] - before[service])
        assert not more, f"{service}: {more}"
        assert len(after[service]) < MOST_SERIES, service
