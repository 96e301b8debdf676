"""What is asked by itself when the office that leads signs: of who assists, of the level above.

[F29, F30]
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.router.decisions.case import Case, but
from services.router.decisions.commands import Changed
from services.router.decisions.policy import Policy
from services.router.decisions.policy.sections import ByItself
from services.router.decisions.workflow import decide
from shared.divisions import Tier
from tests.router.stories import (
    DISTRICT,
    LAMP,
    MANHOLE,
    NOON,
    RUBBISH,
    STREET,
    command,
    done,
    officer,
    opened,
    shipped_policy,
    sure,
)
from tests.router.test_offices import of_office

HELPERS = ("drainage", "power-utility", "telecom-operators")
EACH_ONCE = [("assist", office) for office in HELPERS]


def asked(case: Case) -> list[tuple[str, str | None]]:
    """The open tasks of a case, and whose they are."""
    return [(task.kind, task.office) for task in case.open_tasks]


def asking(**fields: object) -> Policy:
    """The shipped policy, that asks for this by itself."""
    policy = shipped_policy()
    section = ByItself.model_validate(fields)
    return replace(policy, settings=policy.settings.model_copy(update={"by_itself": section}))


def signed(case: Case, policy: Policy) -> Changed:
    """The case after the office that has it signed."""
    assert case.office is not None
    decision = decide(case, command("sign"), of_office(case.office), policy, NOON)
    assert isinstance(decision, Changed)
    return decision


def test_who_assists_is_asked_when_who_leads_signs_each_with_a_clock_of_its_own(
    policy: Policy,
) -> None:
    manhole = opened(sure(MANHOLE))
    assert (manhole.office, manhole.assisting, asked(manhole)) == ("municipal-works", HELPERS, [])
    after = signed(manhole, policy)
    assert asked(after.case) == EACH_ONCE
    assert after.transitions[-3:] == ("asked/assist",) * 3
    owners = [
        (clock.owner_division, clock.owner_office, clock.on_breach)
        for clock in after.case.clocks
        if clock.name.startswith("assist/")
    ]
    assert owners == [(STREET, office, "supervise") for office in HELPERS]
    assert after.case.version == manhole.version + 1, "it is one step"


def test_each_is_asked_once_whatever_becomes_of_the_case(policy: Policy) -> None:
    case = signed(opened(sure(MANHOLE)), policy).case
    case = done(
        case, command("finish_task", task=1, result="no cover of ours"), of_office("drainage")
    )
    above = done(case, command("promote", reason="beyond_authority", note="n"), officer(STREET))
    assert (above.tier, above.stage) == (Tier.DISTRICT, "assigned")
    assert asked(signed(above, policy).case) == EACH_ONCE[1:]


@pytest.mark.parametrize(
    ("case", "fields"),
    [
        pytest.param(opened(sure(MANHOLE)), {}, id="the policy does not say so"),
        pytest.param(opened(sure(LAMP)), {"assist": True}, id="nobody assists"),
        pytest.param(
            but(opened(sure(MANHOLE)), accused_office="drainage", assisting=("drainage",)),
            {"assist": True},
            id="the accused is asked for nothing",
        ),
        pytest.param(
            but(opened(sure(MANHOLE)), lead="housing"), {"assist": True}, id="another has it"
        ),
        pytest.param(
            opened(sure(MANHOLE)), {"copy_from": (Tier.DISTRICT,)}, id="a copy from another tier"
        ),
    ],
)
def test_nobody_is_asked_where(case: Case, fields: dict[str, object]) -> None:
    assert asked(signed(case, asking(**fields)).case) == []


def test_what_a_grid_has_is_asked_of_no_office() -> None:
    small = but(opened(sure(RUBBISH)), assisting=("housing",))
    assert asked(done(small, "sign")) == []


def test_the_level_above_has_a_copy_once_where_the_policy_says_so() -> None:
    policy = asking(copy_from=(Tier.STREET, Tier.DISTRICT))
    after = signed(opened(sure(LAMP)), policy).case
    (copy,) = after.open_tasks
    assert (copy.kind, copy.division, copy.role) == ("copy", DISTRICT, "district_dispatcher")
    above = done(after, command("promote", reason="beyond_authority", note="n"), officer(STREET))
    assert [task.kind for task in signed(above, policy).case.tasks] == ["copy"]


def test_an_older_policy_asks_for_nothing(policy: Policy) -> None:
    assert ByItself() == ByItself(assist=False, copy_from=())
    assert policy.settings.by_itself.assist
