"""The only way in: a command is decided against the log as it is, and what is decided is appended.

Every change, whoever asks for it (an effect, the intake, a person behind the socket), passes here. The
door has no rules. It loads, decides, appends, and begins anew when somebody was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from events.catalog import Event
from events.log import EventLog, WrongExpectedVersion
from events.recorded import Recorded
from learnd.clock import now
from state import host as hosts
from state import job as jobs
from state import ledger as ledgers
from state import pattern as patterns
from state import repository as repositories
from state import usage as usages
from state.commands import JobCommand, PatternCommand, RepositoryCommand, SpendCommand, UsageCommand
from state.decide import Command, Entity, decide
from state.host import Host
from state.job import Job
from state.ledger import Ledger
from state.pattern import Pattern
from state.refusal import Refused
from state.usage import Usage

TRIES = 20
"""Others append between our reading and our appending only while they themselves get on."""


class Contention(Exception):
    """Others changed the same streams every single time: nothing was appended."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What was recorded, in order, and the entities as they are now, by stream."""

    recorded: tuple[Recorded, ...]
    entities: dict[str, Entity]


class Door:
    """Holds the log; `heard` is called after each append, outside of any transaction."""

    def __init__(self, log: EventLog, heard: Callable[[Sequence[Recorded]], None] | None = None) -> None:
        self.log = log
        self._heard = heard

    def handle(self, command: Command, actor: str) -> Handled | Refused:
        """Decide one command and append what it led to."""
        return self.handle_together((command,), actor)

    def handle_together(self, commands: Sequence[Command], actor: str) -> Handled | Refused:
        """Decide `commands` in turn and append everything at once, or nothing when one is refused.

        Raises Contention, and what the log raises when the machine fails.
        """
        for _ in range(TRIES):
            try:
                outcome = self._try(commands, actor)
            except WrongExpectedVersion:
                continue
            if isinstance(outcome, Handled) and outcome.recorded and self._heard:
                self._heard(outcome.recorded)
            return outcome
        raise Contention(f"{TRIES} times in a row somebody else was faster. Next: try again")

    def _try(self, commands: Sequence[Command], actor: str) -> Handled | Refused:
        entities: dict[str, Entity] = {}
        seen: dict[str, int] = {}
        decided: dict[str, list[Event]] = {}
        causation: str | None = None
        for command in commands:
            stream = stream_of(command)
            if stream not in entities:
                records = self.log.read(stream)
                entities[stream] = fold(stream, records)
                seen[stream] = len(records)
                causation = causation or (records[-1].id if records else None)
            answer = decide(command, entities[stream])
            if isinstance(answer, Refused):
                return answer
            entities[stream] = answer.entity
            decided.setdefault(stream, []).extend(answer.events)
        recorded = self.log.append(
            {stream: (seen[stream], events) for stream, events in decided.items()},
            actor=actor,
            at=now(),
            correlation=next(iter(decided)),
            causation=causation,
        )
        return Handled(tuple(recorded), entities)

    def job(self, job_id: str) -> Job:
        """The job as the log has it; a new one when it has none."""
        return jobs.fold(job_id, (record.data for record in self.log.read(f"job-{job_id}")))

    def pattern(self, pattern_id: str) -> Pattern:
        return patterns.fold(pattern_id, (record.data for record in self.log.read(f"pattern-{pattern_id}")))

    def ledger(self, month: str) -> Ledger:
        """What model calls of a month (`2026-11`, UTC) cost or may still cost."""
        stream = f"{ledgers.PREFIX}{month}"
        return ledgers.fold(month, (record.data for record in self.log.read(stream)))

    def usage(self, pattern_id: str) -> Usage:
        return usages.fold(pattern_id, (record.data for record in self.log.read(f"usage-{pattern_id}")))

    def host(self) -> Host:
        return hosts.fold(record.data for record in self.log.read(hosts.STREAM))


def stream_of(command: Command) -> str:
    """The stream that a command changes."""
    match command:
        case JobCommand():
            return f"job-{command.job_id}"
        case PatternCommand():
            return f"pattern-{command.pattern_id}"
        case UsageCommand():
            return f"usage-{command.pattern_id}"
        case SpendCommand():
            return f"{ledgers.PREFIX}{command.month}"
    return f"repo-{command.repo_id}" if isinstance(command, RepositoryCommand) else hosts.STREAM


def fold(stream: str, records: Sequence[Recorded]) -> Entity:
    """The entity that a stream's records, whole and in order, make."""
    kind, _, identity = stream.partition("-")
    events = (record.data for record in records)
    match kind:
        case "job":
            return jobs.fold(identity, events)
        case "pattern":
            return patterns.fold(identity, events)
        case "usage":
            return usages.fold(identity, events)
        case "repo":
            return repositories.fold(identity, events)
        case "spend":
            return ledgers.fold(identity, events)
    return hosts.fold(events)
