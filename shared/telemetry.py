"""What every service measures of itself, and how it logs. Labels are bounded; never an id."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

import structlog
from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from shared import lines
from shared.clock import wall
from shared.events import Topic

# When each counter was made: as many series again, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Bound(NamedTuple):
    """What keeps the values of a label few where they cannot be listed: so many at most."""

    most: int
    by: str


Labels: TypeAlias = Mapping[str, tuple[str, ...] | Bound]
"""Every label of a list of metrics: its values, or what bounds them. Never an id."""

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OTHER: Final = "(other)"
"""Any other method: whoever asks makes up what he likes."""

PARTITIONS: Final = tuple(map(str, range(12)))

LABELS: Final[Labels] = {
    "topic": tuple(Topic),
    "partition": PARTITIONS,
    "route": Bound(80, "the paths of the service's API as /docs writes them, (none), (gate)"),
    "method": (*METHODS, OTHER),
    "status": Bound(30, "the HTTP statuses that are answered"),
    "loop": Bound(30, "the loops of the service"),
    "what": Bound(30, "the kinds of weather: names of error classes"),
    "stage": ("sent", "routed", "timed", "counted", "told", "ordered"),
    "reason": ("MessageSizeTooLargeError",),
}

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600)

REQUESTS = Counter(
    "casegrid_http_requests", "Answers given, by route and status", ["route", "method", "status"]
)
REQUEST_SECONDS = Histogram(
    "casegrid_http_request_seconds", "From the request to its answer", ["route"], buckets=SECONDS
)
REQUESTS_UNDER_WAY = Gauge("casegrid_http_requests_under_way", "Requests without an answer yet")

HEARD = Counter("casegrid_events_heard", "Records handled and committed", ["topic"])
BATCHES = Counter("casegrid_batches", "Transactions of a consumer that were committed", ["topic"])
BATCH_SECONDS = Histogram(
    "casegrid_batch_seconds", "A consumer's transaction, start to commit", ["topic"],
    buckets=SECONDS,
)  # fmt: skip
LAG_SECONDS = Gauge(
    "casegrid_consumer_lag_seconds",
    "Age of what was handled last, of the worst partition; 0 when all are known to be at their end",
    ["topic"],
)  # fmt: skip
LAG_RECORDS = Gauge("casegrid_consumer_lag_records", "Records between us and the end", ["topic"])
PARTITION_LAG_SECONDS = Gauge(
    "casegrid_partition_lag_seconds", "Age of what was handled last of each partition of ours",
    ["topic", "partition"],
)  # fmt: skip
PARTITION_LAG_RECORDS = Gauge(
    "casegrid_partition_lag_records", "Records between us and the end of each partition of ours",
    ["topic", "partition"],
)  # fmt: skip
MISSED = Counter(
    "casegrid_records_missed", "Records lost: gone from a topic that is not compacted, unread",
    ["topic"],
)  # fmt: skip
EXPIRED = Gauge(
    "casegrid_records_expired",
    "Records that expired before they were heard, on partitions that wait for `positions reset`",
    ["topic"],
)  # fmt: skip
FENCED = Counter(
    "casegrid_batches_fenced", "Batches undone because another process had moved on", ["topic"]
)
WEATHER = Counter(
    "casegrid_weather", "Times that a broker or database was away and work was tried again",
    ["loop", "what"],
)  # fmt: skip
PARKED_NOW = Gauge("casegrid_parked", "Records that could not be read and wait for a person")
PARKED = Counter("casegrid_parked_records", "Records that were parked", ["topic"])
STOPPED_PARTITIONS = Gauge(
    "casegrid_stopped_partitions",
    "Partitions read no further: a type this version does not know, or a position off the log",
    ["topic"],
)  # fmt: skip
COMPARED = Counter("casegrid_census_compared", "Petitions or cases compared with their owner")
DIFFERENCES = Counter(
    "casegrid_census_differences",
    "Of those, the ones that differed and were asked for again, by the topic of their owner",
    ["topic"],
)  # fmt: skip
STRANGERS = Counter(
    "casegrid_census_strangers",
    "Petitions, or cases believed open, that their owner does not list, by his topic",
    ["topic"],
)  # fmt: skip
CENSUS_AGE = Gauge(
    "casegrid_census_walk_age_seconds",
    "Since the owner last counted all, or first began to; NaN where nobody counts",
)
CENSUS_AGE.set(float("nan"))
FOREIGN_CLOCK = Counter(
    "casegrid_foreign_clock_events", "Events stamped by another promise clock than ours", ["topic"]
)

HEARTBEAT_AGE = Gauge(
    "casegrid_heartbeat_age_seconds",
    "Since the sending of the last heartbeat that this stage felt on every partition",
    ["stage"],
)

OUTBOX_DEPTH = Gauge("casegrid_outbox_depth", "Events committed and not yet on Kafka")
OUTBOX_AGE = Gauge("casegrid_outbox_age_seconds", "Age of the oldest event not yet on Kafka")
SAID = Counter("casegrid_events_said", "Events that Kafka acknowledged", ["topic"])
SAID_BYTES = Counter("casegrid_said_bytes", "Bytes of those events, before compression", ["topic"])
REFUSED_LANES = Counter("casegrid_lanes_refused", "Batches the broker refused for good", ["reason"])
RELAYING = Gauge("casegrid_relay_active", "1 where this process is the relay of its service")

LOOP_LAG = Histogram(
    "casegrid_loop_lag_seconds", "How late the event loop woke, asked twice a second",
    buckets=SECONDS,
)  # fmt: skip
POOL_IN_USE = Gauge("casegrid_pool_in_use", "Database connections in use")
POOL_SIZE = Gauge("casegrid_pool_size", "Database connections open")
POOL_LIMIT = Gauge("casegrid_pool_limit", "Database connections that may be open")
POOL_WAIT = Histogram(
    "casegrid_pool_wait_seconds",
    "How long a request, a batch or a timer waited for a database connection of the pool",
    buckets=SECONDS,
)
CLOCK_SKEW = Gauge("casegrid_clock_skew_seconds", "Database time less process time")
READY = Gauge("casegrid_ready", "1 ready, 0.5 degraded, 0 down")


def begin(topic: Topic) -> None:
    """Show at 0 what must never happen on a topic, before anything of it is heard.

    To Prometheus a counter that appears as 1 has not increased. What a position missed while no
    process ran is counted too soon for it all the same: it stands in `EXPIRED` until it is settled.
    """
    for counter in (MISSED, FENCED, PARKED, DIFFERENCES, STRANGERS, FOREIGN_CLOCK):
        counter.labels(topic)
    for gauge in (EXPIRED, STOPPED_PARTITIONS):
        gauge.labels(topic).set(0)


def show_age(gauge: Gauge, since: datetime) -> None:
    """Show how long ago something was, now and whenever it is asked.

    So it goes on growing while nobody can look again, and whoever knows best shows the least.
    """
    gauge.set_function(lambda: max(0.0, (wall() - since).total_seconds()))


def show_partitions(gauge: Gauge, topic: Topic, values: Mapping[int, float]) -> None:
    """Set a gauge for each partition of ours; one that is another's now is his to show."""
    for partition in PARTITIONS:
        if (value := values.get(int(partition))) is None:
            gauge.remove(topic, partition)
        else:
            gauge.labels(topic, partition).set(value)


def trace_of(error: BaseException) -> str:
    """What went wrong and where: types, SQLSTATEs and frames of an error and its causes.

    Never a message: those of PostgreSQL and pydantic quote the row or the value.
    """
    told: list[str] = []
    left = [error]
    while left:
        one = left.pop()
        state = getattr(one, "sqlstate", None)
        told.append(f"{type(one).__qualname__} {state}" if state else type(one).__qualname__)
        told += [
            f"  {frame.filename}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(one.__traceback__)
        ]
        if isinstance(one, BaseExceptionGroup):
            left += reversed(one.exceptions)
        hidden = None if one.__suppress_context__ else one.__context__
        left += [cause for cause in (one.__cause__ or hidden,) if cause is not None]
    return "\n".join(told)


def with_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A step of logging: an exception as its trace."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["trace"] = trace_of(error)
    return event


def set_up_logging(service: str, level: str) -> None:
    """JSON lines to standard error, ours and the libraries' alike; a console in a terminal."""
    shared_steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared_steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_steps,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                with_trace,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in ("asyncio", "uvicorn", "httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Weather is told by our own health and metrics; aiokafka says it once per retry.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.contextvars.bind_contextvars(service=service)
    lines.set_up(service)
