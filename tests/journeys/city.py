"""A running city for a journey: four services as processes, on real servers, over HTTP."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import httpx

from deploy.local.environment import inherited
from deploy.local.stack import Stack
from shared.divisions import CITY
from shared.identity import issue
from tests.servers import ROOT

T = TypeVar("T")

GRID = "210212001001001"
COMMUNITY = GRID[:12]
STREET = GRID[:9]
DISTRICT = GRID[:6]


@dataclass
class City:
    """The stack of a journey and what a person may do with it."""

    stack: Stack
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20, trust_env=False))

    def submit(self, key: str | None = None, **body: Any) -> dict[str, Any]:
        """Send a petition; it must be accepted."""
        whole = {"kind": "help", "channel": "phone", "text": "一件小事"} | body
        answer = self.http.post(
            self.stack.url("intake") + "/petitions",
            json=whole,
            headers={"Idempotency-Key": key or uuid4().hex},
        )
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def receipt(self, petition: dict[str, Any]) -> dict[str, Any]:
        """What the resident sees."""
        answer = self.http.get(
            f"{self.stack.url('intake')}/petitions/{petition['number']}",
            params={"code": petition["code"]},
        )
        assert answer.status_code == 200, answer.text
        seen: dict[str, Any] = answer.json()
        return seen

    def operate(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """`casegrid` as a person on call runs it, with these settings besides."""
        return subprocess.run(
            [sys.executable, "-m", "services", *words],
            cwd=ROOT,
            env=inherited() | self.stack.operator_settings() | {"NO_COLOR": "1"} | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def token(self, *roles: str, division: str = CITY, office: str | None = None) -> dict[str, str]:
        """The header of an officer."""
        secret = self.stack.secret_file.read_text()
        token = issue(secret, "-".join(roles), roles, division, office)
        return {"Authorization": f"Bearer {token}"}

    def get(self, service: str, path: str, *roles: str, division: str = CITY) -> httpx.Response:
        """Ask a service as an officer (as an auditor of the city, unless said otherwise)."""
        return self.http.get(
            self.stack.url(service) + path,
            headers=self.token(*(roles or ("auditor",)), division=division),
        )

    def case(self, case_id: str) -> dict[str, Any]:
        """A case, once it is open."""
        answer = eventually(
            lambda: self.get("router", f"/cases/{case_id}"), lambda a: a.status_code == 200
        )
        seen: dict[str, Any] = answer.json()
        return seen

    def history(self, case_id: str) -> list[dict[str, Any]]:
        """A case's steps, once it is open."""
        steps: list[dict[str, Any]] = []
        path = f"/cases/{case_id}/history"
        query = ""
        while True:
            answer = eventually(
                lambda query=query: self.get("router", path + query),  # type: ignore[misc]
                lambda one: one.status_code == 200,
            )
            page = answer.json()
            steps += page["steps"]
            if page["cursor"] is None:
                return steps
            query = f"?cursor={page['cursor']}"

    def command(
        self,
        case_id: str,
        command: dict[str, Any],
        role: str,
        division: str,
        office: str | None = None,
    ) -> httpx.Response:
        """Give a command as an officer of a division, or of an office in it."""
        return self.http.post(
            f"{self.stack.url('router')}/cases/{case_id}/commands",
            json=command,
            headers=self.token(role, division=division, office=office)
            | {"Idempotency-Key": uuid4().hex, "If-Match": "*"},
        )

    def metric(self, service: str, name: str) -> float:
        """The sum of a metric's samples."""
        text = self.http.get(self.stack.url(service) + "/metrics").text
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.split("{")[0].split(" ")[0] == name
        )


async def rows(city: City, service: str, sql: str, *values: object) -> list[asyncpg.Record]:
    """Look into a service's own database, as a test may."""
    connection = await asyncpg.connect(city.stack.database_url(service))
    try:
        return await connection.fetch(sql, *values)
    finally:
        await connection.close()


def eventually(
    ask: Callable[[], T], until: Callable[[T], bool], seconds: float = 30, pause: float = 0.05
) -> T:
    """Ask again until the answer will do; the last answer stands in the failure."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if until(answer):
            return answer
        assert time.monotonic() < end, f"not within {seconds} s: {str(answer)[:2000]}"
        time.sleep(pause)
