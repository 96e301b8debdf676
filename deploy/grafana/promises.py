"""Whether promises are kept: those to residents, and the four that operations keep."""

from __future__ import annotations

from typing import Final

from deploy.grafana.panel import (
    Limit,
    Page,
    Panel,
    Query,
    Row,
    largest,
    one,
    promised,
    quantile,
    rate,
    summed,
)
from deploy.prometheus.promises import BURNS, WINDOWS, Promise
from deploy.prometheus.promises import PROMISES as KEPT

FORECAST: Final = "casegrid_escalation_forecast"
MONTH: Final = "30d"
CHINESE: Final = {
    "availability": "可用性",
    "latency": "响应时间",
    "routing": "派单及时",
    "escalation": "升级及时",
}
BURN_LIMITS: Final = tuple(
    Limit(burn.times, "red" if burn.severity == "page" else "orange") for burn in BURNS
)

RESIDENTS: Final = Row(
    "Promises to residents",
    "对居民承诺的时限",
    (
        Panel(
            "Overdue", "超期", "short",
            one(summed("casegrid_escalation_overdue_cases", "tier", "tier, track"), "{{tier}}"),
            "Open cases with a promise that is broken, by the tier that has them.",
            kind="stack",
        ),
        Panel(
            "Due within the hour", "一小时内到期", "short",
            one(summed("casegrid_escalation_due_within_hour", "tier", "tier, track"), "{{tier}}"),
            "In promise time. Whoever acts now breaks none of them.", kind="stack",
        ),
        Panel(
            "Overdue longest", "最久超期", "s",
            one(largest("casegrid_escalation_overdue_oldest_seconds", "tier"), "{{tier}}"),
            "In promise time: how long the oldest broken promise of each tier has been.",
        ),
        Panel(
            "If nobody acts", "预测", "short",
            one(summed(FORECAST, "action, hours", "action, tier, hours"),
                "{{action}} ≤ {{hours}} h"),
            "How many will be promoted, supervised or reminded of within these hours.",
        ),
        Panel(
            "Fired late", "触发延迟", "s",
            (
                Query(quantile(0.5, "casegrid_escalation_fired_late_seconds"), "p50"),
                Query(quantile(0.99, "casegrid_escalation_fired_late_seconds"), "p99"),
            ),
            "From a breach to the sweep that found it. Promised is 10 s for 999 of 1,000.",
            limits=(promised("escalation"),),
        ),
        Panel(
            "Overdue and not yet fired", "到期未触发", "s",
            one(largest("casegrid_escalation_unfired_oldest_seconds"), "oldest 最久"),
            "How long what is due waits for the sweep.", ("CasegridDeadlineNotFired",),
        ),
        Panel(
            "Fired, by how late", "按延迟分布", "ops",
            one(rate("casegrid_escalation_fired_late_seconds_bucket", "le"), "≤ {{le}} s"),
            "Within a second is usual; 10, 60 and 600 are told apart.",
        ),
        Panel(
            "Orders to the router", "升级与督办指令", "ops",
            (
                Query(rate("casegrid_escalation_orders_total", "action"), "{{action}}"),
                Query(rate("casegrid_escalation_orders_said_again_total"), "said again 重发"),
            ),
        ),
        Panel(
            "Oldest order without an answer", "最久未答复指令", "s",
            one(largest("casegrid_escalation_orders_oldest_seconds"), "oldest 最久"),
            "A moment is usual; after minutes the router does not hear.",
            ("CasegridOrdersUnanswered",),
        ),
        Panel(
            "Orders applied and refused", "指令执行情况", "ops",
            (
                Query(rate("casegrid_router_orders_applied_total", "action"),
                      "{{action}}: applied 已执行"),
                Query(rate("casegrid_router_orders_stale_total", "action"),
                      "{{action}}: stale 已过时"),
            ),
            "Stale: somebody acted between the order and its arrival.",
        ),
        Panel(
            "Receipt to reply", "受理到答复用时", "s",
            (
                Query(quantile(0.5, "casegrid_intake_reply_seconds"), "p50"),
                Query(quantile(0.9, "casegrid_intake_reply_seconds"), "p90"),
            ),
            "In promise time, as the resident hears of it.",
        ),
        Panel(
            "Days left in the calendar", "日历剩余天数", "d",
            one("min by (job) (casegrid_router_calendar_left_seconds) / 86400", "days 天"),
            "Beyond it working days are guessed: the year's holiday notice is not published.",
            ("CasegridCalendarEnds",),
        ),
    ),
)  # fmt: skip


def kept(promise: Promise) -> Row:
    """How a promise of operations is kept: what is left of the month, and how fast it goes."""
    name, chinese = promise.name, CHINESE[promise.name]
    failed = f"({promise.failed} or 0 * {promise.all}) / ({promise.all} > 0)"
    left = f"1 - ({failed}) / {promise.budget}".replace("{window}", MONTH)
    burns = tuple(
        Query(f"max({promise.record(window)}) / {promise.budget}", window) for window in WINDOWS
    )
    return Row(
        f"The {name} promise: {promise.objective:.4g}",
        f"{chinese}承诺",
        (
            Panel(
                "Budget left of 30 days", "剩余预算", "percentunit",
                one(left, "{{job}}"),
                f"Promised: {promise.says}. Below zero the month's promise is broken.",
                kind="number", limits=(Limit(0, "orange", below="red"), Limit(0.25, "green")),
            ),
            Panel(
                "Burns so many times too fast", "消耗速度", "short", burns,
                "1 uses up the month's budget in just a month. Of the worst service, by window.",
                (promise.alerts()[0].name,), limits=BURN_LIMITS,
            ),
            Panel(
                "Failed", "未兑现占比", "percentunit",
                one(promise.record("5m"), "{{job}}"), "In five minutes.", limits=(),
            ),
        ),
    )  # fmt: skip


PROMISES: Final = Page(
    "casegrid-promises",
    "Promises",
    "承诺",
    "What was promised to residents and what is overdue; the four promises that operations keep.",
    (RESIDENTS, *(kept(promise) for promise in KEPT)),
)
