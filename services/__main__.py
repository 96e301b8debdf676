"""`casegrid <service> <verb>`: one command for all four services."""

from __future__ import annotations

import importlib
import sys

NAMES = ("intake", "router", "escalation", "analytics")
USAGE = f"""usage: casegrid <service> <verb> …

services: {", ".join(NAMES)}
verbs:    serve, migrate, topics, parked … — `casegrid router --help` lists a service's own

casegrid token --help   a development token for the officers' routes
"""


def main() -> None:
    """Run the service's own command."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "token":
        from shared.tokens import app
    elif name in NAMES:
        app = importlib.import_module(f"services.{name}.__main__").app
    else:
        sys.stdout.write(USAGE)
        sys.exit(0 if name in ("", "-h", "--help", "help") else 2)
    app(args=sys.argv[2:], prog_name=f"casegrid {name}")


if __name__ == "__main__":
    main()
