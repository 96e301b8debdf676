"""The smallest world that still breaks: fewer faults, fewer steps, the same invariant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.simulation.world import FAULTS, Databases, Outcome, Plan, World

TRIES = 150


class Shrinking:
    """Tries smaller plans, at most so many; `told` hears of each that still breaks."""

    def __init__(
        self,
        databases: Databases,
        broken: Outcome,
        told: Callable[[str], None] = lambda _: None,
        most: int = TRIES,
    ) -> None:
        assert broken.broken is not None
        self.databases, self.best, self.told, self.most = databases, broken, told, most
        self.invariant = broken.broken.partition(":")[0]
        self.tries = 0

    async def shrink(self) -> Outcome:
        """The smallest found."""
        await self.without_faults()
        await self.with_fewer_steps()
        await self.without_steps()
        return self.best

    async def breaks(self, plan: Plan) -> bool:
        """Whether this plan breaks the same invariant; if so it is the best so far."""
        if self.tries >= self.most:
            return False
        self.tries += 1
        outcome = await World(plan, self.databases).run()
        if outcome.broken is None or outcome.broken.partition(":")[0] != self.invariant:
            return False
        self.best = outcome
        self.told(f"{plan.steps - len(plan.without)} steps, {len(plan.never)} kinds of fault off")
        return True

    async def without_faults(self) -> None:
        """Kinds of fault that it breaks without."""
        for fault in FAULTS:
            plan = self.best.plan
            await self.breaks(replace(plan, never=plan.never | {fault}))

    async def with_fewer_steps(self) -> None:
        """Steps at the end that it breaks without."""
        low = 0
        while self.best.plan.steps - low > 1 and self.tries < self.most:
            middle = (low + self.best.plan.steps) // 2
            if not await self.breaks(replace(self.best.plan, steps=middle)):
                low = middle

    async def without_steps(self) -> None:
        """Steps between that it breaks without: halves, quarters, …, single ones."""
        size = max(1, self.best.plan.steps // 2)
        while True:
            left = [n for n in range(self.best.plan.steps) if n not in self.best.plan.without]
            for begin in range(0, len(left), size):
                plan = self.best.plan
                gone = frozenset(left[begin : begin + size])
                await self.breaks(replace(plan, without=plan.without | gone))
            if size == 1 or self.tries >= self.most:
                return
            size = max(1, size // 2)


def told(outcome: Outcome) -> list[str]:
    """A world as a story: what happened, step by step, and what broke."""
    plan = outcome.plan
    lines = [
        f"seed {plan.seed}: {plan.steps - len(plan.without)} of {plan.steps} steps",
        *outcome.story,
    ]
    if outcome.broken:
        lines += ["", f"BROKEN: {outcome.broken}"]
    return lines
