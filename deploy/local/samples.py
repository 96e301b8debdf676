"""Made-up petitions without end, for a stack that has no residents yet: a seeded stream.

The mix is that of published hotline figures: kinds and channels from Beijing 2019 to 2021, topics
from Beijing 2020; where it happened is said as finely as real texts say it. Names, numbers and
places are invented; the texts are templates of ours in `sample_texts.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar, get_args

from shared.events import Channel, Kind, PlaceRow

_DATA: Final = Path(__file__).parents[2] / "services" / "router" / "data"
_TEXTS: Final = Path(__file__).with_name("sample_texts.csv")

CHANNELS: Final[Mapping[Channel, float]] = {
    "phone": 90.7, "app": 2.4, "wechat": 2.1, "web": 1.3, "grid_patrol": 0.8, "online_chat": 0.5,
    "sms": 0.4, "wish_box": 0.4, "email": 0.3, "visit": 0.3, "transfer_in": 0.3, "letter": 0.2,
    "video": 0.15, "iot": 0.15,
}  # fmt: skip
"""Percent. Phone [city: Beijing 2020, 90.7]; the split of the rest is ours."""

KINDS: Final[Mapping[Kind, float]] = {
    "consult": 58.5, "help": 16.0, "complain": 13.0, "report": 7.0, "suggest": 4.0,
    "praise": 0.8, "wish": 0.7,
}  # fmt: skip
"""Percent. Consultations to demands 58.5 to 41.5 [city: Beijing 2019-2021]; the split is ours."""

TOPICS: Final[Mapping[str, float]] = {
    "epidemic": 107.7, "market": 98.0, "service": 64.8, "housing": 61.2, "health": 59.8,
    "building": 54.8, "traffic": 47.2, "order": 46.5, "labour": 35.7, "school": 35.1,
    "safety": 20.0, "sensitive": 8.0, "emergency": 5.0,
}  # fmt: skip
"""In 10,000 contacts a year [city: Beijing 2020]; the last three are ours."""

FINENESS: Final[Mapping[str, float]] = {"none": 32, "district": 38, "street": 18, "estate": 11}
"""Percent of texts whose finest place is this."""

_ONLY_KIND: Final[Mapping[Channel, Kind]] = {
    "grid_patrol": "report", "video": "report", "iot": "report", "wish_box": "wish",
}  # fmt: skip
_ON_PAPER: Final = ("letter", "visit")
_MACHINES: Final = ("grid_patrol", "video", "iot")
_ACCUSING: Final = ("R01", "R02")
_DISTRICT, _STREET, _GRID = 6, 9, 15


@dataclass(frozen=True, slots=True)
class Template:
    """A text with gaps for the place and other details, and the category it is written for."""

    topic: str
    kind: str
    category: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class _Where:
    """Where it happened: words for it, what the form's place field says, the street or district."""

    words: str
    field: dict[str, Any] | None
    unit: str | None


def templates() -> tuple[Template, ...]:
    """All templates of `sample_texts.csv`."""
    with _TEXTS.open(encoding="utf-8", newline="") as file:
        return tuple(Template(**row) for row in csv.DictReader(file))


def gazetteer() -> tuple[PlaceRow, ...]:
    """The demo gazetteer of the project."""
    with (_DATA / "places.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            PlaceRow.model_validate({key: value for key, value in row.items() if value})
            for row in csv.DictReader(file)
        )


def samples(
    seed: int,
    since: datetime,
    places: Sequence[PlaceRow] | None = None,
    texts: Sequence[Template] | None = None,
) -> Iterator[dict[str, Any]]:
    """Bodies for `POST /petitions`, without end; the same seed and `since` give the same ones.

    `since` is the promise time the stream begins: what has an `occurred_at` happened in the three
    days before it. Without `places` and `texts`, the project's own.
    """
    # Not for secrets: a stream that can be repeated is the point.
    chance = Random(seed)  # noqa: S311
    town = _Town(places or gazetteer())
    by_kind = _by_kind(texts or templates())
    while True:
        yield _sample(chance, town, by_kind, since)


def patrol_finds(seed: int) -> Iterator[dict[str, Any]]:
    """What grid workers see on their rounds, without end: small matters, each in a grid. [article]

    Bodies for `POST /petitions`: a find is written down with its category, where it lies.
    """
    chance = Random(seed)  # noqa: S311
    grids = [row["code"] for row in _table("divisions.csv") if len(row["code"]) == _GRID]
    small = [
        row
        for row in _table("categories.csv")
        if row["initial_tier"] == "grid"
        and row["track"] == "service"
        and row["community_may_lead"] == "Y"
    ]
    while True:
        matter = chance.choice(small)
        yield {
            "kind": "report",
            "channel": "grid_patrol",
            "text": f"巡查发现：{matter['zh']}",
            "category": matter["code"],
            "place": {"code": chance.choice(grids)},
        }


