"""What a grid worker finds on patrol is the street's to see and to command, from the first moment.

Shahekou's nine street platforms stand over 910 handhelds: no find waits in a grid unseen. [S7]
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.router.decisions.case import Case, duties
from services.router.decisions.commands import Changed
from services.router.decisions.policy import Policy
from services.router.decisions.routing import Facts
from services.router.decisions.workflow import allowed_actions, decide, may_read
from tests.router.stories import (
    COMMUNITY,
    FIRE,
    GRID,
    MANHOLE,
    NEXT_STREET,
    NOON,
    QUESTION,
    ROUTER,
    RUBBISH,
    STREET,
    WISH,
    command,
    done,
    officer,
    petition,
    refused,
    sure,
    unclear,
)

FINDS = {
    "what the grid handles itself": sure(RUBBISH),
    "a wish": sure(WISH),
    "what only starts in the grid": sure(MANHOLE),
    "a question": sure(QUESTION),
    "what nobody classified": unclear(),
    "an emergency": sure(FIRE),
    "what cannot be placed in a grid": unclear(COMMUNITY),
}


def found(facts: Facts, policy: Policy) -> Case:
    """The case of a grid worker's find, opened at once; nobody is there to call back."""
    find = replace(petition(facts, contact=False), channel="grid_patrol")
    decision = decide(None, find, ROUTER, policy, NOON)
    assert isinstance(decision, Changed)
    return decision.case


@pytest.mark.parametrize("facts", [pytest.param(facts, id=name) for name, facts in FINDS.items()])
def test_the_street_sees_every_find_at_once_and_may_command_it(
    facts: Facts, policy: Policy
) -> None:
    case = found(facts, policy)
    desk, other = officer(STREET), officer(NEXT_STREET)
    assert may_read(case, desk)
    may = set(allowed_actions(case, desk))
    assert may, "the street may command what nobody else has touched yet"
    assert may & {"reroute", "classify"}, "it may say whose it is"
    assert not may_read(case, other)
    assert allowed_actions(case, other) == ()


def test_while_the_grid_holds_it_the_street_takes_it_over_or_dispatches_it(policy: Policy) -> None:
    case = found(sure(RUBBISH), policy)
    assert case.holder == GRID
    street = officer(STREET)
    for held in (case, done(case, "sign")):
        over = done(held, command("promote", reason="beyond_authority", to="street"), street)
        assert over.holder == STREET
        given = done(held, command("reroute", division=COMMUNITY, reason="workload"), street)
        assert given.holder == COMMUNITY
        assert refused(held, "promote", officer(NEXT_STREET)) == "not_your_area"


@pytest.mark.parametrize(
    "facts", [sure(RUBBISH), sure(WISH), sure(MANHOLE), unclear()], ids=lambda facts: facts.category
)
def test_it_stands_in_the_streets_own_queue_from_the_first_moment(
    facts: Facts, policy: Policy
) -> None:
    case = found(facts, policy)
    assert (case.holder == STREET) or (STREET in {duty.division for duty in duties(case)})
