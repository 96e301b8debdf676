"""The life of a case in which everybody asks everybody: what always holds of its tasks."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from services.router.decisions.clocks import owner_of_task
from services.router.decisions.commands import Changed
from services.router.decisions.routing import Facts
from services.router.decisions.tasks import MOST_OPEN, MOST_TASKS
from services.router.decisions.workflow import decide
from shared.divisions import is_within
from shared.events import promise_of
from shared.identity import Actor
from tests.router.stories import HOUR, NOON, petition
from tests.router.test_case_machine import LADDER, ROUTER, Life, actors, plain

OFFICES = (
    "sanitation",
    "city-management",
    "lighting",
    "labour-mediation",
    "fire-service",
    "nobody",
)
offices = st.sampled_from(OFFICES)
numbers = st.integers(1, 6)


class Tasks(Life):
    """Any life of a case, and on the way whistles, objections, conferences and other tasks."""

    @initialize(facts=plain)
    def open(self, facts: Facts) -> None:  # type: ignore[override]
        self.now = NOON
        decision = decide(None, petition(facts), ROUTER, self.policy, self.now)
        assert isinstance(decision, Changed)
        self.case = decision.case
        self.remember(None, decision)

    @precondition(lambda self: self.takes("ask_whistle") and self.case.tier == "grid")
    @rule(who=actors)
    def ask_whistle(self, who: Actor) -> None:
        self.ask("ask_whistle", who, note="x")

    @precondition(lambda self: self.takes("whistle") and not self.case.is_whistled)
    @rule(office=offices, who=actors)
    def blow(self, office: str, who: Actor) -> None:
        self.ask("whistle", who, offices=[office], reason="danger", note="x")

    @precondition(lambda self: self.takes("give_task"))
    @rule(
        kind=st.sampled_from(["report_in", "report_in", "assist", "team", "adviser", "copy"]),
        office=st.none() | offices,
        hours=st.none() | st.integers(-1, 300),
        who=actors,
    )
    def give_task(self, kind: str, office: str | None, hours: int | None, who: Actor) -> None:
        until = None if hours is None else self.now + timedelta(hours=hours)
        self.ask("give_task", who, kind=kind, office=office, until=until, note="x")

    @precondition(lambda self: self.case.open_tasks)
    @rule(which=numbers, who=actors)
    def report_in(self, which: int, who: Actor) -> None:
        self.ask("report_in", who, task=self.one_of_them(which), on_site=self.now + HOUR)

    @precondition(lambda self: self.case.open_tasks)
    @rule(which=numbers, who=actors)
    def refuse_task(self, which: int, who: Actor) -> None:
        task = self.one_of_them(which)
        self.ask("refuse_task", who, task=task, reason="no_capacity", note="x")

    @precondition(lambda self: any(task.is_disputed for task in self.case.open_tasks))
    @rule(which=numbers, yes=st.booleans(), who=actors)
    def decide_objection(self, which: int, yes: bool, who: Actor) -> None:
        decision = "uphold" if yes else "overrule"
        task = self.one_of_them(which)
        self.ask("decide_objection", who, task=task, decision=decision, note="x")

    @precondition(lambda self: self.case.open_tasks)
    @rule(which=numbers, good=st.none() | st.booleans(), who=actors)
    def finish_task(self, which: int, good: bool | None, who: Actor) -> None:
        self.ask("finish_task", who, task=self.one_of_them(which), result="x", good=good)

    @precondition(lambda self: self.case.open_tasks)
    @rule(which=numbers, who=actors)
    def withdraw_task(self, which: int, who: Actor) -> None:
        self.ask("withdraw_task", who, task=self.one_of_them(which), note="x")

    @precondition(lambda self: self.takes("call_conference"))
    @rule(members=st.lists(offices | st.sampled_from(LADDER), min_size=2, max_size=3), who=actors)
    def call_conference(self, members: list[str], who: Actor) -> None:
        self.ask("call_conference", who, members=members, meets_at=self.now + HOUR, note="x")

    @precondition(lambda self: any(task.kind == "conference" for task in self.case.open_tasks))
    @rule(division=st.sampled_from([*LADDER]), office=st.none() | offices, who=actors)
    def conference_decides(self, division: str, office: str | None, who: Actor) -> None:
        self.ask("conference_decides", who, division=division, office=office, note="x")

    def one_of_them(self, which: int) -> int:
        """The number of an open task."""
        tasks = self.case.open_tasks
        return tasks[which % len(tasks)].n

    # ------------------------------------------------------------ what always holds

    @invariant()
    def each_open_task_has_one_clock_whose_owner_has_to_do_something(self) -> None:
        case = self.case
        named = [clock for clock in case.clocks if promise_of(clock.name) != clock.name]
        assert sorted(clock.name for clock in named) == sorted(t.clock for t in case.open_tasks)
        for clock in named:
            task = case.task_of(clock.name)
            assert task is not None
            owner = owner_of_task(task, case, self.policy)
            assert owner == (clock.owner_division, clock.owner_role, clock.owner_office)

    @invariant()
    def tasks_are_numbered_and_few(self) -> None:
        tasks = self.case.tasks
        assert [task.n for task in tasks] == list(range(1, len(tasks) + 1))
        assert len(self.case.open_tasks) <= MOST_OPEN + 1
        assert len(tasks) <= MOST_TASKS + 1

    @invariant()
    def who_is_accused_has_no_task(self) -> None:
        case = self.case
        for task in case.open_tasks:
            assert task.office is None or not case.accused_unknown
            assert task.office is None or task.office != case.accused_office
            if case.accused_division is not None:
                assert not is_within(task.division, case.accused_division)

    @invariant()
    def a_whistle_is_commanded_from_the_street_up(self) -> None:
        case = self.case
        if case.is_whistled:
            assert case.whistle is not None
            assert case.stage in ("assigned", "signed", "resolved")
            assert case.tier in ("street", "district") or case.whistle.state == "result"
        if not case.is_open:
            assert not case.open_tasks
            assert not case.is_whistled


Tasks.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyTasksOfACase = Tasks.TestCase
