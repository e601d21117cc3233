"""How a replay's first process is started: by which thread, as which user, with which environment.

Invariants:
- `--die-with-parent` (PR_SET_PDEATHSIG) follows the *thread* that forked, not the process. Every launch is made by
  one thread that lives as long as the daemon does; a worker that ends does not take its replay with it.
- The launch gets an environment of two constants. `--clearenv` alone would leave the daemon's secrets in
  /proc/1/environ, and a replay's LD_PRELOAD must not reach setpriv or bwrap, which still run on the host.
- No replay has host uid 0. A root daemon drops to the repository's owner, and where root owns that too to `nobody`.
- Tools are looked up in the system's own directories only; a replay's PATH has no say in what starts it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
LAUNCH_ENV: Final = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"}
NOBODY: Final = 65534


class SandboxUnavailable(Exception):
    """Replays cannot be isolated on this machine now. A fault of the machine, never of a job.

    `reason` says what does not work, `mend` the command or change that makes it work.
    """

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(f"{reason}. Next: {mend}")
        self.reason = reason
        self.mend = mend


@dataclass(frozen=True)
class User:
    """The uid and gid replays run as, on the host and inside alike; `dropped` when the daemon is another (root)."""

    uid: int
    gid: int
    dropped: bool


def replay_user(owner_uid: int, owner_gid: int) -> User:
    """Who runs a replay of a repository of this owner. Never uid 0; gid 0 neither where we choose it."""
    if os.geteuid() != 0:
        return User(os.geteuid(), os.getegid(), dropped=False)
    if owner_uid == 0:
        return User(NOBODY, NOBODY, dropped=True)
    return User(owner_uid, owner_gid or NOBODY, dropped=True)


def given_to(owner_uid: int, owner_gid: int) -> tuple[int, int] | None:
    """Whom (uid, gid) a restored tree of this owner's is given to, so that its replay may write there; None: nobody."""
    user = replay_user(owner_uid, owner_gid)
    return (user.uid, user.gid) if user.dropped else None


def drop_argv(user: User) -> list[str]:
    """The prefix that gives up root for good: no groups, no capabilities, no way back through setuid files."""
    if not user.dropped:
        return []
    ids = [f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
    return [tool("setpriv"), *ids, "--inh-caps=-all", "--no-new-privs", "--"]


def prepare(path: Path, owner_uid: int, owner_gid: int) -> None:
    """Give a restored tree (or a report folder) to the user that replays run as; links themselves, not targets.

    Does nothing unless the daemon is root and the folder is still another user's.
    """
    user = replay_user(owner_uid, owner_gid)
    if not user.dropped or path.lstat().st_uid == user.uid:
        return
    # chown(1) walks any depth without recursion and never leaves through a link. The top comes last, so that
    # a prepare that was killed half-way is done again.
    entries = [str(entry) for entry in path.iterdir()]
    owner = f"{user.uid}:{user.gid}"
    subprocess.run(
        [tool("xargs"), "-0", "-r", tool("chown"), "-hR", owner, "--"],
        input=b"".join(os.fsencode(entry) + b"\0" for entry in entries),
        env=LAUNCH_ENV,
        check=True,
    )
    os.chown(path, user.uid, user.gid, follow_symlinks=False)


def tool(name: str) -> str:
    """Absolute path of a system tool. Raises SandboxUnavailable when it is not installed."""
    found = shutil.which(name, path=SYSTEM_PATH)
    if found is None:
        package = "bubblewrap" if name == "bwrap" else "util-linux"
        raise SandboxUnavailable(
            f"{name} is not installed (looked in {SYSTEM_PATH})",
            f"install it: apt install {package}  (or: dnf install {package})",
        )
    return found


def launch(
    argv: Sequence[str], *, pass_fds: Sequence[int] = (), cwd: Path = Path("/"), stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start argv from the launching thread in a session of its own; stdout and stderr are one pipe."""
    return _launching_thread().submit(_start, list(argv), tuple(pass_fds), cwd, stdin).result()


def _start(argv: list[str], pass_fds: tuple[int, ...], cwd: Path, stdin: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=LAUNCH_ENV,
        cwd=cwd,
        pass_fds=pass_fds,
        start_new_session=True,
    )


@cache
def _launching_thread() -> ThreadPoolExecutor:
    # An executor of one keeps its thread until the interpreter exits, which is as long as replays may live.
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="learnd-launch")
