"""Leading an older log's file to the newest layout, so that a kill at any point loses nothing.

1. A copy of the file as it is goes beside it, is checked, and only then gets its name (`events.v1-at-845.db`).
2. Every step to the newest layout is made in one transaction, which also looks whether the events are still those.
3. That transaction leaves a note of what it did. The log itself is told (LogMigrated) by whoever holds a door, and the
   note goes; a crash in between leaves the note.

So the next start finds the old layout and begins anew, with the copy that is there already, or finds the newest.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from events.chain import LogDamaged
from events.copies import check_copy, copy_log, head_of
from events.database import LogUnusable
from events.layouts import FIRST, Migration, newest

NOTES = "owed_migrations"


@dataclass(frozen=True, slots=True)
class Migrated:
    """A change of layout that the log has not been told of yet; `backup` is the file as it was before."""

    from_version: int
    to_version: int
    backup: str


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Lead the log at `path` to the newest layout. The caller holds its lock. Raises LogUnusable, sqlite3.Error."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    wanted = newest(tuple(migrations))
    head = head_of(connection)
    backup = str(_copied(connection, path, found, head)) if head[0] else ""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for migration in migrations[found - FIRST :]:
            for statement in migration.statements:
                connection.execute(statement)
        if backup:
            _owe(connection, Migrated(found, wanted, backup))
        connection.execute(f"PRAGMA user_version={wanted}")
        _require_same_events(connection, path, head)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def _owe(connection: sqlite3.Connection, done: Migrated) -> None:
    connection.execute(f"CREATE TABLE IF NOT EXISTS {NOTES} (from_version, to_version, backup)")
    query = f"INSERT INTO {NOTES} VALUES (?, ?, ?)"  # noqa: S608 - our own name
    connection.execute(query, (done.from_version, done.to_version, done.backup))


def _require_same_events(connection: sqlite3.Connection, path: Path, head: tuple[int, str]) -> None:
    (count,) = connection.execute("SELECT count(*) FROM events").fetchone()
    if (count, head_of(connection)) != (head[0], head):
        raise LogUnusable(
            f"{path}: a newer layout would not hold the same events. Next: report it; nothing was changed"
        )


def owed(connection: sqlite3.Connection) -> list[Migrated]:
    """The changes of layout that the log has not been told of yet."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (NOTES,)).fetchone():
        return []
    query = f"SELECT from_version, to_version, backup FROM {NOTES} ORDER BY rowid"  # noqa: S608 - our own name
    return [Migrated(*row) for row in connection.execute(query).fetchall()]


def settle(connection: sqlite3.Connection, told: Migrated) -> None:
    """Take the note of `told` away; the caller's transaction."""
    query = f"DELETE FROM {NOTES} WHERE from_version = ? AND to_version = ? AND backup = ?"  # noqa: S608 - our own name
    connection.execute(query, (told.from_version, told.to_version, told.backup))


def _copied(connection: sqlite3.Connection, path: Path, version: int, head: tuple[int, str]) -> Path:
    """The checked copy of the file as it is, made unless a try that was cut short has made it. Raises LogUnusable."""
    target = path.with_name(f"{path.stem}.v{version}-at-{head[0]}{path.suffix}")
    part = target.with_name(target.name + ".part")
    try:
        if not target.exists():
            part.unlink(missing_ok=True)
            copy_log(connection, part)
        checked = check_copy(target if target.exists() else part)
        if (checked.position, checked.hash) != head:
            raise LogUnusable(f"{target} is no copy of {path}. Next: move it away, and start learnd again")
        if not target.exists():
            part.rename(target)
            _sync_folder(path.parent)
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise LogUnusable(
            f"{path} has the layout {version} of an older learnd and was not brought forward: no copy of it could be "
            f"made at {target} ({error}). Next: make room there, and start learnd again"
        ) from error
    except LogDamaged as error:
        raise LogUnusable(f"{path} has an older layout and cannot be brought forward: {error}") from error
    return target


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
