"""The words and units a policy file is written in: closed lists, limits, shares."""

from datetime import timedelta
from typing import Annotated, Final, Literal, TypeAlias, get_args

from pydantic import AfterValidator, Field, PlainValidator

from shared.durations import Limit, elapsed, parse_hours, parse_limit
from shared.events import CategoryCode, Track, Urgency

ClockName = Literal[
    "dispatch", "handover", "sign", "verify", "reply", "tier", "final_reply", "object", "callback",
    "report_in", "approval", "forward", "written_notice", "decide", "review", "rereview",
    "ask_review", "ask_rereview", "mediate", "confirm", "pause", "whistle", "assist", "objection",
    "team", "adviser", "conference", "result", "copy",
]  # fmt: skip
ClockStart = Literal[
    "received", "entered_queue", "assigned", "entered_tier", "signed", "resolved", "commanded",
    "asked", "registered", "received_by_body", "accepted", "written_opinion_delivered",
    "agreement_in_effect", "paused",
]  # fmt: skip
ClockOwner = Literal[
    "holder", "dispatcher", "grid_team", "street_cadre", "lead_office", "hotline", "department",
    "approver", "petition_officer", "one_level_above_last_decider", "resident", "mediator",
    "both_parties", "whoever_is_asked",
]  # fmt: skip
ClockWhen = Literal[
    "waiting_for_dispatcher", "place_known", "contact_known", "whistle", "each_approval",
    "name_and_address_known", "paused", "task",
]  # fmt: skip
Role = Literal[
    "resident", "hotline_agent", "grid_branch_secretary", "grid_head", "grid_worker",
    "grid_volunteer", "community_officer", "mediator", "street_dispatcher", "street_cadre",
    "department_officer", "district_dispatcher", "city_dispatcher", "political_legal_officer",
    "assessor", "auditor", "policy_editor", "petition_officer", "office_head", "legal_adviser",
]  # fmt: skip

URGENCIES: Final[tuple[Urgency, ...]] = get_args(Urgency)
TRACKS: Final[tuple[Track, ...]] = get_args(Track)


def _limit(said: object) -> Limit:
    if not isinstance(said, str):
        raise ValueError("a limit is a number with its unit (s, min, h, d, wd or wh)")
    return parse_limit(said)


def _elapsed_limit(said: object) -> Limit:
    limit = _limit(said)
    elapsed(limit)
    return limit


NamedLimit: TypeAlias = Literal["by_urgency", "tier_budget", "as_agreed"]


def _clock_limit(said: object) -> Limit | NamedLimit:
    match said:
        case "by_urgency" | "tier_budget" | "as_agreed" as named:
            return named
        case _:
            return _limit(said)


def _hours(said: str) -> str:
    if said != "working_hours":
        parse_hours([said])
    return said


LimitText: TypeAlias = Annotated[Limit, PlainValidator(_limit)]
ElapsedLimit: TypeAlias = Annotated[Limit, PlainValidator(_elapsed_limit)]
Elapsed: TypeAlias = Annotated[
    timedelta, PlainValidator(lambda said: elapsed(_elapsed_limit(said)))
]
ClockLimit: TypeAlias = Annotated[Limit | NamedLimit, PlainValidator(_clock_limit)]
HoursText: TypeAlias = Annotated[str, AfterValidator(_hours)]
WarnPercent: TypeAlias = Annotated[int, Field(ge=1, le=99)]
Share: TypeAlias = Annotated[int, Field(ge=0, le=100)]
Ratio: TypeAlias = Annotated[float, Field(gt=0, lt=1)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Category: TypeAlias = Annotated[CategoryCode, Field(min_length=1)]
