"""`python -m deploy.image`: do each step of the Dockerfile in a clean root, without an engine.

With words after it, the command that a container would run then: `python -m deploy.image router
--help`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.image.building import StepFailed, build, container
from deploy.image.debian import Missing
from deploy.local.jars import cache_directory


def say(line: str) -> None:
    """To the person who waits."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Ends with 1 and the reason where a step fails or there is no clean root to be had."""
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as name:
        Path(name).chmod(0o755)
        try:
            stage, root = build(cache, Path(name), say)
        except (StepFailed, Missing) as failed:
            sys.exit(str(failed))
        done = subprocess.run(container(stage, root, sys.argv[1:], {}))
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
