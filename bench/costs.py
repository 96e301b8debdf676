"""What a run costs: CPU and memory by process, WAL, commits and rows, bytes on Kafka, batches.

A `Meter` reads everything twice, before and after a load; `per petition` is the difference. CPU of
PostgreSQL is counted whole: what its ended children used is in the postmaster's own account.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import asyncpg
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

SERVICES = ("intake", "router", "escalation", "analytics")
BACKEND = re.compile(r"postgres: (?:casegrid_)?(\w+)")
TOPIC_OF_LOG = re.compile(r"(.+)-[0-9]+$")
COUNTERS = (
    "casegrid_batches_total", "casegrid_events_heard_total", "casegrid_intake_read_total",
    "casegrid_intake_group_size_sum", "casegrid_intake_group_size_count",
    "casegrid_intake_reading_seconds_count",
)  # fmt: skip

Metrics = dict[tuple[str, str, str], float]
"""(service, counter, topic) and its value."""


class Database(NamedTuple):
    """Counters of one database since it was made."""

    commits: int
    rows_written: int
    size: int


@dataclass(frozen=True, slots=True)
class Reading:
    """All meters at one moment; CPU in seconds, by process."""

    cpu: Mapping[str, float]
    busy: float
    wal: int
    databases: Mapping[str, Database]
    kafka: Mapping[str, int]
    metrics: Metrics


class Memory(NamedTuple):
    """Bytes: resident, and with shared pages divided among those who share them."""

    rss: int
    pss: int


@dataclass(frozen=True, slots=True)
class Costs:
    """What happened between two readings, in all and for one petition."""

    petitions: int
    cpu_us: dict[str, float]
    other_cpu_share: float
    wal_bytes: float
    commits: dict[str, float]
    rows: dict[str, float]
    rows_per_commit: dict[str, float]
    database_bytes: float
    kafka_bytes: dict[str, float]
    batches: dict[str, float] = field(default_factory=dict)


def cpu_by_process(pids: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """CPU seconds by process; PostgreSQL by whom its backends serve."""
    seconds: dict[str, float] = defaultdict(float)
    for name, family in pids.items():
        for pid in family:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                times = process.cpu_times()
                kind = backend_kind(process) if name == "postgres" else name
                seconds[kind] += times.user + times.system
                if name == "postgres" and pid == family[0]:
                    seconds["postgres: ended ones"] += times.children_user + times.children_system
    return dict(seconds)


def backend_kind(process: psutil.Process) -> str:
    """Which service a process of PostgreSQL serves, or what it does by itself."""
    title = BACKEND.match(" ".join(process.cmdline()))
    return f"postgres: {title[1]}" if title else "postgres: postmaster"


def memory_by_process(pids: Mapping[str, Sequence[int]]) -> dict[str, Memory]:
    """Memory now, by process."""
    found = {}
    for name, family in pids.items():
        rss = pss = 0
        for pid in family:
            with suppress(psutil.NoSuchProcess):
                info = psutil.Process(pid).memory_full_info()
                rss += info.rss
                pss += getattr(info, "pss", info.uss)
        found[name] = Memory(rss, pss)
    return found


def busy_seconds() -> float:
    """CPU seconds that the whole machine was busy."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


def log_bytes(logs: Path) -> dict[str, int]:
    """Bytes on disk of each topic of ours, compressed as they lie there."""
    sizes: Counter[str] = Counter()
    for segment in logs.glob("*.events-*/*.log"):
        topic = TOPIC_OF_LOG.match(segment.parent.name)
        assert topic is not None
        sizes[topic[1]] += segment.stat().st_size
    return dict(sizes)


def counters_of(service: str, text: str) -> Metrics:
    """The counters that tell batches apart, from a service's metrics page."""
    found: Metrics = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in COUNTERS:
                found[service, sample.name, sample.labels.get("topic", "")] += sample.value
    return dict(found)


