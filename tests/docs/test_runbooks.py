"""What the handbooks tell people to type and to look at is there: commands, metrics, reasons."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import typer
from typer import _click as click
from typer._click.exceptions import UsageError
from typer.core import TyperGroup

from services.__main__ import NAMES
from services.operations.command import app as operations
from shared.heartbeat import STAGES
from shared.service.timing import FOLD
from shared.tokens import app as token

ROOT: Final = Path(__file__).parents[2]
RUNBOOKS: Final = sorted((ROOT / "docs/runbooks").glob("*.md"))
HANDBOOKS: Final = (*RUNBOOKS, ROOT / "docs/operations.md", ROOT / "docs/deploy.md")
PLACES: Final = {"<petition>": "0", "<verb>": "--help"}


def parts() -> dict[str, click.Command]:
    """What comes after `casegrid`."""
    services = {name: importlib.import_module(f"services.{name}.__main__").app for name in NAMES}
    here = {
        name: typer.main.get_command(app) for name, app in (services | {"token": token}).items()
    }
    whole = typer.main.get_command(operations)
    assert isinstance(whole, TyperGroup)
    return {**whole.commands, **here}


def typed(page: Path) -> Iterator[str]:
    """What is to be typed: in one line with the text, or in a block."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S)
    for block in blocks:
        for line in block.splitlines():
            parts = re.split(r" [;|&]+ ", line.partition(" #")[0])
            yield from (part.strip() for part in parts if part.strip().startswith("casegrid "))
    yield from re.findall(
        r"`(casegrid [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    )


def asked(words: list[str]) -> None:
    """These words, read as the command reads them; a `UsageError` where it would not."""
    commands, here = parts(), None
    while commands and words and not words[0].startswith("-"):
        name, *words = words
        if name not in commands:
            raise UsageError(f"no command {name}")
        here = commands[name]
        commands = getattr(here, "commands", {})
    if here is not None:
        here.make_parser(here.context_class(here)).parse_args(list(words))


def every() -> Iterator[tuple[str, str]]:
    """Each command of each page; what is said of any service, of all."""
    for page in HANDBOOKS:
        for line in typed(page):
            for service in NAMES if "<service>" in line else ("",):
                yield page.name, line.replace("<service>", service)


@pytest.mark.parametrize(("page", "line"), sorted(set(every())))
def test_what_is_to_be_typed_can_be(page: str, line: str) -> None:
    words = [PLACES.get(word, word) for word in shlex.split(line)[1:] if word != "…"]
    # An option whose value is left out still has one.
    if line.endswith("…") and words and words[-1].startswith("--"):
        words.append("…")
    try:
        asked(words)
    except UsageError as wrong:
        raise AssertionError(f"{page}: `{line}`: {wrong.format_message()}") from wrong


@pytest.mark.parametrize(
    "line", ["no-such", "router policy show", "status --watch", "census --most", "intake topic"]
)
def test_what_cannot_be_typed_is_found(line: str) -> None:
    with pytest.raises(UsageError):
        asked(line.split())


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_what_is_to_be_looked_at_is_measured(page: Path) -> None:
    listed = set(re.findall(r"`(casegrid_\w+)`", (ROOT / "docs/metrics.md").read_text()))
    named = set(re.findall(r"casegrid_\w+", page.read_text(encoding="utf-8")))
    plain = {
        name if name in listed else re.sub(r"_(bucket|count|sum)$", "", name) for name in named
    }
    assert plain <= listed


def test_the_stages_of_the_heartbeat_are_those_that_the_page_names() -> None:
    page = (ROOT / "docs/runbooks/CasegridHeartbeatMissing.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.M) == list(STAGES.values())


def reasons() -> set[str]:
    """What /readyz may give as reasons: the loops, and what the code says of itself."""
    said = re.compile(
        r'health\.(?:degraded|starting|well)\(\s*f?"(\w[\w ]*?)(?: \{|")'
        r'|^START, LISTEN = "(\w+)", "(\w+)"|\{"(\w+)": "?(?:type\(away|was told)',
        re.M,
    )
    code = [
        path.read_text() for part in ("shared", "services") for path in (ROOT / part).rglob("*.py")
    ]
    loops = {"relay", "consume", FOLD.name}
    timers = {
        timer.name
        for name in NAMES
        for timer in importlib.import_module(f"services.{name}.__main__").SERVICE.timers
    }
    return (
        loops | timers | {word for text in code for found in said.findall(text) for word in found}
    )


def test_the_reasons_that_pages_name_are_given() -> None:
    named = {
        word
        for page in RUNBOOKS
        for text in (page.read_text(encoding="utf-8"),)
        for words in (
            *re.findall(r"\breason (?:has a name )?\(?((?:`[a-z ]+`(?:, )?)+)", text),
            *re.findall(r"^\| reason \|.*\n.*\n((?:\|.*\n)+)", text, re.M),
        )
        for word in re.findall(r"(?:^\| |, |^)`([a-z ]+)`", words, re.M)
    }
    assert {"database", "start", "topics", "relay", "sweep", "pushed notices"} <= named
    assert named <= reasons()
