"""What must be true of every world, each by its name. Raises `Broken`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from services.analytics import decisions as analytics
from services.analytics import store as analytics_store
from services.escalation.decisions import RISES_AFTER, Armed, News, arm, order_id
from services.escalation.decisions.notices import breach_reason
from services.escalation.decisions.orders import action_of
from services.escalation.store.armed import clocks_of
from services.router.decisions.case import CASE, Case, as_it_stood, duties, snapshot
from services.router.decisions.clocks import applies
from services.router.decisions.tracks import TRACKS
from shared.events import CaseChanged, Order, Topic, derived_id, promise_of
from shared.hearing import Heard, decode
from shared.kafka.records import record_of
from shared.outbox import unpack
from tests.router.stories import shipped_policy
from tests.simulation.broker import Broker, Raw
from tests.simulation.databases import Database
from tests.simulation.people import SECRET_WORDS, Book
from tests.simulation.processes import Sky

OWNER = {Topic.INTAKE: "intake", Topic.ROUTER: "router", Topic.ESCALATION: "escalation"}
COMMANDS = {
    "classified": "classify", "placed": "place", "signed": "sign", "verified": "verify",
    "replied": "reply", "resolved": "resolve", "closed": "close", "returned": "return",
    "rerouted": "reroute", "promoted": "promote", "handed_over": "hand_over", "given": "assign",
    "recalled": "recall", "paused": "pause", "extension_asked": "extend",
    "extended": "grant_extension", "extension_declined": "decline_extension",
    "not_accepted": "not_accept", "called_back": "call_back", "resumed": "resume",
    "whistle_asked": "ask_whistle", "whistled": "whistle", "task_given": "give_task",
    "reported_in": "report_in", "task_refused": "refuse_task", "task_done": "finish_task",
    "objection_decided": "decide_objection", "task_withdrawn": "withdraw_task",
    "conference_called": "call_conference", "conference_decided": "conference_decides",
}  # fmt: skip


DONE = ("resolved", "closed", "handed_off")


class Broken(Exception):
    """An invariant that does not hold."""

    def __init__(self, invariant: str, what: object) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant = invariant


class Said(NamedTuple):
    """An event on a topic, the first time that it was said."""

    order: Order
    event_id: bytes
    value: bytes | None
    at: int


@dataclass
class Sight:
    """Everything there is to see: the book, the topics, the tables."""

    book: Book
    broker: Broker
    databases: Mapping[Any, Database]
    sky: Sky
    said: dict[tuple[Topic, str], dict[Order, Said]] = field(default_factory=dict)
    last: dict[tuple[Topic, str], Order] = field(default_factory=dict)
    causes: dict[tuple[bytes, int], Order] = field(default_factory=dict)
    done: dict[tuple[str, Topic, int], set[int]] = field(default_factory=dict)
    causes_said: set[str] = field(default_factory=set)
    ids_said: set[str] = field(default_factory=set)

    async def rows(self, service: str, sql: str, *values: object) -> list[Any]:
        """What a database holds."""
        return await self.databases[service].rows(sql, *values)

    async def cases(self) -> dict[UUID, Case]:
        """The router's cases."""
        rows = await self.rows("router", "select doc from cases order by case_id")
        return {case.id: case for case in (CASE.validate_json(row["doc"]) for row in rows)}

    async def next_due(self) -> datetime | None:
        """When escalation has something to do next."""
        [row] = await self.rows("escalation", "select min(next_at) as at from armed")
        at: datetime | None = row["at"]
        return at

    def handled(self, service: str, topic: Topic, partition: int, begin: int, end: int) -> None:
        """A batch was committed; who was frozen after his commit tells of it after others do."""
        place, offsets = (service, topic, partition), range(begin, end)
        done = self.done.setdefault(place, set())
        if again := done.intersection(offsets):
            raise Broken("a record is handled once", f"{place}: {sorted(again)} again")
        done.update(offsets)

    async def nothing_waits(self, groups: Mapping[str, Topic]) -> bool:
        """Whether everything was said, heard, read and answered."""
        return not await self.what_waits(groups)

    async def what_waits(self, groups: Mapping[str, Topic]) -> list[str]:
        """What is on its way, by name."""
        found = []
        for service in self.databases:
            [row] = await self.rows(service, "select count(*) as n from outbox")
            if row["n"]:
                found.append(f"{row['n']} rows in the outbox of {service}")
        [row] = await self.rows("intake", "select count(*) as n from unread")
        if row["n"]:
            found.append(f"{row['n']} unread petitions")
        [row] = await self.rows("escalation", "select count(*) as n from orders")
        if row["n"]:
            found.append(f"{row['n']} orders without an answer")
        for group, topic in groups.items():
            rows = await self.rows(
                group.partition(".")[0],
                "select partition, next_offset from offsets where topic = $1",
                topic.value,
            )
            at = {row["partition"]: row["next_offset"] for row in rows}
            behind = sum(
                len(log) - at.get(lane[1], 0)
                for lane, log in self.broker.logs.items()
                if lane[0] is topic
            )
            if behind:
                found.append(f"{behind} records that {group} has not heard")
        return found

    def snapshots(self) -> dict[UUID, Heard]:
        """The newest snapshot of each case on the topic."""
        newest: dict[UUID, Heard] = {}
        for (topic, _), log in self.broker.logs.items():
            if topic is not Topic.ROUTER:
                continue
            for raw in log:
                heard = decode(record_of(topic, raw))
                if not isinstance(heard, Heard) or not isinstance(heard.data, CaseChanged):
                    continue  # a page of the census, a heartbeat, or spoilt on its way
                case_id = UUID(heard.envelope.subject)
                before = newest.get(case_id)
                if before is None or heard.envelope.order > before.envelope.order:
                    newest[case_id] = heard
        return newest


