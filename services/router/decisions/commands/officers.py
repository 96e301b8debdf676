"""What a person may ask of a case, as it comes over HTTP.

`text` (of `resolve`: `result`) is for the resident and is shown to him; a `note`, a finding, and
the `reason` of who asks for more time are for officers, and never are. Instead of a text there may
be a `template` with its `slots`: the router writes the words then. [F40, F41]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import AwareDatetime, Field, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from services.router.decisions.case import NotAccepted, PauseReason
from services.router.decisions.commands.tasking import (
    AskWhistle,
    BlowWhistle,
    CallConference,
    ConferenceDecides,
    DecideObjection,
    FinishTask,
    GiveTask,
    RefuseTask,
    ReportIn,
    WithdrawTask,
)
from services.router.decisions.commands.words import OfficeId, OneCommand, Text, Word
from shared.divisions import Tier
from shared.events import CategoryCode, RatingReason
from shared.events import Sign as OfSign
from shared.identity import Subject

TemplateCode = Annotated[Word, Field(max_length=40)]
SlotName = Annotated[str, Field(max_length=20)]
SlotText = Annotated[Word, Field(max_length=300)]
NOBODY = "none"


class _Worded(OneCommand):
    """Tells the resident something: in words of one's own, or those of a template.

    `words_in` is the field of the words; `silent`: it may also be given without any.
    """

    words_in: ClassVar[Literal["text", "result"]] = "text"
    silent: ClassVar[bool] = False
    template: TemplateCode | None = None
    slots: Annotated[Mapping[SlotName, SlotText], Field(max_length=20)] = {}

    @property
    def words(self) -> str | None:
        """What the resident is told."""
        said: str | None = getattr(self, self.words_in)
        return said

    @model_validator(mode="after")
    def one_or_the_other(self) -> Self:
        """Words or a template, not both; slots only with a template."""
        if self.template is not None and self.words is not None:
            raise PydanticCustomError("words", f"give `{self.words_in}` or a template, not both")
        if self.template is None and self.slots:
            raise PydanticCustomError("words", "slots are a template's: name it in `template`")
        if self.template is None and self.words is None and not self.silent:
            raise PydanticCustomError("words", f"say something: `{self.words_in}` or a `template`")
        return self


class Classify(OneCommand):
    """Say what it is about; with a place known, the first tier follows at once.

    `accused` names the division that is accused, `accused_office` the office, which then never see
    the case; "none" says that nobody is. What is named takes the place of all that was known of
    the accused; left out, that stands; so do the signs. Of a case that somebody holds already it
    is a correction, and `note` says why.
    """

    command: Literal["classify"]
    category: CategoryCode
    signs: tuple[OfSign, ...] | None = None
    note: Text | None = None
    accused: Annotated[str, Field(pattern=r"^(none|[0-9]{6}([0-9]{3}){0,3})$")] | None = None
    accused_office: OfficeId | None = None

    @model_validator(mode="after")
    def nobody_or_somebody(self) -> Self:
        """Who is accused is somebody, or nobody."""
        if self.accused == NOBODY and self.accused_office is not None:
            raise PydanticCustomError("accused", 'with "none" no office is accused either')
        return self


class Place(OneCommand):
    """Say where it is: a division code, as fine as is known; of a held case, a correction."""

    command: Literal["place"]
    division: str
    note: Text | None = None


class Sign(OneCommand):
    """The receiving desk takes responsibility."""

    command: Literal["sign"]


class Verify(OneCommand):
    """The grid team was on site: when, what it found, and what shows it. [article]"""

    command: Literal["verify"]
    at: AwareDatetime
    finding: Text
    evidence: Annotated[Word, Field(max_length=500)]


class Reply(_Worded):
    """The street cadre's answer: what was found, what will be done, by whom, by when. [article]"""

    command: Literal["reply"]
    text: Text | None = None
    note: Text | None = None


class Answer(_Worded):
    """Answer a question and close it at once: the answer is all that was asked for. [domain B1]"""

    command: Literal["answer"]
    text: Text | None = None
    note: Text | None = None


class Resolve(_Worded):
    """The matter is dealt with, and how: `result` is the resident's, `note` the officers'. [F40]"""

    words_in = "result"
    command: Literal["resolve"]
    result: Text | None = None
    note: Text | None = None


class Close(OneCommand):
    """Another unit than who resolved it has looked, and the resident was called or cannot be.

    `answered`: he says that it is solved; what else he says is `call_back`. For a question nobody
    is called: it has no `callback`. [domain B1, F38, F58]
    """

    command: Literal["close"]
    callback: Literal["answered", "no_answer", "no_contact"] | None = None


