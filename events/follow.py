"""Following the log: every event once, in order, as it is recorded by whichever process.

A follower has its own connection, so that `PRAGMA data_version` (which a connection's own commits leave as it
is) tells it of news for the price of a look at shared memory. It keeps no transaction open between pages. It
re-reads the event at its cursor with each page: another hash there, or none, means another history.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from events.chain import GENESIS
from events.database import LogMissing, open_reader
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
            for event in page:
                if stop.is_set():
                    return
                yield event
            while not page and not follower.has_news():
                if stop.wait(poll_s):
                    return
    finally:
        follower.close()


class _Follower:
    """A cursor in one log file: the last event that was read, by position and hash."""

    def __init__(self, path: Path, after: int) -> None:
        self._path = path
        self._file = _identity(path)
        self._open()
        self._position = after
        self._hash = self._hash_at(after)

    def page(self) -> list[Recorded]:
        """The next events, at most PAGE of them. Raises LogReplaced."""
        self._seen = self._data_version()
        query = "SELECT * FROM events WHERE position >= ? ORDER BY position LIMIT ?"
        rows: list[Row] = self._connection.execute(query, (self._position, PAGE + 1)).fetchall()
        if self._position > 0:
            found = rows.pop(0) if rows else None
            if found is None or found[0] != self._position or found[-1] != self._hash:
                raise LogReplaced(self._path, self._position, "the event read last is no longer there")
        if rows:
            self._position, self._hash = rows[-1][0], rows[-1][-1]
        return [read_row(row) for row in rows]

    def has_news(self) -> bool:
        """Whether anything was written since the last page, as far as can be told cheaply. Raises LogReplaced."""
        if _identity(self._path) != self._file:
            raise LogReplaced(self._path, self._position, "another file stands in its place")
        if _side_files(self._path) != self._sides:
            # Restored in place, or first written after a read-only look: this connection would never see it.
            self.close()
            self._open()
            return True
        return self._data_version() != self._seen

    def close(self) -> None:
        self._connection.close()

    def _open(self) -> None:
        try:
            self._connection = open_reader(self._path)
        except LogMissing as error:
            raise LogReplaced(self._path, 0, "it was removed") from error
        self._sides = _side_files(self._path)
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


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise LogReplaced(path, 0, "it was removed") from error
    return status.st_dev, status.st_ino


def _side_files(path: Path) -> tuple[int, ...]:
    """Inodes of the write-ahead log and its index, 0 where there is none."""
    inodes = []
    for suffix in ("-wal", "-shm"):
        try:
            inodes.append(path.with_name(path.name + suffix).stat().st_ino)
        except FileNotFoundError:
            inodes.append(0)
    return tuple(inodes)
