"""A server of the embedded stack as a child process that is never left behind.

It starts only when no other run uses its directory and nobody its ports; it ends what an earlier
run left in that directory; it does not hear the terminal's Ctrl-C; it dies with the program that
started it (on Linux; elsewhere the next start ends it); after `stop` it is gone, whatever happens.
"""

import contextlib
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

HOST = "127.0.0.1"
LAUNCH = Path(__file__).with_name("launch.py")
LOG_BYTES = 10_000_000
LEFTOVER_SECONDS = 10.0


class PortTaken(RuntimeError):
    """Another program listens on a port that a server of the stack needs."""

    def __init__(self, name: str, port: int, change: str) -> None:
        super().__init__(
            f"{name} cannot start: port {port} on {HOST} is taken by another program. "
            f"Stop that program, or choose another port with {change}."
        )
        self.port = port


class AlreadyRuns(RuntimeError):
    """The data directory is in use by another run that is alive."""


class DidNotStart(RuntimeError):
    """The server ended, or was not ready in time; the message carries the end of its log."""


class ServerProcess:
    """One server program that works in `home` and logs to `home`/output.log.

    `death_signal` is what it gets when the program that started it dies, `stop_signal` unless said.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        program: str,
        stop_signal: signal.Signals,
        death_signal: signal.Signals | None = None,
    ) -> None:
        self.name = name
        self.home = home.resolve()
        self.log = self.home / "output.log"
        self._program = program
        self._stop_signal = stop_signal
        self._death_signal = death_signal or stop_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process id; `RuntimeError` when it was never started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """False before the start, after the stop, and when the server ended by itself."""
        return self._process is not None and self._process.poll() is None

    def pids(self) -> list[int]:
        """The server and its own children, for figures of memory and CPU; empty when it ended."""
        return [member.pid for member in self._family()]

    def claim(self, ports: Mapping[int, str]) -> None:
        """Take the directory for this run; `ports` maps each port needed to what changes it.

        Raises `AlreadyRuns` and `PortTaken`.
        """
        if not self.running:
            self.kill()
        self.home.mkdir(parents=True, exist_ok=True)
        lock = (self.home / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise AlreadyRuns(
                f"{self.name} in {self.home} is in use by another run. "
                "Stop that run, or choose another data directory."
            ) from None
        self._lock = lock
        try:
            self._end_leftovers()
            self._refuse_taken(ports)
        except BaseException:
            self._release()
            raise

    def launch(
        self,
        command: Sequence[str],
        *,
        run_as: tuple[int, int] = (0, 0),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command`; after `claim`. `run_as` is (uid, gid), (0, 0) for no change of user."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        # The kernel ties a child to the thread that made it: only the main one lives long enough.
        tied = threading.current_thread() is threading.main_thread()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                launched(command, self.home, run_as, self._death_signal if tied else 0),
                cwd=self.home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Wait up to `timeout` seconds for `ready()`; else end the server, raise `DidNotStart`."""
        deadline = time.monotonic() + timeout
        try:
            while not ready():
                self._refuse_hopeless(deadline)
                time.sleep(0.02)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float) -> None:
        """End in good order, or by force after `timeout` seconds. Nothing to do is no error."""
        if self.running and self._process is not None:
            self._process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """End by force (SIGKILL), with every child."""
        if self._process is not None:
            _killed(self._family())
            self._process.wait()
            self._process = None
        self._release()

    def last_words(self) -> str:
        """The end of the log, in words for a person."""
        if not self.log.exists():
            return f"It wrote nothing to {self.log}."
        lines = self.log.read_text(errors="replace").splitlines()[-8:]
        return f"The end of {self.log}:\n" + "\n".join(lines)

    def _family(self) -> list[psutil.Process]:
        if self.running:
            with contextlib.suppress(psutil.NoSuchProcess):
                main = psutil.Process(self.pid)
                return [main, *main.children(recursive=True)]
        return []

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _refuse_taken(self, ports: Mapping[int, str]) -> None:
        for port, change in ports.items():
            if not _is_free(port):
                raise PortTaken(self.name, port, change)

    def _refuse_hopeless(self, deadline: float) -> None:
        if not self.running:
            raise DidNotStart(f"{self.name} ended while starting. {self.last_words()}")
        if time.monotonic() > deadline:
            raise DidNotStart(f"{self.name} was not ready in time. {self.last_words()}")

    def _end_leftovers(self) -> None:
        """The lock is ours, so whatever server still works in this directory belongs to nobody."""
        left = list(self._leftovers())
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                # PostgreSQL's children, who changed their title, take it for another order.
                if self._was_started_here(process):
                    process.send_signal(self._stop_signal)
        if immortal := _killed(_still_there(left)):
            raise AlreadyRuns(f"{self.name}: process {immortal[0].pid} still works in {self.home}.")

    def _leftovers(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter(["name"]):
            if process.info["name"] != self._program:
                continue
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                # Where another user's process works may be hidden; how it was started is not.
                if self._was_started_here(process) or self._is_ours(Path(process.cwd())):
                    yield process

    def _was_started_here(self, process: psutil.Process) -> bool:
        return any(self._is_ours(Path(word)) for word in process.cmdline())

    def _is_ours(self, path: Path) -> bool:
        return path.is_relative_to(self.home)


def _killed(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Kill them; those that are there all the same, after the time that a leftover has."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return _still_there(processes)


def _still_there(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Wait for their end; those that did not end. A zombie has ended: in a container nobody may
    ever collect it, so its pid does not go away."""
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while (left := [process for process in processes if _lives(process)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(0.02)
    return left


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def launched(
    command: Sequence[str], home: Path, run_as: tuple[int, int], death_signal: int
) -> list[str]:
    """`command` by way of `launch.py`, in the words that `subprocess` takes."""
    words = (os.getpid(), int(death_signal), *run_as)
    return [sys.executable, "-I", "-S", str(LAUNCH), *map(str, words), str(home), *command]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Without it, connections that closed a minute ago would count as a taken port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as refused:
            if refused.errno == errno.EADDRINUSE:
                return False
            raise
    return True
