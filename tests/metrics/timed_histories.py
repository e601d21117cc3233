"""Given: what was done, and when, in a real log with its read models. Commands are decided, never events made up."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support import histories as h

from learnd.clock import iso
from learnd.views.measures.window import Window, milliseconds
from learnd.views.metrics import Metrics, metrics
from learnd.views.queries import Views
from learnd.views.store import open_for_writing, read_connection
from state import commands as c
from state import host as hosts
from state.decide import Command, Decided, Entity, decide
from state.job import Job
from state.pattern import Pattern
from state.usage import Usage

START = datetime(2026, 3, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86_400.0
ANNA, BORIS = (c.Person(name, frozenset({"anna", "boris"}), reason="seen") for name in ("anna", "boris"))


def at(seconds: float) -> str:
    """The log's time so many seconds after START."""
    return iso(START + timedelta(seconds=seconds))


def job(name: str) -> str:
    return hashlib.sha256(f"job {name}".encode()).hexdigest()


def pattern(name: str) -> str:
    return hashlib.sha256(f"pattern {name}".encode()).hexdigest()


class Past:
    """A log whose events happened when the test says."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.db"
        self.log = open_for_writing(self.path)
        self._entities: dict[str, Entity] = {}

    def at(self, seconds: float, *commands: Command) -> None:
        """So many seconds after START these commands were given; each must be accepted."""
        for command in commands:
            assert self.tried(seconds, command), command

    def tried(self, seconds: float, command: Command) -> bool:
        """Whether the command was accepted."""
        new: Entity
        if isinstance(command, c.JobCommand):
            stream, new = f"job-{command.job_id}", Job(command.job_id)
        elif isinstance(command, c.PatternCommand):
            stream, new = f"pattern-{command.pattern_id}", Pattern(command.pattern_id)
        elif isinstance(command, c.UsageCommand):
            stream, new = f"usage-{command.pattern_id}", Usage(command.pattern_id)
        else:
            stream, new = hosts.STREAM, hosts.Host()
        entity = self._entities.get(stream, new)
        decided = decide(command, entity)
        if not isinstance(decided, Decided):
            return False
        self.log.append({stream: (entity.version, decided.events)}, actor="test", at=at(seconds))
        self._entities[stream] = decided.entity
        return True

    def job(self, name: str, commands: Iterable[c.JobCommand], seconds: float = 0, repo: str = "shop") -> None:
        """The commands of a history, given for the job `name` of a run in `repo`."""
        for command in commands:
            self.at(seconds, of_job(command, name, repo))

    def asked(
        self,
        since: float | None = None,
        until: float | None = None,
        repos: tuple[str, ...] | None = None,
        now: float = 1000 * DAY,
    ) -> Metrics:
        """The metrics of a window, in seconds after START."""
        rows = Views(read_connection(self.log)).rows
        return metrics(rows, window(since, until, now), repos)


def window(since: float | None, until: float | None, now: float) -> Window:
    def of(seconds: float | None) -> int | None:
        return None if seconds is None else milliseconds(at(seconds))

    return Window(of(now) or 0, of(since), of(until))


def of_job(command: c.JobCommand, name: str, repo: str = "shop") -> c.JobCommand:
    """A command of the histories, for another job."""
    changes: dict[str, object] = {"job_id": job(name)}
    if hasattr(command, "run"):
        folder = f"/{repo}/.runs/t/cli/{name}/manifest.json"
        changes["run"] = dataclasses.replace(
            command.run, repo_id=repo, repo_path=f"/{repo}", run_id=name, manifest_path=folder
        )
    if hasattr(command, "completed_at"):
        changes["completed_at"] = at(0)
    if hasattr(command, "pattern_id"):
        changes["pattern_id"] = pattern(name)
    return dataclasses.replace(command, **changes)  # type: ignore[arg-type] # fields by their names


def of_pattern(command: c.PatternCommand, name: str, repo: str = "shop") -> c.PatternCommand:
    """A command of the histories, for the pattern that the job `name` led to."""
    changes: dict[str, object] = {"pattern_id": pattern(name)}
    if isinstance(command, c.JudgeDraft):
        changes["origin"] = dataclasses.replace(
            command.origin, repo_id=repo, repo_path=f"/{repo}", job_id=job(name), body="# text"
        )
    return dataclasses.replace(command, **changes)  # type: ignore[arg-type] # as above


def candidate(past: Past, name: str, seconds: float, repo: str = "shop") -> None:
    """A job that led to a candidate at that moment; its run completed at START."""
    past.job(name, (*h.TO_DRAFTED, h.finished), seconds, repo)
    past.at(seconds, of_pattern(h.judged, name, repo))


def by(person: c.Person, name: str) -> dict[str, c.PatternCommand]:
    """What a person can decide about a pattern."""
    known = pattern(name)
    return {
        "promote": c.Promote(known, person, h.RUN.manifest_path, h.SHA),
        "reject": c.Reject(known, person),
        "deprecate": c.Deprecate(known, person),
        "supersede": c.Supersede(known, person, "e5" * 32),
        "restore": c.Restore(known, person),
        "release": c.Release(known, person),
    }


def regression(name: str, commit: str, person: c.Person | None, committed: float | None) -> c.ReportRegression:
    made = None if committed is None else at(committed)
    return c.ReportRegression(job(name), pattern(name), commit * 40, committed_at=made, person=person)
