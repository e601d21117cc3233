"""Questions to the read models of alerts: what was raised, whom it reached, what is still owed to whom."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields

from learnd.views.diagnosis import BLOCKED


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert. `event_id` is its AlertRaised's; `over_at` is None while what it is about stands."""

    id: str
    stream: str
    kind: str
    about: str
    severity: str
    message: str
    raised_at: str
    event_id: str
    over_at: str | None

    @property
    def job(self) -> str | None:
        """The job's id; None for the machine."""
        return self.stream.removeprefix("job-") if self.stream.startswith("job-") else None


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """What became of an alert in one channel. `error` is what the last attempt ended with; None after a good one."""

    alert: str
    channel: str
    target: str
    delivered_at: str | None
    resolved_at: str | None
    receipt: str
    error: str | None
    failed_at: str | None


_UNSETTLED = "(over_at IS NULL OR id IN (SELECT alert FROM alert_channels WHERE resolved_at IS NULL))"


class AlertViews:
    """Questions about alerts, on a connection whose read models are current."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def unsettled(self) -> list[tuple[AlertRow, dict[str, ChannelRow]]]:
        """Alerts that are not over, or that a channel has not heard the end of; oldest first, with their channels."""
        alerts = self._alerts(f"{_UNSETTLED} ORDER BY raised_at, id")
        found: dict[str, dict[str, ChannelRow]] = {alert.id: {} for alert in alerts}
        for row in self._channels(f"alert IN (SELECT id FROM alerts WHERE {_UNSETTLED})"):  # noqa: S608 - from above
            found[row.alert][row.channel] = row
        return [(alert, found[alert.id]) for alert in alerts]

    def alert(self, alert_id: str) -> tuple[AlertRow, dict[str, ChannelRow]] | None:
        """One alert, settled or not."""
        found = self._alerts("id = ?", alert_id)
        return (found[0], {row.channel: row for row in self._channels("alert = ?", alert_id)}) if found else None

    def silent_jobs(self) -> list[str]:
        """Ids of blocked jobs that nobody was told of."""
        marks = ", ".join("?" * len(BLOCKED))
        query = (
            f"SELECT id FROM jobs WHERE status IN ({marks}) AND NOT EXISTS "  # noqa: S608 - marks only
            "(SELECT 1 FROM alerts WHERE stream = 'job-' || jobs.id AND over_at IS NULL AND kind != 'reintroduction') "
            "ORDER BY since, id"
        )
        return [str(row[0]) for row in self._connection.execute(query, BLOCKED).fetchall()]

    def _alerts(self, where: str, *values: str) -> list[AlertRow]:
        columns = ", ".join(field.name for field in fields(AlertRow))
        query = f"SELECT {columns} FROM alerts WHERE {where}"  # noqa: S608 - from this file
        return [AlertRow(*row) for row in self._connection.execute(query, values).fetchall()]

    def _channels(self, where: str, *values: str) -> list[ChannelRow]:
        columns = ", ".join(field.name for field in fields(ChannelRow))
        query = f"SELECT {columns} FROM alert_channels WHERE {where}"  # noqa: S608 - from this file
        return [ChannelRow(*row) for row in self._connection.execute(query, values).fetchall()]
