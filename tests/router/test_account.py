"""The clock account: what it says of any life of a case adds up, and of some lives by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant

from services.router.decisions.account import Account, Line, Told, reason_of
from services.router.decisions.case import Case
from services.router.decisions.commands import ApplyOrder, Changed, OfficerCommand, Open
from services.router.decisions.workflow import decide
from shared import business_time
from shared.durations import Unit, parse_limit
from shared.events import promise_of
from shared.identity import Actor
from tests.router.stories import (
    COMMUNITY,
    ESCALATION,
    GRID,
    HOUR,
    MINUTE,
    NOON,
    ROUTER,
    RUBBISH,
    STREET,
    at,
    cadre,
    command,
    examples,
    giver,
    officer,
    order,
    petition,
    shipped_policy,
    sure,
    unclear,
)
from tests.router.test_case_machine import Life

MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
IN_TIME = ("seconds", "working_seconds")


def counted_by_the_calendar(line: Line, start: datetime, end: datetime) -> int:
    """The microseconds between two moments that count for a promise, stretch by stretch."""
    unit = Unit.WORKING_HOURS if line.counts_in == "working_seconds" else Unit.SECONDS
    spans = business_time.stretches(start, end, unit, shipped_policy().calendar)
    return sum((span.end - span.start) // MICROSECOND for span in spans)


class Accounted(Life):
    """Any life of a case, with its account kept beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(self.policy)
        self.kept_from = Account(self.policy)
        self.steps = 0

    def remember(self, before: Case | None, decision: Changed) -> None:
        super().remember(before, decision)
        said = (decision.event, decision.transitions, decision.rule)
        step = Told(self.now, *said, "a role", GRID, self.case)
        self.account.hear(step)
        self.steps += 1
        if self.steps % 4 not in (2, 3):
            self.kept_from.hear(step)  # who was shut out for a time

    @property
    def lines(self) -> list[Line]:
        return self.account.upto(self.now)

    @invariant()
    def what_runs_is_what_the_case_says(self) -> None:
        running = {line.name: line for line in self.lines if line.ended is None}
        assert running.keys() == {clock.name for clock in self.case.clocks}
        for clock in self.case.clocks:
            line = running[clock.name]
            last = line.spans[-1]
            assert (line.start, line.due_at) == (clock.started_at, clock.due_at)
            assert last.owner == (clock.owner_division, clock.owner_role, clock.owner_office)
            assert (last.state == "paused") is clock.paused
            if line.counts_in in IN_TIME and last.state in ("counted", "paused"):
                # What is left leads from here, or from where it stands still, to the due time.
                here = self.case.pause.since if clock.paused and self.case.pause else self.now
                assert counted_by_the_calendar(line, here, line.due_at) == line.left

    @property
    def all_lines(self) -> list[Line]:
        return [*self.lines, *self.kept_from.upto(self.now)]

    @invariant()
    def the_spans_of_a_promise_follow_one_another_without_a_hole(self) -> None:
        for line in self.all_lines:
            assert line.spans[0].start == line.start
            for one, next_one in zip(line.spans, line.spans[1:], strict=False):
                assert one.start <= (one.end or one.start)
                assert one.end == next_one.start
            until = None if line.ended is None else line.ended[1].at
            assert line.spans[-1].end == until

    @invariant()
    def what_is_counted_and_what_is_left_is_the_limit(self) -> None:
        for line in self.all_lines:
            counted = sum(span.counted for span in line.spans)
            assert line.left >= 0
            assert counted + line.left == line.amount + sum(one.amount for one in line.added)
            limit = parse_limit(line.limit)
            if line.counts_in == "seconds":
                seconds = {Unit.SECONDS: 1, Unit.MINUTES: 60, Unit.HOURS: 3600}[limit.unit]
                assert abs(line.amount - limit.amount * seconds * SECOND) < SECOND
            elif line.counts_in == "working_seconds":
                assert line.amount == limit.amount * 3600 * SECOND

    @invariant()
    def each_span_counts_what_the_calendar_counts(self) -> None:
        for line in self.lines:
            for span in line.spans:
                if span.state != "counted":
                    assert span.counted == 0
                elif line.counts_in in IN_TIME:
                    end = span.end or self.now
                    assert span.counted == counted_by_the_calendar(line, span.start, end)

    @invariant()
    def nothing_is_added_without_a_reason(self) -> None:
        grace = self.policy.settings.unclassified.grace_after_classifying
        for line in self.lines:
            for one in line.added:
                if one.why == "grace":
                    assert one.amount <= grace // MICROSECOND
                elif one.why == "extension":
                    given = one.step.case.extension
                    assert given is not None
                    assert given.granted_at is not None
                    assert line.counts_in != "seconds" or one.amount <= given.by // MICROSECOND
                else:
                    assert line.counts_in not in IN_TIME

    @invariant()
    def it_stands_still_within_the_pauses_of_the_case_only(self) -> None:
        case = self.case
        stood = [(one.start, one.end) for one in case.pauses]
        if case.pause is not None:
            stood.append((case.pause.since, self.now))
        for line in self.lines:
            for span in line.spans:
                if span.state == "paused":
                    end = span.end or self.now
                    assert any(since <= span.start and end <= until for since, until in stood)

    @invariant()
    def what_was_missed_is_told_so(self) -> None:
        ends = [(promise_of(one.name), one.ended[0]) for one in self.lines if one.ended is not None]
        # The end of a pause is no promise to anybody.
        broken = {name for name, how in ends if how in ("broken", "lapsed")} - {"pause"}
        overdue = {
            promise_of(one.name)
            for one in self.lines
            if any(span.state == "overdue" for span in one.spans)
        }
        assert broken <= self.missed <= broken | overdue
        met = {name for name, how in ends if how == "met"}
        assert {name for name, kept in self.case.on_time.items() if kept} <= met
        assert met <= self.case.on_time.keys()


