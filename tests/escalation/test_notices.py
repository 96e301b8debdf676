"""A notice that nobody takes note of goes one level up, once, on the real PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.escalation.__main__ import SERVICE
from services.escalation.decisions import KEPT_FOR, RISES_AFTER, Desk, Digest
from services.escalation.handlers import (
    FORGET,
    RAISE,
    acknowledge,
    handle,
    raise_once,
    show_figures,
    sweep_once,
)
from services.escalation.handlers.notices import FORGOTTEN_AT_ONCE, PAGE
from services.escalation.store import notices
from services.escalation.store.notices import Acknowledged, Posted
from shared.clock import Clock, wall
from shared.postgres import Pool, Transaction, transaction
from shared.service import Process
from shared.settings import Settings
from tests.escalation.stories import (
    CASE,
    COMMUNITY,
    DISTRICT,
    GRID,
    HOUR,
    MINUTE,
    STARTED,
    STREET,
    at,
    batch,
    case,
    clock,
    heard,
    notices_in,
    relayed,
    sign_clock,
)
from tests.escalation.test_figures import gauge

DAY = 24 * HOUR
NOTED = Acknowledged(at(0), "grid_head", "officer")


async def warned(tx: Transaction, **changes: object) -> None:
    """The street cadre is warned of a case at the twelfth hour: nobody else is told of it."""
    await handle(batch(heard(1, case(clock(), **changes))), tx, at(0))
    await sweep_once(tx, at(12 * HOUR))
    await relayed(tx)


async def raised_by(tx: Transaction, hours: int) -> list[tuple[str, str]]:
    """(division, role) of the desks that hear of it at this hour."""
    await raise_once(tx, at(hours * HOUR))
    return [(n.division, n.role) for n in notices_in(await relayed(tx))]


async def note(tx: Transaction, division: str) -> None:
    """A person takes note of the newest notice of a division."""
    newest, *_ = await notices.newest(tx, division, None, None, None, 1, everything=False)
    taken = await notices.take(tx, newest.id)
    assert taken is not None
    await acknowledge(tx, taken, NOTED)


async def test_what_nobody_notes_goes_up_a_level_a_day_and_ends_at_the_city(
    tx: Transaction,
) -> None:
    await warned(tx)
    assert await raised_by(tx, 35) == []
    climbed = [await raised_by(tx, 36 + 24 * day) for day in range(4)]
    assert climbed == [[(DISTRICT, "district_dispatcher")], [("city", "city_dispatcher")], [], []]
    rows = await tx.fetch("select division, unheeded_at from notices order by posted_at")
    assert [tuple(row) for row in rows] == [
        (STREET, at(36 * HOUR)),
        (DISTRICT, at(60 * HOUR)),
        ("city", at(84 * HOUR)),
    ]
    await show_figures(tx, at(85 * HOUR))
    assert gauge("notices_unheeded") == gauge("notices_unacknowledged", reason="warning") == 3


async def test_a_raised_notice_is_the_same_digest_and_says_where_it_comes_from(
    tx: Transaction,
) -> None:
    await warned(tx)
    first = await tx.fetchval("select id from notices")
    for day in (0, 1):
        await raise_once(tx, at(36 * HOUR + day * DAY))
        (said,) = await relayed(tx)
        (notice,) = notices_in([said])
        assert notice.raised_from == first
        assert (notice.clock, notice.reason, notice.count) == ("reply", "warning", 1)
        assert (notice.cases, notice.oldest_due_at) == ((CASE,), at(DAY))
        assert tuple(said.envelope.order) == (1, 1)
        assert said.envelope.caused_by == f"notice/{first}"


@pytest.mark.parametrize("noted_at", [GRID, COMMUNITY, STREET])
async def test_whoever_takes_note_on_the_way_stops_it(tx: Transaction, noted_at: str) -> None:
    of_the_grid = clock(owner_division=GRID, owner_role="grid_head")
    await handle(batch(heard(1, case(of_the_grid))), tx, at(0))
    await sweep_once(tx, at(12 * HOUR))
    await relayed(tx)
    assert await raised_by(tx, 36) == [(COMMUNITY, "community_officer")]
    assert await raised_by(tx, 60) == [(STREET, "street_dispatcher")]
    await note(tx, noted_at)
    assert await raised_by(tx, 84) == []
    assert await raised_by(tx, 300) == []


async def test_who_takes_note_in_time_hears_no_more_of_it(tx: Transaction) -> None:
    await warned(tx)
    await note(tx, STREET)
    assert (await raise_once(tx, at(300 * HOUR))).taken == 0


async def test_a_note_stops_the_reminders_of_a_case_and_the_earlier_notices_of_them(
    tx: Transaction,
) -> None:
    ids = [CASE, UUID(int=2)]
    await handle(batch(*(heard(1, case(sign_clock()), one) for one in ids)), tx, at(0))
    await sweep_once(tx, at(HOUR))
    await handle(batch(heard(2, case(), ids[1])), tx, at(HOUR))
    await sweep_once(tx, at(2 * HOUR))
    await note(tx, GRID)
    waiting = await notices.newest(tx, GRID, None, None, None, 9, everything=False)
    assert [one.digest.count for one in waiting] == [2], "it tells of another case too"
    await relayed(tx)
    assert await sweep_once(tx, at(10 * HOUR)) == 0
    assert await sweep_once(tx, at(11 * HOUR)) == 1
    (card,) = notices_in(await relayed(tx))
    assert (card.division, card.reason, card.cases) == (COMMUNITY, "supervision", (CASE,))


async def test_it_rises_past_whoever_is_accused_meanwhile(tx: Transaction) -> None:
    await warned(tx)
    accused = case(clock(paused=True), restricted=True, accused_division=DISTRICT)
    await handle(batch(heard(2, accused)), tx, at(13 * HOUR))
    assert await raised_by(tx, 36) == [("city", "city_dispatcher")]


# ---------------------------------------------------------------- over


async def waiting(tx: Transaction) -> list[tuple[str, int]]:
    """Division and count of the notices that wait for a person."""
    rows = await tx.fetch(
        "select division, count from notices where acknowledged_at is null order by division, count"
    )
    return [(row["division"], row["count"]) for row in rows]


async def test_what_tells_of_no_open_case_any_more_ends_with_the_last_of_them(
    tx: Transaction,
) -> None:
    ids = [UUID(int=n) for n in range(1, 31)]
    await handle(batch(*(heard(1, case(sign_clock()), one) for one in ids)), tx, at(0))
    await handle(batch(heard(1, case(sign_clock(due=MINUTE)), UUID(int=99))), tx, at(0))
    await sweep_once(tx, at(20 * MINUTE))
    await sweep_once(tx, at(40 * MINUTE))
    assert await waiting(tx) == [(COMMUNITY, 1), (COMMUNITY, 30), (GRID, 1), (GRID, 30)]
    over = case(stage="closed")
    await handle(batch(*(heard(2, over, one) for one in ids[1:])), tx, at(HOUR))
    assert await waiting(tx) == [(COMMUNITY, 1), (COMMUNITY, 30), (GRID, 1), (GRID, 30)]
    await handle(batch(heard(2, over, ids[0])), tx, at(2 * HOUR))
    assert await waiting(tx) == [(COMMUNITY, 1), (GRID, 1)]
    await show_figures(tx, at(2 * HOUR))
    assert gauge("notices_unacknowledged", reason="reminder") == 2
    ended = [
        one
        for one in await notices.newest(tx, GRID, None, None, None, 9, everything=True)
        if one.ended_at
    ]
    assert [(one.ended_at, one.acknowledged, one.digest.count) for one in ended] == [
        (at(2 * HOUR), None, 30)
    ]
    assert await acknowledge(tx, ended[0], NOTED) == ended[0], "it stays as it ended"
    await relayed(tx)
    await raise_once(tx, at(30 * HOUR))
    assert [one.cases for one in notices_in(await relayed(tx))] == [(UUID(int=99),)] * 2


async def test_what_was_done_meanwhile_ends_where_it_would_rise(tx: Transaction) -> None:
    await warned(tx)
    await handle(batch(heard(2, case(sign_clock()))), tx, at(13 * HOUR))
    assert await raised_by(tx, 36) == []
    assert await waiting(tx) == []
    await show_figures(tx, at(36 * HOUR))
    assert gauge("notices_unheeded") == gauge("notices_unacknowledged", reason="warning") == 0


async def test_a_notice_of_an_older_version_that_names_a_few_of_its_cases_does_not_end_with_them(
    tx: Transaction,
) -> None:
    await warned(tx)
    await tx.execute("update notices set count = 30")
    await handle(batch(heard(2, case(stage="closed"))), tx, at(13 * HOUR))
    assert await raised_by(tx, 36) == [(DISTRICT, "district_dispatcher")]


async def test_what_is_over_is_forgotten_after_its_days_page_by_page(
    escalation_dsn: str, pool: Pool
) -> None:
    async with transaction(pool) as tx:
        await posted(tx, FORGOTTEN_AT_ONCE + 3)
        await tx.execute(
            """
            update notices
            set acknowledged_at = $1, acknowledged_role = case when posted_at < $2 then 'x' end
            """,
            at(HOUR),
            at(500),
        )
        await posted(tx, 2)
    early = Clock(speed=1e-9, base=at(HOUR) + KEPT_FOR - timedelta(seconds=1), base_utc=wall())
    later = Clock(speed=1e-9, base=at(HOUR) + KEPT_FOR, base_utc=wall())
    settings = Settings.model_validate({"database_url": escalation_dsn})
    assert await FORGET.step(Process(SERVICE, settings, early, pool)) == 60
    process = Process(SERVICE, settings, later, pool)
    assert [await FORGET.step(process), await FORGET.step(process)] == [0, 60]
    assert await pool.fetchval("select count(*) from notices") == 2, "who waits is not forgotten"


async def test_what_an_older_version_posts_beside_this_one_rises_and_is_pushed_too(
    tx: Transaction,
) -> None:
    await tx.execute(
        """
        insert into notices (id, division, role, clock, reason, count, oldest_due_at, cases,
                             posted_at, office)
        values ($1, $2, 'grid_head', 'sign', 'reminder', 1, $3, '{}', $3, null)
        """,
        CASE,
        GRID,
        at(0),
    )
    (attempt,) = await notices.take_to_push(tx, wall(), timedelta(minutes=1), 10)
    assert (attempt.posted.id, attempt.attempts) == (CASE, 1)
    assert await raised_by(tx, 24) == [(COMMUNITY, "community_officer")]


async def posted(tx: Transaction, n: int) -> None:
    """So many digests for grids of one community, a minute after each other."""
    desks = [Desk(f"{COMMUNITY}{i % 900 + 100}", "grid_head") for i in range(n)]
    await notices.insert(
        tx,
        [
            Posted(uuid4(), Digest(desk, "sign", "reminder", 1, at(0), (UUID(int=i),)), at(i))
            for i, desk in enumerate(desks)
        ],
    )


async def test_two_who_raise_at_once_raise_each_notice_once(pool: Pool) -> None:
    async with transaction(pool) as tx:
        await posted(tx, 2 * PAGE + 50)

    async def raiser() -> int:
        told = 0
        while True:
            async with transaction(pool) as tx:
                risen = await raise_once(tx, at(DAY + HOUR))
            told += len(risen.digests)
            if not risen.taken:
                return told

    counts = await asyncio.gather(raiser(), raiser())
    assert sum(counts) == 2 * PAGE + 50
    async with pool.acquire() as tx:
        row = await tx.fetchrow(
            "select count(*), count(distinct raised_from) from notices where division = $1",
            COMMUNITY,
        )
        assert row is not None
        assert tuple(row) == (2 * PAGE + 50, 2 * PAGE + 50)


async def test_a_raise_that_failed_is_done_again(pool: Pool) -> None:
    async with transaction(pool) as tx:
        await posted(tx, 1)

    async def broken() -> None:
        async with transaction(pool) as tx:
            assert (await raise_once(tx, at(2 * DAY))).taken == 1
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await broken()
    async with transaction(pool) as tx:
        assert len((await raise_once(tx, at(2 * DAY))).digests) == 1
        assert (await raise_once(tx, at(2 * DAY))).taken == 0


async def test_the_timer_raises_by_promise_time_and_counts(escalation_dsn: str, pool: Pool) -> None:
    settings = Settings.model_validate({"database_url": escalation_dsn})
    early = Clock(speed=1e-9, base=STARTED + RISES_AFTER - timedelta(minutes=1), base_utc=wall())
    later = Clock(speed=1e-9, base=at(DAY + MINUTE), base_utc=wall())
    before = raised_so_far()
    async with transaction(pool) as tx:
        await posted(tx, PAGE + 1)
    assert await RAISE.step(Process(SERVICE, settings, early, pool)) == 1.0
    assert raised_so_far() == before
    process = Process(SERVICE, settings, later, pool)
    assert [await RAISE.step(process), await RAISE.step(process)] == [0.0, 1.0]
    assert raised_so_far() == before + PAGE + 1


def raised_so_far() -> float:
    """The counter of raised reminders."""
    name = "casegrid_escalation_notices_raised_total"
    return REGISTRY.get_sample_value(name, {"reason": "reminder"}) or 0
