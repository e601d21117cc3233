"""decide(command, entity) -> events, or Refused. Every rule of learnd is behind this door.

Pure: no clock, no ids, no I/O. What comes back has been held against the table by folding it, so that
`decide` can emit nothing that `evolve` refuses. A refusal is an answer, not an error: it says what
stands in the way and what to type next.
"""

from __future__ import annotations

from dataclasses import dataclass

from events.catalog import Event
from state import host as hosts
from state import job as jobs
from state import ledger as ledgers
from state import pattern as patterns
from state import repository as repositories
from state import usage as usages
from state.commands import JobCommand, MachineCommand, PatternCommand, RepositoryCommand, SpendCommand, UsageCommand
from state.host import Host
from state.job import Job
from state.job_rules import decide_job
from state.ledger import Ledger
from state.pattern import Pattern
from state.pattern_rules import decide_pattern
from state.refusal import Refused
from state.repository import Repository
from state.usage import Usage

Command = JobCommand | PatternCommand | RepositoryCommand | MachineCommand | SpendCommand | UsageCommand
Entity = Job | Pattern | Repository | Host | Ledger | Usage


@dataclass(frozen=True, slots=True)
class Decided:
    """The events that a command led to, and the entity as it is after them."""

    events: tuple[Event, ...]
    entity: Entity


def decide(command: Command, entity: Entity) -> Decided | Refused:
    """What `command` does to `entity`. Raises TypeError when the two do not belong together."""
    answer: tuple[Event, ...] | Refused
    match command, entity:
        case JobCommand(), Job():
            answer = decide_job(command, entity)
        case PatternCommand(), Pattern():
            answer = decide_pattern(command, entity)
        case UsageCommand(), Usage():
            answer = usages.decide(command, entity)
        case SpendCommand(), Ledger():
            answer = ledgers.decide(command, entity)
        case (_, Repository()) if isinstance(command, RepositoryCommand):
            answer = repositories.decide(command, entity)
        case (_, Host()) if isinstance(command, MachineCommand):
            answer = hosts.decide(command, entity)
        case _:
            raise TypeError(f"{type(command).__name__} is no command for a {type(entity).__name__}")
    if isinstance(answer, Refused):
        return answer
    for event in answer:
        entity = evolve(entity, event)
    return Decided(answer, entity)


def evolve(entity: Entity, event: Event) -> Entity:
    """`entity` after `event`, whatever it is. Raises UnexpectedEvent."""
    match entity:
        case Job():
            return jobs.evolve(entity, event)
        case Pattern():
            return patterns.evolve(entity, event)
        case Usage():
            return usages.evolve(entity, event)
        case Repository():
            return repositories.evolve(entity, event)
        case Host():
            return hosts.evolve(entity, event)
        case Ledger():
            return ledgers.evolve(entity, event)
