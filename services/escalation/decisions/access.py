"""Who may see a case here. Petition Regs 30, 46. [law]"""

from __future__ import annotations

from services.escalation.decisions.armed import Armed
from shared.divisions import CITY, is_within
from shared.identity import Actor


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
