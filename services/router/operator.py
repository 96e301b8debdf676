"""What an operator may ask of the router from a shell: load a policy, replay what was parked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from services.router.decisions.policy import Part, PartKind, PolicyRefused, parse_policy
from services.router.handlers import petitions, policies
from services.router.handlers.policies import Policies
from shared import audit, outbox, postgres
from shared.command import ByOption, ReasonOption, complaints, console, read_settings, run, who

FileOption = Annotated[Path | None, typer.Option(exists=True, dir_okay=False)]


def add_verbs(app: typer.Typer) -> None:
    """The router's own verbs beside those that every service has."""
    policy = typer.Typer(help="the rules: load a new version", no_args_is_help=True)
    policy.command("load")(load)
    policy.command("check")(check)
    app.add_typer(policy, name="policy")
    app.command("replay")(replay)


def chosen(given: dict[PartKind, Path | None]) -> dict[PartKind, Part]:
    """The parts that the named files say; the project's own where none is named at all."""
    paths = {kind: path for kind, path in given.items() if path is not None}
    return policies.read_files(paths or policies.files())


def refuse(refused: PolicyRefused) -> typer.Exit:
    """Print every problem with its line."""
    for problem in refused.problems:
        complaints.print(str(problem), markup=False, highlight=False)
    complaints.print(f"{len(refused.problems)} problems: nothing was loaded")
    return typer.Exit(1)


def load(
    settings: FileOption = None,
    categories: FileOption = None,
    divisions: FileOption = None,
    places: FileOption = None,
    vocabulary: FileOption = None,
    calendar: FileOption = None,
    offices: FileOption = None,
    duties: FileOption = None,
    classes: FileOption = None,
    model: FileOption = None,
    templates: FileOption = None,
    replace: Annotated[
        bool, typer.Option(help="take these files alone; else their rows are added")
    ] = False,
    *,
    reason: ReasonOption,
    by: ByOption = None,
) -> None:
    """Load a new policy version from files; parts that are not named stay as they are.

    A version that breaks a statute, or that names what does not exist, is refused as a whole with
    every line and reason. New cases follow it; open ones keep the version they were opened under.

    Example: casegrid router policy load --calendar 2027.csv --reason "the notice of November"
    """
    parts = chosen(
        {
            "settings": settings,
            "categories": categories,
            "divisions": divisions,
            "places": places,
            "vocabulary": vocabulary,
            "calendar": calendar,
            "offices": offices,
            "duties": duties,
            "classes": classes,
            "model": model,
            "templates": templates,
        }
    )
    try:
        version = run(load_(parts, who(by), reason, merge=not replace))
    except PolicyRefused as refused:
        raise refuse(refused) from refused
    console.print(f"policy version {version} is loaded; the services follow within a second")


async def load_(parts: dict[PartKind, Part], by: str, reason: str, *, merge: bool) -> int:
    """Load in one transaction of the router's database."""
    config = read_settings()
    clock = config.clock()
    connection = await postgres.connect(config.database_url.get_secret_value(), "policy-load")
    try:
        async with connection.transaction():
            version = await policies.load(
                connection,
                parts,
                loaded_by=by,
                epoch=await outbox.epoch(connection),
                clock=clock,
                now=clock.now(),
                merge=merge,
            )
            await audit.note(connection, by, "load policy", f"version {version}", reason)
            return version
    finally:
        await connection.close()


def check(folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)]) -> None:
    """Check the policy files of a folder against the law and each other; loads nothing."""
    try:
        read = parse_policy(1, policies.read_files(policies.files(folder)))
    except PolicyRefused as refused:
        raise refuse(refused) from refused
    console.print(f"good: {len(read.divisions)} divisions, {len(read.categories)} categories")


def replay(
    case_id: Annotated[UUID, typer.Argument(help="the petition's id, from `parked list`")],
    reason: ReasonOption,
    by: ByOption = None,
) -> None:
    """Run the parked events of one petition through the router, in their order."""
    done, left = run(replay_(case_id, who(by), reason))
    console.print(f"{done} events were applied")
    for why in left:
        console.print(f"still waits: {why}")
    if left:
        raise typer.Exit(1)


async def replay_(case_id: UUID, actor: str, reason: str) -> tuple[int, list[str]]:
    """Replay in one transaction of the router's database."""
    config = read_settings()
    clock = config.clock()
    async with postgres.open_pool(
        config.database_url.get_secret_value(), 2, config.lock_timeout_ms, "router-replay"
    ) as pool:
        known = Policies(pool)
        async with postgres.transaction(pool) as tx:
            await audit.note(tx, actor, "replay", f"petition {case_id}", reason)
            await known.refresh(tx)
            handler = petitions.Petitions(known, await outbox.epoch(tx), clock)
            return await petitions.replay(tx, handler, case_id, clock.now())
