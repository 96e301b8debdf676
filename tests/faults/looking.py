"""What there is to see of a town from outside: rows of its databases, records of its topics."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID

import asyncpg
import orjson

from deploy.local.environment import SERVICES
from shared import kafka
from shared.events import Order, Topic
from shared.settings import Settings

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
T = TypeVar("T")

# What is heard besides is seen by the positions.
HEARS: Mapping[str, frozenset[Topic]] = {
    "intake": frozenset({Topic.ROUTER, Topic.POLICY}),
    "router": frozenset({Topic.INTAKE, Topic.ESCALATION}),
    "escalation": frozenset({Topic.ROUTER}),
    "analytics": frozenset({Topic.ROUTER}),
}
NOTHING = Order(0, 0)
OWNERS = (Topic.INTAKE, Topic.ROUTER, Topic.ESCALATION)


class Seen(Protocol):
    """A town, as far as it is looked at."""

    def dsn(self, service: str) -> str:
        """The database of a service."""

    def kafka_settings(self) -> Settings:
        """How to speak to its Kafka."""


def running(work: Coroutine[Any, Any, T]) -> T:
    """Run this to its end."""
    return asyncio.run(work)


async def rows(town: Seen, service: str, sql: str, *values: object) -> list[asyncpg.Record]:
    """Rows of a service's database."""
    connection = await asyncpg.connect(town.dsn(service), timeout=5, command_timeout=120)
    try:
        return await connection.fetch(sql, *values)
    finally:
        await connection.close(timeout=5)


