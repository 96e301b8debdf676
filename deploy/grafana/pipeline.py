"""Whether petitions flow: from intake through the router to escalation and analytics."""

from __future__ import annotations

from typing import Final

from deploy.grafana.panel import (
    ORANGE,
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
)
from deploy.prometheus.alerts import ANY

NOW: Final = Row(
    "At a glance",
    "一览",
    (
        Panel(
            "Alerting works", "告警在线", "none",
            one('max by (alertname) (ALERTS{alertname="CasegridWatchdog",alertstate="firing"})'),
            "A sign of life that always fires: without it nobody is told anything.",
            ("CasegridWatchdog",), "number", 6, (), (("1", "yes 是"),),
        ),
        Panel(
            "Processes that answer", "在线进程", "none",
            one(f"sum by (job) (up{{{ANY}}})", "{{job}}"),
            "Of each service at least one must; a second one takes over when it ends.",
            ("CasegridServiceDown",), "number", 6, (Limit(1, "green", below="red"),),
        ),
        Panel(
            "Alerts that fire", "当前告警", "none",
            one('max by (severity, alertname, job) (ALERTS{alertstate="firing",severity!="none"})'),
            "Each has a page among the runbooks.", kind="table", width=12, limits=(),
        ),
    ),
)  # fmt: skip

FLOW: Final = Row(
    "Petitions from stage to stage",
    "诉求流转",
    (
        Panel(
            "Through the stages", "各环节速率", "ops",
            (
                Query(rate("casegrid_intake_accepted_total", "job"), "accepted 接收"),
                Query(rate("casegrid_intake_read_total", "job"), "read 识别"),
                Query(rate("casegrid_router_cases_opened_total", "job"), "routed 派单"),
                Query(rate("casegrid_events_heard_total", "job", 'job="escalation"'),
                      "heard by escalation 计时"),
                Query(rate("casegrid_events_heard_total", "job", 'job="analytics"'),
                      "heard by analytics 统计"),
            ),
            "Escalation and analytics hear every step of a case, so more than is accepted.",
            width=12,
        ),
        Panel(
            "Accepted to routed", "接收到派单用时", "s",
            (
                Query(quantile(0.5, "casegrid_intake_accept_to_routed_seconds"), "p50"),
                Query(quantile(0.99, "casegrid_intake_accept_to_routed_seconds"), "p99"),
            ),
            "Promised is 10 s for 999 of 1,000.",
            width=12, limits=(promised("routing"),),
        ),
        Panel(
            "Waiting to be read", "待识别诉求", "short",
            one(largest("casegrid_intake_unread"), "petitions 件"),
        ),
        Panel(
            "Oldest unread", "最久未识别", "s",
            one(largest("casegrid_intake_unread_age_seconds"), "age 时长"),
            "Accepted, and nobody knows yet what it says.", ("CasegridUnread",),
        ),
        Panel(
            "Turned away", "拒收", "ops",
            one(rate("casegrid_intake_refused_total", "reason"), "{{reason}}"),
            "Told to come again. `share` is one sender's own excess; the others are full queues.",
            ("CasegridIntakeRefuses",),
        ),
        Panel(
            "Oldest unrouted", "最久未派单", "s",
            one(largest("casegrid_intake_unrouted_oldest_seconds"), "age 时长"),
            "Accepted, and the router has not said where it went.",
            ("CasegridUnrouted",), width=12,
        ),
        Panel(
            "Heartbeat", "心跳时长", "s",
            one("min by (stage) (casegrid_heartbeat_age_seconds)", "{{stage}}"),
            "A petition of nobody goes the whole way every 30 s; how old the last one is that"
            " reached each stage.",
            ("CasegridHeartbeatMissing", "CasegridNoHeartbeat"), width=12,
        ),
    ),
)  # fmt: skip

