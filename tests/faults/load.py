"""Residents and officers who send requests all the time, from a thread of their own.

Petitions, some of them several times at once under their key; supplements; officers who sign,
reply and resolve, who pause, ask for more time and give tasks; desks that take note of what
escalation tells them. What gets no answer is sent
again under its key, mostly; some of it is left unknown.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, get_args
from uuid import uuid4

import httpx
import orjson

from bench.ledger import NO_ANSWER
from services.router.decisions.policy import Role
from shared.clock import Clock
from shared.divisions import CITY
from shared.identity import issue
from tests.faults.book import Asked, Book, leaves_open
from tests.journeys.city import COMMUNITY, DISTRICT, GRID, STREET

SUBJECT = "faults-officer"
PLACES = (GRID, COMMUNITY, STREET, DISTRICT)
MATTERS = ("E0102", "P0105", "E0110", "H01", "P0202", None)
TIMEOUT = httpx.Timeout(8.0, connect=4.0)
MOST_UNDER_WAY = 500
LEFT_UNKNOWN = 0.15
"""Of what got no answer, the share that nobody asks for again."""
AT_ONCE = 0.08
"""Of the petitions, the share that is sent several times at the same moment."""
BESIDE = 0.5
"""Of the commands, the share that is no step on a case's way to its end."""
SETTLE_SECONDS = 60.0
LOOKS = (
    ("router", f"/queues/{DISTRICT}"),
    ("escalation", f"/notices/{DISTRICT}"),
    ("analytics", "/stats"),
)


def beside(now: datetime) -> list[dict[str, str | int]]:
    """What may come between: promises stand still, have more time, others are asked to help."""
    return [
        {"command": "pause", "reason": "waiting_for_petitioner", "text": "请补充门牌号。",
         "until": (now + timedelta(hours=6)).isoformat()},
        {"command": "resume"},
        {"command": "extend", "reason": "等待配件", "text": "需要更长时间。",
         "until": (now + timedelta(days=9)).isoformat()},
        {"command": "decline_extension", "note": "时间足够"},
        {"command": "give_task", "kind": "copy", "note": "供参考"},
        {"command": "give_task", "kind": "team", "note": "请协助"},
        {"command": "finish_task", "task": 1, "result": "已完成"},
        {"command": "withdraw_task", "task": 1, "note": "不再需要"},
        {"command": "assign", "to": "faults-worker"},
    ]  # fmt: skip


class Sent(NamedTuple):
    """Where a request goes, and what it says."""

    service: str
    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = {}
    method: str = "POST"


