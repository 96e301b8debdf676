"""Fault after fault, each with its verdict, as rows of one table."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from deploy.local.processes import DidNotStart
from tests.faults.book import Sums
from tests.faults.faults import Fault
from tests.faults.invariants import Verdict
from tests.faults.scene import AWAY, NotRecovered, Scene, scene_in
from tests.faults.town import Kind, Town
from tests.faults.versions import NoHistory

MOST_PETITIONS = 20_000
"""A town that has accepted so many gives way to a new one: each verdict looks at everything."""
SHOWN_FINDINGS = 12


@dataclass(slots=True)
class Row:
    """What came of one fault."""

    fault: str
    about: str
    injected: int = 0
    requests: int = 0
    accepted: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    recovery: float | None = None
    """The longest time in seconds until all was well again."""
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    trouble: str | None = None
    skipped: bool = False

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.skipped:
            return "skipped"
        if self.lost or self.doubled:
            return "BROKEN"
        return "WRONG" if self.wrong or self.trouble else "well"

    @property
    def well(self) -> bool:
        """Nothing that must not be."""
        return self.verdict in ("well", "skipped")


@dataclass
class Campaign:
    """Faults in towns below `home`; `done` hears of each row."""

    home: Path
    rate: float
    seconds: float
    seed: int
    say: Callable[[str], None]
    done: Callable[[Row], None]
    old: str | None = None
    rows: list[Row] = field(default_factory=list)
    _open: ExitStack = field(default_factory=ExitStack)
    _scene: Scene | None = None
    _towns: int = 0

    def run(self, faults: Sequence[Fault]) -> list[Row]:
        """One after the other; a town that was broken is not used again."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        try:
            for fault in faults:
                self.rows.append(row := self.one(fault))
                self.done(row)
                if not row.well:
                    self.leave(keep=True)
        finally:
            self.leave()
        return self.rows

    def one(self, fault: Fault) -> Row:
        """Inflict one fault and judge."""
        row = Row(fault.name, fault.about)
        began = time.monotonic()
        try:
            scene = self.scene(fault.kind)
        except NoHistory as why:
            row.skipped, row.notes = True, [str(why)]
            return row
        before = scene.load.book.sums()
        scene.begin()
        scene.load.resume()
        try:
            fault.inflict(scene)
            fill(row, scene.verdict())
            row.trouble = "; ".join(scene.failures) or None
        except (NotRecovered, DidNotStart, *AWAY) as trouble:
            row.trouble = f"{type(trouble).__name__}: {trouble}"
        row.seconds = time.monotonic() - began
        figures(row, scene, scene.load.book.sums().since(before))
        return row

    def scene(self, kind: Kind) -> Scene:
        """A town of this kind: the one that is there, or a new one."""
        full = self._scene is not None and self._scene.load.book.sums().accepted > MOST_PETITIONS
        if self._scene is None or full or self._scene.town.kind != kind:
            self.leave()
            self._towns += 1
            self.say(f"a town with {kind.brokers} broker{'s' * (kind.brokers > 1)} starts")
            town = Town(self.home / f"town-{self._towns}", kind, old=self.old)
            self._open.callback(town.stop)
            town.start()
            scene = scene_in(
                town,
                self.home / f"book-{self._towns}.ndjson",
                rate=self.rate,
                seconds=self.seconds,
                seed=self.seed + self._towns,
                say=self.say,
            )
            self._scene = self._open.enter_context(scene)
            self._scene.recover(time.monotonic())
        return self._scene

    def leave(self, *, keep: bool = False) -> None:
        """The town ends; its data are removed, unless somebody should look into them."""
        self._open.close()
        if self._scene is not None and not keep:
            shutil.rmtree(self._scene.town.home, ignore_errors=True)
        self._scene = None


def fill(row: Row, verdict: Verdict) -> None:
    """What the invariants found."""
    row.lost, row.doubled = verdict.count("lost"), verdict.count("doubled")
    row.wrong = verdict.count("wrong")
    row.findings = [f"{one.sort}: {one.says} ({one.n})" for one in verdict.findings]


def figures(row: Row, scene: Scene, sums: Sums) -> None:
    """What was done, sent and measured."""
    row.injected, row.notes = scene.injected, list(scene.notes)
    row.requests, row.unknown, row.accepted = sums
    row.recovery = max(scene.recoveries, default=None)


# ---------------------------------------------------------------- showing


def table(rows: Sequence[Row], console: Console) -> Table:
    """One line a fault."""
    shown = Table(box=box.SIMPLE_HEAVY if console.is_terminal else None)
    for name in ("fault", "injected", "requests", "unknown answers", "lost", "doubled",
                 "recovery s", "verdict"):  # fmt: skip
        shown.add_column(name, justify="left" if name in ("fault", "verdict") else "right")
    for row in rows:
        recovery = "" if row.recovery is None else f"{row.recovery:.1f}"
        numbers = (row.injected, row.requests, row.unknown, row.lost, row.doubled)
        shown.add_row(row.fault, *(f"{n:,}" for n in numbers), recovery, row.verdict)
    return shown


def details(rows: Sequence[Row], console: Console) -> None:
    """What was noted, and what was found."""
    for row in rows:
        for note in row.notes:
            console.print(f"{row.fault}: {note}", markup=False, highlight=False)
        for finding in row.findings[:SHOWN_FINDINGS]:
            console.print(f"{row.fault}: {finding}", style="red", markup=False, highlight=False)
        if (more := len(row.findings) - SHOWN_FINDINGS) > 0:
            console.print(f"{row.fault}: and {more} findings more", style="red")
        if row.trouble:
            console.print(f"{row.fault}: {row.trouble}", style="red", markup=False)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows for later comparison."""
    return [asdict(row) | {"verdict": row.verdict} for row in rows]


def keep(rows: Sequence[Row], path: Path) -> None:
    """Write the result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(as_json(rows), option=orjson.OPT_INDENT_2))
