"""One service in depth: its requests, its consumers, its own health."""

from __future__ import annotations

from typing import Final

from deploy.grafana.panel import (
    Limit,
    Page,
    Panel,
    Query,
    Row,
    Variable,
    one,
    promised,
    quantile,
    rate,
)
from deploy.prometheus.alerts import JOBS
from deploy.prometheus.promises import ASKED

HERE: Final = 'job="$service",instance=~"$instance"'
PEOPLE: Final = f"{HERE},{ASKED}"
"""Requests of people and systems, without those of operations."""


def each(metric: str) -> str:
    """A metric of each process."""
    return f"{metric}{{{HERE}}}"


STATE: Final = Row(
    "Processes",
    "进程",
    (
        Panel(
            "Ready", "就绪", "none", one(each("casegrid_ready"), "{{instance}}"),
            "/readyz says why not.", ("CasegridNotReady", "CasegridDegraded"), "number", 6,
            (Limit(0.5, "orange", below="red"), Limit(1, "green")),
            (("1", "ready 就绪"), ("0.5", "degraded 降级"), ("0", "down 停止")),
        ),
        Panel(
            "Answers", "在线", "none", one(each("up"), "{{instance}}"),
            "Whether Prometheus reaches it.", ("CasegridInstanceDown",), "number", 6,
            (Limit(1, "green", below="red"),), (("1", "yes 是"), ("0", "no 否")),
        ),
        Panel(
            "Runs since", "已运行", "s",
            one(f"time() - {each('process_start_time_seconds')}", "{{instance}}"),
            kind="number", width=6,
        ),
        Panel(
            "Requests under way", "处理中请求", "short",
            one(each("casegrid_http_requests_under_way"), "{{instance}}"), kind="number", width=6,
        ),
        Panel(
            "Processor", "处理器", "percentunit",
            one(f"rate({each('process_cpu_seconds_total')}[$__rate_interval])", "{{instance}}"),
            "Of one core. A process uses one: near 100 % another one must stand beside it.",
        ),
        Panel(
            "Memory", "内存", "bytes",
            one(each("process_resident_memory_bytes"), "{{instance}}"),
        ),
        Panel(
            "Event loop wakes late", "事件循环延迟", "s",
            one(quantile(0.99, "casegrid_loop_lag_seconds", "instance", HERE), "{{instance}}"),
            "p99: a loop that is blocked for seconds now and then is seen.", ("CasegridLoopSlow",),
        ),
        Panel(
            "Connections", "数据库连接", "short",
            (
                Query(each("casegrid_pool_in_use"), "{{instance}}: in use 占用"),
                Query(each("casegrid_pool_size"), "{{instance}}: open 已开"),
                Query(each("casegrid_pool_limit"), "{{instance}}: at most 上限"),
            ),
        ),
        Panel(
            "Clock against the database's", "时钟偏差", "s",
            one(f"abs({each('casegrid_clock_skew_seconds')})", "{{instance}}"), "",
            ("CasegridClockSkew",),
        ),
        Panel(
            "Weather", "故障重试", "ops",
            one(rate("casegrid_weather_total", "loop, what", HERE), "{{loop}}: {{what}}"),
            "Broker or database away, and tried again.",
        ),
    ),
)  # fmt: skip

REQUESTS: Final = Row(
    "Requests by route",
    "各接口请求",
    (
        Panel(
            "Rate", "速率", "ops",
            one(rate("casegrid_http_requests_total", "method, route", PEOPLE),
                "{{method}} {{route}}"),
        ),
        Panel(
            "Errors", "错误", "ops",
            one(rate("casegrid_http_requests_total", "route, status",
                     f'{PEOPLE},status=~"[45].."'),
                "{{status}} {{route}}"),
            "5xx are our fault, 4xx the asker's.",
        ),
        Panel(
            "Duration, p99", "用时 p99", "s",
            (
                Query(quantile(0.99, "casegrid_http_request_seconds", "route", PEOPLE),
                      "{{route}}", exemplars=True),
            ),
            "Promised is half a second for 99 of 100. Each point is a request: its trace_id is in"
            " the log.",
            limits=(promised("latency"),),
        ),
    ),
)  # fmt: skip

CONSUMERS: Final = Row(
    "Consumers by topic",
    "各主题消费",
    (
        Panel(
            "Records", "消息", "ops",
            one(rate("casegrid_events_heard_total", "topic", HERE), "{{topic}}"),
        ),
        Panel(
            "Batches", "批次", "ops",
            (
                Query(rate("casegrid_batches_total", "topic", HERE), "{{topic}}"),
                Query(rate("casegrid_batches_fenced_total", "topic", HERE),
                      "{{topic}}: fenced 让位"),
            ),
        ),
        Panel(
            "A batch, p99", "批次用时 p99", "s",
            one(quantile(0.99, "casegrid_batch_seconds", "topic", HERE), "{{topic}}"),
        ),
        Panel(
            "Lag in seconds", "滞后秒数", "s",
            one(f"max by (topic, partition) ({each('casegrid_partition_lag_seconds')})",
                "{{topic}} {{partition}}"),
            "Of each partition.", ("CasegridLagging",),
        ),
        Panel(
            "Lag in records", "滞后条数", "short",
            one(f"sum by (topic, partition) ({each('casegrid_partition_lag_records')})",
                "{{topic}} {{partition}}"),
            "Of each partition.",
        ),
        Panel(
            "Parked", "搁置消息", "short",
            one(each("casegrid_parked"), "{{instance}}"),
            "", ("CasegridParked",),
        ),
    ),
)  # fmt: skip

SERVICE: Final = Page(
    "casegrid-service",
    "One service in depth",
    "单个服务",
    "One service: requests, consumers, event loop, connections. Choose it at the top.",
    (STATE, REQUESTS, CONSUMERS),
    (
        Variable("service", "Service · 服务", JOBS),
        Variable("instance", "Process · 进程", asks='label_values(up{job="$service"}, instance)'),
    ),
    "now-1h",
)
