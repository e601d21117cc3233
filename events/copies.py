"""Whole copies of a log: made while it is written to, and checked before anybody relies on them.

A copy is one file (no write-ahead log beside it), private, synced, and holds the log as it was at one moment: SQLite's
online backup reads all pages in one transaction. Copying the file itself would tear it and miss the write-ahead log.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from events.chain import GENESIS, Chain, LogDamaged, Verified
from events.database import sync
from events.layouts import COLUMNS

PAGE = 1000
REPORTED = 1
"""Faults that SQLite is asked to name: the first says enough."""


def copy_log(source: sqlite3.Connection, target: Path) -> None:
    """Copy the log behind `source` to the new file `target` (0600). Raises sqlite3.Error, OSError (it is there)."""
    # What a copy that was killed left would be rolled back into this one.
    target.with_name(target.name + "-journal").unlink(missing_ok=True)
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous=FULL")
        source.backup(copy)
        # The pages say that there is a write-ahead log: a copy is complete without one.
        copy.execute("PRAGMA journal_mode=DELETE")
    sync(target, os.O_RDONLY)
    sync(target.parent, os.O_RDONLY | os.O_DIRECTORY)


def check_copy(path: Path) -> Verified:
    """Check a copy of whatever layout: SQLite's own structures, and the chain. Raises LogDamaged, sqlite3.Error."""
    # Immutable: nobody writes a copy, and looking at one leaves nothing beside it.
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as connection:
        (told,) = connection.execute(f"PRAGMA integrity_check({REPORTED})").fetchone()
        if told != "ok":
            raise LogDamaged(1, f"SQLite finds the file {path.name} damaged ({' '.join(told.split())})")
        chain = Chain()
        query = f"SELECT {COLUMNS} FROM events WHERE position >= ? ORDER BY position LIMIT {PAGE}"  # noqa: S608 - own words
        start = -(2**63)  # what stands before the first position does not belong there
        while page := connection.execute(query, (start,)).fetchall():
            chain.check(page)
            start = chain.position + 1
        return Verified(chain.position, chain.hash, chain.position)


def head_of(connection: sqlite3.Connection) -> tuple[int, str]:
    """Position and hash of the last event; `(0, GENESIS)` of an empty log."""
    row = connection.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1").fetchone()
    return (0, GENESIS) if row is None else (int(row[0]), str(row[1]))


def hash_at(connection: sqlite3.Connection, position: int) -> str | None:
    """The hash of the event at `position`; None where there is none."""
    if position == 0:
        return GENESIS
    row = connection.execute("SELECT hash FROM events WHERE position = ?", (position,)).fetchone()
    return None if row is None else str(row[0])
