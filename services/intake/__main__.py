"""The composition of intake: `python -m services.intake serve | migrate | import | …`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from services.intake import api, importing, training
from services.intake.handlers import census, loops, policy, receipts
from shared.census import besides
from shared.command import service_command
from shared.events import Topic
from shared.hearing import Handle
from shared.heartbeat import feeling
from shared.service import Process, Service, Timer


def hears(process: Process) -> Mapping[Topic, Handle]:
    """What intake listens to."""
    shelf = loops.intake_of(process).shelf
    compare = partial(census.hear, voice=loops.voice_of(process), shelf=shelf)
    hear = partial(receipts.on_case_changed, clock=process.clock)
    return {
        Topic.ROUTER: feeling(besides(compare, hear, asks=process.settings.census)),
        Topic.POLICY: policy.on_policy,
    }


SERVICE = Service(
    name="intake",
    about="Takes petitions, reads them, and tells residents how far they got.",
    migrations=Path(__file__).parent / "migrations",
    routes=api.routes,
    hears=hears,
    timers=(
        Timer("group commit", "http", loops.commit_group),
        Timer("door", "http", loops.tend_door),
        Timer("backlog", "http", loops.look_behind),
        Timer("policy for http", "http", loops.look_for_policy),
        Timer("policy for reading", "read", loops.look_for_policy),
        Timer("read", "read", loops.read),
        Timer("measure the reading queue", "read", loops.measure),
        Timer("census", "read", loops.count),
    ),
    open=loops.open_intake,
    gate=api.gate,
    gated="/petitions",
)

app = service_command(SERVICE)
app.command("import")(importing.import_)
app.command("train")(training.train)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
