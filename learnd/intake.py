"""From a manifest on disk to a command: what a run's state means for the log.

Looking is cheap and harmless: the same manifest looked at twice leads to nothing the second time,
because the log knows the run. Who calls (the watcher, a sweep, `learnd learn`) makes no difference.

A run seen in progress has its base tree taken at once, but only when it was seen soon after it began:
a tree that the run may have changed already is no base, and truth goes before completeness.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from learnd.clock import now, seconds_between
from learnd.door import Door
from learnd.ids import job_id
from learnd.manifest.find import find_manifests
from learnd.manifest.read import LeadsNowhere, canonical_path, read_run
from learnd.manifest.runs import NotARun, Run, Unreadable
from learnd.settings import Settings
from learnd.signatures import Signatures
from learnd.views.queries import JobRow, Views, WorkTreeRow
from state.commands import EndRun, ObserveRun, OpenJob, ReopenRun, RunRef
from state.decide import Command
from state.job import TERMINAL, JobStatus
from state.refusal import Refused

OBSERVE_WITHIN_SECONDS = 10.0
"""A run that is older than this when it is first seen may have changed the tree already."""

ACTOR = "learnd:intake"

TakeBase = Callable[[WorkTreeRow], "BaseTree"]


@dataclass(frozen=True, slots=True)
class BaseTree:
    """The tree as it is now, kept in learnd's own repository, and the commit that HEAD is at."""

    tree: str
    commit: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a manifest led to: `done` when the log changed, else why it did not."""

    path: Path
    done: bool
    what: Literal["run", "not_a_run", "unreadable", "refused", "known", "waiting"]
    reason: str
    job_id: str | None = None


class Intake:
    """Looks at manifests of registered work trees. `views` reads the log that `door` writes."""

    def __init__(self, door: Door, views: Callable[[], Views], settings: Settings, take_base: TakeBase) -> None:
        self._door = door
        self._views = views
        self._settings = settings
        self._take_base = take_base
        self._signatures = Signatures(door.log)

    def sweep(self, tree: WorkTreeRow, look: Callable[[Path], Seen | None]) -> Iterator[Seen]:
        """Have `look` look at every manifest of `tree` that changed since it last could."""
        self._signatures.load(tree)
        there = set()
        for manifest in find_manifests(Path(tree.path)):
            there.add(manifest.path)
            if not self._signatures.knows(manifest.path, manifest.signature):
                seen = look(Path(manifest.path))
                if seen is not None:
                    settled = seen.what not in ("unreadable", "waiting")
                    self._signatures.put(tree, manifest.path, manifest.signature, settled=settled)
                    yield seen
        self._signatures.leave(tree, there)
        self._signatures.write()

    def leave_all_but(self, trees: Collection[str]) -> None:
        """Remember nothing of other work trees than these: one that is registered again is looked at anew."""
        self._signatures.leave_all_but(trees)

    def look(self, path: Path, tree: WorkTreeRow, *, requested: bool = False) -> Seen:
        """Tell the log what the manifest at `path` says; `requested` when a person asked for this run."""
        found = read_run(path, Path(tree.path))
        if isinstance(found, NotARun) and found.kind in {"stub", "link"}:
            try:
                found = read_run(canonical_path(path, Path(tree.path)), Path(tree.path))
            except LeadsNowhere as error:
                return Seen(path, False, "unreadable", str(error))
        if isinstance(found, NotARun):
            return Seen(found.path, False, "not_a_run", found.reason)
        if isinstance(found, Unreadable):
            return Seen(found.path, False, "unreadable", found.reason)
        return self._run(found, tree, requested)

    def _run(self, run: Run, tree: WorkTreeRow, requested: bool) -> Seen:
        jobs = self._views().jobs_of_run(tree.repo_id, run.task_id, run.run_id)
        latest = jobs[-1] if jobs else None
        if not run.over:
            return self._in_progress(run, tree, latest, len(jobs))
        again = next((job for job in jobs if job.completed_at == run.completed_at), None)
        if again is not None:
            return Seen(run.path, False, "known", f"job {again.id[:8]} is {again.status}", again.id)
        commands = _superseding(latest, run)
        commands.append(self._ending(run, tree, latest, requested))
        return self._handle(run, commands)

    def _in_progress(self, run: Run, tree: WorkTreeRow, latest: JobRow | None, count: int) -> Seen:
        if latest is not None and latest.status == JobStatus.OBSERVED:
            return Seen(run.path, False, "waiting", f"the run is {run.status}", latest.id)
        reopened = _superseding(latest, run)
        age = seconds_between(run.started_at, now()) if run.started_at else None
        if latest is None and (age is None or age > OBSERVE_WITHIN_SECONDS):
            return Seen(run.path, False, "waiting", f"the run is {run.status}; it was not seen when it began")
        if run.started_at is not None and run.started_at < tree.since and latest is None:
            return Seen(run.path, False, "waiting", f"the run is {run.status}")
        base = self._take_base(tree)
        identity = job_id(tree.repo_id, run.task_id, run.run_id, f"observed-{count}")
        observed = ObserveRun(identity, _ref(run, tree), run.started_at, base.tree, base.commit)
        return self._handle(run, [*reopened, observed])

    def _ending(self, run: Run, tree: WorkTreeRow, latest: JobRow | None, requested: bool) -> OpenJob | EndRun:
        completed_at = run.completed_at or now()
        observed = latest is not None and latest.status == JobStatus.OBSERVED
        identity = (
            latest.id
            if latest is not None and observed
            else job_id(tree.repo_id, run.task_id, run.run_id, completed_at)
        )
        if run.status == "succeeded":
            return OpenJob(
                identity,
                _ref(run, tree),
                shape=run.shape,
                started_at=run.started_at,
                completed_at=completed_at,
                registered_at=tree.since,
                trigger=self._settings.trigger,
                budget_usd=self._settings.budget_usd,
                requested=requested,
                base_commit=None if observed else run.base_commit,
            )
        outcome: Literal["failed", "cancelled"] = "cancelled" if run.status == "cancelled" else "failed"
        return EndRun(identity, _ref(run, tree), outcome, completed_at, tree.since, requested)

    def _handle(self, run: Run, commands: list[Command]) -> Seen:
        outcome = self._door.handle_together(commands, ACTOR)
        if isinstance(outcome, Refused):
            return Seen(run.path, False, "refused", outcome.reason)
        last = outcome.recorded[-1]
        return Seen(run.path, True, "run", last.type, last.stream.removeprefix("job-"))


def _superseding(latest: JobRow | None, run: Run) -> list[Command]:
    """The producer resumed a run that a job still works on: that completion no longer stands."""
    if latest is None or latest.status in (*TERMINAL, JobStatus.OBSERVED):
        return []
    return [ReopenRun(latest.id, str(run.path))]


def _ref(run: Run, tree: WorkTreeRow) -> RunRef:
    return RunRef(tree.repo_id, tree.path, str(run.path), run.task_id, run.run_id)
