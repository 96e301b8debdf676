"""The lists of metrics: the page is current, every label is bounded, nothing is beside them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from services.metrics_page import (
    FILE,
    LISTS,
    exported_name,
    labels_of,
    metrics_of,
    names_of,
    render,
)

ROOT = Path(__file__).parents[2]
KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
EVERY = [(title, metric) for title, module in LISTS.items() for metric in metrics_of(module)]


def test_the_page_is_current() -> None:
    assert FILE.read_text() == render(), "python -m services.metrics_page"


@pytest.mark.parametrize(("title", "metric"), EVERY, ids=lambda one: getattr(one, "_name", one))
def test_each_metric_says_whose_it_is_what_it_is_and_what_its_labels_may_be(
    title: str, metric: MetricWrapperBase
) -> None:
    whose = "casegrid_" if title == "every service" else f"casegrid_{title}_"
    assert metric._name.startswith(whose)
    assert metric._documentation.strip() == metric._documentation != ""
    assert set(names_of(metric)) <= set(labels_of(LISTS[title]))


def test_no_name_is_given_twice_and_no_label_is_listed_that_nobody_has() -> None:
    names = [exported_name(metric) for _, metric in EVERY]
    assert len(names) == len(set(names))
    for module in LISTS.values():
        used = {name for metric in metrics_of(module) for name in names_of(metric)}
        assert set(labels_of(module)) == used


def test_nothing_is_measured_beside_the_lists() -> None:
    lists = {module.__file__ for module in LISTS.values()}
    beside = [
        f"{path}:{node.lineno}"
        for path in sorted([*ROOT.glob("services/**/*.py"), *ROOT.glob("shared/**/*.py")])
        if str(path) not in lists
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in KINDS
        and any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in node.args)
    ]
    assert beside == []