def ask(town: Seen, service: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """The same, from outside an event loop."""
    return [tuple(row.values()) for row in running(rows(town, service, sql, *values))]


# ---------------------------------------------------------------- how far things are


async def waits(town: Seen) -> list[str]:
    """What was not said, read, heard or answered yet: nothing where all is at rest.

    In this order, or a town that only looked at rest would be called so: what was on the topics was
    heard, then nothing that came of it waits to be said, then nothing was said meanwhile.
    """
    before = await ends(town)
    found = []
    for service, topics in HEARS.items():
        said = await rows(town, service, "select topic, partition, next_offset from offsets")
        at = {(row["topic"], row["partition"]): row["next_offset"] for row in said}
        for topic in topics | {Topic(row["topic"]) for row in said}:
            behind = sum(
                max(0, end - at.get((topic.value, p), 0)) for p, end in before[topic].items()
            )
            if behind:
                found.append(f"{behind} records of {topic} that {service} did not hear")
    [row] = await rows(town, "intake", "select count(*) as n from unread")
    if row["n"]:
        found.append(f"{row['n']} unread petitions")
    [row] = await rows(town, "escalation", "select count(*) as n from orders")
    if row["n"]:
        found.append(f"{row['n']} orders without an answer")
    for service in SERVICES:
        [row] = await rows(town, service, "select count(*) as n from outbox")
        if row["n"]:
            found.append(f"{row['n']} rows in the outbox of {service}")
    after = await ends(town)
    found += [f"records that came to {topic} meanwhile" for topic in Topic
              if after[topic] != before[topic]]  # fmt: skip
    return found


async def ends(town: Seen) -> dict[Topic, dict[int, int]]:
    """Where every partition of every topic ends."""
    return {topic: await kafka.end_offsets(town.kafka_settings(), topic) for topic in Topic}


async def not_through(
    town: Seen, petitions: Sequence[UUID], since: datetime, said_by: datetime
) -> list[str]:
    """How many of these petitions are not routed, armed, counted and told to the resident; what
    was due before `since` (promise time) and is not done; what is unsaid since `said_by` (wall)."""
    ids = list(petitions)
    found = []
    for service, sql in (
        ("router", "select case_id from cases where case_id = any($1)"),
        ("escalation", "select case_id from armed where case_id = any($1)"),
        ("analytics", "select case_id from contributions where case_id = any($1)"),
        ("intake", "select petition_id from receipts where petition_id = any($1)"
                   " and routed_at is not null"),
    ):  # fmt: skip
        missing = len(ids) - len(await rows(town, service, sql, ids))
        if missing:
            found.append(f"{missing} of {len(ids)} petitions are not known to {service}")
    for what, sql in (
        ("clocks ran out unnoticed", "select count(*) as n from armed where next_at <= $1"),
        ("orders wait for an answer", "select count(*) as n from orders where fired_at <= $1"),
    ):
        [row] = await rows(town, "escalation", sql, since)
        if row["n"]:
            found.append(f"{row['n']} {what}")
    for service in SERVICES:
        sql = "select count(*) as n from outbox where said_at <= $1"
        [row] = await rows(town, service, sql, said_by)
        if row["n"]:
            found.append(f"{row['n']} events of {service} are not said")
    return found


# ---------------------------------------------------------------- all there is


@dataclass(frozen=True, slots=True)
class Steps:
    """The history of a case in one epoch: first and last seq, how many steps, how many openings."""

    first: int
    last: int
    n: int
    opened: int


@dataclass(slots=True)
class Log:
    """The records about one subject, in the order they lie on their partition."""

    said: list[tuple[Order, bytes]] = field(default_factory=list)
    newest: Order = NOTHING
    clocks: set[tuple[str, int, int]] = field(default_factory=set)
    """(clock, started, number of warning marks) of every snapshot."""


@dataclass(slots=True)
class Holdings:
    """Everything that a town holds when it is at rest."""

    petitions: dict[UUID, str] = field(default_factory=dict)
    said: dict[UUID, int] = field(default_factory=dict)
    receipts: dict[UUID, Order] = field(default_factory=dict)
    supplements: dict[tuple[str, str], int] = field(default_factory=dict)
    supplement_ids: set[UUID] = field(default_factory=set)
    cases: dict[UUID, Order] = field(default_factory=dict)
    heard: dict[UUID, int] = field(default_factory=dict)
    stages: dict[UUID, str] = field(default_factory=dict)
    clocks: dict[UUID, set[tuple[str, int, int]]] = field(default_factory=dict)
    history: dict[tuple[UUID, int], Steps] = field(default_factory=dict)
    effects: dict[str, int] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)
    parked_petitions: set[UUID] = field(default_factory=set)
    armed: dict[UUID, Order] = field(default_factory=dict)
    armed_clocks: dict[UUID, set[tuple[str, int, int]]] = field(default_factory=dict)
    taken_note: set[str] = field(default_factory=set)
    warnings: dict[tuple[UUID, str], int] = field(default_factory=dict)
    counted: dict[UUID, Order] = field(default_factory=dict)
    standings: dict[str, int] = field(default_factory=dict)
    topics: dict[tuple[Topic, str], Log] = field(default_factory=dict)
    waits: list[str] = field(default_factory=list)


async def holdings(town: Seen) -> Holdings:
    """Look at everything but `waits`."""
    found = Holdings()
    await look_at_intake(town, found)
    await look_at_router(town, found)
    await look_at_escalation(town, found)
    await look_at_analytics(town, found)
    for service in SERVICES:
        sql = "select topic, key, reason from parked where settled_at is null"
        for row in await rows(town, service, sql):
            found.parked.append(f"{service}: {row['topic']} {row['key']}: {row['reason']}")
            if service == "router" and row["topic"] == Topic.INTAKE:
                found.parked_petitions.add(UUID(row["key"]))
    for topic in OWNERS:
        await read_topic(town, topic, found)
    return found


async def look_at_intake(town: Seen, found: Holdings) -> None:
    """Petitions, receipts, supplements."""
    for row in await rows(town, "intake", "select id, idempotency_key from petitions"):
        found.petitions[row["id"]] = row["idempotency_key"]
    for row in await rows(town, "intake", "select petition_id, said_seq, epoch, seq from receipts"):
        found.said[row["petition_id"]] = row["said_seq"]
        found.receipts[row["petition_id"]] = Order(row["epoch"], row["seq"])
    sql = "select id, petition_id, idempotency_key from supplements"
    for row in await rows(town, "intake", sql):
        place = (str(row["petition_id"]), row["idempotency_key"])
        found.supplements[place] = found.supplements.get(place, 0) + 1
        found.supplement_ids.add(row["id"])


