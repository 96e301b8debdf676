"""The stream of made-up petitions: repeatable, of the published mix, and readable."""

import csv
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import pytest

from deploy.local.samples import CHANNELS, KINDS, TOPICS, gazetteer, samples, templates
from services.intake.decisions.reading import Reader, ToRead, compile_vocabulary
from shared.divisions import DivisionCode, tier_of
from shared.events import CategoryRow, Channel, DivisionRow, Kind, PlaceRow, WordRow

DATA = Path(__file__).parents[2] / "services/router/data"
MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


@cache
def categories() -> dict[str, CategoryRow]:
    return {row["code"]: CategoryRow.model_validate(row) for row in rows("categories.csv")}


@cache
def reader() -> Reader:
    return compile_vocabulary(
        [WordRow.model_validate(row) for row in rows("vocabulary.csv")],
        gazetteer(),
        categories().values(),
        [DivisionRow.model_validate(row) for row in rows("divisions.csv")],
    )


@cache
def five_thousand() -> list[dict[str, Any]]:
    return list(islice(samples(seed=1, since=MONDAY), 5_000))


def to_read(body: dict[str, Any]) -> ToRead:
    place = body.get("place", {})
    return ToRead(
        text=body["text"],
        kind=body["kind"],
        subject=body.get("subject", ""),
        category=body.get("category"),
        division=place.get("code"),
        lat=place.get("lat"),
        lon=place.get("lon"),
        place_words=place.get("words", ""),
    )


def share(counted: Counter[str], name: str) -> float:
    return 100 * counted[name] / counted.total()


def test_the_same_seed_says_the_same_and_another_says_something_else() -> None:
    first = list(islice(samples(seed=7, since=MONDAY), 200))
    assert first == list(islice(samples(seed=7, since=MONDAY), 200))
    assert first != list(islice(samples(seed=8, since=MONDAY), 200))


def test_all_channels_kinds_and_urgencies_come_up() -> None:
    bodies = five_thousand()
    assert {body["channel"] for body in bodies} == set(get_args(Channel)) == set(CHANNELS)
    assert {body["kind"] for body in bodies} == set(get_args(Kind)) == set(KINDS)
    urgencies = {categories()[b["category"]].urgency for b in bodies if "category" in b}
    assert urgencies == {"U1", "U2", "U3", "U4"}


def test_the_mix_is_the_published_one() -> None:
    channels = Counter(body["channel"] for body in five_thousand())
    kinds = Counter(body["kind"] for body in five_thousand())
    assert share(channels, "phone") == pytest.approx(90.7, abs=1.5)
    assert share(kinds, "consult") == pytest.approx(58.5, abs=2.5)


def test_bodies_have_only_the_fields_of_the_form() -> None:
    fields = {
        "kind", "channel", "text", "subject", "category", "place", "person", "contact", "accused",
        "occurred_at", "on_behalf",
    }  # fmt: skip
    places = ({"code"}, {"lat", "lon"}, {"words"})
    for body in five_thousand():
        assert body.keys() <= fields
        assert "{" not in body["text"]
        assert "place" not in body or body["place"].keys() in places
        assert body.get("category", "L99") in categories()
        assert ("on_behalf" in body) is (body["channel"] in ("letter", "visit"))
        if "occurred_at" in body:
            assert datetime.fromisoformat(body["occurred_at"]) < MONDAY


def test_every_optional_field_is_sometimes_there() -> None:
    seen = Counter(field for body in five_thousand() for field in body)
    for field in ("subject", "category", "place", "person", "contact", "accused", "occurred_at"):
        assert 0 < seen[field] < 5_000
    ways = {tuple(sorted(body["place"])) for body in five_thousand() if "place" in body}
    assert ways == {("code",), ("lat", "lon"), ("words",)}
    many = islice(samples(seed=2, since=MONDAY), 20_000)
    accused = {field for body in many if "accused" in body for field in body["accused"]}
    assert accused == {"division", "unknown"}


def test_nobody_can_be_reached_under_what_is_said() -> None:
    for body in five_thousand():
        contact = body.get("contact", {})
        assert contact.get("phone", "0000000").startswith("0000000")
        assert contact.get("email", "@example.org").endswith("@example.org")


def test_read_with_the_default_vocabulary_they_lie_on_every_tier() -> None:
    readings = [reader().read(to_read(body)) for body in five_thousand()]
    tiers = Counter(str(tier_of(DivisionCode(reading.division))) for reading in readings)
    assert share(tiers, "None") == pytest.approx(32, abs=3)
    assert share(tiers, "district") == pytest.approx(38, abs=3)
    assert share(tiers, "street") == pytest.approx(18, abs=2)
    assert share(tiers, "grid") == pytest.approx(11, abs=2)
    assert tiers["community"] > 20
    assert {reading.placed_by for reading in readings} == {"code", "coordinates", "name", "none"}


def test_most_are_read_as_the_matter_they_were_written_for_and_some_are_not() -> None:
    texts = templates()
    right = sum(
        reader().read(ToRead(text=t.text, kind=t.kind, subject=t.subject)).category == t.category  # type: ignore[arg-type]
        for t in texts
    )
    assert 0.9 * len(texts) <= right < len(texts)


def test_the_texts_cover_the_catalogue() -> None:
    assert len({template.category for template in templates()}) >= 60
    assert {template.category for template in templates()} <= categories().keys()
    assert {template.topic for template in templates()} == TOPICS.keys()


def test_other_places_may_be_given() -> None:
    town = [PlaceRow(name="甲区", division="990101"), PlaceRow(name="乙街道", division="990101001"),
            PlaceRow(name="丙花园", division="990101001001001")]  # fmt: skip
    words = {
        body["place"]["words"]
        for body in islice(samples(seed=1, since=MONDAY, places=town), 500)
        if "words" in body.get("place", {})
    }
    assert words == {"甲区", "乙街道", "甲区乙街道", "丙花园", "甲区丙花园"}
