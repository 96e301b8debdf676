"""The four promises that operations keep, and the rules that tell when their budget burns.

An objective leaves a budget of failures for 30 days. It burns at a rate of 1 if it will last
exactly so long; two windows, a long and a short one, say that it burns now and not only once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from deploy.prometheus.rule import Alert, Recording, Severity

OPERATIONS: Final = "/livez|/readyz|/startupz|/metrics|/docs|/redoc|/openapi.json"
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True, slots=True)
class Burn:
    """A budget that burns so many times too fast in both windows; who is told, how loudly."""

    severity: Severity
    times: float
    long: str
    short: str


BURNS: Final = (
    Burn("page", 14.4, "1h", "5m"),
    Burn("page", 6, "6h", "30m"),
    Burn("ticket", 3, "1d", "2h"),
    Burn("ticket", 1, "3d", "6h"),
)
"""2 % of the month's budget in an hour, 5 % in six, 10 % in a day or in three."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised of all events of a kind, and how to see that one failed it.

    `objective`: the share that keeps it, 0 to 1. `failed` and `all`: rates over `{window}` by
    `by`, in PromQL.
    """

    name: str
    says: str
    objective: float
    by: str
    failed: str
    all: str

    @property
    def budget(self) -> str:
        """What may fail, as a number of PromQL."""
        return f"{1 - self.objective:.6g}"

    def record(self, window: str) -> str:
        """The name of the recorded share of failures."""
        return f"{self.by}:casegrid_{self.name}_failed:ratio_rate{window}"

    def recordings(self) -> tuple[Recording, ...]:
        """The share of failures over each window."""
        return tuple(
            Recording(
                self.record(window),
                f"({self.failed} or 0 * {self.all}) / ({self.all} > 0)".replace("{window}", window),
            )
            for window in WINDOWS
        )

    def alerts(self) -> tuple[Alert, ...]:
        """One alert, louder where it burns faster."""
        severities: tuple[Severity, ...] = ("page", "ticket")
        return tuple(
            self.alert(severity, [burn for burn in BURNS if burn.severity == severity])
            for severity in severities
        )

    def alert(self, severity: Severity, burns: list[Burn]) -> Alert:
        """The alert of a severity: either pair of windows is enough."""
        return Alert(
            name=f"Casegrid{self.name.title()}BudgetBurns",
            severity=severity,
            dashboard="casegrid-promises",
            expr=" or ".join(
                f"({self.record(burn.long)} > {burn.times:g} * {self.budget}"
                f" and {self.record(burn.short)} > {burn.times:g} * {self.budget})"
                for burn in burns
            ),
            lasts="2m" if severity == "page" else "15m",
            summary=f"{{{{ $labels.{self.by} }}}}: the {self.name} promise is missed too often",
            says=f"Promised: {self.says}. {{{{ $value | humanizePercentage }}}} failed lately.",
        )


def within(histogram: str, seconds: str, chosen: str = "") -> str:
    """The rate of what a histogram saw beyond so many seconds."""
    both = f"{{{chosen}}}" if chosen else ""
    inner = f'{chosen},le="{seconds}"' if chosen else f'le="{seconds}"'
    return (
        f"(sum by (job) (rate({histogram}_count{both}[{{window}}]))"
        f" - sum by (job) (rate({histogram}_bucket{{{inner}}}[{{window}}])))"
    )


def seen(histogram: str, chosen: str = "") -> str:
    """The rate of all that a histogram saw."""
    both = f"{{{chosen}}}" if chosen else ""
    return f"sum by (job) (rate({histogram}_count{both}[{{window}}]))"


ASKED: Final = f'route!~"{OPERATIONS}"'

PROMISES: Final = (
    Promise(
        "availability",
        "of 1,000 requests 999 get an answer that is not our fault (5xx)",
        0.999,
        "job",
        f'sum by (job) (rate(casegrid_http_requests_total{{status=~"5..",{ASKED}}}[{{window}}]))',
        f"sum by (job) (rate(casegrid_http_requests_total{{{ASKED}}}[{{window}}]))",
    ),
    Promise(
        "latency",
        "of 100 requests 99 have their answer within half a second",
        0.99,
        "job",
        within("casegrid_http_request_seconds", "0.5", ASKED),
        seen("casegrid_http_request_seconds", ASKED),
    ),
    Promise(
        "routing",
        "of 1,000 petitions 999 have a queue within 10 seconds of being accepted",
        0.999,
        "job",
        within("casegrid_intake_accept_to_routed_seconds", "10.0"),
        seen("casegrid_intake_accept_to_routed_seconds"),
    ),
    Promise(
        "escalation",
        "of 1,000 promises that break 999 are acted upon within 10 seconds",
        0.999,
        "job",
        within("casegrid_escalation_fired_late_seconds", "10.0"),
        seen("casegrid_escalation_fired_late_seconds"),
    ),
)