class Load:
    """`rate` petitions a second, a third as many commands, and a few of the rest.

    `address` says where a request to a service goes now. `whole_life`: cases are paused, extended
    and given tasks too; not while a router works that would lose what it does not know. `once`:
    nothing is sent a second time, every other request comes over a connection of its own, and
    what services show is looked at.
    """

    def __init__(
        self,
        address: Callable[[str], str],
        secret: str,
        clock: Clock,
        book: Path,
        rate: float,
        seed: int,
        *,
        whole_life: bool = True,
        once: bool = False,
    ) -> None:
        self.book = Book(book)
        self.silences: Counter[str] = Counter()
        """Why requests had no answer, by service."""
        self.rate = rate
        self.whole_life = whole_life
        self.once = once
        self.lasting = 0.0
        self._clock = clock
        self._address = address
        token = issue(secret, SUBJECT, get_args(Role), CITY)
        self._officer = {"Authorization": f"Bearer {token}", "If-Match": "*"}
        self._chance = Random(seed)
        self._name = f"{seed}-{uuid4().hex[:6]}"
        self._n = self._under_way = 0
        self._sending = self._giving_up = self._over = False
        self._accepted: list[dict[str, str]] = []
        self._steps: dict[str, int] = {}
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load")

    # ------------------------------------------------------------ from outside

    def start(self) -> None:
        """Begin to send."""
        self._sending = True
        self._thread.start()

    def pause(self) -> None:
        """Send nothing new; wait until all that was sent has its answer, or was given up."""
        self._sending = False
        deadline = time.monotonic() + SETTLE_SECONDS
        while self._under_way and self._thread.is_alive():
            self._giving_up = time.monotonic() > deadline
            time.sleep(0.05)
        self._giving_up = False
        self.check()

    def resume(self) -> None:
        """Go on."""
        self._sending = True

    def stop(self) -> None:
        """End the thread."""
        self._sending, self._giving_up, self._over = False, True, True
        if self._thread.ident is not None:
            self._thread.join()
        self.book.close()

    def check(self) -> None:
        """Raises what ended the thread, if anything did."""
        if self._trouble is not None:
            raise RuntimeError("the load ended by itself") from self._trouble

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as trouble:  # noqa: BLE001 (told by `check`, in the main thread)
            self._trouble = trouble

    async def _live(self) -> None:
        limits = httpx.Limits(max_connections=MOST_UNDER_WAY, max_keepalive_connections=100)
        new_each = httpx.Limits(max_keepalive_connections=0)
        async with (
            httpx.AsyncClient(timeout=TIMEOUT, limits=limits, trust_env=False) as self._client,
            httpx.AsyncClient(timeout=TIMEOUT, limits=new_each, trust_env=False) as self._stranger,
            asyncio.TaskGroup() as group,
        ):
            due = time.monotonic()
            while not self._over:
                if self._sending:
                    for work in self._next():
                        self._spawn(group, work)
                    self.lasting += 1 / self.rate
                due = max(due + 1 / self.rate, time.monotonic() - 1)
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _spawn(self, group: asyncio.TaskGroup, work: Awaitable[None]) -> None:
        async def counted() -> None:
            try:
                await work
            finally:
                self._under_way -= 1

        self._under_way += 1
        group.create_task(counted())

    def _next(self) -> list[Awaitable[None]]:
        """What happens at this moment."""
        self._n += 1
        if self._under_way >= MOST_UNDER_WAY:
            self.book.not_sent += 1
            return []
        work: list[Awaitable[None]] = [self._hand_in()]
        if self._accepted and self._n % 3 == 0:
            work.append(self._command())
        if self._accepted and self._n % 8 == 0:
            work.append(self._add())
        if self._n % max(1, round(self.rate)) == 0:
            work.append(self._take_note())
        if self.once:
            work.append(self._look())
        return work

    async def _look(self) -> None:
        """Somebody looks at what a service shows."""
        service, path = LOOKS[self._n % len(LOOKS)]
        asked = self.book.new("look", f"l-{self._name}-{self._n}")
        await self._send(asked, Sent(service, path, {}, self._officer, "GET"))

    async def _hand_in(self) -> None:
        """A petition, perhaps several times at once."""
        asked = self.book.new("petition", f"p-{self._name}-{self._n}")
        body: dict[str, Any] = {
            "kind": "help", "channel": "app", "text": f"停暖 {self._n}",
            "place": {"code": self._chance.choice(PLACES)},
        }  # fmt: skip
        if category := self._chance.choice(MATTERS):
            body["category"] = category
        sent = Sent("intake", "/petitions", body)
        copies = self._chance.randint(2, 6) if self._chance.random() < AT_ONCE else 1
        told = await asyncio.gather(*(self._until_known(asked, sent) for _ in range(copies)))
        if answer := next(filter(None, told), None):
            self._accepted.append({name: answer[name] for name in ("id", "number", "code")})
            del self._accepted[:-400]

    async def _add(self) -> None:
        """A resident adds to a petition."""
        petition = self._chance.choice(self._accepted)
        asked = self.book.new("supplement", f"s-{self._name}-{self._n}", petition["id"])
        path = f"/petitions/{petition['number']}/supplements?code={petition['code']}"
        await self._until_known(asked, Sent("intake", path, {"text": f"还有 {self._n}"}))

    async def _command(self) -> None:
        """An officer takes a step of a case, mostly the next; now and then twice at once."""
        case = self._chance.choice(self._accepted)["id"]
        step = self._steps[case] = self._steps.get(case, 0) + 1
        asked = self.book.new("command", f"c-{self._name}-{self._n}", case)
        body: Mapping[str, str | int] = [
            {"command": "resolve", "result": "已处理完毕。"},
            {"command": "sign"},
            {"command": "reply", "text": "两日内处理完毕。"},
        ][step % 3]
        if self.whole_life and self._chance.random() < BESIDE:
            body = self._chance.choice(beside(self._clock.now()))
        sent = Sent("router", f"/cases/{case}/commands", body, self._officer)
        copies = 2 if self._chance.random() < AT_ONCE else 1
        await asyncio.gather(*(self._until_known(asked, sent) for _ in range(copies)))

    async def _take_note(self) -> None:
        """A desk takes note of the newest notice."""
        try:
            url = self._address("escalation") + f"/notices/{DISTRICT}"
            answer = await self._client.get(url, headers=self._officer)
            waiting = answer.json()["notices"] if answer.status_code == 200 else []
        except httpx.HTTPError:
            return
        if not waiting or waiting[0]["id"] in self.book.asked:
            return
        id_ = waiting[0]["id"]
        asked = self.book.new("note", id_, id_)
        sent = Sent("escalation", f"/notices/{id_}/acknowledge", {}, self._officer)
        await self._until_known(asked, sent)

    async def _until_known(self, asked: Asked, sent: Sent) -> dict[str, Any] | None:
        """Send until the outcome is known, or leave it unknown; what was told if it is done."""
        while True:
            status, answer = await self._send(asked, sent)
            if not leaves_open(status):
                return answer if status in (200, 202) else None
            if self.once or self._giving_up or self._chance.random() < LEFT_UNKNOWN:
                return None
            await asyncio.sleep(self._chance.uniform(0.3, 2.0))

    async def _send(self, asked: Asked, sent: Sent) -> tuple[int, dict[str, Any]]:
        """One request, and its line in the book."""
        url = self._address(sent.service) + sent.path
        headers = {**sent.headers, "Idempotency-Key": asked.key}
        client = self._stranger if self.once and self._chance.random() < 0.5 else self._client
        try:
            answer = await client.request(sent.method, url, json=sent.body, headers=headers)
        except httpx.HTTPError as why:
            self.silences[f"{sent.service}: {type(why).__name__}"] += 1
            self.book.note(asked, NO_ANSWER)
            return NO_ANSWER, {}
        told: dict[str, Any] = {}
        words = ""
        if answer.status_code in (200, 202) and asked.what != "look":
            told = answer.json()
            words = told["id"] if asked.what != "command" else orjson.dumps(told).decode()
        self.book.note(asked, answer.status_code, words)
        return answer.status_code, told
