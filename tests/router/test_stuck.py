"""The stuck queues by name: each has an owner, a promise of the policy, and metrics that exist."""

from __future__ import annotations

from types import ModuleType
from typing import get_args

import pytest
from prometheus_client import Counter, Gauge

from services.escalation.handlers import figures
from services.intake.handlers import loops
from services.router.decisions.case import Case
from services.router.decisions.policy import Policy, Role
from services.router.decisions.stuck import STUCK_QUEUES, WAITS_FOR, StuckQueue, waits
from services.router.handlers import measures
from shared import census, telemetry
from shared.divisions import CITY
from tests.router.stories import (
    DISTRICT,
    FIRE,
    HOUR,
    MINUTE,
    NEXT_GRID,
    NOON,
    RUBBISH,
    WISH,
    command,
    done,
    opened,
    order,
    resolved,
    sure,
    unclear,
)

MAKERS: dict[str, tuple[ModuleType, ...]] = {
    "intake": (loops,),
    "router": (measures,),
    "escalation": (figures,),
    "each service": (telemetry, census),
}


def where(case: Case) -> list[tuple[str, str, float]]:
    """The queues of a case, its tier there, and the minutes since NOON when it came in."""
    return [(w.queue, w.tier, (w.since - NOON) / MINUTE) for w in waits(case)]


def at_the_arbiter(case: Case) -> Case:
    """The case after two that had it gave it back."""
    case = done(done(case, "return"), command("reroute", division=NEXT_GRID, reason="competence"))
    return done(case, "return", now=NOON + 9 * MINUTE)


def test_what_waits_for_a_dispatcher_waits_at_the_desk_that_has_it() -> None:
    assert where(opened(unclear())) == [("dispatcher", "grid", 0)]
    assert where(opened(unclear(CITY))) == [("city_desk", CITY, 0)]
    assert where(opened(unclear(DISTRICT))) == [("dispatcher", "district", 0)]
    assert where(opened(sure(FIRE))) == [("hand_over", "grid", 0)]


def test_who_gives_it_back_begins_a_new_wait() -> None:
    case = opened(sure(RUBBISH))
    assert where(case) == []
    back = done(case, "return", now=NOON + 7 * MINUTE)
    assert where(back) == [("dispatcher", "community", 7)]
    assert where(at_the_arbiter(opened(sure(WISH)))) == [("arbiter", "community", 9)]


def test_what_was_asked_of_the_head_waits_for_him() -> None:
    asked = done(opened(sure(RUBBISH)), "extend", now=NOON + 3 * MINUTE)
    assert where(asked) == [("more_time", "grid", 3)]
    assert where(done(asked, "grant_extension", now=NOON + HOUR)) == []
    assert where(done(asked, "decline_extension", now=NOON + HOUR)) == []


def test_what_stands_still_waits_until_its_promises_run_again() -> None:
    still = done(opened(sure(RUBBISH)), "pause", now=NOON + 4 * MINUTE)
    assert where(still) == [("pause", "grid", 4)]
    assert where(done(still, "resume")) == []
    assert where(done(still, order(still, "pause"), now=NOON + 2 * HOUR)) == []


def test_what_is_resolved_waits_for_its_call_back() -> None:
    case = resolved(opened(sure(RUBBISH)), NOON + 5 * MINUTE)
    assert where(case) == [("call_back", "grid", 5)]
    assert where(done(done(case, "reply"), "close")) == []


def test_every_queue_of_cases_is_declared_once() -> None:
    names = [queue.name for queue in STUCK_QUEUES]
    assert len(names) == len(set(names))
    assert set(WAITS_FOR) <= set(names)


@pytest.mark.parametrize("queue", STUCK_QUEUES, ids=lambda queue: queue.name)
def test_every_stuck_queue_has_an_owner_and_a_metric_that_exists(
    queue: StuckQueue, policy: Policy
) -> None:
    assert queue.owner
    assert queue.metrics
    assert set(queue.metrics) <= {name for maker in MAKERS[queue.keeper] for name in made(maker)}
    if queue.clock is not None:
        assert queue.clock in policy.clocks
    if queue.name in WAITS_FOR:
        assert queue.owner in (*get_args(Role), "dispatcher", "holder")


def made(maker: ModuleType) -> set[str]:
    """The names of the metrics that a module makes."""
    metrics = [one for one in vars(maker).values() if isinstance(one, Counter | Gauge)]
    return {family.name for metric in metrics for family in metric.collect()}


def test_the_queue_of_a_case_holds_it_only_while_it_is_open() -> None:
    assert waits(done(opened(sure(FIRE)), "hand_over")) == ()
