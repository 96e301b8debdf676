"""Whoever changes something from a shell says why, and it is kept: no command is left out."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from services.__main__ import NAMES
from services.operations.command import app as operations
from shared import kafka
from shared.events import Topic
from shared.postgres import Transaction
from shared.settings import Settings
from tests.shared.conftest import Start
from tests.shared.sayings import ONE, message, say

LOOKS = {
    "status", "parked list", "parked acts", "topics check",
    *(f"{name} {verb}" for name in NAMES for verb in ("parked list", "positions list")),
    "router policy check", "intake train",
}  # fmt: skip
"""Commands that change nothing; `train` writes a file, which `policy load` takes."""
DEPLOYS = {
    "topics create",
    *(f"{name} {verb}" for name in NAMES for verb in ("serve", "migrate", "topics")),
}
"""What a deployment does unattended: it takes nothing away and may be repeated."""
CLIENTS = {"intake import"}
"""What is sent over HTTP, like anybody's."""


def leaves(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every command below this one: its words, and the names of its options."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path), {one.name for one in command.params}  # type: ignore[attr-defined]
        return
    for name, one in below.items():
        yield from leaves(one, (*path, name))


def every_command() -> dict[str, set[str]]:
    """All that `casegrid` can be told."""
    apps: dict[str, typer.Typer] = {"": operations}
    apps |= {name: importlib.import_module(f"services.{name}.__main__").app for name in NAMES}
    return {
        words: options
        for name, app in apps.items()
        for words, options in leaves(get_command(app), (name,) if name else ())
    }


def test_each_command_looks_or_deploys_or_asks_who_and_why() -> None:
    asks = {words for words, options in every_command().items() if {"reason", "by"} <= options}
    assert not asks & (LOOKS | DEPLOYS | CLIENTS)
    assert asks | LOOKS | DEPLOYS | CLIENTS == set(every_command())


@pytest.mark.parametrize(
    ("words", "act", "about"),
    [
        (("positions", "reset", "intake.events", "LANE", "--to", "latest"), "reset position",
         "intake.events/LANE: from 0 to 2"),
        (("parked", "resume"), "resume", "unreadable in a row"),
    ],
    ids=lambda one: one[0] if isinstance(one, tuple) else "",
)  # fmt: skip
async def test_it_is_done_with_a_reason_alone_and_noted(
    words: tuple[str, ...], act: str, about: str,
    start: Start, settings: Settings, tx: Transaction, tmp_path: Path,
) -> None:  # fmt: skip
    lane = str(kafka.lane_of(Topic.INTAKE, ONE))
    await say(settings, message(ONE, 1), message(ONE, 2))
    await tx.execute("insert into offsets values ('intake.events', $1, 0)", int(lane))
    said = [lane if word == "LANE" else word for word in words]
    assert start(settings, *said).wait(60) == 2
    assert "--reason" in (tmp_path / "said").read_text()
    acts = "select actor, act, about, reason from operator_acts"
    assert await tx.fetch(acts) == []
    assert await tx.fetchval("select next_offset from offsets") == 0
    assert start(settings, *said, "--reason", "ticket 7", "--by", "li").wait(60) == 0
    (noted,) = await tx.fetch(acts)
    assert tuple(noted) == ("li", act, about.replace("LANE", lane), "ticket 7")
