"""`alerts`: what somebody should look at, who was told, who could not be; and `alerts test`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from learnd.alerts.message import NEXT, headline
from learnd.ids import short
from learnd.verbs.asking import asked, settings_for
from learnd.verbs.reading import Reading, place_of, reading
from learnd.verbs.terminal import USAGE, Column, Stop, ago, note, print_json, say, table
from learnd.views.alerts import AlertRow, ChannelRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from learnd.alerts.policy import ChannelName
    from learnd.verbs.check import Check

Known = tuple[AlertRow, dict[str, ChannelRow]]
SEEN = 5
"""Alerts that `doctor` names one by one."""


def alerts(log: Path | None, *, as_json: bool) -> int:
    """Print the open alerts, and those whose end a channel could not be told.

    JSON: an array of `{id, job, kind, about, severity, message, raised_at, over_at, next, channels: [{channel, target,
    delivered_at, resolved_at, error, failed_at}]}`; `job` is null for the machine.
    """
    with reading(log) as book:
        known = shown(book)
        if as_json:
            print_json([as_json_of(item) for item in known])
            return 0
        if not known:
            note("no open alerts")
            return 0
        columns = [
            Column("ABOUT"), Column("KIND"), Column("SEVERITY"), Column("SINCE"), Column("TOLD", shrink=True),
            Column("WHAT", shrink=True), Column("NEXT", below=True),
        ]  # fmt: skip
        table(columns, [_cells(*item) for item in known])
    return 0


def shown(book: Reading) -> list[Known]:
    """Open alerts, and ended ones that a channel refuses to hear the end of; oldest first."""
    return [
        (alert, channels)
        for alert, channels in book.views.alerts.unsettled()
        if alert.over_at is None or any(row.error for row in channels.values())
    ]


def as_json_of(item: Known) -> dict[str, object]:
    alert, channels = item
    columns = asdict(alert)
    kept = ("id", "kind", "about", "severity", "message", "raised_at", "over_at")
    told = [{k: v for k, v in asdict(row).items() if k not in ("alert", "receipt")} for row in channels.values()]
    return {**{name: columns[name] for name in kept}, "job": alert.job, "next": _next(alert), "channels": told}


def _cells(alert: AlertRow, channels: dict[str, ChannelRow]) -> tuple[str, ...]:
    kind = f"{alert.kind} ({alert.about})" if alert.job is None else alert.kind
    return (
        short(alert.job) if alert.job else "machine", kind, alert.severity, ago(alert.raised_at), told(alert, channels),
        headline(alert.message).partition(": ")[2], _next(alert) if alert.over_at is None else "-",
    )  # fmt: skip


def _next(alert: AlertRow) -> str:
    return alert.message.rpartition(f"\n{NEXT}")[2]


def told(alert: AlertRow, channels: dict[str, ChannelRow]) -> str:
    """Where the alert stands: `slack, pagerduty`, `journal`, `slack fails: HTTP 503`."""
    words = [
        f"{name} fails{' to end it' if alert.over_at else ''}: {row.error}" if row.error else name
        for name, row in sorted(channels.items(), reverse=True)
    ]
    return ", ".join(words) or "on its way"


# --- for status and doctor ---


def summary(known: Sequence[Known]) -> str:
    """One line for `status`."""
    count = sum(alert.over_at is None for alert, _ in known)
    if not count:
        return "none"
    unheard = sum(alert.over_at is None and not _reached(channels) for alert, channels in known)
    only = f", {unheard} of them in no channel" if unheard else ""
    return f"{count} open{only}. Next: learnd alerts"


def _reached(channels: dict[str, ChannelRow]) -> bool:
    return any(row.delivered_at and name != "journal" for name, row in channels.items())


def failing(known: Sequence[Known]) -> list[ChannelRow]:
    """What each channel said last, where it says no: the newest of its failures that stand."""
    newest: dict[str, ChannelRow] = {}
    for _, channels in known:
        for row in channels.values():
            before = newest.get(row.channel)
            if row.error and (before is None or (row.failed_at or "") > (before.failed_at or "")):
                newest[row.channel] = row
    return list(newest.values())


def alert_checks(book: Reading) -> Iterator[Check]:
    """Open alerts that no channel has, and channels that fail."""
    from learnd.verbs.check import Check

    known = shown(book)
    for row in failing(known):
        found = f"{row.channel} ({row.target}) failed {ago(row.failed_at)}: {row.error}; it is tried again"
        yield Check("alert channel", "fail", found, "learnd alerts test")
    unheard = [alert for alert, channels in known if alert.over_at is None and not _reached(channels)]
    for alert in unheard[:SEEN]:
        yield Check("alert", "warn", f"{headline(alert.message)} ({alert.severity})", _next(alert))
    if len(unheard) > SEEN:
        yield Check("alert", "warn", f"{len(unheard) - SEEN} more that no channel has", "learnd alerts")


# --- test ---


def test(log: Path | None, channel: ChannelName | None, *, as_json: bool) -> int:
    """Send a test through each configured channel. 1 when one failed, 2 when none is configured.

    JSON: an array of `{channel, target, ok, said}`.
    """
    from learnd.alerts.trial import try_alerts
    from learnd.identity import user_name
    from learnd.requests import TryAlerts

    place = place_of(log)
    request = TryAlerts(channel=channel)
    reply = asked(place, request) or try_alerts(settings_for(place), channel, user_name(os.geteuid()))
    if not reply.ok:
        raise Stop(reply.message)
    results = reply.data["channels"]
    rows = [row for row in results if isinstance(row, dict)] if isinstance(results, list) else []
    if as_json:
        print_json(rows)
    for row in [] if as_json else rows:
        state = "ok" if row["ok"] else "FAILED"
        say(f"{state:<6}  {row['channel']}  {row['target']}: {row['said']}", None if row["ok"] else "bold red")
    if not rows:
        name = channel or "channel"
        raise Stop(f"no {name} is configured: alerts stand in the journal. Next: learnd doctor says how", USAGE)
    return int(not all(row["ok"] for row in rows))
