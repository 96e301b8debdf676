"""Some hundreds of simulated worlds; `make sim` lives through ten thousand."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.shrinking import told
from tests.simulation.world import Databases, Plan, World

BATCHES, EACH = 8, 25
AGAIN = (0, 24)
FOUND = (552, 694, 901)
"""Worlds beyond the first that a campaign found something in."""

LEAST = {
    "petitions accepted": 30, "commands done": 20, "processes killed": 15, "rebalances": 15,
    "turns frozen": 15, "answers and connections lost": 10, "records spoilt": 1,
    "relay sessions ended": 1,
}  # fmt: skip
"""Of so many worlds: what nobody does and nothing happens to proves nothing."""


@pytest.mark.parametrize("batch", range(BATCHES))
async def test_whatever_goes_wrong_nothing_is_lost_and_nothing_happens_twice(
    batch: int, world_databases: Databases
) -> None:
    counts: Counter[str] = Counter()
    for seed in range(batch * EACH, (batch + 1) * EACH):
        outcome = await World(Plan(seed), world_databases).run()
        assert outcome.broken is None, "\n".join(told(outcome))
        counts += outcome.counts
    idle = {what: counts[what] for what, least in LEAST.items() if counts[what] < least}
    assert not idle


@pytest.mark.parametrize("seed", FOUND)
async def test_a_world_that_was_broken_once_is_well(seed: int, world_databases: Databases) -> None:
    outcome = await World(Plan(seed), world_databases).run()
    assert outcome.broken is None, "\n".join(told(outcome))


@pytest.mark.parametrize("seed", AGAIN)
async def test_a_seed_is_the_same_world_line_by_line(seed: int, world_databases: Databases) -> None:
    first = await World(Plan(seed), world_databases).run()
    again = await World(Plan(seed), world_databases).run()
    assert first.story == again.story
    assert first.counts == again.counts
