"""The crew: made-up officers who work the queues over HTTP, as the officers of a city would.

They sign, verify, reply, resolve, classify and hand over, the hotline calls back, and now and then
they return, promote or neglect a case. What becomes of a case at a desk is drawn from the seed, the
case and the desk, so that the same crew does the same again. It is a client like any other: tokens,
`If-Match`, `Idempotency-Key`, the same commands and refusals.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import httpx
import orjson

from deploy.local.submitting import COME_AGAIN
from shared.clock import Clock
from shared.divisions import CITY, Tier, tier_of
from shared.identity import issue

AT_ONCE = 8
REST_SECONDS = 0.5
PAGE = 20

ROLES: Mapping[Tier | None, tuple[str, ...]] = {
    Tier.GRID: ("grid_head", "grid_worker"),
    Tier.COMMUNITY: ("community_officer",),
    Tier.STREET: ("street_dispatcher", "street_cadre"),
    Tier.DISTRICT: ("district_dispatcher",),
    None: ("city_dispatcher", "hotline_agent"),
}
NEXT = ("hand_over", "sign", "verify", "reply", "resolve", "close")
"""What an officer does first of what he may do with a case that he has."""
ASKED_BY = {"verify": "verify", "reply": "reply", "callback": "close"}
"""What a clock asks of its owner, who leaves the rest to whoever has the case."""
UNSAID = ("E0199", "E0599", "L99", "D99", "G03")
"""What a dispatcher may say of a petition in which no word spoke."""
ANSWER = "您反映的问题已核实，责任单位将于两日内处理完毕，请放心。"


@dataclass(frozen=True, slots=True)
class Habits:
    """How the crew works: commands and patrol finds a second, shares of a desk's cases, 0 to 1."""

    seed: int = 1
    rate: float = 60.0
    neglected: float = 0.03
    returned: float = 0.02
    promoted: float = 0.02
    finds: float = 3.0

    def __str__(self) -> str:
        return (
            f"at most {self.rate:g} commands a second; of the cases of a desk"
            f" {self.neglected:.0%} neglected, {self.returned:.0%} returned,"
            f" {self.promoted:.0%} sent up, the rest solved; patrols find {self.finds:g} small"
            f" matters a second (seed {self.seed})"
        )

    def fate(self, case: str, desk: str) -> str:
        """What becomes of a case at a desk: solved, neglected, returned or promoted."""
        drawn = Random(f"{self.seed}/{case}/{desk}").random()  # noqa: S311 (a demo, not a secret)
        for fate, share in (
            ("neglected", self.neglected),
            ("returned", self.returned),
            ("promoted", self.promoted),
        ):
            if drawn < share:
                return fate
            drawn -= share
        return "solved"


@dataclass(slots=True)
class Work:
    """What the crew did so far: commands by name, refusals by status."""

    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    tried_again: int = 0


@dataclass(frozen=True, slots=True)
class Desk:
    """A queue that somebody works: a division's own, or an office's in a division.

    Two persons work at it by turns.
    """

    division: str
    office: str | None = None
    second: bool = False

    @property
    def path(self) -> str:
        """Where its queue is read."""
        if self.office is None:
            return f"/queues/{self.division}"
        return f"/queues/offices/{self.office}?division={self.division}"

    def token(self, secret: str) -> str:
        """The token of its officer."""
        roles = ("department_officer",) if self.office else ROLES[tier_of(self.division)]
        who = f"crew-{self.office or 'desk'}-{self.division}{'-second' if self.second else ''}"
        return issue(secret, who, roles, self.division, self.office, timedelta(hours=12))


