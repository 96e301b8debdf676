"""The tools of the tests: had once, kept, and what is missing is said."""

import subprocess
from pathlib import Path

import pytest

from tests.tools import Missing, PrometheusTools, prometheus_tools


def test_promtool_and_prometheus_run(prometheus_tools: PrometheusTools) -> None:
    for program in (prometheus_tools.promtool, prometheus_tools.prometheus):
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert program.name in answer.stdout + answer.stderr


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
