"""The layouts that the log's file has had, and the way from each to the next.

A layout's number stands in the file's `user_version`. `schema.sql` makes the newest; the statements here lead every
older file there (see `migrate.py`). Whatever the layout, the table `events` has the columns `COLUMNS` and no other, and
what stands in them is never changed: their hashes have to hold for ever. Indexes, triggers and tables beside it may.
"""

from __future__ import annotations

from dataclasses import dataclass

COLUMNS = "position, stream, version, id, type, schema, at, actor, correlation, causation, data, hash"
"""Of `events`, in the order of `Row`."""

FIRST = 1


@dataclass(frozen=True, slots=True)
class Migration:
    """SQL statements that lead a file from one layout to the next, all in one transaction."""

    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = ()
"""In order: the first leads from layout 1 to layout 2. One that has been released is never changed."""


def newest(migrations: tuple[Migration, ...] = MIGRATIONS) -> int:
    """The number of the layout that `migrations` lead to."""
    return FIRST + len(migrations)
