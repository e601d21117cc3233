"""The event log: facts in the order in which they were recorded, in one SQLite file.

- An append is all or nothing, over several streams and the read models (`project`) alike; once acknowledged it
  survives `kill -9` and power loss.
- Nothing recorded is ever changed or removed: triggers refuse it, the hash chain shows it.
- A stream's versions count from 1; who appends says which version it saw, else WrongExpectedVersion.
- Every thread reads through a connection of its own and sees committed events only. No reader keeps a
  transaction open while its caller works, for that would keep the write-ahead log from being checkpointed.

Reading and writing are kept apart: `create_or_open` is for the holder of `LogLock`, `open_readonly` for all others.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from events.catalog import AnyEvent, Event
from events.chain import GENESIS, Chain, LogDamaged, Verified, link
from events.database import (
    LogMissing,
    LogUnusable,
    empty_write_ahead_log,
    is_disk_full,
    is_environmental,
    open_reader,
    open_writer,
)
from events.follow import LogReplaced, follow
from events.layouts import MIGRATIONS, Migration
from events.lock import LogLock, LogLocked
from events.recorded import EventUnreadable, EventUnstorable, Recorded, Row, Stored, read_row, write_text

__all__ = [
    "AppendFailed",
    "AppendOutcomeUnknown",
    "EventLog",
    "EventUnreadable",
    "EventUnstorable",
    "LogDamaged",
    "LogLock",
    "LogLocked",
    "LogMissing",
    "LogReplaced",
    "LogUnusable",
    "Projection",
    "Verified",
    "WrongExpectedVersion",
]

Projection = Callable[[sqlite3.Connection, Sequence[Recorded]], None]
"""Brings read models up to the events, inside the append's transaction. It neither commits nor rolls back."""

PAGE = 1000


class WrongExpectedVersion(Exception):
    """The stream moved on (or is not there) since it was read. Nothing was appended: read again and re-decide."""

    def __init__(self, stream: str, expected: int, found: int) -> None:
        super().__init__(f"stream {stream} stands at version {found}, not {expected}")
        self.stream = stream
        self.expected = expected
        self.found = found


