"""What a replay sees: the arguments of bubblewrap.

The root file system is an allow-list, not the host's made read-only: the host's programs (/usr), a few files of /etc,
fresh /proc, /dev and /tmp, the restored tree at the repository's own path, and what the caller binds. Everything else
(home directories, /run, /var, /mnt, /srv, /opt, credentials) is simply not there. Namespaces: user, mount, pid, net
(only loopback, so abstract sockets of the host are out of reach), ipc, uts, cgroup. No capability, no new user
namespace, no kernel keyring (`seccomp.py`).

Invariants:
- Only tree, report folder, /tmp and /dev/shm can be written to; /proc/sys is read-only even where uids would allow it.
- What is bound beside that has passed `binds.py`.

A root daemon drops to another uid before bubblewrap runs, which must still reach sources below folders like /root
(mode 0700). So it binds them first into a mount namespace of its own, under /sys (which always exists and never holds a
source), and checks there that each is still the same file that was approved.
"""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from learnd.lab.binds import Mount, SandboxRun
from learnd.lab.launcher import LAUNCH_ENV, User, drop_argv, tool
from learnd.lab.limits import MIB, prlimit_argv
from learnd.lab.seccomp import keyring_filter

HOME_INSIDE: Final = "/tmp/home"  # noqa: S108 - a path inside the sandbox, on its own tmpfs
HOSTNAME: Final = "learnd"

ETC_FILES: Final = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "timezone", "mime.types",
    "protocols", "services", "ca-certificates", "ssl/certs", "ssl/openssl.cnf", "pki/tls/certs", "pki/tls/cert.pem",
    "pki/ca-trust", "crypto-policies",
)  # fmt: skip
SYSTEM_LINKS: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
STAGE: Final = """
set -eu
folders=$1 files=$2 all=$3 approved=$4
shift 4
mount -t tmpfs -o mode=0755,size=1m,nosuid,nodev learnd /sys
mkdir $folders
for file in $files; do : > "$file"; done
for place in $all; do
    mount --rbind -- "$1" "$place"
    shift
done
found=$(stat -c %d:%i $all)
[ "$found" = "$approved" ] || {
    echo "learnd: a path changed while it was being bound:" $all "are" $found ", approved was" $approved >&2
    exit 1
}
exec "$@"
"""
"""Each program that it starts costs every replay a millisecond: what can be said of all mounts is said at once."""


@dataclass(frozen=True)
class Bubblewrap:
    """The installed bwrap and those of its abilities that came after 0.4."""

    path: str
    sizes_tmpfs: bool
    disables_userns: bool


@cache
def _abilities(path: str, changed_ns: int) -> Bubblewrap:
    del changed_ns  # part of the key: an upgraded bwrap is asked again
    asked = subprocess.run([path, "--help"], env=LAUNCH_ENV, capture_output=True, text=True, check=False)
    options = asked.stdout + asked.stderr
    return Bubblewrap(path, sizes_tmpfs="--size " in options, disables_userns="--disable-userns" in options)


def bubblewrap() -> Bubblewrap:
    """The installed bubblewrap. Raises SandboxUnavailable when there is none."""
    path = tool("bwrap")
    return _abilities(path, Path(path).stat().st_mtime_ns)


