"""The log and its read models for a verb that only reads: opened as cheaply as they can be, never made.

Where the read models are current, they are asked with plain sqlite3; only a log that a newer or older
learnd left behind is folded anew, in memory.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from events.database import LogMissing, LogUnusable, open_reader
from learnd import locate
from learnd.locate import ANCHORS, ConfigUnreadable, Place
from learnd.verbs.terminal import USAGE, Stop
from learnd.views.queries import MODELS_VERSION, Ambiguous, NotFound, Views

if TYPE_CHECKING:
    from events.log import EventLog


class Reading:
    """`views` answer from the read models; `log` decodes events, which costs an import."""

    def __init__(self, place: Place, log: EventLog | None, connection: sqlite3.Connection) -> None:
        self.place = place
        self._log = log
        self._events = connection
        self.views = Views(connection if log is None else _folded(log))

    @property
    def log(self) -> EventLog:
        if self._log is None:
            from events.log import EventLog  # brings pydantic

            self._log = EventLog.open_readonly(self.place.log)
        return self._log

    def value(self, position: int, path: str) -> object:
        """One value of the event at `position` by its JSON path, without decoding the event."""
        row = self._events.execute("SELECT json_extract(data, ?) FROM events WHERE position = ?", (path, position))
        found = row.fetchone()
        return found[0] if found else None

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """The rows of a query on the table of events."""
        return self._events.execute(query, values).fetchall()

    def head(self) -> int:
        """Position of the last event; 0 in an empty log."""
        return int(self._events.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0])

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
        self._events.close()


@contextmanager
def reading(log: Path | None) -> Iterator[Reading]:
    """The log that a verb reads. Raises Stop for everything that can be wrong with it, or with what is asked."""
    place = place_of(log)
    try:
        connection = open_reader(place.log)
    except LogMissing:
        raise Stop(no_log(place)) from None
    except (LogUnusable, OSError) as error:
        raise Stop(str(error)) from error
    opened = None
    try:
        opened = Reading(place, None if _current(connection) else _log_of(place), connection)
        yield opened
    except (NotFound, Ambiguous) as error:
        raise Stop(str(error)) from error
    except sqlite3.Error as error:
        raise Stop(f"{place.log} cannot be read: {error}. Next: learnd verify") from error
    finally:
        if opened is not None:
            opened.close()
        else:
            connection.close()


def no_log(place: Place) -> str:
    if (place.state_dir / ANCHORS).exists():
        return f"{place.log} is gone: there was one, by {ANCHORS} beside it. Next: learnd restore-backup BACKUP"
    return f"no log yet at {place.log}. Next: learnd init REPO"


def place_of(log: Path | None) -> Place:
    """The place that a verb works on. Raises Stop."""
    try:
        return locate.find(log)
    except ConfigUnreadable as error:
        raise Stop(str(error), USAGE) from error


def _current(connection: sqlite3.Connection) -> bool:
    """Whether the read models are of this learnd and have seen every event."""
    try:
        row = connection.execute(
            "SELECT version, position >= (SELECT coalesce(max(position), 0) FROM events) FROM read_models"
        ).fetchone()
    except sqlite3.OperationalError:
        return False
    return row is not None and row[0] == MODELS_VERSION and bool(row[1])


def _log_of(place: Place) -> EventLog:
    from events.log import EventLog  # brings pydantic

    return EventLog.open_readonly(place.log)


def _folded(log: EventLog) -> sqlite3.Connection:
    from learnd.views.store import read_connection  # brings pydantic

    return read_connection(log)