def expect(invariant: str, wanted: object, found: object, what: object = "") -> None:
    """Both are the same."""
    if wanted != found:
        raise Broken(invariant, f"{what}: wanted {wanted!r}, found {found!r}")


# ---------------------------------------------------------------- as it is said


def check_record(sight: Sight, topic: Topic, raw: Raw) -> None:
    """Each record as it is written: in order, without a gap, always the same, without words."""
    headers = {name: value for name, value in raw.headers}
    key = raw.key.decode()
    order = Order(int(headers["ce_epoch"]), int(headers["ce_seq"]))
    if raw.value is not None and SECRET_WORDS.encode() in raw.value:
        raise Broken("no words on a topic", f"{key} {order}")
    sight.causes_said.add(headers["ce_causedby"].decode())
    sight.ids_said.add(headers["ce_id"].decode())
    subject = sight.said.setdefault((topic, key), {})
    first = subject.get(order)
    if first is not None:
        expect("an event is always the same", first.event_id, headers["ce_id"], (key, order))
        if not is_readable(first.value):
            subject[order] = first._replace(value=raw.value)  # the first was spoilt on its way
        return
    last = sight.last.get((topic, key), Order(order.epoch, 0))
    if order.epoch == last.epoch and order.seq != last.seq + 1:
        raise Broken("seq is gapless", f"{topic} {key}: {order} was said after {last}")
    if topic is not Topic.ESCALATION:  # an order that is said again has a new place
        place = sight.causes.setdefault((headers["ce_id"], order.epoch), order)
        expect("every cause has one event", place, order, (topic, key))
    sight.last[topic, key] = order
    subject[order] = Said(order, headers["ce_id"], raw.value, raw.timestamp)


# ---------------------------------------------------------------- when all is at rest


async def check(sight: Sight) -> None:
    """Every invariant, on a world at rest."""
    cases = await sight.cases()
    heard = sight.snapshots()
    await nothing_is_lost(sight, cases)
    await nobody_waits_for_nobody(sight, cases)
    await histories_are_whole_and_legal(sight, cases)
    await commands_are_done_once(sight)
    await promotions_are_one_per_generation(sight)
    await one_holder(sight, cases)
    await topic_equals_router(cases, heard)
    await topic_equals_escalation(sight, cases, heard)
    await topic_equals_analytics(sight, heard)
    await topic_equals_receipts(sight, heard)
    await due_is_done_once(sight)


