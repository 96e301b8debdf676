"""What stands around a person's command: who gives it, the row of the track, rules and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.router.decisions.policy import Policy
from services.router.decisions.tracks.table import Step
from shared.identity import Actor


@dataclass(frozen=True, slots=True)
class Given:
    """Around one command; each step of `workflow` is given it.

    `said` is what the resident is told, as the history keeps it, and which template said it.
    """

    actor: Actor
    step: Step
    policy: Policy
    now: datetime
    said: Mapping[str, object] = field(default_factory=dict)
