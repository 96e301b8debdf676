"""Kafka and PostgreSQL as our own processes see them, and PostgreSQL as CloudNativePG does."""

from __future__ import annotations

from typing import Final

from deploy.grafana.panel import Page, Panel, Query, Row, largest, one, quantile, rate
from deploy.prometheus.alerts import ARCHIVER, BACKUP_AT, of_clusters

KAFKA: Final = Row(
    "Kafka",
    "消息队列",
    (
        Panel(
            "Said", "发出", "ops",
            one(rate("casegrid_events_said_total", "job, topic"), "{{job}} → {{topic}}"),
            "Events that Kafka acknowledged.",
        ),
        Panel(
            "Heard", "收到", "ops",
            one(rate("casegrid_events_heard_total", "job, topic"), "{{job}} ← {{topic}}"),
            "Records handled and committed.",
        ),
        Panel(
            "Bytes said", "发出字节", "Bps",
            one(rate("casegrid_said_bytes_total", "topic"), "{{topic}}"), "Before compression.",
        ),
        Panel(
            "Oldest event not on Kafka", "最久未发事件", "s",
            one(largest("casegrid_outbox_age_seconds"), "{{job}}"), "", ("CasegridOutboxStuck",),
        ),
        Panel(
            "Events not on Kafka", "待发事件", "short",
            one(largest("casegrid_outbox_depth"), "{{job}}"),
            "Nothing is lost while the broker is away: it waits here.", ("CasegridOutboxDeep",),
        ),
        Panel(
            "Relays", "发送进程", "none",
            one("sum by (job) (casegrid_relay_active)", "{{job}}"),
            "One process of each service carries its events to Kafka; others stand by.",
            ("CasegridNoRelay",), limits=(),
        ),
        Panel(
            "Refused for good", "拒绝接收", "short",
            one("sum by (job, reason) (increase(casegrid_lanes_refused_total[10m]))",
                "{{job}}: {{reason}}"),
            "In ten minutes. Trying again does not help.", ("CasegridLanesRefused",),
        ),
        Panel(
            "Fenced", "让位", "ops",
            one(rate("casegrid_batches_fenced_total", "job, topic"), "{{job}} ← {{topic}}"),
            "Another process had taken over the partition: usual when one starts or ends.",
        ),
        Panel(
            "Weather", "故障重试", "ops",
            one(rate("casegrid_weather_total", "job, loop, what"), "{{job}} {{loop}}: {{what}}"),
            "Broker or database away, and tried again.", ("CasegridWeather",), limits=(),
        ),
    ),
)  # fmt: skip

POSTGRES: Final = Row(
    "PostgreSQL",
    "数据库",
    (
        Panel(
            "Connections in use", "占用连接", "short",
            (
                Query("sum by (job) (casegrid_pool_in_use)", "{{job}}"),
                Query("sum by (job) (casegrid_pool_limit)", "{{job}}: at most 上限"),
            ),
            "As many as there may be in use for long: requests wait for one.",
        ),
        Panel(
            "Waited for a connection", "等待连接", "s",
            one(quantile(0.99, "casegrid_pool_wait_seconds"), "{{job}}"),
            "p99 of all requests, batches and timers.",
        ),
        Panel(
            "A consumer's transaction", "消费事务用时", "s",
            one(quantile(0.99, "casegrid_batch_seconds", "job, topic"), "{{job}} ← {{topic}}"),
            "p99, start to commit.",
        ),
        Panel(
            "Records in a transaction", "每事务条数", "short",
            one(f"{rate('casegrid_events_heard_total', 'job, topic')}"
                f" / ({rate('casegrid_batches_total', 'job, topic')} > 0)", "{{job}} ← {{topic}}"),
            "Grows with load up to 200: that is how it keeps up.",
        ),
        Panel(
            "Intake's commit", "接收提交用时", "s",
            (
                Query(quantile(0.5, "casegrid_intake_group_seconds"), "p50"),
                Query(quantile(0.99, "casegrid_intake_group_seconds"), "p99"),
            ),
            "Petitions are stored in groups; each waits for its commit.",
        ),
        Panel(
            "Petitions in a commit", "每次提交件数", "short",
            one("sum by (job) (rate(casegrid_intake_group_size_sum[$__rate_interval]))"
                " / (sum by (job) (rate(casegrid_intake_group_size_count[$__rate_interval])) > 0)",
                "mean 平均"),
        ),
        Panel(
            "A page of the sweep", "到期扫描用时", "s",
            one(quantile(0.99, "casegrid_escalation_sweep_page_seconds"), "p99"),
            "Up to 500 cases that are due, start to commit.",
        ),
    ),
)  # fmt: skip

CLUSTERS: Final = Row(
    "PostgreSQL itself, where CloudNativePG runs it",
    "数据库集群",
    (
        Panel(
            "Age of the last backup", "最近备份距今", "s",
            one(f"time() - {of_clusters(BACKUP_AT)}", "{{job}}"),
            "One is made each night.", ("CasegridBackupOld",),
        ),
        Panel(
            "Since the log was archived", "距上次归档", "s",
            one(f"time() - {of_clusters(f'{ARCHIVER}_last_archived_time')}",
                "{{job}}"),
            "A quiet database archives every five minutes.", ("CasegridArchiveFails",),
        ),
        Panel(
            "Replicas that follow", "同步副本", "none",
            one(of_clusters("cnpg_pg_replication_streaming_replicas"), "{{job}}"),
            "Two of them; a commit waits for one.", ("CasegridReplicasMissing",),
        ),
    ),
)  # fmt: skip

SERVERS: Final = Page(
    "casegrid-kafka-postgres",
    "Kafka and PostgreSQL",
    "消息队列与数据库",
    "Kafka and PostgreSQL as our own processes see them: what is said, heard and committed.",
    (KAFKA, POSTGRES, CLUSTERS),
)
