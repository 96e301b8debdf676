"""Escalation's command: `python -m services.escalation serve | migrate | topics | parked`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from services.escalation import api, handlers
from services.escalation.handlers import census
from shared.census import Voice, ask_for_missed, besides
from shared.command import service_command
from shared.events import Topic
from shared.hearing import Handle
from shared.heartbeat import On, feeling
from shared.service import Process, Service


def hears(process: Process) -> Mapping[Topic, Handle]:
    """What escalation listens to."""
    compare = partial(
        ask_for_missed,
        look=census.look,
        topic=Topic.ESCALATION,
        source="escalation",
        clock=process.clock.name,
    )
    on = On(Topic.ESCALATION, Voice("escalation", process.epoch, process.clock.name))
    handle = partial(handlers.handle, clock=process.clock.name)
    hear = besides(compare, handle, asks=process.settings.census)
    return {Topic.ROUTER: feeling(hear, on)}


SERVICE = Service(
    name="escalation",
    about="Watches every promise of time: warns, reminds, and orders to promote or supervise.",
    migrations=Path(__file__).parent / "migrations",
    routes=api.routes,
    hears=hears,
    timers=(
        handlers.SWEEP,
        handlers.SAY_AGAIN,
        handlers.RAISE,
        handlers.FORGET,
        handlers.PUSH,
        handlers.FIGURES,
        handlers.FORESEE,
        handlers.FORGET_ZEROS,
    ),
)
app = service_command(SERVICE)


def main() -> None:
    """The entry point."""
    app()


if __name__ == "__main__":
    main()
