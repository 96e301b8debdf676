"""What the resident is told: his answers, and the templates that officers write them from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Annotated, Any, get_args
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response

from services.router import store
from services.router.api.cases import no_such_case, readable
from services.router.api.cursors import PAGE, step_after
from services.router.api.registry import policy_of
from services.router.decisions.answers import PublicAnswer, Told, public_answers
from services.router.decisions.case import Case, after_each
from services.router.decisions.policy import Template, Templates, WordedCommand
from services.router.decisions.tracks import TRACKS
from services.router.decisions.workflow import may_know
from services.router.handlers.policies import policies_of
from services.router.store.cases import NEVER
from services.router.store.history import HistoryRow
from shared.events import Order
from shared.http import Problem, cursor_of, json, officer, process_of, resident

routes = APIRouter(tags=["answers"])


@routes.get("/cases/{case_id}/answers", summary="What the resident was told")
async def get_answers(
    request: Request,
    case_id: UUID,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> Response:
    """Replies, results, refusals, pauses, more time: the words for the resident, oldest first.

    For officers who may read the case, so far as they may know of its steps; and for its resident
    with a token of his own. Who speaks is a unit, never a person; notes of officers are not in it.
    """
    after = Order(0, 0) if cursor is None else step_after(cursor)
    left = [answer for answer in await told(request, case_id) if answer.order > after]
    page = left[:limit]
    following = cursor_of([*page[-1].order]) if len(left) > limit else None
    answers = list(map(answer_view, page))
    return json({"case": str(case_id), "answers": answers, "cursor": following})


async def told(request: Request, case_id: UUID) -> list[PublicAnswer]:
    """The words for the resident that the caller may know of. Raises a 401, 403 or 404."""
    process, who = process_of(request), None
    asks = resident(request)
    if asks is None:
        _, who, _ = await readable(request, case_id)
    elif asks != case_id:
        raise no_such_case()
    async with process.pool.acquire(timeout=10) as connection:
        rows = await store.history.until(connection, case_id, NEVER)
        stood = [*after_each(row.changed for row in rows)]
        if not stood:
            raise no_such_case()
        version = stood[-1].policy
        await policies_of(process).need(connection, {version})
    steps = [told_in(row, before) for row, before in zip(rows, (None, *stood[:-1]), strict=True)]
    may = [True] * len(rows) if who is None else [*may_know(stood, who)]
    known = {step.order for step, knows in zip(steps, may, strict=True) if knows}
    answers = public_answers(steps, policies_of(process).of(version))
    return [answer for answer in answers if {answer.order, answer.written} <= known]


def told_in(row: HistoryRow, before: Case | None) -> Told:
    """A step as `public_answers` takes it."""
    return Told(
        order=Order(row.epoch, row.seq),
        at=row.at,
        event=row.event,
        role=row.role,
        division=row.division,
        detail=orjson.loads(row.detail),
        before=before,
    )


def answer_view(answer: PublicAnswer) -> dict[str, Any]:
    """Words for the resident in both languages."""
    return {
        "at": answer.at,
        "kind": answer.kind,
        "text": in_both(answer.text),
        "unit": in_both(answer.unit),
        **answer.also,
    }


def in_both(said: tuple[str, str]) -> dict[str, str]:
    """Chinese and English."""
    return {"zh": said[0], "en": said[1]}


# ---------------------------------------------------------------- templates


@routes.get("/templates", summary="Words to answer with, for a case or a matter")
async def get_templates(
    request: Request,
    case: UUID | None = None,
    category: Annotated[str | None, Query(max_length=20)] = None,
    command: WordedCommand | None = None,
) -> Response:
    """Those that fit, of each code the narrowest, the narrower first; for officers.

    With `case`, for its matter, track and stage; with `category`, for that matter at any stage;
    with neither, all of them. `asks` are the slots that you fill; the others fill themselves.
    """
    officer(request)
    policy = policy_of(request)
    if case is not None:
        case_, _, _ = await readable(request, case)
        found = of_case(case_, command, policy.templates)
    elif category is not None:
        row = policy.categories.get(category)
        if row is None:
            raise Problem(404, "no-such-category", "No category of this code is known.")
        takes = {step.command for step in TRACKS[row.track].steps}
        found = taken(policy.templates.fitting(category, command), takes)
    else:
        found = taken(policy.templates.rows, {command} if command else set(get_args(WordedCommand)))
    return json({"version": policy.templates.version, "templates": list(map(template_view, found))})


def of_case(case: Case, command: WordedCommand | None, templates: Templates) -> list[Template]:
    """The templates that its track takes in its stage."""
    takes = {step.command for step in TRACKS[case.track].steps if case.stage in step.sources}
    return taken(templates.fitting(case.category, command, case.stage), takes)


def taken(templates: Iterable[Template], commands: Collection[str]) -> list[Template]:
    """Those that are for one of these commands."""
    return [template for template in templates if not template.commands.isdisjoint(commands)]


def template_view(template: Template) -> dict[str, Any]:
    """A template, with the slots that the officer fills."""
    return {
        "code": template.code,
        "commands": sorted(template.commands),
        "stages": sorted(template.stages),
        "reason": template.reason,
        "category": template.category or None,
        "zh": template.zh,
        "en": template.en,
        "slots": template.slots,
        "asks": template.asks,
    }
