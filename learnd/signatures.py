"""What each manifest looked like when it was looked at last: an unchanged one costs a stat, after a restart too.

Beside the log lies `manifests.db`, which holds what a look settled for good: the log knows the run, the file is no run,
or it was refused. It can be deleted at any time, for it only spares looks; therefore it is believed only

- by the learnd that wrote it: another one may read more into the same file;
- for the log that it was written beside: where the event that was the last then is not there any more, the log was
  restored or rewritten, and knows less than this file;
- for the registration that the work tree had: one that is registered again has another past.

What was unreadable, or still in progress, is not kept: those are looked at again after every start.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import version

import structlog

from events.log import EventLog
from learnd.manifest.inside import Signature
from learnd.views.queries import WorkTreeRow

NAME = "manifests.db"
MANY = 1000
"""Looks after which what they settled is written down, so that a crash in the first sweep does not begin it anew."""

_TABLES = """
CREATE TABLE IF NOT EXISTS beside (one INTEGER PRIMARY KEY CHECK (one = 1), learnd TEXT, position INTEGER, hash TEXT);
CREATE TABLE IF NOT EXISTS manifests (
    tree TEXT, path TEXT, registered TEXT, mtime_ns INTEGER, size INTEGER, inode INTEGER, PRIMARY KEY (tree, path)
) WITHOUT ROWID;
"""

log = structlog.get_logger("learnd.signatures")


class Signatures:
    """For one thread. Nothing here raises: a file that cannot be used is done without."""

    def __init__(self, log_: EventLog) -> None:
        self._log = log_
        self._file = log_.path.with_name(NAME)
        self._seen: dict[str, Signature] = {}
        self._loaded: dict[str, str] = {}
        """By work tree, the registration that was loaded."""
        self._settled: dict[tuple[str, str], Signature] = {}
        self._gone: set[tuple[str, str]] = set()
        """By work tree and path, what is to be written, and what is to be removed."""

    def load(self, tree: WorkTreeRow) -> None:
        """Remember what was settled of a work tree's manifests before this start."""
        registered = f"{tree.repo_id} {tree.since}"
        if self._loaded.get(tree.path) == registered:
            return
        self._loaded[tree.path] = registered
        with self._opened() as connection:
            if not self._is_of_this_log(connection):
                connection.execute("DELETE FROM manifests")
            connection.execute("DELETE FROM manifests WHERE tree = ? AND registered != ?", (tree.path, registered))
            rows = connection.execute("SELECT path, mtime_ns, size, inode FROM manifests WHERE tree = ?", (tree.path,))
            self._seen.update((path, (mtime, size, inode)) for path, mtime, size, inode in rows)

    def knows(self, path: str, signature: Signature) -> bool:
        """Whether the manifest looked like this when it was looked at last."""
        return self._seen.get(path) == signature

    def put(self, tree: WorkTreeRow, path: str, signature: Signature, *, settled: bool) -> None:
        """The manifest was looked at; `settled` when the same file need never be looked at again."""
        self._seen[path] = signature
        if settled:
            self._settled[tree.path, path] = signature
        else:
            self._gone.add((tree.path, path))
        if len(self._settled) >= MANY:
            self.write()

    def leave(self, tree: WorkTreeRow, there: Collection[str]) -> None:
        """Forget those manifests of a work tree that are not `there` any more."""
        for path in {path for path in self._seen if path.startswith(f"{tree.path}/")} - set(there):
            del self._seen[path]
            self._gone.add((tree.path, path))

    def leave_all_but(self, trees: Collection[str]) -> None:
        """Remember nothing of other work trees than these: one that is registered again is looked at anew."""
        left = [tree for tree in self._loaded if tree not in trees]
        if not left:
            return
        inside = tuple(f"{tree}/" for tree in trees)
        self._seen = {path: seen for path, seen in self._seen.items() if path.startswith(inside)}
        self._settled = {place: seen for place, seen in self._settled.items() if place[0] in trees}
        for tree in left:
            del self._loaded[tree]
        with self._opened() as connection:
            connection.executemany("DELETE FROM manifests WHERE tree = ?", ((tree,) for tree in left))

    def write(self) -> None:
        """Write down what was settled since the last time: all of it stands in the log by now."""
        if not self._settled and not self._gone:
            return
        with self._opened() as connection:
            connection.executemany("DELETE FROM manifests WHERE tree = ? AND path = ?", self._gone)
            rows = ((*place, self._loaded[place[0]], *signature) for place, signature in self._settled.items())
            connection.executemany("INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?, ?, ?)", rows)
            beside = (version("learnd"), *self._log.head())
            connection.execute("INSERT OR REPLACE INTO beside VALUES (1, ?, ?, ?)", beside)
        self._settled.clear()
        self._gone.clear()

    def _is_of_this_log(self, connection: sqlite3.Connection) -> bool:
        row = connection.execute("SELECT learnd, position, hash FROM beside").fetchone()
        if row is None or row[0] != version("learnd"):
            return False
        last = self._log.connection.execute("SELECT hash FROM events WHERE position = ?", (row[1],)).fetchone()
        return last is not None and last[0] == row[2]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The file in one transaction; what SQLite cannot do with it is not done."""
        with closing(self._connect()) as connection:
            try:
                with connection:
                    yield connection
            except sqlite3.Error as error:
                self._warn(error)

    def _warn(self, error: Exception) -> None:
        log.warning("all manifests are looked at again after the next start", reason=f"{self._file}: {error}")

    def _connect(self) -> sqlite3.Connection:
        """A connection to the file, made anew where it is damaged; to memory where no file can be."""
        for place in (self._file, self._file):
            try:
                connection = sqlite3.connect(place)
                connection.executescript(_TABLES)
            except sqlite3.DatabaseError as error:
                self._warn(error)
                with suppress(OSError):  # memory then, as where no file can be
                    self._file.unlink(missing_ok=True)
            else:
                return connection
        memory = sqlite3.connect(":memory:")
        memory.executescript(_TABLES)
        return memory
