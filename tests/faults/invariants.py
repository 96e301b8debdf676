"""What must be true of a town at rest, whatever was done to it. Pure.

`judge` compares the book of those who asked with everything that the town holds. A finding is of
one of three sorts: something is *lost*, something is *doubled*, or something is *wrong* (parked,
out of step, or never at rest).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias
from uuid import UUID

from bench import ledger
from bench.ledger import Stage
from shared.events import Order, Topic, derived_id, promise_of
from tests.faults.book import Asked, Book
from tests.faults.load import SUBJECT
from tests.faults.looking import Holdings, Log

Sort: TypeAlias = Literal["lost", "doubled", "wrong"]
OPENED_BY = {"open": ("waiting", "in_hand"), "closed": (
    "solved_in_grid", "solved_higher", "consult_answered", "handed_off", "closed_otherwise",
)}  # fmt: skip
"""The standings of analytics that together are the router's open, and its closed cases."""
IS_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Finding(NamedTuple):
    """What is not as it must be; `n` times."""

    sort: Sort
    says: str
    n: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; nothing where all is well."""

    findings: tuple[Finding, ...]

    def count(self, sort: Sort) -> int:
        """How many are lost, doubled or wrong."""
        return sum(one.n for one in self.findings if one.sort == sort)

    @property
    def well(self) -> bool:
        """Nothing lost, nothing doubled, nothing out of step."""
        return not self.findings


def judge(book: Book, town: Holdings) -> Verdict:
    """Every invariant."""
    return Verdict(tuple(one for check in CHECKS for one in check(book, town)))


def at_rest(_: Book, town: Holdings) -> Iterator[Finding]:
    """Outboxes are empty, everything was heard, every order was answered."""
    for what in town.waits:
        yield Finding("wrong", f"it does not come to rest: {what}")


def accepted_is_kept(book: Book, town: Holdings) -> Iterator[Finding]:
    """Every promised id is in every stage once: accepted = cases + parked."""
    promised = book.promises()
    openings = [id_ for (id_, _), steps in town.history.items() for _ in range(steps.opened)]
    parked = sorted(town.parked_petitions - town.cases.keys())
    stages = [
        Stage("accepted", list(town.petitions)),
        Stage("cases and parked", [*town.cases, *parked]),
        Stage("opened in the history", [*openings, *parked]),
        Stage("on intake.events", subjects(town, Topic.INTAKE)),
        Stage("on router.events", [*subjects(town, Topic.ROUTER), *parked]),
        Stage("armed", [*town.armed, *parked]),
        Stage("counted", [*town.counted, *parked]),
    ]
    if promised.repeated:
        yield Finding("doubled", "ids promised to two keys", promised.repeated)
    for verdict in ledger.compare(promised, stages):
        if verdict.lost:
            yield Finding("lost", f"{verdict.stage}: promised petitions missing", verdict.lost)
        if verdict.doubled:
            yield Finding("doubled", f"{verdict.stage}: petitions too many", verdict.doubled)


def subjects(town: Holdings, topic: Topic) -> list[UUID]:
    """The petitions or cases that a topic speaks of; it may speak of other things too."""
    keys = (key for there, key in town.topics if there is topic)
    return [UUID(key) for key in keys if IS_ID.fullmatch(key)]


def all_know_the_same(_: Book, town: Holdings) -> Iterator[Finding]:
    """What intake kept, asked for or not, is with everybody who must know of it."""
    parked = town.parked_petitions
    for name, there in (
        ("cases", town.cases.keys() | parked),
        ("armed", town.armed.keys() | parked),
        ("counted", town.counted.keys() | parked),
    ):
        if missing := town.petitions.keys() - there:
            yield Finding("lost", f"{name}: petitions kept by intake missing", len(missing))
        if strange := there - town.petitions.keys():
            yield Finding("doubled", f"{name}: no petition of intake explains them", len(strange))


def one_petition_per_key(book: Book, town: Holdings) -> Iterator[Finding]:
    """A key has one petition, told in one way, whatever became of its requests."""
    keys = Counter(town.petitions.values())
    for key, n in keys.items():
        if n > 1:
            yield Finding("doubled", f"{n} petitions under key {key}", n - 1)
        if key not in book.asked:
            yield Finding("doubled", f"nobody sent the petition under key {key}")
    for asked in book.of("petition"):
        if len(asked.told) > 1:
            yield Finding("doubled", f"key {asked.key} was told {sorted(asked.told)}")
        if not asked.is_done and not asked.is_open:
            yield Finding("wrong", f"key {asked.key} was refused: {dict(asked.statuses)}")


def supplements_once(book: Book, town: Holdings) -> Iterator[Finding]:
    """What was added is there once, and was heard by the router."""
    for asked in book.of("supplement"):
        yield from once(asked, town.supplements.get((asked.about, asked.key), 0))
    for id_, said in town.said.items():
        heard = town.heard.get(id_, 0)
        if heard < said and id_ not in town.parked_petitions:
            yield Finding("lost", f"{id_}: intake said {said}, the router heard {heard}")
        if heard > said:
            yield Finding("wrong", f"{id_}: intake said {said}, the router heard {heard}")


def commands_once(book: Book, town: Holdings) -> Iterator[Finding]:
    """A command that was told "done" has one step in the history; refused, it has none."""
    known = set()
    for asked in book.of("command"):
        cause = f"command:{derived_id('command', SUBJECT, asked.key)}"
        known.add(cause)
        yield from once(asked, town.effects.get(cause, 0))
        if len(asked.told) > 1:
            yield Finding("doubled", f"key {asked.key} was answered in {len(asked.told)} ways")
    for cause, n in town.effects.items():
        if cause.startswith("command:") and cause not in known:
            yield Finding("doubled", f"nobody gave {cause}", n)


def once(asked: Asked, effects: int) -> Iterator[Finding]:
    """At most one effect; one if it was promised; none if it was refused."""
    if effects > 1:
        yield Finding("doubled", f"{asked.what} {asked.key}: {effects} effects", effects - 1)
    if asked.is_done and not effects:
        yield Finding("lost", f"{asked.what} {asked.key}: promised, and not there")
    if effects and not asked.is_done and not asked.is_open:
        yield Finding("doubled", f"{asked.what} {asked.key}: refused, and there all the same")


def notes_are_kept(book: Book, town: Holdings) -> Iterator[Finding]:
    """A desk that was told that its note is taken finds it taken."""
    for asked in book.of("note"):
        if asked.is_done and asked.key not in town.taken_note:
            yield Finding("lost", f"the note of {asked.key} is not taken")


def histories_are_gapless(_: Book, town: Holdings) -> Iterator[Finding]:
    """Each case opens once, its seq has no hole, and the case is where its history ends.

    In a new epoch, after a restore, it counts from one again.
    """
    openings = Counter[UUID]()
    newest = {id_: epoch for id_, epoch in sorted(town.history)}
    for (id_, epoch), steps in town.history.items():
        openings[id_] += steps.opened
        if steps.first != 1 or steps.last != steps.n:
            yield Finding("lost", f"{id_}: seq {steps.first} to {steps.last} in {steps.n} steps")
        if epoch == newest[id_] and town.cases.get(id_) != Order(epoch, steps.last):
            yield Finding("wrong", f"{id_} is at {town.cases.get(id_)}, its history at {steps}")
    for id_ in town.cases:
        if openings[id_] > 1:
            yield Finding("doubled", f"{id_} was opened {openings[id_]} times", openings[id_] - 1)


def topics_are_in_order(_: Book, town: Holdings) -> Iterator[Finding]:
    """Of each subject: first said in order, without a hole; each place is one event for ever.

    In a new epoch, after a restore, it goes on wherever the restored database is; what was
    forgotten happens again there, under the id of its cause.
    """
    for (topic, key), log in town.topics.items():
        first: dict[Order, bytes] = {}
        for order, event_id in log.said:
            if first.setdefault(order, event_id) != event_id:
                yield Finding("doubled", f"{topic} {key}: two events at {order}")
        for epoch in {order.epoch for order in first}:
            places = [order.seq for order in first if order.epoch == epoch]
            begin = places[0] if epoch > 1 else 1
            if places != list(range(begin, begin + len(places))):
                yield Finding("wrong", f"{topic} {key}: said in the order {places[:12]}")
            if topic is not Topic.ESCALATION:  # an order that is said again has a new place
                ids = [event_id for order, event_id in first.items() if order.epoch == epoch]
                yield from one_place_each(topic, key, ids)


def one_place_each(topic: Topic, key: str, ids: Iterable[bytes]) -> Iterator[Finding]:
    """A cause has one event."""
    for event_id, n in Counter(ids).items():
        if n > 1:
            yield Finding("doubled", f"{topic} {key}: {event_id.decode()} at {n} places", n - 1)


def orders_are_applied_once(_: Book, town: Holdings) -> Iterator[Finding]:
    """Each event and each order made one step at most."""
    for cause, n in town.effects.items():
        if n > 1 and cause.startswith(("order:", "event:")):
            yield Finding("doubled", f"{cause} made {n} steps", n - 1)


def warnings_are_given_once(_: Book, town: Holdings) -> Iterator[Finding]:
    """A promise warns at most once for each mark of its clocks and each of their starts."""
    for (case_id, clock), n in town.warnings.items():
        log = town.topics.get((Topic.ROUTER, str(case_id)), Log())
        most: dict[tuple[str, int], int] = {}
        for name, started, marks in log.clocks:
            if promise_of(name) == clock:
                most[name, started] = max(most.get((name, started), 0), marks)
        if n > sum(most.values()):
            yield Finding("doubled", f"{case_id} {clock}: {n} warnings of {sum(most.values())}")


def everybody_is_in_step(_: Book, town: Holdings) -> Iterator[Finding]:
    """Escalation, analytics and the receipts stand where the router and its topic stand."""
    for id_, order in town.cases.items():
        topic = town.topics.get((Topic.ROUTER, str(id_)), Log()).newest
        for name, found in (
            ("router.events", topic),
            ("armed", town.armed.get(id_)),
            ("counted", town.counted.get(id_)),
            ("receipt", town.receipts.get(id_)),
        ):
            if found != order:
                yield Finding("wrong", f"{id_} is at {order}, {name} at {found}")
        clocks = town.clocks[id_] if town.stages[id_] not in ("closed", "handed_off") else set()
        if clocks != town.armed_clocks.get(id_, set()):
            says = f"{id_}: {sorted(clocks)} run, {sorted(town.armed_clocks.get(id_, ()))} armed"
            yield Finding("wrong", says)


def figures_add_up(_: Book, town: Holdings) -> Iterator[Finding]:
    """Analytics counts as many open and closed cases as the router has."""
    shut = sum(stage in ("closed", "handed_off") for stage in town.stages.values())
    for name, wanted in (("open", len(town.stages) - shut), ("closed", shut)):
        found = sum(town.standings.get(standing, 0) for standing in OPENED_BY[name])
        if found != wanted:
            sort: Sort = "lost" if found < wanted else "doubled"
            says = f"analytics counts {found} {name} cases, the router has {wanted}"
            yield Finding(sort, says, abs(found - wanted))


def nothing_is_parked(_: Book, town: Holdings) -> Iterator[Finding]:
    """Nothing that was sent here is unreadable, and no event is missing before another."""
    for what in town.parked:
        yield Finding("wrong", f"parked at {what}")


Check: TypeAlias = Callable[[Book, Holdings], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    at_rest,
    accepted_is_kept,
    all_know_the_same,
    one_petition_per_key,
    supplements_once,
    commands_once,
    notes_are_kept,
    histories_are_gapless,
    topics_are_in_order,
    orders_are_applied_once,
    warnings_are_given_once,
    everybody_is_in_step,
    figures_add_up,
    nothing_is_parked,
)
