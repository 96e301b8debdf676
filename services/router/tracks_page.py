"""The tracks as a page for people: states, commands, promises, and why no case ends in silence.

    python -m services.router.tracks_page    writes docs/tracks.md

Rendered from the tables of `decisions.tracks`, the shipped policy and `decisions.stuck`; a test
compares the file with the code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from services.router.decisions.policy import ClockRule, Policy, Role, parse_policy
from services.router.decisions.stuck import STUCK_QUEUES, WAITS_FOR, StuckQueue
from services.router.decisions.tracks import (
    AT_THE_DESK_ONLY,
    CADRES,
    DISPATCHERS,
    GRID_TEAM,
    HEADS,
    HOLDERS,
    TRACKS,
)
from services.router.decisions.tracks.table import TERMINAL, Step, TrackTable, Where, acting
from services.router.decisions.workflow.guards import GUARDS
from services.router.handlers.policies import files, read_files
from shared.divisions import LADDER
from shared.events import Stage, Track

FILE = Path(__file__).parents[2] / "docs" / "tracks.md"
ORDER: Final[tuple[Track, ...]] = (
    "service", "consult", "handoff", "xinfang", "mediation", "project",
)  # fmt: skip
STAGES: Final[tuple[Stage, ...]] = (
    "registered", "assigned", "signed", "resolved", "closed", "handed_off",
)  # fmt: skip
GROUPS: Final[Mapping[frozenset[Role], str]] = {
    HOLDERS: "any holder",
    DISPATCHERS: "a dispatcher",
    GRID_TEAM: "the grid team",
    CADRES: "a cadre",
    HEADS: "a head",
    CADRES | DISPATCHERS: "a cadre or a dispatcher",
}
ZH: Final[Mapping[str, str]] = {
    "registered": "立案",
    "assigned": "派遣",
    "signed": "签收",
    "closed": "结案",
    "callback": "回访",
    "grid_head": "网格长",
    "grid_worker": "网格员",
    "street_cadre": "街道干部",
    "xinfang": "信访",
    "mediation": "人民调解",
    "project": "居民自治项目",
    "consult": "咨询",
}
"""The Chinese words of the offices, where the glossary has one."""
NOTE_LASTS: Final = 7
"""Escalation's number, which a test compares: it counts for all clocks alike. [ours]"""
AREAS: Final[Mapping[Where, str]] = {
    "holder": "of the holder's area",
    "place": "of the holder's or the place's area",
    "giver": "of the desk that handed it on",
    "task": "of whoever the task is for or waits for",
}


def words(name: str) -> str:
    """A name of the code as words, with the Chinese one beside it."""
    plain = name.replace("_", " ")
    return f"{plain} {ZH[name]}" if name in ZH else plain


def listed(names: Iterable[str]) -> str:
    """Names in one cell of a table."""
    return ", ".join(names) or "–"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A Markdown table."""
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield "|---" * len(names) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def stages_of(track: TrackTable) -> list[Stage]:
    """The states of a track, in the order of a case's life."""
    return [stage for stage in STAGES if stage in track.stages()]


def steps_in(track: TrackTable, stage: Stage) -> list[Step]:
    """The rows for a state."""
    return [step for step in track.steps if stage in step.sources]


def ways(step: Step, track: TrackTable) -> list[Stage]:
    """The states of this track that a step may lead to: routed anew, where a case may begin too."""
    found = {*step.targets, *(track.initial if step.anew else ())}
    return [stage for stage in STAGES if stage in found]


# ---------------------------------------------------------------- the diagram, the commands


def diagram(track: TrackTable) -> Iterator[str]:
    """The states and the commands that lead from one to another, as Mermaid draws them."""
    yield from ("```mermaid", "stateDiagram-v2")
    yield from (f"    {stage} : {words(stage)}" for stage in stages_of(track))
    yield from (f"    [*] --> {stage}" for stage in stages_of(track) if stage in track.initial)
    for source in stages_of(track):
        for target in stages_of(track):
            if commands := between(track, source, target):
                yield f"    {source} --> {target} : {', '.join(commands)}"
    yield from (f"    {stage} --> [*]" for stage in stages_of(track) if stage in TERMINAL)
    yield from ("```", "")


def between(track: TrackTable, source: Stage, target: Stage) -> list[str]:
    """The commands that may lead from one state to another; those that stay are in the tables."""
    if source == target:
        return []
    steps = [step for step in steps_in(track, source) if target in ways(step, track)]
    return list(dict.fromkeys(step.command for step in steps))


def commands(track: TrackTable, policy: Policy) -> Iterator[str]:
    """For each state the commands that it takes."""
    for stage in stages_of(track):
        if steps := steps_in(track, stage):
            yield from (f"### {track.name}: {words(stage)}", "")
            yield from table(
                ("command", "who may", "needs", "leads to", "keeps", "ends", "starts"),
                (command_row(step, track, policy) for step in steps),
            )


