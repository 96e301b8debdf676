"""`python -m deploy.local.prepare`: the tables of all services and the topics, made from the code.

A process of its own, for all services at once: each service's own `migrate` and `topics` do the
same, and cost two seconds of two cores more before anything serves.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local.environment import external_databases
from shared import kafka, postgres
from shared.settings import Settings

SERVICES = Path(__file__).resolve().parents[2] / "services"


async def prepare(settings: Settings, databases: Mapping[str, str]) -> list[str]:
    """Migrate these databases, create what topics are missing; says what topics differ."""
    await asyncio.gather(
        *(
            postgres.migrate(dsn, name, SERVICES / name / "migrations")
            for name, dsn in databases.items()
        )
    )
    await kafka.create_topics(settings)
    return [
        f"Kafka's topic {differs.topic}: {differs.what} should be {differs.wanted}, "
        f"is {differs.found}"
        for differs in await kafka.check_topics(settings)
    ]


def main() -> None:
    """Prepare what the environment names; ends with 1 and the reasons when that cannot be."""
    try:
        problems = asyncio.run(prepare(Settings(), external_databases(os.environ)))
    except (*postgres.WEATHER, *kafka.WEATHER) as away:
        problems = [f"no answer from a database or Kafka: {type(away).__name__}: {away}"]
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
