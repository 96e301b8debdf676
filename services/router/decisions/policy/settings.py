"""The shape of the policy file: every key it may have, its type and its unit.

One model per top-level key; an unknown key, a wrong type, an unknown word of a closed list, and
numbers that do not add up are problems with their key. What the law fixes is in `statutes`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
)

from services.router.decisions.policy.parts import Part
from services.router.decisions.policy.problems import Problem
from services.router.decisions.policy.sections import (
    ByItself,
    CalendarSettings,
    ClockSettings,
    DutySettings,
    EscalationSettings,
    FirstTierLists,
    GridScore,
    HotlineDesk,
    MediationTrack,
    Patrol,
    ProjectTrack,
    ReadingSettings,
    Reminders,
    Section,
    TierBudget,
    TierSettings,
    Unclassified,
    UrgencySettings,
    WhistleSettings,
    XinfangTrack,
)
from services.router.decisions.policy.terms import (
    URGENCIES,
    ClockName,
    Role,
    WarnPercent,
)
from shared.divisions import Tier
from shared.events import Channel, Kind, Track, Urgency


def _complete(said: dict[Urgency, UrgencySettings]) -> dict[Urgency, UrgencySettings]:
    if missing := [name for name in URGENCIES if name not in said]:
        raise ValueError(f"missing: {', '.join(missing)}")
    return said


TASK: dict[str, object] = {
    "tracks": ["service", "consult"], "when": "task", "from": "asked", "owner": "whoever_is_asked",
}  # fmt: skip
ADDED: Mapping[ClockName, Mapping[str, object]] = {
    "pause": {
        "tracks": ["service", "consult"], "when": "paused", "from": "paused",
        "limit": "as_agreed", "owner": "holder", "on_breach": "supervise",
    },
    "whistle": TASK | {"limit": "4wh", "on_breach": "remind", "repeat_every": "24h"},
    "assist": TASK | {
        "limit": "5wd", "limit_U1": "2h", "limit_U2": "24h", "on_breach": "supervise",
        "repeat_every": "24h",
    },
    "objection": TASK | {"limit": "4wh", "on_breach": "remind", "repeat_every": "24h"},
    "team": TASK | {"limit": "3wd", "on_breach": "remind", "repeat_every": "24h"},
    "adviser": TASK | {"limit": "3wd", "on_breach": "remind", "repeat_every": "24h"},
    "conference": TASK | {"limit": "5wd", "on_breach": "supervise", "repeat_every": "24h"},
    "result": TASK | {"limit": "48h", "on_breach": "remind", "repeat_every": "24h"},
    "copy": TASK | {"limit": "24h", "on_breach": "none"},
}  # fmt: skip
"""Clocks that older versions of the policy do not name: cases still live under those."""


def _all_clocks(said: dict[ClockName, ClockSettings]) -> dict[ClockName, ClockSettings]:
    known = [name for name in get_args(ClockName) if name not in ADDED]
    if missing := [name for name in known if name not in said]:
        raise ValueError(f"missing: {', '.join(missing)}")
    added = {
        name: ClockSettings.model_validate_json(json.dumps(rule)) for name, rule in ADDED.items()
    }
    return {**added, **said}


def _the_ladder(said: tuple[TierSettings, ...]) -> tuple[TierSettings, ...]:
    if [tier.id for tier in said] != list(Tier):
        raise ValueError(f"the tiers are {', '.join(Tier)}, in this order")
    return said


class Settings(Section):
    """The whole policy file, typed."""

    version: Annotated[int, Field(ge=1)]
    timezone: Literal["Asia/Shanghai"]
    calendar: CalendarSettings
    tiers: Annotated[tuple[TierSettings, ...], AfterValidator(_the_ladder)]
    channels: tuple[Channel, ...]
    kinds: dict[Kind, str]
    tracks: tuple[Track, ...]
    urgency: Annotated[dict[Urgency, UrgencySettings], AfterValidator(_complete)]
    clocks: Annotated[dict[ClockName, ClockSettings], AfterValidator(_all_clocks)]
    warn_at_percent: tuple[WarnPercent, ...]
    warn_at_percent_under_2h: tuple[WarnPercent, ...]
    reminders: Reminders
    duty_hours: DutySettings
    unclassified: Unclassified
    reading: ReadingSettings
    first_tier: FirstTierLists
    tier_budget: TierBudget
    escalation: EscalationSettings
    whistle: WhistleSettings
    by_itself: ByItself = ByItself()
    xinfang_track: XinfangTrack
    mediation_track: MediationTrack
    project_track: ProjectTrack
    patrol: Patrol
    early_warning: dict[Literal["yellow", "orange", "red"], tuple[str, ...]]
    rates: dict[str, str]
    grid_score: GridScore
    hotline_desk: HotlineDesk
    roles: tuple[Role, ...]


def parse_settings(part: Part) -> tuple[Settings | None, list[Problem]]:
    """The typed settings, or every problem of their shape."""
    if not part.rows:
        return None, []
    said = raw_settings(part)
    try:
        # JSON, because there a list is a tuple and a text is a code, while 5 is not "5".
        return Settings.model_validate_json(json.dumps(said, default=str)), []
    except ValidationError as wrong:
        return None, list(_problems(part, wrong))


def raw_settings(part: Part) -> Mapping[str, object]:
    """What the rows say, key by key, not yet checked."""
    return {str(row["name"]): row["value"] for row in part.rows}


def _problems(part: Part, wrong: ValidationError) -> Iterator[Problem]:
    for error in wrong.errors(include_url=False, include_context=False):
        key = ".".join(str(step) for step in error["loc"] if step != "[key]")
        match error["type"]:
            case "missing":
                message = "missing"
            case "extra_forbidden":
                message = "unknown key"
            case _:
                said = json.dumps(error["input"], ensure_ascii=False, default=str)
                message = f"says {said[:80]}: {error['msg'].removeprefix('Value error, ')}"
        yield part.problem(key, message)