Accounted.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyAccountAddsUp = Accounted.TestCase


# ---------------------------------------------------------------- some lives by hand


class Story:
    """A case and its account, step by step."""

    def __init__(self, asked: Open) -> None:
        self.account = Account(shipped_policy())
        self.case = self.step(None, asked, ROUTER, asked.received_at)

    def then(
        self, asked: str | OfficerCommand | ApplyOrder, now: datetime, who: Actor | None = None
    ) -> Story:
        whole = examples(now)[asked] if isinstance(asked, str) else asked
        if isinstance(whole, ApplyOrder):
            who = ESCALATION
        else:
            who = who or giver(whole.command, self.case)
        self.case = self.step(self.case, whole, who, now)
        return self

    def step(
        self,
        case: Case | None,
        asked: Open | OfficerCommand | ApplyOrder,
        who: Actor,
        now: datetime,
    ) -> Case:
        did = decide(case, asked, who, shipped_policy(), now)
        assert isinstance(did, Changed), did
        role = ",".join(sorted(who.roles))
        said = (did.event, did.transitions, did.rule)
        self.account.hear(Told(now, *said, role, who.division, did.case))
        return did.case

    def of(self, name: str, now: datetime) -> list[Line]:
        return [line for line in self.account.upto(now) if line.name == name]

    def last(self, name: str, now: datetime) -> Line:
        return self.of(name, now)[-1]


def shape(line: Line) -> Sequence[tuple[str, tuple[str, ...], float]]:
    """The spans in hours."""
    return [(s.state, s.begun, s.counted / 3600 / SECOND) for s in line.spans]


def hours(amount: int) -> float:
    return amount / 3600 / SECOND


def test_a_pause_stands_in_the_account_with_its_reason_and_who_agreed_to_it() -> None:
    story = Story(petition(sure(RUBBISH)))
    story.then("sign", NOON + 10 * MINUTE).then("pause", NOON + HOUR)
    standing = story.last("tier", NOON + 90 * MINUTE)
    assert shape(standing) == [("counted", ("started",), 1), ("paused", ("paused",), 0)]
    assert (standing.limit, standing.counts_in, hours(standing.left)) == (
        "4wh",
        "working_seconds",
        3,
    )
    story.then("resume", NOON + 100 * MINUTE).then("resolve", NOON + 2 * HOUR)
    told = story.last("tier", NOON + 9 * HOUR)
    assert shape(told)[2] == ("counted", ("resumed",), 20 / 60)
    assert hours(told.left) == pytest.approx(4 - 1 - 1 / 3)
    assert told.ended is not None
    assert (told.ended[0], told.ended[1].event, told.added) == ("met", "resolved", ())
    paused = told.spans[1].step
    assert (reason_of(paused), paused.role, paused.division) == (
        "waiting_for_petitioner", "grid_head", GRID,
    )  # fmt: skip
    assert reason_of(told.spans[0].step) is None


def test_a_broken_promise_was_overdue_and_the_next_tier_has_its_own() -> None:
    story = Story(petition(sure(RUBBISH)))
    late = NOON + 6 * HOUR
    story.then(order(story.case), late)
    first, second = story.of("tier", late + HOUR)
    assert shape(first) == [("counted", ("started",), 4), ("overdue", ("ran_out",), 0)]
    assert first.ended is not None
    assert (first.ended[0], first.ended[1].rule, first.left) == ("broken", "clock/tier", 0)
    assert (second.start, second.spans[0].owner.division) == (late, COMMUNITY)
    carried = story.last("final_reply", late)
    assert [(span.begun, span.owner.division) for span in carried.spans] == [
        (("started",), GRID),
        (("carried",), COMMUNITY),
    ]
    assert hours(carried.left) == 168 - 6


def test_what_stands_still_and_is_carried_to_another_has_left_what_it_had_left() -> None:
    story = Story(petition(sure(RUBBISH)))
    story.then("sign", NOON + 10 * MINUTE).then("pause", NOON + HOUR)
    story.then(order(story.case), NOON + 90 * MINUTE)
    told = story.last("final_reply", NOON + 100 * MINUTE)
    assert [(span.state, span.begun, span.owner.division) for span in told.spans] == [
        ("counted", ("started",), GRID),
        ("paused", ("paused",), GRID),
        ("paused", ("carried",), COMMUNITY),
    ]
    assert hours(told.left) == 167


