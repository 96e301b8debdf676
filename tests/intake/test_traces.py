"""The trace of a request stands on every event of its petition."""

import re

import httpx
import pytest

from shared.outbox import unpack
from shared.postgres import Transaction
from shared.service import Process
from shared.traces import TRACEPARENT
from tests.intake.samples import petition
from tests.intake.steps import read_all

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


async def traces(database: Transaction) -> list[str]:
    """The traces of what waits in the outbox, in the order it is said."""
    rows = await database.fetch("select headers from outbox order by id")
    return [dict(unpack(row["headers"]))["traceparent"].decode() for row in rows]


@pytest.mark.parametrize("read_first", [True, False])
async def test_an_event_carries_the_trace_of_its_request(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction, read_first: bool
) -> None:
    answer = await client.post("/petitions", json=petition(), headers={"traceparent": TRACE})
    told = answer.json()
    if read_first:
        await read_all(with_policy)
    added = await client.post(
        told["links"]["supplements"], json={"text": "more"}, headers={"traceparent": OTHER}
    )
    assert added.status_code == 202
    await read_all(with_policy)
    assert await traces(database) == [TRACE, OTHER]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(None, id="none"),
        pytest.param(TRACE.upper(), id="capitals"),
        pytest.param(f"{TRACE}-01", id="too long"),
        pytest.param(TRACE[:-1], id="too short"),
        pytest.param(f"ff{TRACE[2:]}", id="the version that is none"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", id="no trace"),
        pytest.param(f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", id="no parent"),
        pytest.param("00-a\tb", id="nonsense"),
    ],
)
async def test_without_a_trace_of_the_w3c_form_a_new_one_begins(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction, given: str | None
) -> None:
    headers = {} if given is None else {"traceparent": given}
    for _ in range(2):
        await client.post("/petitions", json=petition(), headers=headers)
    await read_all(with_policy)
    made = await traces(database)
    assert all(TRACEPARENT.fullmatch(one) and re.fullmatch(r"[0-9a-f-]{55}", one) for one in made)
    assert len(set(made)) == 2
    assert given not in made


async def test_the_same_request_again_keeps_the_first_trace(
    client: httpx.AsyncClient, with_policy: Process, database: Transaction
) -> None:
    for trace in (TRACE, OTHER):
        headers = {"idempotency-key": "k", "traceparent": trace}
        await client.post("/petitions", json=petition(), headers=headers)
    await read_all(with_policy)
    assert await traces(database) == [TRACE]