class CallBack(_Worded):
    """The resident was called: nobody answered, or what he says; not solved, it is reopened.

    Tries are counted. `text` is what he finds when nobody was reached. [Beijing 23]
    """

    silent = True

    command: Literal["call_back"]
    result: Literal["solved", "not_solved", "no_answer"]
    satisfied: bool | None = None
    reason: RatingReason | None = None
    text: Text | None = None
    note: Text | None = None

    @model_validator(mode="after")
    def says_what_is_wrong(self) -> Self:
        """What is not solved has a reason; nobody is asked whether he is satisfied by nobody."""
        if self.result == "not_solved" and self.reason is None:
            raise PydanticCustomError("reason", "say what is wrong: give a reason")
        if self.result == "no_answer" and (self.satisfied, self.reason) != (None, None):
            raise PydanticCustomError("result", "nobody answered: there is nothing that he says")
        return self


class Reopen(OneCommand):
    """It is not done after all, with a coded reason; within the policy's window. [F55]"""

    command: Literal["reopen"]
    reason: RatingReason
    note: Text | None = None


class NotAccept(_Worded):
    """It is not for us: why, and the right door, as the resident is told. [Beijing 11; F8]"""

    command: Literal["not_accept"]
    reason: NotAccepted
    door: Annotated[Word, Field(max_length=200)]
    text: Text | None = None
    note: Text | None = None


class Assign(OneCommand):
    """Give it to a person of the desk that has it: it stands in his own queue. [F34]

    `to` is the subject of his token, never a name. Whether he is of this desk only who issues
    tokens knows; the queue of one who may not read the case does not show it.
    """

    command: Literal["assign"]
    to: Subject


class Recall(OneCommand):
    """Take back what was handed on and nobody has touched yet. [F39]"""

    command: Literal["recall"]


class Pause(_Worded):
    """Let promises stand still, for a reason of the policy, until a moment at most. [F47]"""

    command: Literal["pause"]
    reason: PauseReason
    until: AwareDatetime
    text: Text | None = None
    note: Text | None = None


class Resume(OneCommand):
    """The promises go on."""

    command: Literal["resume"]


class Extend(_Worded):
    """Ask for more time for the final reply, once; the head of the office grants it. [F48]

    `reason` is for the head; `text` is the resident's, and shown to him once it is granted.
    """

    command: Literal["extend"]
    until: AwareDatetime
    reason: Text
    text: Text | None = None


class GrantExtension(OneCommand):
    """The head of the office, and not who asked, gives more time. Petition Regs 34. [law]"""

    command: Literal["grant_extension"]


class DeclineExtension(OneCommand):
    """The head of the office does not: the promise stands."""

    command: Literal["decline_extension"]
    note: Text


class Return(OneCommand):
    """Not mine: to the dispatcher one level above, with a coded reason, once and in time.

    The second time, and wherever it would go round, an arbiter says who has it. [F28, X9]
    """

    command: Literal["return"]
    reason: Literal["not_in_my_area", "not_in_my_power", "wrong_category", "double"]
    note: Text | None = None


class Reroute(OneCommand):
    """Give it to this division, with a coded reason.

    From the street up to the office named, else to the one that the duty catalogue lets lead.
    """

    command: Literal["reroute"]
    division: str
    office: OfficeId | None = None
    reason: Literal["correction", "workload", "competence", "agreed"]
    note: Text | None = None


class Promote(OneCommand):
    """One tier up by a person's decision, or to the tier named. [policy: escalation.promote_on]"""

    command: Literal["promote"]
    reason: Literal["beyond_authority", "repeat_open", "scale_up", "petitioner_request"]
    to: Tier | None = None
    note: Text | None = None


class HandOver(_Worded):
    """Passed to an outside body: which, when, and its reference. Only this ends a hand-off."""

    silent = True

    command: Literal["hand_over"]
    body: Annotated[Word, Field(max_length=100)]
    at: AwareDatetime
    reference: Annotated[Word, Field(max_length=100)]
    text: Text | None = None
    note: Text | None = None


WordedCommand: TypeAlias = (
    Reply | Answer | Resolve | NotAccept | Pause | Extend | CallBack | HandOver
)
OfficerCommand = Annotated[
    Classify
    | Place
    | Sign
    | Verify
    | Reply
    | Answer
    | Resolve
    | Close
    | Return
    | Reroute
    | Promote
    | HandOver
    | NotAccept
    | CallBack
    | Reopen
    | Assign
    | Recall
    | Pause
    | Resume
    | Extend
    | GrantExtension
    | DeclineExtension
    | AskWhistle
    | BlowWhistle
    | GiveTask
    | ReportIn
    | RefuseTask
    | DecideObjection
    | FinishTask
    | WithdrawTask
    | CallConference
    | ConferenceDecides,
    Field(discriminator="command"),
]
OFFICER_COMMAND: TypeAdapter[OfficerCommand] = TypeAdapter(OfficerCommand)
