"""How everything here is measured: in turns with its peer, in this process's own run, by the median.

A ratio says something about learnd; a time says something about the machine. Whoever measures two things lets them take
turns, beginning with another one each round, so that a slow moment of the machine hits both.
"""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. `met` is None where nothing is aimed at; `why` is said where an aim is missed."""

    what: str
    learnd: str
    peer: str
    ratio: str
    aim: str
    met: bool | None
    n: str
    why: str = ""


def in_turns(works: Mapping[str, Work], rounds: int, warm_up: int = 0) -> dict[str, list[float]]:
    """Seconds of each work by its name, `rounds` of each; `warm_up` rounds before them are not counted."""
    names = list(works)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            seconds = timed(works[name])
            if number >= warm_up:
                taken[name].append(seconds)
    return taken


def timed(work: Work) -> float:
    """Seconds that `work` takes, without the garbage of whoever was measured before it."""
    gc.collect(0)
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds)


def quantile(seconds: Sequence[float], share: float) -> float:
    """The smallest of `seconds` that at least `share` of them do not exceed."""
    ordered = sorted(seconds)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def scaled(count: int, scale: float, least: int = 1) -> int:
    """`count` at full size, less in a trial."""
    return max(least, round(count * scale))


def shown(seconds: float) -> str:
    """`174 µs`, `3.2 ms`, `4.1 s`."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"


def drop_caches_of(path: str) -> None:
    """Let nothing of a file stay in memory, so that the next reader begins where the last one did."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
