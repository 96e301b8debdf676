"""Those who use the services over HTTP, and the book of what each of them was told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, get_args
from uuid import UUID

import httpx

from services.router.decisions.policy import Role
from services.router.handlers import petitions
from services.router.handlers.policies import policies_of
from shared.divisions import CITY
from shared.identity import issue
from tests.router.stories import (
    COMMUNITY,
    DISTRICT,
    GRID,
    NEXT_COMMUNITY,
    NEXT_GRID,
    NEXT_STREET,
    STREET,
)
from tests.simulation.processes import APPS, SECRET, Member
from tests.simulation.scheduling import tell

PLACES = (GRID, NEXT_GRID, COMMUNITY, STREET, DISTRICT)
HOLDERS = (GRID, NEXT_GRID, COMMUNITY, NEXT_COMMUNITY, STREET, NEXT_STREET, DISTRICT)
MATTERS = ("E0102", "E0102", "P0101", "P0202", "L09", "C01", "X119", "E0401", "W01", "D02", "R02")
SECRET_WORDS = "不可外传的原话"
"""Every petition says this; nobody may hear it on a topic."""

NO_ANSWER = 0


@dataclass(slots=True)
class Petition:
    """A petition that somebody hands in until there is an answer."""

    key: str
    body: dict[str, Any]
    status: int | None = None
    told: dict[str, Any] = field(default_factory=dict)
    added: int = 0


@dataclass(slots=True)
class Asked:
    """A command that somebody gives until there is an answer."""

    key: str
    case: UUID
    body: dict[str, Any]
    if_match: str
    who: str = "mayor"
    statuses: list[int] = field(default_factory=list)
    answers: set[bytes] = field(default_factory=set)

    @property
    def answered(self) -> bool:
        """Whether it is known what became of it."""
        return any(status in SAID for status in self.statuses)


SAID = frozenset({200, 403, 404, 409, 412, 422})


@dataclass(slots=True)
class Book:
    """What everybody asked for, and what they were told."""

    petitions: list[Petition] = field(default_factory=list)
    commands: list[Asked] = field(default_factory=list)
    supplements: int = 0
    noted: dict[UUID, str] = field(default_factory=dict)

    def accepted(self) -> list[Petition]:
        """Those who were told 202."""
        return [one for one in self.petitions if one.status == 202]


def client_of(member: Member) -> httpx.AsyncClient:
    """A client of this process."""
    assert member.app is not None
    transport = httpx.ASGITransport(app=APPS[member.name])
    return httpx.AsyncClient(transport=transport, base_url="http://casegrid")


class Resident:
    """Hands petitions in, again if there was no answer, and adds to them."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.waiting: list[tuple[asyncio.Task[None], Petition, Member]] = []
        self.sent = 0

    async def hand_in(self, member: Member, rng: Random) -> None:
        """A new petition, or one that got no answer; its answer comes with a commit."""
        unknown = [one for one in self.book.petitions if one.status == NO_ANSWER]
        if unknown and rng.random() < 0.5:
            one = rng.choice(unknown)
            tell_of = "again"
        else:
            one = self.new(rng)
            tell_of = "for the first time"
        tell(f"hands {one.key} in {tell_of}")
        await self.post(member, one)

    def new(self, rng: Random) -> Petition:
        """A petition that nobody has handed in."""
        n = len(self.book.petitions) + 1
        body: dict[str, Any] = {
            "kind": rng.choice(("complain", "help", "report")),
            "channel": rng.choice(("app", "web", "phone")),
            "text": f"{SECRET_WORDS}，第{n}件",
        }
        if rng.random() < 0.85:
            body["category"] = rng.choice(MATTERS)
        if rng.random() < 0.9:
            body["place"] = {"code": rng.choice(PLACES)}
        if rng.random() < 0.5:
            body["contact"] = {"phone": "0411-83600001"}
        if rng.random() < 0.1:
            body["accused"] = {"division": rng.choice((COMMUNITY, STREET))}
        one = Petition(f"petition-{n}", body)
        self.book.petitions.append(one)
        return one

    async def post(self, member: Member, one: Petition) -> None:
        """Send it, and wait in the background: a group commit answers it."""
        one.status = None
        self.sent += 1
        task = asyncio.ensure_future(self.ask(member, one))
        self.waiting.append((task, one, member))
        # No input or output lies between here and the queue of the group commit.
        for _ in range(30):
            await asyncio.sleep(0)

    async def ask(self, member: Member, one: Petition) -> None:
        """The request itself."""
        async with client_of(member) as client:
            answer = await client.post(
                "/petitions", json=one.body, headers={"Idempotency-Key": one.key}
            )
        one.status = answer.status_code if answer.status_code < 500 else NO_ANSWER
        if answer.status_code == 202:
            told = answer.json()
            assert one.told in ({}, told), f"{one.key} was answered in two ways"
            one.told = told

    async def collect(self) -> None:
        """Take note of the answers that came."""
        for _ in range(10):
            await asyncio.sleep(0)
        for task, _, _ in [w for w in self.waiting if w[0].done()]:
            task.result()
        self.waiting = [w for w in self.waiting if not w[0].done()]

    async def hang_up(self, member: Member) -> None:
        """The process is gone: whoever waits for it gets no answer."""
        for task, one, at in self.waiting:
            if at is member:
                task.cancel()
                await asyncio.wait([task])
                one.status = NO_ANSWER
        self.waiting = [w for w in self.waiting if w[2] is not member]

    async def add(self, member: Member, rng: Random) -> None:
        """Add to a petition, urge, or say how it was handled; now and then once more."""
        known = self.book.accepted()
        if not known:
            return
        one = rng.choice(known)
        one.added += rng.random() < 0.9 or not one.added
        self.book.supplements += 1
        drawn = Random(f"{one.key}/{one.added}")
        what = drawn.choice(("supplements", "supplements", "urgings", "rating"))
        url, key = one.told["links"][what], f"{one.key}/more-{one.added}"
        body: dict[str, Any] = {"text": f"{SECRET_WORDS}，补充{one.added}"}
        if what == "rating":
            solved, content = drawn.choice(((True, True), (True, False), (False, False)))
            reason = None if content else drawn.choice(("came_back", "slow"))
            body |= {"solved": solved, "satisfied": content, "reason": reason}
        async with client_of(member) as client:
            answer = await client.post(url, json=body, headers={"Idempotency-Key": key})
        tell(f"adds {what} to {one.key}: {answer.status_code}")


