"""Rows of one read model: read once, changed in memory, written together.

An append changes a row or two and writes them at once. A rebuild changes each row some fifteen times: here it is
written once, and a million events cost a fraction of a million statements. Who folds flushes now and then, which bounds
what lies in memory.
"""

from __future__ import annotations

import sqlite3

Columns = dict[str, object]

KEPT = 100
"""Rows that stay in memory after they were written: those that the next append is likely to change."""


class Rows:
    """The rows of `table`, by their column `id`. Table and column names come from learnd alone, never from data."""

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._connection = connection
        self._table = table
        self._rows: dict[str, Columns] = {}
        self._changed: dict[str, Columns] = {}
        """By id what is to be written, in the order in which it came; of a new row, the row itself."""

    def __len__(self) -> int:
        """How many rows lie in memory, about a kilobyte each."""
        return len(self._rows)

    def get(self, identity: str) -> Columns | None:
        """The row as it is after all changes, None when there is none. Only `change` may change it.

        Of a row that was added here, columns that nobody named are missing.
        """
        row = self._rows.get(identity)
        if row is None:
            cursor = self._connection.execute(f"SELECT * FROM {self._table} WHERE id = ?", (identity,))  # noqa: S608
            found = cursor.fetchone()
            if found is None:
                return None
            row = self._rows[identity] = dict(zip((column[0] for column in cursor.description), found, strict=True))
        return row

    def add(self, identity: str, columns: Columns) -> None:
        """A new row; columns that are not named get their defaults."""
        self._rows[identity] = self._changed[identity] = {"id": identity, **columns}

    def change(self, identity: str, columns: Columns) -> None:
        """Change columns of a row that `get` gave or `add` made."""
        row = self._rows[identity]
        row.update(columns)
        changed = self._changed.get(identity)
        if changed is None:
            self._changed[identity] = columns
        elif changed is not row:
            changed.update(columns)

    def increase(self, identity: str, column: str, by: float, *, first: float) -> None:
        """Add to a number of a row that is there; `first` is what it is in a new one."""
        now = self._rows[identity].get(column, first)
        assert isinstance(now, int | float)  # noqa: S101 - for the type checker: the table is STRICT
        self.change(identity, {column: now + by})

    def flush(self) -> None:
        """Write every change, and let go of the rows where they are many."""
        for identity, columns in self._changed.items():
            if columns is self._rows[identity]:
                marks = ", ".join("?" * len(columns))
                query = f"INSERT INTO {self._table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
                self._connection.execute(query, tuple(columns.values()))
            else:
                names = ", ".join(f"{name} = ?" for name in columns)
                query = f"UPDATE {self._table} SET {names} WHERE id = ?"  # noqa: S608
                self._connection.execute(query, (*columns.values(), identity))
        self._changed.clear()
        if len(self._rows) > KEPT:
            self._rows.clear()
