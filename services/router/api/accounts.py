"""What was counted of each promise of a case, and what would be counted of one that is supposed."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import tee
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from services.router import store
from services.router.api.cases import readable
from services.router.decisions.account import (
    Account,
    Counted,
    CountsIn,
    Line,
    Told,
    reason_of,
)
from services.router.decisions.case import Case, Pause, PauseReason, after_each
from services.router.decisions.clocks import Owner
from services.router.decisions.policy import Policy
from services.router.decisions.whatif import MOST_PAUSES, Asked, Explained, Wrong, explained
from services.router.decisions.workflow import may_know
from services.router.handlers.policies import policies_of
from services.router.store.history import HistoryRow
from shared.business_time import Span
from shared.events import Order, Track, Urgency
from shared.http import Problem, invalid, json, officer, process_of, require_json, spelt_out
from shared.identity import Actor
from shared.service import Process

routes = APIRouter(tags=["clocks"])
PAGE = 500
MOST_STEPS = 5_000
"""So much of a history is reckoned for one answer; a case has some dozen steps as a rule."""


class Read(NamedTuple):
    """The steps of a case that were read, and whether they are all."""

    rows: list[HistoryRow]
    complete: bool


@routes.get("/cases/{case_id}/account", summary="What was counted of each promise, and why")
async def get_account(request: Request, case_id: UUID) -> Response:
    """Every promise that was ever made, in order, with each span of it: what it counted, whose it
    was, what began it, by which event, rule, policy and calendar.

    `amount` + what was `added` = `counted` + `left`, exactly, in what it `counts_in`: seconds,
    working seconds, days or working days. `ended` says how: met, broken, lapsed (a right that ran
    out), void (nobody owes it any more) or replaced (counted anew, by another limit).
    Needs a token whose area holds the case; like the history it tells whoever was shut out for a
    time nothing of that time. Of a very long history the beginning is reckoned: then `complete` is
    false, and `as_of` the last step that was. `not_reckoned` are promises that only a newer version
    of the service knows.
    """
    case, who, process = await readable(request, case_id)
    read = await steps_of(process, case_id)
    policy = policies_of(process).of(case.policy)
    account = await reckoned(read.rows, who, policy)
    as_of = process.clock.now() if read.complete else read.rows[-1].at
    lines = account.upto(as_of)
    return json(
        {
            "case": str(case.id),
            "number": case.number,
            "as_of": as_of,
            "complete": read.complete,
            "most_steps": MOST_STEPS,
            "policy": policy.version,
            "calendar": policy.calendar.version,
            "promises": [promise_view(line, as_of, policy) for line in lines],
            "not_reckoned": sorted(account.strange),
        }
    )


async def steps_of(process: Process, case_id: UUID) -> Read:
    """The steps of a case, page by page; at most so many."""
    rows: list[HistoryRow] = []
    async with process.pool.acquire(timeout=10) as connection:
        while len(rows) <= MOST_STEPS:
            after = Order(rows[-1].epoch, rows[-1].seq) if rows else Order(0, 0)
            page = await store.history.page(connection, case_id, after, PAGE)
            rows += page
            if len(page) < PAGE:
                break
    return Read(rows[:MOST_STEPS], complete=len(rows) <= MOST_STEPS)


async def reckoned(rows: list[HistoryRow], who: Actor, policy: Policy) -> Account:
    """The account of the steps that the caller may know of; others are served between pages."""
    account = Account(policy)
    stood, judged = tee(after_each(row.changed for row in rows))
    known = may_know(judged, who)
    for n, (row, case, may) in enumerate(zip(rows, stood, known, strict=True), 1):
        if may:
            account.hear(told(row, case))
        if n % PAGE == 0:
            await asyncio.sleep(0)
    return account


def told(row: HistoryRow, case: Case) -> Told:
    """A step without the name of who did it."""
    return Told(row.at, row.event, row.transitions, row.rule, row.role, row.division, case)


# ---------------------------------------------------------------- how it is written


def amount(counted: int, counts_in: CountsIn) -> int | float:
    """Days as they are, microseconds as seconds."""
    if counts_in in ("days", "working_days"):
        return counted
    return counted / 1_000_000


def promise_view(line: Line, as_of: datetime, policy: Policy) -> dict[str, Any]:
    """A promise with all that was counted of it."""
    unit = line.counts_in
    ended = None
    if line.ended is not None:
        ended = {"how": line.ended[0], "step": step_view(line.ended[1])}
    return {
        "clock": line.name,
        "limit": line.limit,
        "counts_in": unit,
        "started_at": line.start,
        "promised_at": line.step.at,
        "due_at": line.due_at,
        "amount": amount(line.amount, unit),
        "added": [
            {"why": one.why, "amount": amount(one.amount, unit), "step": step_view(one.step)}
            for one in line.added
        ],
        "counted": amount(sum(span.counted for span in line.spans), unit),
        "left": amount(line.left, unit),
        "ended": ended,
        "spans": [
            span_view(span, unit, as_of, policy)
            | {"owner": owner_view(span.owner), "step": step_view(span.step)}
            for span in line.spans
        ],
    }


def span_view(span: Counted, unit: CountsIn, as_of: datetime, policy: Policy) -> dict[str, Any]:
    """A span, and which calendar counted it."""
    return {
        "state": span.state,
        "begun": span.begun,
        "from": span.start,
        "to": span.end,
        "counted": amount(span.counted, unit),
        "policy": policy.version,
        "calendar": calendar_view(span.start, span.end or as_of, policy),
    }


def calendar_view(start: datetime, end: datetime, policy: Policy) -> dict[str, Any]:
    """The version of the calendar, the years that were asked, and those without a notice yet."""
    calendar = policy.calendar
    first, last = (moment.astimezone(calendar.zone).year for moment in (start, end))
    years = range(first, last + 1)
    return {
        "version": calendar.version,
        "years": list(years),
        "provisional": [year for year in years if calendar.is_provisional(year)],
    }


def owner_view(owner: Owner) -> dict[str, Any]:
    """Whose a promise is."""
    return owner._asdict()


def step_view(step: Told) -> dict[str, Any]:
    """A step by its event, its rule, and the role and division of who did it."""
    return {
        "version": step.case.version,
        "at": step.at,
        "event": step.event,
        "rule": step.rule,
        "reason": reason_of(step),
        "role": step.role,
        "division": step.division,
    }


# ---------------------------------------------------------------- what if


def within_reach(moment: datetime) -> datetime:
    """A moment of this age. ValueError for another, that no calendar knows."""
    if not 1970 <= moment.year < 2200:
        raise ValueError("name a moment from 1970 to 2199")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(within_reach)]


class SupposedPause(BaseModel):
    """A time in which the promise would stand still."""

    model_config = ConfigDict(extra="forbid")
    since: Moment = Field(alias="from")
    until: Moment = Field(alias="to")
    reason: PauseReason


class SupposedExtension(BaseModel):
    """More time: granted when, until when."""

    model_config = ConfigDict(extra="forbid")
    granted_at: Moment
    until: Moment


class Supposed(BaseModel):
    """A case that is only supposed.

    Without `clock`, every promise that the policy gives such a case is explained, each as if its
    own moment were `start`. `urgency` and `track` are the category's where they are not said.
    """

    model_config = ConfigDict(extra="forbid")
    start: Moment
    division: str = Field(max_length=15)
    clock: str | None = Field(None, max_length=40)
    category: str | None = Field(None, max_length=20)
    track: Track | None = None
    urgency: Urgency | None = None
    policy: int | None = Field(None, ge=1)
    pauses: tuple[SupposedPause, ...] = Field((), max_length=MOST_PAUSES)
    extension: SupposedExtension | None = None

    def asked(self) -> Asked:
        """The question as decisions take it."""
        more = self.extension
        return Asked(
            start=self.start,
            division=self.division,
            clock=self.clock,
            track=self.track,
            urgency=self.urgency,
            category=self.category,
            pauses=tuple(Pause(one.reason, one.since, one.until) for one in self.pauses),
            extension=None if more is None else (more.granted_at, more.until),
        )


@routes.post(
    "/clocks/explain",
    summary="When would a promise be due, and what would be counted?",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": spelt_out(Supposed.model_json_schema())}},
        }
    },
)
async def post_explain(request: Request) -> Response:
    """A promise that is only supposed: its due time, its warnings, each stretch that is counted,
    the holidays and make-up days in it, and the rule that it comes from. No case is changed.

    Any officer may ask. The newest policy counts, or the `policy` that is named.
    """
    officer(request)
    require_json(request)
    try:
        supposed = Supposed.model_validate_json(await request.body())
    except ValidationError as wrong:
        raise invalid(wrong) from wrong
    process = process_of(request)
    policy = await policy_for(process, supposed)
    answer = explained(supposed.asked(), policy)
    if isinstance(answer, Wrong):
        raise not_so(answer)
    return json(
        {
            "policy": policy.version,
            "calendar": policy.calendar.version,
            "promises": [explained_view(one, policy) for one in answer],
        }
    )


async def policy_for(process: Process, supposed: Supposed) -> Policy:
    """The policy that is named, with the divisions of the start. Raises a 422 `Problem`."""
    policies = policies_of(process)
    version = supposed.policy or policies.newest
    if version > policies.newest:
        raise not_so(Wrong("policy", f"the newest version is {policies.newest}"))
    async with process.pool.acquire(timeout=10) as connection:
        await policies.need(connection, {version})
    policy = policies.of(version)
    return policy.on(supposed.start.astimezone(policy.calendar.zone).date())


def not_so(wrong: Wrong) -> Problem:
    """The 422 that names the field, and says what to write."""
    return Problem(
        422,
        "invalid-request",
        f"`{wrong.field}`: {wrong.says}.",
        errors=[{"field": wrong.field, "says": wrong.says}],
    )


def explained_view(one: Explained, policy: Policy) -> dict[str, Any]:
    """A promise that is supposed."""
    line, clock = one.line, one.clock
    zh, en = one.counting
    return {
        "clock": line.name,
        "track": one.track,
        "urgency": one.urgency,
        "runs_from": one.moment,
        "limit": line.limit,
        "counts_in": line.counts_in,
        "amount": amount(line.amount, line.counts_in),
        "added": [
            {"why": added.why, "amount": amount(added.amount, line.counts_in)}
            for added in line.added
        ],
        "started_at": clock.started_at,
        "due_at": clock.due_at,
        "provisional": one.provisional,
        "warn_at": clock.warn_at,
        "on_breach": clock.on_breach,
        "owner": {"division": clock.owner_division, "role": clock.owner_role},
        "basis": one.basis,
        "counting": {"zh": zh, "en": en},
        "spans": [
            span_view(span, line.counts_in, clock.due_at, policy)
            | {"stretches": list(map(stretch_view, stretches))}
            for span, stretches in one.spans
        ],
        "days": [day._asdict() for day in one.days],
    }


def stretch_view(span: Span) -> dict[str, Any]:
    """A stretch of time that counts."""
    return {"from": span.start, "to": span.end, "seconds": (span.end - span.start).total_seconds()}
