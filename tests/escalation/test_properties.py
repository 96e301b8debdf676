"""Whatever the router says and whenever the sweep runs: once is once, and nothing is forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.escalation.decisions import MOST_REMINDERS, Armed, arm, next_at, sweep
from shared.divisions import is_within
from shared.events import CaseSnapshot, ClockSnapshot
from tests.escalation.stories import (
    COMMUNITY,
    DISTRICT,
    GRID,
    HOUR,
    STREET,
    at,
    case,
    clock,
    news,
)

NAMES = st.sampled_from(["reply", "tier", "sign"])
DIVISIONS = st.sampled_from([GRID, COMMUNITY, STREET, DISTRICT, "city"])
BREACHES = st.sampled_from(["promote", "supervise", "remind", "lapse", "none"])


class LifeOfACase(RuleBasedStateMachine):
    """A router that keeps the contract, a sweep that comes when it comes, and what was done."""

    @initialize(accused=st.none() | DIVISIONS)
    def opened(self, accused: str | None) -> None:
        self.now = 0
        self.seq = 0
        self.accused = accused
        self.running: dict[str, ClockSnapshot] = {}
        self.generations: dict[str, int] = {}
        self.armed: Armed | None = None
        self.orders: set[tuple[str, int]] = set()
        self.warned: set[tuple[str, int, int]] = set()
        self.reminded: Counter[tuple[str, int, str]] = Counter()
        self.say()

    def say(self) -> None:
        """The router says the case; the same record may come twice."""
        self.seq += 1
        snapshot = case(*self.running.values(), accused_division=self.accused)
        self.armed = arm(self.armed, news(self.seq, snapshot))
        assert arm(self.armed, news(self.seq, case())) is self.armed

    def raised(self, name: str) -> int:
        """The next generation of a clock."""
        self.generations[name] = self.generations.get(name, 0) + 1
        return self.generations[name]

    @rule(
        name=NAMES,
        length=st.integers(1, 60),
        owner=DIVISIONS,
        on_breach=BREACHES,
        repeat=st.none() | st.integers(1, 30),
    )
    def start(
        self,
        name: str,
        length: int,
        owner: str,
        on_breach: str,
        repeat: int | None,
    ) -> None:
        started = 0 if name == "reply" else self.now
        due = started + length * HOUR
        self.running[name] = clock(
            name,
            generation=self.raised(name),
            owner_division=owner,
            started=started,
            due=due,
            warn=tuple(started + (due - started) * part // 100 for part in (50, 80, 95)),
            on_breach=on_breach,
            repeat=repeat and repeat * HOUR,
        )
        self.say()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        self.raised(name)
        del self.running[name]
        self.say()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def stop_and_start_as_before(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        old = self.running.pop(name)
        self.raised(name)
        self.say()
        update = {"generation": self.raised(name), "answered": False}
        self.running[name] = old.model_copy(update=update)
        self.say()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), owner=DIVISIONS, hours=st.integers(0, 30), paused=st.booleans())
    def change(self, data: st.DataObject, owner: str, hours: int, paused: bool) -> None:
        """Another owner, a pause, or its end that moves the due time and the marks."""
        name = data.draw(st.sampled_from(sorted(self.running)))
        old = self.running[name]
        later = hours * HOUR
        self.running[name] = old.model_copy(
            update={
                "generation": self.raised(name),
                "owner_division": owner,
                "paused": paused,
                "answered": False,
                "due": old.due + later,
                "warn": tuple(mark + later for mark in old.warn),
            }
        )
        self.say()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.running)))
        self.running[name] = self.running[name].model_copy(update={"answered": True})
        self.say()

    @rule(hours=st.integers(0, 24))
    def sweep(self, hours: int) -> None:
        self.now += hours * HOUR
        before = self.armed
        assert before is not None
        swept = sweep(before, at(self.now))
        self.armed = swept.armed
        for order in swept.orders:
            key = (order.clock, order.generation)
            assert key not in self.orders
            self.orders.add(key)
        told = {(n.clock, n.reason) for n in swept.notices}
        assert len(told) == len({name for name, _ in told}), "one notice per clock and sweep"
        for name in [name for name, reason in told if reason == "warning"]:
            one = self.running[name]
            mark = sum(time <= self.now for time in one.warn)
            assert (name, one.started, mark) not in self.warned
            self.warned.add((name, one.started, mark))
        for name, reason in told:
            one = self.running[name]
            if one.on_breach == "remind" and reason != "warning":
                self.reminded[name, one.generation, reason] += 1
                assert self.reminded[name, one.generation, "reminder"] <= MOST_REMINDERS
        for notice in swept.notices:
            if self.accused not in (None, "city"):
                assert self.accused is not None
                assert not is_within(notice.desk.division, self.accused)
        following = next_at(self.armed)
        assert following is None or following > at(self.now)

    @invariant()
    def nothing_happens_before_the_next_time_and_something_does_then(self) -> None:
        if self.armed is None:
            return
        following = next_at(self.armed)
        if following is None:
            assert sweep(self.armed, at(10_000 * HOUR)).armed == self.armed
        else:
            early = following - timedelta(milliseconds=1)
            assert sweep(self.armed, early).armed == self.armed
            assert sweep(self.armed, following).armed != self.armed


TestLifeOfACase = LifeOfACase.TestCase
TestLifeOfACase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


clocks = st.builds(
    lambda name, generation, due, paused, on_breach: clock(
        name, generation=generation, due=due, paused=paused, on_breach=on_breach
    ),
    NAMES,
    st.integers(1, 5),
    st.integers(0, 100 * HOUR),
    st.booleans(),
    BREACHES,
)
snapshots = st.builds(
    lambda running, stage, holder: case(*running, stage=stage, holder=holder),
    st.lists(clocks, max_size=3, unique_by=lambda one: one.name),
    st.sampled_from(["assigned", "closed"]),
    DIVISIONS,
)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[CaseSnapshot, Sequence[tuple[int, CaseSnapshot]]]:
    """The last snapshot of a case, and all of them in any order with duplicates."""
    life = draw(st.lists(snapshots, min_size=1, max_size=5))
    said = list(enumerate(life, start=1))
    again = draw(st.lists(st.sampled_from(said), max_size=5))
    return life[-1], draw(st.permutations(said + again))


@given(arrivals())
def test_the_order_of_delivery_means_nothing(
    arrived: tuple[CaseSnapshot, Sequence[tuple[int, CaseSnapshot]]],
) -> None:
    last, records = arrived
    state: Armed | None = None
    for seq, snapshot in records:
        state = arm(state, news(seq, snapshot))
    assert state == arm(None, news(max(seq for seq, _ in records), last))
