"""Where the four services are, as the operator's environment says."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import NamedTuple

import typer

from shared.command import complaints, read_settings
from shared.service import Service
from shared.settings import Settings

NAMES = ("intake", "router", "escalation", "analytics")
TEACHES = (
    "The local stack writes where its services are: . .casegrid/fast-720/operator.env\n"
    "Elsewhere set CASEGRID_INTAKE_DATABASE_URL, CASEGRID_ROUTER_DATABASE_URL and so on;"
    " CASEGRID_INTAKE_URL and so on, where they answer; and how to reach Kafka"
    " (CASEGRID_KAFKA_BOOTSTRAP …), as for a service."
)


@dataclass(frozen=True, slots=True)
class Place:
    """One service: what it is, its settings as far as a command needs them, where it answers."""

    name: str
    service: Service
    settings: Settings
    url: str | None

    @property
    def dsn(self) -> str:
        """Its own database."""
        return self.settings.database_url.get_secret_value()


def places(names: tuple[str, ...] = NAMES) -> list[Place]:
    """These services; what the environment leaves out ends the command in plain words."""
    dsns = {name: os.environ.get(f"CASEGRID_{name.upper()}_DATABASE_URL") for name in names}
    missing = [f"CASEGRID_{name.upper()}_DATABASE_URL" for name, dsn in dsns.items() if not dsn]
    if missing:
        complaints.print(f"not set: {', '.join(missing)}\n{TEACHES}")
        raise typer.Exit(2)
    return [
        Place(
            name,
            importlib.import_module(f"services.{name}.__main__").SERVICE,
            read_settings(database_url=dsn),
            os.environ.get(f"CASEGRID_{name.upper()}_URL"),
        )
        for name, dsn in dsns.items()
    ]


def place(name: str) -> Place:
    """One service."""
    if name not in NAMES:
        complaints.print(f"there is no service {name!r}; there are: {', '.join(NAMES)}")
        raise typer.Exit(2)
    (found,) = places((name,))
    return found


class Which(NamedTuple):
    """A parked record: of which service, and its id there."""

    service: str
    id: int


def which(said: str) -> Which:
    """`router/17` as `parked list` shows it."""
    service, _, number = said.partition("/")
    if service not in NAMES or not number.isdecimal():
        complaints.print(
            f"{said!r} names no parked record: say it as `parked list` does, router/17"
        )
        raise typer.Exit(2)
    return Which(service, int(number))
