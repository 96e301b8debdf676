"""What a person may ask others to do in a case, and what they answer: whistles and other tasks.

`note` and `result` are for officers and are kept in the history only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from services.router.decisions.commands.words import OfficeId, OneCommand, Text
from services.router.decisions.tasks import MOST_TASKS

TaskNumber = Annotated[int, Field(ge=1, le=2 * MOST_TASKS)]
Offices = Annotated[tuple[OfficeId, ...], Field(min_length=1, max_length=6)]
Division = Annotated[str, Field(pattern=r"^(city|[0-9]{6}([0-9]{3}){0,3})$")]


class AskWhistle(OneCommand):
    """The grid asks its community to blow the whistle. [article]"""

    command: Literal["ask_whistle"]
    note: Text


class BlowWhistle(OneCommand):
    """The community blows: why, and the offices that it wants; the street takes command.

    It may blow for what it holds itself, and for what its grid asked it to. [article]
    """

    command: Literal["whistle"]
    offices: Offices
    reason: Literal["needs_department", "needs_enforcement", "beyond_authority", "danger"]
    note: Text


class GiveTask(OneCommand):
    """Ask somebody to do something in this case, if need be by a deadline of his own.

    `report_in`: a department, after a whistle. `assist`: an office beside the one that leads.
    `team`: the special work group named, or where none is the volunteers of the place. `adviser`:
    the legal adviser of the community. `copy`: the level above is to know. [article; F29, F30]
    """

    command: Literal["give_task"]
    kind: Literal["report_in", "assist", "team", "adviser", "copy"]
    office: OfficeId | None = None
    until: AwareDatetime | None = None
    note: Text


class ReportIn(OneCommand):
    """The department takes it, and says when it is on site. [article]"""

    command: Literal["report_in"]
    task: TaskNumber
    on_site: AwareDatetime
    note: Text | None = None


class RefuseTask(OneCommand):
    """Not ours: an office objects once, in time; when it says no again the district decides.

    A community may say that it does not blow, a team or an adviser that they cannot.
    """

    command: Literal["refuse_task"]
    task: TaskNumber
    reason: Literal["not_in_our_power", "not_in_our_area", "done_by_others", "no_capacity"]
    note: Text


class DecideObjection(OneCommand):
    """Who decides agrees that it is not theirs, or says that they have to."""

    command: Literal["decide_objection"]
    task: TaskNumber
    decision: Literal["uphold", "overrule"]
    note: Text


class FinishTask(OneCommand):
    """Done, and what came of it. `good` is what the first receiver says of a whistle's result."""

    command: Literal["finish_task"]
    task: TaskNumber
    result: Text
    good: bool | None = None


class WithdrawTask(OneCommand):
    """Whoever has the case needs it no longer."""

    command: Literal["withdraw_task"]
    task: TaskNumber
    note: Text


class CallConference(OneCommand):
    """What a desk cannot decide alone goes to a joint conference: who meets, and when. [domain B6]

    Members are offices and divisions.
    """

    command: Literal["call_conference"]
    members: Annotated[tuple[OfficeId, ...], Field(min_length=2, max_length=10)]
    meets_at: AwareDatetime
    note: Text


class ConferenceDecides(OneCommand):
    """The conference has said who is responsible: it has the case from now on, and keeps it."""

    command: Literal["conference_decides"]
    division: Division
    office: OfficeId | None = None
    note: Text
