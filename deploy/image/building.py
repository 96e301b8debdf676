"""Each step of the Dockerfile, done in a clean root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from deploy.image.cleanroot import base_root, entering
from deploy.image.dockerfile import Copy, Run, Stage, stages

ROOT = Path(__file__).resolve().parents[2]
BASE_PATH = "/usr/local/bin:/usr/bin:/bin"
PYTHON_OF_BASE = "python:3.11-slim-bookworm"
STEP_SECONDS = 600
OF_PIP = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""How this machine reaches packages; an engine is told the same by its own configuration."""


class StepFailed(RuntimeError):
    """A step ended with an error; the message carries the step and what it said."""


def silent(_: str) -> None:
    """Tell nobody."""


def build(cache: Path, into: Path, say: Callable[[str], None] = silent) -> tuple[Stage, Path]:
    """The last stage and its root directory, below `into`. Raises `Missing` or `StepFailed`."""
    made: dict[str, Path] = {}
    base = base_root(cache)
    read = stages((ROOT / "Dockerfile").read_text())
    for number, stage in enumerate(read):
        if stage.base != PYTHON_OF_BASE:
            raise StepFailed(f"the clean root stands for {PYTHON_OF_BASE}, not for {stage.base}")
        root = into / (stage.name or str(number))
        shutil.copytree(base, root, symlinks=True)
        made[stage.name or str(number)] = root
        for step in stage.steps:
            do(step, root, made, say)
    last = read[-1]
    return last, root


def do(step: Copy | Run, root: Path, made: dict[str, Path], say: Callable[[str], None]) -> None:
    """One step."""
    if isinstance(step, Run):
        say(f"RUN {step.line}")
        run(step, root)
        return
    say(f"COPY {' '.join(step.paths)} {step.to}")
    source = ROOT if step.source is None else made[step.source]
    to = below(root, step.within / step.to)
    for path in step.paths:
        found = source / path.lstrip("/")
        if found.is_dir():
            shutil.copytree(found, to, symlinks=True, dirs_exist_ok=True, ignore=OURS_ALONE)
        else:
            into_directory = to / found.name if step.to.endswith("/") else to
            into_directory.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, into_directory)


OURS_ALONE = shutil.ignore_patterns("__pycache__")
"""As `.dockerignore` says."""


def below(root: Path, path: PurePosixPath) -> Path:
    """A path of the image as one of this machine."""
    return root / str(path).lstrip("/")


def run(step: Run, root: Path) -> None:
    """One line for the shell, as root there."""
    below(root, step.within).mkdir(parents=True, exist_ok=True)
    mine = {name: value for name, value in os.environ.items() if name.startswith(OF_PIP)}
    environment = {"PATH": BASE_PATH, "HOME": "/root"} | mine | dict(step.environment)
    done = subprocess.run(
        entering(root, ["/bin/sh", "-c", step.line], environment, within=step.within),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=STEP_SECONDS,
    )
    if done.returncode != 0:
        raise StepFailed(f"RUN {step.line}\n{done.stdout[-3000:]}")


def container(stage: Stage, root: Path, words: list[str], environment: dict[str, str]) -> list[str]:
    """The command line of a container of this stage, its root read-only."""
    return entering(
        root, [*stage.entrypoint, *words], stage.environment | environment, user=stage.user
    )
