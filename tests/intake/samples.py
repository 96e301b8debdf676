"""A made-up city with a small policy, and events as they would come over Kafka."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson

from shared.clock import wall
from shared.divisions import Tier
from shared.events import (
    CaseChanged,
    CaseEventType,
    CaseSnapshot,
    Change,
    ClockSnapshot,
    Data,
    Envelope,
    Order,
    PolicyPart,
    PolicyPartKind,
    PolicyPublished,
    Stage,
    Topic,
    Track,
    dump,
)
from shared.hearing import Batch, Heard
from shared.kafka import Record

DISTRICT = "990101"
STREET = "990101001"
GRID = "990101001001001"
OTHER_DISTRICT = "990102"

POLICY: Mapping[PolicyPartKind, Sequence[dict[str, object]]] = {
    "divisions": [
        {"code": DISTRICT, "name": "东山区"},
        {"code": STREET, "name": "柳林街道"},
        {"code": "990101001001", "name": "清泉社区"},
        {"code": GRID, "name": "清泉一网格"},
        {"code": OTHER_DISTRICT, "name": "西山区"},
    ],
    "places": [
        {"name": "东山区", "division": DISTRICT},
        {"name": "柳林街道", "division": STREET},
        {"name": "清泉花园", "division": GRID, "lat": 30.5, "lon": 114.3},
    ],
    "categories": [
        {
            "code": "E0102",
            "zh": "暴露垃圾",
            "en": "exposed garbage",
            "kind": "report",
            "initial_tier": "grid",
            "lead": "sanitation",
            "community_may_lead": True,
            "urgency": "U3",
            "track": "service",
        },
        {
            "code": "R01",
            "zh": "举报违纪",
            "en": "misconduct of a unit",
            "kind": "complain",
            "initial_tier": "district",
            "lead": "supervising unit",
            "community_may_lead": False,
            "urgency": "U3",
            "sensitivity": 2,
            "track": "xinfang",
        },
        {
            "code": "R02",
            "zh": "检举控告",
            "en": "accusation against an official",
            "kind": "report",
            "lead": "discipline inspection",
            "community_may_lead": False,
            "urgency": "U3",
            "sensitivity": 2,
            "track": "handoff",
        },
    ],
    "vocabulary": [
        {"word": "垃圾", "means": "E0102", "weight": 2.0},
        {"word": "受贿", "means": "R02", "weight": 3.0},
        {"word": "索贿", "means": "R02", "weight": 3.0},
        {"word": "爆炸", "means": "sign:danger", "weight": 1.0},
    ],
    "offices": [
        {
            "id": "sanitation",
            "zh": "环卫处",
            "en": "sanitation",
            "kind": "department",
            "divisions": "*",
        },
        {
            "id": "street-office",
            "zh": "街道办事处",
            "en": "street office",
            "kind": "desk",
            "divisions": "*",
        },
    ],
    "settings": [
        {"name": "version", "value": 1},
        {"name": "first_tier", "value": {"accusations": ["R01", "R02"]}},
    ],
}

NAMES = {str(row["code"]): str(row["name"]) for row in POLICY["divisions"]}

TEXT = "清泉花园门口的垃圾三天没有人收，夏天味道很大，请来人看看。"


def petition(**more: object) -> dict[str, Any]:
    """A petition as a channel would send it."""
    return {"kind": "report", "channel": "web", "text": TEXT} | more


def heard(
    topic: Topic, key: str, data: Data, order: Order, *, offset: int = 0, at: datetime | None = None
) -> Heard:
    """An event as it comes over Kafka."""
    at = at or datetime(2026, 4, 12, 1, 0, tzinfo=UTC)
    envelope = Envelope(
        event_id=uuid4(),
        type=data.type,  # type: ignore[attr-defined]
        source="casegrid/router",
        subject=key,
        order=order,
        occurred_at=at,
        caused_by="test",
        clock="real",
    )
    record = Record(topic, 0, offset, key, dump(data), {}, wall())
    return Heard(record, envelope, data)


def policy_batch(
    version: int,
    tables: Mapping[PolicyPartKind, Sequence[dict[str, object]]] = POLICY,
    *,
    sha256: str | None = None,
    without: int = 0,
) -> Batch:
    """A whole policy version, one part per row; `without` drops that many parts on the way."""
    parts = [
        PolicyPart(type="casegrid.policy.part.v1", version=version, kind=kind, n=n, rows=(row,))
        for kind, rows in tables.items()
        for n, row in enumerate(rows)
    ]
    known = hashlib.sha256()
    for part in sorted(parts, key=lambda part: (part.kind, part.n)):
        body = {"kind": part.kind, "n": part.n, "rows": part.rows}
        known.update(orjson.dumps(body, option=orjson.OPT_SORT_KEYS) + b"\n")
    published = PolicyPublished(
        type="casegrid.policy.published.v1",
        version=version,
        parts=len(parts),
        sha256=sha256 or known.hexdigest(),
    )
    events: list[Data] = [*parts[: len(parts) - without], published]
    return Batch(
        Topic.POLICY,
        [
            heard(Topic.POLICY, f"{version}", data, Order(1, n + 1), offset=version * 1000 + n)
            for n, data in enumerate(events)
        ],
    )


def case_event(
    petition_id: UUID,
    order: Order,
    *,
    type_: CaseEventType = "casegrid.case.opened.v1",
    holder: str = GRID,
    stage: Stage = "assigned",
    category: str | None = "E0102",
    next_deadline: int | None = 3_600_000,
    appended_at: datetime | None = None,
    at: datetime | None = None,
    accused_division: str | None = None,
    accused_office: str | None = None,
    office: str | None = None,
    clocks: Sequence[ClockSnapshot] = (),
    track: Track = "service",
    **more: Any,
) -> Heard:
    """A snapshot of a case as the router says it; `more` are fields of the snapshot."""
    started_at = datetime(2026, 4, 12, 1, 0, tzinfo=UTC)
    case = CaseSnapshot(
        number="CG-20260412-0000001",
        version=order.seq,
        started_at=started_at,
        channel="web",
        kind="report",
        track=track,
        stage=stage,
        category=category,
        urgency="U3",
        tier=Tier.GRID,
        holder=holder,
        role="grid_team",
        office=office,
        clocks=tuple(clocks),
        unit=NAMES.get(holder, holder),
        place=holder,
        next_deadline=next_deadline,
        accused_division=accused_division,
        accused_office=accused_office,
        policy=1,
        calendar="2026",
        **more,
    )
    change = Change(transitions=("open",), rule="B3.9", role="system", appended_at=appended_at)
    data = CaseChanged(type=type_, case=case, change=change)
    return heard(Topic.ROUTER, str(petition_id), data, order, at=at)
