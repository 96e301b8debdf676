"""The command of an operator: one verb for each thing that is asked of all services together."""

from __future__ import annotations

from services.operations import parked, topics
from services.operations.census import census
from services.operations.copies import backup, restore
from services.operations.status import status
from shared.command import Command

app = Command(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.command("status")(status)
app.add_typer(parked.app, name="parked")
app.add_typer(topics.app, name="topics")
app.command("census")(census)
app.command("backup")(backup)
app.command("restore")(restore)
