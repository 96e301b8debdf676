"""What people did from a shell: kept beside what they did it to, in the same transaction."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from shared.postgres import Transaction

ACTOR = "CASEGRID_OPERATOR"


class Nobody(ValueError):
    """It is not known who acts."""


class Act(NamedTuple):
    """Who did what to what, when by the database's clock, and why."""

    at: datetime
    actor: str
    act: str
    about: str
    reason: str


def actor(said: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """Who acts: as said, as the environment says, or the login name. Raises `Nobody`."""
    if name := (said or environment.get(ACTOR, "")).strip():
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError) as nobody:
        raise Nobody(f"say who you are: --by NAME, or {ACTOR}") from nobody


async def note(tx: Transaction, actor: str, act: str, about: str, reason: str) -> None:
    """Keep that this was done, if this transaction commits."""
    await tx.execute(
        "insert into operator_acts (actor, act, about, reason) values ($1, $2, $3, $4)",
        actor,
        act,
        about,
        reason,
    )


async def acts(tx: Transaction, limit: int) -> list[Act]:
    """The last acts, the newest first."""
    rows = await tx.fetch(
        "select at, actor, act, about, reason from operator_acts order by id desc limit $1", limit
    )
    return [Act(*row.values()) for row in rows]
