"""A case with a long history: a page costs as much as one of a short one, and no step is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import asyncpg
import httpx
import pytest
from asyncpg.connection import LoggedQuery
from pydantic import SecretStr

from services.router import store
from services.router.__main__ import SERVICE
from services.router.api.steps import BEGINNING, LOOKED_AT, stood
from services.router.decisions.case import after_each, case_of
from services.router.decisions.policy import Role
from services.router.decisions.workflow import may_know
from services.router.handlers.policies import Policies
from services.router.handlers.steps import KEPT_WHOLE
from shared.divisions import CITY
from shared.http import create_app
from shared.postgres import Pool, transaction
from shared.service import Process
from shared.settings import Settings
from tests.router.conftest import MIGRATIONS, SECRET
from tests.router.costs import rows_read
from tests.router.events import (
    Router,
    Said,
    cases,
    receipt,
    replayed_history,
    supplement,
)
from tests.router.stories import COMMUNITY, GRID, RUBBISH, officer
from tests.router.test_api import A, asked, given

SHORT, LONG = 250, 1_100
PAGES = ("history", "routing", "answers")
EVERYBODY = get_args(Role)


async def lived(router: Router, client: httpx.AsyncClient, n: int) -> None:
    """A case of so many steps, most of which say nothing new.

    More time is asked for at the beginning and granted at the end; in between somebody is accused,
    and cleared.
    """
    heard = 1
    now = datetime.now(UTC)
    await router.hear(Said(receipt(received_at=now), A), now=now)
    plan: dict[int, tuple[str, dict[str, Any]]] = {
        2: ("sign", {}),
        3: ("extend", {"until": (now + timedelta(days=9)).isoformat(), "reason": "缺配件",
                       "text": "九日内办结。"}),
        n // 3: ("classify", {"category": RUBBISH, "accused": COMMUNITY}),
        n // 2: ("classify", {"category": RUBBISH, "accused": "none"}),
        n - 1: ("grant_extension", {}),
        n: ("reply", {"text": "两日内处理完毕。"}),
    }  # fmt: skip
    at = 2
    for seq, (name, fields) in plan.items():
        if more := range(heard + 1, heard + 1 + seq - at):
            await router.hear(*(Said(supplement(), A, k) for k in more), now=datetime.now(UTC))
        heard += len(more)
        answer = await given(
            client, A, {"command": name} | fields, key=f"{n}-{seq}", roles=EVERYBODY, subject=name
        )
        assert answer.status_code == 200, answer.text
        at = seq + 1


class Asking:
    """A client of a router whose statements are kept."""

    def __init__(self, client: httpx.AsyncClient, pool: Pool) -> None:
        self.client, self.pool = client, pool
        self.said: list[LoggedQuery] = []

    async def read(self, path: str) -> tuple[Any, Counter[str]]:
        """What is answered, and the rows that were read for it."""
        self.said.clear()
        answer = await asked(self.client, path)
        said = [one for one in self.said if " history" in one.query]
        async with transaction(self.pool) as tx:
            await tx.execute("analyze history")
            return answer, await rows_read(tx, said)


@pytest.fixture
async def asking(router_dsn: str, policies: Policies, pool: Pool) -> AsyncIterator[Asking]:
    settings = Settings(database_url=SecretStr(router_dsn), token_secret=SecretStr(SECRET))

    async def listened(connection: asyncpg.Connection[asyncpg.Record]) -> None:
        connection.add_query_logger(kept.said.append)

    async with asyncpg.create_pool(router_dsn, min_size=0, max_size=2, init=listened) as spoken:
        process = Process(SERVICE, settings, settings.clock(), spoken, state=policies)
        transport = httpx.ASGITransport(create_app(process, SERVICE.routes))
        async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
            kept = Asking(client, pool)
            yield kept


async def all_of(client: httpx.AsyncClient, part: str, limit: int) -> list[Any]:
    """What all pages hold, one after the other."""
    found: list[Any] = []
    cursor = ""
    while True:
        answer = await asked(client, f"/cases/{A}/{part}?limit={limit}{cursor}")
        page = answer[{"history": "steps", "routing": "decisions"}.get(part, part)]
        assert len(page) <= limit
        found += page
        if answer["cursor"] is None:
            return found
        cursor = f"&cursor={answer['cursor']}"


@pytest.mark.parametrize("n", [SHORT, LONG])
async def test_the_rows_that_are_read_do_not_grow_with_the_history(
    asking: Asking, router: Router, client: httpx.AsyncClient, n: int
) -> None:
    await lived(router, client, n)
    [case] = (await cases(router.pool)).values()
    begun = case.received_at + timedelta(seconds=1)
    most = LOOKED_AT + 2 * KEPT_WHOLE + 10
    for part in PAGES:
        path = f"/cases/{A}/{part}"
        pages = 0
        while True:
            answer, read = await asking.read(path)
            assert 0 < read["history"] <= most, (part, pages)
            pages += 1
            if answer["cursor"] is None:
                break
            path = f"/cases/{A}/{part}?cursor={answer['cursor']}"
        assert pages >= n // LOOKED_AT
    for at in (begun, datetime.now(UTC)):
        path = f"/cases/{A}?at={at.isoformat().replace('+00:00', 'Z')}"
        _, read = await asking.read(path)
        assert 0 < read["history"] <= most


async def test_nothing_of_a_long_history_is_left_out(
    router: Router, client: httpx.AsyncClient, pool: Pool
) -> None:
    await lived(router, client, LONG)
    steps = await all_of(client, "history", 77)
    assert [step["seq"] for step in steps] == list(range(1, LONG + 1))
    told = await all_of(client, "answers", 1)
    assert [(one["kind"], one["text"]["zh"]) for one in told] == [
        ("extension", "九日内办结。"), ("reply", "两日内处理完毕。"),
    ]  # fmt: skip
    why = await all_of(client, "routing", 1)
    assert [one["event"] for one in why] == ["classified", "classified", "opened"]
    [case] = (await cases(pool)).values()
    assert await replayed_history(pool, A) == case


@pytest.mark.parametrize("division", [GRID, CITY])
async def test_what_a_page_tells_is_what_the_whole_history_would(
    router: Router, client: httpx.AsyncClient, pool: Pool, division: str
) -> None:
    await lived(router, client, SHORT)
    who = officer(division)
    async with pool.acquire() as connection:
        rows = await store.history.page(connection, A, BEGINNING, LONG)
        cases_ = [*after_each(row.changed for row in rows)]
        whole = [*zip(cases_, may_know(cases_, who), strict=True)]
        assert {known for _, known in whole} == ({True} if division == CITY else {True, False})
        for first in (0, 1, SHORT // 3 - 2, KEPT_WHOLE - 1, KEPT_WHOLE, SHORT // 2, SHORT - 1):
            page = await stood(connection, A, rows[first : first + 40], who)
            assert [(one.case, one.known) for one in page] == whole[first : first + 40]
            befores = [None, *cases_][first : first + 40]
            assert [one.before for one in page] == befores[: len(page)]


async def test_old_histories_are_given_their_whole_cases(
    router: Router, client: httpx.AsyncClient, pool: Pool
) -> None:
    await lived(router, client, SHORT)
    kept = "select seq, whole from history where whole is not null order by seq"
    async with transaction(pool) as tx:
        before = [(row["seq"], case_of(row["whole"])) for row in await tx.fetch(kept)]
        assert [seq for seq, _ in before] == [100, 200]
        await tx.execute("alter table history drop column whole; drop index history_asked")
        await tx.execute((MIGRATIONS / "0007_whole.sql").read_text())
        after = [(row["seq"], case_of(row["whole"])) for row in await tx.fetch(kept)]
    assert after == before
