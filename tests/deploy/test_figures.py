"""What the summary says is what the services' metrics say."""

import pytest

from deploy.local.figures import Figures, Reading, figures, quantile
from deploy.local.summary import speed_words
from shared.scraped import Page

INTAKE = """
# TYPE casegrid_intake_accepted counter
casegrid_intake_accepted_total {accepted}
# TYPE casegrid_events_said counter
casegrid_events_said_total{{topic="intake.events"}} {accepted}
# TYPE casegrid_intake_accept_to_routed_seconds histogram
casegrid_intake_accept_to_routed_seconds_bucket{{le="0.1"}} {fast}
casegrid_intake_accept_to_routed_seconds_bucket{{le="0.2"}} {accepted}
casegrid_intake_accept_to_routed_seconds_bucket{{le="+Inf"}} {accepted}
casegrid_intake_accept_to_routed_seconds_sum 1
casegrid_intake_accept_to_routed_seconds_count {accepted}
# TYPE casegrid_ready gauge
casegrid_ready 1
# TYPE casegrid_consumer_lag_seconds gauge
casegrid_consumer_lag_seconds{{topic="router.events"}} 0.5
casegrid_consumer_lag_seconds{{topic="policy.events"}} 2.5
"""
ROUTER = """
# TYPE casegrid_router_open_cases gauge
casegrid_router_open_cases{tier="grid",track="service",stage="assigned"} 3
casegrid_router_open_cases{tier="grid",track="consult",stage="assigned"} 2
casegrid_router_open_cases{tier="grid",track="service",stage="signed"} 1
casegrid_router_open_cases{tier="city",track="service",stage="registered"} 4
# TYPE casegrid_router_promoted_cases gauge
casegrid_router_promoted_cases{tier="grid",track="service"} 5
casegrid_router_promoted_cases{tier="grid",track="consult"} 2
"""
ESCALATION = """
# TYPE casegrid_escalation_overdue_cases gauge
casegrid_escalation_overdue_cases{tier="grid",track="service"} 1
casegrid_escalation_overdue_cases{tier="grid",track="unknown"} 1
casegrid_escalation_overdue_cases{tier="none",track="consult"} 1
# TYPE casegrid_escalation_orders counter
casegrid_escalation_orders_total{action="supervise",tier="district"} 5
casegrid_escalation_orders_total{action="supervise",tier="street"} 1
"""


def reading(at: float, accepted: int, fast: int) -> Reading:
    intake = INTAKE.format(accepted=accepted, fast=fast)
    return Reading(
        at, {"intake": Page(intake), "router": Page(ROUTER), "escalation": Page(ESCALATION)}
    )


def seen() -> Figures:
    return figures(reading(10.0, 100, 60), reading(20.0, 150, 85))


def test_queues_are_told_by_tier_and_the_city_desk_has_the_cases_without_one() -> None:
    rows = {row.tier: row for row in seen().tiers}
    assert (rows["grid"].open, rows["grid"].unsigned, rows["grid"].signed) == (6, 5, 1)
    assert (rows["grid"].overdue, rows["grid"].promoted) == (2, 7)
    assert (rows["city"].open, rows["city"].waiting, rows["city"].overdue) == (4, 4, 1)
    assert rows["street"].open == 0
    assert (seen().open, seen().overdue, seen().orders["supervise"]) == (10, 3, 6)


def test_rates_and_waiting_times_are_of_the_time_between_two_readings() -> None:
    now = seen()
    assert now.accepted == 5.0
    assert now.events == {
        "intake.events": 5.0,
        "router.events": 0.0,
        "escalation.events": 0.0,
        "analytics.events": 0.0,
        "policy.events": 0.0,
    }
    # 25 of the 50 under 0.1 s, the others spread up to 0.2 s
    assert now.routed[0.5] == pytest.approx(0.1)
    assert now.routed[0.99] == pytest.approx(0.198)


def test_a_service_that_was_started_again_counts_no_negative_rate() -> None:
    assert figures(reading(10.0, 100, 60), reading(20.0, 3, 1)).accepted == 0.0


def test_a_silent_service_is_said_to_be_silent() -> None:
    rows = {row.name: row for row in seen().services}
    assert rows["intake"].ready == 1
    assert rows["intake"].lag_seconds == 2.5
    assert rows["analytics"].ready is None


@pytest.mark.parametrize(
    ("buckets", "median"),
    [
        pytest.param([], None, id="nothing was measured"),
        pytest.param([(1.0, 0.0), (float("inf"), 0.0)], None, id="nothing fell into a bucket"),
        pytest.param([(1.0, 0.0), (2.0, 4.0), (float("inf"), 4.0)], 1.5, id="within a bucket"),
        pytest.param([(1.0, 1.0), (float("inf"), 9.0)], 1.0, id="above the last bound"),
    ],
)
def test_quantile(buckets: list[tuple[float, float]], median: float | None) -> None:
    assert quantile(0.5, buckets) == median


@pytest.mark.parametrize(
    ("speed", "words"),
    [
        (720, "1 hour of promise time passes in 5 seconds"),
        (3600, "1 hour of promise time passes in 1 second"),
        (10, "1 hour of promise time passes in 6 minutes"),
        (1, "promises run in real time"),
    ],
)
def test_the_speed_is_told_in_words(speed: float, words: str) -> None:
    assert speed_words(speed) == words


def test_what_is_not_known_is_left_out() -> None:
    page = Page('# TYPE a gauge\na{x="1"} NaN\na{x="2"} 3\n# TYPE b gauge\nb NaN\n')
    assert (page.total("a"), page.largest("a"), page.total("b")) == (3, 3, 0)
