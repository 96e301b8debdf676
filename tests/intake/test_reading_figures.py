"""What the project's vocabulary and model reach on a city's real petitions: the least we accept.

`python -m bench.reading` prints the figures themselves.
"""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import yaml

from bench.reading import DATA, class_rows, petitions, reader, to_read
from services.intake.decisions.learned import matter_classes
from services.intake.decisions.reading import Reader
from shared.divisions import DivisionCode, Tier, ancestor
from shared.events import Reading

CITY_A = Path(__file__).parents[3] / "shared/data"


pytestmark = pytest.mark.skipif(
    not CITY_A.exists(), reason="needs a city's petitions in ../shared/data"
)


@cache
def project_reader() -> Reader:
    return reader(CITY_A / "city_a_divisions.csv", CITY_A / "city_a_places.csv")


@cache
def readings() -> tuple[Reading, ...]:
    messages = petitions(CITY_A / "messages.ndjson")
    return tuple(project_reader().read(to_read(message)) for message in messages)


@cache
def threshold() -> float:
    policy = yaml.safe_load((DATA / "policy.yaml").read_text(encoding="utf-8"))
    return float(policy["reading"]["confidence_threshold"])


def confident() -> list[Reading]:
    return [reading for reading in readings() if reading.confidence >= threshold()]


def share_placed(tier: Tier) -> float:
    """The share that is placed in a division of this tier or below."""
    found = [ancestor(DivisionCode(reading.division), tier) for reading in readings()]
    return sum(code is not None for code in found) / len(found)


def test_more_than_a_quarter_is_placed_in_a_street_and_a_tenth_in_a_grid() -> None:
    assert len(readings()) == 4_326
    assert share_placed(Tier.STREET) >= 0.27
    assert share_placed(Tier.GRID) >= 0.10


def test_most_categories_are_believed() -> None:
    assert len(confident()) / len(readings()) >= 0.60


def test_the_categories_believed_are_many_and_none_takes_all() -> None:
    codes = Counter(reading.category for reading in confident())
    assert len(codes) >= 40
    assert codes.most_common(1)[0][1] / codes.total() <= 0.20


def test_nearly_all_that_is_believed_is_of_the_class_a_person_gave() -> None:
    classes = matter_classes(class_rows())
    right = [
        labelled["level1"] in classes.get(reading.category or "", ())
        for labelled in petitions(CITY_A / "messages_labelled.ndjson")
        if (reading := project_reader().read(to_read(labelled))).confidence >= threshold()
    ]
    assert len(right) >= 100
    assert sum(right) / len(right) >= 0.90
