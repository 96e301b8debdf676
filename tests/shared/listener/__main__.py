"""The smallest service: it writes down what it hears, and fails as it is told to.

The 13th event of a subject is a row that its table refuses; a `caused_by` of "bug" is a bug. What
both carry must never be told by the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from shared.command import service_command
from shared.events import Topic
from shared.hearing import Batch, Done, Handle, Heard
from shared.http import json, process_of
from shared.postgres import Transaction
from shared.service import Process, Service

routes = APIRouter()


class Told(BaseModel):
    """Something that is not a number."""

    n: int


async def write_down(tx: Transaction, heard: Heard) -> None:
    """One row for one event."""
    said = heard.envelope
    await tx.execute(
        "insert into heard values ($1, $2, $3)", said.subject, said.order.seq, said.caused_by
    )


async def handle(batch: Batch, tx: Transaction, now: datetime) -> Done | None:
    """Write down a batch."""
    for heard in batch.events:
        if heard.envelope.caused_by == "bug":
            raise RuntimeError(f"what {heard.envelope.subject} said")
        await write_down(tx, heard)
    return None


@routes.get("/heard")
async def heard(request: Request) -> Response:
    """How many rows there are."""
    async with process_of(request).pool.acquire() as connection:
        return json(await connection.fetchval("select count(*) from heard"))


@routes.get("/fail/{how}/{said}")
async def fail(how: str, said: str, request: Request) -> Response:
    """Fail in one of the ways that quote a value."""
    if how == "bug":
        raise RuntimeError(said)
    if how == "model":
        Told.model_validate({"n": said})
    async with process_of(request).pool.acquire() as connection:
        if how == "row":
            await connection.execute("insert into heard values ($1, 13, 'x')", said)
        else:
            await connection.execute("insert into heard values ('x', $1, 'x')", said)
    return json("never")


def hears(_: Process) -> Mapping[Topic, Handle]:
    """A topic that keeps 30 days."""
    return {Topic.INTAKE: handle}


SERVICE = Service(
    name="listener",
    about="Writes down what it hears.",
    migrations=Path(__file__).with_name("migrations"),
    routes=routes,
    hears=hears,
)

if __name__ == "__main__":
    service_command(SERVICE)()
