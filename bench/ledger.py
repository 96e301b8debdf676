"""The client's own book: what each request was told, and whether it came true. Pure but for files.

Told              one request: when it was due, how long the answer took, what it was
Ledger            keeps the book while the load runs, in memory and in a file
latencies(…)      how long answers took, from the moment each request was due
compare(…)        every id that was promised against every id that a stage holds
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import UUID

ACCEPTED = 202
NO_ANSWER = 0
NOT_SENT = -1


class Told(NamedTuple):
    """What one request was told.

    `due` is seconds of wall time since 1970, `seconds` how long after that the answer came (or
    was given up), `status` that of HTTP; or `NO_ANSWER`: the petition may be kept, or may not; or
    `NOT_SENT`: the server was so slow that no connection was free until the end.
    """

    due: float
    seconds: float
    status: int
    id: UUID | None


class Ledger:
    """The book of a run under way."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.statuses: Counter[int] = Counter()

    def note(self, due: float, seconds: float, status: int, petition: bytes = b"-") -> None:
        """This request was told this."""
        self.statuses[status] += 1
        self.file.write(b"%.6f\t%.6f\t%d\t%b\n" % (due, seconds, status, petition))

    @property
    def written(self) -> int:
        """Requests whose fate is known."""
        return self.statuses.total()


def read(path: Path) -> Iterator[Told]:
    """The lines of a ledger file."""
    with path.open("rb") as file:
        for line in file:
            due, seconds, status, petition = line.split()
            found = None if petition == b"-" else UUID(petition.decode())
            yield Told(float(due), float(seconds), int(status), found)


class Latencies(NamedTuple):
    """Seconds that a share of requests did not exceed; `n` requests in all."""

    n: int
    p50: float
    p99: float
    worst: float


def latencies(seconds: Iterable[float]) -> Latencies:
    """The shares of these; zeros where there are none."""
    ordered = sorted(seconds)
    if not ordered:
        return Latencies(0, 0.0, 0.0, 0.0)
    return Latencies(len(ordered), share(ordered, 0.5), share(ordered, 0.99), ordered[-1])


def share(ordered: Sequence[float], part: float) -> float:
    """The smallest value that at least this part of the values does not exceed."""
    return ordered[max(0, ceil(part * len(ordered)) - 1)]


def until(told: Iterable[Told], reached: Mapping[UUID, float]) -> Latencies:
    """From the moment a request was due to the moment that its petition reached a stage."""
    return latencies(
        reached[one.id] - one.due for one in told if one.id is not None and one.id in reached
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage of the pipeline holds: ids as often as they are there.

    `total` is how many it counts where it keeps a sum beside the ids.
    """

    name: str
    ids: Sequence[UUID]
    total: int | None = None


class Verdict(NamedTuple):
    """What became of promises at one stage."""

    stage: str
    lost: int
    doubled: int
    never_promised: int


@dataclass(frozen=True, slots=True)
class Promises:
    """All that clients were told: the ids promised, and how many answers left it open."""

    statuses: Counter[int] = field(default_factory=Counter)
    ids: set[UUID] = field(default_factory=set)
    repeated: int = 0

    @property
    def unknown(self) -> int:
        """Requests without an answer: each may have left a petition."""
        return self.statuses[NO_ANSWER]


def promises(told: Iterable[Told]) -> Promises:
    """What was promised in all; an id promised to two requests is counted as repeated."""
    statuses: Counter[int] = Counter()
    ids: list[UUID] = []
    for one in told:
        statuses[one.status] += 1
        if one.status == ACCEPTED and one.id is not None:
            ids.append(one.id)
    return Promises(statuses, set(ids), len(ids) - len(set(ids)))


def compare(promised: Promises, stages: Iterable[Stage]) -> list[Verdict]:
    """Promises against what each stage holds."""
    verdicts = []
    for stage in stages:
        there = set(stage.ids)
        total = len(stage.ids) if stage.total is None else stage.total
        verdicts.append(
            Verdict(
                stage.name,
                lost=len(promised.ids - there) + max(0, len(there) - total),
                doubled=max(len(stage.ids), total) - len(there),
                never_promised=len(there - promised.ids),
            )
        )
    return verdicts


def complaints(promised: Promises, verdicts: Iterable[Verdict]) -> list[str]:
    """What must not be: in plain words, nothing when all is well."""
    found = []
    if promised.repeated:
        found.append(f"{promised.repeated} ids were promised to two requests")
    for verdict in verdicts:
        if verdict.lost:
            found.append(f"{verdict.stage}: {verdict.lost} promised petitions are lost")
        if verdict.doubled:
            found.append(f"{verdict.stage}: {verdict.doubled} petitions too many")
        if verdict.never_promised > promised.unknown:
            extra = verdict.never_promised - promised.unknown
            found.append(f"{verdict.stage}: {extra} petitions that no request explains")
    return found
