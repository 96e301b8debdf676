"""The statements that a test's own connection was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncpg.connection import LoggedQuery

from shared.postgres import Transaction


@asynccontextmanager
async def spoken(tx: Transaction) -> AsyncIterator[list[LoggedQuery]]:
    """The statements of this block, complete at its end."""
    said: list[LoggedQuery] = []
    with tx.query_logger(said.append):
        yield said
        await asyncio.sleep(0)  # the driver tells of a statement a turn later