def command_row(step: Step, track: TrackTable, policy: Policy) -> tuple[str, ...]:
    """One command of a state."""
    return (
        f"`{step.command}`",
        f"{who_may(step.roles)} {AREAS[step.where]}",
        listed(needs(step, policy)),
        leads_to(step, track),
        listed(clock for clock in step.fulfils if track.name in policy.clocks[clock].tracks),  # type: ignore[index]
        "all" if set(step.targets) == {"closed"} else listed(ended(step, track.name, policy)),
        listed(rule.name for rule in started(step.starts, track.name, policy)),
    )


def who_may(roles: frozenset[Role]) -> str:
    """The group of these roles, or the roles themselves."""
    return GROUPS.get(roles) or listed(words(role) for role in sorted(roles))


def leads_to(step: Step, track: TrackTable) -> str:
    """The states that a step may lead to; another matter may belong to another track."""
    if not step.targets:
        return "stays"
    return listed(ways(step, track)) + (", or another track" if step.anew else "")


def needs(step: Step, policy: Policy) -> Iterator[str]:
    """What must be so, beside the state and who asks."""
    yield from (guard.replace("_", " ") for guard in step.guards)
    if step.leads:
        yield "leads the matter"
    if step.reopens:
        yield f"within {hours(policy.settings.escalation.reopen.within)} of its end"


def ended(step: Step, track: Track, policy: Policy) -> list[str]:
    """The promises that a step makes void, of those that this track has."""
    return [name for name in step.ends if track in policy.clocks[name].tracks]  # type: ignore[index]


def started(moments: Iterable[str], track: Track, policy: Policy) -> list[ClockRule]:
    """The promises that begin at these moments."""
    wanted = set(moments)
    return [
        rule for rule in policy.clocks.values() if rule.start in wanted and track in rule.tracks
    ]


# ---------------------------------------------------------------- nothing ends in silence


def running(track: TrackTable, policy: Policy) -> dict[Stage, list[ClockRule]]:
    """Which promises may run in each state that waits: what began on the way and was not stopped.

    Where a case may begin, or begin again, all that begins with it runs.
    """
    found: dict[Stage, set[str]] = {stage: set() for stage in stages_of(track)}
    for stage in track.initial:
        begins = ("entered_queue",) if stage == "registered" else ("assigned", "entered_tier")
        found[stage] = {rule.name for rule in started(("received", *begins), track.name, policy)}
    for _ in found:
        for step in track.steps:
            carry(step, track, policy, found)
    return {
        stage: [
            rule
            for rule in policy.clocks.values()
            if rule.name in names and may_run(rule, track, stage, policy)
        ]
        for stage, names in found.items()
        if stage not in TERMINAL
    }


def carry(step: Step, track: TrackTable, policy: Policy, found: dict[Stage, set[str]]) -> None:
    """What runs after a step, in each state to which it brings a case on.

    A step that may also lead elsewhere begins nothing where it leaves a case in its state.
    """
    begins = {rule.name for rule in started(step.starts, track.name, policy)}
    for source in step.sources:
        stays = {source} if source in step.targets else set(step.targets)
        for target in stays - track.initial:
            anew = set() if target == source and len(step.targets) > 1 else begins
            found[target] |= found[source] - {*step.fulfils, *step.ends} | anew


def may_run(rule: ClockRule, track: TrackTable, stage: Stage, policy: Policy) -> bool:
    """Whether a promise may run in a state: at a dispatcher's desk few do."""
    at_a_desk = stage == "registered" and track.name != "handoff"
    if not at_a_desk:
        return rule.when != "waiting_for_dispatcher"
    return rule.name in policy.settings.unclassified.clocks


def silence(policy: Policy) -> Iterator[str]:
    """Every state of every track: who must act, by when, what happens else, and what shows it."""
    yield from table(
        ("track", "state", "who must act", "by which promise", "else", "what shows it"),
        (
            silence_row(TRACKS[name], stage, clocks, policy)
            for name in ORDER
            for stage, clocks in running(TRACKS[name], policy).items()
        ),
    )


def silence_row(
    track: TrackTable, stage: Stage, clocks: list[ClockRule], policy: Policy
) -> tuple[str, ...]:
    """One state."""
    waits = dict(track.waits)[stage]
    first = sorted(clocks, key=lambda rule: rule.name != waits)
    return (
        words(track.name),
        words(stage),
        who_may(acting(track, stage)),
        "<br>".join(f"**{r.name}** {limit(r)}" if r.name == waits else f"{r.name} {limit(r)}"
                    for r in first),
        "<br>".join(f"{rule.name}: {else_(rule, policy)}" for rule in first),
        "<br>".join(f"{q.name}: {metrics(q)}" for q in STUCK_QUEUES
                    if q.clock == waits or q.name in ("open", "overdue")),
    )  # fmt: skip


