"""The policy of a city: read from files or rows, checked against the law, one value for decisions.

    read_part(kind, text, file)   the text of a data file   -> Part: rows as they travel, with lines
    parse_policy(version, parts)  the parts of one version  -> Policy, or PolicyRefused

problems  what is wrong, where          parts     text to rows
terms     closed words and units        sections  the shape of each top-level key
settings  the policy file, typed        statutes  what the law fixes
tables    the checks of the tables      offices   registry and duty catalogue
templates words for the resident        model     the value
"""

from services.router.decisions.policy.model import ClockRule, Policy, parse_policy
from services.router.decisions.policy.offices import EVERYWHERE, Duty, Office
from services.router.decisions.policy.parts import Part, PartKind, Parts, read_part
from services.router.decisions.policy.problems import PolicyRefused, Problem
from services.router.decisions.policy.settings import Settings
from services.router.decisions.policy.templates import Template, Templates, WordedCommand
from services.router.decisions.policy.terms import ClockName, ClockOwner, ClockWhen, Role

__all__ = [
    "EVERYWHERE",
    "ClockName",
    "ClockOwner",
    "ClockRule",
    "ClockWhen",
    "Duty",
    "Office",
    "Part",
    "PartKind",
    "Parts",
    "Policy",
    "PolicyRefused",
    "Problem",
    "Role",
    "Settings",
    "Template",
    "Templates",
    "WordedCommand",
    "parse_policy",
    "read_part",
]
