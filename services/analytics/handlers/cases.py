"""Snapshots of cases: each case counts once, as its newest snapshot says; and the gauges."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import get_args
from uuid import UUID

from prometheus_client import REGISTRY

from services.analytics import decisions, store
from services.analytics.decisions import NO_TIER, Contribution, Picture, Said, contribution
from services.analytics.metrics import (
    CLOSED,
    OPEN,
    OPEN_BY_TRACK,
    OUTDATED,
    PROJECTION_AGE,
    SOLVED_IN_GRID,
)
from shared import hearing, tally
from shared.clock import wall
from shared.divisions import Tier
from shared.events import CaseChanged, Topic, Track
from shared.hearing import Batch, Done, Progress, Unreadable
from shared.postgres import Transaction
from shared.service import Process


async def on_cases(batch: Batch, tx: Transaction, now: datetime) -> Done:
    """Count the newest snapshot of each case, once; `now` has no say in figures."""
    said: list[tuple[UUID, Said]] = []
    strange: list[Unreadable] = []
    for event in batch.events:
        if not isinstance(event.data, CaseChanged):
            continue
        try:
            case_id = UUID(event.envelope.subject)
        except ValueError:
            strange.append(Unreadable(event.record, "the key is not the id of a case"))
        else:
            envelope = event.envelope
            said.append((case_id, Said(envelope.order, event.data.case, envelope.occurred_at)))
    await hearing.park(tx, strange)
    cases = decisions.newest(said)
    new: dict[UUID, Contribution] = {
        case_id: contribution(one.case, one.at) for case_id, one in cases.items()
    }
    before = await store.replace_older(
        tx, [store.Row(case_id, one.order, new[case_id]) for case_id, one in cases.items()]
    )
    await tally.add(
        tx, decisions.differences((old, new[case_id]) for case_id, old in before.items())
    )
    return partial(OUTDATED.inc, len(said) - len(before))


def noting(progress: Progress) -> hearing.Handle:
    """`on_cases`, noting how far this process has come."""

    async def handle(batch: Batch, tx: Transaction, now: datetime) -> Done:
        count = await on_cases(batch, tx, now)

        def done() -> None:
            count()
            for event in batch.events[-1:]:
                progress.appended_at = event.record.appended_at

        return done

    return handle


async def measure(process: Process) -> float:
    """Each second: the gauges, from the counters."""
    async with store.snapshot(process.pool) as tx:
        by_tier = await store.figures_by(tx, "tier")
        by_track = await store.figures_by(tx, "track")
    tiers = {key: decisions.picture(figures) for key, figures in by_tier.items()}
    tracks = {key: decisions.picture(figures) for key, figures in by_track.items()}
    for tier in (*(tier.value for tier in Tier), NO_TIER):
        OPEN.labels(tier).set(open_in(tiers, tier))
    for track in get_args(Track):
        OPEN_BY_TRACK.labels(track).set(open_in(tracks, track))
    whole = decisions.picture(decisions.together(by_track.values()))
    CLOSED.set(whole.closed)
    points = whole.solved_in_grid.basis_points
    SOLVED_IN_GRID.set(float("nan") if points is None else points)
    PROJECTION_AGE.set(projection_age(process))
    return 1.0


def open_in(pictures: dict[str, Picture], key: str) -> int:
    """The open cases of one group."""
    return pictures[key].open if key in pictures else 0


def projection_age(process: Process) -> float:
    """Seconds since the last counted snapshot was appended; 0 when none waits."""
    progress = process.state
    assert isinstance(progress, Progress)
    if not records_behind() or progress.appended_at is None:
        return 0.0
    return max(0.0, (wall() - progress.appended_at).total_seconds())


def records_behind() -> int | None:
    """Snapshots that wait on the topic; None where this process does not hear it."""
    behind = REGISTRY.get_sample_value(
        "casegrid_consumer_lag_records", {"topic": Topic.ROUTER.value}
    )
    return None if behind is None else int(behind)
