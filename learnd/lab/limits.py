"""What one replay may use up, and the name of the limit that ended it.

Per-process limits (memory, CPU, file size, processes) are the kernel's: `prlimit` sets them *inside* the
sandbox, just before the command. Inside matters for processes: since Linux 5.14 RLIMIT_NPROC counts per user
namespace, so that a limit set there counts the replay alone, not everything else its owner runs on the machine.
What the kernel has no limit for (wall time, output, growth of the tree, the memory of all processes) is watched from
outside (`watch.py`, `usage.py`); memory is bounded by the kernel where the daemon has a cgroup of its own
(`cgroups.py`).

A program that is refused memory, processes or room learns it alone: no signal tells us, only what it says
(`refused`). So the replay is made once more with twice as much (`replay.py`): what is said again is not of our limit.
Where it is, the replay is inconclusive; words can make none count.
"""

from __future__ import annotations

import re
import resource
import signal
from dataclasses import dataclass
from typing import Final, Literal

MIB: Final = 1024 * 1024
CPU_GRACE_S: Final = 5
"""Seconds of CPU between SIGXCPU, which a program may catch, and SIGKILL, which it may not."""

LimitName = Literal["wall", "cpu", "memory", "processes", "file", "output", "disk"]


@dataclass(frozen=True)
class Limits:
    """Bounds of one replay.

    wall_s: seconds from launch, then everything is killed (`wall`).
    memory_mb: private writable memory of one process, and of all together, MiB (`memory`).
    processes: processes and threads at any time (`processes`).
    file_mb: largest file, MiB (`file`); /tmp and /dev/shm hold as much each, full is over (`disk`).
    output_mb: stdout and stderr together, MiB; more ends the replay (`output`).
    cpu_s: CPU seconds of one process (`cpu`); None is no limit beside `wall_s`.
    disk_mb: what tree and report folder may hold together after writing to them, MiB (`disk`).
    """

    wall_s: float
    memory_mb: int
    processes: int
    file_mb: int
    output_mb: int
    cpu_s: int | None = None
    disk_mb: int = 4096


def prlimit_argv(limits: Limits, *, own_namespace: bool = True) -> tuple[str, ...]:
    """Arguments for prlimit(1): soft and hard alike, never above the hard limit this process already has.

    Without a user namespace of the replay's own there is no limit of processes: it would count the whole user's.
    """
    wanted = {
        # Not the address space: V8 and Go reserve tens of gigabytes that they never touch, and fetch() of Node fails.
        "--data": (resource.RLIMIT_DATA, limits.memory_mb * MIB),
        "--fsize": (resource.RLIMIT_FSIZE, limits.file_mb * MIB),
        "--core": (resource.RLIMIT_CORE, 0),
    }
    if own_namespace:
        wanted["--nproc"] = (resource.RLIMIT_NPROC, limits.processes)
    argv = [f"{option}={_at_most_hard(kind, value)}" for option, (kind, value) in wanted.items()]
    if limits.cpu_s is not None:
        hard = _at_most_hard(resource.RLIMIT_CPU, limits.cpu_s + CPU_GRACE_S)
        argv.append(f"--cpu={min(limits.cpu_s, hard)}:{hard}")
    return tuple(argv)


def _at_most_hard(kind: int, wanted: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


REFUSALS: Final[tuple[tuple[LimitName, re.Pattern[str]], ...]] = (
    (
        "memory",
        re.compile(
            r"\bMemoryError\b|Cannot allocate memory|std::bad_alloc|JavaScript heap out of memory"
            r"|runtime: out of memory|memory allocation of \d+ bytes failed|java\.lang\.OutOfMemoryError"
        ),
    ),
    ("file", re.compile(r"File too large|\bEFBIG\b")),
    ("disk", re.compile(r"No space left on device|\bENOSPC\b")),
    (
        "processes",
        re.compile(
            r"can't start new thread|fork: (retry: )?Resource temporarily unavailable|Cannot fork"
            r"|pthread_create failed|failed to spawn thread|unable to create native thread"
        ),
    ),
)
"""What the C library, Python, C++, Node, Go, Rust, Java and shells say when the kernel refuses them more."""


def refused(text: str) -> LimitName | None:
    """The limit that a failing program says it ran into."""
    return next((name for name, words in REFUSALS if words.search(text)), None)


def limit_of_signal(number: int | None) -> LimitName | None:
    """The limit whose signal ended the command, where it has one of its own."""
    if number == signal.SIGXCPU:
        return "cpu"
    if number == signal.SIGXFSZ:
        return "file"
    return None
