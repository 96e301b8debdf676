"""Under what a case is counted, so that the gauges are exact and cheap."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.escalation.decisions.armed import Armed, moment

NO_TIER: Final = "none"
NO_TRACK: Final = "unknown"
"""Of cases that an older version armed, until they are heard of again."""


def first_due(armed: Armed) -> datetime | None:
    """The earliest promise of a case that an office must keep; a right that lapses is none."""
    dues = [c.due for c in armed.clocks if not c.paused and c.on_breach not in ("lapse", "none")]
    return moment(armed, min(dues)) if dues else None


def minute_of(at: datetime) -> str:
    """A minute of promise time, as text that sorts."""
    return f"{int(at.timestamp()) // 60:010d}"


def counted_as(armed: Armed | None) -> Sequence[tuple[str, str]]:
    """Under which (name, key) of the tally a case counts: open by tier, and when what is due.

    A minute, tier and track; what an older version counted has no track, and is taken away so.
    """
    if armed is None or not armed.open:
        return ()
    tier = armed.tier or NO_TIER
    due = first_due(armed)
    if due is None:
        return (("open", tier),)
    track = f"/{armed.track}" if armed.track else ""
    return ("open", tier), ("due", f"{minute_of(due)}/{tier}{track}")