async def look_at_router(town: Seen, found: Holdings) -> None:
    """Cases, their running clocks, their histories, and what caused each step."""
    for row in await rows(town, "router", "select case_id, epoch, seq, stage, doc from cases"):
        id_, doc = row["case_id"], orjson.loads(row["doc"])
        found.cases[id_] = Order(row["epoch"], row["seq"])
        found.heard[id_] = doc["heard"][1]
        found.stages[id_] = row["stage"]
        begun = datetime.fromisoformat(doc["received_at"])
        found.clocks[id_] = {
            (clock["name"], clock["generation"], after(begun, clock["due_at"]))
            for clock in doc.get("clocks", ())
        }
    sql = """
        select case_id, epoch, min(seq) as first, max(seq) as last, count(*) as n,
               count(*) filter (where event = 'opened') as opened
        from history group by 1, 2
        """
    for row in await rows(town, "router", sql):
        _, _, *steps = row.values()
        found.history[row["case_id"], row["epoch"]] = Steps(*steps)
    # An order that is said again while its answer is on the way is refused as stale: no effect.
    sql = """
        select caused_by, count(*) as n from history where event <> 'order_refused' group by 1
        """
    found.effects = {row["caused_by"]: row["n"] for row in await rows(town, "router", sql)}


def after(begun: datetime, then: str) -> int:
    """Milliseconds from one to the other, as snapshots count them."""
    return (datetime.fromisoformat(then) - begun) // timedelta(milliseconds=1)


async def look_at_escalation(town: Seen, found: Holdings) -> None:
    """Armed clocks, and notices."""
    sql = "select case_id, epoch, seq, clocks from armed"
    for row in await rows(town, "escalation", sql):
        found.armed[row["case_id"]] = Order(row["epoch"], row["seq"])
        # name, generation, owner's division and role, started, due: the order of decisions.Clock
        found.armed_clocks[row["case_id"]] = {
            (clock[0], clock[1], clock[5]) for clock in orjson.loads(row["clocks"])
        }
    sql = "select id, clock, reason, about, cases, acknowledged_at, raised_from from notices"
    for row in await rows(town, "escalation", sql):
        if row["acknowledged_at"] is not None:
            found.taken_note.add(str(row["id"]))
        is_warning = row["reason"] == "warning" and row["about"] is None
        if is_warning and row["raised_from"] is None:
            for case_id in row["cases"]:
                place = (case_id, row["clock"])
                found.warnings[place] = found.warnings.get(place, 0) + 1


async def look_at_analytics(town: Seen, found: Holdings) -> None:
    """What each case counts as, and the sums."""
    for row in await rows(town, "analytics", "select case_id, epoch, seq from contributions"):
        found.counted[row["case_id"]] = Order(row["epoch"], row["seq"])
    sql = """
        select split_part(name, '|', 1) as standing, sum(n)::bigint as n
        from (select name, n from tally union all select name, n from tally_deltas) both_
        where name like '%|tier' group by 1
        """
    found.standings = {row["standing"]: row["n"] for row in await rows(town, "analytics", sql)}


async def read_topic(town: Seen, topic: Topic, found: Holdings) -> None:
    """Every record about every subject, with its place and its id."""
    async for records, _, _ in kafka.read_to_end(town.kafka_settings(), topic):
        for record in records:
            order = Order(int(record.headers["ce_epoch"]), int(record.headers["ce_seq"]))
            log = found.topics.setdefault((topic, record.key), Log())
            log.said.append((order, record.headers["ce_id"]))
            log.newest = max(log.newest, order)
            if topic is Topic.ROUTER:
                snapshot = orjson.loads(record.value or b"{}").get("s", {})
                for clock in snapshot.get("cl", ()):
                    log.clocks.add((clock["n"], clock.get("s", 0), len(clock.get("w", ()))))
