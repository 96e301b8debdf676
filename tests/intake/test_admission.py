"""Who is let in: the decisions, what the door remembers, and whose a request is."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from services.intake.api.gate import Senders
from services.intake.decisions.admission import (
    LEAST_RATE,
    LONGEST,
    MEMORY_SECONDS,
    SLACK,
    Limits,
    Load,
    Refusal,
    Seen,
    Standing,
    full,
    level,
    next_rate,
    over_share,
    pressed,
)
from services.intake.handlers.admission import SENDERS, Door, Progress
from shared.divisions import CITY
from shared.identity import issue
from shared.settings import Settings

SECRET = "s" * 32
LIMITS = Limits(wait_seconds=1.0, unread=100, outbox=1_000)


@pytest.mark.parametrize(
    ("load", "refusal"),
    [
        (Load(0.0, 0, 0), None),
        (Load(1.0, 99, 999), None),
        (Load(1.1, 0, 0), Refusal("waiting", 2)),
        (Load(inf, 0, 0), Refusal("waiting", LONGEST)),
        (Load(0.0, 100, 0), Refusal("unread", LONGEST)),
        (Load(0.0, 0, 1_000), Refusal("outbox", LONGEST)),
    ],
)
def test_whoever_comes_is_refused_when_too_much_waits(load: Load, refusal: Refusal | None) -> None:
    assert full(load, LIMITS) == refusal


@pytest.mark.parametrize(
    ("used", "share", "refusal"),
    [
        (0.0, 0.01, None),
        (1.0, 0.01, None),
        (1.1, 0.01, Refusal("share", LONGEST)),
        (1.1, 0.2, Refusal("share", 5)),
        (10 * MEMORY_SECONDS - 1, 10.0, None),
        (10 * MEMORY_SECONDS, 10.0, Refusal("share", 1)),
    ],
)
def test_under_pressure_each_has_his_share(
    used: float, share: float, refusal: Refusal | None
) -> None:
    assert over_share(Standing(used, share)) == refusal


SEEN = Seen(
    seconds=0.5, admitted=500, carried=1_000, waited=0.1, full_looks=0,
    unread=0, unread_grows=False, pressed=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "seen", "after"),
    [
        (None, SEEN, None),
        (None, SEEN._replace(waited=9.0), None),
        (None, SEEN._replace(waited=0.3, full_looks=2), 950),
        (2_000.0, SEEN._replace(waited=0.3, full_looks=2), 950),
        (500.0, SEEN._replace(waited=0.3, full_looks=2), 500),
        (500.0, SEEN._replace(waited=0.3, full_looks=2, carried=0), LEAST_RATE),
        (1_000.0, SEEN, 1_100),
        (1_000.0, SEEN._replace(waited=9.0), 1_100),
        (1_000.0, SEEN._replace(full_looks=2), 1_000),
        (1_000.0, SEEN._replace(waited=9.0, full_looks=1), 1_000),
        (None, SEEN._replace(waited=9.0, full_looks=1), None),
        (1_000.0, SEEN._replace(admitted=100), 1_005),
        (1_000.0, SEEN._replace(admitted=100, pressed=False), 1_000),
        (1_000.0, SEEN._replace(unread=6_000), 1_020),
        (1_000.0, SEEN._replace(unread=6_000, unread_grows=True), 950),
        (None, SEEN._replace(unread=6_000, unread_grows=True), 950),
    ],
)
def test_what_is_carried_is_learned_by_carrying_it(
    rate: float | None, seen: Seen, after: float | None
) -> None:
    assert next_rate(rate, seen, calm_seconds=0.25) == pytest.approx(after)


@given(st.floats(1, 10_000), st.integers(1, 3))
def test_an_even_rate_that_is_carried_is_no_pressure(rate: float, at_once: int) -> None:
    now = 0.0
    for _ in range(500):
        for n in range(at_once):
            now = level(now, rate, at_once / rate if n == 0 else 0.0)
            assert not pressed(now, rate)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 2)), max_size=300))
def test_nobody_is_refused_while_nothing_waits_and_nothing_is_known(
    asked: list[tuple[str, float]],
) -> None:
    door, now = Door(LIMITS), 0.0
    for sender, pause in asked:
        now += pause
        assert door.enter(sender, now) is None


@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 0.02)), min_size=100, max_size=600),
    st.floats(20, 2_000),
)
def test_whoever_asks_now_and_then_is_let_in_whatever_the_others_do(
    flood: list[tuple[int, float]], rate: float
) -> None:
    door, now, asked = Door(LIMITS), 0.0, -MEMORY_SECONDS
    door.rate = rate
    for sender, pause in flood:
        now += pause
        door.enter(f"flood {sender}", now)
        if now - asked >= MEMORY_SECONDS:
            asked = now
            assert door.enter("a resident", now) is None


def test_who_floods_is_held_to_his_share_and_the_others_are_not() -> None:
    door = Door(LIMITS)
    door.rate = 100.0
    let_in = {"flood": 0, "others": 0}
    refused = 0
    for tick in range(10_000):
        now = tick / 1_000
        if tick % 5 == 0:
            let_in["flood"] += door.enter("flood", now) is None
        if tick % 40 == 0:
            answer = door.enter(f"other {tick // 40 % 9}", now)
            let_in["others"] += answer is None
            refused += answer is not None
    assert refused == 0
    # A tenth of what is carried, for ten seconds; and what came before the pressure was one.
    assert 100 <= let_in["flood"] <= 100 + 3 * SLACK


def test_the_pressure_ends_with_the_flood() -> None:
    door = Door(LIMITS)
    door.rate = 100.0
    for tick in range(2_000):
        door.enter("flood", tick / 1_000)
    assert door.pressed
    for tick in range(40):
        door.enter("other", 2.0 + tick / 20)
    assert not door.pressed
    assert all(door.enter("flood", 4.0 + n / 100) is None for n in range(30))


def test_not_more_senders_are_remembered_than_said() -> None:
    door = Door(LIMITS)
    for n in range(SENDERS + 100):
        door.enter(str(n), 1.0)
    assert door.senders == SENDERS
    door.enter("later", 1.1 + MEMORY_SECONDS)
    assert door.senders == 1


def test_without_a_policy_the_unread_say_nothing_about_the_rate() -> None:
    door = Door(Limits(1.0, 1 << 30, 1 << 30))
    door.reads, door.unread = False, 1_000_000
    door.learn(Progress(100, 0.1, full_groups=False), 0.0, 0.5)
    assert door.rate is None


# ---------------------------------------------------------------- whose a request is


def request(address: str, **headers: str) -> Scope:
    """A request as a server hands it in."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"headers": named, "client": (address, 4_711)}


