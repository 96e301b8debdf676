"""What the resident is told: his answers, and the templates that officers write them from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, get_args
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response

from services.router import store
from services.router.api.cases import no_such_case, readable
from services.router.api.cursors import PAGE, step_after
from services.router.api.registry import policy_of
from services.router.api.steps import BEGINNING, LOOKED_AT, Stood, paged, stood
from services.router.decisions.answers import PublicAnswer, Told, public_answers
from services.router.decisions.case import Case
from services.router.decisions.policy import Template, Templates, WordedCommand
from services.router.decisions.tracks import TRACKS
from services.router.handlers.policies import policies_of
from shared.http import Problem, json, officer, process_of, resident
from shared.identity import Actor
from shared.postgres import Transaction

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
    A page may hold few or none; while there is a `cursor` more follow.
    """
    process = process_of(request)
    case, who = await asked_by(request, case_id)
    after = BEGINNING if cursor is None else step_after(cursor)
    async with process.pool.acquire(timeout=10) as connection:
        await policies_of(process).need(connection, {case.policy})
        rows = await store.history.page(connection, case_id, after, LOOKED_AT + 1)
        steps = await stood(connection, case_id, rows[:LOOKED_AT], who)
        asked = await asked_before(connection, steps, who)
    left = steps[-1].order if len(rows) > LOOKED_AT else None
    known = {one.order for one in (*asked, *steps) if one.known}
    policy = policies_of(process).of(case.policy)
    told = public_answers(map(told_in, steps), policy, *map(told_in, asked))
    found = [answer for answer in told if {answer.order, answer.written} <= known]
    page, following = paged(found, limit, lambda answer: answer.order, left)
    answers = list(map(answer_view, page))
    return json({"case": str(case_id), "answers": answers, "cursor": following})


async def asked_by(request: Request, case_id: UUID) -> tuple[Case, Actor | None]:
    """The case, and the officer who asks; no officer is its resident. Raises a 401, 403 or 404."""
    asks = resident(request)
    if asks is None:
        case, who, _ = await readable(request, case_id)
        return case, who
    if asks != case_id:
        raise no_such_case()
    async with process_of(request).pool.acquire(timeout=10) as connection:
        found = await store.cases.find(connection, case_id)
    if found is None:
        raise no_such_case()
    return found, None


async def asked_before(
    tx: Transaction, steps: Sequence[Stood], who: Actor | None
) -> Sequence[Stood]:
    """The step before these that asked for the more time that one of them grants; mostly none."""
    about = [one for one in steps if one.row.event in ("extension_asked", "extended")]
    if not about or about[0].row.event == "extension_asked":
        return []
    row = await store.history.last_asked(tx, about[0].row.case_id, about[0].order)
    return [] if row is None else await stood(tx, row.case_id, [row], who)


def told_in(one: Stood) -> Told:
    """A step as `public_answers` takes it."""
    return Told(
        order=one.order,
        at=one.row.at,
        event=one.row.event,
        role=one.row.role,
        division=one.row.division,
        detail=orjson.loads(one.row.detail),
        before=one.before,
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