async def nothing_is_lost(sight: Sight, cases: Mapping[UUID, Case]) -> None:
    """accepted = open + closed + parked; a key is one petition, told in one way."""
    accepted = {UUID(one.told["id"]): one for one in sight.book.accepted()}
    expect("one petition per key", len(sight.book.accepted()), len(accepted))
    kept = await sight.rows("intake", "select id, idempotency_key from petitions")
    expect(
        "what was accepted is kept, once",
        {one.key: id_ for id_, one in accepted.items()},
        {row["idempotency_key"]: row["id"] for row in kept},
    )
    parked = await sight.rows(
        "router", "select key, topic, headers from parked where settled_at is null"
    )
    keys = {row["key"] for row in parked if row["topic"] == Topic.INTAKE}
    waiting = {UUID(key) for key in keys if not key.startswith(("census", "heartbeat"))}
    lost = accepted.keys() - cases.keys() - waiting
    if lost:
        raise Broken("nothing is lost", f"{sorted(map(str, lost))} have no case and are not parked")
    expect("no case without a petition", set(), set(cases) - accepted.keys())
    blocked = await sight.rows("router", "select case_id from blocked_cases")
    expect(
        "what is parked blocks its petition, and nothing else does",
        waiting,
        {row["case_id"] for row in blocked},
    )
    for id_, case in cases.items():
        [row] = await sight.rows(
            "intake", "select said_seq from receipts where petition_id = $1", id_
        )
        there = {
            int(dict(unpack(one["headers"]))["ce_seq"]) for one in parked if one["key"] == str(id_)
        }
        missing = set(range(case.heard.seq + 1, row["said_seq"] + 1)) - there
        expect("every event is heard or parked", set(), missing, id_)


async def nobody_waits_for_nobody(sight: Sight, cases: Mapping[UUID, Case]) -> None:
    """An open case has a clock that runs, and a holder whose queue it is in."""
    for case in cases.values():
        if not case.is_open:
            expect("a closed case has no clock", (), case.clocks, case.id)
        elif not case.clocks:
            raise Broken("nothing waits for nobody", f"{case.id} is {case.stage} without a clock")
        # Who resolves a matter owes no visit any more; what else ran from receipt is kept then.
        for name in promised(case) if case.is_open and case.stage != "resolved" else ():
            if case.clock(name) is None and name not in case.on_time:
                raise Broken("every promise runs until it is kept", f"{case.id}: no {name}")
        waits = dict(TRACKS[case.track].waits)
        if case.is_open and case.stage not in waits:
            raise Broken("nothing waits for nobody", f"nobody acts on {case.track} {case.stage}")


def stands_still_with_an_end(case: Case) -> None:
    """A pause has an end, and every task its clock: a copy asks for nothing."""
    standing = any(clock.paused for clock in case.clocks)
    if {standing, case.pause is not None, case.clock("pause") is not None} not in ({True}, {False}):
        raise Broken("what stands still has an end", f"{case.id}: {case.pause}")
    for task in case.tasks:
        if task.is_open and task.kind != "copy" and case.clock(task.clock) is None:
            raise Broken("every task has its clock", f"{case.id}: {task.kind}/{task.n}")


def promised(case: Case) -> list[str]:
    """The clocks that the policy gives this case from its receipt on."""
    policy = shipped_policy()
    return [
        name
        for name, rule in policy.clocks.items()
        if rule.start == "received" and applies(rule, case, policy)
    ]


async def histories_are_whole_and_legal(sight: Sight, cases: Mapping[UUID, Case]) -> None:
    """Gapless seq; the steps lead to the case; each was one that its track knows."""
    rows = await sight.rows(
        "router",
        "select case_id, epoch, seq, event, caused_by, changed from history"
        " order by case_id, epoch, seq",
    )
    steps: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        steps[row["case_id"]].append(row)
    expect("every case has a history", set(cases), set(steps))
    for case_id, found in steps.items():
        expect(
            "seq is gapless in the history",
            list(range(1, len(found) + 1)),
            [row["seq"] for row in found],
            case_id,
        )
        whole = as_it_stood([row["changed"] for row in found])
        case = cases[case_id]
        assert whole is not None
        # An event of the petition that changes nothing moves `heard` and writes no step.
        same = snapshot(whole, "") == snapshot(case, "")
        expect("the history leads to the case", True, same, case_id)
        legal(case_id, found)


def legal(case_id: UUID, steps: Iterable[Any]) -> None:
    """Each step is one that the track of the case knows."""
    before: Case | None = None
    told: list[bytes | str] = []
    for row in steps:
        told.append(row["changed"])
        after = as_it_stood(told)
        assert after is not None
        stands_still_with_an_end(after)
        if before is not None:
            legal_step(case_id, before, after, row["event"])
            if row["event"] in ("promoted", "supervised"):
                met_its_generation(before, row["caused_by"])
        before = after


