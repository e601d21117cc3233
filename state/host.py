"""The machine that learnd runs on: which daemon runs, and what is wrong with the machine itself.

A fault blocks no job. While it stands, work of its kind waits; it is raised once and cleared once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from events import catalog as e
from state.commands import ClearFault, MachineCommand, RaiseFault, StartDaemon, StopDaemon
from state.machine import UnexpectedEvent
from state.refusal import Refused

STREAM = "machine"


@dataclass(frozen=True, slots=True)
class Host:
    """`faults` maps each standing fault to what is known of it."""

    version: int = 0
    boot_id: str | None = None
    faults: dict[e.FaultKind, str] = field(default_factory=dict)


def evolve(host: Host, event: e.Event) -> Host:
    """`host` after `event`. Raises UnexpectedEvent."""
    match event:
        case e.DaemonStarted():
            changed = replace(host, boot_id=event.boot_id)
        case e.DaemonStopped():
            changed = replace(host, boot_id=None)
        case e.FaultRaised():
            changed = replace(host, faults={**host.faults, event.kind: event.detail})
        case e.FaultCleared():
            changed = replace(host, faults={k: v for k, v in host.faults.items() if k != event.kind})
        case _:
            raise UnexpectedEvent("the machine", "running", event.type)
    return replace(changed, version=host.version + 1)


def fold(events: Iterable[e.Event]) -> Host:
    host = Host()
    for event in events:
        host = evolve(host, event)
    return host


def decide(command: MachineCommand, host: Host) -> tuple[e.Event, ...] | Refused:
    """What `command` does to `host`."""
    match command:
        case StartDaemon():
            return (
                e.DaemonStarted(
                    boot_id=command.boot_id, pid=command.pid, learnd_version=command.learnd_version,
                    learning_enabled=command.learning_enabled,
                ),
            )  # fmt: skip
        case StopDaemon():
            if host.boot_id != command.boot_id:
                return Refused("not_running", f"daemon {command.boot_id[:8]} is not the one that runs")
            return (e.DaemonStopped(boot_id=command.boot_id, drained=command.drained),)
        case RaiseFault():
            if command.kind in host.faults:
                return Refused("already_raised", f"the fault {command.kind} stands already")
            return (e.FaultRaised(kind=command.kind, detail=command.detail),)
        case ClearFault():
            if command.kind not in host.faults:
                return Refused("no_fault", f"there is no fault {command.kind}")
            return (e.FaultCleared(kind=command.kind),)
