"""Where work can stand still, by name: whose it is, which promise moves it, what shows it. [X5]

Nothing ends in silence: each place where something waits for a person or a machine is a queue of
this list, with an owner and a metric. Those of the router's cases are counted here as cases come
and go; the others are kept by the service that owns them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple, get_args

from services.router.decisions.case import Case
from services.router.decisions.policy import ClockName
from shared.divisions import CITY

WaitsFor = Literal[
    "hand_over", "city_desk", "dispatcher", "arbiter", "more_time", "pause", "call_back"
]
WAITS_FOR: Final[tuple[WaitsFor, ...]] = get_args(WaitsFor)
WAITING: Final = "casegrid_router_waiting_cases"
WAITING_AGE: Final = "casegrid_router_waiting_oldest_seconds"
Keeper = Literal["intake", "router", "escalation", "each service"]


class Wait(NamedTuple):
    """A case in a stuck queue: in which tier and since when it waits there, and of which track.

    `track` is None where a version put it there that did not tell.
    """

    queue: WaitsFor
    tier: str
    since: datetime
    track: str | None

    @property
    def key(self) -> str:
        """As what it is counted."""
        return "/".join(filter(None, (self.queue, self.tier, self.track)))


@dataclass(frozen=True, slots=True)
class StuckQueue:
    """A place where work may stand still: what waits, who owns it, by when, and what shows it.

    `clock` is the promise that moves what waits there; None where no promise of a case does, and
    `owner` watches the metrics.
    """

    name: str
    holds: str
    keeper: Keeper
    owner: str
    clock: ClockName | None
    metrics: tuple[str, ...]


def of_cases(name: WaitsFor, holds: str, owner: str, clock: ClockName) -> StuckQueue:
    """A queue of the router's cases: counted by tier and track, with the age of the oldest."""
    return StuckQueue(name, holds, "router", owner, clock, (WAITING, WAITING_AGE))


STUCK_QUEUES: Final[tuple[StuckQueue, ...]] = (
    StuckQueue(
        "unread",
        "petitions that were accepted and not read yet",
        "intake",
        "operator",
        None,
        ("casegrid_intake_unread", "casegrid_intake_unread_age_seconds"),
    ),
    of_cases("hand_over", "emergencies and legal routes: nobody handed them over yet",
             "dispatcher", "handover"),
    of_cases("city_desk", "cases that name no district, or whose district is shut out",
             "city_dispatcher", "dispatch"),
    of_cases("dispatcher", "registered and not assigned: a dispatcher says where they go",
             "dispatcher", "dispatch"),
    of_cases("arbiter", "nobody wants them: who stands above all that had them says whose they are",
             "dispatcher", "dispatch"),
    of_cases("more_time", "more time was asked for: the head says yes or no",
             "office_head", "final_reply"),
    of_cases("pause", "promises that stand still, for an agreed reason", "holder", "pause"),
    of_cases("call_back", "resolved: the resident is called before they are closed",
             "hotline_agent", "callback"),
    StuckQueue(
        "open",
        "open cases, by tier, track and state",
        "router",
        "holder",
        None,
        ("casegrid_router_open_cases",),
    ),
    StuckQueue(
        "overdue",
        "open cases with a broken promise, at the top too",
        "escalation",
        "the owner of the promise and the level above",
        None,
        ("casegrid_escalation_overdue_cases",),
    ),
    StuckQueue(
        "orders",
        "orders of escalation that the router has not answered",
        "escalation",
        "operator",
        None,
        ("casegrid_escalation_orders_unanswered", "casegrid_escalation_orders_oldest_seconds"),
    ),
    StuckQueue(
        "notices",
        "warnings, reminders, supervision, orders, whistles and tasks nobody took note of",
        "escalation",
        "the office that was told",
        None,
        ("casegrid_escalation_notices_unacknowledged", "casegrid_escalation_notices_unheeded"),
    ),
    StuckQueue(
        "blocked",
        "petitions whose events wait behind one that was parked",
        "router",
        "operator",
        None,
        ("casegrid_router_blocked_petitions",),
    ),
    StuckQueue(
        "parked",
        "records that could not be read",
        "each service",
        "operator",
        None,
        ("casegrid_parked",),
    ),
    StuckQueue(
        "stopped",
        "partitions that stand before an event of a type nobody knows yet",
        "each service",
        "operator",
        None,
        ("casegrid_stopped_partitions",),
    ),
    StuckQueue(
        "unsaid",
        "events that were decided and not sent yet",
        "each service",
        "operator",
        None,
        ("casegrid_outbox_depth", "casegrid_outbox_age_seconds"),
    ),
    StuckQueue(
        "unheard",
        "events that were sent and not heard yet",
        "each service",
        "operator",
        None,
        ("casegrid_consumer_lag_records", "casegrid_consumer_lag_seconds"),
    ),
    StuckQueue(
        "refused lanes",
        "lanes whose events the broker refuses",
        "each service",
        "operator",
        None,
        ("casegrid_lanes_refused",),
    ),
    StuckQueue(
        "unlike",
        "buckets in which a listener's cases differ from their owner's",
        "each service",
        "operator",
        None,
        ("casegrid_census_differences",),
    ),
)  # fmt: skip


def waits(case: Case) -> tuple[Wait, ...]:
    """In which stuck queues a case stands now."""
    if not case.is_open:
        return ()
    tier = case.tier or CITY
    return tuple(Wait(queue, tier, since, case.track) for queue, since in reasons(case))


def reasons(case: Case) -> Iterator[tuple[WaitsFor, datetime]]:
    """What a case waits for, and since when; in order."""
    if case.stage == "registered":
        desk = desk_of(case)
        yield desk, since(case, "handover" if desk == "hand_over" else "dispatch")
    if case.extension is not None and case.extension.granted_at is None:
        yield "more_time", case.extension.asked_at
    if case.pause is not None:
        yield "pause", case.pause.since
    if case.stage == "resolved" and case.clock("callback") is not None:
        yield "call_back", since(case, "callback")


def desk_of(case: Case) -> WaitsFor:
    """What a registered case waits for: each at one desk."""
    if case.track == "handoff":
        return "hand_over"
    if case.arbitration == "asked":
        return "arbiter"
    return "city_desk" if case.holder == CITY else "dispatcher"


def since(case: Case, name: ClockName) -> datetime:
    """Since when this promise runs; of a case without it, since it was received."""
    clock = case.clock(name)
    return case.receipt if clock is None else clock.started_at
