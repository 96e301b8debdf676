"""A load second by second, and when it is well again."""

from uuid import UUID

import pytest

from bench.curves import Second, bars, recovered, seconds_of
from bench.ledger import NO_ANSWER, Told

ID = UUID(int=1)
WELL = Second(due=10, accepted=10, refused=0, p99=0.1, refused_due=0)
SLOW = WELL._replace(p99=0.3)
TURNED_AWAY = WELL._replace(refused_due=1)


def test_an_answer_counts_when_it_came_and_its_time_where_it_was_due() -> None:
    told = [
        Told(100.1, 0.2, 202, ID),
        Told(100.2, 1.0, 202, ID),
        Told(101.5, 0.1, 429, None),
        Told(101.6, 0.9, 503, None),
        Told(102.0, 9.0, NO_ANSWER, None),
    ]
    first, second, third = seconds_of(told, 100.0, 3)
    assert (first.due, first.accepted, first.refused, first.refused_due) == (2, 1, 0, 0)
    assert first.p99 == pytest.approx(1.0)
    assert (second.due, second.accepted, second.refused, second.refused_due) == (2, 1, 1, 2)
    assert (third.due, third.accepted, third.refused, third.refused_due) == (1, 0, 1, 1)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ([WELL] * 3, 0),
        ([SLOW, WELL, WELL, WELL], 1),
        ([WELL, WELL, SLOW, WELL, WELL, WELL], 3),
        ([TURNED_AWAY, TURNED_AWAY, WELL, WELL, WELL, SLOW], 2),
        ([WELL, WELL], None),
        ([SLOW] * 9, None),
        ([TURNED_AWAY] * 9, None),
    ],
)
def test_it_is_well_again_when_it_stays_well(after: list[Second], seconds: int | None) -> None:
    assert recovered(after, normal_p99=0.2) == seconds


def test_a_curve_is_drawn_from_nothing_to_the_most() -> None:
    assert bars([0, 5, 10, 20], 10) == " ▄██"
