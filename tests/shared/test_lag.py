"""The lag of a topic: 0 only where the end is known to be reached, else it ages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.events import Topic
from shared.kafka import Record
from shared.service import Lag

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So long after the start."""
    return START + timedelta(seconds=seconds)


def record(partition: int, appended: float) -> Record:
    """A record that was appended then."""
    return Record(Topic.INTAKE, partition, 0, "", b"", {}, at(appended))


def given(*partitions: int) -> Lag:
    """A process that was given these at the start."""
    lag = Lag(START)
    lag.given(partitions, START)
    return lag


def test_before_it_has_joined_it_ages_since_the_start() -> None:
    assert Lag(START).seconds(at(60)) == 60


def test_a_replica_without_a_share_is_not_behind() -> None:
    assert given().seconds(at(60)) == 0


def test_at_a_known_end_it_is_nought_however_old_the_last_record() -> None:
    lag = given(0)
    lag.handled([record(0, -3600)])
    lag.at_end({0: at(100)})
    assert lag.seconds(at(100.5)) == 0


def test_an_end_that_is_no_longer_known_ages() -> None:
    lag = given(0)
    lag.at_end({0: at(10)})
    assert lag.seconds(at(40)) == 30


def test_the_first_record_says_how_old_the_backlog_of_a_new_partition_is() -> None:
    lag = given(0)
    lag.fetched([record(0, -3600), record(0, -10)])
    assert lag.seconds(at(0)) == 3600
    lag.handled([record(0, -3600), record(0, -10)])
    assert lag.seconds(at(0)) == 10


def test_a_partition_that_stands_still_is_not_hidden_by_one_that_runs() -> None:
    lag = given(0, 1)
    lag.handled([record(0, 5)])
    lag.at_end({1: at(99)})
    assert lag.seconds(at(100)) == 95


def test_each_partition_has_its_own_age() -> None:
    lag = given(0, 1)
    lag.handled([record(0, 5)])
    lag.at_end({1: at(99)})
    assert lag.ages(at(100)) == {0: 95, 1: 0}


def test_what_is_kept_in_a_rebalance_keeps_its_age() -> None:
    lag = given(0, 1)
    lag.handled([record(0, 5)])
    lag.given([0, 2], at(50))
    assert lag.seconds(at(60)) == 55
    lag.given([2], at(60))
    assert lag.seconds(at(60)) == 10
