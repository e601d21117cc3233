"""What becomes of a pattern where agents are: how often it was served, and what they said of it.

A stream of its own, so that being served never collides with being promoted or deprecated; nothing here changes the
pattern's status. Two rules keep it short: at most two `PatternServed` a day, the first at once and the rest when the
day is over, and a bounded number of reports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from events import catalog as e
from state.commands import RecordServed, ReportUse, UsageCommand
from state.machine import UnexpectedEvent
from state.pattern import PatternStatus
from state.refusal import Refused

P = PatternStatus

WAS_SERVED = (P.ACTIVE, P.EDITED, P.STALE, P.DEPRECATED)
"""Statuses of a pattern that agents can have been given; the later ones only in the past."""
REPORTS_A_DAY = 100
"""Of one pattern. Whoever may report is not proven to have used anything: the log shall not grow with their zeal."""


@dataclass(frozen=True, slots=True)
class Usage:
    """`day` and `through` are those of the last PatternServed; `said` holds each report of a run, once."""

    id: str
    version: int = 0
    day: str = ""
    through: int = 0
    said: frozenset[tuple[str, str]] = frozenset()
    reported_on: str = ""
    reports_that_day: int = 0

    @property
    def stream(self) -> str:
        return f"usage-{self.id}"


def evolve(usage: Usage, event: e.Event) -> Usage:
    """`usage` after `event`. Raises UnexpectedEvent."""
    version = usage.version + 1
    match event:
        case e.PatternServed():
            return replace(usage, version=version, day=event.day, through=event.through)
        case e.UseReported():
            said = usage.said | {(event.run, event.outcome)} if event.run else usage.said
            count = usage.reports_that_day + 1 if usage.reported_on == event.day else 1
            return replace(usage, version=version, said=said, reported_on=event.day, reports_that_day=count)
    raise UnexpectedEvent(f"the use of pattern {usage.id[:8]}", "recorded", event.type)


def fold(pattern_id: str, events: Iterable[e.Event]) -> Usage:
    usage = Usage(pattern_id)
    for event in events:
        usage = evolve(usage, event)
    return usage


def decide(command: UsageCommand, usage: Usage) -> tuple[e.Event, ...] | Refused:
    """What `command` adds to the record of use."""
    match command:
        case RecordServed():
            return _served(command, usage)
        case ReportUse():
            return _reported(command, usage)
    raise TypeError(f"{type(command).__name__} is no command about the use of a pattern")


def _served(command: RecordServed, usage: Usage) -> tuple[e.Event, ...] | Refused:
    if (command.day, command.through) <= (usage.day, usage.through):
        return Refused("already_recorded", f"the use of pattern {usage.id[:8]} on {command.day} is recorded already")
    if command.day == usage.day and not command.day_is_over:
        return Refused("day_not_over", f"the rest of {command.day} is recorded when that day is over")
    return (
        e.PatternServed(
            pattern_id=usage.id, day=command.day, times=command.times, runs=command.runs, through=command.through
        ),
    )


def _reported(command: ReportUse, usage: Usage) -> tuple[e.Event, ...] | Refused:
    name = f"pattern {usage.id[:8]}"
    if command.pattern_status not in WAS_SERVED:
        reason = f"{name} is {command.pattern_status} and was never served: nobody can have used it"
        return Refused("never_served", reason)
    if command.run and (command.run, command.outcome) in usage.said:
        return Refused("already_reported", f"run {command.run} said so of {name} already")
    if usage.reported_on == command.day and usage.reports_that_day >= REPORTS_A_DAY:
        return Refused("too_many", f"{name} got {REPORTS_A_DAY} reports today. Next: report again tomorrow")
    return (
        e.UseReported(
            pattern_id=usage.id, run=command.run, outcome=command.outcome, day=command.day, note=command.note,
            redactions=command.redactions,
        ),
    )  # fmt: skip
