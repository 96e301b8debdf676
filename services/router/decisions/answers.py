"""What the resident may read of his case: the words that were meant for him, in order. [F40]

Replies, results, refusals with their right door, pauses, more time once it is granted, and what he
finds when he was not reached. Notes, findings, reasons among officers and who they are, are not in
it; who speaks is a unit. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, TypeAlias

from services.router.decisions.case import Case
from services.router.decisions.policy import Policy
from services.router.decisions.workflow.wording import Both, office_speaking, unit_in_words
from shared.events import Order

AnswerKind: TypeAlias = Literal[
    "reply", "result", "refusal", "pause", "extension", "call_back", "hand_over"
]
KINDS: Final[Mapping[str, AnswerKind]] = {
    "replied": "reply",
    "resolved": "result",
    "not_accepted": "refusal",
    "paused": "pause",
    "extended": "extension",
    "called_back": "call_back",
    "handed_over": "hand_over",
}
"""Which events tell the resident something, if they carry words for him."""
ALSO_TOLD: Final[Mapping[AnswerKind, tuple[str, ...]]] = {
    "refusal": ("reason", "door"),
    "pause": ("reason", "until"),
    "extension": ("until",),
    "hand_over": ("body",),
}
"""What he may read beside the words: of a refusal or a pause the coded reason, and so on."""


@dataclass(frozen=True, slots=True)
class Told:
    """A step of the history: `detail` as it was written; `before` is the case before it.

    `role`: the roles of who took it, with `,` between, as the history keeps them.
    """

    order: Order
    at: datetime
    event: str
    role: str
    division: str
    detail: Mapping[str, object]
    before: Case | None


@dataclass(frozen=True, slots=True)
class PublicAnswer:
    """Words for the resident; what an officer wrote himself stands in both languages alike.

    `order` is the step that told them, `written` the one that wrote them: mostly the same.
    """

    order: Order
    written: Order
    at: datetime
    kind: AnswerKind
    text: Both
    unit: Both
    also: Mapping[str, object] = field(default_factory=dict)


def public_answers(
    steps: Iterable[Told], policy: Policy, asked: Told | None = None
) -> Iterator[PublicAnswer]:
    """The words for the resident in these steps, in order; `policy` names the units.

    `asked` is the step before them that asked for more time last.
    """
    for step in steps:
        if step.event == "extension_asked":
            asked = step
        kind = KINDS.get(step.event)
        if kind is None:
            continue
        # More time is told in the words in which it was asked for, and only when it is given.
        writes = asked if kind == "extension" and asked is not None else step
        words = text_of(writes.detail, kind)
        if words is not None:
            names = ALSO_TOLD.get(kind, ())
            also = {name: step.detail[name] for name in names if name in step.detail}
            unit = unit_of(step, policy)
            yield PublicAnswer(step.order, writes.order, step.at, kind, words, unit, also)


def text_of(detail: Mapping[str, object], kind: AnswerKind) -> Both | None:
    """The words for the resident; None where there are none."""
    said = detail.get("result" if kind == "result" else "text")
    if not isinstance(said, str):
        return None
    return said, str(detail.get("text_en", said))


def unit_of(step: Told, policy: Policy) -> Both:
    """Who spoke: the division that the officer acts for, and the office if he is of one."""
    office = None
    if step.before is not None:
        office = office_speaking(step.before, step.division, step.role.split(","))
    return unit_in_words(step.division, office, policy)
