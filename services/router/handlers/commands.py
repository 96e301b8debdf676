"""HTTP: one command on one case, once per Idempotency-Key, against the version that was seen."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import orjson

from services.router import store
from services.router.decisions.case import Case
from services.router.decisions.commands import OFFICER_COMMAND, Changed, Refused
from services.router.decisions.workflow import (
    accused_reads,
    allowed_actions,
    decide,
    may_read,
)
from services.router.handlers.policies import Policies
from services.router.handlers.steps import Step, Steps
from services.router.store.commands import FirstAnswer
from shared.clock import Clock
from shared.events import derived_id
from shared.identity import Actor
from shared.postgres import Transaction


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer to a command, kept under its key."""

    status: int
    body: bytes
    replayed: bool = False


class KeyTaken(Exception):
    """The key was used for another case at this very moment: what was done must be undone."""


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """Why a command was not looked at: nothing is kept under its key."""

    why: Literal["no_such_case", "other_body", "other_version", "newer_version"]
    version: int | None = None


@dataclass(slots=True)
class Commands:
    """Officers' commands; `trace` is that of the request."""

    policies: Policies
    epoch: int
    clock: Clock
    trace: str | None = None

    async def give(
        self,
        tx: Transaction,
        case_id: UUID,
        raw: bytes,
        actor: Actor,
        key: str,
        seen: int | None,
        now: datetime,
    ) -> Answer | NotAnswered:
        """Decide one command under the case's lock; a repeated key gets its first answer.

        `raw` is a valid command; `seen` the version the caller saw, None for any.
        Raises `KeyTaken`.
        """
        case = (await store.cases.locked(tx, [case_id])).get(case_id)
        if case is None or accused_reads(case, actor):
            return NotAnswered("no_such_case")
        body_hash = hashlib.sha256(str(case_id).encode() + raw).digest()
        first = await store.commands.first_answer(tx, actor.subject, key)
        if first is not None:
            return again(first, body_hash)
        if not may_read(case, actor):
            return NotAnswered("no_such_case")
        if seen is not None and seen != case.version:
            return NotAnswered("other_version", case.version)
        await self.policies.need(tx, {case.policy})
        policy = self.policies.of(case.policy).in_words_of(self.policies.current)
        decision = decide(case, OFFICER_COMMAND.validate_json(raw), actor, policy, now)
        if isinstance(decision, Refused) and decision.reason == "newer_version":
            return NotAnswered("newer_version")
        if isinstance(decision, Changed):
            case = await self.apply(tx, case, decision, actor, key, now)
        answer = answer_to(decision, case, actor)
        kept = store.commands.keep(tx, actor.subject, key, body_hash, answer.status, answer.body)
        if not await kept:
            raise KeyTaken
        return answer

    async def apply(
        self,
        tx: Transaction,
        case: Case,
        decision: Changed,
        actor: Actor,
        key: str,
        now: datetime,
    ) -> Case:
        """Save the step of a command."""
        event_id = derived_id("command", actor.subject, key)
        steps = Steps(now, self.epoch, self.clock, self.policies)
        cause = f"command:{event_id}"
        after = steps.take(Step(case, decision, actor, event_id, cause, traceparent=self.trace))
        await steps.save(tx)
        return after


def again(first: FirstAnswer, body_hash: bytes) -> Answer | NotAnswered:
    """What is said to a key that was used before."""
    if first.body_hash != body_hash:
        return NotAnswered("other_body")
    return Answer(first.status, first.answer, replayed=True)


def answer_to(decision: Changed | Refused, case: Case, actor: Actor) -> Answer:
    """What the caller is told."""
    if isinstance(decision, Changed):
        body = {
            "id": str(case.id),
            "version": case.version,
            "stage": case.stage,
            "holder": case.holder,
            "rule": decision.rule,
            "transitions": decision.transitions,
            "actions": allowed_actions(case, actor),
        }
        return Answer(200, orjson.dumps(body))
    status = {"unknown": 422, "incomplete": 422, "not_your_role": 403, "not_your_area": 403}.get(
        decision.reason, 409
    )
    body = {
        "type": f"https://casegrid.example/problems/{decision.reason.replace('_', '-')}",
        "title": "The command was refused",
        "status": status,
        "detail": decision.says,
        "allowed": allowed_actions(case, actor),
    }
    return Answer(status, orjson.dumps(body))
