"""Memory and open files of the daemon over its lives, and whether they level off.

A daemon that leaks grows while it lives, and one whose memory follows the length of its log grows from life to life.
Both are looked for, past the first seconds in which everything is loaded; both criteria can fail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, linear_regression

WARM_UP = 20
"""Samples of a life that do not count: modules are loaded and stores opened as the first jobs need them."""
RSS_SLOPE_KB = 50.0
"""Growth a sample (a second) in the longest life: 3 MB a minute, more than caches of a young process that fill."""
FDS_SLOPE = 0.1
LIVES_RSS_FACTOR = 1.25
FDS_LIMIT = 150


@dataclass(frozen=True)
class Sample:
    rss_kb: int
    fds: int
    threads: int

    def __str__(self) -> str:
        return f"{self.rss_kb >> 10} MB, {self.fds} files, {self.threads} threads"


@dataclass
class Life:
    """One process, from start to kill."""

    began: float
    samples: list[Sample] = field(default_factory=list)

    @property
    def warm(self) -> list[Sample]:
        return self.samples[WARM_UP:]


def sample(pid: int) -> Sample:
    """What the daemon uses now."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    fds = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return Sample(int(status["VmRSS"].split()[0]), fds, int(status["Threads"]))


def level_off(lives: list[Life]) -> list[str]:
    """What grows on. Prints a line for each life that was long enough to tell."""
    wrong = []
    long = [life for life in lives if len(life.warm) >= WARM_UP]
    for number, life in enumerate(long, 1):
        rss, fds = slope([s.rss_kb for s in life.warm]), slope([s.fds for s in life.warm])
        top = Sample(*(max(getattr(s, name) for s in life.warm) for name in ("rss_kb", "fds", "threads")))
        print(f"life {number}: at most {top}; grew {rss * 60 / 1024:+.2f} MB and {fds * 60:+.2f} files a minute")
        if top.fds > FDS_LIMIT:
            wrong.append(f"life {number} had {top.fds} files open")
    if not long:
        return ["no life was long enough to tell whether memory levels off"]
    longest = max(long, key=lambda life: len(life.warm)).warm
    if slope([s.rss_kb for s in longest]) > RSS_SLOPE_KB:
        wrong.append("memory grows all through the longest life")
    if slope([s.fds for s in longest]) > FDS_SLOPE:
        wrong.append("open files grow all through the longest life")
    early, late = (fmean(peak(life) for life in part) for part in (long[: len(long) // 2 or 1], long[len(long) // 2 :]))
    if late > early * LIVES_RSS_FACTOR:
        wrong.append(f"later lives need {late / 1024:.0f} MB, earlier ones {early / 1024:.0f}")
    return wrong


def slope(values: list[int]) -> float:
    """Growth a sample, by least squares."""
    return linear_regression(range(len(values)), values).slope if len(values) > 1 else 0.0


def peak(life: Life) -> int:
    return max(sample.rss_kb for sample in life.warm)
