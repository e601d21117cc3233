"""How the read models of alerts follow the log; `alerts.py` asks them.

An alert is over when its job leaves the blocked status that it was raised in, or its fault is cleared; which events do
that is read off the job's table. All of this is rare, so rows are written at once.
"""

from __future__ import annotations

import sqlite3

from events import catalog as e
from events.recorded import Recorded
from state import job as jobs
from state.host import REVIEWS

_ENDS = frozenset(
    row.event.__name__
    for row in jobs.JOB_ROWS
    if row.target is not None and any(status in jobs.BLOCKED for status in row.sources)
)
FOLLOWED = _ENDS | {
    "AlertRaised", "AlertDelivered", "AlertFailed", "FaultCleared", "ReviewsCaughtUp", "ReintroductionGone",
}  # fmt: skip
"""Types of the events that change something here."""
BEGINS = frozenset(row.event.__name__ for row in jobs.JOB_ROWS if row.target in jobs.BLOCKED) | {"FaultRaised"}
"""Types of the events after which an alert may be due."""


def follow(connection: sqlite3.Connection, record: Recorded, prefix: str) -> None:
    """Bring the rows from just before `record` to just after it."""
    match record.data:
        case e.AlertRaised() as alert:
            if alert.kind == "review_waiting":  # it takes the place of the one before
                _over(connection, prefix, record, " AND about = ?", REVIEWS)
            connection.execute(
                f"INSERT OR REPLACE INTO {prefix}alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",  # noqa: S608
                (
                    alert.alert_id, record.stream, alert.kind, alert.about, alert.severity, alert.message, record.at,
                    record.id,
                ),
            )  # fmt: skip
        case e.AlertDelivered() as told:
            column = "resolved_at" if told.resolved else "delivered_at"
            _said(connection, prefix, told, {column: record.at, "receipt": told.receipt, "error": None})
        case e.AlertFailed() as failed:
            _said(connection, prefix, failed, {"error": failed.error, "failed_at": record.at})
        case e.ReviewsCaughtUp():
            _over(connection, prefix, record, " AND about = ?", REVIEWS)
        case e.FaultCleared(kind=kind):
            _over(connection, prefix, record, " AND about = ?", kind)
        case e.ReintroductionGone(pattern_id=pattern_id):
            _over(connection, prefix, record, " AND about = ?", pattern_id)
        case e.JobDismissed() | e.RunReopened():
            _over(connection, prefix, record)
        case _:
            # What a run brought back is there whatever becomes of its job.
            _over(connection, prefix, record, " AND kind != 'reintroduction'")


def _said(
    connection: sqlite3.Connection, prefix: str, event: e.AlertDelivered | e.AlertFailed, columns: dict[str, str | None]
) -> None:
    columns = {"target": event.target, **columns}
    connection.execute(
        f"INSERT OR IGNORE INTO {prefix}alert_channels (alert, channel, target) VALUES (?, ?, ?)",  # noqa: S608
        (event.alert_id, event.channel, event.target),
    )
    # The columns' names are those above, never an event's data.
    names = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(
        f"UPDATE {prefix}alert_channels SET {names} WHERE alert = ? AND channel = ?",  # noqa: S608
        (*columns.values(), event.alert_id, event.channel),
    )


def _over(connection: sqlite3.Connection, prefix: str, record: Recorded, only: str = "", *values: str) -> None:
    connection.execute(
        f"UPDATE {prefix}alerts SET over_at = ? WHERE stream = ? AND over_at IS NULL{only}",  # noqa: S608
        (record.at, record.stream, *values),
    )