def isolation_args(
    spec: SandboxRun,
    mounts: Sequence[Mount],
    staged: Sequence[str],
    user: User,
    *,
    bwrap: Bubblewrap,
    file: Callable[[bytes], int],
) -> list[str]:
    """bwrap's options for one run, without the command. `staged` are the mounts' sources as bwrap reaches them.

    `file` keeps bytes readable on a file descriptor until the launch and returns its number.
    """
    args = [
        "--unshare-user",
        "--unshare-pid",
        *(() if spec.network else ("--unshare-net",)),
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
    ]
    args += ["--disable-userns"] if bwrap.disables_userns else []
    args += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", HOSTNAME]
    args += ["--seccomp", str(file(keyring_filter()))]
    args += _system_args()
    for name, text in (_generated_etc(user) | (_names_of_hosts() if spec.network else {})).items():
        args += ["--file", str(file(text.encode())), f"/etc/{name}"]
    args += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    size = ["--size", str(spec.limits.file_mb * MIB)] if bwrap.sizes_tmpfs else []
    args += ["--dev", "/dev", *size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108 - inside
    args += [*size, "--tmpfs", "/tmp", "--dir", HOME_INSIDE, "--symlink", "/tmp", "/var/tmp", "--dir", "/run"]  # noqa: S108
    for mount, source in zip(mounts, staged, strict=True):
        args += ["--bind" if mount.writable else "--ro-bind", source, str(mount.inside)]
    args += ["--remount-ro", "/", "--chdir", str(PurePosixPath(spec.mount_at) / spec.cwd)]
    for name, value in replay_env(spec, home=HOME_INSIDE, temp="/tmp").items():  # noqa: S108
        args += ["--setenv", name, value]
    return args


def replay_env(spec: SandboxRun, *, home: str, temp: str) -> dict[str, str]:
    """The whole environment of the command: fixed defaults, then what the run asks for."""
    defaults = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "TMPDIR": temp,
        "LANG": "C.UTF-8",
        "USER": "learnd",
        "LOGNAME": "learnd",
    }
    return defaults | (spec.env or {})


def _system_args() -> list[str]:
    args = ["--ro-bind", "/usr", "/usr"]
    for name in SYSTEM_LINKS:
        path = Path("/", name)
        if path.is_symlink():
            args += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            args += ["--ro-bind", str(path), str(path)]
    for name in ETC_FILES:
        args += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return args


def _generated_etc(user: User) -> dict[str, str]:
    own = f"learnd:x:{user.uid}:{user.gid}:learnd:{HOME_INSIDE}:/bin/sh"
    return {
        "passwd": f"root:x:0:0:root:/nonexistent:/bin/false\n{own}\n",
        "group": f"root:x:0:\nlearnd:x:{user.gid}:\n",
        "hosts": f"127.0.0.1 localhost {HOSTNAME}\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
    }


def _names_of_hosts() -> dict[str, str]:
    """How set-up that may use the network finds hosts by name: as this machine does."""
    generated = {"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"}
    for name in ("resolv.conf", "hosts"):
        with suppress(OSError):
            generated[name] = Path("/etc", name).read_text(errors="replace")
    return generated


def staged_sources(mounts: Sequence[Mount], user: User) -> tuple[str, ...]:
    """Where bwrap finds each mount's source: in root's staging area, or where it is."""
    return tuple(f"/sys/{index}" if user.dropped else str(mount.source) for index, mount in enumerate(mounts))


def host_argv(mounts: Sequence[Mount], user: User) -> list[str]:
    """What runs on the host before bwrap: staging and dropping root where there is any, and first place in the OOM
    killer's queue, so that a replay that eats the machine's memory goes before the daemon does."""
    last = [tool("choom"), "-n", "1000", "--"]
    if not user.dropped:
        return last
    places = [f"/sys/{index}" for index in range(len(mounts))]
    found = [mount.source.stat() for mount in mounts]
    folders = " ".join(place for place, one in zip(places, found, strict=True) if stat.S_ISDIR(one.st_mode))
    files = " ".join(place for place, one in zip(places, found, strict=True) if not stat.S_ISDIR(one.st_mode))
    approved = "\n".join(f"{one.st_dev}:{one.st_ino}" for one in found)
    stage = [tool("unshare"), "--mount", "--propagation", "slave", "--", tool("sh"), "-c", STAGE, "learnd-stage"]
    stage += [folders, files, " ".join(places), approved, *(str(mount.source) for mount in mounts)]
    # Before root is dropped: what a privileged process sets, the replay cannot lower again.
    return [*stage, *last, *drop_argv(user)]


def inside_argv(spec: SandboxRun) -> list[str]:
    """The first program inside: it sets the limits and becomes the command."""
    return [tool("prlimit"), *prlimit_argv(spec.limits), "--", *spec.argv]