class Operator:
    """Runs what is parked of a petition through the router again, whether or not it can be read."""

    async def replay(self, member: Member, rng: Random) -> None:
        """As `casegrid router replay`, in the place of a process of its own."""
        rows = await member.database.rows("select case_id from blocked_cases order by 1")
        if not rows:
            return
        case, process = rng.choice(rows)["case_id"], member.process
        handler = petitions.Petitions(policies_of(process), process.epoch, process.clock)
        now = process.clock.now()
        answer = await member.through(lambda tx: petitions.replay(tx, handler, case, now))
        tell(f"replays {case}: {answer}")


class Officers:
    """Two with every role, who do what may be done, and do it again when unanswered."""

    def __init__(self, book: Book) -> None:
        self.book = book
        roles = sorted(get_args(Role))
        self.tokens = {who: issue(SECRET, who, roles, CITY) for who in ("mayor", "deputy")}

    def headers(self, who: str = "mayor") -> dict[str, str]:
        """Who asks."""
        return {"Authorization": f"Bearer {self.tokens[who]}"}

    async def act(self, member: Member, rng: Random, now: str) -> None:
        """A command on a case, or one again that was asked before."""
        if self.book.commands and rng.random() < 0.25:
            await self.ask(member, rng.choice(self.book.commands), "again")
            return
        known = self.book.accepted()
        if not known:
            return
        case = UUID(rng.choice(known).told["id"])
        who = rng.choice(sorted(self.tokens))
        async with client_of(member) as client:
            seen = await client.get(f"/cases/{case}", headers=self.headers(who))
        if seen.status_code != 200:
            tell(f"looks at a case and is told {seen.status_code}")
            return
        actions = [name for name in seen.json()["actions"] if name in WORDS]
        if not actions:
            return
        names = sorted(set(actions))
        [name] = rng.choices(names, [4 if one in TASKS else 1 for one in names])
        body = {"command": name} | WORDS[name](rng, now)
        etag = seen.headers["etag"] if rng.random() < 0.7 else "*"
        asked = Asked(f"command-{len(self.book.commands) + 1}", case, body, etag, who)
        self.book.commands.append(asked)
        await self.ask(member, asked, "")

    async def take_note(self, member: Member, rng: Random) -> None:
        """Acknowledge a notice, be it of those that somebody took note of."""
        rows = await member.database.rows("select id from notices order by posted_at, id")
        if not rows:
            return
        notice = rng.choice(rows)["id"]
        async with client_of(member) as client:
            answer = await client.post(f"/notices/{notice}/acknowledge", headers=self.headers())
        tell(f"takes note of {notice}: {answer.status_code}")
        if answer.status_code == 200:
            taken = answer.json()["acknowledged"]
            if taken is None:
                return  # it ended before, with its cases
            at = taken["at"]
            assert self.book.noted.setdefault(notice, at) == at, f"{notice} was noted twice"

    async def ask(self, member: Member, asked: Asked, again: str) -> None:
        """Give a command; without an answer it is not known what became of it."""
        headers = self.headers(asked.who)
        headers |= {"Idempotency-Key": asked.key, "If-Match": asked.if_match}
        asked.statuses.append(NO_ANSWER)
        at = len(asked.statuses) - 1
        async with client_of(member) as client:
            answer = await client.post(
                f"/cases/{asked.case}/commands", json=asked.body, headers=headers
            )
        asked.statuses[at] = answer.status_code
        if answer.status_code == 200:
            asked.answers.add(answer.content)
        tell(f"asks {again} to {asked.body['command']} ({asked.key}): {answer.status_code}")


