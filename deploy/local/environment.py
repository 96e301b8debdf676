"""What each service of the local stack is told by its environment: ports, servers, clock, secret.

The same is written to `<service>.env` in the data directory, for a service's own commands, and to
`operator.env` what the commands ask that are about all services.
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from deploy.local.processes import HOST
from shared.clock import Clock

SERVICES = ("intake", "router", "escalation", "analytics")
OURS = (
    "CASEGRID_DATABASE_URL", "CASEGRID_KAFKA_BOOTSTRAP", "CASEGRID_HOST", "CASEGRID_PORT",
    "CASEGRID_TOPIC_PREFIX", "CASEGRID_TOKEN_SECRET",
    "CASEGRID_CLOCK_SPEED", "CASEGRID_CLOCK_BASE", "CASEGRID_CLOCK_BASE_UTC",
)  # fmt: skip
"""What the stack itself decides; a person's other settings (TLS, pools, limits) reach through."""
SHARED = frozenset(OURS) - {
    "CASEGRID_DATABASE_URL", "CASEGRID_HOST", "CASEGRID_PORT", "CASEGRID_TOKEN_SECRET",
}  # fmt: skip
"""Of these, what all services are told alike, and is no secret."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each part of the stack listens on 127.0.0.1."""

    intake: int = 8101
    router: int = 8102
    escalation: int = 8103
    analytics: int = 8104
    postgres: int = 8105
    kafka: int = 8106
    kafka_controller: int = 8107

    @classmethod
    def after(cls, base: int) -> Ports:
        """The seven ports that follow `base`."""
        return cls(*range(base + 1, base + 1 + len(fields(cls))))

    def of(self, service: str) -> int:
        """The port of a service."""
        port: int = getattr(self, service)
        return port


def external_kafka(environment: Mapping[str, str]) -> str | None:
    """The broker that a person named instead of the embedded one."""
    return environment.get("CASEGRID_KAFKA_BOOTSTRAP") or None


def external_databases(environment: Mapping[str, str]) -> dict[str, str]:
    """The databases that a person named instead of embedded ones, by service."""
    named = {name: environment.get(f"CASEGRID_{name.upper()}_DATABASE_URL") for name in SERVICES}
    return {name: dsn for name, dsn in named.items() if dsn}


def service_environment(
    *,
    database_url: str,
    kafka: str,
    topic_prefix: str,
    port: int,
    clock: Clock,
    token_secret: str,
) -> dict[str, str]:
    """The settings of one service, by their names in the environment."""
    settings = {
        "CASEGRID_DATABASE_URL": database_url,
        "CASEGRID_KAFKA_BOOTSTRAP": kafka,
        "CASEGRID_HOST": HOST,
        "CASEGRID_PORT": str(port),
        "CASEGRID_TOPIC_PREFIX": topic_prefix,
        "CASEGRID_TOKEN_SECRET": token_secret,
        "CASEGRID_CLOCK_SPEED": repr(clock.speed),
    }
    if clock.base is not None and clock.base_utc is not None:
        settings["CASEGRID_CLOCK_BASE"] = clock.base.isoformat()
        settings["CASEGRID_CLOCK_BASE_UTC"] = clock.base_utc.isoformat()
    return settings


def operator_environment(
    settings: Mapping[str, Mapping[str, str]], urls: Mapping[str, str], tools: Path | None
) -> dict[str, str]:
    """What `casegrid status` and its like are told, from the settings and URLs of each service.

    `tools`: where the programs of PostgreSQL are, where we brought them.
    """
    common = {name: value for name, value in settings["router"].items() if name in SHARED}
    for service in SERVICES:
        common[f"CASEGRID_{service.upper()}_DATABASE_URL"] = settings[service][
            "CASEGRID_DATABASE_URL"
        ]
        common[f"CASEGRID_{service.upper()}_URL"] = urls[service]
    return common | ({} if tools is None else {"CASEGRID_POSTGRES_TOOLS": str(tools)})


def inherited() -> dict[str, str]:
    """Our own environment without what the stack itself decides."""
    return {name: value for name, value in os.environ.items() if name not in OURS}


def token_secret(file: Path) -> str:
    """The key of the development issuer: made once, readable by its owner alone."""
    if not file.exists():
        write_private(file, secrets.token_urlsafe(36))
    return file.read_text()


def write_settings(file: Path, settings: Mapping[str, str]) -> None:
    """For `. <file>` in a shell, before a service's own commands."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()]
    write_private(file, "".join(lines))


def write_private(file: Path, text: str) -> None:
    """Whole or not at all, mode 600."""
    aside = file.with_suffix(".new")
    aside.unlink(missing_ok=True)
    aside.touch(mode=0o600)
    aside.write_text(text)
    aside.replace(file)
