"""Each alert fires when it must and not when it must not, said by promtool."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
import yaml

from deploy.prometheus.__main__ import HERE, files, text, write
from deploy.prometheus.alerts import ALERTS, ARCHIVER, BACKUP_AT, JOBS
from deploy.prometheus.promises import BURNS, OPERATIONS, PROMISES, Promise
from deploy.prometheus.rule import (
    Alert,
    Links,
    Owner,
    Recording,
    group,
    in_less_time,
    seconds_of,
    shorter,
)
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
    """With what an alert fires, after how long, and with what it must be quiet.

    `steps`: for each series its value while all is well, and from when it is not; the alert must
    fire exactly `after` that and no sooner. Values in promtool's notation without how often, one
    each `EACH` seconds. `labels`: those of what fires. `fires`, `quiet`: more that must, and must
    not, each steady.
    """

    after: str
    steps: Mapping[str, tuple[str, str]]
    labels: Mapping[str, str]
    quiet: tuple[Mapping[str, str], ...] = ()
    fires: tuple[Mapping[str, str], ...] = ()


EACH = 15
WELL = 40
"""So many values longer than `after` all is well first."""


def level(series: str, high: str, low: str, after: str, least: str = "", **labels: str) -> Tried:
    """A gauge that just is not too high, and then is; once it was `least`."""
    return Tried(after, {series: (f"{least} {low}".strip(), high)}, labels)


def waking(in_time: str) -> dict[str, str]:
    """A loop that was asked 24 times in a quarter of a minute how late it woke."""
    name = 'casegrid_loop_lag_seconds_bucket{job="router",instance="a",le='
    return {f'{name}"0.5"}}': in_time, f'{name}"5"}}': "0+24", f'{name}"+Inf"}}': "0+24"}


def waiting(queue: str) -> str:
    """How long the oldest case waits in a stuck queue of a street."""
    return f'casegrid_router_waiting_oldest_seconds{{queue="{queue}",tier="street"}}'


def growing(series: str, **labels: str) -> Tried:
    """A counter of what must not happen: it stands still, and then it grew."""
    return Tried("0s", {series: ("7", "8")}, labels)


def of_postgres(metric: str, pod: str = "a") -> str:
    """What a server of a PostgreSQL cluster says."""
    return f'{metric}{{job="{CLUSTER}",pod="{pod}"}}'


CLUSTER = "casegrid/casegrid-db-intake"


UP_ALL = {f'up{{job="{job}",instance="a"}}': ("1", "1") for job in JOBS}
TRIED: Mapping[str, Tried] = {
    "CasegridServiceDown": Tried(
        "2m",
        UP_ALL | {'up{job="router",instance="a"}': ("1", "0")},
        {"job": "router"},
        fires=({f'up{{job="{job}",instance="a"}}': "1" for job in JOBS if job != "router"},),
    ),
    "CasegridInstanceDown": Tried(
        "5m",
        UP_ALL | {'up{job="router",instance="b"}': ("1", "0")},
        {"job": "router", "instance": "b"},
        # All of them are down: that is another alert.
        quiet=({'up{job="router",instance="a"}': "0", 'up{job="router",instance="b"}': "0"},),
    ),
    "CasegridNotReady": Tried(
        "2m",
        {
            'casegrid_ready{job="router",instance="a"}': ("0", "0"),
            'casegrid_ready{job="router",instance="b"}': ("0.5", "0"),
        },
        {"job": "router"},
    ),
    "CasegridDegraded": Tried(
        "10m",
        {'casegrid_ready{job="router",instance="a"}': ("1", "0.5")},
        {"job": "router"},
        quiet=({f'casegrid_ready{{job="router",instance="{one}"}}': "0" for one in "ab"},),
        # One of several is not ready: nobody else says so.
        fires=tuple(
            {
                'casegrid_ready{job="router",instance="a"}': "0",
                'casegrid_ready{job="router",instance="b"}': other,
            }
            for other in ("0.5", "1")
        ),
    ),
    "CasegridNoRelay": Tried(
        "2m",
        {
            'casegrid_relay_active{job="intake",instance="a"}': ("0", "0"),
            'casegrid_relay_active{job="intake",instance="b"}': ("1", "0"),
        },
        {"job": "intake"},
    ),
    "CasegridHeartbeatMissing": Tried(
        "30s",
        {
            # It cannot ask its database, and so knows less than the other.
            'casegrid_heartbeat_age_seconds{stage="routed",instance="a"}': ("500+15", "900+15"),
            'casegrid_heartbeat_age_seconds{stage="routed",instance="b"}': ("90", "91"),
        },
        {"stage": "routed"},
    ),
    "CasegridNoHeartbeat": Tried(
        "5m", {'casegrid_heartbeat_age_seconds{stage="routed"}': ("1", "stale")}, {}
    ),
    "CasegridOutboxStuck": level(
        'casegrid_outbox_age_seconds{job="intake"}', "31", "30", "1m", job="intake"
    ),
    "CasegridOutboxDeep": level(
        'casegrid_outbox_depth{job="intake"}', "10001", "10000", "5m", job="intake"
    ),
    "CasegridIntakeRefuses": Tried(
        "5m",
        {
            'casegrid_intake_refused_total{reason="outbox"}': ("5", "6+1"),
            # Who sends too much is told so; that is nobody's fault here.
            'casegrid_intake_refused_total{reason="share"}': ("0+5", "500+5"),
        },
        {"reason": "outbox"},
    ),
    "CasegridLagging": Tried(
        "2m",
        {'casegrid_consumer_lag_seconds{job="router",topic="intake.events"}': ("60", "61")},
        {"job": "router", "topic": "intake.events"},
        # Nobody is woken for figures.
        quiet=({'casegrid_consumer_lag_seconds{job="analytics",topic="router.events"}': "5000"},),
    ),
    "CasegridPartitionStopped": level(
        'casegrid_stopped_partitions{job="router",topic="intake.events"}', "1", "0", "1m",
        job="router", topic="intake.events",
    ),
    "CasegridParked": level('casegrid_parked{job="router"}', "1", "0", "1m", job="router"),
    "CasegridPetitionsBlocked": level("casegrid_router_blocked_petitions", "1", "0", "15m"),
    "CasegridUnread": level("casegrid_intake_unread_age_seconds", "61", "60", "1m"),
    "CasegridUnrouted": level("casegrid_intake_unrouted_oldest_seconds", "301", "300", "1m"),
    "CasegridDeadlineNotFired": level(
        "casegrid_escalation_unfired_oldest_seconds", "31", "30", "30s"
    ),
    # How many are under way says nothing: in a city some always are.
    "CasegridOrdersUnanswered": level(
        "casegrid_escalation_orders_oldest_seconds", "301", "300", "1m"
    ),
    "CasegridQueueStuck": Tried(
        "1h",
        {waiting("dispatcher"): ("259200", "259201")},
        {"queue": "dispatcher", "tier": "street"},
        # Over a weekend nobody calls, and no outside body takes anything.
        quiet=(
            {waiting("call_back"): "604800"},
            {waiting("more_time"): "604800"},
            {waiting("hand_over"): "345600"},
            {waiting("pause"): "9999999"},
        ),
    ),
    # As many as yesterday is a level, however high.
    "CasegridNoticesNotPushed": level(
        "casegrid_escalation_notices_not_pushed", "511", "510", "10m", least="500"
    ),
    "CasegridNoticesUnheeded": level(
        "casegrid_escalation_notices_unheeded", "4021", "4020", "1h", least="4000"
    ),
    "CasegridProjectionOld": level(
        "casegrid_analytics_projection_age_seconds", "301", "300", "5m"
    ),
    "CasegridRecordsMissed": growing(
        'casegrid_records_missed_total{job="router",topic="intake.events"}',
        job="router", topic="intake.events",
    )._replace(
        # They expired while no process ran: counted before the first look.
        fires=({'casegrid_records_expired{job="router",topic="intake.events"}': "3"},),
        quiet=({'casegrid_records_expired{job="router",topic="intake.events"}': "0"},),
    ),
    "CasegridLanesRefused": growing(
        'casegrid_lanes_refused_total{job="intake",reason="RecordTooLarge"}',
        job="intake", reason="RecordTooLarge",
    ),
    "CasegridUnstorable": growing("casegrid_intake_unstorable_total"),
    "CasegridCensusDiffers": growing(
        'casegrid_census_differences_total{job="router",topic="intake.events"}',
        job="router", topic="intake.events",
    ),
    "CasegridCensusStrangers": growing(
        'casegrid_census_strangers_total{job="analytics",topic="router.events"}',
        job="analytics", topic="router.events",
    ),
    "CasegridCensusOld": Tried(
        "10m",
        {
            'casegrid_census_walk_age_seconds{job="router",instance="a"}': ("10801", "10801"),
            'casegrid_census_walk_age_seconds{job="router",instance="b"}': ("10800", "10801"),
        },
        {"job": "router"},
        quiet=(
            # 18,000 pages take longer; and so long does a whole walk take.
            {
                'casegrid_census_walk_age_seconds{job="router"}': "30000",
                'casegrid_router_open_cases{job="router",tier="street"}': "4000000",
                'casegrid_router_open_cases{job="router",tier="grid"}': "5000000",
            },
            {'casegrid_census_walk_age_seconds{job="analytics"}': "NaN"},
        ),
        fires=(
            {
                'casegrid_census_walk_age_seconds{job="router",instance="a"}': "10801",
                # It does not count, or has not come to it yet.
                'casegrid_census_walk_age_seconds{job="router",instance="b"}': "NaN",
            },
            {
                'casegrid_census_walk_age_seconds{job="router"}': "46801",
                'casegrid_router_open_cases{job="router",tier="street"}': "4000000",
                'casegrid_router_open_cases{job="router",tier="grid"}': "5000000",
            },
        ),
    ),
    "CasegridOrdersUnknown": growing("casegrid_router_orders_unknown_total"),
    "CasegridForeignClock": growing(
        'casegrid_foreign_clock_events_total{job="router",topic="intake.events"}',
        job="router", topic="intake.events",
    ),
    "CasegridClockSkew": level(
        'casegrid_clock_skew_seconds{job="router"}', "-2.1", "-2", "2m", job="router"
    ),
    "CasegridCalendarEnds": level(
        "casegrid_router_calendar_left_seconds", "3887999", "3888000", "1h"
    ),
    "CasegridPoliciesDiffer": Tried(
        "10m",
        {
            'casegrid_router_policy_version{job="router",instance="a"}': ("3", "4"),
            'casegrid_router_policy_version{job="router",instance="b"}': ("0", "0"),
            'casegrid_intake_policy_version{job="intake",instance="a"}': ("3", "3"),
        },
        {},
        fires=(
            # One of intake's did not take it.
            {
                'casegrid_router_policy_version{job="router"}': "4",
                'casegrid_intake_policy_version{job="intake",instance="a"}': "4",
                'casegrid_intake_policy_version{job="intake",instance="b"}': "3",
            },
        ),
    ),
    "CasegridWeather": Tried(
        "15m",
        {'casegrid_weather_total{job="router",loop="relay",what="x"}': ("5", "6+1")},
        {"job": "router", "loop": "relay"},
        # Once, and it is over.
        quiet=({'casegrid_weather_total{job="router",loop="relay",what="x"}': "5x301 6"},),
    ),
    # Blocked for 5 s of every 20 it is asked in time and late, and two samples make a rate.
    "CasegridLoopSlow": Tried(
        "315s",
        {name: ("_", values) for name, values in waking("0+23.25").items()},
        {"job": "router", "instance": "a"},
        quiet=(waking("0+23.875"),),
    ),
    "CasegridBackupOld": Tried(
        "1h", {of_postgres(BACKUP_AT): ("-120000", "-130000")}, {"job": CLUSTER}
    ),
    "CasegridArchiveFails": Tried(
        "15m",
        {
            of_postgres(f"{ARCHIVER}_last_failed_time"): ("500", "2000"),
            of_postgres(f"{ARCHIVER}_last_archived_time"): ("1000", "1000"),
            # A replica archives nothing.
            of_postgres(f"{ARCHIVER}_last_archived_time", "b"): ("-1", "-1"),
        },
        {"job": CLUSTER},
        quiet=({of_postgres(f"{ARCHIVER}_last_{what}_time"): "-1"
                for what in ("failed", "archived")},),
    ),
    "CasegridReplicasMissing": Tried(
        "10m",
        {
            of_postgres("cnpg_pg_replication_streaming_replicas"): ("2", "1"),
            of_postgres("cnpg_pg_replication_streaming_replicas", "b"): ("0", "0"),
        },
        {"job": CLUSTER},
    ),
}  # fmt: skip

KIND = {
    "availability": "intake", "latency": "intake", "routing": "intake",
    "escalation": "escalation",
}  # fmt: skip


def burning(
    promise: Promise, stretches: Sequence[tuple[int, float, float]], each: int
) -> dict[str, str]:
    """What a promise is measured by while its budget burns so; a thousand events a minute at 1."""
    job, budget = KIND[promise.name], 1 - promise.objective
    bad = grown(
        [(minutes, 1000 * many * times * budget) for minutes, times, many in stretches], each
    )
    good = grown(
        [(minutes, 1000 * many * (1 - times * budget)) for minutes, times, many in stretches], each
    )
    whole = grown([(minutes, 1000 * many) for minutes, _, many in stretches], each)
    if promise.name == "availability":
        series = f'casegrid_http_requests_total{{job="{job}",route="/petitions",method="POST"'
        probes = f'casegrid_http_requests_total{{job="{job}",route="/readyz",method="GET"'
        return {
            f'{series},status="503"}}': bad,
            f'{series},status="202"}}': good,
            f'{probes},status="503"}}': whole,
        }
    name, le, more = {
        "latency": ("casegrid_http_request_seconds", "0.5", ',route="/petitions"'),
        "routing": ("casegrid_intake_accept_to_routed_seconds", "10.0", ""),
        "escalation": ("casegrid_escalation_fired_late_seconds", "10.0", ""),
    }[promise.name]
    return {
        f'{name}_count{{job="{job}"{more}}}': whole,
        f'{name}_bucket{{job="{job}"{more},le="{le}"}}': good,
    }


def grown(stretches: Sequence[tuple[int, float]], each: int) -> str:
    """A counter that grows by so much a minute for so many minutes, stretch after stretch."""
    reached, said = 0.0, ["0"]
    for minutes, a_minute in stretches:
        step, times = a_minute * each / 60, minutes * 60 // each
        said.append(f"{reached + step:.10g}+{step:.10g}x{times - 1}")
        reached += step * times
    return " ".join(said)


def told(alert: Alert, seconds: int, labels: Mapping[str, str] | None) -> dict[str, Any]:
    """A test of promtool's: an alert fires then, with these labels; None: it is quiet."""
    whole = {
        "alertname": alert.name,
        "alertstate": "firing",
        "owner": alert.owner,
        "severity": alert.severity,
    }
    chosen = ",".join(f'{name}="{value}"' for name, value in whole.items())
    said = ",".join(f'{name}="{value}"' for name, value in (whole | dict(labels or {})).items())
    samples = [] if labels is None else [{"labels": f"ALERTS{{{said}}}", "value": 1}]
    return {"expr": f"ALERTS{{{chosen}}}", "eval_time": f"{seconds}s", "exp_samples": samples}


