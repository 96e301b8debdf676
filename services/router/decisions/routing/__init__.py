"""Who gets a case, and why: the first tier, the holder at any tier, the reason in words.

route(facts, policy)  -> Assigned            to the division that the category and the place say
                       | WaitsForDispatcher  where a person decides first: a queue, no guess
                       | HandOff             to an outside body, by the duty dispatcher
holder_for(tier, …)   the division that holds a case at a tier: never the accused, nor below it
office_for(…)         the office that holds it there, of the duty catalogue: never the accused
lowest_tier(…)        the lowest tier that may hold a matter: for first tiers and promotions
sentence(reason, …)   why, in English or Chinese
"""

from services.router.decisions.routing.facts import (
    Assigned,
    Facts,
    HandOff,
    Routed,
    WaitsForDispatcher,
)
from services.router.decisions.routing.holders import (
    apart_from_accused,
    holder_for,
    lowest_tier,
    may_be_accused,
    may_hold,
    office_for,
    smallest_known,
)
from services.router.decisions.routing.reasons import Language, Reason, Rule, sentence
from services.router.decisions.routing.route import route

__all__ = [
    "Assigned",
    "Facts",
    "HandOff",
    "Language",
    "Reason",
    "Routed",
    "Rule",
    "WaitsForDispatcher",
    "apart_from_accused",
    "holder_for",
    "lowest_tier",
    "may_be_accused",
    "may_hold",
    "office_for",
    "route",
    "sentence",
    "smallest_known",
]
