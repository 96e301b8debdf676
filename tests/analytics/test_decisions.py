"""What a case adds to the figures."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.decisions import (
    DIMENSIONS,
    MEASURES,
    Contribution,
    Said,
    contribution,
    differences,
    newest,
    unpack,
)
from shared.divisions import Tier
from shared.events import CaseSnapshot, ClockSnapshot, Order
from tests.analytics.stories import STARTED, Steps, arrivals, case, clock, closed, snapshots


@pytest.mark.parametrize(
    ("snapshot", "measures"),
    [
        pytest.param(case(stage="registered", tier=None), {"waiting": 1}, id="at the dispatcher"),
        pytest.param(case(), {"in_hand": 1}, id="in hand"),
        pytest.param(
            case(stage="resolved", outcome="solved"), {"in_hand": 1}, id="resolved is not closed"
        ),
        pytest.param(
            case(
                stage="signed",
                tier=Tier.STREET,
                promotions={Tier.GRID: 1, Tier.COMMUNITY: 1},
                on_time={"sign": True, "verify": False},
            ),
            {
                "in_hand": 1,
                "promoted:grid": 1,
                "promoted:community": 1,
                "kept:sign": 1,
                "late:verify": 1,
            },
            id="promoted twice, verified late",
        ),
        pytest.param(
            closed(on_time={}),
            {"solved_in_grid": 1, "closed_without_limit": 1},
            id="solved in the grid",
        ),
        pytest.param(
            closed(on_time={}, highest_tier=Tier.COMMUNITY),
            {"solved_higher": 1, "closed_without_limit": 1},
            id="once promoted, then handed down and solved in the grid",
        ),
        pytest.param(
            closed(on_time={}, closing_tier=None),
            {"solved_higher": 1, "closed_without_limit": 1},
            id="closed by another lead",
        ),
        pytest.param(
            closed(on_time={}, highest_tier=None),
            {"solved_higher": 1, "closed_without_limit": 1},
            id="never in a tier",
        ),
        pytest.param(
            closed(on_time={}, track="consult"),
            {"consult_answered": 1, "closed_without_limit": 1},
            id="consult apart",
        ),
        pytest.param(
            closed(on_time={}, outcome="handed_off"),
            {"handed_off": 1, "closed_without_limit": 1},
            id="handed off apart",
        ),
        pytest.param(
            case(stage="handed_off", track="handoff", outcome="handed_off"),
            {"handed_off": 1, "closed_without_limit": 1},
            id="passed on to an outside body",
        ),
        pytest.param(
            closed(on_time={}, outcome=None),
            {"closed_otherwise": 1, "closed_without_limit": 1},
            id="closed without outcome",
        ),
        pytest.param(
            case(reopened=1), {"in_hand": 1, "reopened": 1}, id="reopening takes the solving back"
        ),
        pytest.param(
            closed(on_time={"final_reply": False, "verify": True}),
            {"solved_in_grid": 1, "closed_late": 1, "late:final_reply": 1, "kept:verify": 1},
            id="closed after its limit",
        ),
        pytest.param(
            closed(on_time={"verify": False}),
            {"solved_in_grid": 1, "closed_without_limit": 1, "late:verify": 1},
            id="a late step is not a late closing",
        ),
        pytest.param(
            closed(on_time={"final_reply": True}),
            {"solved_in_grid": 1, "closed_in_limit": 1, "kept:final_reply": 1},
            id="closed in its limit",
        ),
        pytest.param(
            case(on_time={"final_reply": False}),
            {"in_hand": 1, "late:final_reply": 1},
            id="late and still open",
        ),
        pytest.param(
            case(stage="handed_off", track="handoff", on_time={"handover": False}),
            {"handed_off": 1, "closed_late": 1, "late:handover": 1},
            id="the limit of a hand-off is its handover",
        ),
    ],
)
def test_what_a_case_adds(snapshot: CaseSnapshot, measures: dict[str, int]) -> None:
    assert contribution(snapshot, STARTED).measures == measures


@pytest.mark.parametrize(
    ("running", "recorded", "verdict"),
    [
        pytest.param(clock("reply", 60_000), {}, None, id="due just now is not late"),
        pytest.param(clock("reply", 59_999), {}, "overdue:reply", id="past its time"),
        pytest.param(clock("report_in/3", 59_999), {}, "overdue:report_in", id="of a task"),
        pytest.param(clock("reply", 0, paused=True), {}, None, id="paused"),
        pytest.param(clock("ask_review", 0, on_breach="lapse"), {}, None, id="a right lapses"),
        pytest.param(clock("object", 0, on_breach="none"), {}, None, id="nobody's promise"),
        pytest.param(
            clock("tier", 0), {"tier": True}, "overdue:tier", id="kept in one tier, not in the next"
        ),
        pytest.param(
            clock("tier", 0), {"tier": False}, "late:tier", id="broken before: counted once"
        ),
        pytest.param(
            clock("tier", 90_000), {"tier": False}, "late:tier", id="broken once stays broken"
        ),
    ],
)
def test_a_promise_that_still_runs_is_broken_once_its_time_is_past(
    running: ClockSnapshot, recorded: dict[str, bool], verdict: str | None
) -> None:
    snapshot = case(clocks=[running], on_time=recorded)
    added = contribution(snapshot, STARTED + timedelta(minutes=1)).measures
    assert added.keys() - {"in_hand"} == ({verdict} if verdict else set())


@pytest.mark.parametrize(
    ("snapshot", "dimension", "key"),
    [
        pytest.param(case(tier=Tier.STREET), "tier", "street", id="the tier that holds it"),
        pytest.param(case(tier=None), "tier", "dispatcher", id="no tier"),
        pytest.param(
            closed(tier=None, closing_tier=Tier.GRID), "tier", "grid", id="the tier that closed it"
        ),
        pytest.param(
            case(tier=Tier.STREET, closing_tier=Tier.GRID), "tier", "street", id="reopened, now"
        ),
        pytest.param(case(category=None), "category", "none", id="not classified"),
        pytest.param(case(place="city"), "division", "city", id="no place known"),
        pytest.param(case(), "division", "210204005001001", id="the smallest place"),
        pytest.param(case(restricted=True), "division", "210204", id="restricted"),
        pytest.param(case(sensitivity=2), "division", "210204", id="most sensitive"),
        pytest.param(case(sensitivity=1), "division", "210204005001001", id="less sensitive"),
        pytest.param(case(sensitivity=2, place="city"), "division", "city", id="and no place"),
    ],
)
def test_under_which_key_a_case_counts(snapshot: CaseSnapshot, dimension: str, key: str) -> None:
    assert contribution(snapshot, STARTED).keys[dimension] == key


@given(snapshots)
def test_a_case_counts_once_in_each_dimension_under_known_measures(snapshot: CaseSnapshot) -> None:
    added = contribution(snapshot, STARTED)
    assert tuple(added.keys) == DIMENSIONS
    assert {measure.partition(":")[0] for measure in added.measures} <= set(MEASURES)
    assert unpack(added.pack()) == added
    later = orjson.dumps([*orjson.loads(added.pack()), {"a": "newer version's"}]).decode()
    assert unpack(later) == added


def test_only_what_moved_is_said_of_a_case_that_stays_where_it_is() -> None:
    before, after = (
        contribution(case(), STARTED),
        contribution(case(on_time={"sign": True}), STARTED),
    )
    changes = differences([(before, after)])
    assert changes["kept|tier", "grid|sign"] == 1
    assert len(changes) == len(DIMENSIONS)


def test_a_promotion_moves_the_case_from_tier_to_tier() -> None:
    before = contribution(case(), STARTED)
    after = contribution(case(tier=Tier.COMMUNITY, promotions={Tier.GRID: 1}), STARTED)
    of_tiers = {key: n for key, n in differences([(before, after)]).items() if "|tier" in key[0]}
    assert of_tiers == {
        ("in_hand|tier", "grid"): -1,
        ("in_hand|tier", "community"): 1,
        ("promoted|tier", "community|grid"): 1,
    }


def test_what_an_older_version_counted_is_taken_off_as_it_was_counted() -> None:
    old = Contribution({"tier": "grid", "weather": "rain"}, {"in_hand": 1, "forgotten:x": 2})
    new = Contribution({"tier": "grid", "track": "service"}, {"in_hand": 1})
    assert differences([(None, old), (old, new)]) == differences([(None, new)])


@given(st.lists(snapshots, min_size=1, max_size=6))
def test_a_life_of_changes_adds_up_to_its_last_snapshot(life: list[CaseSnapshot]) -> None:
    counted: Counter[tuple[str, str]] = Counter()
    before = None
    for snapshot in life:
        now = contribution(snapshot, STARTED)
        counted.update(differences([(before, now)]))
        before = now
    assert {key: n for key, n in counted.items() if n} == differences(
        [(None, contribution(life[-1], STARTED))]
    )


@given(arrivals())
def test_the_newest_snapshot_of_each_case_is_found_in_any_order(
    told: tuple[dict[int, CaseSnapshot], Steps],
) -> None:
    last, steps = told
    found = newest((UUID(int=n), Said(Order(1, seq), one, STARTED)) for n, seq, one in steps)
    assert {case_id.int: said.case for case_id, said in found.items()} == last


def test_a_greater_epoch_is_newer_than_any_seq_before_it() -> None:
    restored, before = Said(Order(2, 3), case(), STARTED), Said(Order(1, 9), closed(), STARTED)
    for said in ([restored, before], [before, restored]):
        assert newest((UUID(int=1), one) for one in said) == {UUID(int=1): restored}
