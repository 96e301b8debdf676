"""What is armed, what is due, who is told. No I/O, no clock: same inputs, same decision."""

from services.escalation.decisions.access import may_see
from services.escalation.decisions.armed import (
    Armed,
    Clock,
    Given,
    News,
    arm,
    moment,
    next_at,
    next_of,
)
from services.escalation.decisions.figures import NO_TIER, counted_as, first_due, minute_of
from services.escalation.decisions.forecast import (
    OUTCOMES,
    Breaks,
    Foreseen,
    Outcome,
    breaks,
    foreseen,
    promoted_to,
)
from services.escalation.decisions.notices import Desk, Digest, Notice, Reason, digests
from services.escalation.decisions.orders import (
    Action,
    OrderGiven,
    action_of,
    answered,
    order_id,
    pause_after,
)
from services.escalation.decisions.sweeping import Swept, sweep

__all__ = [
    "NO_TIER",
    "OUTCOMES",
    "Action",
    "Armed",
    "Breaks",
    "Clock",
    "Desk",
    "Digest",
    "Foreseen",
    "Given",
    "News",
    "Notice",
    "OrderGiven",
    "Outcome",
    "Reason",
    "Swept",
    "action_of",
    "answered",
    "arm",
    "breaks",
    "counted_as",
    "digests",
    "first_due",
    "foreseen",
    "may_see",
    "minute_of",
    "moment",
    "next_at",
    "next_of",
    "order_id",
    "pause_after",
    "promoted_to",
    "sweep",
]
