"""What is armed, what is due, who is told. No I/O, no clock: same inputs, same decision."""

from services.escalation.decisions.armed import (
    MOST_REMINDERS,
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
from services.escalation.decisions.notices import (
    MOST_PUSHES,
    RISES_AFTER,
    Accused,
    Desk,
    Digest,
    Notice,
    Reason,
    digests,
    raised,
    title,
)
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
    "MOST_PUSHES",
    "MOST_REMINDERS",
    "NO_TIER",
    "RISES_AFTER",
    "Accused",
    "Action",
    "Armed",
    "Clock",
    "Desk",
    "Digest",
    "Given",
    "News",
    "Notice",
    "OrderGiven",
    "Reason",
    "Swept",
    "action_of",
    "answered",
    "arm",
    "counted_as",
    "digests",
    "first_due",
    "minute_of",
    "moment",
    "next_at",
    "next_of",
    "order_id",
    "pause_after",
    "raised",
    "sweep",
    "title",
]
