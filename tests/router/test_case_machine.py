"""Any command by anybody in any order, fresh or stale: what always holds of a case.

The model is a ledger: what was said so far, which orders were carried out, where the case was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, get_args

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from services.router.decisions.case import CASE, Case, changed_fields, duties, snapshot
from services.router.decisions.clocks import office_of
from services.router.decisions.commands import (
    ApplyOrder,
    Changed,
    Decision,
    Rate,
    Refused,
    Supplement,
)
from services.router.decisions.policy import Role
from services.router.decisions.routing import Facts
from services.router.decisions.tracks import TRACKS
from services.router.decisions.workflow import allowed_actions, decide
from shared.divisions import CITY, Tier, dispatcher_of, is_within, parent, tier_of
from shared.events import (
    CASE_EVENTS,
    Candidate,
    CaseChanged,
    Change,
    Order,
    RatingReason,
    Sign,
    dump,
    promise_of,
)
from shared.identity import Actor
from tests.router.stories import (
    BUS,
    COMMUNITY,
    DISPUTE,
    DISTRICT,
    ESCALATION,
    FIRE,
    GRID,
    LADDER,
    LAMP,
    MANHOLE,
    MINUTE,
    NEXT_COMMUNITY,
    NEXT_GRID,
    NEXT_STREET,
    NOON,
    QUESTION,
    ROUTER,
    RUBBISH,
    STREET,
    WISH,
    command,
    examples,
    petition,
    shipped_policy,
    sure,
)

PLACES = (*LADDER, NEXT_GRID, NEXT_COMMUNITY, NEXT_STREET, CITY)
CATEGORIES = (
    RUBBISH, WISH, LAMP, BUS, MANHOLE, FIRE, QUESTION, DISPUTE,
    "L99", "S01", "S05", "S07", "R01", "R02", "R03", "R05", "W02", "H02", "E0409", "Z99",
)  # fmt: skip
REASONS = {
    "return": ("not_in_my_area", "not_in_my_power", "wrong_category", "double"),
    "reroute": ("correction", "workload", "competence", "agreed"),
    "promote": ("beyond_authority", "repeat_open", "scale_up", "petitioner_request"),
}
ASKED = {
    "whistle", "report_in", "assist", "objection", "team", "adviser", "conference", "result",
    "copy",
}  # fmt: skip
HELD = {"verify", "reply", "tier", "final_reply", "pause"} | ASKED
RATINGS: tuple[RatingReason, ...] = get_args(RatingReason)
MAY_RUN: Mapping[tuple[str, str], set[str]] = {
    ("service", "registered"): {"dispatch", "reply", "final_reply", "conference"},
    ("service", "assigned"): HELD | {"sign"},
    ("service", "signed"): HELD | {"object"},
    ("service", "resolved"): {"reply", "callback", "result"},
    ("consult", "registered"): {"dispatch", "reply", "final_reply", "conference"},
    ("consult", "assigned"): HELD - {"verify"},
    ("consult", "signed"): HELD - {"verify"},
    ("consult", "resolved"): {"reply", "result"},
    ("handoff", "registered"): {"handover"},
    ("mediation", "registered"): {"dispatch", "reply"},
    ("xinfang", "registered"): {"dispatch", "reply"},
    ("project", "registered"): {"dispatch", "reply"},
}
LADDER_UP = list(Tier)
places = st.sampled_from(PLACES)
categories = st.sampled_from(CATEGORIES)
named = st.none() | st.sampled_from(["none", *LADDER, NEXT_GRID])
ABLE = Actor("somebody", frozenset(get_args(Role)), CITY)
anybody = st.builds(
    Actor,
    st.just("somebody"),
    st.frozensets(st.sampled_from(get_args(Role)), min_size=1, max_size=9),
    places,
)
actors = st.sampled_from([ABLE] * 4) | anybody
plain = st.builds(
    sure,
    st.sampled_from([RUBBISH, WISH, "L99", "S01", LAMP, MANHOLE, QUESTION]),
    st.sampled_from([GRID, NEXT_GRID, COMMUNITY]),
)
accusing = st.builds(
    lambda facts, accused: replace(facts, accused=accused), plain, st.sampled_from(LADDER)
)
wild = st.builds(
    Facts,
    division=places,
    category=st.none() | categories,
    basis=st.sampled_from(["given", "suggested"]),
    confidence=st.sampled_from([0.2, 0.9]),
    candidates=st.tuples(st.builds(Candidate, code=categories, score=st.just(0.4))) | st.just(()),
    signs=st.frozensets(st.sampled_from(get_args(Sign)), max_size=2).map(tuple),
    accused=st.none() | st.sampled_from(LADDER),
    accusation=st.booleans(),
)
petitions = st.one_of(plain, plain, accusing, wild)
passing = st.one_of(
    st.just(timedelta(0)),
    st.timedeltas(timedelta(0), timedelta(hours=2)),
    st.timedeltas(timedelta(0), timedelta(days=20)),
)


class Life(RuleBasedStateMachine):
    """One case from its petition to its end."""

    case: Case
    now: datetime

    def __init__(self) -> None:
        super().__init__()
        self.policy = shipped_policy()
        self.highest: dict[str, int] = {}
        self.orders: list[ApplyOrder] = []
        self.carried_out: list[tuple[str, int]] = []
        self.replayed: dict[str, Any] = {}
        self.supplements = 1
        self.missed: set[str] = set()

    @initialize(facts=petitions, contact=st.booleans(), late=passing)
    def open(self, facts: Facts, contact: bool, late: timedelta) -> None:
        self.now = NOON + late
        received = NOON + timedelta(microseconds=1234)
        self.now = max(self.now, received)
        asked = petition(facts, received, contact=contact)
        decision = decide(None, asked, ROUTER, self.policy, self.now)
        assert isinstance(decision, Changed)
        assert (decision.case.version, decision.case.seq) == (1, 1)
        self.case = decision.case
        self.remember(None, decision)

    # ------------------------------------------------------------ what may happen

    @rule(span=passing)
    def time_passes(self, span: timedelta) -> None:
        self.now += span

    @rule(name=st.sampled_from(sorted(examples())), who=anybody)
    def anything(self, name: str, who: Actor) -> None:
        fields = examples(self.now)[name].model_dump(exclude={"command"})
        self.ask(name, who, **fields)

    @precondition(lambda self: self.case.stage == "registered")
    @rule(category=categories, accused=named, who=actors)
    def classify(self, category: str, accused: str | None, who: Actor) -> None:
        self.ask("classify", who, category=category, accused=accused)

    @precondition(lambda self: self.case.stage == "registered")
    @rule(division=places, who=actors)
    def place(self, division: str, who: Actor) -> None:
        self.ask("place", who, division=division)

    @precondition(lambda self: self.takes("sign"))
    @rule(who=actors)
    def sign(self, who: Actor) -> None:
        self.ask("sign", who)

    @precondition(lambda self: self.takes("resolve"))
    @rule(who=actors)
    def resolve(self, who: Actor) -> None:
        self.ask("resolve", who, result="done")

    @precondition(lambda self: self.takes("verify"))
    @rule(early=st.integers(-20, 20), who=actors)
    def verify(self, early: int, who: Actor) -> None:
        self.ask("verify", who, at=self.now + early * MINUTE, finding="x", evidence="y")

    @precondition(lambda self: not self.case.replied)
    @rule(who=actors)
    def reply(self, who: Actor) -> None:
        self.ask("reply", who, text="by tonight")

    @precondition(lambda self: self.takes("close"))
    @rule(callback=st.sampled_from(["answered", "no_answer", "no_contact"]), who=actors)
    def close(self, callback: str, who: Actor) -> None:
        self.ask("close", who, callback=callback)

    @precondition(lambda self: self.takes("return"))
    @rule(reason=st.sampled_from(REASONS["return"]), who=actors)
    def send_back(self, reason: str, who: Actor) -> None:
        self.ask("return", who, reason=reason)

    @precondition(lambda self: self.takes("reroute"))
    @rule(reason=st.sampled_from(REASONS["reroute"]), division=places, who=actors)
    def reroute(self, reason: str, division: str, who: Actor) -> None:
        self.ask("reroute", who, reason=reason, division=division)

    @precondition(lambda self: self.takes("promote"))
    @rule(reason=st.sampled_from(REASONS["promote"]), who=actors)
    def promote(self, reason: str, who: Actor) -> None:
        self.ask("promote", who, reason=reason)

    @precondition(lambda self: self.takes("pause"))
    @rule(hours=st.integers(-1, 400), who=actors)
    def pause(self, hours: int, who: Actor) -> None:
        until = self.now + timedelta(hours=hours)
        self.ask("pause", who, reason="waiting_for_petitioner", until=until, text="x")

    @precondition(lambda self: self.case.pause is not None)
    @rule(who=actors)
    def resume(self, who: Actor) -> None:
        self.ask("resume", who)

    @precondition(lambda self: self.case.clock("final_reply") and self.case.extension is None)
    @rule(hours=st.integers(-5, 300), who=actors)
    def extend(self, hours: int, who: Actor) -> None:
        promised = self.case.clock("final_reply")
        assert promised is not None
        until = promised.due_at + timedelta(hours=hours)
        self.ask("extend", who, until=until, reason="x", text="y")

    @precondition(lambda self: self.case.extension is not None)
    @rule(yes=st.booleans(), who=actors)
    def answer_extension(self, yes: bool, who: Actor) -> None:
        head = replace(who, subject="the head")
        if yes:
            self.ask("grant_extension", head)
        else:
            self.ask("decline_extension", head, note="x")

    @precondition(lambda self: self.takes("assign"))
    @rule(name=st.sampled_from(["li", "wang"]), who=actors)
    def assign(self, name: str, who: Actor) -> None:
        self.ask("assign", who, to=name)

    @precondition(lambda self: self.case.given_by is not None)
    @rule(who=actors)
    def recall(self, who: Actor) -> None:
        self.ask("recall", who)

    @precondition(lambda self: self.takes("not_accept"))
    @rule(often=st.integers(0, 3), who=actors)
    def not_accept(self, often: int, who: Actor) -> None:
        if not often:
            self.ask("not_accept", who, reason="unlawful", door="x", text="y")

    @precondition(lambda self: self.takes("call_back"))
    @rule(
        result=st.sampled_from(["solved", "not_solved", "no_answer"]),
        reason=st.sampled_from(RATINGS),
        who=actors,
    )
    def call_back(self, result: str, reason: str, who: Actor) -> None:
        says = {"satisfied": False, "reason": reason} if result == "not_solved" else {}
        self.ask("call_back", replace(who, subject="who calls"), result=result, **says)

    @precondition(lambda self: self.takes("reopen"))
    @rule(reason=st.sampled_from(RATINGS), who=actors)
    def reopen(self, reason: str, who: Actor) -> None:
        self.ask("reopen", who, reason=reason)

    @precondition(lambda self: self.supplements < 8 and not self.case.is_open)
    @rule(solved=st.booleans(), reason=st.sampled_from(RATINGS))
    def rate(self, solved: bool, reason: RatingReason) -> None:
        before = self.case
        self.supplements += 1
        asked = Rate(Order(1, self.supplements), solved, solved, None if solved else reason)
        self.take(decide(before, asked, ROUTER, self.policy, self.now))
        assert self.case.satisfied is solved
        if self.case.is_open:
            self.came_back(before, self.case)

    @precondition(lambda self: self.takes("hand_over"))
    @rule(who=actors)
    def hand_over(self, who: Actor) -> None:
        self.ask("hand_over", who, body="x", at=self.now, reference="y")

    @precondition(lambda self: self.supplements < 4)
    @rule(urges=st.booleans())
    def supplement(self, urges: bool) -> None:
        before = self.case
        self.supplements += 1
        asked = Supplement(Order(1, self.supplements), urges)
        decision = decide(before, asked, ROUTER, self.policy, self.now)
        self.take(decision)
        assert (self.case.heard, self.case.urged) == (asked.heard, before.urged + urges)
        assert (self.case.holder, self.case.stage) == (before.holder, before.stage)
        assert self.case.pause is None or before.pause is not None
        if before.pause is None:
            assert self.case == replace(
                before, heard=asked.heard, urged=self.case.urged, version=before.version + 1,
                seq=before.seq + 1,
            )  # fmt: skip

    @precondition(lambda self: self.orders)
    @rule(which=st.integers(0, 1_000), also=st.sampled_from(["nothing", "tier", "generation"]))
    def order(self, which: int, also: str) -> None:
        """The newest are the likelier ones; any other is stale, unless its clock still runs."""
        asked = self.orders[-1 - which % len(self.orders)]
        if also == "tier":
            asked = replace(asked, tier=Tier.DISTRICT)
        elif also == "generation":
            asked = replace(asked, generation=asked.generation + 1)
        self.give(asked)

    @precondition(lambda self: self.fresh())
    @rule(which=st.integers(0, 3))
    def fresh_order(self, which: int) -> None:
        fresh = self.fresh()
        self.give(fresh[which % len(fresh)])

    # ------------------------------------------------------------ what must follow

    def takes(self, name: str) -> bool:
        """Whether the table has a row for this command now."""
        return TRACKS[self.case.track].step(name, self.case.stage) is not None

    def fresh(self) -> list[ApplyOrder]:
        """The orders that breaches would give now."""
        return [
            ApplyOrder(self.case.id, clock.name, clock.generation, self.case.tier, clock.on_breach)
            for clock in self.case.clocks
            if (clock.on_breach == "promote" or clock.on_breach == "supervise")
            and not clock.answered
        ]

    def ask(self, name: str, who: Actor, **fields: object) -> None:
        """An officer's command: what it may change, by the table and by the model."""
        before = self.case
        step = TRACKS[before.track].step(name, before.stage)
        decision = decide(before, command(name, **fields), who, self.policy, self.now)
        if isinstance(decision, Refused):
            return
        assert step is not None
        assert who.roles & step.roles
        assert name in allowed_actions(before, who)
        self.take(decision)
        after = self.case
        if step.anew:
            assert after.stage in {*TRACKS[after.track].initial, *step.targets}
        else:
            assert after.track == before.track
            assert after.stage in (step.targets or (before.stage,))
        self.moved_as_asked(name, before, after, fields)

    def moved_as_asked(
        self, name: str, before: Case, after: Case, fields: dict[str, object]
    ) -> None:
        """Where the case is now, by the command; of others nothing moves it."""
        if name in ("reroute", "return", "recall") and after.arbitration == "asked":
            assert after.stage == "registered"
            assert all(is_within(one.partition("/")[0], after.holder) for one in before.had_by)
        elif name == "call_back" and before.rated is not None:
            assert after.satisfied is before.satisfied
        elif name in ("call_back", "reopen") and after.reopened > before.reopened:
            self.came_back(before, after)
        elif name == "verify" and before.street_leads and before.tier in BELOW_THE_STREET:
            assert (after.verified, after.place) == (True, before.place)
            assert after.tier not in BELOW_THE_STREET
        elif name in MOVES:
            MOVES[name](self, before, after, fields)
        else:
            assert (after.holder, after.place) == (before.holder, before.place)

    def sent_up(self, before: Case, after: Case, _: dict[str, object]) -> None:
        self.went_up(before, after)

    def returned(self, before: Case, after: Case, _: dict[str, object]) -> None:
        assert is_within(before.holder, after.holder)
        assert len(after.holder) < len(before.holder) or after.holder == CITY
        assert after.returns == before.returns + 1

    def recalled(self, before: Case, after: Case, _: dict[str, object]) -> None:
        assert (after.holder, after.stage) == (before.given_by, "registered")

    def rerouted(self, before: Case, after: Case, fields: dict[str, object]) -> None:
        assert after.holder == fields["division"]
        assert not after.street_leads or after.tier in (Tier.STREET, Tier.DISTRICT)
        assert after.place == before.place or not after.accused_unknown

    def whistled(self, _: Case, after: Case, __: dict[str, object]) -> None:
        assert after.tier in (Tier.STREET, Tier.DISTRICT)
        assert after.office is None

    def conferred(self, _: Case, after: Case, fields: dict[str, object]) -> None:
        assert (after.holder, after.arbitration) == (fields["division"], "decided")

    def classified(self, before: Case, after: Case, fields: dict[str, object]) -> None:
        assert after.confirmed
        accused = fields.get("accused")
        assert accused is None or after.accused == (None if accused == "none" else accused)
        assert after.category in (fields["category"], None)

    def placed(self, before: Case, after: Case, fields: dict[str, object]) -> None:
        assert after.place == fields["division"]
        assert after.urgency == "U1" or before.urgency != "U1" or before.category
        assert after.restricted or not before.restricted

    def handed_over(self, before: Case, after: Case, _: dict[str, object]) -> None:
        if after.stage != "handed_off":
            assert before.category in self.policy.settings.first_tier.follow_up
            assert (after.track, after.handed_over) == ("service", True)
        else:
            assert (after.holder, after.place) == (before.holder, before.place)

    def came_back(self, before: Case, after: Case) -> None:
        """Open again, everything promised anew, nothing of the end left."""
        assert after.reopened == before.reopened + 1
        assert after.is_open
        assert after.receipt == self.now
        assert (after.outcome, after.closed_at, after.not_accepted) == (None, None, None)
        assert not after.replied

    def went_up(self, before: Case, after: Case) -> None:
        """Exactly one promotion, and never to the same tier or down."""
        assert before.tier is not None
        ever = before.promotions.get(before.tier, 0) + 1
        assert after.promotions == {**before.promotions, before.tier: ever}
        if after.tier is not None:
            assert LADDER_UP.index(after.tier) > LADDER_UP.index(before.tier)
        assert after.entered.get(after.tier or Tier.GRID) == self.now or after.tier is None

    def give(self, asked: ApplyOrder) -> None:
        """An order: carried out once for each generation, and only where it still stands."""
        before = self.case
        decision = decide(before, asked, ESCALATION, self.policy, self.now)
        clock = before.clock(asked.clock)
        stands = (
            clock is not None
            and clock.generation == asked.generation
            and not clock.answered
            and clock.on_breach == asked.action
            and (asked.action == "supervise" or asked.tier == before.tier)
        )
        assert isinstance(decision, Changed) is stands, decision
        if isinstance(decision, Refused):
            assert decision.reason == "stale"
            return
        assert (asked.clock, asked.generation) not in self.carried_out
        self.carried_out.append((asked.clock, asked.generation))
        self.take(decision)
        if asked.action == "promote":
            self.went_up(before, self.case)
        elif asked.clock == "pause":
            assert before.pause is not None
            assert self.case.pause is None
        else:
            assert self.case.supervised == before.supervised + 1
            assert self.case.holder == before.holder

    def take(self, decision: Decision) -> None:
        """One step on: one seq, one known event, and a version where it is another case."""
        assert isinstance(decision, Changed)
        before = self.case
        same = decision.transitions == ("supervised",)
        assert decision.case.version == before.version + (not same)
        assert (decision.case.epoch, decision.case.seq) == (before.epoch, before.seq + 1)
        self.case = decision.case
        for clock in before.clocks:
            after = self.case.clock(clock.name)
            if after is None or replace(after, answered=clock.answered) != clock:
                assert self.case.generations[clock.name] > clock.generation
            ended = after is None or (after.started_at, after.due_at) != (
                clock.started_at, clock.due_at,
            )  # fmt: skip
            # The end of a pause is no promise to anybody.
            if ended and self.now > clock.due_at and not clock.paused and clock.name != "pause":
                self.missed.add(promise_of(clock.name))
        self.remember(before, decision)

    def remember(self, before: Case | None, decision: Changed) -> None:
        assert decision.event in CASE_EVENTS
        assert decision.transitions
        for name, generation in self.case.generations.items():
            assert generation >= self.highest.get(name, 0)
            self.highest[name] = generation
        assert self.highest.keys() == self.case.generations.keys()
        self.orders.extend(one for one in self.fresh() if one not in self.orders)
        self.replayed |= orjson.loads(changed_fields(before, self.case))

    # ------------------------------------------------------------ what always holds

    @invariant()
    def nothing_ends_in_silence(self) -> None:
        case = self.case
        if not case.is_open:
            assert case.clocks == ()
            assert case.next_deadline is None
            otherwise = case.not_accepted is not None or case.rated == "not_solved"
            assert case.outcome in ((None,) if otherwise else ("solved", "handed_off"))
            assert case.closed_at is not None
            return
        assert case.clocks
        assert case.next_deadline == min(c.due_at for c in case.clocks if not c.paused)
        assert (case.pause is not None) == (case.clock("pause") is not None)
        assert case.pause is not None or not any(clock.paused for clock in case.clocks)
        waits = dict(TRACKS[case.track].waits)
        if case.stage in ("registered", "signed"):
            assert case.clock(waits[case.stage]) is not None
        if case.stage == "assigned":
            assert case.clock("tier") is not None
            assert case.track == "consult" or case.clock("sign") is not None

    @invariant()
    def whoever_owns_a_promise_may_keep_it(self) -> None:
        case = self.case
        for clock in case.clocks:
            keep = {
                step.command
                for step in TRACKS[case.track].steps
                if case.stage in step.sources and clock.name in (*step.fulfils, *step.ends)
            }
            role = "grid_head" if clock.owner_role == "grid_team" else clock.owner_role
            owner = Actor("another", frozenset({role}), clock.owner_division, clock.owner_office)
            # Who leads a matter that only starts below waits for the look there with all others.
            if keep and not clock.paused and clock.name != "final_reply":
                assert keep & set(allowed_actions(case, owner)), (clock, keep)

    @invariant()
    def it_has_no_clock_of_another_stage(self) -> None:
        names = {promise_of(clock.name) for clock in self.case.clocks}
        assert names <= MAY_RUN.get((self.case.track, self.case.stage), set())

    @invariant()
    def it_has_one_holder_who_is_not_accused(self) -> None:
        case = self.case
        if case.stage in ("assigned", "signed", "resolved"):
            # The street's own desk commands what was whistled for; an arbiter names any office.
            office = office_of(case, case.holder, self.policy)
            named = {case.office} if case.arbitration == "decided" else set()
            assert case.office in {office} | ({None} if case.whistle else set()) | named
        assert case.stage != "registered" or case.office is None
        assert case.role == ("department_officer" if case.office else dispatcher_of(case.holder))
        assert case.tier == tier_of(case.holder)
        accused = case.accused_division
        if accused is not None:
            assert accused != CITY
            for division in (case.holder, *(clock.owner_division for clock in case.clocks)):
                assert not is_within(division, accused)
        if case.accused_unknown:
            assert case.place == CITY or is_within(case.place, str(accused))
        assert case.place == CITY or case.place in self.policy.divisions

    @invariant()
    def a_promise_that_was_once_missed_is_never_told_as_kept(self) -> None:
        assert {name for name, kept in self.case.on_time.items() if not kept} == self.missed

    @invariant()
    def a_community_ends_nothing_that_it_may_not_lead(self) -> None:
        case = self.case
        row = self.policy.categories.get(case.category or "")
        if row is not None and not row.community_may_lead:
            assert case.street_leads
            below = case.tier in (Tier.GRID, Tier.COMMUNITY)
            assert not (below and case.stage in ("resolved", "closed"))
            assert not (below and {"resolve", "close"} & set(allowed_actions(case, ABLE)))

    @invariant()
    def its_clocks_are_of_their_generation_and_in_order_of_time(self) -> None:
        names = [clock.name for clock in self.case.clocks]
        assert len(set(names)) == len(names)
        for clock in self.case.clocks:
            assert clock.generation == self.case.generations[clock.name]
            assert clock.started_at <= clock.due_at
            assert list(clock.warn_at) == sorted(clock.warn_at)
            assert all(clock.started_at < mark < clock.due_at for mark in clock.warn_at)
        assert len(duties(self.case)) <= len(names)

    @invariant()
    def a_tier_it_is_in_was_entered_and_not_left(self) -> None:
        case = self.case
        if case.tier is not None and case.is_open:
            assert case.tier in case.entered
            assert case.tier not in case.left
        if case.lowest_tier is not None:
            assert case.highest_tier is not None
            low, high = map(LADDER_UP.index, (case.lowest_tier, case.highest_tier))
            assert low <= high
            if case.stage in ("assigned", "signed") and case.tier is not None:
                assert low <= LADDER_UP.index(case.tier) <= high

    @invariant()
    def others_hear_the_same_times(self) -> None:
        case = self.case
        type_ = CASE_EVENTS["opened"]
        change = Change(transitions=("received",), rule="B3.4/category-tier", role="system")
        said = CaseChanged(type=type_, case=snapshot(case, "大庆社区"), change=change)
        heard = CaseChanged.model_validate_json(dump(said))
        assert heard == said
        start = heard.case.started_at
        assert start == case.received_at

        def same(milliseconds: int | None, then: datetime | None) -> bool:
            if milliseconds is None or then is None:
                return milliseconds is None and then is None
            late = then - (start + timedelta(milliseconds=milliseconds))
            return timedelta(0) <= late < timedelta(milliseconds=1)

        assert same(heard.case.next_deadline, case.next_deadline)
        assert same(heard.case.closed, case.closed_at)
        assert heard.case.entered.keys() == case.entered.keys()
        assert all(same(heard.case.entered[tier], case.entered[tier]) for tier in case.entered)
        for told, clock in zip(heard.case.clocks, case.clocks, strict=True):
            assert (told.name, told.generation, told.answered, told.paused) == (
                clock.name, clock.generation, clock.answered, clock.paused,
            )  # fmt: skip
            assert same(told.started, clock.started_at)
            assert same(told.due, clock.due_at)
            assert all(map(same, told.warn, clock.warn_at))

    @invariant()
    def what_is_kept_is_the_case_and_so_is_its_history(self) -> None:
        kept = CASE.validate_json(CASE.dump_json(self.case, exclude_defaults=True))
        assert kept == self.case
        assert CASE.validate_python(self.replayed) == self.case


MOVES: Mapping[str, Callable[[Life, Case, Case, dict[str, object]], None]] = {
    "promote": Life.sent_up,
    "return": Life.returned,
    "recall": Life.recalled,
    "reroute": Life.rerouted,
    "classify": Life.classified,
    "place": Life.placed,
    "hand_over": Life.handed_over,
    "whistle": Life.whistled,
    "conference_decides": Life.conferred,
}
BELOW_THE_STREET = (Tier.GRID, Tier.COMMUNITY)

Life.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAnyLifeOfACase = Life.TestCase


def test_the_places_of_the_machine_are_listed() -> None:
    divisions = shipped_policy().divisions
    assert {place for place in PLACES if place not in divisions} == {CITY}
    assert [parent(place) for place in (GRID, COMMUNITY, STREET)] == [COMMUNITY, STREET, DISTRICT]
