"""How many replays may run at the same time: as many as there are cores and free memory for, in the order they asked.

Each replay counts with all the memory that it may use, from its start to its end, on top of what is in use: what one
uses already is counted twice, which errs on the safe side. A replay waits rather than pushing the machine into swap.

Invariant: a replay that waits starts once those before it have ended and the machine has the memory; one that has the
machine to itself needs no more than half of the machine's memory, or a small machine could never replay anything.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog

from learnd.lab.limits import MIB

LOOK_S: Final = 0.5
"""Between two looks at the machine's free memory; the end of another replay is heard at once."""

log = structlog.get_logger("learnd.lab")


class NoLongerWanted(Exception):
    """Cancelled while waiting."""


class Room:
    """Places for replays. `cores`: how many at most; `free` and `total`: bytes of memory."""

    def __init__(self, cores: int, free: Callable[[], int], total: int) -> None:
        self._cores = cores
        self._free = free
        self._total = total
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._reserved: list[int] = []

    @contextmanager
    def place(self, memory_mb: int, cancel: threading.Event) -> Iterator[None]:
        """Wait for a place and hold it while the block runs. Raises NoLongerWanted when `cancel` is set first."""
        wanted, ticket = memory_mb * MIB, object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._wait(ticket, wanted, cancel)
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
            self._reserved.append(wanted)
        try:
            yield
        finally:
            with self._changed:
                self._reserved.remove(wanted)
                self._changed.notify_all()

    def _wait(self, ticket: object, wanted: int, cancel: threading.Event) -> None:
        said = False
        while self._waiting[0] is not ticket or not self._has(wanted):
            if not said and len(self._reserved) < self._cores and self._waiting[0] is ticket:
                said = True
                log.info("a replay waits for memory", wanted_mib=wanted // MIB, free_mib=self._free() // MIB)
            if cancel.is_set():
                raise NoLongerWanted
            self._changed.wait(LOOK_S)

    def _has(self, wanted: int) -> bool:
        if not self._reserved:
            return self._free() >= min(wanted, self._total // 2)
        return len(self._reserved) < self._cores and self._free() - sum(self._reserved) >= wanted


def of_this_machine(room_of_cgroup: Callable[[], int | None]) -> Room:
    """The room of this process: its cores, and what the machine and its own cgroup have left."""

    def free() -> int:
        own = room_of_cgroup()
        available = _meminfo("MemAvailable")
        return available if own is None else min(own, available)

    return Room(len(os.sched_getaffinity(0)), free, _meminfo("MemTotal"))


def _meminfo(name: str) -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
