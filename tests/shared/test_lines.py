"""The log has a line for each request and each batch, with its trace; its level can be changed."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx

from shared.settings import Settings
from tests.servers import free_port
from tests.shared.conftest import Start
from tests.shared.sayings import ONE, TWO, eventually, message, say, with_header
from tests.shared.test_stopping import ended, page

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID = TRACE[3:35]
SECRET = ("Wang-Fang", "13898765432", "王芳")


def lines(said: Path, event: str, **known: object) -> list[dict[str, Any]]:
    """The lines of this event that say all of this, without what differs each time."""
    found = [json.loads(line) for line in said.read_text().splitlines() if line.startswith("{")]
    return [
        {name: value for name, value in one.items() if name not in ("timestamp", "seconds")}
        for one in found
        if one["event"] == event and known.items() <= one.items()
    ]


async def until_said(said: Path, event: str, **known: object) -> list[dict[str, Any]]:
    """The same, once there is one."""

    async def ask() -> list[dict[str, Any]]:
        return lines(said, event, **known)

    return await eventually(ask, bool)


async def test_a_request_and_a_batch_have_a_line_each_and_nothing_of_what_was_said(
    start: Start, settings: Settings, tmp_path: Path
) -> None:
    port, said = free_port(), tmp_path / "said"
    process = start(settings, "serve", CASEGRID_PORT=str(port))
    await page(port)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(trust_env=False, timeout=20, base_url=url) as client:
        query = {"name": SECRET[2], "phone": SECRET[1]}
        trace = {"traceparent": TRACE, "x-name": SECRET[0]}
        await client.get("/heard", params=query, headers=trace)
        await client.get("/fail/bug/" + "-".join(SECRET[:2]), headers={"traceparent": SECRET[0]})
        await client.get(f"/{SECRET[0]}/{SECRET[1]}")
    request = {"event": "request", "service": "listener", "logger": "casegrid.request",
               "level": "info", "method": "GET"}  # fmt: skip
    assert lines(said, "request", trace=TRACE_ID) == [
        {**request, "route": "/heard", "status": 200, "trace": TRACE_ID}
    ]
    [failed] = lines(said, "request", route="/fail/{how}/{said}", status=500)
    [nowhere] = lines(said, "request", route="(none)", status=404)
    assert all(len(one["trace"]) == 32 for one in (failed, nowhere))
    assert not lines(said, "request", route="/readyz")
    of_a_trace = message(ONE, 1)._replace(
        headers=[*message(ONE, 1).headers, ("traceparent", TRACE.encode())]
    )
    foreign = message(TWO, 1)._replace(
        headers=[*message(TWO, 1).headers, ("traceparent", SECRET[0].encode())]
    )
    spoilt = with_header(message(TWO, 2), "ce_time", SECRET[0].encode())
    await say(settings, of_a_trace)
    assert await until_said(said, "batch") == [
        {"event": "batch", "service": "listener", "logger": "casegrid.batch", "level": "info",
         "topic": "intake.events", "records": 1, "parked": 0, "traces": 1,
         "first_traces": [TRACE_ID]}
    ]  # fmt: skip
    await say(settings, foreign, spoilt)
    await until_said(said, "batch", parked=1)
    assert ended(process) == 0
    assert not [word for word in SECRET if word in said.read_text()]


async def test_the_level_changes_while_it_runs(
    start: Start, settings: Settings, tmp_path: Path
) -> None:
    port, said = free_port(), tmp_path / "said"
    process = start(settings, "serve", CASEGRID_PORT=str(port))
    await page(port)
    await changed(process, said, signal.SIGUSR2, "warning")
    await page(port, "/heard")
    assert not lines(said, "request")
    await changed(process, said, signal.SIGUSR1, "info")
    await page(port, "/heard")
    await until_said(said, "request", route="/heard")
    await changed(process, said, signal.SIGUSR1, "debug")
    await page(port, "/livez")
    await until_said(said, "request", route="/livez")
    assert ended(process) == 0


async def changed(
    process: subprocess.Popen[str], said: Path, number: signal.Signals, level: str
) -> None:
    """Send the signal, and wait until the log says what it means."""
    process.send_signal(number)
    await until_said(said, f"the log says {level} and above")
