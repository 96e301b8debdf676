"""What happens when a snapshot comes (`handle`), and when a time comes (the timers)."""

from services.escalation.handlers.cases import handle
from services.escalation.handlers.figures import FIGURES, FORGET_ZEROS, show_figures
from services.escalation.handlers.forecast import FORESEE, show_forecast
from services.escalation.handlers.notices import FORGET, RAISE, acknowledge, forget_once, raise_once
from services.escalation.handlers.orders import SAY_AGAIN, say_again_once
from services.escalation.handlers.pushing import PUSH, push_once, sender
from services.escalation.handlers.sweep import PAGE, SWEEP, sweep_once

__all__ = [
    "FIGURES",
    "FORESEE",
    "FORGET",
    "FORGET_ZEROS",
    "PAGE",
    "PUSH",
    "RAISE",
    "SAY_AGAIN",
    "SWEEP",
    "acknowledge",
    "forget_once",
    "handle",
    "push_once",
    "raise_once",
    "say_again_once",
    "sender",
    "show_figures",
    "show_forecast",
    "sweep_once",
]
