"""The harness is proven: each of ten planted bugs breaks one of the first 200 worlds."""

from __future__ import annotations

import pytest

from tests.simulation.planted import BUGS
from tests.simulation.shrinking import Shrinking
from tests.simulation.world import Databases, Outcome, Plan, World

WITHIN = 200
LAST_FOUND = {
    "positions_outside_the_transaction": 37,
    "no_fence": 98,
    "poison_does_not_block": 30,
    "relay_skips_what_is_locked": 14,
    "an_older_snapshot_is_armed": 65,
    "cases_are_read_without_a_lock": 21,
    "a_task_outlives_what_it_was_for": 55,
}
"""Where a bug was found last is where it is looked for first: it only saves time."""


async def first_broken(databases: Databases, begin: int = 0) -> Outcome | None:
    """The first world that breaks, from this one on and then from the first."""
    for n in range(WITHIN):
        seed = (begin + n) % WITHIN
        outcome = await World(Plan(seed), databases).run()
        if outcome.broken is not None:
            return outcome
    return None


def test_there_are_ten() -> None:
    assert len(BUGS) >= 10


@pytest.mark.parametrize("name", BUGS)
async def test_a_planted_bug_is_found(name: str, world_databases: Databases) -> None:
    with BUGS[name]():
        found = await first_broken(world_databases, LAST_FOUND.get(name, 0))
    assert found is not None, f"{WITHIN} worlds did not see it"
    well = await World(found.plan, world_databases).run()
    assert well.broken is None, "the same world is well without the bug"


async def test_what_breaks_is_shrunk_to_a_story_that_breaks_too(world_databases: Databases) -> None:
    with BUGS["promoted_whatever_the_generation"]():
        found = await first_broken(world_databases)
        assert found is not None
        small = await Shrinking(world_databases, found, most=30).shrink()
        again = await World(small.plan, world_databases).run()
    assert again.broken == small.broken
    assert again.story == small.story
    steps = small.plan.steps - len(small.plan.without)
    assert steps < found.plan.steps * 0.7
