"""The capacity page says what the kept figures say, by its formulas."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from bench.capacity import FIGURES, PAGE, ROOT, kept
from bench.capacity_page import (
    ASKED,
    ASKED_CORES,
    ASKED_GB,
    BASE_IS_FOR,
    EVENTS,
    FULL,
    LOADS,
    SERVICES,
    Asked,
    Load,
    by_part,
    later_event,
    needs,
    page,
    part_of,
)
from shared.events import Topic


def test_the_page_is_what_the_kept_figures_give() -> None:
    assert FIGURES.exists()
    assert PAGE.read_text() == page(kept()), "python -m bench capacity --page"


def test_cores_are_the_cost_of_each_contact_and_of_its_later_events() -> None:
    figures, load = kept(), Load("one", 30_000, "made up")
    assert load.contacts == pytest.approx(1.0)
    found = needs(load, figures)
    first, later = by_part(figures.petition.cpu_us), later_event(figures).cpu_us
    assert found.cores["router"] == pytest.approx(
        (first["router"] + (EVENTS - 2) * later["router"]) / 1e6
    )
    assert sum(found.cores.values()) > 0
    assert found.machine_cores == 2, "never fewer than two"


def test_twice_the_contacts_need_twice_the_disk_and_a_peak_needs_none() -> None:
    figures = kept()
    once, twice = (needs(Load("x", n, "made up"), figures) for n in (10_000, 20_000))
    assert twice.database_gb_year == pytest.approx(2 * once.database_gb_year)
    assert twice.kafka_gb == pytest.approx(2 * once.kafka_gb)
    peak = needs(Load("x", 10_000, "made up", peak=10), figures)
    assert peak.database_gb_year == once.database_gb_year
    assert peak.cores["router"] == pytest.approx(10 * once.cores["router"])


def test_what_generates_the_load_is_no_part_of_what_is_needed() -> None:
    assert part_of("generator") == part_of("watching") == ""
    assert part_of("postgres: router") == "postgres"
    assert part_of("intake-2") == "intake"


def test_all_that_is_measured_is_there() -> None:
    figures = kept()
    assert all(by_part(figures.petition.cpu_us).values())
    assert figures.petition.wal_bytes > 0
    assert figures.event.database_bytes > 0
    assert figures.petition.said_bytes[Topic.ROUTER] > 0
    assert {load.name for load in LOADS}


def test_a_later_event_costs_the_databases_of_all_four_services() -> None:
    figures = kept()
    later, router = later_event(figures), figures.event
    others = sum(
        us for name, us in figures.petition.cpu_us.items()
        if name in ("postgres: intake", "postgres: escalation", "postgres: analytics")
    )  # fmt: skip
    assert others > 0
    assert later.cpu_us["postgres"] >= by_part(router.cpu_us)["postgres"] + others
    assert later.wal_bytes > router.wal_bytes + figures.petition.wal_bytes / 2
    assert later.database_bytes > router.database_bytes
    assert later.said_bytes[Topic.ESCALATION] > 0


MANIFESTS = ROOT / "deploy" / "k8s" / "base"
GIB = 2**30 / 1e9


def asked_for(path: str, kind: str, *within: str) -> Asked:
    """What a manifest asks for, of one pod, and how many there are."""
    documents = yaml.safe_load_all((MANIFESTS / path).read_text())
    (one,) = [document for document in documents if document["kind"] == kind]
    spec = one["spec"]
    pods = spec.get("replicas") or spec.get("instances") or 0
    for name in within:
        spec = spec[int(name) if name.isdigit() else name]
    cores, memory = spec["resources"]["requests"].values()
    return Asked(pods, quantity(cores), quantity(memory))


def quantity(said: str) -> float:
    """Cores, or GiB."""
    unit = {"m": 1e-3, "Mi": 1 / 1024, "Gi": 1.0}
    digits = said.rstrip("miGM")
    return float(digits) * unit.get(said[len(digits) :], 1.0)


def test_the_manifests_ask_for_what_the_page_says_and_that_is_enough_for_whom_they_are_meant() -> (
    None
):
    process = asked_for("service/deployment.yaml", "Deployment", "template", "spec", "containers",
                        "0")  # fmt: skip
    scaled = yaml.safe_load((MANIFESTS / "service/scaling.yaml").read_text())["spec"]
    server = asked_for("service/database.yaml", "Cluster")
    broker = asked_for("kafka.yaml", "KafkaNodePool")
    each = scaled["minReplicaCount"]
    assert {
        "services": replace(process, pods=each * len(SERVICES)),
        "postgres": replace(server, pods=server.pods * len(SERVICES)),
        "kafka": broker,
    } == ASKED
    (load,) = [one for one in LOADS if one.name == BASE_IS_FOR]
    figures = kept()
    need = needs(load, figures)
    assert all(need.cores[name] / FULL <= each * process.cores for name in SERVICES)
    assert all(figures.memory_mb[name] <= process.gib * GIB * 1e3 for name in SERVICES)
    # One server of the four could hold the hot rows of all.
    assert need.cores["postgres"] / FULL <= server.cores
    assert need.hot_gb + figures.memory_mb["postgres"] / 1e3 <= server.gib * GIB
    assert need.cores["kafka"] / FULL <= broker.cores
    assert figures.memory_mb["kafka"] / 1e3 <= broker.gib * GIB
    assert need.cores_with_copies >= ASKED_CORES
    assert need.gb_with_copies >= ASKED_GB
    worse = needs(LOADS[LOADS.index(load) + 1], figures)
    assert worse.hot_gb > server.gib * GIB, "the next load is beyond it, as the page says"
