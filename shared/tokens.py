"""`casegrid token`: a token of the development issuer, to try the officers' routes.

With `--petition`, one of a resident instead, to read what he was told.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from shared.command import complaints
from shared.divisions import CITY, parse_code
from shared.identity import NotIdentified, issue, issue_resident

app = typer.Typer(add_completion=False)
RESIDENT_SECONDS = 3_600


@app.command()
def token(
    role: Annotated[
        list[str] | None, typer.Option(help="of an officer; may be given several times")
    ] = None,
    petition: Annotated[
        UUID | None, typer.Option(help="for its resident instead, and for an hour")
    ] = None,
    division: Annotated[str, typer.Option(help="the area: a division code, or city")] = CITY,
    subject: Annotated[str, typer.Option(help="who; shown in the history")] = "developer",
    secret: Annotated[
        str, typer.Option(envvar="CASEGRID_TOKEN_SECRET", help="the issuer's key")
    ] = "",
) -> None:
    """Print a token for 12 hours.

    Example: casegrid token --role grid_worker --division 210204005001001
    """
    if (role is None) == (petition is None):
        complaints.print("say --role for an officer, or --petition for its resident")
        raise typer.Exit(2)
    try:
        if petition is not None:
            text = issue_resident(secret, petition, RESIDENT_SECONDS)
        else:
            text = issue(secret, subject, role or (), parse_code(division))
    except (NotIdentified, ValueError) as wrong:
        complaints.print(str(wrong))
        raise typer.Exit(2) from wrong
    typer.echo(text)
