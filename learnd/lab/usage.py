"""What a running replay uses, seen from outside: memory and processes of all its programs, and room on its disks.

The kernel's own limits (`limits.py`) refuse one process; they do not add up, and a refusal is told to the program
alone. Where the daemon has a cgroup of its own the kernel does add up (`cgroups.py`); this is what holds everywhere.

Invariant: what cannot be seen (a process that ended meanwhile, one that may not be looked into) counts as nothing.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from learnd.lab.launcher import LAUNCH_ENV, tool
from learnd.lab.limits import MIB, LimitName, Limits

PAGE: Final = resource.getpagesize()
LOOK_TICKS: Final = 5
LOOKS_AT_MOST: Final = 2
"""How many looks in a row must find all processes in use: some programs try how many they get, and go on."""
MEMORY_DISKS: Final = ("tmp", "dev/shm")
COUNTED: Final = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")


class Usage:
    """Watches one replay. `folders` are those whose growth `disk_mb` bounds."""

    def __init__(self, limits: Limits, folders: tuple[Path, ...]) -> None:
        self._limits = limits
        self._disk = _DiskUse(folders, limits.disk_mb)
        self._ticks = 0
        self._crowded = 0

    def exceeded(self, first: int | None) -> LimitName | None:
        """The limit that is exceeded now; looks at every fifth call only. `first`: the replay's first process."""
        self._ticks += 1
        if self._ticks % LOOK_TICKS:
            return None
        if self._disk.exceeded() or (first is not None and _memory_disk_full(first)):
            return "disk"
        if first is None:
            return None
        processes = list(_tree(first))
        self._crowded = self._crowded + 1 if _tasks(processes) >= self._limits.processes else 0
        if self._crowded >= LOOKS_AT_MOST:
            return "processes"
        most = self._limits.memory_mb * MIB
        # The quick sum counts what forks share once for each; only what exceeds by it is looked at closely.
        if sum(map(_private, processes)) > most and sum(map(_proportional, processes)) > most:
            return "memory"
        return None


def _tree(first: int) -> Iterator[int]:
    """A process and all below it; what was orphaned inside is the first one's child."""
    left = [first]
    while left:
        pid = left.pop()
        yield pid
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    left += map(int, (task / "children").read_text().split())


def _tasks(processes: list[int]) -> int:
    count = 0
    for pid in processes:
        with suppress(OSError):
            count += sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
    return count


def _private(pid: int) -> int:
    with suppress(OSError, ValueError):
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
        return (int(resident) - int(shared)) * PAGE
    return 0


def _proportional(pid: int) -> int:
    with suppress(OSError, ValueError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(COUNTED))
    return 0


def _memory_disk_full(first: int) -> bool:
    """Whether the replay's own /tmp or /dev/shm has no room left."""
    for place in MEMORY_DISKS:
        with suppress(OSError):
            if os.statvfs(f"/proc/{first}/root/{place}").f_bfree == 0:
                return True
    return False


class _DiskUse:
    """Whether folders hold more than `most` MiB and the replay can have put it there.

    Free space of the file system is cheap to ask; only when it has fallen far enough are the folders measured, because
    others write to the same file system.
    """

    def __init__(self, folders: tuple[Path, ...], most: int) -> None:
        self._folders = folders
        self._most = most * MIB
        self._ask_below = {folder: _free(folder) - self._most for folder in folders}

    def exceeded(self) -> bool:
        if all(_free(folder) >= floor for folder, floor in self._ask_below.items()):
            return False
        left = self._most - _used(self._folders)
        self._ask_below = {folder: _free(folder) - max(left, MIB) for folder in self._folders}
        return left < 0


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bfree * found.f_frsize


def _used(folders: tuple[Path, ...]) -> int:
    """Bytes on disk; du(1) walks trees of any depth, and files that vanish meanwhile are no error of it."""
    argv = [tool("du"), "-sxk", "--", *map(str, folders)]
    found = subprocess.run(argv, env=LAUNCH_ENV, capture_output=True, check=False)
    return sum(int(line.split(None, 1)[0]) * 1024 for line in found.stdout.splitlines())
