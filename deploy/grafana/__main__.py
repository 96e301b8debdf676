"""`python -m deploy.grafana`: write the dashboards that Grafana is provisioned with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.panel import Page, made
from deploy.grafana.pipeline import PIPELINE
from deploy.grafana.promises import PROMISES
from deploy.grafana.servers import SERVERS
from deploy.grafana.service import SERVICE
from deploy.grafana.tiers import TIERS

HERE: Final = Path(__file__).parent / "dashboards"
PAGES: Final = (PIPELINE, PROMISES, TIERS, SERVERS, SERVICE)


def text(page: Page) -> str:
    """A dashboard as it is written."""
    return json.dumps(made(page), cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write them beside this file."""
    HERE.mkdir(exist_ok=True)
    for page in PAGES:
        path = HERE / f"{page.uid}.json"
        path.write_text(text(page), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