def senders(**settings: str) -> Senders:
    """With these settings."""
    given = {"database_url": "postgresql://nobody", "token_secret": SECRET} | settings
    return Senders(Settings.model_validate(given))


def bearer(subject: str, secret: str = SECRET) -> str:
    """The header of a token."""
    return f"Bearer {issue(secret, subject, ['resident'], CITY)}"


def test_a_token_that_holds_says_who_sends() -> None:
    known = senders()
    one = known.of(request("10.0.0.1", authorization=bearer("a")), 0.0)
    assert known.of(request("10.0.0.2", authorization=bearer("a")), 1.0) == one
    assert known.of(request("10.0.0.1", authorization=bearer("b")), 1.0) != one


def test_any_other_token_says_nothing() -> None:
    known = senders()
    nobody = known.of(request("10.0.0.1"), 0.0)
    for wrong in (bearer("a", "t" * 32), "Basic YTpi", "Bearer " + "x" * 5_000, "Bearer \xff"):
        assert known.of(request("10.0.0.1", authorization=wrong), 0.0) == nobody
        assert known.of(request("10.0.0.1", authorization=wrong), 1.0) == nobody


def test_no_header_is_believed_unless_a_proxy_of_ours_writes_it() -> None:
    forged = request("10.0.0.1", x_forwarded_for="192.0.2.1, 192.0.2.2")
    assert senders().of(forged, 0.0) == "10.0.0.1"
    assert senders(sender_header="X-Forwarded-For").of(forged, 0.0) == "192.0.2.2"
    assert senders(sender_header="X-Forwarded-For").of(request("10.0.0.1"), 0.0) == "10.0.0.1"


def test_the_addresses_of_one_household_are_one_sender() -> None:
    known = senders()
    assert known.of(request("2001:db8::1"), 0.0) == known.of(request("2001:db8::ffff"), 0.0)
    assert known.of(request("2001:db8::1"), 0.0) != known.of(request("2001:db8:0:1::1"), 0.0)
