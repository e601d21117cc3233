"""Following the log: every event once, in order, as it is recorded by whichever process.

A follower has its own connection, so that `PRAGMA data_version` (which a connection's own commits leave as it
is) tells it of news for the price of a look at shared memory. It keeps no transaction open between pages. It
re-reads the event at its cursor with each page: another hash there, or none, means another history.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from events.chain import GENESIS
from events.database import LogUnusable, open_reader
from events.recorded import Recorded, Row, read_row

PAGE = 1000


class LogReplaced(Exception):
    """The log under a follower is another one now: restored from a backup, swapped or removed."""

    def __init__(self, path: Path, position: int, reason: str) -> None:
        super().__init__(
            f"{path} was replaced while it was followed (at position {position}): {reason}. Next: start over"
        )
        self.path = path
        self.position = position


def follow(path: Path, after: int, *, stop: threading.Event, poll_s: float) -> Iterator[Recorded]:
    """See `EventLog.follow`."""
    follower = _Follower(path, after)
    try:
        while not stop.is_set():
            page = follower.page()
            for row in page:
                if stop.is_set():
                    return
                yield read_row(row)
            while not page and not follower.has_news():
                if stop.wait(poll_s):
                    return
    except sqlite3.DatabaseError as error:
        # A file that could be read a moment ago was written over; a writer of the log leaves it readable.
        raise LogReplaced(path, follower.position, f"it can no longer be read ({error})") from error
    finally:
        follower.close()


class _Follower:
    """A cursor in one log file: the last event that was read, by position and hash."""

    def __init__(self, path: Path, after: int) -> None:
        self._path = path
        self.position = after
        self._file = self._identity()
        self._open()
        self._hash = self._hash_at(after)

    def page(self) -> list[Row]:
        """The next events, at most PAGE of them. Raises LogReplaced."""
        self._seen = self._data_version()
        query = "SELECT * FROM events WHERE position >= ? ORDER BY position LIMIT ?"
        rows: list[Row] = self._connection.execute(query, (self.position, PAGE + 1)).fetchall()
        if self.position > 0:
            found = rows.pop(0) if rows else None
            if found is None or found[0] != self.position or found[-1] != self._hash:
                raise LogReplaced(self._path, self.position, "the event read last is no longer there")
        if rows:
            self.position, self._hash = rows[-1][0], rows[-1][-1]
        return rows

    def has_news(self) -> bool:
        """Whether anything may have been written since the last page. Cheap. Raises LogReplaced."""
        if self._identity() != self._file:
            raise LogReplaced(self._path, self.position, "another file stands in its place")
        if self._traces() != self._left:
            # A checkpoint, or the log restored into the same file, or its first writer since a read-only look:
            # in the last two cases the old connection would never see what is there now.
            self.close()
            self._open()
            return True
        return self._data_version() != self._seen

    def close(self) -> None:
        self._connection.close()

    def _open(self) -> None:
        try:
            self._connection = open_reader(self._path)
        except LogUnusable as error:
            raise LogReplaced(self._path, self.position, f"it can no longer be read ({error})") from error
        self._left = self._traces()
        self._seen = self._data_version()

    def _data_version(self) -> int:
        (number,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(number)

    def _hash_at(self, position: int) -> str:
        if position == 0:
            return GENESIS
        row = self._connection.execute("SELECT hash FROM events WHERE position = ?", (position,)).fetchone()
        if row is None:
            raise LogReplaced(self._path, position, "the log ends before it")
        return str(row[0])

    def _identity(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except FileNotFoundError as error:
            raise LogReplaced(self._path, self.position, "it was removed") from error
        return status.st_dev, status.st_ino

    def _traces(self) -> list[tuple[int, ...]]:
        """What writing past this connection changes: the file itself, and which side files stand beside it."""
        side = [self._path.with_name(self._path.name + suffix) for suffix in ("-wal", "-shm")]
        return [_trace(self._path), *(_trace(file)[:1] for file in side)]


def _trace(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns
