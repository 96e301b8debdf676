"""What a dashboard is made of, and how it is written for Grafana.

Titles are English with Chinese beside, for the officers who read along. A panel that shows what an
alert is about has a line where the alert begins and a link to its runbook.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from grafana_foundation_sdk.builders import common, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.prometheus.alerts import ALERTS
from deploy.prometheus.promises import PROMISES
from deploy.prometheus.rule import RUNBOOKS, Alert

AnyPanel: TypeAlias = stat.Panel | table.Panel | timeseries.Panel
Unit: TypeAlias = Literal["short", "s", "ops", "percentunit", "Bps", "bytes", "d", "none"]
Kind: TypeAlias = Literal["lines", "stack", "number", "table"]

TAG: Final = "casegrid"
SOURCE: Final = models.DataSourceRef("prometheus", "${datasource}")
GREEN, ORANGE, RED = "green", "orange", "red"
ALERT_OF: Final = {
    alert.name: alert
    for alerts in (*ALERTS.values(), *(promise.alerts() for promise in PROMISES))
    for alert in alerts
}
BEGINS: Final = re.compile(r"([<>]) ([\d.]+)$")
LEAST: Final = 1e-6
"""Where `more than nothing` begins: Grafana colours from a value on, Prometheus beyond it."""

TIERS: Final = {
    "grid": "网格",
    "community": "社区",
    "street": "街道",
    "district": "区",
    "city": "市",
    "none": "无层级",
    "dispatcher": "市派单员",
}
TRACKS: Final = {
    "service": "服务",
    "consult": "咨询",
    "xinfang": "信访",
    "mediation": "调解",
    "project": "自治项目",
    "handoff": "移交",
}
CHINESE: Final = {"{{tier}}": TIERS, "{{track}}": TRACKS}
"""How tiers and tracks are called, by the legend that names them."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus, and how its answers are named: `{{label}}` in text.

    `exemplars`: with a point for each single request whose trace is known.
    """

    expr: str
    legend: str
    exemplars: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """From this value on it has this colour; what lies below the first is `below`."""

    value: float
    colour: str
    below: str = GREEN


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture. `says`: what it means, for whoever has not seen it before; `width` of 24.

    `alerts`: those it is about. `limits`: None takes them from the alerts. `meaning`: what single
    values are called.
    """

    title: str
    chinese: str
    unit: Unit
    queries: tuple[Query, ...]
    says: str = ""
    alerts: tuple[str, ...] = ()
    kind: Kind = "lines"
    width: int = 8
    limits: tuple[Limit, ...] | None = None
    meaning: tuple[tuple[str, str], ...] = ()

    @property
    def height(self) -> int:
        """Half of its usual where numbers stand close together."""
        return 4 if self.kind == "table" or self.width < 8 else 8


@dataclass(frozen=True, slots=True)
class Row:
    """Panels below a heading."""

    title: str
    chinese: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What is chosen at the top: one of `values`, or any that `asks` finds in Prometheus."""

    name: str
    label: str
    values: tuple[str, ...] = ()
    asks: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A dashboard. `uid`: as alerts link to it. `since`: the time that it shows at first."""

    uid: str
    title: str
    chinese: str
    says: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()
    since: str = "now-3h"


def one(expr: str, legend: str = "") -> tuple[Query, ...]:
    """A single query."""
    return (Query(expr, legend),)


def rate(counter: str, by: str = "job", chosen: str = "") -> str:
    """How many a second, by labels, of all processes."""
    return f"sum by ({by}) (rate({counter}{braced(chosen)}[$__rate_interval]))"


def largest(gauge: str, by: str = "job", chosen: str = "") -> str:
    """The greatest that any process says: of what is the same for all, each says it."""
    return f"max by ({by}) ({gauge}{braced(chosen)})"


def summed(gauge: str, by: str, each: str, chosen: str = "") -> str:
    """The sum by fewer labels than the gauge has: of what every process says, once."""
    return f"sum by ({by}) ({largest(gauge, each, chosen)})"


def quantile(share: float, histogram: str, by: str = "job", chosen: str = "") -> str:
    """The value that this share stays below."""
    each = f"sum by (le, {by}) (rate({histogram}_bucket{braced(chosen)}[$__rate_interval]))"
    return f"histogram_quantile({share:g}, {each})"


def braced(chosen: str) -> str:
    """A choice of series by labels, or nothing."""
    return f"{{{chosen}}}" if chosen else ""


def limits_of(alerts: Sequence[str]) -> Iterator[Limit]:
    """Where the alerts begin, by their own expressions: red wakes somebody, orange does not."""
    for name in alerts:
        alert = ALERT_OF[name]
        if found := BEGINS.search(alert.expr):
            yield limit(alert, found[1], float(found[2]))


def promised(name: str) -> Limit:
    """The seconds within which a promise of operations has its histogram."""
    (promise,) = (promise for promise in PROMISES if promise.name == name)
    (seconds,) = set(re.findall(r'le="([\d.]+)"', promise.failed))
    return Limit(float(seconds), ORANGE)


def limit(alert: Alert, side: str, value: float) -> Limit:
    """Where an alert begins; of one that looks for too little the colour lies below."""
    colour = RED if alert.severity == "page" else ORANGE
    if side == "<":
        return Limit(value, GREEN, below=colour)
    return Limit(value or LEAST, colour)


def made(page: Page) -> models.Dashboard:
    """The dashboard as Grafana reads it."""
    builder = (
        builders.Dashboard(f"{page.title} · {page.chinese}")
        .uid(page.uid)
        .description(page.says)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time(page.since, "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .links([others(), runbooks()])
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type(
            "prometheus"
        ))
    )  # fmt: skip
    for variable in page.variables:
        builder.with_variable(chosen_at_the_top(variable))
    ids = iter(range(1, 1000))
    for row in page.rows:
        builder.with_row(builders.Row(f"{row.title} · {row.chinese}").id(next(ids)))
        for panel in row.panels:
            builder.with_panel(drawn(panel).id(next(ids)))
    return builder.build()


def others() -> builders.DashboardLink:
    """The other dashboards, at the same time."""
    return (
        builders.DashboardLink("Casegrid")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .keep_time(True)
    )


def runbooks() -> builders.DashboardLink:
    """What to do when an alert comes."""
    return (
        builders.DashboardLink("Runbooks · 处置手册")
        .type(models.DashboardLinkType.LINK)
        .icon("doc")
        .url(RUNBOOKS)
        .target_blank(True)
    )


def chosen_at_the_top(
    variable: Variable,
) -> builders.CustomVariable | builders.QueryVariable:
    """A variable; one that asks stands for all that it finds until somebody chooses."""
    if variable.values:
        first = variable.values[0]
        options = [models.VariableOption(value == first, value, value) for value in variable.values]
        return (
            builders.CustomVariable(variable.name)
            .label(variable.label)
            .values(",".join(variable.values))
            .options(options)
            .current(options[0])
        )
    return (
        builders.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query({"query": variable.asks, "refId": variable.name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(models.VariableOption(True, "All", "$__all"))
    )


def drawn(panel: Panel) -> AnyPanel:
    """A panel of its kind."""
    limits = tuple(limits_of(panel.alerts)) if panel.limits is None else panel.limits
    if panel.kind == "number":
        picture: AnyPanel = number(limits)
    elif panel.kind == "table":
        picture = table.Panel().show_header(True)
    else:
        picture = lines(panel.kind == "stack", bool(limits))
    picture.title(f"{panel.title} · {panel.chinese}").description(panel.says).unit(panel.unit)
    picture.datasource(SOURCE).height(panel.height).span(panel.width)
    picture.thresholds(steps(limits)).links([runbook(name) for name in panel.alerts])
    picture.mappings(called(panel.meaning))
    for n, query in enumerate(panel.queries):
        picture.with_target(asked(query, chr(ord("A") + n), panel.kind))
        for name, chinese in CHINESE.get(query.legend, {}).items():
            beside = models.DynamicConfigValue("displayName", f"{name} {chinese}")
            picture.override_by_name(name, [beside])
    return picture


def number(limits: Sequence[Limit]) -> stat.Panel:
    """The latest value, on a coloured ground where there are limits."""
    mode = common_models.BigValueColorMode
    return (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_mode(mode.BACKGROUND if limits else mode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .text_mode(common_models.BigValueTextMode.AUTO)
    )


def lines(stacked: bool, limited: bool) -> timeseries.Panel:
    """Values over time from zero on, with a broken line at each limit."""
    styles, stacks = common_models.GraphTresholdsStyleMode, common_models.StackingMode
    return (
        timeseries.Panel()
        .axis_soft_min(0)
        .fill_opacity(30 if stacked else 0)
        .stacking(common.StackingConfig().mode(stacks.NORMAL if stacked else stacks.NONE))
        .thresholds_style(
            common.GraphThresholdsStyleConfig().mode(
                styles.DASHED if limited else styles.OFF
            )
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([])
        )
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    )  # fmt: skip


def steps(limits: Sequence[Limit]) -> builders.ThresholdsConfig:
    """The colours from the lowest value up."""
    below = limits[0].below if limits else GREEN
    # Of two limits at one value the louder is seen: by name the colours grow louder.
    ordered = {one.value: one for one in sorted(limits, key=lambda one: (one.value, one.colour))}
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps(
            [models.Threshold(None, below)]
            + [models.Threshold(one.value, one.colour) for one in ordered.values()]
        )
    )


def runbook(alert: str) -> builders.DashboardLink:
    """The page of an alert."""
    return (
        builders.DashboardLink(f"Runbook · 处置手册: {alert}")
        .type(models.DashboardLinkType.LINK)
        .url(f"{RUNBOOKS}/{ALERT_OF[alert].name}")
        .target_blank(True)
    )


def called(meaning: Sequence[tuple[str, str]]) -> list[models.ValueMapping]:
    """What single values are called instead."""
    if not meaning:
        return []
    options = {value: models.ValueMappingResult(text=text) for value, text in meaning}
    return [models.ValueMap(options)]


def asked(query: Query, letter: str, kind: Kind) -> Dataquery:
    """A query; a table asks for now alone."""
    target = (
        Dataquery().ref_id(letter).datasource(SOURCE).expr(query.expr).legend_format(query.legend)
    )
    if kind == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    return target.range().exemplar(True) if query.exemplars else target.range()
