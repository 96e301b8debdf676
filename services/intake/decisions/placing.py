"""Where a petition lies: a code that was given, coordinates, or the names people use for places.

A careful dispatcher's rule runs through all of it: better a coarser division that is surely right
than a finer one that may be another place of the same name. The rest is for the dispatcher's
queue of the smallest division known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import cos, hypot, radians

from shared.divisions import CITY, DivisionCode, is_within, smallest_known
from shared.events import PlaceRow

NEAR_METRES = 500.0
"""[ours] A point further than this from every known place says nothing."""

_DISTRICT, _STREET, _GRID = 6, 9, 15
_METRES_PER_DEGREE = 111_320.0
_CELL_LAT, _CELL_LON = 0.005, 0.02
"""Degrees; each at least `NEAR_METRES` wide up to 75° north, so nine cells hold all neighbours."""

_SAYS_ITS_TIER = ("区", "县", "市", "旗", "街道", "镇", "乡", "村", "农场", "分园", "开发区")
_MAKES_A_NAME = (
    "路", "街", "巷", "桥", "大道", "站", "广场", "公园", "医院", "大学", "学院", "中学", "小学",
    "大厦", "酒店", "宾馆", "商场", "市场", "小区", "花园", "家园", "新村", "立交",
)  # fmt: skip
_BUT_NOT = ("街道", "路口", "小区内", "市场监")


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the gazetteer and every division that has it.

    `bare` is a district's or street's name without the word for its tier: it is also the name of
    the neighbourhood and of roads and buildings there.
    """

    text: str
    divisions: tuple[DivisionCode, ...]
    bare: bool

    def lends_itself_to(self, rest: str) -> bool:
        """Whether, with the `rest` of the text after it, it is only part of another's name.

        A street's bare name followed by "road" is that road, which may run anywhere.
        """
        return self.bare and rest.startswith(_MAKES_A_NAME) and not rest.startswith(_BUT_NOT)


def names(places: Iterable[PlaceRow], known: Collection[DivisionCode]) -> list[Name]:
    """One `Name` for each different name; what lies in no division we know is left out."""
    divisions: dict[str, list[DivisionCode]] = {}
    for place in places:
        code = smallest_known(place.division, known)
        if code != CITY and code not in divisions.setdefault(place.name, []):
            divisions[place.name].append(code)
    return [
        Name(
            text=text,
            divisions=tuple(codes),
            bare=not text.endswith(_SAYS_ITS_TIER) and any(len(code) <= _STREET for code in codes),
        )
        for text, codes in divisions.items()
        if codes
    ]


def place_by_names(
    words: Sequence[Name], subject: Sequence[Name], text: Sequence[Name]
) -> tuple[DivisionCode, str | None]:
    """The division that names agree on, and the name that decided; (city, None) when none does.

    `words` are the names in the resident's own words for the place: what they name stands, and
    subject and text may only make it finer.
    """
    division, name = _agreed((words,), CITY)
    finer, finer_name = _agreed((subject, text), division)
    return (
        (finer, finer_name) if len(finer) > len(division) or division == CITY else (division, name)
    )


def _agreed(
    sources: Sequence[Sequence[Name]], scope: DivisionCode
) -> tuple[DivisionCode, str | None]:
    """What these sources, the most trusted first, name within the scope.

    Coarse names are heard first, and the first source that has one decides; a finer name is
    believed only inside them. So an estate that lies in another district than the one named
    does not count: the text contradicts itself, either the name is used twice in the city or the
    resident mixed something up, and sending a grid worker to the wrong grid costs more than the
    five minutes of the district's dispatcher. So too an estate outside the street that is named,
    except where the subject names the estate and only the text the street (it is often the office
    written to), or where the street's name is bare and said but once (it is then the whole
    neighbourhood).
    """
    held: set[DivisionCode] = {scope}
    best: list[tuple[DivisionCode, Name]] = []
    for above, upto in ((0, _DISTRICT), (_DISTRICT, _STREET), (_STREET, _GRID)):
        for source in sources:
            below = [
                (code, name)
                for name in source
                for code in name.divisions
                if above < len(code) and any(is_within(code, area) for area in held)
            ]
            heard = [(code, name) for code, name in below if len(code) <= upto]
            if heard:
                best = heard
                said = Counter(name.text for name in source)
                binding = {
                    code
                    for code, name in heard
                    if upto == _DISTRICT or not name.bare or said[name.text] > 1
                }
                held = binding or held
            if heard or (above and below):
                break
    return _winner(best)


def _winner(heard: Sequence[tuple[DivisionCode, Name]]) -> tuple[DivisionCode, str | None]:
    """Longest name, then most specific code; several such: the smallest division they share."""
    if not heard:
        return CITY, None
    # The name of a district says no more by being longer: two districts are a contradiction.
    strength = [
        (0 if len(code) == _DISTRICT else len(name.text), len(code)) for code, name in heard
    ]
    first = [pair for pair, rank in zip(heard, strength, strict=True) if rank == max(strength)]
    shared = _common({code for code, _ in first})
    return shared, None if shared == CITY else first[0][1].text


def _common(codes: Collection[DivisionCode]) -> DivisionCode:
    """The smallest division that holds all of them."""
    one = min(codes, key=len)
    for digits in range(len(one), 0, -3):
        if all(code.startswith(one[:digits]) for code in codes):
            return DivisionCode(one[:digits]) if digits >= _DISTRICT else CITY
    return CITY


class Surroundings:
    """The places whose coordinates are known, to be asked for the nearest one."""

    def __init__(self, places: Iterable[PlaceRow], known: Collection[DivisionCode]) -> None:
        self._cells: dict[tuple[int, int], list[tuple[float, float, DivisionCode, str]]] = {}
        for place in places:
            code = smallest_known(place.division, known)
            if code != CITY and place.lat is not None and place.lon is not None:
                cell = self._cells.setdefault(_cell(place.lat, place.lon), [])
                cell.append((place.lat, place.lon, code, place.name))

    def nearest(self, lat: float, lon: float) -> tuple[DivisionCode, str] | None:
        """The division and name of the nearest place within `NEAR_METRES`; None when too far."""
        row, column = _cell(lat, lon)
        near = [
            (_metres(lat, lon, place[0], place[1]), place[2], place[3])
            for i in (row - 1, row, row + 1)
            for j in (column - 1, column, column + 1)
            for place in self._cells.get((i, j), ())
        ]
        if not near:
            return None
        metres, code, name = min(near)
        return (code, name) if metres <= NEAR_METRES else None


def _cell(lat: float, lon: float) -> tuple[int, int]:
    return int(lat // _CELL_LAT), int(lon // _CELL_LON)


def _metres(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Flat-earth distance: off by less than a centimetre at half a kilometre."""
    north = (other_lat - lat) * _METRES_PER_DEGREE
    east = (other_lon - lon) * _METRES_PER_DEGREE * cos(radians(lat))
    return hypot(north, east)