class Crew:
    """Officers at every desk that has something to do."""

    def __init__(
        self, client: httpx.AsyncClient, secret: str, clock: Clock, habits: Habits
    ) -> None:
        self.client, self.secret, self.clock, self.habits = client, secret, clock, habits
        self.work = Work()
        self.tokens: dict[Desk, str] = {}
        self.next_at = 0.0
        self.second = False
        self.at_once = asyncio.Semaphore(AT_ONCE)

    async def work_on(self) -> None:
        """Work for ever, round after round."""
        while True:
            if not await self.round():
                await asyncio.sleep(REST_SECONDS)

    async def round(self) -> int:
        """Each desk does what one of its two persons can now; returns the commands given."""
        self.second = not self.second
        before = self.work.done.total()
        desks = [desk async for desk in self.busy_desks()]
        async with asyncio.TaskGroup() as group:
            for desk in desks:
                group.create_task(self.clear(desk))
        return self.work.done.total() - before

    async def busy_desks(self) -> AsyncIterator[Desk]:
        """The queues of the city that hold something."""
        answer = await self.get("/queues", Desk(CITY))
        for queue in answer["queues"] if answer else ():
            yield Desk(queue["division"], queue["office"], self.second)

    async def clear(self, desk: Desk) -> None:
        """The first page of a desk with something to do: of each line all that he can do now.

        What is neglected stays on top: the one hotline that calls for all has much of it.
        """
        joint, cursor = "&" if "?" in desk.path else "?", ""
        async with self.at_once:
            while queue := await self.get(f"{desk.path}{joint}limit={PAGE}{cursor}", desk):
                # A case may stand there as held and for clocks of the desk's: held comes first.
                lines: dict[str, dict[str, Any]] = {}
                for line in sorted(queue["entries"], key=lambda line: line["why"] == "clock"):
                    lines.setdefault(line["case"], line)
                worked = [await self.work_at(line, desk) for line in lines.values()]
                if any(worked) or queue["cursor"] is None:
                    return
                cursor = f"&cursor={queue['cursor']}"

    async def work_at(self, line: dict[str, Any], desk: Desk) -> bool:
        """One thing after the other, until the case has left the desk or is another's turn.

        Returns whether anything was done.
        """
        done = False
        while (command := await self.command_for(line, desk)) is not None:
            name = command["command"]
            after = await self.give(line, command, desk)
            done = done or after is not None
            if after is None or after["holder"] != line["holder"] or name not in NEXT:
                break
            line = line | after | {"verified": line["verified"] or name == "verify"}
            line["replied"] = line["replied"] or name == "reply"
        return done

    async def command_for(self, line: dict[str, Any], desk: Desk) -> dict[str, Any] | None:
        """What to do with this line; None to leave it."""
        actions = line["actions"]
        fate = self.habits.fate(line["case"], f"{desk.division}/{desk.office}")
        if fate == "neglected":
            return None
        if line["why"] == "clock":
            name = ASKED_BY.get(line["clock"], "")
            return self.filled(name, line) if name in actions else None
        if line["stage"] == "signed" and fate == "returned" and "return" in actions:
            return {"command": "return", "reason": "not_in_my_power"}
        if line["stage"] == "signed" and fate == "promoted" and "promote" in actions:
            return {"command": "promote", "reason": "beyond_authority"}
        if line["stage"] == "registered" and line["track"] != "handoff":
            # A matter of a track that is not worked yet takes no `reroute`: it waits there.
            return await self.routed(line, desk) if "reroute" in actions else None
        for name in NEXT:
            if name in actions and (command := self.filled(name, line)):
                return command
        return None

    async def routed(self, line: dict[str, Any], desk: Desk) -> dict[str, Any] | None:
        """The dispatcher says what a waiting case is about, or where it is."""
        if line["category"] is None:
            return {"command": "classify", "category": await self.suggested(line, desk)}
        below = await self.get(f"/divisions/{line['place']}", desk)
        if not below or not below["children"]:
            # Somebody returned it: the dispatcher's own division takes it.
            mine = {"command": "reroute", "division": desk.division, "reason": "agreed"}
            return None if desk.division == CITY else mine
        drawn = Random(f"{self.habits.seed}/{line['case']}/{line['place']}")  # noqa: S311
        return {"command": "place", "division": drawn.choice(below["children"])["code"]}

    async def suggested(self, line: dict[str, Any], desk: Desk) -> str:
        """The category that the reading suggests; one that anybody may take, if it has none."""
        why = await self.get(f"/cases/{line['case']}/routing", desk)
        for decision in why["decisions"] if why else ():
            if code := decision["matched"].get("suggested"):
                return str(code)
        return Random(f"{self.habits.seed}/{line['case']}").choice(UNSAID)  # noqa: S311

    def filled(self, name: str, line: dict[str, Any]) -> dict[str, Any] | None:
        """A command with what it needs; None where it was done."""
        now = self.clock.now().isoformat()
        match name:
            case "hand_over":
                reference = f"DEMO-{line['number']}"
                return {"command": name, "body": "demo", "at": now, "reference": reference}
            case "verify" if not line["verified"]:
                evidence = f"demo:{line['number']}"
                return {"command": name, "at": now, "finding": "as told", "evidence": evidence}
            case "reply" if not line["replied"]:
                return {"command": name, "text": ANSWER}
            case "resolve":
                return {"command": name, "result": "已处理完毕。"}
            case "close" if line["replied"]:
                return {
                    "command": name,
                    "callback": "answered" if line["contact"] else "no_contact",
                }
            case "sign":
                return {"command": name}
            case _:
                return None

    async def get(self, path: str, desk: Desk) -> dict[str, Any] | None:
        """What the router shows to a desk; None where it shows nothing."""
        answer = await self.ask("GET", path, desk)
        if answer.status_code == httpx.codes.OK:
            found: dict[str, Any] = answer.json()
            return found
        self.work.refused[answer.status_code] += 1
        return None

    async def give(
        self, line: dict[str, Any], command: dict[str, Any], desk: Desk
    ) -> dict[str, Any] | None:
        """One command, at the crew's rate: the case after it; None if refused, which is counted."""
        self.next_at = max(self.next_at + 1 / self.habits.rate, asyncio.get_running_loop().time())
        await asyncio.sleep(self.next_at - asyncio.get_running_loop().time())
        answer = await self.ask(
            "POST",
            f"/cases/{line['case']}/commands",
            desk,
            content=orjson.dumps(command),
            headers={
                "content-type": "application/json",
                "idempotency-key": f"{line['case']}/{line['version']}/{command['command']}",
                "if-match": f'"{line["version"]}"',
            },
        )
        if answer.status_code == httpx.codes.OK:
            self.work.done[command["command"]] += 1
            after: dict[str, Any] = answer.json()
            return after
        self.work.refused[answer.status_code] += 1
        return None

    async def ask(
        self,
        method: str,
        path: str,
        desk: Desk,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Ask, again and again until there is an answer."""
        token = self.tokens.setdefault(desk, desk.token(self.secret))
        said = {"authorization": f"Bearer {token}", **(headers or {})}
        while True:
            try:
                answer = await self.client.request(method, path, content=content, headers=said)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code not in COME_AGAIN:
                if answer.status_code == httpx.codes.UNAUTHORIZED:
                    self.tokens.pop(desk, None)  # it ran out: the next request has a new one
                return answer
            self.work.tried_again += 1
            await asyncio.sleep(1)