def limit(rule: ClockRule) -> str:
    """How long a promise has, and from when; by urgency where it differs."""
    from_ = words(rule.start)
    lengths = dict.fromkeys(map(str, rule.limits.values()))
    if not lengths:
        return f"(the tier's share, from {from_})"
    if len(lengths) == 1:
        return f"({next(iter(lengths))} from {from_})"
    by = ", ".join(f"{urgency} {length}" for urgency, length in rule.limits.items())
    return f"({by} from {from_})"


def else_(rule: ClockRule, policy: Policy) -> str:
    """What happens when nobody keeps a promise, up to the end of the ladder."""
    every = "" if rule.repeat_every is None else hours(rule.repeat_every)
    again = every and f", said again each {every} without end"
    match rule.on_breach:
        case "promote":
            top = policy.settings.escalation.at_the_top
            return (
                "warned, then promoted tier by tier; at the top supervised, said again each"
                f" {hours(top.supervise_every)} (U1: {hours(top.supervise_every_U1)}) without end"
            )
        case "supervise":
            return f"warned, then supervised by the level above{again}"
        case "remind":
            times = policy.settings.reminders.at_most
            return (
                f"warned, then owner and level above reminded {times} times, {every} apart; then a"
                " supervision card for the level above, said again without end"
            )
        case "lapse":
            return "the right ends, and the persons are told"
        case "none":
            return "the right ends"


def hours(length: timedelta) -> str:
    """A length in the largest whole unit."""
    minutes = int(length.total_seconds()) // 60
    return f"{minutes} min" if minutes % 60 else f"{minutes // 60} h"


def metrics(queue: StuckQueue) -> str:
    """The metrics of a queue, as they are asked for."""
    label = f'{{queue="{queue.name}"}}' if queue.name in WAITS_FOR else ""
    return listed(f"`{metric}{label}`" for metric in queue.metrics)


def queues() -> Iterator[str]:
    """The stuck queues by name."""
    yield from table(
        ("queue", "what waits there", "kept by", "owner", "promise", "metrics"),
        (
            (q.name, q.holds, q.keeper, words(q.owner), q.clock or "–", metrics(q))
            for q in STUCK_QUEUES
        ),
    )


# ---------------------------------------------------------------- the page


def shipped() -> Policy:
    """The policy that comes with the project."""
    return parse_policy(1, read_files(files()))


def page(policy: Policy) -> Iterator[str]:
    """The whole page, line by line."""
    tiers = {tier.id: tier.zh for tier in policy.settings.tiers}
    yield from (
        "# The tracks, and why no case ends in silence",
        "",
        "Written by `python -m services.router.tracks_page` from the tables in"
        " `services/router/decisions/tracks/`, the shipped policy and"
        " `services/router/decisions/stuck.py`: change those, not this page.",
        "",
        "A case climbs " + " → ".join(f"{tier} {tiers[tier]}" for tier in LADDER)
        + ", and above them is supervision. A table that would leave a case in a state that nothing"
        " leads to or out of, that no officer can end or in which no promise runs, is refused when"
        " it is loaded.",
        "",
        "## Who is who",
        "",
    )  # fmt: skip
    yield from table(
        ("called here", "roles"),
        ((name, listed(words(role) for role in sorted(roles))) for roles, name in GROUPS.items()),
    )
    yield from table(
        ("what a command may need", "else it is answered"),
        ((guard.replace("_", " "), says) for guard, (_, says) in GUARDS.items()),
    )
    for name in ORDER:
        yield from (f"## {words(name)}", "")
        if name in AT_THE_DESK_ONLY:
            yield from ("Its own table comes later: until then a dispatcher holds its cases.", "")
        yield from diagram(TRACKS[name])
        yield from commands(TRACKS[name], policy)
    yield from ("## Nothing ends in silence", "")
    yield "The promise in bold is the one that says who must act. A pause has a promise of its own:"
    yield f"`pause`, until the agreed moment: {else_(policy.clocks['pause'], policy)}; they go on."
    yield "What nobody takes note of goes up a level a day. Whoever takes note of a broken promise"
    yield f"hears no more of it until it would have been said {NOTE_LASTS} times; then it is said"
    yield f"again. A card comes again after {NOTE_LASTS} times as long as a reminder. The desk that"
    yield "is told acts next, or says to the holder what he is to do."
    yield ""
    yield from silence(policy)
    yield from ("## The stuck queues", "", *queues())


def render() -> str:
    """The page as the file holds it."""
    return "\n".join(page(shipped())).rstrip() + "\n"


def main() -> None:
    """Write the file."""
    FILE.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{FILE}\n")


if __name__ == "__main__":
    main()
