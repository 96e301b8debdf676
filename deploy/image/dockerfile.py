"""The Dockerfile as a list of steps. It knows the instructions that ours uses, and no others."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

ROOT = PurePosixPath("/")
NAMED = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Copy:
    """Files into the image: from the project, or `source` names an earlier stage."""

    source: str | None
    paths: tuple[str, ...]
    to: str
    within: PurePosixPath


@dataclass(frozen=True, slots=True)
class Run:
    """A line for the shell, in a directory, with what the image's environment says by then."""

    line: str
    within: PurePosixPath
    environment: Mapping[str, str]


@dataclass(slots=True)
class Stage:
    """What begins with a FROM, and what a container of it starts with."""

    name: str
    base: str
    steps: list[Copy | Run] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    within: PurePosixPath = ROOT
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    port: int | None = None


class Unknown(ValueError):
    """An instruction, or a form of one, that this reader does not know."""


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction and what follows it, on one line."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, " ".join(rest.split())


def stages(text: str) -> list[Stage]:
    """The stages in their order. Raises `Unknown`."""
    arguments: dict[str, str] = {}
    read: list[Stage] = []
    for word, rest in instructions(text):
        if word == "ARG" and not read:
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word == "FROM":
            base, _, name = rest.partition(" AS ")
            read.append(Stage(name, NAMED.sub(lambda at: arguments[at[1]], base)))
        elif not read:
            raise Unknown(f"{word} before the first FROM")
        else:
            add(read[-1], word, rest)
    return read


def add(stage: Stage, word: str, rest: str) -> None:
    """One instruction to a stage."""
    match word:
        case "COPY":
            stage.steps.append(copied(stage, rest))
        case "RUN":
            stage.steps.append(Run(rest, stage.within, dict(stage.environment)))
        case "WORKDIR":
            stage.within /= rest
        case _:
            describe(stage, word, rest)


def describe(stage: Stage, word: str, rest: str) -> None:
    """An instruction that does nothing, and says how a container starts."""
    match word:
        case "ENV":
            stage.environment |= dict(one.split("=", 1) for one in shlex.split(rest))
        case "USER":
            stage.user = rest
        case "EXPOSE":
            stage.port = int(rest)
        case "ENTRYPOINT":
            stage.entrypoint = tuple(json.loads(rest))
        case "HEALTHCHECK":
            stage.health = tuple(json.loads(rest.partition(" CMD ")[2]))
        case _:
            raise Unknown(word)


def copied(stage: Stage, rest: str) -> Copy:
    """A COPY, from the project or from a stage."""
    words = rest.split()
    source = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
    if any(word.startswith(("--", "[")) for word in words):
        raise Unknown(f"COPY {rest}")
    return Copy(source, tuple(words[:-1]), words[-1], stage.within)