def asked(
    what: str, series: Mapping[str, str], tests: list[dict[str, Any]], each: int = EACH
) -> dict[str, Any]:
    """A group of promtool's tests of the same series."""
    return {
        "name": what,
        "interval": f"{each}s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": tests,
    }


def so_often(value: str, times: int) -> str:
    """A value, or what grows, so often; a series that ends, ends once."""
    if value == "NaN":
        return " ".join([value] * times)
    if value == "_":  # what is left out is so many, where a value is one more
        return f"_x{times}"
    return value if value == "stale" else f"{value}x{times - 1}"


def groups(alert: Alert) -> Iterator[dict[str, Any]]:
    """An alert, firing and quiet."""
    if alert.severity == "none":
        yield asked(alert.name, {"up": "1"}, [told(alert, 0, {})])
        return
    promise = promise_of(alert)
    if promise is not None:
        yield from of_a_promise(alert, promise)
        return
    tried = TRIED[alert.name]
    after = seconds_of(tried.after)
    well, ill = WELL + after // EACH, after // EACH + 1
    series = {
        name: f"{written(good, well)} {so_often(bad, ill)}"
        for name, (good, bad) in tried.steps.items()
    }
    moment = well * EACH + after
    yield asked(
        alert.name, series, [told(alert, moment - EACH, None), told(alert, moment, tried.labels)]
    )
    long = 2 * moment
    for cases, labels in ((tried.fires, tried.labels), (tried.quiet, None)):
        for n, steady in enumerate(cases):
            series = {name: written(values, long // EACH + 1) for name, values in steady.items()}
            what = f"{alert.name} {'fires' if labels is not None else 'is quiet'} too, {n}"
            yield asked(what, series, [told(alert, long, labels)])


def written(values: str, times: int) -> str:
    """Values up to the end: the last of them stays."""
    *before, last = values.split()
    return " ".join([*before, so_often(last, times - len(before))])


class Burnt(NamedTuple):
    """How a budget burnt, in stretches of (minutes, how many times too fast, how many events).

    `only`: what no other pair of windows of its severity tells. `over`: as much, and it has ended
    since. `spike`: fast enough for the short window, and not for long enough.
    """

    only: tuple[tuple[int, float, float], ...]
    over: tuple[tuple[int, float, float], ...]
    spike: tuple[tuple[int, float, float], ...]


HOUR = 60
DAY = 24 * HOUR
BURNT: Mapping[str, Mapping[str, Burnt]] = {
    "page": {
        "1h and 5m": Burnt(
            only=((6 * HOUR, 0, 1), (HOUR + 5, 17, 1)),
            over=((6 * HOUR, 0, 1), (HOUR + 5, 20, 1), (7, 0, 1)),
            spike=((6 * HOUR, 0, 1), (8, 20, 1)),
        ),
        "6h and 30m": Burnt(
            only=((6 * HOUR, 0, 1), (6 * HOUR, 7, 1)),
            over=((6 * HOUR, 0, 1), (6 * HOUR, 9, 1), (40, 0, 1)),
            spike=((6 * HOUR, 0, 1), (45, 9, 1)),
        ),
    },
    "ticket": {
        "1d and 2h": Burnt(
            # With as many events each day three days would fail their share as well.
            only=((2 * DAY, 0, 4), (DAY, 3.6, 1)),
            over=((2 * DAY, 0, 4), (DAY, 5, 1), (3 * HOUR, 0, 1)),
            spike=((2 * DAY, 0, 4), (3 * HOUR, 6, 1)),
        ),
        "3d and 6h": Burnt(
            only=((DAY, 0, 1), (3 * DAY, 1.2, 1)),
            over=((DAY, 0, 1), (3 * DAY, 1.4, 1), (7 * HOUR, 0, 1)),
            spike=((3 * DAY, 0, 1), (9 * HOUR, 1.5, 1)),
        ),
    },
}
LASTS = {"page": 120, "ticket": 900}
"""Seconds for which a budget must burn; one value each is enough."""


def of_a_promise(alert: Alert, promise: Promise) -> Iterator[dict[str, Any]]:
    """What burns a budget, and what does not, for each pair of windows."""
    each, labels = each_of(alert), {"job": KIND[promise.name]}
    for windows, burnt in BURNT[alert.severity].items():
        for what, stretches in burnt._asdict().items():
            end = sum(minutes for minutes, _, _ in stretches) * 60
            tests = [told(alert, end, labels if what == "only" else None)]
            if what == "only":
                tests.append(lasting(alert, end, each))
            name = f"{alert.name}, {windows}: {what}"
            yield asked(name, burning(promise, stretches, each), tests, each)


def lasting(alert: Alert, end: int, each: int) -> dict[str, Any]:
    """A test of promtool's: how long it was so before it was told."""
    chosen = f'ALERTS{{alertname="{alert.name}",alertstate="%s"}}'
    first = f"min(min_over_time(timestamp({chosen})[{end}s:{each}s]))"
    return {
        "expr": f"{first % 'firing'} - {first % 'pending'}",
        "eval_time": f"{end}s",
        "exp_samples": [{"labels": "{}", "value": LASTS[alert.severity]}],
    }


def each_of(alert: Alert) -> int:
    """Seconds between two values of the series by which an alert is tried."""
    if promise_of(alert) is None:
        return EACH
    return LASTS[alert.severity]


def promise_of(alert: Alert) -> Promise | None:
    """The promise whose budget an alert watches."""
    return next((promise for promise in PROMISES if alert in promise.alerts()), None)


def tried_in(alert: Alert, folder: Path) -> Path:
    """A file of promtool's tests of one alert, and beside it the rules that it needs."""
    promise = promise_of(alert)
    recordings = () if promise is None else promise.recordings()
    needs = [one for one in recordings if f"{one.record} " in alert.expr]
    rules, tests = folder / "rules.yml", folder / "tests.yml"
    rules.write_text(text({"groups": [group("tried", [*needs, alert])]}))
    content = {"rule_files": [rules.name], "evaluation_interval": f"{each_of(alert)}s"}
    tests.write_text(yaml.safe_dump(content | {"tests": list(groups(alert))}, sort_keys=False))
    return tests


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The rules as Prometheus reads them."""
    return write(tmp_path_factory.mktemp("rules"))


@pytest.mark.parametrize("alert", EVERY, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_every_alert_fires_when_it_must_and_only_then(
    alert: Alert, prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    said = subprocess.run(
        [prometheus_tools.promtool, "test", "rules", tried_in(alert, tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr


def test_each_pair_of_windows_is_tried() -> None:
    assert {(severity, windows) for severity, each in BURNT.items() for windows in each} == {
        (burn.severity, f"{burn.long} and {burn.short}") for burn in BURNS
    }


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


def test_alerts_lead_to_where_the_pages_are_said_to_be(tmp_path: Path) -> None:
    ours = Links("https://a.example/runbooks", "https://b.example/d")
    for path in write(tmp_path, links=ours):
        for each in yaml.safe_load(path.read_text())["groups"]:
            for rule in (rule for rule in each["rules"] if "alert" in rule):
                links = rule["annotations"]
                assert links["runbook_url"] == f"https://a.example/runbooks/{rule['alert']}"
                assert links["dashboard_url"].startswith("https://b.example/d/casegrid-")


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
