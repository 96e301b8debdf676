"""What a rule is, and how it is written for Prometheus."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

RUNBOOKS: Final = "https://casegrid.example/runbooks"
DASHBOARDS: Final = "http://127.0.0.1:3000/d"
"""Grafana of docker-compose.yml."""

Severity = Literal["page", "ticket", "none"]
Owner = Literal["operations", "platform", "duty desk", "policy"]


@dataclass(frozen=True, slots=True)
class Links:
    """Where the pages of docs/runbooks are put up, and Grafana's dashboards."""

    runbooks: str = RUNBOOKS
    dashboards: str = DASHBOARDS


LINKS: Final = Links()


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that is reckoned ahead."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """When somebody must be told, whom, how loudly, and where to read on.

    `severity`: `page` wakes somebody, `ticket` is for the next working hours, `none` is a sign of
    life. `owner`: operations, platform (brokers and databases), the duty desk of the city, or those
    who keep policy and calendar. `lasts`: how long it must be so before it is told. `dashboard`:
    the uid of the page that shows it.
    """

    name: str
    expr: str
    lasts: str
    summary: str
    says: str
    severity: Severity = "page"
    owner: Owner = "operations"
    dashboard: str = "casegrid-pipeline"


def written(rule: Recording | Alert, *, faster: int = 1, links: Links = LINKS) -> dict[str, Any]:
    """A rule as Prometheus reads it; `faster` divides its windows, for tests that cannot wait."""
    expr = in_less_time(rule.expr, faster)
    if isinstance(rule, Recording):
        return {"record": rule.record, "expr": expr}
    return {
        "alert": rule.name,
        "expr": expr,
        "for": shorter(rule.lasts, faster),
        "labels": {"severity": rule.severity, "owner": rule.owner},
        "annotations": {
            "summary": rule.summary,
            "description": rule.says,
            "runbook_url": f"{links.runbooks}/{rule.name}",
            "dashboard_url": f"{links.dashboards}/{rule.dashboard}",
        },
    }


def group(
    name: str, rules: Sequence[Recording | Alert], *, faster: int = 1, links: Links = LINKS
) -> dict[str, Any]:
    """Rules that are reckoned one after the other."""
    return {"name": name, "rules": [written(rule, faster=faster, links=links) for rule in rules]}


LENGTHS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RANGE = re.compile(r"(?<=[\[:])\d+[smhd](?=[\]:])")


def seconds_of(length: str) -> int:
    """A length like 5m in seconds."""
    return int(length[:-1]) * LENGTHS[length[-1]]


def shorter(length: str, faster: int) -> str:
    """A length, divided; a second at least."""
    return length if faster == 1 else f"{max(1, seconds_of(length) // faster)}s"


def in_less_time(expr: str, faster: int) -> str:
    """An expression whose windows are divided; its thresholds stay."""
    return RANGE.sub(lambda found: shorter(found[0], faster), expr)
