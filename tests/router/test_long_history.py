"""A case with a long history: a page costs as much as one of a short one, and no step is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import httpx
import pytest

from services.router import store
from services.router.api.steps import BEGINNING, LOOKED_AT, stood
from services.router.decisions.case import after_each, case_of
from services.router.decisions.policy import Role
from services.router.decisions.workflow import may_know
from services.router.handlers.steps import KEPT_WHOLE
from shared.divisions import CITY
from shared.postgres import Pool, transaction
from tests.router.conftest import MIGRATIONS
from tests.router.costs import Listening
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
    listening: Listening,
    asking: httpx.AsyncClient,
    router: Router,
    client: httpx.AsyncClient,
    n: int,
) -> None:
    await lived(router, client, n)
    [case] = (await cases(router.pool)).values()
    async with router.pool.acquire() as connection:
        await connection.execute("vacuum analyze")
    begun = case.received_at + timedelta(seconds=1)
    most = LOOKED_AT + 2 * KEPT_WHOLE + 10
    for part in PAGES:
        path = f"/cases/{A}/{part}"
        pages = 0
        while True:
            listening.said.clear()
            answer = await asked(asking, path)
            read = await listening.rows_read()
            assert 0 < read["history"] <= most, (part, pages)
            pages += 1
            if answer["cursor"] is None:
                break
            path = f"/cases/{A}/{part}?cursor={answer['cursor']}"
        assert pages >= n // LOOKED_AT
    for at in (begun, datetime.now(UTC)):
        path = f"/cases/{A}?at={at.isoformat().replace('+00:00', 'Z')}"
        listening.said.clear()
        await asked(asking, path)
        assert 0 < (await listening.rows_read())["history"] <= most


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