def legal_step(case_id: UUID, before: Case, after: Case, event: str) -> None:
    """Where a case may be after an event, by its track's table."""
    command = COMMANDS.get(event)
    if event == "reopened":
        # By a person's command, a call that nobody was content with, or the resident.
        if before.stage not in DONE or after.stage in DONE:
            raise Broken("transitions are legal", f"{case_id}: reopened when {before.stage}")
        return
    if command is None:
        expect("only a command moves a case", before.stage, after.stage, event)
        return
    step = TRACKS[before.track].step(command, before.stage)
    if step is None:
        what = f"{command} of a {before.track} that is {before.stage}"
        raise Broken("transitions are legal", f"{case_id}: {what}")
    may = {before.stage, *step.targets, "closed"}
    if step.anew:
        may |= TRACKS[after.track].initial
    if after.stage not in may:
        what = f"{command} led from {before.stage} to {after.stage}"
        raise Broken("transitions are legal", f"{case_id}: {what}")


def met_its_generation(case: Case, cause: str) -> None:
    """An order that was applied was of a clock that ran then, in that generation."""
    running = {
        f"order:{order_id(case.id, clock.name, clock.generation, clock.on_breach)}"
        for clock in case.clocks
        if clock.on_breach in ("promote", "supervise") and not clock.answered
    }
    if cause.startswith("order:") and cause not in running:
        raise Broken("an order is applied to the generation it was given for", f"{case.id} {cause}")


async def commands_are_done_once(sight: Sight) -> None:
    """One effect per key, whoever asked how often; what was refused changed nothing."""
    rows = await sight.rows("router", "select caused_by, count(*) as n from history group by 1")
    effects = {row["caused_by"]: row["n"] for row in rows}
    for asked in sight.book.commands:
        done = effects.pop(f"command:{derived_id('command', asked.who, asked.key)}", 0)
        wanted = 1 if 200 in asked.statuses else 0
        expect("a command is done once", wanted, done, (asked.key, asked.statuses))
        if len(asked.answers) > 1:
            raise Broken("the same key has the same answer", f"{asked.key}: {asked.answers}")
    strange = {cause for cause in effects if cause.startswith("command:")}
    expect("nobody commands but who was asked", set(), strange)


async def promotions_are_one_per_generation(sight: Sight) -> None:
    """An order is applied at most once, and every order has an answer."""
    rows = await sight.rows(
        "router",
        "select case_id, caused_by, count(*) as n from history"
        " where event in ('promoted', 'supervised') and caused_by like 'order:%'"
        " group by 1, 2 having count(*) > 1",
    )
    if rows:
        raise Broken("at most one promotion per generation", [dict(row) for row in rows])
    left = await sight.rows("escalation", "select order_id from orders")
    expect("every order is answered", [], list(left))


async def one_holder(sight: Sight, cases: Mapping[UUID, Case]) -> None:
    """Each open case counts in one queue, each duty in its owner's; the counts say so."""
    wanted: Counter[tuple[str, str]] = Counter()
    owed: Counter[tuple[UUID, str]] = Counter()
    for case in cases.values():
        if case.is_open:
            wanted["queue", f"{case.holder}/{case.stage}"] += 1
            wanted["open", f"{case.tier or 'city'}/{case.track}/{case.stage}"] += 1
        for duty in duties(case):
            owed[case.id, duty.clock] += 1
    rows = await sight.rows(
        "router",
        "select name, key, sum(n)::int as n from (select name, key, n from tally union all"
        " select name, key, n from tally_deltas) b where name in ('queue', 'open')"
        " group by 1, 2 having sum(n) <> 0",
    )
    expect("one holder", dict(wanted), {(r["name"], r["key"]): r["n"] for r in rows})
    rows = await sight.rows("router", "select case_id, clock from duties")
    expect("one owner of each clock", owed, Counter((r["case_id"], r["clock"]) for r in rows))


