"""Each figure of the lists moves: where a little of everything happens, or in a test of its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from itertools import count
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

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]

FIGURES = "tests/escalation/test_figures.py::test_the_gauges_are_exact_after_random_work"
SAYS = "tests/analytics/test_api.py::test_the_gauges_show_what_the_counters_say"
PUSHED = "tests/escalation/test_pushing.py::"
ROLLED_BACK = "tests/router/test_handlers.py::test_what_is_rolled_back_is_counted_nowhere"
GAUGES = "tests/router/test_handlers.py::the_stuck_queues_are_those_of_the_cases"
RECOUNTED = "tests/router/test_recount.py::test_what_an_older_version_left_is_set_right"
STRANGERS = "tests/analytics/test_strangers.py::test_a_stranger_is_no_difference_and_both_are_named"
UNKNOWN = "tests/router/test_recount.py::test_a_case_that_is_asked_for_and_is_not_here_is_counted"
UNREAD = "tests/intake/test_overload.py::test_what_lies_unread_stops_the_next_and_nobody_who_asks"
EXPIRED = (
    "tests/shared/test_positions.py"
    "::test_records_that_expired_unread_stop_their_partition_and_are_counted"
)

ELSEWHERE: dict[str, str] = {
    "casegrid_analytics_cases_closed": SAYS,
    "casegrid_analytics_outdated_snapshots":
        "tests/analytics/test_cases.py::test_snapshots_that_are_outdated_are_counted_after_the_commit",
    "casegrid_analytics_projection_age_seconds": SAYS,
    "casegrid_analytics_solved_in_grid_basis_points": SAYS,
    "casegrid_batches_fenced":
        "tests/shared/test_consume.py::test_of_two_that_believe_to_be_at_the_same_place_one_is_fenced",
    "casegrid_census_differences": STRANGERS,
    "casegrid_census_strangers": STRANGERS,
    "casegrid_escalation_due_within_hour": FIGURES,
    "casegrid_escalation_notices_not_pushed":
        PUSHED + "test_what_did_not_arrive_is_tried_again_later_and_in_the_end_shown",
    "casegrid_escalation_notices_pushed":
        PUSHED + "test_a_notice_is_posted_once_under_its_id_and_says_no_more_than_the_list",
    "casegrid_escalation_notices_to_push":
        PUSHED + "test_what_did_not_arrive_is_tried_again_later_and_in_the_end_shown",
    "casegrid_escalation_orders_said_again":
        "tests/escalation/test_orders.py::said_again",
    "casegrid_escalation_orders_oldest_seconds": FIGURES,
    "casegrid_escalation_orders_unanswered": FIGURES,
    "casegrid_foreign_clock_events": (
        "tests/shared/test_consume.py"
        "::test_events_of_another_promise_clock_are_heard_and_counted"
    ),
    "casegrid_intake_accept_queue":
        "tests/intake/test_group_commit.py::test_a_full_queue_is_a_503",
    "casegrid_intake_carried_rate":
        "tests/intake/test_overload.py::test_the_door_learns_only_from_groups_that_were_full",
    "casegrid_intake_refused": "tests/intake/test_overload.py::refused",
    "casegrid_intake_reply_seconds":
        "tests/intake/test_receipts.py::test_how_long_a_reply_took_is_counted_once",
    "casegrid_intake_said_again": "tests/simulation/test_census.py::said_again",
    "casegrid_intake_unread": UNREAD,
    "casegrid_intake_unread_age_seconds": UNREAD,
    "casegrid_intake_unrouted_oldest_seconds":
        "tests/intake/test_unrouted.py::test_the_gauge_says_how_long_it_has_waited",
    "casegrid_intake_unstorable":
        "tests/intake/test_group_commit.py::test_what_is_stored_or_replayed_is_counted_after_the_commit",
    "casegrid_lanes_refused":
        "tests/shared/test_relay.py::test_a_refused_lane_is_told_until_it_is_carried_again",
    "casegrid_records_expired": EXPIRED,
    "casegrid_records_missed": EXPIRED,
    "casegrid_router_census_unknown": UNKNOWN,
    "casegrid_router_duplicates": ROLLED_BACK,
    "casegrid_router_orders_duplicate": ROLLED_BACK,
    "casegrid_router_orders_stale": ROLLED_BACK,
    "casegrid_router_orders_unknown": ROLLED_BACK,
    "casegrid_router_republished": UNKNOWN,
    "casegrid_router_waiting_cases": GAUGES,
    "casegrid_router_waiting_mended": RECOUNTED,
    "casegrid_router_waiting_oldest_seconds": GAUGES,
    "casegrid_router_waiting_recounted": RECOUNTED,
    "casegrid_stopped_partitions": EXPIRED,
    "casegrid_weather":
        "tests/shared/test_consume.py::test_weather_is_waited_out_and_nothing_is_heard_twice",
}  # fmt: skip
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
            for _ in range(2):
                one = city.submit(category, category=category, place={"code": place})
            city.case(one["id"])
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
    left, looks = listed - ELSEWHERE.keys(), count()

    def still() -> set[str]:
        # Some move for a moment of a case's life alone, which a busy machine may miss.
        if next(looks) % 10 == 9:
            lived.submit("E0102", category="E0102", place={"code": GRID})
        left.difference_update(moved(lived))
        return left

    # The census says its first word a minute after the start.
    eventually(still, lambda names: not names, seconds=200, pause=0.2)


def test_what_moves_elsewhere_has_its_test() -> None:
    for name, test in ELSEWHERE.items():
        file, _, function = test.partition("::")
        text = (ROOT / file).read_text()
        assert f"def {function}(" in text, name
