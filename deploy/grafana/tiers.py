"""Where cases are: in the micro loop, the small loop and the large loop."""

from __future__ import annotations

from typing import Final

from deploy.grafana.panel import Page, Panel, Query, Row, largest, one, rate, summed

OPEN: Final = "casegrid_router_open_cases"
OVERDUE: Final = "casegrid_escalation_overdue_cases"
SOON: Final = "casegrid_escalation_due_within_hour"
PROMOTED: Final = "clamp_min(max by (tier, track) (delta(casegrid_router_promoted_cases[1h])), 0)"
WAITING: Final = "casegrid_router_waiting_cases"
EACH: Final = "tier, track, stage"


def opened(by: str, chosen: str = "") -> str:
    """Open cases by a label: every process says the same, and they are not added."""
    return summed(OPEN, by, EACH, chosen)


WHOLE: Final = Row(
    "The whole city",
    "全市",
    (
        Panel(
            "Open by tier", "各层级在办", "short", one(opened("tier"), "{{tier}}"), kind="stack",
        ),
        Panel(
            "Open by track", "各程序在办", "short", one(opened("track"), "{{track}}"), kind="stack",
        ),
        Panel(
            "Promoted in an hour", "每小时升级", "short",
            one(f"sum by (tier) ({PROMOTED})", "{{tier}}"),
            "Cases that left a tier for the next one up, in the last hour.",
        ),
        Panel(
            "Promoted in an hour, by track", "每小时升级（按程序）", "short",
            one(f"sum by (track) ({PROMOTED})", "{{track}}"),
        ),
        Panel(
            "Overdue by track", "超期（按程序）", "short",
            one(summed(OVERDUE, "track", "tier, track"), "{{track}}"), kind="stack",
        ),
        Panel(
            "Solved in the grid", "网格内解决率", "percentunit",
            one(f"{largest('casegrid_analytics_solved_in_grid_basis_points')} / 10000",
                "share 占比"),
            "Of all that were closed as solved. Nothing closed yet: no value.",
            kind="number",
        ),
        Panel(
            "Closed", "已办结", "short",
            one(largest("casegrid_analytics_cases_closed"), "cases 件"),
            "However they ended, since the beginning.", kind="number",
        ),
        Panel(
            "Held, as analytics counts", "统计口径在办", "short",
            one(largest("casegrid_analytics_cases_open", "tier"), "{{tier}}"),
            "The same as above, within the age of the figures.",
            kind="stack",
        ),
    ),
)  # fmt: skip


def loop(title: str, chinese: str, tiers: tuple[str, ...], timed: tuple[str, ...] = ()) -> Row:
    """One loop. `timed`: the names that escalation has beyond the tiers."""
    here = f'tier=~"{"|".join(tiers)}"'
    clocks = f'tier=~"{"|".join((*tiers, *timed))}"'
    return Row(
        title,
        chinese,
        (
            Panel(
                "Open", "在办", "short",
                one(opened("tier", here), "{{tier}}"), kind="number", width=6,
            ),
            Panel(
                "Overdue", "超期", "short",
                one(summed(OVERDUE, "tier", "tier, track", clocks), "{{tier}}"),
                kind="number", width=6,
            ),
            Panel(
                "Due within the hour", "一小时内到期", "short",
                one(summed(SOON, "tier", "tier, track", clocks), "{{tier}}"),
                kind="number", width=6,
            ),
            Panel(
                "Waiting in stuck queues", "滞留", "short",
                one(summed(WAITING, "queue", "queue, tier, track", here), "{{queue}}"),
                kind="number", width=6,
            ),
            Panel(
                "Open by track", "各程序在办", "short",
                one(opened("track", here), "{{track}}"), kind="stack",
            ),
            Panel(
                "Open by stage", "各环节在办", "short",
                one(opened("stage", here), "{{stage}}"), kind="stack",
            ),
            Panel(
                "Longest wait", "最久滞留", "s",
                one(f"max by (queue) (casegrid_router_waiting_oldest_seconds{{{here}}})",
                    "{{queue}}"),
                "In promise time, by stuck queue.", ("CasegridQueueStuck",),
            ),
        ),
    )  # fmt: skip


NOTICES: Final = Row(
    "Notices to offices",
    "对部门的提醒",
    (
        Panel(
            "Posted", "已发提醒", "ops",
            one(rate("casegrid_escalation_notices_total", "reason"), "{{reason}}"),
        ),
        Panel(
            "Nobody took note of", "未确认", "short",
            (
                Query(largest("casegrid_escalation_notices_unacknowledged", "reason"),
                      "{{reason}}"),
                Query(largest("casegrid_escalation_notices_unheeded"), "unheeded 逾期未确认"),
            ),
            "Unheeded: not in time, nor since it went one level up.",
            ("CasegridNoticesUnheeded",), limits=(),
        ),
        Panel(
            "Pushed", "推送", "short",
            (
                Query(largest("casegrid_escalation_notices_to_push"), "to push 待推送"),
                Query(largest("casegrid_escalation_notices_not_pushed"), "in vain 推送失败"),
            ),
            "In vain: the office's address refused it to the end.",
            ("CasegridNoticesNotPushed",), limits=(),
        ),
    ),
)  # fmt: skip

TIERS: Final = Page(
    "casegrid-tiers",
    "Tiers",
    "层级",
    "Where cases are and where they wait: small matters in the grid, big ones in the community,"
    " hard ones in the street.",
    (
        WHOLE,
        loop("Micro loop: grid and community", "微循环（网格、社区）", ("grid", "community")),
        loop("Small loop: street", "小循环（街道）", ("street",)),
        loop("Large loop: district and city", "大循环（区、市）", ("district", "city"), ("none",)),
        NOTICES,
    ),
)
