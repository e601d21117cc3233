"""Given: a log with blocked jobs, the real daemon over it, and what the log and the channels say in the end."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

from alert_servers import Message, PagerDutyServer, SlackServer
from daemon.daemon_process import Daemon, events, recorded, until
from support import histories as h

from events.catalog import AlertDelivered, AlertFailed, AlertRaised
from learnd.door import Door, Handled
from learnd.views.store import open_for_writing
from state.decide import Command
from state.job import JobStatus


class Place:
    """A state folder; jobs in it are blocked in the order in which they are asked for."""

    def __init__(self, root: Path) -> None:
        self.state = root / "state"
        self._count = 0

    def blocked(self, *statuses: JobStatus) -> list[str]:
        """A new job in each of the statuses; their ids."""
        ids = []
        for status in statuses:
            self._count += 1
            ids.append(hashlib.sha256(f"{status.value} {self._count}".encode()).hexdigest())
            run = dataclasses.replace(h.RUN, run_id=f"run-{self._count}")
            self.record(*(_of(command, ids[-1], run) for command in h.WAY_TO[status]))
        return ids

    def record(self, *commands: Command) -> None:
        with open_for_writing(self.state / "events.db") as log:
            door = Door(log)
            for command in commands:
                outcome = door.handle(command, "root")
                assert isinstance(outcome, Handled), outcome

    def daemon(self, *servers: SlackServer | PagerDutyServer, prefix: Sequence[str] = (), **environ: str) -> Daemon:
        told = {name: value for server in servers for name, value in server.env().items()}
        return Daemon(self.state, prefix=prefix, **{**told, **environ})

    # --- what came of it ---

    def raised(self) -> dict[str, AlertRaised]:
        return {event.alert_id: event for event in events(self.state, AlertRaised)}

    def delivered(self, channel: str, *, resolved: bool = False) -> list[str]:
        """Ids of the alerts that the log says were delivered, or resolved."""
        told = [e for e in events(self.state, AlertDelivered) if e.channel == channel and e.resolved is resolved]
        return [event.alert_id for event in told]

    def failures(self, channel: str) -> list[str]:
        return [event.error for event in events(self.state, AlertFailed) if event.channel == channel]

    def types(self) -> list[str]:
        return [record.type for record in recorded(self.state)]

    def until_delivered(self, channel: str, count: int, *, resolved: bool = False) -> list[str]:
        def look() -> list[str] | None:
            found = self.delivered(channel, resolved=resolved)
            return found if len(found) >= count else None

        word = "resolved" if resolved else "delivered"
        try:
            return until(look, f"{count} alerts {word} to {channel}")
        except AssertionError as error:
            raise AssertionError(f"{error}; the log has {self.types()}, {self.failures(channel)}") from error


def _of(command: Command, job_id: str, run: object) -> Command:
    changed = dataclasses.replace(command, job_id=job_id)  # type: ignore[call-arg]
    return dataclasses.replace(changed, run=run) if hasattr(command, "run") else changed  # type: ignore[call-arg]


def about(messages: Sequence[Message], job_id: str) -> Message:
    """The one message about a job."""
    (message,) = [message for message in messages if message.alert_id.startswith(job_id[:16])]
    return message
