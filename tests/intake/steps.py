"""What happens to a process in a test: a policy comes, petitions are handed in and read."""

from typing import Any
from uuid import UUID

import httpx
import orjson

from services.intake.handlers import policy, reading
from services.intake.handlers.loops import intake_of, voice_of
from services.intake.handlers.receipts import on_case_changed
from shared.clock import Clock
from shared.events import MODELS, Data, Topic
from shared.hearing import Batch, Heard
from shared.outbox import unpack
from shared.postgres import Transaction, transaction
from shared.service import Process
from tests.intake.samples import petition, policy_batch


async def hear_policy(process: Process, version: int, **how: Any) -> None:
    """A policy version comes on policy.events, and the process looks for it."""
    async with transaction(process.pool) as tx:
        await policy.on_policy(policy_batch(version, **how), tx, process.clock.now())
    async with transaction(process.pool) as tx:
        await intake_of(process).shelf.newest(tx)


async def read_all(process: Process) -> int:
    """Read all that waits."""
    in_force = intake_of(process).shelf.policy
    assert in_force is not None
    n = 0
    while True:
        async with transaction(process.pool) as tx:
            now = process.clock.now()
            page = await reading.read_once(tx, now, in_force, voice_of(process))
        page.note()
        if not any(page):
            return n
        n += sum(page)


async def hear(process: Process, *events: Heard, clock: Clock | None = None) -> None:
    """A batch comes on router.events."""
    async with transaction(process.pool) as tx:
        batch = Batch(Topic.ROUTER, events)
        done = await on_case_changed(batch, tx, process.clock.now(), clock or process.clock)
    if done is not None:
        done()


async def hand_in(client: httpx.AsyncClient, **more: object) -> dict[str, Any]:
    """A petition is accepted; what its sender was told."""
    answer = await client.post("/petitions", json=petition(**more))
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def receipt(client: httpx.AsyncClient, told: dict[str, Any]) -> dict[str, Any]:
    """What the resident is shown."""
    answer = await client.get(f"/petitions/{told['number']}", params={"code": told["code"]})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def said(database: Transaction, petition_id: str | UUID) -> list[tuple[int, Data]]:
    """What waits in the outbox about a petition: (seq, event), in the order it is said."""
    rows = await database.fetch(
        "select headers, value from outbox where key = $1 order by id", str(petition_id)
    )
    events: list[tuple[int, Data]] = []
    for row in rows:
        headers = dict(unpack(row["headers"]))
        model = MODELS[Topic.INTAKE][headers["ce_type"].decode()]
        events.append((int(headers["ce_seq"]), model.model_validate_json(row["value"])))
    return events


def problem(answer: httpx.Response) -> dict[str, Any]:
    """An RFC 9457 problem, whole."""
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = orjson.loads(answer.content)
    assert body["status"] == answer.status_code
    assert {"type", "title", "detail"} <= body.keys()
    return body
