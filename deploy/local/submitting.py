"""Hand in sample petitions over HTTP, at a steady rate."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from shared.divisions import CITY
from shared.identity import issue

AT_ONCE = 32
PAUSE_SECONDS = 1.0
COME_AGAIN = (429, 502, 503, 504)


@dataclass(slots=True)
class Submitted:
    """What became of the samples so far; `newest` is the path of the last one's receipt."""

    accepted: int = 0
    tried_again: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    newest: str | None = None


async def submit(
    client: httpx.AsyncClient,
    bodies: Iterable[dict[str, Any]],
    rate: float,
    run: str,
    so_far: Submitted,
    secret: str | None = None,
) -> None:
    """Hand in these bodies, `rate` a second; returns after the last one.

    `run` tells this run's petitions from those of any other, so that each is taken once. `secret`
    signs the token of the clerk who registers what a person did not send himself.
    """
    clock = asyncio.get_running_loop()
    began = clock.time()
    # The workers share it: each takes the next petition, and waits for its moment.
    numbered = enumerate(bodies)

    async def worker() -> None:
        for n, body in numbered:
            await asyncio.sleep(began + n / rate - clock.time())
            await hand_in(client, f"{run}-{n}", body, so_far, secret)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(worker())


async def hand_in(
    client: httpx.AsyncClient,
    key: str,
    body: dict[str, Any],
    so_far: Submitted,
    secret: str | None,
) -> None:
    """Hand in one petition, again and again until there is an answer."""
    headers = {"content-type": "application/json", "idempotency-key": key}
    if secret is not None and "on_behalf" in body:
        clerk = issue(secret, "crew-clerk", ("petition_officer",), CITY)
        headers["authorization"] = f"Bearer {clerk}"
    content = orjson.dumps(body)
    while True:
        try:
            answer = await client.post("/petitions", content=content, headers=headers)
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code not in COME_AGAIN:
            note(answer, so_far)
            return
        so_far.tried_again += 1
        await asyncio.sleep(PAUSE_SECONDS)


def note(answer: httpx.Response, so_far: Submitted) -> None:
    """Accepted or refused."""
    if answer.status_code == httpx.codes.ACCEPTED:
        so_far.accepted += 1
        so_far.newest = answer.json()["links"]["receipt"]
    else:
        so_far.refused[answer.status_code] += 1