def _table(file: str) -> list[dict[str, str]]:
    """The rows of a data file of the project."""
    with (_DATA / file).open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))


def _by_kind(texts: Sequence[Template]) -> dict[str, dict[str, list[Template]]]:
    """Templates by kind and topic."""
    sorted_in: dict[str, dict[str, list[Template]]] = {kind: {} for kind in get_args(Kind)}
    for template in texts:
        sorted_in[template.kind].setdefault(template.topic, []).append(template)
    return sorted_in


class _Town:
    """The gazetteer, by how finely its names say where."""

    def __init__(self, places: Sequence[PlaceRow]) -> None:
        full = [place for place in places if place.name.endswith(("区", "街道"))]
        self.districts = [place for place in full if len(place.division) == _DISTRICT]
        self.streets = [place for place in full if len(place.division) == _STREET]
        self.estates = [place for place in places if len(place.division) > _STREET]
        self._district = {place.division: place.name for place in self.districts}

    def where(self, chance: Random, fineness: str, *, measured: bool) -> _Where:
        """A place of this fineness: said in the text, in the form's words, by code or by point."""
        if fineness == "none":
            return _Where(chance.choice(("我们这里", "家附近", "这边")), None, None)
        place = chance.choice(
            {"district": self.districts, "street": self.streets, "estate": self.estates}[fineness]
        )
        words = self._words(chance, place)
        unit = place.division[:_STREET]
        way = chance.random()
        if measured or way < 0.07:
            return _Where("这里", _measured(chance, place, measured), unit)
        if way < 0.22:
            return _Where("这里", {"words": words}, unit)
        return _Where(words, None, unit)

    def _words(self, chance: Random, place: PlaceRow) -> str:
        """The name, sometimes with its district before it, as people say it."""
        district = self._district[place.division[:_DISTRICT]]
        return (
            place.name if place.name == district or chance.random() < 0.6 else district + place.name
        )


def _measured(chance: Random, place: PlaceRow, by_machine: bool) -> dict[str, Any]:
    """What a device says: a point near the place where it has one, else the code it was set to."""
    if place.lat is None or place.lon is None or chance.random() < (0.3 if by_machine else 0.6):
        return {"code": place.division}
    return {
        "lat": round(place.lat + chance.uniform(-0.0004, 0.0004), 6),
        "lon": round(place.lon + chance.uniform(-0.0004, 0.0004), 6),
    }


def _sample(
    chance: Random,
    town: _Town,
    by_kind: Mapping[str, Mapping[str, Sequence[Template]]],
    since: datetime,
) -> dict[str, Any]:
    channel = _draw(chance, CHANNELS)
    kind = _ONLY_KIND.get(channel) or _draw(chance, KINDS)
    topics = {topic: TOPICS[topic] for topic in by_kind[kind]}
    template = chance.choice(by_kind[kind][_draw(chance, topics)])
    machine = channel in _MACHINES
    where = town.where(chance, "estate" if machine else _draw(chance, FINENESS), measured=machine)
    body: dict[str, Any] = {
        "kind": kind,
        "channel": channel,
        "text": _said(chance, template, where),
        "subject": template.subject or None,
        "category": template.category if machine or chance.random() < 0.25 else None,
        "place": where.field,
        "occurred_at": _earlier(chance, since) if chance.random() < 0.2 else None,
    }
    if template.category in _ACCUSING:
        body["accused"] = {"division": where.unit} if where.unit else {"unknown": True}
    if not machine:
        body |= _who(chance, channel)
    if channel in _ON_PAPER:
        body["on_behalf"] = {"came_at": _earlier(chance, since)}
    return {key: value for key, value in body.items() if value is not None}


def _said(chance: Random, template: Template, where: _Where) -> str:
    """The text with its gaps filled; a place is said first where the text has no gap for one."""
    text = template.text
    if "{place}" not in text and not where.words.endswith(("这里", "附近", "这边")):
        text = "我住在{place}，" + text
    return text.format(
        place=where.words,
        building=f"{chance.randint(1, 40)}号楼",
        days=chance.choice(("三", "五", "十", "二十")),
    )


def _who(chance: Random, channel: str) -> dict[str, Any]:
    """Sometimes a name and a way to reach them; none of it can be anybody's."""
    number = chance.randint(1, 9_999)
    who: dict[str, Any] = {}
    if chance.random() < 0.4:
        who["person"] = {"name": f"示例居民{number:04d}"}
    if channel == "email":
        who["contact"] = {"email": f"resident{number:04d}@example.org"}
    elif chance.random() < 0.6:
        who["contact"] = {"phone": f"0000000{number:04d}"}
    return who


def _earlier(chance: Random, since: datetime) -> str:
    return (since - timedelta(minutes=chance.randint(5, 3 * 24 * 60))).isoformat()


Choice = TypeVar("Choice", bound=str)


def _draw(chance: Random, shares: Mapping[Choice, float]) -> Choice:
    return chance.choices(list(shares), weights=list(shares.values()))[0]