BEHIND: Final = Row(
    "How far behind",
    "滞后",
    (
        Panel(
            "Lag in seconds", "滞后秒数", "s",
            one(largest("casegrid_consumer_lag_seconds", "job, topic"), "{{job}} ← {{topic}}"),
            "Age of what was handled last, of the worst partition.", ("CasegridLagging",),
        ),
        Panel(
            "Lag in records", "滞后条数", "short",
            one("sum by (job, topic) (casegrid_consumer_lag_records)", "{{job}} ← {{topic}}"),
        ),
        Panel(
            "Age of the figures", "统计时效", "s",
            one(largest("casegrid_analytics_projection_age_seconds"), "analytics"),
            "How old the public figures are.", ("CasegridProjectionOld",),
        ),
        Panel(
            "Oldest event not on Kafka", "最久未发事件", "s",
            one(largest("casegrid_outbox_age_seconds"), "{{job}}"), "", ("CasegridOutboxStuck",),
        ),
        Panel(
            "Events not on Kafka", "待发事件", "short",
            one(largest("casegrid_outbox_depth"), "{{job}}"), "", ("CasegridOutboxDeep",),
        ),
        Panel(
            "Policy version", "规则版本", "none",
            (
                Query(largest("casegrid_router_policy_version"), "router"),
                Query(largest("casegrid_intake_policy_version"), "intake"),
            ),
            "Intake reads and the router decides by the same one.", ("CasegridPoliciesDiffer",),
        ),
    ),
)  # fmt: skip

STANDS: Final = Row(
    "What waits for a person",
    "待人工处理",
    (
        Panel(
            "Parked records", "搁置消息", "short", one(largest("casegrid_parked"), "{{job}}"),
            "They could not be read; a resident may be behind each.", ("CasegridParked",),
        ),
        Panel(
            "Petitions behind a parked record", "受阻诉求", "short",
            one(largest("casegrid_router_blocked_petitions"), "router"), "",
            ("CasegridPetitionsBlocked",),
        ),
        Panel(
            "Partitions read no further", "停读分区", "short",
            one("sum by (job, topic) (casegrid_stopped_partitions)", "{{job}} ← {{topic}}"), "",
            ("CasegridPartitionStopped",),
        ),
    ),
)  # fmt: skip

TOGETHER: Final = Row(
    "Whether the services agree",
    "数据核对",
    (
        Panel(
            "Compared with the owner", "核对件数", "ops",
            one(rate("casegrid_census_compared_total"), "{{job}}"),
            "Petitions and cases that a service has, compared with those of their owner.",
        ),
        Panel(
            "Since all were counted", "距上次全量核对", "s",
            one("min by (job) (casegrid_census_walk_age_seconds)", "{{job}}"),
            "The alert waits 2 s more for each 500 open cases: so long may a count take.",
            ("CasegridCensusOld",), limits=(Limit(10_800, ORANGE),),
        ),
        Panel(
            "Differed from the owner", "核对差异", "short",
            (
                Query("sum by (job, topic) (increase(casegrid_census_differences_total[1h]))",
                      "{{job}} ← {{topic}}: differed 有差异"),
                Query("sum by (job, topic) (increase(casegrid_census_strangers_total[1h]))",
                      "{{job}} ← {{topic}}: strangers 多出"),
            ),
            "In the last hour. What differed is asked for again.",
            ("CasegridCensusDiffers", "CasegridCensusStrangers"),
        ),
        Panel(
            "What must never happen", "不应发生", "short",
            (
                Query("sum by (job, topic) (increase(casegrid_records_missed_total[1h]))",
                      "{{job}} ← {{topic}}: lost 丢失"),
                Query("sum by (job) (increase(casegrid_intake_unstorable_total[1h]))",
                      "{{job}}: not stored 未存"),
                Query("sum by (job) (increase(casegrid_router_orders_unknown_total[1h]))",
                      "{{job}}: orders about no case 无主指令"),
                Query("sum by (job, topic) (increase(casegrid_foreign_clock_events_total[1h]))",
                      "{{job}} ← {{topic}}: another clock 异源时钟"),
            ),
            "In the last hour. Anything but zero is an alert.",
            ("CasegridRecordsMissed", "CasegridUnstorable", "CasegridOrdersUnknown",
             "CasegridForeignClock"),
        ),
    ),
)  # fmt: skip

PIPELINE: Final = Page(
    "casegrid-pipeline",
    "Pipeline",
    "流转",
    "Whether petitions flow from intake through the router to escalation and analytics.",
    (NOW, FLOW, BEHIND, STANDS, TOGETHER),
)
