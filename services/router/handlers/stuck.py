"""The stuck queues after another version: cases that it moved are looked up, and counted again.

A version that does not know a queue moves cases into it and out of it without a word. Each walk of
the census compares its cases with what is said of them, and the counts are recounted from that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from services.router import store
from services.router.decisions.case import Case
from services.router.decisions.stuck import Wait, waits
from services.router.metrics import MENDED, RECOUNTED
from shared import tally
from shared.postgres import Transaction


async def mend(tx: Transaction, cases: Sequence[Case]) -> None:
    """Set right where these cases wait, of those alone that are said to wait elsewhere."""
    said = await store.waiting.of(tx, [case.id for case in cases])
    if not (wrong := [case.id for case in cases if said.get(case.id, set()) != set(waits(case))]):
        return
    now = await store.cases.locked(tx, wrong)
    said = await store.waiting.of(tx, wrong)
    await store.waiting.forget(tx, wrong)
    if there := {id_: found for id_, case in now.items() if (found := waits(case))}:
        await store.waiting.add(tx, there)
    deltas = counted(wait for found in there.values() for wait in found)
    deltas.subtract(counted(wait for found in said.values() for wait in found))
    await tally.add(tx, deltas)
    MENDED.inc(len(wrong))


def counted(found: Iterable[Wait]) -> Counter[tuple[str, str]]:
    """How many wait in each queue, tier and track, as the tally counts them."""
    return Counter(("waiting", wait.key) for wait in found)


async def recount(tx: Transaction) -> None:
    """Count again; what a version that kept no counts left is gone."""
    await store.waiting.forget_closed(tx)
    RECOUNTED.inc(await store.waiting.recount(tx))