def words_of(**fixed: object) -> Any:
    """A command that says always the same."""
    return lambda _, __: dict(fixed)


TASKS = frozenset(
    (
        "ask_whistle", "whistle", "give_task", "report_in", "decide_objection", "finish_task",
        "call_conference",
    )
)  # fmt: skip
"""Rarely allowed: what is, is done the more often."""


def later(now: str, hours: int) -> str:
    """So many hours after a moment."""
    return (datetime.fromisoformat(now) + timedelta(hours=hours)).isoformat()


WORDS: Mapping[str, Any] = {
    "classify": lambda rng, _: (
        {"category": rng.choice(MATTERS)}
        | ({"accused": rng.choice((COMMUNITY, STREET, "none"))} if rng.random() < 0.2 else {})
    ),
    "place": lambda rng, _: {"division": rng.choice(PLACES)},
    "sign": words_of(),
    "verify": lambda _, now: {"at": now, "finding": "a heap", "evidence": "photo 1"},
    "reply": words_of(text="it is gone by tonight"),
    "resolve": words_of(result="it is gone"),
    "close": lambda rng, _: {"callback": rng.choice(("answered", "no_answer", "no_contact"))},
    "return": lambda rng, _: {"reason": rng.choice(("not_in_my_power", "wrong_category"))},
    "reroute": lambda rng, _: {
        "division": rng.choice(HOLDERS),
        "reason": rng.choice(("workload", "correction", "agreed")),
    },
    "promote": lambda rng, _: {"reason": rng.choice(("beyond_authority", "scale_up"))},
    "hand_over": lambda _, now: {"body": "fire brigade", "at": now, "reference": "119-7"},
    "assign": lambda rng, _: {"to": rng.choice(("li", "wang"))},
    "recall": words_of(),
    "pause": lambda rng, now: {
        "reason": "waiting_for_petitioner",
        "until": later(now, rng.choice((1, 10, 100))),
        "text": "which flat is it?",
    },
    "resume": words_of(),
    "extend": lambda rng, now: {
        "until": later(now, rng.choice((100, 400, 1400))),
        "reason": "a part is missing",
        "text": "by then",
    },
    "grant_extension": words_of(),
    "decline_extension": words_of(note="there is time enough"),
    "not_accept": words_of(reason="legal_route", door="the court", text="go there"),
    "call_back": lambda rng, _: rng.choice(
        (
            {"result": "solved", "satisfied": True},
            {"result": "not_solved", "reason": "came_back", "satisfied": False},
            {"result": "no_answer"},
        )
    ),
    "reopen": words_of(reason="came_back"),
    "answer": words_of(text="on the ground floor, on weekdays"),
    "ask_whistle": words_of(note="the grid cannot move it alone"),
    "whistle": lambda rng, _: {
        "offices": sorted(rng.sample(("city-management", "housing", "lighting"), 2)),
        "reason": "needs_department",
        "note": "come",
    },
    "give_task": lambda rng, _: rng.choice(
        (
            {"kind": "assist", "office": "lighting", "note": "hold the ladder"},
            {"kind": "report_in", "office": "housing", "note": "come"},
            {"kind": "team", "note": "carry it"},
            {"kind": "adviser", "note": "may we?"},
            {"kind": "copy", "note": "for your information"},
        )
    ),
    "report_in": lambda rng, now: {"task": rng.randint(1, 4), "on_site": later(now, 1)},
    "refuse_task": lambda rng, _: {
        "task": rng.randint(1, 4),
        "reason": "not_in_our_power",
        "note": "not ours",
    },
    "decide_objection": lambda rng, _: {
        "task": rng.randint(1, 4),
        "decision": rng.choice(("uphold", "overrule")),
        "note": "so",
    },
    "finish_task": lambda rng, _: {"task": rng.randint(1, 4), "result": "done"},
    "withdraw_task": lambda rng, _: {"task": rng.randint(1, 4), "note": "no longer needed"},
    "call_conference": lambda _, now: {
        "members": ["housing", "lighting"],
        "meets_at": later(now, 1),
        "note": "come",
    },
    "conference_decides": lambda rng, _: {
        "division": rng.choice((STREET, DISTRICT)),
        "note": "it is yours",
    },
}
