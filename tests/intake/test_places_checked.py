"""Fifty real petitions whose place a person read, by number and code only.

`places_checked.csv` holds the finest division that each one's own words name, `city` for none:
drawn by `random.Random(50)` from all messages in the order of their numbers, 34 of them with a
place. Places are those of the city's own list of divisions and names.
"""

import csv
from functools import cache
from pathlib import Path

import pytest

from bench.reading import petitions, reader, to_read
from shared.divisions import CITY, is_within

CHECKED = Path(__file__).with_name("places_checked.csv")
CITY_A = Path(__file__).parents[3] / "shared/data"

pytestmark = pytest.mark.skipif(
    not CITY_A.exists(), reason="needs a city's petitions in ../shared/data"
)


@cache
def readings() -> dict[str, tuple[str, str]]:
    """By number: the division that is named, and the one that is read."""
    read = reader(CITY_A / "city_a_divisions.csv", CITY_A / "city_a_places.csv")
    by_number = {petition["id"]: petition for petition in petitions(CITY_A / "messages.ndjson")}
    with CHECKED.open(encoding="utf-8", newline="") as file:
        return {
            row["id"]: (row["division"], read.read(to_read(by_number[row["id"]])).division)
            for row in csv.DictReader(file)
        }


def test_no_petition_is_placed_more_finely_than_its_words_or_elsewhere() -> None:
    strays = {n for n, (named, found) in readings().items() if not is_within(named, found)}
    assert strays == set()


def test_nearly_all_are_placed_as_finely_as_their_words_say() -> None:
    pairs = readings().values()
    assert len(pairs) == 50
    assert sum(named != CITY for named, _ in pairs) >= 30
    assert sum(named == found for named, found in pairs) >= 48
