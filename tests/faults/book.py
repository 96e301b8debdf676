"""The book of all who ask: every request that was sent, and what it was told.

What is asked under one key may be sent many times: at once, and again after an answer that left
it open. Of all of them together at most one effect may come, and exactly one of those told "yes".
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias
from uuid import UUID

import orjson

from bench.ledger import ACCEPTED, NO_ANSWER, Promises

What: TypeAlias = Literal["petition", "supplement", "command", "note", "look"]
DONE: dict[What, int] = {
    "petition": 202,
    "supplement": 202,
    "command": 200,
    "note": 200,
    "look": 200,
}
"""The status that says: it is done, for good."""


@dataclass(slots=True)
class Asked:
    """One thing that somebody wants done, under a key.

    `about` is the petition, case or notice that it is about, empty for a new petition. `told` are
    the answers that said it was done: the petition's id, the supplement's, the answer's words.
    """

    what: What
    key: str
    about: str = ""
    statuses: Counter[int] = field(default_factory=Counter)
    told: set[str] = field(default_factory=set)

    @property
    def is_done(self) -> bool:
        """Whether somebody was told so."""
        return self.statuses[DONE[self.what]] > 0

    @property
    def is_open(self) -> bool:
        """Whether some answer is missing, so that it may have been done all the same."""
        return any(map(leaves_open, self.statuses))


def leaves_open(status: int) -> bool:
    """Whether an answer, or none, leaves it open if it was done."""
    return status == NO_ANSWER or status >= 500


class Sums(NamedTuple):
    """Requests sent, those of them without a known outcome, and petitions accepted."""

    requests: int
    unknown: int
    accepted: int

    def since(self, before: Sums) -> Sums:
        """What came since."""
        return Sums(*(now - then for now, then in zip(self, before, strict=True)))


class Book:
    """Kept in memory, and line by line in `path`. One thread writes."""

    def __init__(self, path: Path) -> None:
        self.asked: dict[str, Asked] = {}
        self.accepted_at: list[tuple[float, UUID]] = []
        self.statuses: Counter[int] = Counter()
        self.not_sent = 0
        self._file = path.open("wb", buffering=1 << 16)

    def new(self, what: What, key: str, about: str = "") -> Asked:
        """Something that nobody asked for yet."""
        asked = self.asked[key] = Asked(what, key, about)
        return asked

    def note(self, asked: Asked, status: int, told: str = "") -> None:
        """One request for it was told this."""
        self.statuses[status] += 1
        if status == DONE[asked.what]:
            if asked.what == "petition" and not asked.is_done:
                self.accepted_at.append((time.monotonic(), UUID(told)))
            asked.told.add(told)
        asked.statuses[status] += 1
        line = (time.time(), asked.what, asked.key, asked.about, status, told)
        self._file.write(orjson.dumps(line) + b"\n")

    def close(self) -> None:
        """No more is written."""
        self._file.close()

    def of(self, what: What) -> Iterator[Asked]:
        """All of one sort."""
        return (one for one in self.asked.values() if one.what == what)

    def sums(self) -> Sums:
        """How much there is so far."""
        unknown = sum(n for status, n in self.statuses.items() if leaves_open(status))
        return Sums(self.statuses.total(), unknown, len(self.accepted_at))

    def accepted_between(self, begin: float, end: float) -> list[UUID]:
        """The petitions whose first "yes" came then (monotonic seconds)."""
        return [id_ for at, id_ in self.accepted_at[:] if begin <= at < end]

    def promises(self) -> Promises:
        """The ids that were promised, as the ledger of the load runs counts them."""
        statuses: Counter[int] = Counter()
        ids: list[UUID] = []
        for one in self.of("petition"):
            ids += map(UUID, one.told)
            statuses[ACCEPTED if one.is_done else NO_ANSWER if one.is_open else 400] += 1
        return Promises(statuses, set(ids), len(ids) - len(set(ids)))
