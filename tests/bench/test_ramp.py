"""The search for the highest rate, against machines that carry a known one."""

import pytest

from bench.ramp import CLOSE_ENOUGH, MOST_TRIALS, Trial, best, drain_allowed, next_rate


def searched(capacity: float) -> list[Trial]:
    trials: list[Trial] = []
    while (rate := next_rate(trials)) is not None:
        trials.append(Trial(rate, rate <= capacity))
    return trials


@pytest.mark.parametrize("capacity", [150, 399, 400, 401, 777, 800, 1_000, 1_460, 1_700, 2_300])
def test_the_search_comes_close_to_what_the_machine_carries(capacity: float) -> None:
    found = best(searched(capacity))
    assert found is not None
    assert capacity / CLOSE_ENOUGH <= found <= capacity


@pytest.mark.parametrize("capacity", [0.001, 400, 1_000_000])
def test_the_search_ends(capacity: float) -> None:
    assert len(searched(capacity)) <= MOST_TRIALS


def test_a_rate_above_one_that_failed_does_not_count() -> None:
    trials = [Trial(400, True), Trial(500, False), Trial(600, True)]
    assert best(trials) == 400


def test_nothing_kept_up_is_no_rate() -> None:
    assert best([Trial(400, False)]) is None


def test_a_longer_load_may_drain_longer() -> None:
    assert drain_allowed(6) == pytest.approx(0.8)
    assert drain_allowed(30) == pytest.approx(2.0)
