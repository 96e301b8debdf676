"""A root directory with nothing of this machine in it, and commands that see nothing else.

Made of Debian's packages of the release that the image's base is made of, as an ordinary user
(`apt-get download`, `dpkg -x`), and entered by namespaces of the kernel (`unshare`, `chroot`): no
engine, no root. What it is not: the base image itself, whose Python is built from source; and of an
ordinary user's own commands there, those that the image gives to a user of its own see the number
of that user, and are the ordinary user's still.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from deploy.image.debian import Missing, download, unpack

NEEDED = ("apt-get", "dpkg", "unshare", "setpriv")
PACKAGES = Path(__file__).with_name("base.packages")
TOP = PurePosixPath("/")
DEVICES = ("null", "zero", "random", "urandom")
MERGED = ("bin", "sbin", "lib", "lib64")
OF_THIS_MACHINE = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")
"""What an engine would bring too: names of hosts, and whom to trust on the way to packages."""

# $1: the root; $2: how it is mounted; the rest is the command.
ENTER = """
root=$1; how=$2; shift 2
mount --bind "$root" "$root"
for name in null zero random urandom; do mount --bind "/dev/$name" "$root/dev/$name"; done
for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
  if [ -e "$file" ]; then mount --bind "$file" "$root$file"; fi
done
mount --rbind /proc "$root/proc"
if [ "$how" = read-only ]; then mount -o remount,bind,ro,nosuid,nodev "$root"; fi
exec "$@"
"""


def base_root(cache: Path) -> Path:
    """The clean root below `cache`, made the first time. Raises `Missing`."""
    directory = cache / "clean-root"
    if directory.exists():
        return directory
    if missing := [program for program in NEEDED if shutil.which(program) is None]:
        raise Missing(f"not found: {', '.join(missing)}. A clean root is made of Debian's.")
    cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as name:
        aside = Path(name)
        aside.chmod(0o755)
        root = aside / "root"
        lay_out(root)
        names = [line for line in PACKAGES.read_text().splitlines() if not line.startswith("#")]
        for package in download(names, aside):
            unpack(package, root)
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3.11")
        root.replace(directory)
    return directory


def lay_out(root: Path) -> None:
    """The directories and files that packages and mounts expect."""
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc", "tmp", "etc/ssl/certs", "usr/local/bin"):
        (root / name).mkdir(parents=True)
    for name in (*(f"/dev/{device}" for device in DEVICES), *OF_THIS_MACHINE):
        (root / name.lstrip("/")).touch()


def entering(
    root: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    within: PurePosixPath = TOP,
    user: str | None = None,
) -> list[str]:
    """The command line that runs `command` in the root, with this environment and no more.

    Without a user it is root there and may write. A user ("uid:gid") finds nothing to write to.
    """
    is_root = os.geteuid() == 0
    named = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *command]
    if user is None:
        inner = ["unshare", f"--root={root}", f"--wd={within}", *named]
    elif is_root:
        inner = ["setpriv", "--no-new-privs", "chroot", "--groups=", f"--userspec={user}"]
        inner += [str(root), *named]
    else:
        uid, gid = user.split(":")
        inner = ["unshare", f"--map-user={uid}", f"--map-group={gid}"]
        inner += [f"--root={root}", "--wd=/", *named]
    outer = ["unshare", "--mount", *([] if is_root else ["--map-root-user"])]
    how = "writable" if user is None else "read-only"
    return [*outer, "sh", "-euc", ENTER, "sh", str(root), how, *inner]
