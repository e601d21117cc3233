"""From a manifest renamed into place to the commit of `JobOpened`, in a real daemon, beside raw inotify.

One process renames manifests and watches the log's `data_version` (a look at shared memory, no system call to
speak of); another does nothing but wait in `read` on an inotify descriptor and say when it woke: less than that nobody
who is told by the kernel can need. All clocks are CLOCK_MONOTONIC. A run changed nothing, so that its job ends soon;
the next manifest comes when it has.
"""

from __future__ import annotations

import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.daemon import Daemon, registered, until
from bench.measuring import Line, median, quantile, scaled, shown
from bench.sample import make_repo, prepare_run, settled
from events.database import open_reader

RUNS = 200
AIM_P50_S, AIM_P99_S = 1e-3, 5e-3
PAUSE_S = 0.05
WHY = (
    "the event passes three threads of one interpreter (watchdog's two and the intake's) before the manifest is read, "
    "and the append itself waits for the disk"
)


def measure(folder: Path, scale: float) -> list[Line]:
    repo, state = folder / "detect/repo", folder / "detect/state"
    make_repo(repo)
    registered(state, repo)
    runs = scaled(RUNS, scale, 2)
    ours: list[float] = []
    theirs: list[float] = []
    with _raw_inotify(folder / "detect/raw") as raw, Daemon(state) as daemon:
        daemon.ready()
        connection = open_reader(state / "events.db")
        for number in range(runs + 1):
            taken = _one(connection, repo, f"run-{number}")
            until(lambda number=number: settled(state, f"run-{number}"), "a job at rest", PAUSE_S)  # type: ignore[misc]
            time.sleep(PAUSE_S)
            peer = raw()
            if number:  # the first finds everything cold, folders too
                ours.append(taken)
                theirs.append(peer)
        connection.close()
    return [
        Line(
            f"manifest → JobOpened, {name}",
            shown(found),
            f"raw inotify: {shown(peer)}",
            f"{found / peer:.1f} × the time",
            f"≤ {aim * 1e3:.0f} ms",
            found <= aim,
            f"{runs}",
            WHY,
        )
        for name, found, peer, aim in (
            ("p50", median(ours), median(theirs), AIM_P50_S),
            ("p99", quantile(ours, 0.99), quantile(theirs, 0.99), AIM_P99_S),
        )
    ]


def _one(connection: sqlite3.Connection, repo: Path, run: str) -> float:
    """Seconds from the rename of a manifest to the commit of its `JobOpened`."""
    part = prepare_run(repo, run)
    time.sleep(PAUSE_S)  # the new folders are heard of, and watched
    (version,) = connection.execute("PRAGMA data_version").fetchone()
    (head,) = connection.execute("SELECT max(position) FROM events").fetchone()
    begun = time.monotonic()
    part.rename(part.with_name("manifest.json"))
    while True:
        (seen,) = connection.execute("PRAGMA data_version").fetchone()
        if seen != version:
            moment, version = time.monotonic(), seen
            query = "SELECT 1 FROM events WHERE position > ? AND type = 'JobOpened'"
            if connection.execute(query, (head,)).fetchone():
                return moment - begun
        time.sleep(2e-5)


@contextmanager
def _raw_inotify(folder: Path) -> Iterator[Callable[[], float]]:
    """A function that renames one file and returns after how many seconds a waiting process knew."""
    folder.mkdir(parents=True)
    listener = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("listen.py")), str(folder)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert listener.stdout is not None  # noqa: S101 - a pipe was asked for
    out = listener.stdout
    out.read(8)  # it is watching

    def once() -> float:
        part = folder / "manifest.json.tmp"
        part.write_text("{}")
        begun = time.monotonic()
        part.rename(folder / "manifest.json")
        (moment,) = struct.unpack("d", out.read(8))
        return float(moment) - begun

    try:
        yield once
    finally:
        listener.kill()
        listener.wait()
