"""Every SQL statement of the router; one function, one statement."""

from services.router.store import (
    blocked,
    cases,
    census,
    commands,
    history,
    policy,
    queues,
    waiting,
    whistles,
)

__all__ = [
    "blocked",
    "cases",
    "census",
    "commands",
    "history",
    "policy",
    "queues",
    "waiting",
    "whistles",
]
