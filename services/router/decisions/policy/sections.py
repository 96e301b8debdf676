"""The shape of each top-level key of the policy file: its keys, their types and units."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from services.router.decisions.policy.terms import (
    TRACKS,
    Category,
    ClockLimit,
    ClockName,
    ClockOwner,
    ClockStart,
    ClockWhen,
    Count,
    Elapsed,
    ElapsedLimit,
    HoursText,
    LimitText,
    Ratio,
    Role,
    Share,
)
from shared.divisions import Tier
from shared.durations import parse_hours
from shared.events import OnBreach, RatingReason, Track, Urgency


def _working_hours(said: tuple[str, ...]) -> tuple[str, ...]:
    parse_hours(said)
    return said


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CalendarSettings(Section):
    working_hours: Annotated[tuple[str, ...], AfterValidator(_working_hours)]
    first_day_counts: bool
    last_day_on_statutory_holiday_rolls_over: bool


class TierSettings(Section):
    id: Tier
    zh: str
    loop: Literal["micro", "small", "large"]


class UrgencySettings(Section):
    zh: str
    final_reply: ElapsedLimit


class ClockSettings(Section):
    tracks: tuple[Track, ...] = TRACKS
    when: ClockWhen | None = None
    start: ClockStart = Field(alias="from")
    limit: ClockLimit | None = None
    limit_U1: LimitText | None = None
    limit_U2: LimitText | None = None
    limit_U3: LimitText | None = None
    limit_U4: LimitText | None = None
    limit_legal_route: LimitText | None = None
    owner: ClockOwner
    on_breach: OnBreach
    repeat_every: Elapsed | None = None
    repeat_every_U1: Elapsed | None = None
    source: str = ""


class Reminders(Section):
    at_most: Literal[3]  # escalation reads no policy, and counts to three
    then: Literal["supervise"]
    digest_per: tuple[Literal["office", "clock"], ...]


class DutyApplies(Section):
    clocks: tuple[ClockName, ...]
    urgency: tuple[Urgency, ...]


class DutySettings(Section):
    grid: HoursText
    offices: HoursText
    apply_to: DutyApplies
    around_the_clock: bool


class Unclassified(Section):
    track: Track
    urgency: Urgency
    urgency_on_danger_signs: Urgency
    clocks: tuple[ClockName, ...]
    grace_after_classifying: Elapsed


class ReadingSettings(Section):
    confidence_threshold: Ratio
    suspicion_threshold: Ratio

    @model_validator(mode="after")
    def _suspects_sooner(self) -> "ReadingSettings":
        if self.suspicion_threshold > self.confidence_threshold:
            raise ValueError("what is sure enough to route cannot be too unsure to suspect")
        return self


class FirstTierLists(Section):
    """Categories that the first tier treats alike."""

    legal_route: tuple[Category, ...]
    accusations: tuple[Category, ...]
    mass_incident: tuple[Category, ...]
    follow_up: tuple[Category, ...]


class TierBudget(Section):
    """Percent of the urgency's final reply that each tier has; together 100."""

    grid: Share
    community: Share
    street: Share
    district: Share
    unused_lower_budget_goes_to_first_tier: bool

    @model_validator(mode="after")
    def _adds_up(self) -> "TierBudget":
        total = self.grid + self.community + self.street + self.district
        if total != 100:
            raise ValueError(f"the shares of the four tiers add up to {total}, not to 100")
        return self

    def of(self, tier: Tier) -> int:
        """The percent of one tier."""
        return int(getattr(self, tier.value))


class SkipTo(Section):
    """The lowest tier that may hold such a matter."""

    U1: Tier
    confirmed_mass_incident: Tier
    restricted_report_or_safety: Tier


class AtTheTop(Section):
    supervise_every: Elapsed
    supervise_every_U1: Elapsed


class Reopening(Section):
    max: Count
    then: Literal["street_meeting"]