class AppendFailed(Exception):
    """The machine refused an append, and nothing of it is in the log nor ever will be: it may be tried again."""

    def __init__(self, path: Path, reason: str, *, disk_full: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.disk_full = disk_full


class AppendOutcomeUnknown(AppendFailed):
    """The machine failed in such a way that nobody can say whether the append stands.

    The log takes no more appends: end the process, and let the next one fold the log anew.
    """


def _in_parts(streams: Sequence[str]) -> Iterator[Sequence[str]]:
    """So many at a time as every build of SQLite takes in one statement."""
    yield from (streams[at : at + 500] for at in range(0, len(streams), 500))


class EventLog:
    """The log at one path. Safe to share between threads; not between a process and its fork."""

    def __init__(
        self,
        path: Path,
        writer: sqlite3.Connection | None,
        project: Projection | None,
        migrations: tuple[Migration, ...] = MIGRATIONS,
    ) -> None:
        self.path = path
        self._writer = writer
        self._project = project
        self._migrations = migrations
        self._appending = threading.Lock()
        self._local = threading.local()
        self._readers: weakref.WeakSet[_Reader] = weakref.WeakSet()

    @classmethod
    def create_or_open(
        cls, path: Path, project: Projection | None = None, migrations: tuple[Migration, ...] = MIGRATIONS
    ) -> Self:
        """The log for its one writer, made where absent, its layout brought forward by `migrations` where older.

        The caller holds `LogLock(path)`. Raises LogUnusable.
        """
        path = path.resolve()
        return cls(path, open_writer(path, migrations), project, migrations)

    @classmethod
    def open_readonly(cls, path: Path) -> Self:
        """The log for reading, whether or not a writer is at work. Makes no log. Raises LogMissing, LogUnusable."""
        log = cls(path.resolve(), None, None)
        log.head()
        return log

    # --- writing ---

    def append(
        self,
        writes: Mapping[str, tuple[int, Sequence[Event]]],
        *,
        actor: str,
        at: str,
        correlation: str | None = None,
        causation: str | None = None,
    ) -> list[Recorded]:
        """Record events at the ends of streams, `{stream: (expected version, events)}`, all of them or none.

        Expected version 0 means that the stream must not be there yet; a stream without events is only checked.
        Returns the recorded events in the mapping's order; they are durable, and `project` has seen them.

        Raises WrongExpectedVersion, EventUnstorable, AppendFailed, AppendOutcomeUnknown, and what `project` raises;
        after every one of them but AppendOutcomeUnknown nothing was recorded.
        """
        prepared = [
            _Write(stream, expected, [write_text(event) for event in events])
            for stream, (expected, events) in writes.items()
        ]
        with self._appending:
            recorded: list[Recorded] = []
            try:
                with self._transaction() as connection:
                    recorded = _insert(connection, prepared, (at, actor, correlation, causation))
                    if self._project is not None:
                        self._project(connection, recorded)
            except _CommitFailed as failed:
                if not self._settle(recorded[0].id if recorded else None):
                    raise AppendFailed(self.path, f"the append was not recorded ({failed.__cause__})") from failed
            return recorded

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction for the tables of read models; committed at the end, rolled back on an exception.

        Appends wait for it. Raises AppendFailed when the machine refuses it.
        """
        with self._appending:
            try:
                with self._transaction() as connection:
                    yield connection
            except _CommitFailed as failed:
                self._settle(None)
                raise AppendFailed(self.path, f"the read models were not written ({failed.__cause__})") from failed

    # --- reading ---

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's own read-only connection: committed events and read models.

        Fetch all rows of a query at once: a cursor left half read keeps the write-ahead log growing.
        """
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = _Reader(open_reader(self.path, self._migrations))
            self._local.reader = reader
            self._readers.add(reader)
        return reader.connection

    def read(self, stream: str) -> list[Recorded]:
        """A stream's events from version 1 on; empty when there is no such stream. Raises EventUnreadable."""
        rows = self.connection.execute("SELECT * FROM events WHERE stream = ? ORDER BY version", (stream,)).fetchall()
        return [read_row(row) for row in rows]

    def read_types(self, streams: Sequence[str], types: Collection[str]) -> list[Recorded]:
        """The events of these types in some streams, oldest first; no others are read. Raises EventUnreadable."""
        found: list[Row] = []
        kinds = ", ".join("?" * len(types))
        for some in _in_parts(streams):
            marks = ", ".join("?" * len(some))
            query = f"SELECT * FROM events WHERE stream IN ({marks}) AND type IN ({kinds})"  # noqa: S608 - only places
            found += self.connection.execute(query, (*some, *types)).fetchall()
        return [read_row(row) for row in sorted(found, key=lambda row: row[0])]

    def count_types(self, streams: Sequence[str]) -> Counter[str]:
        """How many events of each type some streams have; none is read."""
        counts: Counter[str] = Counter()
        for some in _in_parts(streams):
            marks = ", ".join("?" * len(some))
            query = f"SELECT type, count(*) FROM events WHERE stream IN ({marks}) GROUP BY type"  # noqa: S608 - as above
            counts.update(dict(self.connection.execute(query, some).fetchall()))
        return counts

    def read_all(self, after: int = 0) -> Iterator[Recorded]:
        """All events after position `after`, oldest first.

        Reads in pages; what is appended meanwhile is read too. Raises EventUnreadable.
        """
        query = "SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?"
        while True:
            page: list[Row] = self.connection.execute(query, (after, PAGE)).fetchall()
            yield from map(read_row, page)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def follow(self, after: int, *, stop: threading.Event, poll_s: float = 0.2) -> Iterator[Recorded]:
        """All events after position `after` as they are recorded, by any process, until `stop` is set.

        Has a connection of its own and looks for news every `poll_s` seconds. Raises LogReplaced when the log was
        restored or swapped under it, EventUnreadable.
        """
        return follow(self.path, after, stop=stop, poll_s=poll_s)

    def find(self, event_id: str) -> Recorded | None:
        """The event with this id, if it was recorded."""
        row = self.connection.execute("SELECT * FROM events WHERE id = ?", (event_id,)).fetchone()
        return None if row is None else read_row(row)

    def version(self, stream: str) -> int:
        """The stream's last version; 0 when there is no such stream."""
        return _version(self.connection, stream)

    def head(self) -> tuple[int, str]:
        """Position and hash of the last event; `(0, GENESIS)` of an empty log. To be anchored outside the log."""
        return _head(self.connection)

    def verify(self) -> Verified:
        """Check positions, versions and the hash chain of the whole log. Raises LogDamaged at the first fault.

        A cut tail cannot be seen here: compare the returned head with one that was anchored outside.
        """
        chain = Chain()
        query = "SELECT * FROM events WHERE position >= ? ORDER BY position LIMIT ?"
        start = -(2**63)  # what stands before the first position does not belong there
        while True:
            try:
                page: list[Row] = self.connection.execute(query, (start, PAGE)).fetchall()
            except sqlite3.DatabaseError as error:
                raise LogDamaged(chain.position + 1, f"SQLite cannot read on: {error}") from error
            chain.check(page)
            start = chain.position + 1
            if not page:
                return Verified(chain.position, chain.hash, chain.position)

    # --- closing ---

    def close(self) -> None:
        """Close every connection; the writer last, which then leaves one file and no side files."""
        for reader in list(self._readers):
            reader.connection.close()
        self._local = threading.local()
        with self._appending:
            if self._writer is not None:
                self._writer.close()
                self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- transactions ---

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._writer
        if connection is None:
            raise AppendFailed(self.path, "this log was opened for reading only, or is closed")
        committing = False
        try:
            # IMMEDIATE: a deferred transaction that turns into a write fails at once, whatever the busy timeout.
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            committing = True
            connection.execute("COMMIT")
        except BaseException as error:
            # A write that found no space left no whole commit record; any other failure to commit may have.
            if committing and isinstance(error, sqlite3.Error) and not is_disk_full(error):
                raise _CommitFailed from error
            if connection.in_transaction:
                connection.rollback()
            if isinstance(error, sqlite3.Error) and is_environmental(error):
                raise AppendFailed(self.path, str(error), disk_full=is_disk_full(error)) from error
            raise

    def _settle(self, event_id: str | None) -> bool:
        """After a COMMIT that failed: whether the event stands, decided for good.

        A failed sync leaves a whole commit record in the write-ahead log that this process no longer counts, yet
        that a recovery after a crash would. Emptying the write-ahead log into the file ends that: what is then in
        the file is synced and stays, what is not can never come back.
        """
        assert self._writer is not None  # noqa: S101 - a transaction was open on it
        self._writer.close()
        self._writer = None
        try:
            writer = open_writer(self.path, self._migrations)
            settled = empty_write_ahead_log(writer, self.path)
            found = writer.execute("SELECT 1 FROM events WHERE id = ?", (event_id,)).fetchone()
        except (sqlite3.Error, LogUnusable, OSError) as error:
            raise AppendOutcomeUnknown(
                self.path, f"the log cannot be settled after a failed commit: {error}"
            ) from error
        if not settled:
            writer.close()
            raise AppendOutcomeUnknown(self.path, "a reader kept the log from being settled after a failed commit")
        self._writer = writer
        return found is not None


class _Reader:
    """A thread's connection, closed as soon as the thread has gone.

    sqlite3's own stays in a reference cycle until the garbage collector comes by, and with it its files.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        self.connection.close()


_Context = tuple[str, str, str | None, str | None]
"""What all events of one append share: at, actor, correlation, causation."""


class _CommitFailed(Exception):
    """COMMIT raised; the outcome is unknown until it is settled."""


class _Write(NamedTuple):
    """One stream's part of an append: each event as text, and as it reads back."""

    stream: str
    expected: int
    events: list[tuple[str, AnyEvent]]


def _insert(connection: sqlite3.Connection, writes: list[_Write], context: _Context) -> list[Recorded]:
    """Add the events after the head, chained. Raises WrongExpectedVersion."""
    rows: list[Row] = []
    recorded: list[Recorded] = []
    position, hash_ = _head(connection)
    for write in writes:
        version = _version(connection, write.stream)
        if version != write.expected:
            raise WrongExpectedVersion(write.stream, write.expected, version)
        for text, event in write.events:
            position, version = position + 1, version + 1
            identity = (position, write.stream, version, _new_id(), event.type, event.SCHEMA)
            stored: Stored = (*identity, *context, text)
            hash_ = link(hash_, stored)
            rows.append((*stored, hash_))
            recorded.append(Recorded(*identity, *context, event, hash_))
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return recorded


def _new_id() -> str:
    """A UUID of version 7 (RFC 9562): milliseconds, then chance.

    In order of time, so that the index of a large log grows at its end: a random id would be looked for, and written,
    on another page each time.
    """
    time_ = f"{time.time_ns() // 1_000_000:012x}"
    chance = os.urandom(10).hex()
    variant = "89ab"[int(chance[3], 16) & 3]
    return f"{time_[:8]}-{time_[8:]}-7{chance[:3]}-{variant}{chance[4:7]}-{chance[8:]}"


def _head(connection: sqlite3.Connection) -> tuple[int, str]:
    row = connection.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1").fetchone()
    return (0, GENESIS) if row is None else (row[0], row[1])


def _version(connection: sqlite3.Connection, stream: str) -> int:
    query = "SELECT version FROM events WHERE stream = ? ORDER BY version DESC LIMIT 1"
    row = connection.execute(query, (stream,)).fetchone()
    return 0 if row is None else row[0]
