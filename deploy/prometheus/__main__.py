"""`python -m deploy.prometheus`: write the rules that Prometheus reads, from the code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.prometheus.alerts import ALERTS
from deploy.prometheus.promises import PROMISES
from deploy.prometheus.rule import DASHBOARDS, LINKS, RUNBOOKS, Links, group

HERE: Final = Path(__file__).parent
HEAD: Final = "# Written by `python -m deploy.prometheus`; change the code, not this file.\n"


def files(faster: int = 1, links: Links = LINKS) -> Mapping[str, dict[str, Any]]:
    """Each file of rules; `faster` divides their windows, for tests that cannot wait."""
    promised = [
        group(f"casegrid-{p.name}", [*p.recordings(), *p.alerts()], faster=faster, links=links)
        for p in PROMISES
    ]
    told = [group(name, alerts, faster=faster, links=links) for name, alerts in ALERTS.items()]
    return {"promises.yml": {"groups": promised}, "alerts.yml": {"groups": told}}


def text(content: dict[str, Any]) -> str:
    """A file as it is written."""
    return HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def write(folder: Path, faster: int = 1, links: Links = LINKS) -> list[Path]:
    """Write the rules into a folder; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, content in files(faster, links).items():
        (folder / name).write_text(text(content), encoding="utf-8")
        paths.append(folder / name)
    return paths


def main() -> None:
    """Write them beside this file, or elsewhere."""
    parser = argparse.ArgumentParser(prog="python -m deploy.prometheus", description=__doc__)
    parser.add_argument(
        "--to", type=Path, default=HERE / "rules", help="the folder; default: beside the code"
    )
    parser.add_argument(
        "--faster", type=int, default=1, help="divide windows and `for` by this, to try alerts out"
    )
    parser.add_argument(
        "--runbooks", default=RUNBOOKS, help="the address under which docs/runbooks is put up"
    )
    parser.add_argument(
        "--dashboards", default=DASHBOARDS, help="your Grafana's; default: that of compose"
    )
    asked = parser.parse_args()
    for path in write(asked.to, asked.faster, Links(asked.runbooks, asked.dashboards)):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
