"""Given: a log in the first layout, made by the statements that were released and by nothing of today's code but its
rows, and migrations that lead it further; run as a program, it opens such a log for writing.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from events.catalog import FaultCleared, FaultRaised
from events.chain import GENESIS, link
from events.layouts import Migration
from events.recorded import Stored
from learnd.door import Door
from learnd.keeping.migrations import record_migrations
from learnd.views.store import open_for_writing

LAYOUT_1 = Path(__file__).with_name("layout_1.sql")
FURTHER = (
    Migration(("CREATE INDEX events_by_type ON events (type, at)",)),
    Migration(
        (
            "CREATE TABLE moved AS SELECT * FROM events",
            "DROP TABLE moved",
            "CREATE TABLE more (word TEXT) STRICT",
            "INSERT INTO more VALUES ('made')",
        )
    ),
)
"""What later versions of learnd might do: to layout 2, then to layout 3."""


def make_old(path: Path, count: int) -> None:
    """A log of layout 1 with `count` events."""
    path.parent.mkdir(mode=0o700, parents=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.executescript(LAYOUT_1.read_text())
    connection.execute("PRAGMA application_id=0x6C726E64")
    connection.execute("PRAGMA user_version=1")
    hash_ = GENESIS
    for position in range(1, count + 1):
        event = FaultRaised(kind="disk", detail="full") if position % 2 else FaultCleared(kind="disk")
        identity = (position, "machine", position, f"id-{position}", event.type, 1)
        stored: Stored = (*identity, "2026-01-31T12:00:00.000Z", "anna", None, None, event.model_dump_json())
        hash_ = link(hash_, stored)
        connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*stored, hash_))
    connection.close()


def open_and_tell(path: Path) -> None:
    """What the start of a learnd that knows layout 3 does."""
    with open_for_writing(path, FURTHER) as log:
        record_migrations(Door(log))


if __name__ == "__main__":
    open_and_tell(Path(sys.argv[1]))
