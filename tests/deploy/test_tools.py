"""The tools of the tests: had once, kept, and what is missing is said."""

import subprocess
from pathlib import Path

import pytest

from deploy.image.debian import Missing
from tests.tools import AlertmanagerTools, PrometheusTools, prometheus_tools


def test_the_programs_run(
    prometheus_tools: PrometheusTools, alertmanager_tools: AlertmanagerTools
) -> None:
    for program, name in (
        (prometheus_tools.promtool, "promtool"),
        (prometheus_tools.prometheus, "prometheus"),
        (alertmanager_tools.amtool, "amtool"),
        (alertmanager_tools.alertmanager, "alertmanager"),
    ):
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert name in answer.stdout + answer.stderr


def test_what_is_there_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "prometheus").mkdir()
    monkeypatch.setenv("PATH", "")
    assert prometheus_tools(tmp_path).promtool == tmp_path / "prometheus" / "promtool"


def test_a_system_without_debians_packages_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Missing, match="apt-get and dpkg not found"):
        prometheus_tools(tmp_path)
    assert not (tmp_path / "prometheus").exists()
