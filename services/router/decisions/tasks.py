"""Tasks of a case: what one desk asks another to do in it, each a promise with its own clock.

The whistle, an assisting office, a team, the legal adviser, a joint conference and the copy to the
level above are all tasks. [article, domain B6; F29, F30, S14, S16] Pure values.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from services.router.decisions.unknown import NOTHING_ELSE, STAND_INS, Unknown

MOST_OPEN = 12
MOST_TASKS = 30
"""[ours] A case has so many tasks at once, and so many ever: their numbers are never used again."""

TaskKind = Literal[
    "whistle", "report_in", "assist", "team", "adviser", "conference", "result", "copy"
]  # fmt: skip
"""What is asked: of a community to blow, of a department to report in, of an office to assist, of
volunteers or a work group, of the legal adviser, of a joint conference to decide; `result` lets the
first receiver look at what came of a whistle, `copy` lets the level above know."""

TaskState = Literal[
    "asked", "accepted", "objected", "refused", "done", "declined", "released", "withdrawn"
]  # fmt: skip
"""`objected`: the street decides; `refused`: after it was overruled, so the district does.
`released`: whoever decided agreed that it is not theirs."""

Blown = Literal["blown", "commanded", "result", "closed", "void"]
"""A whistle: blown by a community; the street has commanded; the first receiver has the result."""

OPEN: Final = frozenset[TaskState]({"asked", "accepted", "objected", "refused"})
DISPUTED: Final = frozenset[TaskState]({"objected", "refused"})
MAY_OBJECT: Final = frozenset[TaskKind]({"report_in", "assist"})
MAY_DECLINE: Final = frozenset[TaskKind]({"whistle", "team", "adviser"})


@dataclass(frozen=True, slots=True)
class Task:
    """What a desk asks of a division, or of an office that serves it.

    `by` is the desk that asks. `until`: its own deadline, of what is to be done. `objections`: how
    often it said no; `decider` is the division that says whether it has to all the same.
    `reported` and `finished`: whether that was in time. `good`: what the first receiver says of it.
    """

    n: int
    kind: TaskKind
    division: str
    role: str
    by: str
    asked_at: datetime
    office: str | None = None
    state: TaskState = "asked"
    until: datetime | None = None
    objections: int = 0
    decider: str | None = None
    on_site: datetime | None = None
    members: tuple[str, ...] = ()
    meets_at: datetime | None = None
    reported: bool | None = None
    finished: bool | None = None
    good: bool | None = None
    unknown: Unknown = None

    __pydantic_config__ = NOTHING_ELSE

    @property
    def strange(self) -> dict[str, object]:
        """Its kind, its state, as far as only a newer version knows them; mostly nothing."""
        unknown = self.unknown or {}
        return {key: unknown[key] for key in STAND_INS if key in unknown}

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to do something about it."""
        return self.state in OPEN

    @property
    def asks_to_report(self) -> bool:
        """Whether a department is to say that it comes, and when."""
        return self.kind == "report_in" and self.state == "asked"

    @property
    def may_be_refused(self) -> bool:
        """Whether who was asked may still say no."""
        return self.state == "asked" and self.kind in MAY_OBJECT | MAY_DECLINE

    @property
    def is_disputed(self) -> bool:
        """Whether somebody is to decide whether it has to be done all the same."""
        return self.state in DISPUTED

    @property
    def may_be_done(self) -> bool:
        """Whether it is done by saying so: a whistle is blown, and a conference decides."""
        answered = self.asks_to_report or self.is_disputed or self.kind in ("whistle", "conference")
        return self.is_open and not answered

    @property
    def may_be_withdrawn(self) -> bool:
        """Whether who has the case may do without it: the result is the first receiver's."""
        return self.is_open and self.kind != "result"

    @property
    def promise(self) -> str:
        """Which promise of the policy its clock is now: it changes hands with its state."""
        if self.is_disputed:
            return "objection"
        return "assist" if self.state == "accepted" else self.kind

    @property
    def clock(self) -> str:
        """The name of the clock that it has now: `report_in/1`, of each task another."""
        return f"{self.promise}/{self.n}"


@dataclass(frozen=True, slots=True)
class Whistle:
    """A community has blown: who had it first, which offices it wants, and how far it has come."""

    by: str
    first: str
    at: datetime
    wants: tuple[str, ...]
    state: Blown = "blown"
    unknown: Unknown = None

    __pydantic_config__ = NOTHING_ELSE

    @property
    def is_on(self) -> bool:
        """Whether something is still to come of it."""
        return self.state not in ("closed", "void")
