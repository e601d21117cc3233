"""Memory and processes of a whole replay, bounded by the kernel where the daemon has a part of the cgroup tree.

systemd gives a unit with `Delegate=memory pids` the control of its own cgroup (v2), and marks it so. The daemon moves
into a leaf of it, for a cgroup that hands on controllers holds no processes itself, and makes one cgroup for each run
of the sandbox. Unlike limits of processes these count everything: what tests fork, shared memory, files in memory.

Invariants: nothing is touched that is not marked as delegated, for an undelegated cgroup is somebody else's even where
root could write to it; where there is none, replays run as well, within the limits that hold everywhere.
"""

from __future__ import annotations

import errno
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from learnd.lab.launcher import tool
from learnd.lab.limits import MIB, LimitName, Limits

CONTROLLERS: Final = ("memory", "pids")
DAEMON: Final = "learnd-daemon"
REPLAY: Final = "learnd-replay-"
MARKS: Final = ("user.delegate", "trusted.delegate")
"""Extended attributes that systemd sets on what it delegates: since 251, and before that as the system's own."""
BESIDE: Final = 8
"""Processes of the sandbox itself, beside those that a replay may have."""
REMOVAL_S: Final = 5.0
ENTER: Final = 'echo 0 > "$1/cgroup.procs" && shift && exec "$@"'


class NotDelegated(Exception):
    """No cgroup is ours to divide; the message says why."""


@dataclass
class ReplayCgroup:
    """The cgroup of one run."""

    path: Path

    def argv(self) -> list[str]:
        """What comes before a command line to start it in here; to be run by whoever owns the cgroup."""
        return [tool("sh"), "-c", ENTER, "learnd-cgroup", str(self.path)]

    def limit(self) -> LimitName | None:
        """The limit that was hit here: a process was killed for memory, or one was refused."""
        if _count(self.path / "memory.events", "oom_kill"):
            return "memory"
        return "processes" if _count(self.path / "pids.events", "max") else None


@dataclass(frozen=True)
class Delegated:
    """A cgroup that is ours to divide."""

    root: Path

    @contextmanager
    def replay(self, limits: Limits) -> Iterator[ReplayCgroup]:
        """A cgroup with these limits; when the block is left, nothing in it is alive and it is gone."""
        group = ReplayCgroup(self.root / f"{REPLAY}{uuid.uuid4().hex}")
        group.path.mkdir()
        try:
            _set(group.path / "memory.max", str(limits.memory_mb * MIB))
            _set(group.path / "memory.swap.max", "0")
            _set(group.path / "memory.oom.group", "1")
            _set(group.path / "pids.max", str(limits.processes + BESIDE))
            yield group
        finally:
            remove(group.path)

    def room(self) -> int | None:
        """Bytes that may still be used here before a limit of this cgroup, or of one above it, is met."""
        rooms = []
        for folder in (self.root, *self.root.parents):
            with suppress(OSError, ValueError):  # above the mount there is none; `max` is no number
                most = int((folder / "memory.max").read_text())
                rooms.append(most - int((folder / "memory.current").read_text()))
        return min(rooms, default=None)


def cgroup_of(pid: int) -> Path:
    """The folder of a process's cgroup in the v2 tree. Raises NotDelegated where there is no such tree or process."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError as error:
        raise NotDelegated(f"process {pid} cannot be looked at: {error.strerror}") from error
    line = next((one for one in lines if one.startswith("0::/")), None)
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    mount = next((fields[4] for fields in mounts if fields[fields.index("-") + 1] == "cgroup2"), None)
    if line is None or mount is None:
        raise NotDelegated("there is no cgroup v2 tree here")
    return Path(mount, line.removeprefix("0::/"))


def claim() -> Delegated:
    """Divide the cgroup that this process is in: ourselves in a leaf, controllers for those beside it.

    To be called before anything is started. What an earlier daemon left there is ended. Raises NotDelegated, with
    nothing changed.
    """
    own = cgroup_of(os.getpid())
    root = own.parent if own.name == DAEMON else own
    if not any(_mark(root, name) for name in MARKS):
        raise NotDelegated(f"{root} is not delegated to this process (a unit needs `Delegate=memory pids`)")
    try:
        there = (root / "cgroup.controllers").read_text().split()
        lacking = [name for name in CONTROLLERS if name not in there]
        if lacking:
            raise NotDelegated(f"{root} has no controller {' and '.join(lacking)}")
        _divide(root)
    except OSError as error:
        raise NotDelegated(f"{root} cannot be divided: {error.strerror}") from error
    for left in root.glob(f"{REPLAY}*"):
        remove(left)
    return Delegated(root)


def bounds_replays_of(pid: int) -> str | None:
    """Why the replays of the daemon `pid` have no cgroup of their own; None when they have."""
    try:
        own = cgroup_of(pid)
    except NotDelegated as error:
        return str(error)
    return None if own.name == DAEMON else f"{own} is not the daemon's to divide (`Delegate=memory pids` in its unit)"


def _divide(root: Path) -> None:
    leaf = root / DAEMON
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text(str(os.getpid()))
    try:
        (root / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in CONTROLLERS))
    except OSError:
        # Somebody else is in it as well, as in a terminal's scope: back, as if we had not asked.
        (root / "cgroup.procs").write_text(str(os.getpid()))
        leaf.rmdir()
        raise


def remove(path: Path) -> None:
    """End everything in a cgroup and remove it. One that cannot be removed in time is left to the next start."""
    with suppress(OSError):
        (path / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + REMOVAL_S
    while time.monotonic() < deadline:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                return
            time.sleep(0.01)  # killed processes are counted until they are gone
        else:
            return


def _mark(path: Path, name: str) -> bool:
    try:
        return os.getxattr(path, name) == b"1"
    except OSError:
        return False


def _set(file: Path, value: str) -> None:
    # Opened as it is: a cgroup refuses with EACCES to make a file. Without swap accounting there is no memory.swap.max.
    with suppress(FileNotFoundError), file.open("r+") as limit:
        limit.write(value)


def _count(file: Path, name: str) -> int:
    with suppress(OSError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
