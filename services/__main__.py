"""`casegrid <service> <verb>`, and what an operator asks of all four services together."""

from __future__ import annotations

import importlib
import sys

NAMES = ("intake", "router", "escalation", "analytics")
OPERATIONS = {
    "status": "the four services on one screen: ready or why not, what waits, what is due next",
    "parked": "records that could not be read: list, show, replay, discard",
    "topics": "Kafka's topics against the code, and what to do about each difference",
    "census": "compare what the services know of each case, now",
    "backup": "the four databases, safely, while everything runs",
    "restore": "databases put back from a backup, in a new epoch",
}
USAGE = f"""usage: casegrid <service> <verb> …

services: {", ".join(NAMES)}
verbs:    serve, migrate, topics, parked … — `casegrid router --help` lists a service's own

all services together:
{chr(10).join(f"casegrid {name:<9}{does}" for name, does in OPERATIONS.items())}

casegrid token --help   a development token for the officers' routes
"""


def main() -> None:
    """Run the service's own command."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    module = {"token": "shared.tokens"} | dict.fromkeys(OPERATIONS, "services.operations.command")
    module |= {service: f"services.{service}.__main__" for service in NAMES}
    if name not in module:
        sys.stdout.write(USAGE)
        sys.exit(0 if name in ("", "-h", "--help", "help") else 2)
    words = sys.argv[1:] if name in OPERATIONS else sys.argv[2:]
    prog = "casegrid" if name in OPERATIONS else f"casegrid {name}"
    importlib.import_module(module[name]).app(args=words, prog_name=prog)


if __name__ == "__main__":
    main()
