"""What a track is: a table of steps, proven when it loads.

A step says from which stages a command may come, where it leads, who may give it, and which
clocks it stops and starts. Nothing here decides: `workflow.decide` reads these tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from services.router.decisions.policy import Role
from shared.events import Stage, Track
from shared.identity import OFFICER_ROLES

CommandName = Literal[
    "classify", "place", "sign", "verify", "reply", "answer", "resolve", "close", "return",
    "reroute", "promote", "hand_over", "not_accept", "call_back", "reopen", "assign", "recall",
    "pause", "resume", "extend", "grant_extension", "decline_extension", "ask_whistle", "whistle",
    "give_task", "report_in", "refuse_task", "decide_objection", "finish_task", "withdraw_task",
    "call_conference", "conference_decides",
]  # fmt: skip
Where = Literal["holder", "place", "giver", "task"]
Guard = Literal[
    "runs", "stands_still", "never_extended", "extension_asked", "handed_on", "by_another",
    "somebody_to_call", "may_be_returned", "may_be_asked_for", "may_be_blown", "disputed",
    "confers", "is_to_report", "may_refuse", "is_to_decide", "has_to_do", "has_asked",
    "result_is_seen", "may_answer",
]  # fmt: skip
"""What must be so of the case, and of who asks; `workflow.guards` says it in code and in words."""

TERMINAL: frozenset[Stage] = frozenset({"closed", "handed_off"})


class TrackRefused(ValueError):
    """A table that would leave a case nowhere; says which stage and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row. `targets` are the stages it may lead to; none: the stage stays.

    `where`: the area that the actor must act for; `giver` is the desk that handed it on, `task`
    whoever has to do something about a task. `guards` must all hold. `reopens`: it may leave an
    end. `anew`: the case is routed again, to an initial stage of the track that its matter belongs
    to, be it another one. `leads`: only for those who may lead the matter, not for those with whom
    it only starts.
    """

    command: CommandName
    sources: frozenset[Stage]
    targets: tuple[Stage, ...]
    roles: frozenset[Role]
    where: Where = "holder"
    anew: bool = False
    leads: bool = False
    reopens: bool = False
    guards: tuple[Guard, ...] = ()
    fulfils: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackTable:
    """A track: its steps, and for each stage in which somebody must act, the clock that says so.

    `initial`: where a case may be after it was routed, when it opens or by a step `anew`.
    """

    name: Track
    initial: frozenset[Stage]
    steps: tuple[Step, ...]
    waits: tuple[tuple[Stage, str], ...]

    def step(self, command: str, stage: Stage) -> Step | None:
        """The row for a command in a stage; None when the track has none."""
        for step in self.steps:
            if step.command == command and stage in step.sources:
                return step
        return None

    def stages(self) -> frozenset[Stage]:
        """Every stage that the table names."""
        named = {stage for step in self.steps for stage in step.sources}
        named |= {stage for step in self.steps for stage in step.targets}
        return frozenset(named | self.initial)

    def reached(self) -> frozenset[Stage]:
        """Every stage that a case of this track can come to."""
        found: frozenset[Stage] = frozenset()
        new = self.initial
        while new:
            found |= new
            ways = (step.targets for step in self.steps if step.sources & found)
            new = frozenset(stage for way in ways for stage in way) - found
        return found


def prove(table: TrackTable) -> TrackTable:
    """The same table, if it can leave no case in silence. Raises `TrackRefused`.

    Every stage is reachable, every stage that is not terminal leads somewhere by the act of an
    officer and has a clock, no step leaves a terminal stage, and somebody may take each step. A
    clock is named once for each stage that waits, and for no other.
    """
    for wrong in (*wrong_rows(table), *wrong_stages(table)):
        raise TrackRefused(f"{table.name}: {wrong}")
    return table


def wrong_rows(table: TrackTable) -> Iterator[str]:
    """What is wrong with the rows: of the steps, and of the clocks that are named for stages."""
    yield from (f"nobody may {step.command}" for step in table.steps if not step.roles)
    waits = dict(table.waits)
    for stage, clock in table.waits:
        if stage in TERMINAL or stage not in table.stages():
            yield f"{clock} is named for {stage}, where nobody waits"
        elif waits[stage] != clock:
            yield f"two clocks are named for {stage}"


def wrong_stages(table: TrackTable) -> Iterator[str]:
    """What is wrong with each stage: where a case would be lost, held by nobody, or in silence."""
    reached, waits = table.reached(), dict(table.waits)
    for stage in sorted(table.stages()):
        if stage not in reached:
            yield f"no step leads to {stage}"
        elif stage in TERMINAL:
            if any(stage in step.sources and not step.reopens for step in table.steps):
                yield f"a step leaves {stage}, which is an end"
        elif not leads_out(table, stage):
            yield f"nothing leads out of {stage}"
        elif not acting(table, stage):
            yield f"no officer can bring a case out of {stage}"
        elif stage not in waits:
            yield f"no clock runs in {stage}"


def leads_out(table: TrackTable, stage: Stage) -> bool:
    """Whether a step brings a case from this stage to another."""
    return any(
        target != stage for step in table.steps if stage in step.sources for target in step.targets
    )


def acting(table: TrackTable, stage: Stage) -> frozenset[Role]:
    """The roles of offices that can bring a case from this stage to another: who must act."""
    out = (step for step in table.steps if stage in step.sources and set(step.targets) - {stage})
    return frozenset(role for step in out for role in step.roles if role in OFFICER_ROLES)
