"""Opening the log together with its read models, and bringing the models up to date.

The models live beside the events, with a cursor that names the last event folded in and the version of
the fold. A writer repairs them before anything else; a reader that finds models of another version
folds the log into memory rather than show what it cannot vouch for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from events.layouts import MIGRATIONS, Migration
from events.log import AppendFailed, EventLog, LogUnusable
from events.recorded import Recorded
from learnd.views.projection import TABLES, VERSION, Hot, create_tables, project

BATCH = 2000

_CURSOR = (
    "CREATE TABLE IF NOT EXISTS read_models "
    "(one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER, position INTEGER) STRICT"
)


def open_for_writing(path: Path, migrations: tuple[Migration, ...] = MIGRATIONS) -> EventLog:
    """The log with current read models, for the one holder of its lock. Raises LogUnusable."""
    if not has_full_text_search():
        raise LogUnusable(
            f"SQLite {sqlite3.sqlite_version} was built without FTS5, by which patterns are found. "
            "Next: use a Python whose SQLite has it"
        )
    log = EventLog.create_or_open(path, _Projection(), migrations)
    try:
        bring_up_to_date(log)
    except AppendFailed as error:
        log.close()
        raise LogUnusable(f"the log cannot be opened for writing: {error}. Next: `learnd doctor`") from error
    return log


def has_full_text_search() -> bool:
    """Whether this Python's SQLite has FTS5; all but the barest builds do."""
    with closing(sqlite3.connect(":memory:")) as connection:
        return bool(connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone())


class _Projection:
    """Follows the log append by append, and keeps the rows that it wrote last in memory.

    They count only while every append was seen and stands: where positions do not go on from the last one, something
    was rolled back, or another connection wrote.
    """

    def __init__(self) -> None:
        self._hot: Hot | None = None
        self._connection: sqlite3.Connection | None = None
        self._position = 0

    def __call__(self, connection: sqlite3.Connection, recorded: Sequence[Recorded]) -> None:
        if not recorded:
            return
        known = self._connection is connection and recorded[0].position == self._position + 1
        hot = self._hot if known else None
        self._hot = None  # until all of this is written
        hot = hot or Hot.of(connection)
        self._position = project(connection, recorded, hot=hot)
        connection.execute("UPDATE read_models SET position = ?", (self._position,))
        self._hot, self._connection = hot, connection


def bring_up_to_date(log: EventLog) -> None:
    """Fold into the read models what they lack; rebuild them when they are of another version."""
    with log.writing() as connection:
        connection.execute(_CURSOR)
        row = connection.execute("SELECT version, position FROM read_models").fetchone()
        if row is not None and row[0] == VERSION:
            create_tables(connection)  # of another version they have other columns, which no new index can name
    head, _ = log.head()
    if row is None or row[0] != VERSION or row[1] > head:
        rebuild(log)
        return
    _fold_after(log, row[1])


def _fold_after(log: EventLog, position: int) -> None:
    records = log.read_all(after=position)
    while batch := list(islice(records, BATCH)):
        with log.writing() as connection:
            position = project(connection, batch)
            connection.execute("UPDATE read_models SET position = ?", (position,))


def rebuild(log: EventLog) -> int:
    """Fold the whole log into tables aside and swap them in, in one transaction. Returns the events folded."""
    with log.writing() as connection:
        for table in TABLES:
            connection.execute(f"DROP TABLE IF EXISTS new_{table}")
        create_tables(connection, "new_")
        # This transaction keeps every appender out, so the log cannot grow behind the last page.
        position = project(connection, log.read_all(), "new_")
        for table in TABLES:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(f"ALTER TABLE new_{table} RENAME TO {table}")
        for (index,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'new\\_%' ESCAPE '\\'"
        ).fetchall():
            connection.execute(f"DROP INDEX {index}")
        create_tables(connection)
        connection.execute(_CURSOR)
        connection.execute("INSERT OR REPLACE INTO read_models VALUES (1, ?, ?)", (VERSION, position))
    return position


def read_connection(log: EventLog) -> sqlite3.Connection:
    """A connection on which the read models are current: the log's own, or a fold in memory."""
    connection = log.connection
    try:
        # One statement, one snapshot: an append in between would make current models look old.
        row = connection.execute(
            "SELECT version, position >= coalesce((SELECT max(position) FROM events), 0) FROM read_models"
        ).fetchone()
    except sqlite3.OperationalError:
        row = None
    if row is not None and row[0] == VERSION and row[1]:
        return connection
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    create_tables(memory)
    project(memory, log.read_all())
    return memory
