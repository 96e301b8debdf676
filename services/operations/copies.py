"""`casegrid backup` and `casegrid restore`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from services.operations import backups, restoring
from services.operations.places import NAMES, Place, place, places
from services.operations.postgres_tools import ToolFailed
from shared import audit
from shared.command import (
    ByOption,
    ReasonOption,
    complaints,
    console,
    run,
    who,
    with_database,
)

ServiceOption = Annotated[
    list[str] | None, typer.Option("--service", help=f"only of these: {', '.join(NAMES)}")
]
NEXT = """
Now, in this order:{migrate}
  1. start the services again; each hears again what it had heard since the backup
  2. casegrid status, until nothing waits
  3. casegrid census --all --ask --reason …, until nothing differs (a few minutes). Strangers that
     stay are petitions that intake had accepted since the backup: their words are lost, their cases
     go on. Ask the residents by what the router knows of the case, and tell them.
What the router had been commanded since the backup is forgotten: those cases stand as they stood
then, and their holders see them so."""


def chosen(names: list[str] | None) -> list[Place]:
    """These services, or all."""
    return [place(name) for name in names] if names else places()


def backup(
    folder: Annotated[Path, typer.Argument(help="a new folder for this backup", file_okay=False)],
    reason: ReasonOption,
    service: ServiceOption = None,
    by: ByOption = None,
) -> None:
    """Copy the four databases while everything runs: each as it is at one moment.

    pg_dump does it, by each service's own role; nothing is locked. The folder holds what residents
    wrote, in plain files that only you may read: keep it as you keep the databases. Kafka is not
    copied: its topics stand for what was said since.

    What was accepted after the backup is lost by a restore. Where that must not be, PostgreSQL
    itself archives its log: a base backup and the log give back any moment up to the last one
    (CloudNativePG does it by its Barman Cloud plugin; docs/operations.md says how, by hand too).
    After that say `casegrid <service> restored` before the first start.

    Ends with 0 when all files are written and their hashes kept, else with 1 and without a folder.

    It is noted in each database who copied it, and why, before it is copied.

    Example: casegrid backup /backups/2026-11-27 --reason "before the roll-out of 27 November"
    """
    actor, there = who(by), chosen(service)
    note = partial(audit.note, actor=actor, act="backup", about=str(folder), reason=reason)
    for copied in there:
        run(with_database(note, copied.settings))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=complaints, transient=True) as bar:
        task = bar.add_task("backup")

        def tell(name: str, size: int) -> None:
            bar.update(task, description=f"{name}: {size / 1e6:,.1f} MB")

        try:
            taken = run(backups.take(there, folder, tell))
        except (ToolFailed, backups.BadBackup) as wrong:
            raise ended(wrong) from wrong
    for name, one in taken.dumps.items():
        console.print(f"{name}: {one.bytes / 1e6:,.1f} MB, as of {one.taken_at:%Y-%m-%d %H:%M:%S}")
    console.print(f"{folder} is whole")


def restore(
    folder: Annotated[Path, typer.Argument(help="what `casegrid backup` wrote", exists=True)],
    reason: ReasonOption,
    service: ServiceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    by: ByOption = None,
) -> None:
    """Put databases back from a backup; what they hold now is lost. Stop their services first.

    Files are checked before anything is touched; each database is put back in one transaction, all
    or nothing. It begins a new epoch, greater than any that the topics show, so that nothing that
    was said after the backup is done a second time, and nothing said from now on is taken for old.

    Ends with 0 and what to do next; with 1, and as it was, when a file is not as it was written, a
    service still runs or a program of PostgreSQL refuses.

    Example: casegrid restore /backups/2026-11-27 --service router --reason "disk of 27 November"
    """
    actor, there = who(by), chosen(service)
    try:
        held = backups.read(folder)
        for one in there:
            backups.verify(folder, held, one)
            run(restoring.refuse_if_used(one))
    except (backups.BadBackup, restoring.InUse) as wrong:
        raise ended(wrong) from wrong
    names = ", ".join(one.name for one in there)
    if not yes and not typer.confirm(f"What {names} hold now will be lost. Go on?"):
        raise typer.Exit(1)
    for one in there:
        console.print(f"{one.name}: {held.dumps[one.name].bytes / 1e6:,.1f} MB are put back …")
        try:
            done = run(restoring.put_back(one, folder, held.dumps[one.name], actor, reason))
        except (ToolFailed, restoring.InUse) as wrong:
            raise ended(wrong) from wrong
        console.print(f"{one.name}: epoch {done.epoch}; {done.to_hear:,} records are heard again")
        for off in done.off_their_logs:
            console.print(f"! {off}", markup=False, soft_wrap=True)
    console.print(NEXT.format(migrate=migrate(there, held)), highlight=False)


def migrate(there: list[Place], held: backups.Backup) -> str:
    """What comes before all else, where a backup is older than this version's tables."""
    lines = ""
    for one in there:
        known, has = backups.migrations_of(one), held.dumps[one.name].migrations
        if missing := [name for name in known if name not in has]:
            lines += f"\n  0. casegrid {one.name} migrate: {', '.join(missing)}"
    return lines


def ended(wrong: Exception) -> typer.Exit:
    """In plain words."""
    complaints.print(str(wrong), markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)
