"""Who may read a case, and who may do what with it now. Petition Regs 30, 46; Beijing 17. [law]"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.router.decisions.case import Case
from services.router.decisions.commands import Refused
from services.router.decisions.tracks import TRACKS
from services.router.decisions.tracks.table import Step
from services.router.decisions.workflow.guards import has_to, why_not
from shared.divisions import CITY, Tier, is_within
from shared.identity import Actor

BELOW_THE_STREET = frozenset({Tier.GRID, Tier.COMMUNITY})


def accused_reads(case: Case, actor: Actor) -> bool:
    """Whether the actor belongs to who is shut out: the division, one below it, or the office.

    While it is not known who is accused that is every office: only desks have to do with it.
    """
    if actor.office is not None and (case.accused_unknown or actor.office == case.accused_office):
        return True
    accused = case.accused_division
    return accused is not None and actor.division != CITY and is_within(actor.division, accused)


def may_read(case: Case, actor: Actor) -> bool:
    """Row scope: the holder's area and above, and those who own a running clock of the case.

    Where nothing is restricted, those who act for its place too.
    """
    if accused_reads(case, actor) or not concerns(case, actor):
        return False
    divisions = [case.holder, *(clock.owner_division for clock in case.clocks)]
    if not case.restricted:
        divisions.append(case.place)
    return any(map(actor.acts_for, divisions))


def may_know(stood: Iterable[Case], actor: Actor) -> Iterator[bool]:
    """Of each step of a case whether the actor may know of it; `stood` is the case after each.

    Who was accused learns nothing of that time, nor of what began or ended it; others nothing of a
    time in which it was restricted and not theirs to read.
    """
    accused = False
    for case in stood:
        was, accused = accused, accused_reads(case, actor)
        hidden = was or accused or (case.restricted and not may_read(case, actor))
        yield not hidden


def concerns(case: Case, actor: Actor) -> bool:
    """Whether a case is the actor's office's: it holds, leads or assists, or owns a promise.

    Who acts for no office acts for his whole division. An office that only assists does not see
    what is restricted.
    """
    if actor.office is None:
        return True
    offices = {case.office, case.lead, *(clock.owner_office for clock in case.clocks)}
    if not case.restricted:
        offices.update(case.assisting)
    return actor.office in offices


def allowed_actions(case: Case, actor: Actor) -> tuple[str, ...]:
    """What this actor may do with the case now."""
    if accused_reads(case, actor):
        return ()
    return tuple(
        step.command
        for step in TRACKS[case.track].steps
        if case.stage in step.sources
        and actor.roles & step.roles
        and in_area(case, step, actor)
        and not (step.leads and only_starts_here(case))
        and why_not(case, step, actor) is None
    )


def may_not(case: Case, command: str, step: Step | None, actor: Actor) -> Refused | None:
    """Why this actor may not give this command now; None if he may."""
    if accused_reads(case, actor):
        return Refused("not_your_area", "this case is not for this office")
    allowed = allowed_actions(case, actor)
    if step is None:
        return Refused(
            "not_allowed_now",
            f"a {case.track} case that is {case.stage} takes no {command}",
            allowed,
        )
    if not actor.roles & step.roles:
        return Refused(
            "not_your_role", f"{command} takes one of: {', '.join(sorted(step.roles))}", allowed
        )
    if not in_area(case, step, actor):
        area = area_of(case, step)
        return Refused("not_your_area", f"{command} is for those who act for {area}", allowed)
    if step.leads and only_starts_here(case):
        return Refused(
            "not_allowed_now",
            "a community may not lead this matter: verify it, then promote or return it",
            allowed,
        )
    if (says := why_not(case, step, actor)) is not None:
        return Refused("not_allowed_now", says, allowed)
    return None


def area_of(case: Case, step: Step) -> str:
    """For whom a step is, in words."""
    if step.where == "giver":
        return case.given_by or "whoever handed it on"
    if step.where == "task":
        return "whoever has to do something about one of its tasks"
    area = case.holder if step.where == "holder" else case.place
    return area if case.office is None else f"{area} or {case.office} there"


def in_area(case: Case, step: Step, actor: Actor) -> bool:
    """The holder's area, for some steps the place's too; and who owns a promise may keep it.

    Who acts for an office commands only what his office holds.
    """
    if step.where == "giver":
        # Nobody handed it on: the guard says so.
        return actor.acts_for(case.given_by or case.holder)
    if step.where == "task":
        # Where there is no task, the guard says so.
        tasks = case.open_tasks
        return not tasks or any(has_to(case, task, actor) for task in tasks)
    if actor.office in (None, case.office) and (
        actor.acts_for(case.holder) or (step.where == "place" and actor.acts_for(case.place))
    ):
        return True
    return any(
        clock.name in step.fulfils
        and clock.owner_role in actor.roles
        and actor.office in (None, clock.owner_office)
        and actor.acts_for(clock.owner_division)
        for clock in case.clocks
    )


def only_starts_here(case: Case) -> bool:
    """Whether a case is where it may be verified and passed on, but not led."""
    return case.street_leads and case.tier in BELOW_THE_STREET
