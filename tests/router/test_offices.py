"""Who answers for what: the registry, the duty catalogue, and offices as holders."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from services.router.decisions import clocks
from services.router.decisions.case import as_it_stood, changed_fields
from services.router.decisions.commands import Changed
from services.router.decisions.policy import (
    Part,
    PartKind,
    PolicyRefused,
    parse_policy,
    read_part,
)
from services.router.decisions.workflow import allowed_actions, decide, may_read
from shared.divisions import Tier
from shared.identity import Actor
from tests.router.stories import (
    CASE,
    DATA,
    DISTRICT,
    FILES,
    GRID,
    HOUR,
    LAMP,
    MANHOLE,
    MINUTE,
    NEXT_GRID,
    NEXT_STREET,
    NOON,
    RUBBISH,
    STREET,
    at,
    climbed,
    command,
    decided,
    done,
    officer,
    opened,
    refused,
    shipped_policy,
    sure,
)

TODAY = date(2026, 11, 24)
LONGER = "E0108"  # a grid's as well, with more time than rubbish has


def of_office(office: str, division: str = DISTRICT) -> Actor:
    return Actor("somebody", frozenset({"department_officer"}), division, office)


def files(**lines: str) -> dict[PartKind, Part]:
    """The shipped files; what is named has these lines besides."""
    return {
        kind: read_part(kind, (DATA / file).read_text() + lines.get(kind, ""), file)
        for kind, file in FILES.items()
    }


def without(kind: PartKind, *beginnings: str) -> dict[PartKind, Part]:
    """The shipped files, but for some lines of one."""
    text = (DATA / FILES[kind]).read_text().splitlines()
    kept = [line for line in text if not line.startswith(beginnings)]
    return files() | {kind: read_part(kind, "\n".join(kept) + "\n", FILES[kind])}


def problems(parts: dict[PartKind, Part]) -> list[str]:
    with pytest.raises(PolicyRefused) as refusal:
        parse_policy(1, parts)
    return [str(problem) for problem in refusal.value.problems]


# ---------------------------------------------------------------- registry and catalogue


def test_every_category_has_a_lead_in_every_division() -> None:
    policy = shipped_policy()
    for code, row in policy.categories.items():
        for division in policy.divisions:
            duty = policy.duty(code, division)
            assert duty is not None, (code, division)
            assert duty.lead.id in policy.duties.offices
            assert duty.lead.serves(division)
            if row.track != "handoff":
                assert duty.lead.kind != "outside", code


def test_a_category_that_nobody_leads_is_refused_and_named() -> None:
    said = problems(without("duties", "P0202,"))
    assert any("P0202" in one and DISTRICT in one and "no lead office" in one for one in said)
    assert all("P0202" in one for one in said)


def test_a_division_that_nobody_serves_is_refused_and_named() -> None:
    row = "lighting,路灯管理处,lighting,department,"
    text = (DATA / "offices.csv").read_text().replace(f"{row}*,", f"{row}210204,")
    parts = files() | {"offices": read_part("offices", text, "offices.csv")}
    said = problems(parts)
    assert any("P0202: has no lead office in 210202" in one for one in said)
    assert not any("210204" in one for one in said)


@pytest.mark.parametrize(
    ("kind", "line", "says"),
    [
        ("offices", "lighting,x,x,department,*,,,,\n", "said twice"),
        ("offices", "newest,x,x,department,999999,,,,\n", "not a listed division"),
        ("offices", "newest,x,x,department,*,,2026-1-1,,\n", "is no day"),
        ("duties", "P0202,*,nobody,\n", "not a listed office"),
        ("duties", "P0202,*,lighting,lighting;nobody\n", "not a listed office"),
        ("duties", "P9999,*,lighting,\n", "not a listed category"),
        ("duties", "P0202,999999,lighting,\n", "not a listed division"),
        ("duties", "P0202,210204,ganjingzi-lighting,\n", "serves nothing in 210204"),
        ("duties", "P0203,210204,lighting,ganjingzi-lighting\n", "serves nothing in 210204"),
    ],
)
def test_what_names_nothing_is_refused(kind: str, line: str, says: str) -> None:
    assert any(says in one for one in problems(files(**{kind: line})))


def test_a_day_without_a_lead_is_a_gap_and_days_that_meet_are_none() -> None:
    def changing(since: str) -> dict[PartKind, Part]:
        offices = (DATA / "offices.csv").read_text()
        old = "lighting,路灯管理处,lighting,department,*,,,"
        new = f"{old}2026-12-01,\nlamps,灯,lamps,department,*,,{since},"
        parts = files(duties="P0202,*,lamps,\n")
        return parts | {"offices": read_part("offices", offices.replace(old, new), "offices.csv")}

    assert any("P0202: has no lead office" in one for one in problems(changing("2026-12-02")))
    policy = parse_policy(1, changing("2026-12-01"))
    leads = [policy.duties.of(LAMP, GRID, date(2026, month, 1)) for month in (11, 12)]
    assert [duty.lead.id for duty in leads if duty] == ["lighting", "lamps"]


def test_the_narrowest_division_decides() -> None:
    policy = parse_policy(1, files(duties=f"P0202,{STREET},municipal-works,lighting\n"))
    there, beside = (policy.duties.of(LAMP, one, TODAY) for one in (GRID, NEXT_STREET))
    assert there is not None
    assert beside is not None
    assert (there.lead.id, [one.id for one in there.assisting]) == ("municipal-works", ["lighting"])
    assert beside.lead.id == "lighting"


def test_one_district_of_the_demo_has_a_lead_office_of_its_own() -> None:
    policy = shipped_policy()
    there, beside = (policy.duties.of(LAMP, one, TODAY) for one in ("210211001", STREET))
    assert there is not None
    assert beside is not None
    assert (there.lead.id, there.division) == ("ganjingzi-lighting", "210211")
    assert (beside.lead.id, beside.division) == ("lighting", "*")


SEASON = "heating-season-desk"
HEATING = "P0105"


@pytest.mark.parametrize(
    ("day", "assists"),
    [
        ("2026-11-04 10:00", False),
        ("2026-11-05 10:00", True),
        ("2027-04-05 10:00", True),
        ("2027-04-06 10:00", False),
    ],
)
def test_an_office_assists_on_its_days_only(day: str, assists: bool) -> None:
    assert (SEASON in opened(sure(HEATING), at(day)).assisting) is assists


def test_who_serves_elsewhere_does_not_assist() -> None:
    duty = f"P0202,*,lighting,ganjingzi-lighting;{SEASON}\n"
    text = (DATA / "duties.csv").read_text().replace("P0202,*,lighting,\n", duty)
    policy = parse_policy(1, files() | {"duties": read_part("duties", text, "duties.csv")})
    for division, helpers in ((GRID, [SEASON]), ("210211001", ["municipal-works"])):
        found = policy.duties.of(LAMP, division, TODAY)
        assert found is not None
        assert [one.id for one in found.assisting] == helpers


def test_nothing_is_given_to_an_office_that_is_gone_today_or_not_there_yet() -> None:
    asked = command("reroute", division=DISTRICT, office=SEASON, reason="competence")
    case = opened(sure(HEATING), at("2027-04-05 10:00"))
    assert case.holder == DISTRICT
    assert done(case, asked, now=at("2027-04-05 18:00")).office == SEASON
    assert refused(case, asked, now=at("2027-04-06 10:00")) == "unknown"
    early = opened(sure(HEATING), at("2026-11-04 10:00"))
    assert refused(early, asked, now=at("2026-11-04 18:00")) == "unknown"
    assert done(early, asked, now=at("2026-11-05 10:00")).office == SEASON


# ---------------------------------------------------------------- offices as holders


def test_from_the_street_up_the_lead_office_holds_below_it_the_division() -> None:
    small = opened(sure(RUBBISH))
    assert (small.tier, small.office, small.lead, small.role) == (
        Tier.GRID, None, "sanitation", "grid_head",
    )  # fmt: skip
    risen = climbed(small, Tier.STREET)
    assert (risen.holder, risen.office, risen.role) == (STREET, "sanitation", "department_officer")
    lamp = opened(sure(LAMP))
    assert (lamp.tier, lamp.office) == (Tier.STREET, "lighting")
    for clock in lamp.clocks:
        owned = clock.name in ("sign", "tier", "final_reply")
        assert clock.owner_office == ("lighting" if owned else None), clock.name


def test_an_officer_of_an_office_does_what_his_office_holds_and_nothing_else() -> None:
    lamp = opened(sure(LAMP))
    assert "sign" in allowed_actions(lamp, of_office("lighting"))
    assert done(lamp, "sign", of_office("lighting")).signed_by == "somebody"
    assert not may_read(lamp, of_office("sanitation"))
    assert refused(lamp, "sign", of_office("sanitation")) == "not_your_area"
    assert refused(lamp, "sign", of_office("lighting", NEXT_STREET)) == "not_your_area"
    manhole = opened(sure(MANHOLE))
    assert manhole.assisting
    helper = of_office(manhole.assisting[0])
    assert may_read(manhole, helper)
    assert refused(manhole, "resolve", helper) == "not_your_area"


def test_a_dispatcher_gives_it_to_another_office_that_may_have_it() -> None:
    lamp = opened(sure(LAMP))
    boss = officer(STREET)

    def give(office: str, division: str = STREET) -> object:
        return command("reroute", division=division, office=office, reason="competence")

    moved = done(lamp, give("municipal-works"), boss)  # type: ignore[arg-type]
    assert (moved.holder, moved.office, moved.signed_by) == (STREET, "municipal-works", None)
    assert refused(lamp, give("nobody"), boss) == "unknown"  # type: ignore[arg-type]
    assert refused(lamp, give("fire-119"), boss) == "not_allowed_now"  # type: ignore[arg-type]
    small = opened(sure(RUBBISH))
    below = give("sanitation", NEXT_GRID)
    assert refused(small, below, officer(GRID)) == "not_your_area"  # type: ignore[arg-type]


# ---------------------------------------------------------------- corrections


def test_a_correction_moves_a_held_case_and_says_what_was_said_before() -> None:
    case = done(opened(sure(RUBBISH)), "sign")
    said = command("classify", category=LAMP, note="the lamp is meant")
    decision = decided(case, said, officer(GRID))
    assert isinstance(decision, Changed)
    after = decision.case
    assert (after.holder, after.office, after.stage) == (STREET, "lighting", "assigned")
    assert decision.detail["corrected"]["category"] == (RUBBISH, LAMP)  # type: ignore[index]
    assert decision.detail["note"] == "the lamp is meant"
    for name in ("verify", "reply", "final_reply"):
        before_, after_ = case.clock(name), after.clock(name)
        assert before_ is not None
        assert after_ is not None
        assert after_.started_at == before_.started_at == case.received_at
    signed, begun = case.clock("tier"), after.clock("tier")
    assert signed is not None
    assert begun is not None
    assert begun.generation > signed.generation


def test_a_correction_that_changes_no_holder_leaves_him_his_time() -> None:
    case = done(opened(sure(RUBBISH)), "sign")
    after = done(case, command("classify", category=LONGER), officer(GRID))
    assert (after.holder, after.stage, after.signed_by) == (GRID, "signed", "somebody")
    assert after.clock("tier") == case.clock("tier")
    assert after.clock("sign") is None


@pytest.mark.parametrize(("late", "grace"), [(HOUR, False), (30 * HOUR, True)])
def test_a_correction_that_stays_cuts_what_the_holder_has_too_much(
    late: timedelta, grace: bool
) -> None:
    case = done(opened(sure(LONGER)), "sign")
    now = NOON + late
    after = done(case, command("classify", category=RUBBISH), officer(GRID), now)
    long, short = case.clock("tier"), after.clock("tier")
    fresh = opened(sure(RUBBISH)).clock("tier")
    assert long is not None
    assert short is not None
    assert fresh is not None
    assert short.due_at == (now + 10 * MINUTE if grace else fresh.due_at) < long.due_at
    assert (short.started_at, short.generation) == (long.started_at, long.generation + 1)
    assert all(short.started_at < mark < short.due_at for mark in short.warn_at)


def test_what_is_more_urgent_is_signed_sooner_and_what_is_overdue_has_no_new_time() -> None:
    case = opened(sure(RUBBISH))
    urgent = replace(case, urgency="U1")
    sign = clocks.shortened(urgent, ("sign",), shipped_policy(), NOON).clock("sign")
    assert sign is not None
    assert (sign.started_at, sign.due_at, sign.generation) == (NOON, NOON + 10 * MINUTE, 2)
    late = NOON + 2 * HOUR
    assert (
        clocks.shortened(urgent, ("sign", "tier"), shipped_policy(), late).clocks[0]
        == (case.clocks[0])
    )


def test_a_sign_that_is_corrected_decides_again() -> None:
    case = opened(sure(RUBBISH))
    said = command("classify", category=RUBBISH, signs=["enforcement"])
    assert done(case, said, officer(GRID)).tier is Tier.COMMUNITY


def test_another_place_gives_it_to_the_grid_it_lies_in() -> None:
    case = done(opened(sure(RUBBISH)), "sign")
    after = done(case, command("place", division=NEXT_GRID), officer(GRID))
    assert (after.holder, after.place, after.stage) == (NEXT_GRID, NEXT_GRID, "assigned")


# ---------------------------------------------------------------- the time machine


def test_a_case_as_it_stood_after_each_of_its_steps() -> None:
    case = opened(sure(MANHOLE))
    steps = [changed_fields(None, case)]
    stood = [case]
    for asked in ("sign", "verify", "reply", "promote", "return"):
        actor = officer(GRID) if asked == "verify" else None
        decision = decided(case, asked, actor)
        assert isinstance(decision, Changed), (asked, decision)
        steps.append(changed_fields(case, decision.case))
        case = decision.case
        stood.append(case)
    assert as_it_stood([]) is None
    for n, then in enumerate(stood, start=1):
        assert as_it_stood(steps[:n]) == then
    assert case.id == CASE
    assert decide is not None
    assert stood[0].received_at == NOON
