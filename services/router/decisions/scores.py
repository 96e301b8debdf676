"""What whistles say of those who blow, command and report in: both sides are scored.

Scores are of divisions and offices, never of persons. [Beijing 33, city; domain B6]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, Literal

from services.router.decisions.case import Case
from services.router.decisions.tasks import Task

TALLY: Final = "whistle"
Deed = Literal[
    "asked", "blown",
    "commanded", "released",
    "called", "objected", "refused", "reported_in_time", "reported_late", "done_in_time",
    "done_late", "good", "bad",
]  # fmt: skip
"""What is counted: of a grid that it asked, of a community that it blew; of a street the offices
that it called and those whose objections it upheld; of an office all else."""


def tallied(before: Case | None, after: Case) -> Counter[tuple[str, str]]:
    """What this step of a case adds to the scores, by (`whistle`, `division/office/deed`)."""
    counts: Counter[tuple[str, str]] = Counter()
    if before is not None and after.tasks is before.tasks and after.whistle is before.whistle:
        return counts
    was = {task.n: task for task in before.tasks} if before else {}
    blown_before = before.whistle if before else None
    if after.whistle is not None and (blown_before is None or blown_before.at != after.whistle.at):
        counts[TALLY, key(after.whistle.by, None, "blown")] += 1
    for task in after.tasks:
        for division, office, deed in deeds(was.get(task.n), task):
            counts[TALLY, key(division, office, deed)] += 1
    return counts


def key(division: str, office: str | None, deed: Deed) -> str:
    """The key of a count: without an office it is the division's own."""
    return f"{division}/{office or ''}/{deed}"


def deeds(before: Task | None, after: Task) -> Iterator[tuple[str, str | None, Deed]]:
    """What became of a task in one step, and of whom that is told."""
    asks = after.by.partition("/")[0]
    if after.kind == "whistle" and before is None:
        yield asks, None, "asked"
    elif after.kind == "report_in" and before is None:
        yield asks, None, "commanded"
        yield after.division, after.office, "called"
    elif after.kind == "report_in" and before is not None:
        if after.state == "released" != before.state:
            yield asks, None, "released"
        for deed in done_by(before, after):
            yield after.division, after.office, deed


def done_by(before: Task, after: Task) -> Iterator[Deed]:
    """What a department did in one step, or what the first receiver says that it did."""
    if after.state != before.state and after.state in ("objected", "refused"):
        yield "objected" if after.state == "objected" else "refused"
    verdicts: tuple[tuple[bool | None, bool | None, Deed, Deed], ...] = (
        (before.reported, after.reported, "reported_in_time", "reported_late"),
        (before.finished, after.finished, "done_in_time", "done_late"),
        (before.good, after.good, "good", "bad"),
    )
    for was, now, well, ill in verdicts:
        if now is not None and was is None:
            yield well if now else ill
