"""Who may see a case here, and who may take note of a notice. Petition Regs 30, 46. [law]"""

from __future__ import annotations

from typing import Final

from services.escalation.decisions.armed import Armed
from services.escalation.decisions.notices import Desk
from shared.divisions import CITY, dispatcher_of, is_within
from shared.identity import Actor

TEAMS: Final = {"grid_team": frozenset({"grid_head", "grid_worker", "grid_branch_secretary"})}
"""Who is meant where a promise is a whole team's. [article]"""


def may_see(who: Actor, case: Armed) -> bool:
    """Whether a case lies in an officer's area, and owes his office something if he has one.

    The accused never sees it: a division with all below it, or an office. While it is not known who
    is accused no office owes anything. Nobody stands above the city, whose dispatcher is no unit.
    """
    accused = case.accused_division
    is_accused = accused is not None and who.division != CITY and is_within(who.division, accused)
    is_accused |= who.office is not None and who.office == case.accused_office
    concerned = who.office in (None, *(clock.owner_office for clock in case.clocks))
    return who.acts_for(case.holder) and concerned and not is_accused


def may_note(who: Actor, desk: Desk) -> str | None:
    """The role in which somebody takes note of what a desk is told; None if he may not. [ours]

    Whoever is told: its own role, in its office if it is one's. Or who answers for that division or
    for one above it. To see a notice is more officers' business than to answer for it.
    """
    if not who.acts_for(desk.division):
        return None
    at_home = who.division == desk.division if desk.office is None else True
    own = sorted(who.roles & TEAMS.get(desk.role, frozenset({desk.role})))
    if own and at_home and who.office == desk.office:
        return own[0]
    answers = dispatcher_of(who.division)
    return answers if who.office is None and answers in who.roles else None
