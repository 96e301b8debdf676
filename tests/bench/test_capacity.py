"""The capacity page says what the kept figures say, by its formulas."""

from __future__ import annotations

import pytest

from bench.capacity import FIGURES, PAGE, kept
from bench.capacity_page import EVENTS, LOADS, Load, by_part, later_event, needs, page, part_of
from shared.events import Topic


def test_the_page_is_what_the_kept_figures_give() -> None:
    assert FIGURES.exists()
    assert PAGE.read_text() == page(kept()), "python -m bench capacity --page"


def test_cores_are_the_cost_of_each_contact_and_of_its_later_events() -> None:
    figures, load = kept(), Load("one", 30_000, "made up")
    assert load.contacts == pytest.approx(1.0)
    found = needs(load, figures)
    first, later = by_part(figures.petition.cpu_us), later_event(figures)
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
