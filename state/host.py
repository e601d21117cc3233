"""The machine that learnd runs on: which daemon runs, and what is wrong with the machine itself.

A fault blocks no job. While it stands, work of its kind waits; it is raised once and cleared once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from events import catalog as e
from state import alerts
from state import commands as c
from state.machine import UnexpectedEvent
from state.refusal import Refused

STREAM = "machine"
REVIEWS = "review"
"""What an alert about patterns that wait too long is about."""


@dataclass(frozen=True, slots=True)
class Host:
    """`faults` maps each standing fault to what is known of it; `raised` to the event that said so."""

    version: int = 0
    boot_id: str | None = None
    faults: dict[e.FaultKind, str] = field(default_factory=dict)
    raised: dict[e.FaultKind, e.FaultRaised] = field(default_factory=dict)
    alerts: alerts.Alerts = ()


def evolve(host: Host, event: e.Event) -> Host:
    """`host` after `event`. Raises UnexpectedEvent."""
    match event:
        case e.DaemonStarted():
            changed = replace(host, boot_id=event.boot_id)
        case e.DaemonStopped():
            changed = replace(host, boot_id=None)
        case e.FaultRaised():
            changed = replace(
                host,
                faults={**host.faults, event.kind: event.detail},
                raised={**host.raised, event.kind: event},
            )
        case e.FaultCleared():
            changed = replace(
                host,
                faults={kind: detail for kind, detail in host.faults.items() if kind != event.kind},
                raised={kind: raised for kind, raised in host.raised.items() if kind != event.kind},
                alerts=alerts.over(host.alerts, event.kind),
            )
        case e.ReviewsCaughtUp():
            changed = replace(host, alerts=alerts.over(host.alerts, REVIEWS))
        case e.AlertRaised(about="review"):
            changed = replace(host, alerts=alerts.evolve(alerts.over(host.alerts, REVIEWS), event))
        case e.AlertRaised() | e.AlertDelivered() | e.AlertFailed():
            changed = replace(host, alerts=alerts.evolve(host.alerts, event))
        case e.LogBackedUp() | e.LogRestored() | e.LogMigrated():
            changed = host
        case _:
            raise UnexpectedEvent("the machine", "running", event.type)
    return replace(changed, version=host.version + 1)


def fold(events: Iterable[e.Event]) -> Host:
    host = Host()
    for event in events:
        host = evolve(host, event)
    return host


def decide(command: c.MachineCommand, host: Host) -> tuple[e.Event, ...] | Refused:
    """What `command` does to `host`."""
    match command:
        case c.StartDaemon():
            return (
                e.DaemonStarted(
                    boot_id=command.boot_id, pid=command.pid, learnd_version=command.learnd_version,
                    learning_enabled=command.learning_enabled,
                ),
            )  # fmt: skip
        case c.StopDaemon():
            if host.boot_id != command.boot_id:
                return Refused("not_running", f"daemon {command.boot_id[:8]} is not the one that runs")
            return (e.DaemonStopped(boot_id=command.boot_id, drained=command.drained),)
        case c.RaiseFault():
            if command.kind in host.faults:
                return Refused("already_raised", f"the fault {command.kind} stands already")
            return (
                e.FaultRaised(
                    kind=command.kind, detail=command.detail, until=command.until, needed_usd=command.needed_usd
                ),
            )
        case c.ClearFault():
            if command.kind not in host.faults:
                return Refused("no_fault", f"there is no fault {command.kind}")
            return (e.FaultCleared(kind=command.kind),)
        case c.RaiseFaultAlert():
            if command.fault not in host.faults:
                return Refused("not_due", f"there is no fault {command.fault}")
            if alerts.standing(host.alerts, command.fault) is not None:
                return Refused("already_raised", f"the alert about the fault {command.fault} stands already")
            return (
                alerts.raised(
                    "machine", host.alerts, "machine_fault", command.fault, command.message, command.severity
                ),
            )
        case c.RaiseReviewAlert() | c.EndReviewAlert():
            return _reviews(command, host)
        case c.RecordFaultAlertDelivery():
            return alerts.told(
                host.alerts, command.alert_id, command.channel, command.target,
                resolved=command.resolved, error=command.error, receipt=command.receipt,
            )  # fmt: skip
    return _kept(command)


def _reviews(command: c.RaiseReviewAlert | c.EndReviewAlert, host: Host) -> tuple[e.Event, ...] | Refused:
    """What approvers are told of patterns that wait for them."""
    if isinstance(command, c.RaiseReviewAlert):
        return (alerts.raised("machine", host.alerts, "review_waiting", REVIEWS, command.message, command.severity),)
    if alerts.standing(host.alerts, REVIEWS) is None:
        return Refused("not_due", "nobody was reminded of a review that is over")
    return (e.ReviewsCaughtUp(),)


def _kept(command: c.RecordBackup | c.RecordRestore | c.RecordMigration) -> tuple[e.Event, ...]:
    """What was done to the log's file: it happened, there is nothing to refuse."""
    match command:
        case c.RecordBackup():
            return (
                e.LogBackedUp(
                    path=command.path, position=command.position, hash=command.hash, size_bytes=command.size_bytes
                ),
            )
        case c.RecordRestore():
            return (
                e.LogRestored(
                    path=command.path, position=command.position, hash=command.hash, lost_position=command.lost_position
                ),
            )
        case c.RecordMigration():
            return (
                e.LogMigrated(from_version=command.from_version, to_version=command.to_version, backup=command.backup),
            )
