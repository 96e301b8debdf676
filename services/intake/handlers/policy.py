"""Policy versions: kept part by part, closed when whole, and the newest one compiled."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from services.intake.decisions.additions import Reopening
from services.intake.decisions.policy import (
    PartBody,
    Policy,
    canonical,
    compile_policy,
    reopening_in,
    what_is_missing,
)
from services.intake.metrics import VERSION
from services.intake.store import policy as store
from shared import hearing
from shared.events import PolicyPart, PolicyPublished
from shared.hearing import Batch, Unreadable
from shared.postgres import Transaction

logger = logging.getLogger(__name__)

VERSIONS = 100
"""[ours] What so many versions say of ratings is remembered."""


async def on_policy(batch: Batch, tx: Transaction, now: datetime) -> None:
    """Keep parts, and close the versions that are whole; one that is not is parked."""
    parts = [canonical(e.data) for e in batch.events if isinstance(e.data, PolicyPart)]
    if parts:
        await store.keep_parts(tx, parts)
    closing = {e.data.version: e for e in batch.events if isinstance(e.data, PolicyPublished)}
    if not closing:
        return
    there = await store.parts_of(tx, closing.keys())
    whole: list[PolicyPublished] = []
    refused: list[Unreadable] = []
    for version, heard in closing.items():
        assert isinstance(heard.data, PolicyPublished)
        reason = await what_is_wrong(heard.data, there[version])
        if reason is None:
            whole.append(heard.data)
        else:
            logger.error("a policy version is not taken: %s", reason)
            refused.append(Unreadable(heard.record, reason))
    await store.close_versions(tx, whole)
    await hearing.park(tx, refused)


async def what_is_wrong(published: PolicyPublished, parts: list[PartBody]) -> str | None:
    """Why a version cannot come into force; None when it can."""
    if reason := what_is_missing(published, parts):
        return reason
    try:
        await asyncio.to_thread(compile_policy, published.version, parts)
    except ValueError as wrong:
        return f"policy version {published.version} cannot be compiled: {wrong}"[:500]
    return None


class Shelf:
    """The policy in force in this process; swapped at once, never half.

    Cases live under older versions: of those it knows what they say of ratings.
    """

    def __init__(self) -> None:
        self.policy: Policy | None = None
        self._reopening: dict[int, Reopening] = {}
        self._lock = asyncio.Lock()

    async def newest(self, tx: Transaction) -> Policy | None:
        """The newest whole version of the database, compiled once; None before the first."""
        version = await store.newest_version(tx)
        if version is None or (self.policy is not None and self.policy.version == version):
            return self.policy
        async with self._lock:
            if self.policy is None or self.policy.version < version:
                parts = (await store.parts_of(tx, [version]))[version]
                self.policy = await asyncio.to_thread(compile_policy, version, parts)
                VERSION.set(version)
                logger.info("policy version %s is in force", version)
        return self.policy

    async def reopening(self, tx: Transaction, version: int | None) -> Reopening:
        """What the version of a case says of ratings; while that is not known, the newest."""
        newest = Reopening() if self.policy is None else self.policy.reopening
        if version is None:
            return newest
        if version not in self._reopening and (parts := await store.settings_of(tx, version)):
            if len(self._reopening) >= VERSIONS:
                self._reopening.clear()
            self._reopening[version] = reopening_in(parts)
        return self._reopening.get(version, newest)
