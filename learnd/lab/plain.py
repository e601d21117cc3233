"""A replay without a sandbox, which only the operator may choose: `sandbox = "none"`.

What still holds: never uid 0, an environment of its own, the limits of one process, wall time, output and disk, that
no process which kept the environment it was given outlives the replay, and that its process group dies with the daemon.
What does not: nothing is hidden, the network is there, processes are not counted, and the tree stands where it was
restored, not at the repository's path. Binds into the tree become links, overlays copies.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from learnd.lab.binds import RunRefused, SandboxRun
from learnd.lab.isolation import replay_env
from learnd.lab.launcher import User, drop_argv, tool
from learnd.lab.limits import prlimit_argv

MARK: Final = "LEARND_REPLAY"
SWEEPS: Final = 50
LIFELINE: Final = 'exec 3<&0 </dev/null; ( read -r _ <&3; kill -9 -$$ ) & exec 3<&-; "$@"'
"""Its stdin is a pipe that the daemon holds open: when the daemon dies, however, so does the process group."""


def lay_binds(spec: SandboxRun) -> None:
    """Put links to bound folders, and copies of overlays, where the sandbox would have bound them.

    Raises RunRefused where the tree already has something of its own, or a link on the way. Nothing is written through
    a link: this is the daemon writing, maybe as root, where an agent laid the links.
    """
    root = PurePosixPath(spec.mount_at)
    for host, at in _in_tree((*spec.read_only_binds, *spec.own_binds), spec.tree, root):
        target = host.resolve(strict=True)
        if not at.is_symlink() and not at.exists():
            at.symlink_to(target)
        elif not at.is_symlink() or at.readlink() != target:
            raise RunRefused(at, "the tree has something of its own where a folder is to be linked")
    for host, at in _in_tree(spec.overlays, spec.tree, root):
        if at.is_symlink() or at.is_dir():
            raise RunRefused(at, "the tree has a link or a folder where a file is to be laid")
        at.unlink(missing_ok=True)
        with host.open("rb") as source, at.open("xb") as copy:
            shutil.copyfileobj(source, copy)


def _in_tree(binds: tuple[tuple[Path, Path], ...], tree: Path, root: PurePosixPath) -> Iterator[tuple[Path, Path]]:
    for host, inside in binds:
        if PurePosixPath(inside).is_relative_to(root):
            yield host, _place(tree, PurePosixPath(inside).relative_to(root))


def _place(tree: Path, relative: PurePosixPath) -> Path:
    at = tree
    for part in relative.parts[:-1]:
        at = at / part
        if at.is_symlink():
            raise RunRefused(at, "the tree has a link where something is to be laid")
        at.mkdir(exist_ok=True)
    return at / relative.name


def plain_argv(spec: SandboxRun, user: User, home: Path, mark: str) -> list[str]:
    """The whole command line; the replay's environment comes in after root has been dropped."""
    environment = replay_env(spec, home=str(home), temp=str(home)) | {MARK: mark}
    assigned = [f"{name}={value}" for name, value in environment.items()]
    limited = [
        tool("choom"),
        "-n",
        "1000",
        "--",
        tool("prlimit"),
        *prlimit_argv(spec.limits, own_namespace=False),
        "--",
    ]
    guard = [tool("sh"), "-c", LIFELINE, "learnd-replay"]
    return [*drop_argv(user), *limited, tool("env"), "-i", *assigned, *guard, *spec.argv]


def working_folder(spec: SandboxRun) -> Path:
    """Where the command starts. Raises RunRefused when it is not there."""
    folder = spec.tree / spec.cwd
    if not folder.is_dir():
        raise RunRefused(folder, "the working directory is no folder of the tree")
    return folder


def new_mark() -> str:
    """What tells this replay's processes from all others."""
    return uuid.uuid4().hex


def kill_marked(mark: str, leader: subprocess.Popen[bytes]) -> None:
    """Kill the replay's process group and every process that carries its mark, until none is left."""
    if leader.returncode is None:  # once reaped, its number may be another's
        with suppress(ProcessLookupError):
            os.killpg(leader.pid, signal.SIGKILL)
    for _ in range(SWEEPS):
        found = _marked(mark)
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _marked(mark: str) -> list[int]:
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return found
