"""Who is called, and who is not: said by a real Alertmanager that was given our settings."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from deploy.compose.__main__ import ALERTMANAGER, receivers
from shared.heartbeat import STAGES
from tests.deploy.test_alerts import EVERY
from tests.servers import free_port
from tests.tools import AlertmanagerTools

TARGETS: Final = "url_file: /etc/alertmanager/targets/"
"""Debian's Alertmanager 0.25 has no files of addresses yet: it is given the addresses."""

WITH_TEMPLATES: Final = """
set -e
mount -t tmpfs tmpfs /usr/share
mkdir -p /usr/share/prometheus/alertmanager
touch /usr/share/prometheus/alertmanager/default.tmpl /usr/share/prometheus/alertmanager/email.tmpl
exec "$0" "$@"
"""
"""Debian's looks there for the texts of mails, and does not begin without them; we send none."""

SETTLED_SECONDS: Final = 2.0

Labels = Mapping[str, str]


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Ours, with addresses where nobody is."""
    file = tmp_path / "alertmanager.yml"
    text = ALERTMANAGER.read_text(encoding="utf-8")
    file.write_text(text.replace(TARGETS, "url: http://127.0.0.1:9/"))
    return file


@contextmanager
def running(tools: AlertmanagerTools, settings: Path) -> Iterator[httpx.Client]:
    """An Alertmanager of these settings."""
    port = free_port()
    command = [
        "unshare", "--map-root-user", "--mount", "sh", "-c", WITH_TEMPLATES,
        str(tools.alertmanager),
        f"--config.file={settings}",
        f"--storage.path={settings.parent / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    with (settings.parent / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            end = time.monotonic() + 30
            while not is_ready(client):
                assert time.monotonic() < end, (settings.parent / "log").read_text()
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(20)


def is_ready(client: httpx.Client) -> bool:
    """Whether it answers."""
    try:
        return client.get("/-/ready").is_success
    except httpx.TransportError:
        return False


def told(client: httpx.Client, alerts: Sequence[Labels]) -> list[dict[str, Any]]:
    """What it makes of these."""
    client.post("/api/v2/alerts", json=[{"labels": one} for one in alerts]).raise_for_status()
    # It takes them in one after the other, and what inhibits is heard of apart.
    time.sleep(SETTLED_SECONDS)
    found: list[dict[str, Any]] = client.get("/api/v2/alerts").json()
    assert len(found) == len(alerts)
    return found


def fired(name: str, **labels: str) -> Labels:
    """An alert of ours as Prometheus sends it."""
    rule = next(one for one in EVERY if one.name == name)
    return {"alertname": name, "severity": rule.severity, "owner": rule.owner, **labels}


def test_every_alert_goes_to_its_owner_as_loudly_as_it_is(
    alertmanager_tools: AlertmanagerTools, settings: Path
) -> None:
    with running(alertmanager_tools, settings) as client:
        every = [
            {"alertname": one.name, "severity": one.severity, "owner": one.owner, "n": str(n)}
            for n, one in enumerate(EVERY)
        ]
        for one in told(client, every):
            severity, owner = one["labels"]["severity"], one["labels"]["owner"]
            expected = f"{severity}-{owner.replace(' ', '-')}"
            if severity == "none":
                expected = "sign-of-life"
            assert [each["name"] for each in one["receivers"]] == [expected], one["labels"]


def beats() -> list[Labels]:
    """Heartbeats that are missing everywhere."""
    return [fired("CasegridHeartbeatMissing", stage=stage) for stage in STAGES.values()]


@pytest.mark.parametrize(
    ("cause", "left"),
    [
        (fired("CasegridServiceDown", job="intake"), set()),
        (fired("CasegridServiceDown", job="router"), {"sent"}),
        (fired("CasegridNotReady", job="router"), {"sent"}),
        (fired("CasegridServiceDown", job="escalation"), {"sent", "routed", "counted", "told"}),
        (fired("CasegridServiceDown", job="analytics"), set(STAGES.values()) - {"counted"}),
        (fired("CasegridOutboxStuck", job="router"), {"sent", "routed"}),
        (fired("CasegridOutboxStuck", job="escalation"), set(STAGES.values()) - {"ordered"}),
    ],
    ids=lambda one: f"{one['job']}-{one['alertname']}" if isinstance(one, dict) else "",
)
def test_who_is_told_the_cause_is_not_told_what_follows(
    alertmanager_tools: AlertmanagerTools, settings: Path, cause: Labels, left: set[str]
) -> None:
    others = [
        fired("CasegridDegraded", job=cause["job"]),
        fired("CasegridDegraded", job="other"),
        fired("CasegridUnrouted"),
        fired("CasegridParked", job=cause["job"]),
    ]
    with running(alertmanager_tools, settings) as client:
        heard = [
            one["labels"]
            for one in told(client, [cause, *beats(), *others])
            if not one["status"]["inhibitedBy"]
        ]
    assert cause in heard
    assert {one["stage"] for one in heard if "stage" in one} == left
    assert fired("CasegridDegraded", job="other") in heard
    assert fired("CasegridParked", job=cause["job"]) in heard, "that is another matter"
    down = cause["alertname"] != "CasegridOutboxStuck"
    assert (fired("CasegridDegraded", job=cause["job"]) in heard) is not down
    goes_on = cause["job"] in ("escalation", "analytics")
    assert (fired("CasegridUnrouted") in heard) is goes_on


def test_whoever_is_woken_gets_no_ticket_of_the_same(
    alertmanager_tools: AlertmanagerTools, settings: Path
) -> None:
    page, ticket = (
        {"alertname": "CasegridLatencyBudgetBurns", "job": "intake", "owner": "operations",
         "severity": severity}
        for severity in ("page", "ticket")
    )  # fmt: skip
    with running(alertmanager_tools, settings) as client:
        for one in told(client, [page, ticket, ticket | {"job": "router"}]):
            inhibited = bool(one["status"]["inhibitedBy"])
            assert inhibited is (one["labels"] == ticket)


def test_amtool_finds_no_fault(alertmanager_tools: AlertmanagerTools, settings: Path) -> None:
    done = subprocess.run(
        [alertmanager_tools.amtool, "check-config", settings],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_receiver_has_an_address_of_its_own_and_the_sign_of_life_is_often() -> None:
    settings = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
    addresses = [one["webhook_configs"][0]["url_file"] for one in settings["receivers"]]
    assert addresses == [f"/etc/alertmanager/targets/{name}" for name in receivers()]
    sign, *_ = settings["route"]["routes"]
    assert (sign["receiver"], sign["repeat_interval"]) == ("sign-of-life", "2m")