@dataclass(frozen=True, slots=True)
class Meter:
    """Where to read; `urls` of the services that answer, `logs` of Kafka."""

    connection: asyncpg.Connection[asyncpg.Record]
    urls: Mapping[str, str]
    logs: Path

    async def read(self, pids: Mapping[str, Sequence[int]]) -> Reading:
        """All meters now."""
        return Reading(
            cpu_by_process(pids),
            busy_seconds(),
            await self._wal(),
            await self._databases(),
            log_bytes(self.logs),
            await self._metrics(),
        )

    async def _wal(self) -> int:
        return int(await self.connection.fetchval("select pg_current_wal_lsn() - '0/0'::pg_lsn"))

    async def _databases(self) -> dict[str, Database]:
        rows = await self.connection.fetch(
            """
            select substr(datname, 10) as name, xact_commit,
                   tup_inserted + tup_updated + tup_deleted as written,
                   pg_database_size(datid) as size
            from pg_stat_database where datname = any($1::text[])
            """,
            [f"casegrid_{service}" for service in SERVICES],
        )
        return {r["name"]: Database(r["xact_commit"], r["written"], r["size"]) for r in rows}

    async def _metrics(self) -> Metrics:
        found: Metrics = {}
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            for service, url in self.urls.items():
                found.update(counters_of(service, (await client.get(f"{url}/metrics")).text))
        return found


def between(before: Reading, after: Reading, petitions: int, generator_cpu: float) -> Costs:
    """What one petition cost; `generator_cpu` is the load's own account, in seconds."""
    used = {name: after.cpu[name] - before.cpu.get(name, 0.0) for name in after.cpu}
    used["generator"] = generator_cpu
    busy = after.busy - before.busy
    changes = {
        name: Database(*(a - b for a, b in zip(now, before.databases[name], strict=True)))
        for name, now in after.databases.items()
    }
    return Costs(
        petitions=petitions,
        cpu_us={name: seconds / petitions * 1e6 for name, seconds in used.items()},
        other_cpu_share=max(0.0, 1 - sum(used.values()) / busy) if busy else 0.0,
        wal_bytes=(after.wal - before.wal) / petitions,
        commits={name: d.commits / petitions for name, d in changes.items()},
        rows={name: d.rows_written / petitions for name, d in changes.items()},
        rows_per_commit={name: ratio(d.rows_written, d.commits) for name, d in changes.items()},
        database_bytes=sum(d.size for d in changes.values()) / petitions,
        kafka_bytes={
            topic: (size - before.kafka.get(topic, 0)) / petitions
            for topic, size in after.kafka.items()
        },
        batches=batch_sizes(
            {key: value - before.metrics.get(key, 0.0) for key, value in after.metrics.items()}
        ),
    )


def batch_sizes(metrics: Metrics) -> dict[str, float]:
    """How many petitions or events went into one transaction, by what made it."""

    def size(service: str, many: str, by: str, topic: str = "") -> float:
        return ratio(
            metrics.get((service, f"casegrid_{many}", topic), 0.0),
            metrics.get((service, f"casegrid_{by}", topic), 0.0),
        )

    sizes = {
        "intake: group commit": size("intake", "intake_group_size_sum", "intake_group_size_count"),
        "intake: page read": size("intake", "intake_read_total", "intake_reading_seconds_count"),
    }
    for service, name, topic in metrics:
        if name == "casegrid_batches_total":
            sizes[f"{service}: {topic}"] = size(
                service, "events_heard_total", "batches_total", topic
            )
    return {name: size for name, size in sizes.items() if size}


def ratio(many: float, by: float) -> float:
    """Many by one; 0 where there is none."""
    return many / by if by else 0.0


def total(parts: Mapping[str, float], prefixes: Iterable[str]) -> float:
    """The sum of the parts whose names begin so."""
    return sum(value for name, value in parts.items() if name.startswith(tuple(prefixes)))
