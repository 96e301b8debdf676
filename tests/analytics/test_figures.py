"""What the figures of a group of cases say, and when two sets of them are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.decisions import (
    DIMENSIONS,
    Share,
    checksum,
    contribution,
    differences,
    picture,
    together,
    width_below,
)
from shared.events import CaseSnapshot
from tests.analytics.stories import STARTED, snapshots


def test_the_shares_show_both_numbers_and_leave_apart_what_is_not_solved() -> None:
    shown = picture(
        {
            ("waiting", ""): 2,
            ("in_hand", ""): 5,
            ("solved_in_grid", ""): 2,
            ("solved_higher", ""): 1,
            ("consult_answered", ""): 10,
            ("handed_off", ""): 20,
            ("closed_otherwise", ""): 30,
            ("closed_in_limit", ""): 30,
            ("closed_late", ""): 3,
            ("closed_without_limit", ""): 30,
            ("kept", "verify"): 1,
            ("overdue", "verify"): 3,
            ("overdue", "tier"): 2,
            ("late", "verify"): 5,
            ("late", "sign"): 1,
            ("kept", "reply"): 4,
            ("promoted", "street"): 6,
            ("reopened", ""): 1,
        }
    )
    assert (shown.open, shown.waiting_for_dispatcher, shown.closed) == (7, 2, 63)
    assert (shown.closed_as_solved, shown.consult_answered, shown.handed_off) == (3, 10, 20)
    assert shown.closed_otherwise == 30
    assert shown.solved_in_grid == Share(2, 3, 6666)
    assert shown.closed_in_limit == Share(30, 33, 9090)
    assert shown.closed_without_limit == 30
    assert shown.on_time == {
        "reply": Share(4, 4, 10_000),
        "sign": Share(0, 1, 0),
        "tier": Share(0, 2, 0),
        "verify": Share(1, 9, 1111),
    }
    assert shown.overdue == {"reply": 0, "sign": 0, "tier": 2, "verify": 3}
    assert shown.promoted == {"grid": 0, "community": 0, "street": 6, "district": 0}
    assert shown.reopened == 1


def test_nothing_has_no_share() -> None:
    assert picture({}).solved_in_grid == Share(0, 0, None)


@given(st.lists(snapshots, max_size=8))
def test_the_groups_of_every_dimension_add_up_to_the_same(cases: list[CaseSnapshot]) -> None:
    counted = differences((None, contribution(one, STARTED)) for one in cases)
    totals = []
    for dimension in DIMENSIONS:
        groups = [
            {(name.partition("|")[0], key.partition("|")[2]): n}
            for (name, key), n in counted.items()
            if name.endswith(f"|{dimension}")
        ]
        totals.append(together(groups))
    assert all(total == totals[0] for total in totals)
    shown = picture(totals[0])
    assert shown.open + shown.closed == len(cases)


def test_a_checksum_knows_neither_order_nor_zeros() -> None:
    one = {("open|tier", "grid"): 1, ("open|track", "service"): 2, ("late|tier", "grid|sign"): 0}
    other = {("open|track", "service"): 2, ("open|tier", "grid"): 1}
    assert checksum(one) == checksum(other)
    assert checksum(one) != checksum(one | {("late|tier", "grid|sign"): 1})


@pytest.mark.parametrize(
    ("division", "width"),
    [("city", 6), ("210204", 9), ("210204005", 12), ("210204005001", 15), ("210204005001001", 15)],
)
def test_a_division_is_broken_down_by_those_one_step_below(division: str, width: int) -> None:
    assert width_below(division) == width
