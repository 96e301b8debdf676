"""Whoever watches must see it: each sort of harm is planted in a small town and found."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from bench.ledger import NO_ANSWER
from shared.events import Order, Topic, derived_id
from tests.faults.book import Book
from tests.faults.invariants import judge
from tests.faults.load import SUBJECT
from tests.faults.looking import Holdings, Log, Steps

CASES = (UUID(int=1), UUID(int=2))
FIRST, SECOND = Order(1, 1), Order(1, 2)
COMMAND = f"command:{derived_id('command', SUBJECT, 'c-1')}"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """Two petitions, one of them added to and signed; one more that got no answer."""
    book = Book(tmp_path / "book.ndjson")
    for case in CASES:
        book.note(book.new("petition", f"p-{case.int}"), 202, str(case))
    book.note(book.new("petition", "p-unknown"), NO_ANSWER)
    book.note(book.new("supplement", "s-1", str(CASES[0])), 202, str(uuid4()))
    book.note(book.new("command", "c-1", str(CASES[0])), 200, "{}")
    book.note(book.new("command", "c-refused", str(CASES[0])), 409)
    book.note(book.new("note", "n-1", "n-1"), 200, "n-1")
    yield book
    book.close()


@pytest.fixture
def town() -> Holdings:
    """What a town holds of it when nothing went wrong."""
    one, two = CASES
    town = Holdings(
        petitions={one: "p-1", two: "p-2"},
        said={one: 2, two: 1},
        heard={one: 2, two: 1},
        receipts={one: Order(1, 3), two: FIRST},
        supplements={(str(one), "s-1"): 1},
        cases={one: Order(1, 3), two: FIRST},
        stages={one: "signed", two: "assigned"},
        clocks={one: {("tier", 1, 60_000)}, two: set()},
        history={(one, 1): Steps(1, 3, 3, 1), (two, 1): Steps(1, 1, 1, 1)},
        effects={COMMAND: 1, "event:e": 1, "order:o": 1},
        armed={one: Order(1, 3), two: FIRST},
        armed_clocks={one: {("tier", 1, 60_000)}, two: set()},
        taken_note={"n-1"},
        warnings={(one, "tier"): 1},
        counted={one: Order(1, 3), two: FIRST},
        standings={"waiting": 0, "in_hand": 2},
    )
    for topic, n in ((Topic.INTAKE, 2), (Topic.ROUTER, 3)):
        town.topics[topic, str(one)] = log(topic, n)
        town.topics[topic, str(two)] = log(topic, 1)
    town.topics[Topic.ROUTER, str(one)].clocks = {("tier", 0, 1)}
    return town


def log(topic: Topic, n: int) -> Log:
    """Events one to n of a subject, the first of them twice."""
    said = [(Order(1, seq), f"{topic} {seq}".encode()) for seq in range(1, n + 1)]
    return Log(said=[*said, said[0]], newest=Order(1, n))


def test_a_town_that_keeps_its_promises_is_well(book: Book, town: Holdings) -> None:
    assert judge(book, town).findings == ()


def test_what_got_no_answer_may_be_there_or_not(book: Book, town: Holdings) -> None:
    third = UUID(int=3)
    town.petitions[third] = "p-unknown"
    town.said[third] = town.heard[third] = 1
    for held in (town.cases, town.armed, town.counted, town.receipts):
        held[third] = FIRST
    town.clocks[third] = town.armed_clocks[third] = set()
    town.stages[third] = "assigned"
    town.history[third, 1] = Steps(1, 1, 1, 1)
    town.standings["in_hand"] += 1
    town.topics[Topic.INTAKE, str(third)] = log(Topic.INTAKE, 1)
    town.topics[Topic.ROUTER, str(third)] = log(Topic.ROUTER, 1)
    assert judge(book, town).findings == ()


PLANTED: dict[str, tuple[str, Callable[[Holdings], object]]] = {
    "a petition is lost": ("lost", lambda t: t.petitions.pop(CASES[1])),
    "a case is lost": ("lost", lambda t: t.cases.pop(CASES[1])),
    "a case is not armed": ("lost", lambda t: t.armed.pop(CASES[1])),
    "a case is not counted": ("lost", lambda t: t.counted.pop(CASES[1])),
    "a figure is too low": ("lost", lambda t: t.standings.update(in_hand=1)),
    "a figure is too high": ("doubled", lambda t: t.standings.update(in_hand=3)),
    "a supplement is lost": ("lost", lambda t: t.supplements.clear()),
    "a supplement is there twice": (
        "doubled", lambda t: t.supplements.update({(str(CASES[0]), "s-1"): 2})),
    "the router missed an event": ("lost", lambda t: t.heard.update({CASES[0]: 1})),
    "a command is lost": ("lost", lambda t: t.effects.pop(COMMAND)),
    "a command is done twice": ("doubled", lambda t: t.effects.update({COMMAND: 2})),
    "a refused command is done": ("doubled", lambda t: t.effects.update(
        {f"command:{derived_id('command', SUBJECT, 'c-refused')}": 1})),
    "nobody gave a command": ("doubled", lambda t: t.effects.update({"command:x": 1})),
    "an event made two steps": ("doubled", lambda t: t.effects.update({"event:e": 2})),
    "an order is applied twice": ("doubled", lambda t: t.effects.update({"order:o": 2})),
    "a case opened twice": (
        "doubled", lambda t: t.history.update({(CASES[1], 1): Steps(1, 1, 1, 2)})),
    "a history has a hole": (
        "lost", lambda t: t.history.update({(CASES[0], 1): Steps(1, 3, 2, 1)})),
    "two petitions under one key": ("doubled", lambda t: t.petitions.update({uuid4(): "p-1"})),
    "nobody sent a petition": ("doubled", lambda t: t.petitions.update({uuid4(): "p-9"})),
    "a note is lost": ("lost", lambda t: t.taken_note.clear()),
    "a warning is given twice": (
        "doubled", lambda t: t.warnings.update({(CASES[0], "tier"): 2})),
    "two events at one place": (
        "doubled", lambda t: t.topics[Topic.ROUTER, str(CASES[0])].said.append((SECOND, b"x"))),
    "an event at two places": (
        "doubled", lambda t: t.topics[Topic.INTAKE, str(CASES[0])].said.append(
            (Order(1, 3), b"intake.events 2"))),
    "a topic is out of order": (
        "wrong", lambda t: t.topics[Topic.ROUTER, str(CASES[0])].said.reverse()),
    "a clock is not armed": ("wrong", lambda t: t.armed_clocks.update({CASES[0]: set()})),
    "a clock is armed that does not run": (
        "wrong", lambda t: t.armed_clocks.update({CASES[1]: {("tier", 1, 5)}})),
    "a receipt is behind": ("wrong", lambda t: t.receipts.update({CASES[0]: SECOND})),
    "something is parked": ("wrong", lambda t: t.parked.append("router: gap")),
    "an order has no answer": ("wrong", lambda t: t.waits.append("1 orders without an answer")),
}  # fmt: skip


@pytest.mark.parametrize("harm", PLANTED)
def test_planted_harm_is_found(book: Book, town: Holdings, harm: str) -> None:
    sort, plant = PLANTED[harm]
    broken = deepcopy(town)
    plant(broken)
    assert sort in {one.sort for one in judge(book, broken).findings}


def test_a_key_that_was_told_two_ids_is_doubled(book: Book, town: Holdings) -> None:
    book.note(book.asked["p-1"], 202, str(uuid4()))
    assert judge(book, town).count("doubled")


def test_a_petition_that_was_refused_for_good_is_told(book: Book, town: Holdings) -> None:
    book.note(book.new("petition", "p-refused"), 422)
    assert [one.sort for one in judge(book, town).findings] == ["wrong"]