class Extension(Section):
    """`at_most_percent`: of what the final reply had, so much more."""

    max_times: Count
    needs_approval_of: Role
    must_tell_petitioner: bool
    at_most_percent: Annotated[int, Field(ge=1, le=100)] = 100


class Pausing(Section):
    """Which promises stand still in a pause, and how long one may last."""

    clocks: tuple[Literal["tier", "final_reply"], ...] = ("tier", "final_reply")
    at_most: Elapsed = timedelta(days=15)


class CallingBack(Section):
    """How often nobody must have answered before a case may be closed without his word."""

    attempts: Annotated[int, Field(ge=1)] = 2


class ReopenWindow(Section):
    """How long after its end a case may be opened again, and for what."""

    within: Elapsed = timedelta(days=15)
    reasons: tuple[RatingReason, ...] = ("not_solved", "came_back", "wrong_answer")


class EscalationSettings(Section):
    promote_on: tuple[
        Literal[
            "tier_breached", "beyond_authority", "repeat_open", "scale_up", "petitioner_request"
        ],
        ...,
    ]
    skip_to: SkipTo
    never_down_without_reason: bool
    at_the_top: AtTheTop
    after_downtime: Literal["full_budget_of_next_tier"]
    reopen_after_dissatisfied_callback: Reopening
    extension: Extension
    pause_only_for: tuple[
        Literal["waiting_for_petitioner", "force_majeure", "in_statutory_procedure"], ...
    ]
    pause: Pausing = Pausing()
    call_back: CallingBack = CallingBack()
    reopen: ReopenWindow = ReopenWindow()


class Objection(Section):
    times: Count
    limit: LimitText
    decided_by: Tier


class Refusal(Section):
    goes_to: str
    counts_in: str
    source: str = ""


class WhistleSettings(Section):
    caller: Tier
    commander: Tier
    responders: Literal["department"]
    objection: Objection
    refusal: Refusal
    double_assessment: bool


class ByItself(Section):
    """What is asked without a person who asks; unsaid, nothing.

    `assist`: the offices that assist, by the duty catalogue, when the one that leads signs a case.
    `copy_from`: in these tiers the level above has a copy then.
    """

    assist: bool = False
    copy_from: tuple[Literal[Tier.STREET, Tier.DISTRICT], ...] = ()
    source: str = ""


class XinfangTrack(Section):
    duty_limits: tuple[str, ...]
    rights_periods: tuple[str, ...]
    petition_office_handles_within: LimitText
    written_notice_within: LimitText
    objection_within: LimitText
    decide_within: LimitText
    extend_by_at_most: LimitText
    ask_review_within: LimitText
    review_within: LimitText
    ask_rereview_within: LimitText
    rereview_within: LimitText
    after_rereview: str
    joint_visit_representatives_max: int
    never_to_accused: bool
    recusal_on_interest: bool


class MediationTrack(Section):
    consent_of_all_parties: str
    fee: int
    limit: LimitText
    medical_limit: LimitText
    labour_limit: LimitText
    judicial_confirmation_within: LimitText
    on_failure_tell_other_routes: bool
    report_crime_risk_to: str
    success_rate: str


class ProjectTrack(Section):
    approvals: tuple[str, ...]
    returns_at_most: Count
    after_approval: tuple[str, ...]


class Patrol(Section):
    per_grid_worker_per_day: Count
    source: str = ""


class GridScore(Section):
    response: Share
    resolved: Share
    satisfied: Share
    patrol: Share
    data_quality: Share

    @model_validator(mode="after")
    def _adds_up(self) -> "GridScore":
        total = self.response + self.resolved + self.satisfied + self.patrol + self.data_quality
        if total != 100:
            raise ValueError(f"the parts of the score add up to {total}, not to 100")
        return self


class HotlineDesk(Section):
    answer_call: Elapsed
    answer_message: Elapsed
    answer_email: Elapsed
