"""Every metric of analytics' own: name, meaning, labels. docs/metrics.md is made from it."""

from __future__ import annotations

from typing import Final, get_args

from prometheus_client import Counter, Gauge

from services.analytics.decisions import NO_TIER
from shared.divisions import Tier
from shared.events import Track
from shared.telemetry import Labels

LABELS: Final[Labels] = {"tier": (*Tier, NO_TIER), "track": get_args(Track)}

OPEN = Gauge("casegrid_analytics_cases_open", "Open cases by the tier that holds them", ["tier"])
OPEN_BY_TRACK = Gauge("casegrid_analytics_cases_open_by_track", "Open cases by track", ["track"])
CLOSED = Gauge("casegrid_analytics_cases_closed", "Closed cases, however they ended")
SOLVED_IN_GRID = Gauge(
    "casegrid_analytics_solved_in_grid_basis_points",
    "Solved in the grid, of those closed as solved; NaN of none",
)
OUTDATED = Counter(
    "casegrid_analytics_outdated_snapshots", "Snapshots of cases of which a newer one is counted"
)
PROJECTION_AGE = Gauge(
    "casegrid_analytics_projection_age_seconds",
    "Age of the last snapshot that was counted while more wait, else 0",
)
