"""What the daemon keeps in memory, with 10,000 finished jobs in its log: idle, and idle again after it did a job.

The peer is a process that has imported the libraries of an idle daemon and done nothing with them.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench.daemon import Daemon, registered, until
from bench.measuring import Line, scaled
from bench.million import make_log
from bench.sample import finish_run, make_repo, settled
from learnd.views.store import rebuild

JOBS = 10_000
AIM_MB = 60
IDLE_S = 12.0
WHY = "the libraries are most of it (asyncio and rich come with others, and nothing here needs them); no job is kept"
PEER = (
    "import pydantic_settings, sqlite_utils, watchdog.observers.inotify, structlog, transitions, typer, yaml, unidiff; "
    "print(int(open('/proc/self/statm').read().split()[1]) * 4096)"
)


def measure(folder: Path, scale: float) -> list[Line]:
    state, repo = folder / "memory/state", folder / "memory/repo"
    jobs = scaled(JOBS, scale, 3)
    with make_log(state / "events.db", jobs=jobs) as log:
        rebuild(log)
    make_repo(repo)
    registered(state, repo)
    peer = int(subprocess.run([sys.executable, "-c", PEER], capture_output=True, check=True).stdout)
    with Daemon(state) as daemon:
        daemon.ready()
        time.sleep(min(IDLE_S, IDLE_S * scale * 10))
        before = daemon.resident_bytes()
        run = finish_run(repo, 1)
        until(lambda: settled(state, run), "a job at rest")
        time.sleep(min(IDLE_S, IDLE_S * scale * 10))
        after = daemon.resident_bytes()
    return [
        Line(
            f"memory of the daemon, {jobs:,} finished jobs, {when}",
            f"{size / 1e6:.0f} MB",
            f"its libraries alone: {peer / 1e6:.0f} MB",
            f"{size / peer:.1f} × as much",
            f"≤ {AIM_MB} MB" if aimed else "",
            size <= AIM_MB * 1e6 if aimed else None,
            "1",
            WHY,
        )
        for when, size, aimed in (("idle", before, True), ("idle after a job of its own", after, False))
    ]
