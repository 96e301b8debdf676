"""The life of a case in which everybody asks everybody: what always holds of its tasks."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from services.router.decisions.clocks import owner_of_task
from services.router.decisions.commands import Changed
from services.router.decisions.routing import Facts
from services.router.decisions.tasks import MOST_OPEN, MOST_TASKS
from services.router.decisions.workflow import allowed_actions, decide
from shared.divisions import is_within
from shared.events import promise_of
from tests.router.stories import HOUR, LADDER, NOON, ROUTER, RUBBISH, petition, sure
from tests.router.test_case_machine import ABLE, Life, anybody, plain

BUREAU = "city-management"
OFFICES = (
    "sanitation",
    "city-management",
    "lighting",
    "labour-mediation",
    "fire-service",
    "nobody",
)
offices = st.sampled_from(OFFICES)
divisions = st.sampled_from(LADDER)
kinds = st.sampled_from(["report_in", "report_in", "assist", "team", "adviser", "copy"])
actors = st.just(ABLE) | st.sampled_from([ABLE] * 4) | anybody
SAID: dict[str, st.SearchStrategy[object]] = {
    "offices": st.tuples(offices),
    "office": st.none() | offices,
    "kind": kinds,
    "reason": st.just("danger"),
    "decision": st.sampled_from(["uphold", "overrule", "overrule"]),
    "result": st.just("x"),
    "good": st.none() | st.booleans(),
    "members": st.lists(offices | divisions, min_size=2, max_size=3, unique=True),
    "division": divisions,
}
OF = {
    "ask_whistle": ["note"],
    "whistle": ["offices", "reason", "note"],
    "give_task": ["kind", "office", "until", "note"],
    "report_in": ["task", "on_site"],
    "refuse_task": ["task", "note"],
    "decide_objection": ["task", "decision", "note"],
    "finish_task": ["task", "result", "good"],
    "withdraw_task": ["task", "note"],
    "call_conference": ["members", "meets_at", "note"],
    "conference_decides": ["division", "office", "note"],
}


class Tasks(Life):
    """Any life of a case, and on the way whistles, objections, conferences and other tasks."""

    @initialize(facts=st.just(sure(RUBBISH)) | plain, far=st.sampled_from([0, 1, 2, 3, 4, 5, 6]))
    def open(self, facts: Facts, far: int) -> None:
        """A case on the way of a whistle, so far; where a command is refused it goes on without."""
        self.now = NOON
        decision = decide(None, petition(facts), ROUTER, self.policy, self.now)
        assert isinstance(decision, Changed)
        self.case = decision.case
        self.remember(None, decision)
        way: list[tuple[str, dict[str, object]]] = [
            ("ask_whistle", {"note": "x"}),
            ("whistle", {"offices": [BUREAU], "reason": "danger", "note": "x"}),
            ("give_task", {"kind": "report_in", "office": BUREAU, "note": "x"}),
            ("refuse_task", {"task": 2, "reason": "no_capacity", "note": "x"}),
            ("decide_objection", {"task": 2, "decision": "overrule", "note": "x"}),
            ("refuse_task", {"task": 2, "reason": "no_capacity", "note": "x"}),
        ]
        for name, fields in way[:far]:
            if self.takes(name):
                self.ask(name, ABLE, **fields)

    @precondition(lambda self: self.may_be_asked())
    @rule(data=st.data())
    def they_ask_and_answer(self, data: st.DataObject) -> None:
        """Up to six things that somebody may ask, or answer, one after the other."""
        for _ in range(6):
            names = self.may_be_asked()
            if not names:
                return
            name = data.draw(st.sampled_from(names), "asked")
            fields = data.draw(self.fields_of(name), "fields")
            if name == "refuse_task":
                fields["reason"] = "no_capacity"
            self.ask(name, data.draw(actors), **fields)
            self.each_open_task_has_one_clock_whose_owner_has_to_do_something()
            self.nothing_ends_in_silence()

    def may_be_asked(self) -> list[str]:
        """What those who have every role may do about tasks now."""
        return [name for name in allowed_actions(self.case, ABLE) if name in OF]

    def fields_of(self, name: str) -> st.SearchStrategy[dict[str, object]]:
        """Fields of such a command, most of them good ones."""
        now = self.now
        own: dict[str, st.SearchStrategy[object]] = {
            "note": st.just("x"),
            "task": st.sampled_from([task.n for task in self.case.open_tasks] or [1]),
            "on_site": st.just(now + HOUR),
            "until": st.none() | st.integers(-1, 300).map(lambda n: now + n * HOUR),
            "meets_at": st.just(now),
        }
        said = SAID | own
        return st.fixed_dictionaries({field: said[field] for field in OF[name]})

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
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyTasksOfACase = Tasks.TestCase
