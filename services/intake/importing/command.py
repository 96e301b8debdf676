"""The command: options, progress, what was rejected, and the sum at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated

import httpx
import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from services.intake.importing.lines import DEFAULTS, FIELDS, Columns, Lines, Rejected
from services.intake.importing.sending import GaveUp, Outcome, Server, Tally, send_all
from shared.command import run

console = Console()
complaints = Console(stderr=True)

SHOWN = 20
PLAIN_EVERY_SECONDS = 5.0


def import_(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, readable=True, help="NDJSON, or CSV + header"),
    ],
    url: Annotated[str, typer.Option(help="where intake answers")] = "http://127.0.0.1:8101",
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="a field and its column; repeat it"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="the same for all lines; repeat it"),
    ] = None,
    id_: Annotated[str, typer.Option("--id", metavar="COLUMN", help="tells lines apart")] = "id",
    source: Annotated[
        str | None, typer.Option(help="who gave the ids; the file's name if not said")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="requests at once")] = 32,
    rejected: Annotated[
        Path | None, typer.Option(help="file of rejected lines; FILE.rejected.ndjson if not said")
    ] = None,
    encoding: Annotated[str, typer.Option(help="of the file, e.g. gb18030")] = "utf-8-sig",
    token: Annotated[
        str | None,
        typer.Option(help="an officer's, for letters and visits", envvar="CASEGRID_IMPORT_TOKEN"),
    ] = None,
) -> None:
    """Send the lines of a file as petitions. Safe to repeat: an id is taken once.

    Columns that are called like a field need no --map. The fields:
    kind, channel, text, subject, category, place.code, place.lat, place.lon,
    place.words, person.name, person.address, contact.phone, contact.email,
    accused.division, accused.office, accused.unknown, occurred_at,
    on_behalf.came_at, on_behalf.reference.

    sent_at serves as occurred_at; a time without a zone is Beijing time. A line
    without a kind is taken as "complain", without a channel as "web". What is
    registered for a person, as each letter and visit is, says when it came and
    takes an officer's token (`casegrid token` makes one for the local stack).

    Example:

    casegrid intake import letters.csv --id letter_no --source city-archive
    --map subject=title --map text=body --set kind=complain --set channel=letter
    --map on_behalf.came_at=date --map on_behalf.reference=letter_no

    Lines that are refused do not stop the others: they are shown and written to
    FILE.rejected.ndjson (line number, id and reasons, never the words; the file
    of an earlier run is replaced). Correct them and run the same again: what was
    taken is not taken twice. Ends with 1 if any was refused.
    """
    columns = Columns(source or file.name, id_, pairs("--map", map_), pairs("--set", set_))
    check_encoding(encoding)
    check_url(url)
    tally = Tally()
    report = Report(rejected or file.with_name(file.name + ".rejected.ndjson"), tally)
    try:
        run(send_file(Lines(file, encoding), columns, Server(url, token), concurrency, report))
    except GaveUp as gave_up:
        complaints.print(
            f"gave up: {gave_up} from {url} for two minutes. Run it again once intake"
            " answers: nothing is taken twice."
        )
        raise typer.Exit(2) from gave_up
    finally:
        report.sum_up()
    if tally.rejected:
        raise typer.Exit(1)


def pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    """FIELD=… options; ends the command when one names no field."""
    found: dict[str, str] = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not equals or not value or name not in FIELDS:
            complaints.print(f"{option} {one!r}: write FIELD=…; fields are {', '.join(FIELDS)}")
            raise typer.Exit(2)
        found[name] = value
    return found


def check_encoding(encoding: str) -> None:
    """Ends the command when Python knows no such encoding."""
    try:
        "".encode(encoding)
    except LookupError:
        complaints.print(f"--encoding {encoding!r}: there is no such encoding")
        raise typer.Exit(2) from None


def check_url(url: str) -> None:
    """Ends the command when this is no address of a web service."""
    try:
        known = httpx.URL(url)
    except httpx.InvalidURL:
        known = httpx.URL("")
    if known.scheme not in ("http", "https") or not known.host:
        complaints.print(f"--url {url!r}: write it as in http://127.0.0.1:8101")
        raise typer.Exit(2)


async def send_file(
    lines: Lines, columns: Columns, server: Server, concurrency: int, report: Report
) -> None:
    """Send all petitions of a file, with a bar where there is a terminal."""
    with Progress(
        TextColumn(lines.path.name),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}% {task.fields[said]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        bar = progress.add_task("sending", total=lines.size or 1, said="")

        def told(outcome: Outcome) -> None:
            report.add(outcome)
            progress.update(bar, completed=lines.read, said=report.so_far)

        await send_all(server, lines.petitions(columns), concurrency, told)


class Report:
    """Tells what became of the lines: on the screen, and the rejected ones in a file."""

    def __init__(self, path: Path, tally: Tally) -> None:
        self.path, self.tally = path, tally
        self.path.unlink(missing_ok=True)
        self.file: IO[bytes] | None = None
        self.started = self.said_at = time.monotonic()

    @property
    def so_far(self) -> str:
        """The sums in a few words."""
        t = self.tally
        return f"{t.new:,} new, {t.already:,} already there, {t.rejected:,} rejected"

    def add(self, outcome: Outcome) -> None:
        """One more line."""
        self.tally.add(outcome)
        if isinstance(outcome, Rejected):
            self.reject(outcome)
        if not console.is_terminal and time.monotonic() - self.said_at > PLAIN_EVERY_SECONDS:
            self.said_at = time.monotonic()
            console.print(self.so_far)

    def reject(self, line: Rejected) -> None:
        """Show the first ones, write them all down."""
        if self.file is None:
            self.file = self.path.open("wb")
        self.file.write(orjson.dumps(line._asdict()) + b"\n")
        if self.tally.rejected <= SHOWN:
            console.print(
                f"line {line.line}: {'; '.join(line.reasons)}", markup=False, highlight=False
            )
        elif self.tally.rejected == SHOWN + 1:
            console.print(f"… more rejected lines are in {self.path}", markup=False)

    def sum_up(self) -> None:
        """The last words."""
        seconds = time.monotonic() - self.started
        console.print(f"{self.so_far}, in {seconds:.1f} s", highlight=False)
        for name, n in self.tally.defaulted.items():
            console.print(f"{n:,} lines had no {name}: taken as {name}={DEFAULTS[name]}")
        if self.file is not None:
            self.file.close()
            console.print(f"rejected lines: {self.path}", markup=False)
