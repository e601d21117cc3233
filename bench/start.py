"""Starting over 100,000 run folders that are known already: until all are watched, and until all were looked at.

A manifest changes while the daemon is down; the look is over when the log knows of it. The peer walks the folders with
`scandir` and asks each manifest for its stat, in one thread and nothing else.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.daemon import Daemon, registered, until
from bench.measuring import Line, scaled, shown, timed
from bench.sample import finish_run, make_repo, manifest, settled
from learnd.manifest.find import find_manifests

FOLDERS = 100_000
OLD = "2020-01-01T00:00:00.000Z"
AIM_S = 3.0
LOOK_S = 0.25
"""Between two looks at the daemon's health: it counts its watches for each, a tenth of a second for so many."""
WHY = "the folders are walked once, in Python, and each gets its watch before it is looked into, beside the first sweep"


def measure(folder: Path, scale: float) -> list[Line]:
    repo, state = folder / "start/repo", folder / "start/state"
    make_repo(repo)
    folders = scaled(FOLDERS, scale, 10)
    _old_runs(repo, folders)
    registered(state, repo)
    with Daemon(state) as daemon:
        first = finish_run(repo, -1)
        until(lambda: settled(state, first), "the first look at everything")
        first_s = time.monotonic() - daemon.began
    peer = timed(lambda: [None for _ in find_manifests(repo)])
    changed = finish_run(repo, -2)
    with Daemon(state) as daemon:
        until(lambda: _watching(daemon, folders), "all folders watched", LOOK_S)
        watched_s = time.monotonic() - daemon.began
        until(lambda: settled(state, changed), "the change that nobody heard of")
        looked_s = time.monotonic() - daemon.began
    return [
        Line(
            f"start over {folders:,} known run folders, {what}",
            shown(seconds),
            f"scandir and stat of all: {shown(peer)}",
            f"{seconds / peer:.1f} × the time",
            f"≤ {AIM_S:.0f} s" if aimed else "",
            seconds <= AIM_S if aimed else None,
            "1",
            WHY,
        )
        for what, seconds, aimed in (
            ("until all are watched", watched_s, True),
            ("until what changed meanwhile is a job at rest", looked_s, False),
            ("the very first start, which reads each", first_s, False),
        )
    ]


def _watching(daemon: Daemon, folders: int) -> bool | None:
    health = daemon.health()
    return True if health and int(str(health["watches"])) >= folders else None


def _old_runs(repo: Path, count: int) -> None:
    """Runs that completed long before the repository was registered."""
    root = repo / ".runs/old/cli"
    root.mkdir(parents=True)
    text = manifest("RUN", completed_at=OLD)
    for number in range(count):
        run = f"old-{number}"
        os.mkdir(f"{root}/{run}")  # noqa: PTH102 - a hundred thousand of them
        with open(f"{root}/{run}/manifest.json", "w") as file:  # noqa: PTH123
            file.write(text.replace("RUN", run))