async def topic_equals_router(cases: Mapping[UUID, Case], heard: Mapping[UUID, Heard]) -> None:
    """The newest snapshot of each case is the case."""
    expect("every case is said", set(cases), set(heard))
    for case_id, case in cases.items():
        said = heard[case_id]
        assert isinstance(said.data, CaseChanged)
        expect("the topic equals the case", Order(case.epoch, case.seq), said.envelope.order)
        wanted = snapshot(case, said.data.case.unit)
        expect("the topic equals the case", wanted, said.data.case, case_id)


async def topic_equals_escalation(
    sight: Sight, cases: Mapping[UUID, Case], heard: Mapping[UUID, Heard]
) -> None:
    """Every running clock is armed exactly once, as the router says it."""
    rows = await sight.rows(
        "escalation", "select case_id, epoch, seq, open, holder, clocks, owner_offices from armed"
    )
    found = {row["case_id"]: row for row in rows}
    expect("every case is armed", set(heard), set(found))
    for case_id, said in heard.items():
        row = found[case_id]
        fresh = armed_anew(case_id, said)
        expect("armed by the newest snapshot", said.envelope.order, Order(row["epoch"], row["seq"]))
        clocks = [promise(clock) for clock in clocks_of(row["clocks"], row["owner_offices"])]
        expect("every running clock is armed once", list(map(promise, fresh.clocks)), clocks)
        expect("armed where it is held", (fresh.holder, fresh.open), (row["holder"], row["open"]))
        running = {(c.name, c.generation) for c in cases[case_id].clocks}
        expect("what runs is armed", running, {(c[0], c[1]) for c in clocks}, case_id)


def armed_anew(case_id: UUID, said: Heard) -> Armed:
    """A case as a new escalation would arm it."""
    assert isinstance(said.data, CaseChanged)
    envelope = said.envelope
    return arm(None, News(case_id, envelope.order, envelope.occurred_at, said.data.case, None))


def promise(clock: Any) -> tuple[object, ...]:
    """A clock without what escalation remembers of it."""
    fields = clock._asdict()
    return tuple(
        value for name, value in fields.items() if name not in ("warned", "fired", "repeats")
    )


async def topic_equals_analytics(sight: Sight, heard: Mapping[UUID, Heard]) -> None:
    """The figures are the fold of the newest snapshots."""
    new = []
    for said in heard.values():
        assert isinstance(said.data, CaseChanged)
        new.append(analytics.contribution(said.data.case, said.envelope.occurred_at))
    wanted = {k: n for k, n in analytics.differences((None, one) for one in new).items() if n}
    connection = await sight.databases["analytics"].connection()
    try:
        found = await analytics_store.all_counters(connection)
    finally:
        sight.databases["analytics"].give_back(connection)
    expect("the fold of the topic equals the figures", wanted, found)


async def topic_equals_receipts(sight: Sight, heard: Mapping[UUID, Heard]) -> None:
    """What residents are told is what the router said last."""
    rows = await sight.rows(
        "intake",
        "select petition_id, epoch, seq, stage, unit, next_deadline from receipts where seq > 0",
    )
    found = {row["petition_id"]: row for row in rows}
    expect("every case has its receipt", set(heard), set(found))
    for case_id, said in heard.items():
        assert isinstance(said.data, CaseChanged)
        case, row = said.data.case, found[case_id]
        due = None
        if case.next_deadline is not None:
            due = case.started_at + timedelta(milliseconds=case.next_deadline)
        expect(
            "a receipt says what the case says",
            (said.envelope.order, case.stage, case.unit, due),
            (Order(row["epoch"], row["seq"]), row["stage"], row["unit"], row["next_deadline"]),
        )


