"""How often each pattern was served and what was said of it: a row a pattern, and rows of the metrics."""

from __future__ import annotations

import sqlite3

from events import catalog as e
from events.recorded import Recorded
from learnd.views.measures.taken import Measure
from learnd.views.measures.window import milliseconds


def follow(connection: sqlite3.Connection, record: Recorded, repo_id: str, prefix: str) -> list[Measure]:
    """Add what an event of the stream `usage-<pattern>` tells. Returns its rows of the metrics."""
    pattern_id = record.stream.removeprefix("usage-")
    connection.execute(f"INSERT OR IGNORE INTO {prefix}usage (id) VALUES (?)", (pattern_id,))  # noqa: S608 - our own name
    at = milliseconds(record.at) or 0
    match record.data:
        case e.PatternServed() as served:
            connection.execute(
                f"UPDATE {prefix}usage SET served = served + ?, served_on = ? WHERE id = ?",  # noqa: S608
                (served.times, served.day, pattern_id),
            )
            return [Measure("served", at, record.position, repo_id, about=pattern_id, amount=served.times)]
        case e.UseReported() as said:
            connection.execute(
                f"UPDATE {prefix}usage SET {said.outcome} = {said.outcome} + 1, reported_at = ? WHERE id = ?",  # noqa: S608 - one of three words
                (record.at, pattern_id),
            )
            return [Measure("reported", at, record.position, repo_id, said.outcome, pattern_id)]
    return []
