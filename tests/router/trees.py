"""Random trees of divisions, and places in and below them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from services.router.decisions.policy import Policy
from shared.divisions import CITY
from shared.events import DivisionRow
from tests.router.stories import shipped_policy


@st.composite
def trees(draw: st.DrawFn) -> Policy:
    """A policy with a random tree of divisions, every one below its parent."""
    codes: list[str] = []
    serial = st.integers(1, 4)
    for _ in range(draw(st.integers(1, 12))):
        depth = draw(st.integers(0, 3))
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