@pytest.mark.parametrize(("ends", "how"), [("finish_task", "met"), ("withdraw_task", "void")])
def test_what_is_asked_of_others_has_a_line_of_its_own(ends: str, how: str) -> None:
    story = Story(petition(sure(RUBBISH)))
    story.then("sign", NOON + MINUTE).then("give_task", NOON + HOUR)
    (running,) = story.of("copy/1", NOON + 2 * HOUR)
    assert (running.ended, running.start) == (None, NOON + HOUR)
    assert running.spans[0].owner.division == COMMUNITY
    story.then(ends, NOON + 3 * HOUR)
    (line,) = story.of("copy/1", NOON + 4 * HOUR)
    assert line.ended is not None
    assert (line.ended[0], hours(line.spans[0].counted)) == (how, 2)
    assert sum(span.counted for span in line.spans) + line.left == line.amount


def test_more_time_stands_apart_from_the_limit_with_who_gave_it() -> None:
    story = Story(petition(sure(RUBBISH)))
    story.then("extend", NOON + HOUR).then("grant_extension", NOON + 2 * HOUR)
    told = story.last("final_reply", NOON + 2 * HOUR)
    assert [(one.why, hours(one.amount), one.step.role) for one in told.added] == [
        ("extension", 49, "office_head")
    ]
    assert shape(told) == [("counted", ("started",), 2), ("counted", ("extended",), 0)]
    assert hours(told.left) == 168 + 49 - 2
    assert story.case.extension is not None
    assert told.due_at == story.case.extension.until


def test_another_limit_is_counted_from_the_same_receipt_and_the_first_is_replaced() -> None:
    story = Story(petition(unclear()))
    story.then(command("classify", category="E0115"), NOON + HOUR, officer(GRID))
    first, second = story.of("final_reply", NOON + HOUR)
    assert first.ended is not None
    assert (first.limit, first.ended[0]) == ("168h", "replaced")
    assert (second.limit, second.start, hours(second.left)) == ("24h", NOON, 23)
    assert second.step.at == NOON + HOUR


def test_what_was_past_when_its_limit_became_known_has_a_grace() -> None:
    story = Story(petition(unclear()))
    now = NOON + 30 * HOUR
    story.then(command("classify", category="E0115"), now, officer(GRID))
    told = story.last("final_reply", now + MINUTE)
    assert [(one.why, one.amount) for one in told.added] == [("grace", 600 * SECOND)]
    assert [(span.state, hours(span.counted)) for span in told.spans] == [
        ("counted", 24),
        ("overdue", 0),
        ("counted", pytest.approx(1 / 60)),
    ]
    assert told.left == 540 * SECOND


def test_at_night_nothing_is_counted_until_the_opening() -> None:
    night = at("2024-05-20 23:00")
    story = Story(petition(sure(RUBBISH), night))
    told = story.last("verify", at("2024-05-21 07:30"))
    assert shape(told) == [("before_opening", ("started",), 0), ("counted", ("opened",), 0.5)]
    assert hours(story.last("verify", at("2024-05-21 03:00")).left) == 1


def test_a_case_that_came_back_promises_anew_and_its_old_promises_stay() -> None:
    story = Story(petition(sure(RUBBISH)))
    story.then("sign", NOON + HOUR).then("reply", NOON + HOUR, cadre())
    story.then("resolve", NOON + 2 * HOUR)
    story.then("close", NOON + 3 * HOUR).then("reopen", NOON + 5 * HOUR)
    first, second = story.of("reply", NOON + 6 * HOUR)
    assert first.ended is not None
    assert (first.ended[0], hours(first.left)) == ("met", 23)
    assert (second.spans[0].begun, second.start) == (("reopened",), NOON + 5 * HOUR)
    assert reason_of(second.step) == "came_back"
    assert second.spans[0].owner.division == STREET


def test_a_promise_that_nobody_owes_any_more_is_neither_met_nor_broken() -> None:
    story = Story(petition(sure(RUBBISH)))
    story.then("sign", NOON + MINUTE).then("return", NOON + HOUR)
    ends = {line.name: line.ended[0] for line in story.account.upto(NOON + HOUR) if line.ended}
    assert ends == {"sign": "met", "tier": "void", "object": "void", "verify": "void"}


def test_a_step_that_is_kept_from_the_reader_leaves_no_hole_and_no_name() -> None:
    story = Story(petition(sure(RUBBISH)))
    account = Account(shipped_policy())
    opened = story.account.promises[0].step
    account.hear(opened)
    story.then("promote", NOON + HOUR).then("promote", NOON + 2 * HOUR)
    last = story.account.running["sign"].step
    assert last.case.tier == "street"
    account.hear(last)
    for line in account.upto(NOON + 3 * HOUR):
        assert all(span.step in (opened, last) for span in line.spans)
        assert all(a.end == b.start for a, b in zip(line.spans, line.spans[1:], strict=False))
        counted = sum(span.counted for span in line.spans)
        assert counted + line.left == line.amount + sum(one.amount for one in line.added)
