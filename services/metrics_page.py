"""The metrics of every service as a page for people.

    python -m services.metrics_page    writes docs/metrics.md

Rendered from the one list of each service (`services.<name>.metrics`) and the list that all
services share (`shared.telemetry`); a test compares the file with the code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from services.analytics import metrics as of_analytics
from services.escalation import metrics as of_escalation
from services.intake import metrics as of_intake
from services.router import metrics as of_router
from shared import telemetry
from shared.telemetry import Bound, Labels

FILE = Path(__file__).parents[1] / "docs" / "metrics.md"
LISTS: Final[Mapping[str, ModuleType]] = {
    "every service": telemetry,
    "intake": of_intake,
    "router": of_router,
    "escalation": of_escalation,
    "analytics": of_analytics,
}
UNITS: Final = ("basis_points", "seconds", "bytes")
HEAD = """\
# What every service measures of itself

Prometheus reads it at `/metrics`. Labels are bounded, and never an id. The business figures are
kept as cases change, so that they cost the same with ten cases and with ten million. Times are wall
time, unless promise time is said. A process exports fewer than 1,000 series, whatever it holds.

Made from the code by `python -m services.metrics_page`: do not edit it here.
"""


def metrics_of(module: ModuleType) -> list[MetricWrapperBase]:
    """The metrics of a list, in its order."""
    return [one for one in vars(module).values() if isinstance(one, MetricWrapperBase)]


def labels_of(module: ModuleType) -> Labels:
    """What the labels of a list may say."""
    labels: Labels = module.LABELS
    return labels


def names_of(metric: MetricWrapperBase) -> tuple[str, ...]:
    """The labels of a metric."""
    names: tuple[str, ...] = metric._labelnames
    return names


def exported_name(metric: MetricWrapperBase) -> str:
    """The name on /metrics: that of a counter ends in `_total`."""
    name: str = metric._name
    return f"{name}_total" if metric._type == "counter" else name


def unit_of(metric: MetricWrapperBase) -> str:
    """The unit, which every name ends in; what has none is a number of things."""
    name: str = metric._name
    return next((unit.replace("_", " ") for unit in UNITS if name.endswith(f"_{unit}")), "")


def section(title: str, module: ModuleType) -> Iterator[str]:
    """The metrics of one list, and what their labels may say."""
    yield from (f"## {title[0].upper()}{title[1:]}", "")
    yield "| metric | kind | unit | labels | what it says |"
    yield "|---|---|---|---|---|"
    for metric in metrics_of(module):
        labels = ", ".join(f"`{name}`" for name in names_of(metric))
        yield (
            f"| `{exported_name(metric)}` | {metric._type} | {unit_of(metric)} | {labels} "
            f"| {metric._documentation} |"
        )
    yield from ("", "| label | values |", "|---|---|")
    for name, bound in labels_of(module).items():
        yield f"| `{name}` | {told(bound)} |"
    yield ""


def told(bound: tuple[str, ...] | Bound) -> str:
    """The values of a label, or what bounds them."""
    if isinstance(bound, Bound):
        return f"{bound.by}; at most {bound.most}"
    return ", ".join(f"`{value}`" for value in bound)


def render() -> str:
    """The page as the file holds it."""
    parts = chain.from_iterable(section(title, module) for title, module in LISTS.items())
    return HEAD + "\n" + "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")


if __name__ == "__main__":
    main()
