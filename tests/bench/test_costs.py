"""What a run costs: meters read twice, and their difference for one petition."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench.costs import (
    Database,
    Reading,
    between,
    counters_of,
    cpu_by_process,
    log_bytes,
    memory_by_process,
    total,
)

PAGE = """\
# HELP casegrid_batches_total Transactions
# TYPE casegrid_batches_total counter
casegrid_batches_total{topic="intake.events"} 4.0
# TYPE casegrid_events_heard_total counter
casegrid_events_heard_total{topic="intake.events"} 200.0
# TYPE casegrid_other_total counter
casegrid_other_total 7.0
"""


def reading(cpu: dict[str, float], busy: float, wal: int, n: int, kafka: dict[str, int]) -> Reading:
    database = Database(commits=n, rows_written=10 * n, size=1_000 * n)
    metrics = {
        ("router", "casegrid_batches_total", "intake.events"): float(n),
        ("router", "casegrid_events_heard_total", "intake.events"): 50.0 * n,
    }
    return Reading(cpu, busy, wal, {"router": database}, kafka, metrics)


def test_one_petition_costs_the_difference_of_the_meters() -> None:
    before = reading({"router": 1.0, "kafka": 3.0}, 10.0, 1_000, 5, {"router.events": 100})
    after = reading({"router": 1.5, "kafka": 3.1}, 11.0, 51_000, 9, {"router.events": 20_100})
    costs = between(before, after, petitions=100, generator_cpu=0.2)
    assert costs.cpu_us == pytest.approx({"router": 5_000, "kafka": 1_000, "generator": 2_000})
    assert costs.other_cpu_share == pytest.approx(0.2)
    assert costs.wal_bytes == 500
    assert costs.commits == {"router": 0.04}
    assert costs.rows_per_commit == {"router": 10}
    assert costs.database_bytes == 40
    assert costs.kafka_bytes == {"router.events": 200}
    assert costs.batches == {"router: intake.events": 50}


def test_a_process_that_began_meanwhile_counts_from_its_begin() -> None:
    before = reading({}, 0.0, 0, 0, {})
    after = reading({"postgres: autovacuum": 0.1}, 1.0, 0, 0, {"intake.events": 10})
    costs = between(before, after, petitions=10, generator_cpu=0.0)
    assert costs.cpu_us["postgres: autovacuum"] == pytest.approx(10_000)
    assert costs.kafka_bytes == {"intake.events": 1}


def test_only_the_counters_of_batches_are_read_from_a_metrics_page() -> None:
    assert counters_of("router", PAGE) == {
        ("router", "casegrid_batches_total", "intake.events"): 4,
        ("router", "casegrid_events_heard_total", "intake.events"): 200,
    }


def test_the_logs_of_our_topics_are_summed_over_partitions(tmp_path: Path) -> None:
    for name, size in (("router.events-0", 10), ("router.events-11", 5), ("__offsets-1", 99)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "00000000000000000000.log").write_bytes(bytes(size))
    assert log_bytes(tmp_path) == {"router.events": 15}


def test_the_work_of_a_process_is_seen_and_one_that_is_gone_is_none() -> None:
    work = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert cpu_by_process({"worker": [child.pid]})["worker"] >= 0.15
        memory = memory_by_process({"worker": [child.pid]})["worker"]
        assert 1_000_000 < memory.rss < 1_000_000_000
        assert 0 < memory.pss <= memory.rss
        child.communicate(b"\n")
    assert not psutil.pid_exists(child.pid)
    assert cpu_by_process({"worker": [child.pid]}) == {}


def test_parts_are_summed_by_their_beginnings() -> None:
    assert total({"postgres: a": 1, "postgres: b": 2, "kafka": 4}, ["postgres"]) == 3
