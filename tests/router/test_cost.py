"""What the router reads does not grow with the cases that are closed, nor with what happened."""

from __future__ import annotations

from collections import Counter

import httpx

from services.router.__main__ import SERVICE
from services.router.handlers.census import Census
from shared.divisions import Tier
from shared.postgres import transaction
from tests.router.costs import Listening
from tests.router.events import REAL, Router, Said, breach, petition_id, receipt, supplement
from tests.router.stories import COMMUNITY, FIRE, GRID, LAMP, STREET
from tests.router.test_api import A, asked, given

CLOSED, STEPS = 5_000, 40_000
GROW = ("cases", "history", "commands", "duties", "waiting", "outbox")
FEW = 60
"""Rows of one table for one statement, with five open cases."""


async def many_closed(router: Router) -> None:
    """Closed cases, steps of others, and what was answered to commands."""
    async with transaction(router.pool) as tx:
        await tx.execute(
            """
            insert into cases (case_id, number, open, holder, role, stage, next_deadline, version,
                               epoch, seq, doc, office, signed_by, rank, counted_until)
            select gen_random_uuid(), number, false, holder, role, 'closed', next_deadline, version,
                   epoch, seq, doc, office, signed_by, rank, null
            from (select * from cases limit 1) one, generate_series(1, $1::int)
            """,
            CLOSED,
        )
        await tx.execute(
            """
            insert into history (case_id, seq, epoch, version, at, event, transitions, rule, actor,
                                 role, division, caused_by, detail, changed)
            select gen_random_uuid(), 1, epoch, version, at, event, transitions, rule, actor, role,
                   division, caused_by, detail, changed
            from (select * from history limit 1) one, generate_series(1, $1::int)
            """,
            STEPS,
        )
        await tx.execute(
            """
            insert into commands (key, actor, body_hash, status, answer, answered_at)
            select n::text, 'somebody', '', 200, '',
                   now() - case when n <= 20 then interval '8 days' else interval '0' end
            from generate_series(1, $1::int) n
            """,
            STEPS,
        )
    async with router.pool.acquire() as connection:
        await connection.execute("vacuum analyze")


async def all_work(listening: Listening, asking: httpx.AsyncClient) -> None:
    """Everything that the router does: it hears, is commanded, is asked, counts and looks."""
    process = listening.process
    assert process.pool is not None
    heard = Router(process.pool, listening.policies)
    heard.offset = 1_000
    await heard.hear(Said(receipt(), petition_id(9)), Said(supplement(), A, 2))
    await heard.order(Said(breach("tier", 1, Tier.GRID), A))
    await given(asking, A, {"command": "sign"})
    for path in (
        f"/cases/{A}", f"/cases/{A}?at=2024-05-20T03:00:00Z",
        *(f"/cases/{A}/{part}" for part in ("history", "routing", "answers", "account")),
        "/queues", "/queues/mine", "/queues/offices/lighting",
        *(f"/queues/{division}" for division in (GRID, COMMUNITY, STREET, "city")), "/whistles",
    ):  # fmt: skip
        await asked(asking, path)
    for timer in SERVICE.timers:
        await timer.step(process)
    async with transaction(process.pool) as tx:
        while await Census(listening.policies, 1, REAL).walk_on(tx):
            pass


async def test_nothing_that_the_router_does_costs_more_with_every_closed_case(
    listening: Listening, asking: httpx.AsyncClient, router: Router
) -> None:
    await router.hear(
        *(Said(receipt(), petition_id(n)) for n in (1, 2)),
        Said(receipt(LAMP), petition_id(3)),
        Said(receipt(FIRE), petition_id(4)),
    )
    await many_closed(router)
    await all_work(listening, asking)
    assert len(listening.said) > 40
    for one in listening.said.copy():
        listening.said[:] = [one]
        read = await listening.rows_read()
        grown: Counter[str] = Counter({table: read[table] for table in GROW})
        assert max(grown.values()) <= FEW, (one.query, grown)
