"""Snapshots and records of cases, as the router says them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import strategies as st

from shared.divisions import Tier
from shared.events import (
    CaseChanged,
    CaseSnapshot,
    Change,
    ClockSnapshot,
    Envelope,
    Order,
    Topic,
    derived_id,
)
from shared.hearing import Batch, Heard
from shared.kafka import Record

STARTED = datetime(2019, 5, 20, 0, 30, tzinfo=UTC)
OPEN: dict[str, object] = {
    "number": "20190520-000001-7",
    "version": 1,
    "started_at": STARTED,
    "channel": "phone",
    "kind": "report",
    "track": "service",
    "stage": "assigned",
    "category": "E0102",
    "urgency": "U3",
    "tier": Tier.GRID,
    "holder": "210204005001001",
    "role": "grid_head",
    "unit": "Grid 1",
    "place": "210204005001001",
    "highest_tier": Tier.GRID,
    "policy": 1,
    "calendar": "2019",
}
CLOSED: dict[str, object] = OPEN | {
    "stage": "closed",
    "outcome": "solved",
    "closed": 3_600_000,
    "closing_tier": Tier.GRID,
    "on_time": {"verify": True, "reply": True, "final_reply": True},
}


def case(**changes: object) -> CaseSnapshot:
    """An open case in a grid, but for these fields."""
    return CaseSnapshot.model_validate(OPEN | changes)


def clock(name: str, due: int, **changes: object) -> ClockSnapshot:
    """A promise that still runs, due so many milliseconds after the start."""
    fields = {
        "name": name,
        "generation": 1,
        "owner_division": "210204005",
        "owner_role": "street_cadre",
        "due": due,
        "on_breach": "supervise",
    }
    return ClockSnapshot.model_validate(fields | changes)


def closed(**changes: object) -> CaseSnapshot:
    """A case the grid solved in time, but for these fields."""
    return CaseSnapshot.model_validate(CLOSED | changes)


def changed(snapshot: CaseSnapshot) -> CaseChanged:
    """The event that says this snapshot; which change it was means nothing to analytics."""
    change = Change(transitions=("sign",), rule="B1", role="grid_head")
    return CaseChanged(type="casegrid.case.signed.v1", case=snapshot, change=change)


def envelope(case_id: UUID, order: tuple[int, int], at: datetime = STARTED) -> Envelope:
    """What the headers say."""
    return Envelope(
        event_id=derived_id(case_id, *order),
        type="casegrid.case.signed.v1",
        source="casegrid/router",
        subject=str(case_id),
        order=Order(*order),
        occurred_at=at,
        caused_by="test",
        clock="real",
    )


def heard(
    case_id: UUID, order: tuple[int, int], snapshot: CaseSnapshot, at: datetime = STARTED
) -> Heard:
    """A snapshot as the consumer hands it to the handler."""
    record = Record(Topic.ROUTER, 0, 0, str(case_id), b"", {}, STARTED)
    return Heard(record, envelope(case_id, order, at), changed(snapshot))


def batch(events: Iterable[Heard]) -> Batch:
    """One batch of router.events."""
    return Batch(Topic.ROUTER, list(events))


PLACES = ("city", "210204", "210204005", "210204005001", "210204005001001", "210204005001002")
CLOCKS = ("verify", "reply", "sign", "final_reply")
tiers = st.sampled_from(Tier)
clocks = st.builds(
    clock,
    st.sampled_from(CLOCKS),
    st.sampled_from([-1, 0, 1]),
    paused=st.booleans(),
    on_breach=st.sampled_from(["supervise", "promote", "remind", "lapse", "none"]),
)
snapshots = st.builds(
    lambda fields: CaseSnapshot.model_validate(OPEN | fields),
    st.fixed_dictionaries(
        {
            "stage": st.sampled_from(
                ["registered", "assigned", "signed", "resolved", "closed", "handed_off"]
            ),
            "outcome": st.sampled_from([None, "solved", "handed_off"]),
            "track": st.sampled_from(["service", "consult", "xinfang", "handoff"]),
            "channel": st.sampled_from(["phone", "app", "letter"]),
            "kind": st.sampled_from(["report", "help"]),
            "urgency": st.sampled_from(["U1", "U3"]),
            "category": st.sampled_from([None, "E0102", "R01"]),
            "sensitivity": st.integers(0, 2),
            "restricted": st.booleans(),
            "place": st.sampled_from(PLACES),
            "tier": st.none() | tiers,
            "highest_tier": st.none() | tiers,
            "closing_tier": st.none() | tiers,
            "promotions": st.dictionaries(tiers, st.integers(1, 3), max_size=2),
            "reopened": st.integers(0, 2),
            "on_time": st.dictionaries(st.sampled_from(CLOCKS), st.booleans()),
            "clocks": st.lists(clocks, max_size=3, unique_by=lambda one: one.name),
        }
    ),
)

Steps = Sequence[tuple[int, int, CaseSnapshot]]
"""(case, seq, snapshot) in the order they arrive."""


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[dict[int, CaseSnapshot], Steps]:
    """Some cases' snapshots in any order with duplicates, and the last snapshot of each."""
    lives = draw(st.lists(st.lists(snapshots, min_size=1, max_size=4), min_size=1, max_size=4))
    said = [(n, seq, one) for n, life in enumerate(lives) for seq, one in enumerate(life, start=1)]
    again = draw(st.lists(st.sampled_from(said), max_size=6))
    return {n: life[-1] for n, life in enumerate(lives)}, draw(st.permutations(said + again))
