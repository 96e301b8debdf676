"""The skeleton: HTTP, consume, relay and timers; one way to start and one to stop.

Three kinds of failure. Weather (broker or database away) is rolled back and tried again, HTTP
stays up. Theirs (unreadable) is parked. Ours (a bug) ends the process: one loop dies, all die.
"""

from shared.service.consuming import consume
from shared.service.lag import Lag
from shared.service.process import (
    PARTS,
    Health,
    Process,
    Replayed,
    Service,
    Timer,
    Work,
    through_weather,
)
from shared.service.relaying import relay
from shared.service.replaying import replay
from shared.service.running import serve, settle

__all__ = [
    "PARTS",
    "Health",
    "Lag",
    "Process",
    "Replayed",
    "Service",
    "Timer",
    "Work",
    "consume",
    "relay",
    "replay",
    "serve",
    "settle",
    "through_weather",
]
