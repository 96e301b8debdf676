"""`python -m deploy.compose`: make the secrets that docker-compose.yml names, once.

Files of mode 600 in `deploy/compose/secrets`, out of git's sight. What is there stays as it is: the
databases know the passwords from their first start. `targets` has whom Alertmanager calls, a file
with an address for each of its receivers; nobody is at those that are made.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import yaml

from deploy.local.environment import SERVICES, write_private

FOLDER = Path(__file__).resolve().with_name("secrets")
ALERTMANAGER = Path(__file__).resolve().with_name("alertmanager.yml")
NOBODY = "http://nobody.invalid/{receiver}"
DATABASE = "postgresql://casegrid_{service}:{password}@postgres:5432/casegrid_{service}"


def files() -> dict[str, dict[str, str]]:
    """New secrets, by file and by their name in the environment."""
    passwords = {service: secrets.token_urlsafe(24) for service in SERVICES}
    token_secret = secrets.token_urlsafe(36)
    made = {
        f"{service}.env": {
            "CASEGRID_DATABASE_URL": DATABASE.format(service=service, password=password),
            "CASEGRID_TOKEN_SECRET": token_secret,
        }
        for service, password in passwords.items()
    }
    made["postgres.env"] = {
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        **{f"{service.upper()}_PASSWORD": one for service, one in passwords.items()},
    }
    made["operator.env"] = {
        f"CASEGRID_{service.upper()}_DATABASE_URL": made[f"{service}.env"]["CASEGRID_DATABASE_URL"]
        for service in SERVICES
    }
    made["grafana.env"] = {"GF_SECURITY_ADMIN_PASSWORD": secrets.token_urlsafe(18)}
    return made


def receivers() -> list[str]:
    """Whom Alertmanager tells things apart for."""
    settings = yaml.safe_load(ALERTMANAGER.read_text(encoding="utf-8"))
    return [receiver["name"] for receiver in settings["receivers"]]


def make(folder: Path) -> bool:
    """Write them all, unless there are some; says whether they are new."""
    if folder.exists():
        return False
    aside = folder.with_name(f"{folder.name}.new")
    aside.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, lines in files().items():
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        write_private(aside / name, text)
    # Read in the container by a user of its own; the folder above is for one person alone.
    (aside / "targets").mkdir()
    for name in receivers():
        (aside / "targets" / name).write_text(NOBODY.format(receiver=name))
    aside.replace(folder)
    return True


def main() -> None:
    """Say where they are."""
    new = make(FOLDER)
    sys.stdout.write(f"{FOLDER}: {'made' if new else 'there already, left as they are'}\n")


if __name__ == "__main__":
    main()
