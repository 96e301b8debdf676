"""Random trees of divisions, places in and below them, and random offices that serve them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import get_args

from hypothesis import strategies as st

from services.router.decisions.policy import Duty, Office, Policy
from services.router.decisions.policy.offices import EVERYWHERE, Duties
from shared.divisions import CITY
from shared.events import DivisionRow, OfficeKind
from tests.router.stories import shipped_policy


@st.composite
def trees(draw: st.DrawFn) -> Policy:
    """A policy with a random tree of divisions, every one below its parent."""
    codes: list[str] = []
    serial = st.integers(1, 4)
    for _ in range(draw(st.integers(1, 12))):
        depth = draw(st.sampled_from([3, 3, 2, 1, 0]))
        code = f"2102{draw(serial):02d}" + "".join(f"{draw(serial):03d}" for _ in range(depth))
        codes += [code[:n] for n in range(6, len(code) + 1, 3)]
    rows = {code: DivisionRow(code=code, name=code) for code in codes}
    return replace(shipped_policy(), divisions=rows)


@st.composite
def places(draw: st.DrawFn, policy: Policy) -> str:
    """A listed division, one below it that is not listed, or the city."""
    code = draw(st.sampled_from([*policy.divisions, CITY]))
    if code == CITY or len(code) == 15 or draw(st.booleans()):
        return code
    return f"{code}{draw(st.integers(1, 5)):03d}"


@st.composite
def offices(draw: st.DrawFn, policy: Policy, id_: str) -> Office:
    """An office of any kind that serves the whole city or parts of the tree."""
    parts = st.frozensets(st.sampled_from(sorted(policy.divisions)), max_size=3)
    return Office(
        id=id_,
        zh=id_,
        en=id_,
        kind=draw(st.sampled_from(["department", "department", *get_args(OfficeKind)])),
        divisions=draw(parts),
        phone=None,
        since=date.min.isoformat(),
        until=date.max.isoformat(),
    )


@st.composite
def with_offices(draw: st.DrawFn, policy: Policy, categories: Sequence[str]) -> Policy:
    """The policy with a random registry, and a random catalogue for these categories.

    Somebody leads everywhere, as the loader demands; some parts have leads of their own.
    """
    listed = [draw(offices(policy, f"office-{n}")) for n in range(draw(st.integers(1, 3)))]
    everywhere = replace(draw(st.sampled_from(listed)), id="everywhere", divisions=frozenset())
    registry = {office.id: office for office in (*listed, everywhere)}
    some = st.sampled_from([*registry.values()])
    duties = st.builds(Duty, some, st.lists(some, max_size=2).map(tuple))
    where = st.sampled_from([EVERYWHERE, *sorted(policy.divisions)])
    entries: dict[tuple[str, str], list[Duty]] = {}
    for division, duty in draw(st.lists(st.tuples(where, duties), max_size=4)):
        for category in draw(st.sampled_from([categories, categories[::2], categories[1::2]])):
            entries.setdefault((category, division), []).append(duty)
    last = Duty(everywhere, draw(duties).assisting)
    for category in categories:
        entries.setdefault((category, EVERYWHERE), []).append(last)
    return replace(policy, duties=Duties(registry, entries))
