"""decide(command, entity) -> events, or Refused. Every rule of learnd is behind this door.

Pure: no clock, no ids, no I/O. What comes back has been held against the table by folding it, so that
`decide` can emit nothing that `evolve` refuses. A refusal is an answer, not an error: it says what
stands in the way and what to type next.
"""

from __future__ import annotations

from dataclasses import dataclass

from events.catalog import Event
from state import job as jobs
from state import pattern as patterns
from state.commands import JobCommand, PatternCommand
from state.job import Job
from state.job_rules import decide_job
from state.pattern import Pattern
from state.pattern_rules import decide_pattern
from state.refusal import Refused

Events = tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """The events that a command led to, and the entity as it is after them."""

    events: Events
    entity: Job | Pattern


def decide(command: JobCommand | PatternCommand, entity: Job | Pattern) -> Decided | Refused:
    """What `command` does to `entity`. Raises TypeError when the two do not belong together."""
    match command, entity:
        case JobCommand(), Job():
            answer = decide_job(command, entity)
            if isinstance(answer, Refused):
                return answer
            job = entity
            for event in answer:
                job = jobs.evolve(job, event)
            return Decided(answer, job)
        case PatternCommand(), Pattern():
            answer = decide_pattern(command, entity)
            if isinstance(answer, Refused):
                return answer
            pattern = entity
            for event in answer:
                pattern = patterns.evolve(pattern, event)
            return Decided(answer, pattern)
    raise TypeError(f"{type(command).__name__} is no command for a {type(entity).__name__}")
