"""The dashboards: written from the code, in two languages, and each alert can be seen on one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

import pytest

from deploy.grafana.__main__ import HERE, PAGES, text
from deploy.grafana.panel import ALERT_OF, LEAST, Page, limits_of
from deploy.prometheus.rule import RUNBOOKS

EVERY = [pytest.param(page, id=page.uid) for page in PAGES]


class Square(NamedTuple):
    """A place on the grid of a dashboard."""

    x: int
    y: int
    w: int
    h: int


def panels(page: Page) -> Iterator[dict[str, Any]]:
    """The panels of a dashboard, headings too, as Grafana reads them."""
    yield from json.loads(text(page))["panels"]


@pytest.mark.parametrize("page", EVERY)
def test_the_file_is_what_the_code_says(page: Page) -> None:
    file = HERE / f"{page.uid}.json"
    assert file.read_text(encoding="utf-8") == text(page), "run `python -m deploy.grafana`"


def test_there_is_no_other_file() -> None:
    assert {file.stem for file in HERE.iterdir()} == {page.uid for page in PAGES}


@pytest.mark.parametrize("page", EVERY)
def test_officers_can_read_it_too(page: Page) -> None:
    titles = [json.loads(text(page))["title"], *(panel["title"] for panel in panels(page))]
    assert [title for title in titles if not re.fullmatch(r"[ -~]+ · .*[一-鿿].*", title)] == []


@pytest.mark.parametrize("page", EVERY)
def test_no_panel_lies_upon_another(page: Page) -> None:
    squares = [Square(**panel["gridPos"]) for panel in panels(page)]
    assert all(one.x + one.w <= 24 for one in squares)
    upon = [
        (one, two)
        for one, two in combinations(squares, 2)
        if one.x < two.x + two.w
        and two.x < one.x + one.w
        and one.y < two.y + two.h
        and two.y < one.y + one.h
    ]
    assert upon == []


def test_whoever_follows_an_alert_sees_what_it_is_about_and_what_to_do() -> None:
    links = {
        page.uid: {link["url"] for panel in panels(page) for link in panel.get("links", ())}
        for page in PAGES
    }
    unseen = [
        name
        for name, alert in ALERT_OF.items()
        if f"{RUNBOOKS}/{name}" not in links[alert.dashboard]
    ]
    assert unseen == []


def test_a_line_is_where_the_alert_begins() -> None:
    (slow,) = limits_of(["CasegridLagging"])
    assert (slow.value, slow.colour, slow.below) == (60, "red", "green")
    (ticket,) = limits_of(["CasegridOutboxDeep"])
    assert (ticket.value, ticket.colour) == (10_000, "orange")
    (any_at_all,) = limits_of(["CasegridParked"])
    assert any_at_all.value == LEAST
    assert list(limits_of(["CasegridServiceDown"])) == [], "no single number says it"
