"""`casegrid token`: a token of the development issuer, to try the officers' routes."""

from __future__ import annotations

from typing import Annotated

import typer

from shared.command import complaints
from shared.divisions import CITY, parse_code
from shared.identity import NotIdentified, issue

app = typer.Typer(add_completion=False)


@app.command()
def token(
    role: Annotated[list[str], typer.Option(help="may be given several times")],
    division: Annotated[str, typer.Option(help="the area: a division code, or city")] = CITY,
    subject: Annotated[str, typer.Option(help="who; shown in the history")] = "developer",
    secret: Annotated[
        str, typer.Option(envvar="CASEGRID_TOKEN_SECRET", help="the issuer's key")
    ] = "",
) -> None:
    """Print a token for 12 hours.

    Example: casegrid token --role grid_worker --division 210204005001001
    """
    try:
        text = issue(secret, subject, role, parse_code(division))
    except (NotIdentified, ValueError) as wrong:
        complaints.print(str(wrong))
        raise typer.Exit(2) from wrong
    typer.echo(text)
