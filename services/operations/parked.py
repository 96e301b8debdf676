"""`casegrid parked`: what the services could not read, in one list; replay it, or give it up."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Final

import typer
from rich.table import Table

from services.operations.places import NAMES, place, places, which
from shared import audit, hearing, postgres
from shared.command import (
    ByOption,
    ReasonOption,
    complaints,
    console,
    discarded,
    run,
    shown_key,
    who,
    with_database,
)
from shared.hearing import Parked
from shared.service import replay as replay_one

app = typer.Typer(
    no_args_is_help=True,
    help="Records that a service could not read: they wait here, and what they are about waits"
    " behind them. Mend the cause, then `replay`; what can never be read, `discard`.",
)
SAFE: Final = {
    "ce_specversion": r"1\.0",
    "ce_id": r"[0-9a-f-]{36}",
    "ce_source": r"casegrid/[a-z]+",
    "ce_type": r"casegrid\.[a-z_.]+\.v\d+",
    "ce_time": r"[0-9T:.+Z-]{1,40}",
    "ce_epoch": r"\d{1,10}",
    "ce_seq": r"\d{1,10}",
    "ce_clock": r"real|[0-9a-f]{8}",
    "content-type": r"application/json",
    "traceparent": r"[0-9a-f-]{1,60}",
}
"""What a header of ours looks like: anything else could be anybody's words."""
WhichArgument = Annotated[str, typer.Argument(help="as `parked list` shows it: router/17")]


@app.command("list")
def list_(
    service: Annotated[str | None, typer.Option(help=f"of one only: {', '.join(NAMES)}")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="of each service")] = 50,
) -> None:
    """The oldest that wait, with where they lay and why. Nothing of their content is shown.

    Ends with 0, whether something waits or not.

    Example: casegrid parked list --service router
    """
    table = Table("record", "topic/partition@offset", "key", "reason", "parked at")
    chosen = places() if service is None else [place(service)]
    for one in chosen:
        for parked in run(with_database(partial(hearing.parked_all, limit=limit), one.settings)):
            table.add_row(f"{one.name}/{parked.id}", *told(parked))
    if table.row_count:
        console.print(table)
    else:
        console.print("nothing is parked")


@app.command("show")
def show(
    record: WhichArgument,
    content: Annotated[
        bool, typer.Option("--content", help="what it holds too; needs --reason, and is noted")
    ] = False,
    reason: Annotated[str, typer.Option(help="why you must see the content; noted")] = "",
    by: ByOption = None,
) -> None:
    """One record: where it lay, why it waits, what its headers say.

    Its content is shown only with --content: a stranger's record may hold anybody's words. Who
    looked and why is noted in `operator_acts`.

    Examples:

    casegrid parked show router/17

    casegrid parked show router/17 --content --reason "ticket 4711: which field is wrong"
    """
    if content and not reason.strip():
        complaints.print("--content needs --reason: whose words these are, nobody knows yet")
        raise typer.Exit(2)
    service, id_ = which(record)
    there = place(service)
    actor = who(by) if content else None
    one = run(with_database(partial(seen, id_=id_, actor=actor, reason=reason), there.settings))
    if one is None:
        raise absent(record)
    for line in lines_of(one, whole=content):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


async def seen(tx: postgres.Transaction, id_: int, actor: str | None, reason: str) -> Parked | None:
    """A waiting record; with an actor it is noted that he saw its content."""
    one = await hearing.parked_one(tx, id_)
    if one is not None and actor is not None:
        await audit.note(tx, actor, "show content", f"parked {id_}", reason)
    return one


@app.command("replay")
def replay(record: WhichArgument, reason: ReasonOption, by: ByOption = None) -> None:
    """Hear one record again, through the handler of its topic; never twice.

    Of a petition at the router everything that waits is heard, in its order. What cannot be heard
    now either stays parked, and the command ends with 1 and says why.

    Example: casegrid parked replay router/17 --reason "the version that knows it is deployed"
    """
    service, id_ = which(record)
    there = place(service)
    found = run(replay_one(there.service, there.settings, id_, who(by), reason))
    if found is None:
        raise absent(record)
    console.print(f"{found.done} heard")
    for why in found.left:
        console.print(f"still waits: {why}", markup=False)
    if found.left:
        raise typer.Exit(1)


@app.command("discard")
def discard(record: WhichArgument, reason: ReasonOption, by: ByOption = None) -> None:
    """Give up one record that will never be readable. It is kept, and never replayed.

    What it was about may wait behind it still: of the router, replay the petition's next record.

    Example: casegrid parked discard router/17 --reason "cut off by a full disk; said again since"
    """
    service, id_ = which(record)
    there = place(service)
    if not run(with_database(partial(discarded, id_, who(by), reason), there.settings)):
        raise absent(record)
    console.print("discarded")


@app.command("acts")
def acts(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="of each service")] = 20,
) -> None:
    """Who replayed, discarded, looked at content or restored, when and why; the newest first."""
    table = Table("service", "at", "who", "did", "to", "reason")
    for one in places():
        for act in run(with_database(partial(audit.acts, limit=limit), one.settings)):
            table.add_row(
                one.name, act.at.isoformat(timespec="seconds"), act.actor, act.act, act.about,
                act.reason,
            )  # fmt: skip
    console.print(table)


def absent(record: str) -> typer.Exit:
    """Nothing waits there."""
    complaints.print(f"nothing waits as {record}: it was settled, or never there. `parked list`")
    return typer.Exit(1)


def told(one: Parked) -> tuple[str, str, str, str]:
    """A row of the list, beside its name."""
    r = one.record
    where = f"{r.topic}/{r.partition}@{r.offset}"
    return where, shown_key(r.key), one.reason, one.parked_at.isoformat(timespec="seconds")


def lines_of(one: Parked, *, whole: bool) -> list[str]:
    """Everything about a record; its content only as a `whole`."""
    where, key, reason, parked_at = told(one)
    value = one.record.value
    lines = [
        f"lay at      {where}, appended {one.record.appended_at.isoformat(timespec='seconds')}",
        f"key         {one.record.key if whole else key}",
        f"waits for   {reason}",
        f"parked at   {parked_at}",
        f"value       {'none' if value is None else f'{len(value)} bytes'}",
    ]
    lines += [
        f"{name if whole or name in SAFE else '(a header)':<12}{shown_header(name, text, whole)}"
        for name, text in one.record.headers.items()
    ]
    if whole and value is not None:
        lines.append(value.decode("utf-8", "backslashreplace"))
    return lines


def shown_header(name: str, value: bytes, whole: bool) -> str:
    """A header as it is, where it is of the contract's form or all may be seen."""
    text = value.decode("utf-8", "backslashreplace")
    if whole or re.fullmatch(SAFE.get(name, r"(?!)"), text):
        return text
    return f"({len(value)} bytes)"
