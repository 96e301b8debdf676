"""The ledger: what was promised, and whether every stage holds it once."""

from collections import Counter
from pathlib import Path
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from bench.ledger import (
    NO_ANSWER,
    NOT_SENT,
    Ledger,
    Promises,
    Stage,
    Told,
    compare,
    complaints,
    latencies,
    promises,
    read,
    share,
    until,
)

A, B, C, D = (UUID(int=n) for n in range(1, 5))


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    book = tmp_path / "a.ledger"
    with book.open("wb") as file:
        ledger = Ledger(file)
        ledger.note(1_700_000_000.25, 0.0125, 202, str(A).encode())
        ledger.note(1_700_000_001.5, 10.0, NO_ANSWER)
        ledger.note(1_700_000_002.0, 10.0, NOT_SENT)
    assert list(read(book)) == [
        Told(1_700_000_000.25, 0.0125, 202, A),
        Told(1_700_000_001.5, 10.0, NO_ANSWER, None),
        Told(1_700_000_002.0, 10.0, NOT_SENT, None),
    ]
    assert ledger.written == 3
    assert ledger.statuses == {202: 1, NO_ANSWER: 1, NOT_SENT: 1}


def test_only_a_202_is_a_promise() -> None:
    told = [Told(0, 0.1, 202, A), Told(1, 0.1, 503, None), Told(2, 0.1, NO_ANSWER, None)]
    promised = promises(told)
    assert promised.ids == {A}
    assert promised.unknown == 1
    assert promised.statuses == {202: 1, 503: 1, NO_ANSWER: 1}


def test_one_id_for_two_requests_is_wrong() -> None:
    promised = promises([Told(0, 0.1, 202, A), Told(1, 0.1, 202, A)])
    assert complaints(promised, []) == ["1 ids were promised to two requests"]


def test_a_promise_that_a_stage_does_not_hold_is_lost() -> None:
    (verdict,) = compare(Promises(ids={A, B}), [Stage("routed", [A])])
    assert (verdict.lost, verdict.doubled, verdict.never_promised) == (1, 0, 0)
    assert complaints(Promises(ids={A, B}), [verdict]) == ["routed: 1 promised petitions are lost"]


def test_an_id_that_a_stage_holds_twice_is_doubled() -> None:
    (verdict,) = compare(Promises(ids={A}), [Stage("read", [A, A])])
    assert (verdict.lost, verdict.doubled) == (0, 1)


def test_a_sum_greater_than_the_ids_is_doubled() -> None:
    (verdict,) = compare(Promises(ids={A, B}), [Stage("counted", [A, B], total=3)])
    assert complaints(Promises(ids={A, B}), [verdict]) == ["counted: 1 petitions too many"]


def test_a_sum_smaller_than_the_ids_is_lost() -> None:
    (verdict,) = compare(Promises(ids={A, B}), [Stage("counted", [A, B], total=1)])
    assert complaints(Promises(ids={A, B}), [verdict]) == ["counted: 1 promised petitions are lost"]


def test_a_request_without_an_answer_explains_one_petition_and_no_more() -> None:
    promised = Promises(Counter({202: 1, NO_ANSWER: 1}), {A})
    assert complaints(promised, compare(promised, [Stage("accepted", [A, B])])) == []
    assert complaints(promised, compare(promised, [Stage("accepted", [A, B, C])])) == [
        "accepted: 1 petitions that no request explains"
    ]


def test_times_count_from_the_moment_a_request_was_due() -> None:
    told = [Told(100.0, 0.1, 202, A), Told(101.0, 0.1, 202, B), Told(102.0, 0.1, 503, None)]
    found = until(told, {A: 100.5, B: 101.25, D: 50.0})
    assert (found.n, found.p50, found.worst) == (2, 0.25, 0.5)


def test_no_times_at_all_are_zeros() -> None:
    assert latencies([]) == (0, 0.0, 0.0, 0.0)


@given(st.lists(st.floats(0, 10), min_size=1), st.floats(0, 1))
def test_a_share_is_the_smallest_value_that_so_many_do_not_exceed(
    values: list[float], part: float
) -> None:
    ordered = sorted(values)
    found = share(ordered, part)
    assert sum(v <= found for v in ordered) >= part * len(ordered)
    smaller = [v for v in ordered if v < found]
    assert not smaller or len(smaller) < part * len(ordered)
