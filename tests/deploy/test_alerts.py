"""Each alert fires when it must and not when it must not, said by promtool."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import yaml

from deploy.prometheus.__main__ import HERE, files, text, write
from deploy.prometheus.alerts import ALERTS, JOBS
from deploy.prometheus.promises import BURNS, OPERATIONS, PROMISES, Promise
from deploy.prometheus.rule import Alert, Owner, Recording, group, in_less_time, seconds_of, shorter
from tests.tools import PrometheusTools

ROOT = Path(__file__).parents[2]
EVERY: tuple[Alert, ...] = (
    *(alert for promise in PROMISES for alert in promise.alerts()),
    *(alert for alerts in ALERTS.values() for alert in alerts),
)


RULES: tuple[Alert | Recording, ...] = (
    *EVERY,
    *(one for promise in PROMISES for one in promise.recordings()),
)


class Tried(NamedTuple):
    """Series by name: with which an alert fires, and with which it must be quiet.

    Values in promtool's notation, one each minute. `labels`: those of what fires.
    """

    fires: Mapping[str, str]
    quiet: Mapping[str, str]
    labels: Mapping[str, str]
    minutes: int = 120


def level(series: str, high: str, low: str, minutes: int = 120, **labels: str) -> Tried:
    """A gauge that is too high all the time, and one that just is not."""
    return Tried({series: f"{high}x150"}, {series: f"{low}x150"}, labels, minutes)


def growing(series: str, minutes: int = 30, **labels: str) -> Tried:
    """A counter of what must not happen: it grew, and it stands still."""
    return Tried({series: "0x20 1x130"}, {series: "7x150"}, labels, minutes)


def waking(in_time: str) -> dict[str, str]:
    """A loop that was asked 96 times a minute how late it woke."""
    name = 'casegrid_loop_lag_seconds_bucket{job="router",instance="a",le='
    return {
        f'{name}"0.5"}}': in_time, f'{name}"5"}}': "0+96x150", f'{name}"+Inf"}}': "0+96x150"
    }  # fmt: skip


UP_ALL = {f'up{{job="{job}",instance="a"}}': "1x150" for job in JOBS}
TRIED: Mapping[str, Tried] = {
    "CasegridWatchdog": Tried({"up": "1x150"}, {}, {}),
    "CasegridServiceDown": Tried(
        UP_ALL | {'up{job="router",instance="a"}': "0x150"}, UP_ALL, {"job": "router"}
    ),
    "CasegridInstanceDown": Tried(
        UP_ALL | {'up{job="router",instance="b"}': "0x150"},
        UP_ALL | {'up{job="router",instance="a"}': "0x150"},
        {"job": "router", "instance": "b"},
    ),
    "CasegridNotReady": Tried(
        {'casegrid_ready{job="router",instance="a"}': "0x150"},
        {
            'casegrid_ready{job="router",instance="a"}': "0x150",
            'casegrid_ready{job="router",instance="b"}': "0.5x150",
        },
        {"job": "router"},
    ),
    "CasegridDegraded": level('casegrid_ready{job="router"}', "0.5", "1", job="router"),
    "CasegridNoRelay": Tried(
        {'casegrid_relay_active{job="intake",instance="a"}': "0x150"},
        {
            'casegrid_relay_active{job="intake",instance="a"}': "0x150",
            'casegrid_relay_active{job="intake",instance="b"}': "1x150",
        },
        {"job": "intake"},
    ),
    "CasegridHeartbeatMissing": level(
        'casegrid_heartbeat_age_seconds{stage="routed"}', "120", "45", stage="routed"
    ),
    "CasegridNoHeartbeat": Tried(
        {}, {'casegrid_heartbeat_age_seconds{stage="routed"}': "1x150"}, {}
    ),
    "CasegridOutboxStuck": level(
        'casegrid_outbox_age_seconds{job="intake"}', "31", "29", job="intake"
    ),
    "CasegridOutboxDeep": level(
        'casegrid_outbox_depth{job="intake"}', "10001", "10000", job="intake"
    ),
    "CasegridIntakeRefuses": Tried(
        {'casegrid_intake_refused_total{reason="outbox"}': "0+5x150"},
        {
            'casegrid_intake_refused_total{reason="outbox"}': "5x150",
            # Who sends too much is told so; that is nobody's fault here.
            'casegrid_intake_refused_total{reason="share"}': "0+5x150",
        },
        {"reason": "outbox"},
    ),
    "CasegridLagging": level(
        'casegrid_consumer_lag_seconds{job="router",topic="intake.events"}', "61", "59",
        job="router", topic="intake.events",
    ),
    "CasegridPartitionStopped": level(
        'casegrid_stopped_partitions{job="router",topic="intake.events"}', "1", "0",
        job="router", topic="intake.events",
    ),
    "CasegridParked": level('casegrid_parked{job="router"}', "1", "0", job="router"),
    "CasegridPetitionsBlocked": level("casegrid_router_blocked_petitions", "1", "0"),
    "CasegridUnread": level("casegrid_intake_unread_age_seconds", "61", "59"),
    "CasegridUnrouted": level("casegrid_intake_unrouted_oldest_seconds", "301", "299"),
    "CasegridDeadlineNotFired": level("casegrid_escalation_unfired_oldest_seconds", "31", "29"),
    "CasegridOrdersUnanswered": Tried(
        {"casegrid_escalation_orders_unanswered": "2x150"},
        # Now and then some are under way.
        {"casegrid_escalation_orders_unanswered": "2 0 3 " * 50},
        {},
    ),
    "CasegridQueueStuck": level(
        'casegrid_router_waiting_oldest_seconds{queue="dispatcher",tier="street"}', "172801",
        "172799", queue="dispatcher", tier="street",
    ),
    "CasegridNoticesNotPushed": level("casegrid_escalation_notices_not_pushed", "1", "0"),
    "CasegridNoticesUnheeded": level("casegrid_escalation_notices_unheeded", "1", "0"),
    "CasegridProjectionOld": level("casegrid_analytics_projection_age_seconds", "301", "299"),
    "CasegridRecordsMissed": growing(
        'casegrid_records_missed_total{job="router",topic="intake.events"}',
        job="router", topic="intake.events",
    ),
    "CasegridLanesRefused": growing(
        'casegrid_lanes_refused_total{job="intake",reason="RecordTooLarge"}', 25,
        job="intake", reason="RecordTooLarge",
    ),
    "CasegridUnstorable": growing("casegrid_intake_unstorable_total", 25),
    "CasegridCensusDiffers": growing(
        'casegrid_census_differences_total{job="router",topic="intake.events"}',
        job="router", topic="intake.events",
    ),
    "CasegridCensusStrangers": growing(
        'casegrid_census_strangers_total{job="analytics",topic="router.events"}',
        job="analytics", topic="router.events",
    ),
    "CasegridCensusOld": Tried(
        {
            'casegrid_census_walk_age_seconds{job="router",instance="a"}': "10801x150",
        },
        {
            'casegrid_census_walk_age_seconds{job="router",instance="a"}': "10801x150",
            'casegrid_census_walk_age_seconds{job="router",instance="b"}': "60x150",
        },
        {"job": "router"},
    ),
    "CasegridOrdersUnknown": growing("casegrid_router_orders_unknown_total"),
    "CasegridForeignClock": growing(
        'casegrid_foreign_clock_events_total{job="router",topic="intake.events"}', 25,
        job="router", topic="intake.events",
    ),
    "CasegridClockSkew": level(
        'casegrid_clock_skew_seconds{job="router"}', "-3", "-1", job="router"
    ),
    "CasegridCalendarEnds": level("casegrid_router_calendar_left_seconds", "3887999", "3888000"),
    "CasegridPoliciesDiffer": Tried(
        {"casegrid_router_policy_version": "4x150", "casegrid_intake_policy_version": "3x150"},
        {"casegrid_router_policy_version": "4x150", "casegrid_intake_policy_version": "4x150"},
        {},
    ),
    "CasegridWeather": Tried(
        {'casegrid_weather_total{job="router",loop="relay",what="x"}': "0+1x150"},
        # Once, and it is over.
        {'casegrid_weather_total{job="router",loop="relay",what="x"}': "0x100 1x50"},
        {"job": "router", "loop": "relay"},
    ),
    # Two samples a second. Blocked for 5 s of every 20 it is asked 30 times in time, once late.
    "CasegridLoopSlow": Tried(waking("0+93x150"), waking("0+95.5x150"),
                              {"job": "router", "instance": "a"}),
}  # fmt: skip

KIND = {
    "availability": "intake", "latency": "intake", "routing": "intake",
    "escalation": "escalation",
}  # fmt: skip


def burning(promise: str, failed: float) -> dict[str, str]:
    """What a promise is measured by, of which this share fails; a thousand events a minute."""
    job = KIND[promise]
    bad, good = f"0+{1000 * failed:g}x500", f"0+{1000 * (1 - failed):g}x500"
    if promise == "availability":
        series = f'casegrid_http_requests_total{{job="{job}",route="/petitions",method="POST"'
        probes = f'casegrid_http_requests_total{{job="{job}",route="/readyz",method="GET"'
        return {
            f'{series},status="503"}}': bad,
            f'{series},status="202"}}': good,
            f'{probes},status="503"}}': "0+1000x500",
        }
    name, le, more = {
        "latency": ("casegrid_http_request_seconds", "0.5", ',route="/petitions"'),
        "routing": ("casegrid_intake_accept_to_routed_seconds", "10.0", ""),
        "escalation": ("casegrid_escalation_fired_late_seconds", "10.0", ""),
    }[promise]
    return {
        f'{name}_count{{job="{job}"{more}}}': "0+1000x500",
        f'{name}_bucket{{job="{job}"{more},le="{le}"}}': good,
    }


def asked(alert: Alert, series: Mapping[str, str], minutes: int, expected: Any) -> dict[str, Any]:
    """A group of promtool's tests: whether an alert fires after so many minutes."""
    told = f'ALERTS{{alertname="{alert.name}",severity="{alert.severity}",alertstate="firing"}}'
    return {
        "name": f"{alert.name} {alert.severity} {'fires' if expected else 'is quiet'}",
        "interval": "1m",
        "input_series": [{"series": name, "values": each} for name, each in series.items()],
        "promql_expr_test": [{"expr": told, "eval_time": f"{minutes}m", "exp_samples": expected}],
    }