async def due_is_done_once(sight: Sight) -> None:
    """A warning is given at most once per mark and start; nothing that is due is left undone."""
    marks = marks_said(sight)
    given = await notices_given(sight)
    for (case_id, name, reason), n in given.items():
        if reason != "warning":
            continue
        most = sum(marks[case_id, name].values())
        if n > most:
            raise Broken("a due warning is noticed once", f"{case_id} {name}: {n} of {most} marks")
    rows = await sight.rows(
        "escalation", "select case_id, started_at, next_at, clocks, owner_offices from armed"
    )
    for row in rows:
        if row["next_at"] is not None and row["next_at"] <= sight.sky.now:
            raise Broken("nothing due is left undone", row["case_id"])
        at = (sight.sky.now - row["started_at"]) // timedelta(milliseconds=1)
        for clock in clocks_of(row["clocks"], row["owner_offices"]):
            due_was_handled(row["case_id"], clock, at)
            was_said(sight, row["case_id"], clock, given)
    asked = await sight.rows(
        "escalation",
        "select case_id from armed, json_array_elements(clocks) as c where c ->> 0 like '%/%'"
        " except select unnest(cases) from notices where about = 'task'",
    )
    expect("whoever is asked is told", [], asked)
    posted = await sight.rows("escalation", "select id from notices")
    unsaid = {str(row["id"]) for row in posted} - sight.ids_said
    expect("every notice is said", set(), unsaid)
    unheeded = await sight.rows(
        "escalation",
        "select id from notices where acknowledged_at is null and unheeded_at is null"
        " and posted_at <= $1",
        sight.sky.now - RISES_AFTER,
    )
    expect("what nobody takes note of rises", [], unheeded)
    twice = await sight.rows(
        "escalation",
        "select raised_from, division from notices where raised_from is not null"
        " group by 1, 2 having count(*) > 1",
    )
    expect("it rises once", [], twice)
    rows = await sight.rows(
        "escalation", "select id from notices where acknowledged_at is not null"
    )
    left = sight.book.noted.keys() - {row["id"] for row in rows}
    expect("who took note of a notice did", set(), left)


def was_said(
    sight: Sight, case_id: UUID, clock: Any, given: Counter[tuple[UUID, str, str]]
) -> None:
    """What a clock remembers as done was said: its order and the answer to it, its notices."""
    if clock.fired and (action := action_of(clock)):
        order = order_id(case_id, clock.name, clock.generation, action)
        if str(order) not in sight.ids_said:
            raise Broken("every breach is ordered", f"{case_id} {clock.name}")
        if f"order:{order}" not in sight.causes_said:
            raise Broken("every order is answered", f"{case_id} {clock.name}")
    reason = breach_reason(clock) if clock.fired else "warning" if clock.warned else None
    if clock.fired and given[case_id, promise_of(clock.name), NOTED]:
        return  # nothing more was due to be said
    if reason is not None and not given[case_id, promise_of(clock.name), reason]:
        raise Broken("every notice is posted", f"{case_id} {clock.name}: no {reason}")


def due_was_handled(case_id: UUID, clock: Any, at: int) -> None:
    """Every mark that has passed was given, every breach was handled."""
    if clock.paused or clock.fired:
        return
    if clock.warned < sum(mark <= at for mark in clock.warn):
        raise Broken("every due warning is given", f"{case_id} {clock.name}")
    if clock.due <= at:
        raise Broken("every breach is handled", f"{case_id} {clock.name}")


NOTED = "noted"


async def notices_given(sight: Sight) -> Counter[tuple[UUID, str, str]]:
    """How many digests told of a clock of a case, by reason; and of how many a person took note."""
    rows = await sight.rows(
        "escalation",
        "select c.case_id, clock, reason, raised_from is null as first, acknowledged_role"
        " from notices, lateral unnest(cases) as c (case_id)"
        " where about is null or about = 'promotion'",
    )
    given = Counter((row["case_id"], row["clock"], row["reason"]) for row in rows if row["first"])
    return given + Counter(
        (row["case_id"], row["clock"], NOTED) for row in rows if row["acknowledged_role"]
    )


def clocks_said(value: bytes | None) -> list[Any]:
    """The clocks of a snapshot, if it is one that can be read."""
    if value is None or not is_readable(value):
        return []
    clocks: list[Any] = orjson.loads(value).get("s", {}).get("cl", [])
    return clocks


def is_readable(value: bytes | None) -> bool:
    """Whether a record was not spoilt on its way."""
    try:
        orjson.loads(value or b"{}")
    except orjson.JSONDecodeError:
        return False
    return True


def marks_said(sight: Sight) -> defaultdict[tuple[UUID, str], dict[object, int]]:
    """The marks of each start of each clock of each case, as the router said them."""
    marks: defaultdict[tuple[UUID, str], dict[object, int]] = defaultdict(dict)
    for (topic, key), events in sight.said.items():
        for one in events.values() if topic is Topic.ROUTER else ():
            for clock in clocks_said(one.value):
                begun = (clock["n"], clock.get("s", 0), tuple(clock.get("w", ())))
                marks[UUID(key), promise_of(clock["n"])][begun] = len(clock.get("w", ()))
    return marks
