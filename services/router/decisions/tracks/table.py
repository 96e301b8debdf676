"""What a track is: a table of steps, proven when it loads.

A step says from which stages a command may come, where it leads, who may give it, and which
clocks it stops and starts. Nothing here decides: `workflow.decide` reads these tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from services.router.decisions.policy import Role
from shared.events import Stage, Track

CommandName = Literal[
    "classify", "place", "sign", "verify", "reply", "resolve", "close", "return", "reroute",
    "promote", "hand_over",
]  # fmt: skip
Where = Literal["holder", "place"]

TERMINAL: frozenset[Stage] = frozenset({"closed", "handed_off"})


class TrackRefused(ValueError):
    """A table that would leave a case nowhere; says which stage and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row. `target` None: the stage stays. `where`: the area that the actor must act for."""

    command: CommandName
    sources: frozenset[Stage]
    target: Stage | None
    roles: frozenset[Role]
    where: Where = "holder"
    fulfils: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackTable:
    """A track: its steps, and for each stage in which somebody must act, the clock that says so."""

    name: Track
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
        named |= {step.target for step in self.steps if step.target is not None}
        return frozenset(named)


def prove(table: TrackTable, initial: Iterable[Stage]) -> TrackTable:
    """The same table, if it can leave no case in silence. Raises `TrackRefused`.

    Every stage is reachable from an initial one, every stage that is not terminal leads somewhere
    and has a clock, and no step leaves a terminal stage.
    """
    reached = set(initial)
    grown = True
    while grown:
        new = {
            step.target
            for step in table.steps
            if step.target is not None and step.sources & reached
        } - reached
        reached |= new
        grown = bool(new)
    waits = dict(table.waits)
    for stage in sorted(table.stages() | reached):
        if stage not in reached:
            raise TrackRefused(f"{table.name}: no step leads to {stage}")
        leaves = [s for s in table.steps if stage in s.sources and s.target not in (None, stage)]
        if stage in TERMINAL:
            if any(stage in s.sources for s in table.steps):
                raise TrackRefused(f"{table.name}: a step leaves {stage}, which is an end")
        elif not leaves:
            raise TrackRefused(f"{table.name}: nothing leads out of {stage}")
        elif stage not in waits:
            raise TrackRefused(f"{table.name}: no clock runs in {stage}")
    return table
