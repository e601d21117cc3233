"""Durable append: learnd's log against a bare SQLite transaction of the same bytes, as a ratio.

Both commit one event a transaction with `synchronous=FULL` on the same disk, in turns, so that a slow moment hits both.
Only the ratio means something: absolute times are the disk's.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from events.catalog import FaultCleared
from events.log import EventLog
from learnd.clock import now

ROUNDS = 400
WARM_UP = 40


def bare(path: Path) -> sqlite3.Connection:
    """A plain table in write-ahead mode, as durable as the log's."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, data TEXT NOT NULL) STRICT")
    return connection


def measure(folder: Path) -> tuple[float, float]:
    """Median microseconds of one durable append: bare, learnd's."""
    plain = bare(folder / "bare.db")
    text = FaultCleared(kind="disk").model_dump_json().ljust(290)
    times: tuple[list[float], list[float]] = ([], [])
    with EventLog.create_or_open(folder / "events.db") as log:
        for number in range(WARM_UP + ROUNDS):
            begun = time.perf_counter()
            plain.execute("INSERT INTO events (data) VALUES (?)", (text,))
            between = time.perf_counter()
            log.append({"machine": (number, [FaultCleared(kind="disk")])}, actor="bench", at=now())
            ended = time.perf_counter()
            if number >= WARM_UP:
                times[0].append(between - begun)
                times[1].append(ended - between)
    plain.close()
    return statistics.median(times[0]) * 1e6, statistics.median(times[1]) * 1e6


def main() -> int:
    # Beside the checkout's own files: a temporary folder may be memory, where nothing is durable.
    with tempfile.TemporaryDirectory(dir=Path(__file__).resolve().parents[1], prefix=".bench-") as folder:
        raw, learnd = measure(Path(folder))
    print(f"one durable append, median of {ROUNDS}: bare sqlite3 FULL {raw:.0f} µs, learnd's log {learnd:.0f} µs")
    print(f"ratio {raw / learnd:.2f} (1.00 is as fast as bare)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
