"""What a census finds is counted as what it is, and named in the log."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

import orjson
import pytest

from services.analytics import store
from services.analytics.handlers.cases import on_cases
from services.intake.handlers.census import first_at
from shared.census import FIRST, LAST, ask_for_missed
from shared.clock import wall
from shared.events import CensusTaken, Counted, Topic
from shared.hearing import Batch, Heard
from shared.kafka import Record, lane_of
from shared.postgres import Pool, transaction
from shared.telemetry import DIFFERENCES, STRANGERS
from tests.analytics.stories import batch, case, envelope, heard


def counts() -> tuple[float, float]:
    """How many differed, and how many were strangers, as this process counted."""
    return tuple(one.labels(Topic.ROUTER)._value.get() for one in (DIFFERENCES, STRANGERS))


def of_the_lane_of(like: UUID) -> UUID:
    """Another id of the same partition."""
    lane = lane_of(Topic.ROUTER, str(like))
    others = (UUID(int=like.int + n) for n in range(1, 1000))
    return next(one for one in others if lane_of(Topic.ROUTER, str(one)) == lane)


async def test_a_stranger_is_no_difference_and_both_are_named(
    pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = first_at(wall() - timedelta(days=2))
    unheard = of_the_lane_of(stranger)
    lane = lane_of(Topic.ROUTER, str(stranger))
    taken = CensusTaken(
        type="casegrid.census.taken.v1", after=FIRST, up_to=LAST, taken_at=wall(),
        counted=(Counted(id=unheard, epoch=1, seq=1, fingerprint="x", closed=False),),
    )  # fmt: skip
    record = Record(Topic.ROUTER, lane, 0, "census/0", b"", {}, wall())
    page = Heard(record, envelope(stranger, (1, 1)), taken)
    before = counts()
    with caplog.at_level(logging.WARNING):
        async with transaction(pool) as tx:
            await on_cases(batch([heard(stranger, (1, 1), case())]), tx, wall())
            await ask_for_missed(
                Batch(Topic.ROUTER, [page]), tx, wall(), store.for_census,
                Topic.ANALYTICS, "analytics", "test",
            )  # fmt: skip
            asked = await tx.fetchval("select value from outbox")
    differing, strangers = (now - was for now, was in zip(counts(), before, strict=True))
    assert (differing, strangers) == (1, 1)
    assert {one["i"] for one in orjson.loads(asked)["missed"]} == {str(unheard), str(stranger)}
    assert f"1 differ and are asked for: {unheard}" in caplog.text
    assert f"1 are not listed by their owner: {stranger}" in caplog.text
