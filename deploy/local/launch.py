"""Become another program, tied to the one that started it.

`launch.py PARENT SIGNAL UID GID HOME COMMAND…` runs in the child before the server does, with the
standard library alone. On Linux the server gets SIGNAL when PARENT dies, however it dies. With
UID 0 the user stays the same; any other UID is taken on for good, because PostgreSQL refuses to
run as root.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_SET_SECUREBITS = 1, 8, 28
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
SECBIT_NO_SETUID_FIXUP = 4
CAP_DAC_OVERRIDE, CAP_SETPCAP = 1, 8
CAPABILITY_VERSION_3 = 0x20080522


def main(words: list[str]) -> None:
    """Change the user, tie the life to the parent's, and become the command."""
    parent, death_signal, uid, gid = (int(word) for word in words[:4])
    home, *command = words[4:]
    if uid:
        _become(uid, gid, [home, command[0]])
    if sys.platform == "linux" and death_signal:
        _system_call("prctl", PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            sys.exit("the program that started this one is gone")
    os.execv(command[0], command)  # noqa: S606


def _become(uid: int, gid: int, needed: list[str]) -> None:
    if sys.platform == "linux":
        _system_call("prctl", PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if all(os.access(path, os.X_OK) for path in needed):
        return
    # The project lies below a private directory (/root). Opening that directory to everybody would
    # be worse than letting this one child of root walk through it.
    if sys.platform != "linux":
        sys.exit(f"user {uid} cannot reach {needed}; start the stack as an ordinary user")
    _hold(1 << CAP_DAC_OVERRIDE | 1 << CAP_SETPCAP)
    # PostgreSQL asks access() for its own binary, and access() forgets capabilities without this.
    _system_call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    _hold(1 << CAP_DAC_OVERRIDE)
    _system_call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def _hold(capabilities: int) -> None:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable; then the same for the capabilities above 31
    sets = (ctypes.c_uint32 * 6)(capabilities, capabilities, capabilities, 0, 0, 0)
    _system_call("capset", header, sets)


def _system_call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv[1:])