def firing(alert: Alert, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """What a firing alert looks like."""
    whole = {
        "alertname": alert.name,
        "alertstate": "firing",
        "owner": alert.owner,
        "severity": alert.severity,
    } | dict(labels)
    said = ",".join(f'{name}="{value}"' for name, value in whole.items())
    return [{"labels": f"ALERTS{{{said}}}", "value": 1}]


def groups(alert: Alert) -> Iterator[dict[str, Any]]:
    """An alert, firing and quiet."""
    promise = promise_of(alert)
    if promise is None:
        tried = TRIED[alert.name]
        yield asked(alert, tried.fires, tried.minutes, firing(alert, tried.labels))
        if alert.severity != "none":
            yield asked(alert, tried.quiet, tried.minutes, [])
        return
    least = min(burn.times for burn in BURNS if burn.severity == alert.severity)
    failed = least * (1 - promise.objective)
    high, low = (burning(promise.name, share * failed) for share in (1.2, 0.8))
    yield asked(alert, high, 140, firing(alert, {"job": KIND[promise.name]}))
    yield asked(alert, low, 140, [])
    # It burnt, and is over: the short window says so.
    short = max(seconds_of(burn.short) for burn in BURNS if burn.severity == alert.severity) // 60
    past = {name: f"{was.removesuffix('x500')}x60 _x{short + 5}" for name, was in high.items()}
    yield asked(alert, past, 60 + short + 5, [])


def promise_of(alert: Alert) -> Promise | None:
    """The promise whose budget an alert watches."""
    return next((promise for promise in PROMISES if alert in promise.alerts()), None)


def tried_in(alert: Alert, folder: Path, n: int) -> Path:
    """A file of promtool's tests of one alert, and beside it the rules that it needs."""
    promise = promise_of(alert)
    needs = () if promise is None else promise.recordings()
    rules, tests = folder / f"{n}.rules.yml", folder / f"{n}.tests.yml"
    rules.write_text(text({"groups": [group("tried", [*needs, alert])]}))
    content = {"rule_files": [rules.name], "evaluation_interval": "1m"}
    tests.write_text(yaml.safe_dump(content | {"tests": list(groups(alert))}, sort_keys=False))
    return tests


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The rules as Prometheus reads them."""
    return write(tmp_path_factory.mktemp("rules"))


def test_every_alert_fires_when_it_must_and_only_then(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    tests = [tried_in(alert, tmp_path, n) for n, alert in enumerate(EVERY)]
    said = subprocess.run(
        [prometheus_tools.promtool, "test", "rules", *tests],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_rules_are_sound(prometheus_tools: PrometheusTools, rules: list[Path]) -> None:
    subprocess.run(
        [prometheus_tools.promtool, "check", "rules", *rules], check=True, capture_output=True
    )


def test_the_files_are_what_the_code_says() -> None:
    assert {path.name for path in (HERE / "rules").iterdir()} == set(files())
    for name, content in files().items():
        written = (HERE / "rules" / name).read_text(encoding="utf-8")
        assert written == text(content), "run: python -m deploy.prometheus"


@pytest.mark.parametrize("alert", EVERY, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_whoever_is_woken_knows_whom_and_where_to_read(alert: Alert) -> None:
    assert alert.owner in get_args(Owner)
    assert alert.summary
    assert alert.says.endswith(".")
    page = ROOT / "docs" / "runbooks" / f"{alert.name}.md"
    told = page.read_text(encoding="utf-8")
    assert told.startswith(f"# {alert.name}\n")
    for heading in (
        "## What it means",
        "## What to look at",
        "## What to do",
        "## When it is over",
    ):
        assert heading in told, f"{page.name}: {heading}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.expr[:60])
def test_every_rule_asks_for_what_is_measured(rule: Alert | Recording) -> None:
    listed = set(re.findall(r"`(casegrid_\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
    recorded = {one.record for promise in PROMISES for one in promise.recordings()}
    for name in re.findall(r"[\w:]*casegrid_[\w:]+", rule.expr):
        plain = re.sub(r"_(bucket|count|sum)$", "", name)
        assert name in recorded or {name, plain} & listed, name


def test_there_is_no_page_without_an_alert() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("Casegrid*.md")}
    assert pages == {alert.name for alert in EVERY}


def test_only_windows_are_divided() -> None:
    assert shorter("2m", 60) == "2s"
    assert shorter("30s", 60) == "1s"
    assert in_less_time("min_over_time(a[5m:15s]) > 300 and rate(b[1h])", 60) == (
        "min_over_time(a[5s:1s]) > 300 and rate(b[60s])"
    )


def test_probes_are_no_requests_of_anybody() -> None:
    assert set(OPERATIONS.split("|")) >= {"/livez", "/readyz", "/startupz", "/metrics"}
