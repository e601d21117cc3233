"""Brings files to what the log says: manifests, task files, pattern files, the index.

The log is the truth, these are copies for readers, so publishing is repeatable and may come late: what
cannot be written now (the producer holds its lock, the disk is full) is remembered and written later;
what is gone with its run is not written at all. Nothing is decided here, save that a person's edit of an
active pattern is told to the door, because the files are where it is seen.
"""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from learnd.library.files import FOLDER_OF, Library, reconcile
from learnd.library.folders import FolderRefused
from learnd.library.index import IndexEntry, IndexTaken, write_index
from learnd.library.wanted import wanted_of
from learnd.manifest.inside import NotAFile, OutsideRepository, TooLarge
from learnd.manifest.lockfile import LockBusy
from learnd.manifest.tasks import TaskFileBusy, TaskFileRefused, append_metrics, write_state
from learnd.manifest.write import ManifestChanged, ManifestUnwritable, write_learnd_json, write_learning
from learnd.views.learning import History, learnd_file, learning_block, metrics_line, task_state
from learnd.workplace import Workplace
from state import commands as c
from state.job import AT_REST, JobStatus
from state.pattern import PatternStatus
from state.refusal import Refused

ACTOR = "learnd:publisher"
NOT_NOW = (LockBusy, TaskFileBusy, ManifestChanged, OSError)
NEVER = (ManifestUnwritable, TaskFileRefused, NotAFile, OutsideRepository, TooLarge)

log = structlog.get_logger("learnd.publisher")


class Publisher:
    """Safe to call from any thread; one publication at a time."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._late_jobs: set[str] = set()
        self._late_trees: set[tuple[str, str]] = set()
        self.troubles: dict[str, str] = {}
        """What could not be written and why, by the path or id it is about: shown by `doctor`."""

    def job(self, job_id: str) -> None:
        """Write what the log says of a job into its run's folder, its manifest and its task's files."""
        with self._lock:
            try:
                self._job(job_id)
                self._late_jobs.discard(job_id)
                self.troubles.pop(job_id, None)
            except FileNotFoundError:
                self._late_jobs.discard(job_id)  # the run was deleted, and what it would have been told with it
            except NOT_NOW as error:
                self._late_jobs.add(job_id)
                self.troubles[job_id] = str(error)
            except NEVER as error:
                self._late_jobs.discard(job_id)
                self.troubles[job_id] = str(error)
                log.warning("manifest not written", job=job_id[:8], reason=str(error))

    def _job(self, job_id: str) -> None:
        history = self._history(job_id)
        job = history.job
        if job.status in (JobStatus.NEW, JobStatus.OBSERVED, JobStatus.RECORDED) or not job.manifest_path:
            return
        repo, manifest = Path(job.repo_path), Path(job.manifest_path)
        if not self._is_latest(job_id):
            return  # a later completion of the same run owns the manifest now
        write_learning(manifest, repo, learning_block(history))
        write_learnd_json(manifest.parent, repo, learnd_file(history))
        if job.status in AT_REST:
            append_metrics(repo, job.task_id, metrics_line(history))
            same = [self._history(row.id) for row in self._of_task(job.repo_path, job.task_id)]
            newest = max(history.records[-1].at for history in same)
            write_state(repo, job.task_id, task_state(same, newest))

    def _is_latest(self, job_id: str) -> bool:
        row = self._place.views().job(job_id)
        return self._place.views().jobs_of_run(row.repo_id, row.task_id, row.run_id)[-1].id == job_id

    def _of_task(self, repo_path: str, task_id: str) -> list:  # type: ignore[type-arg] # rows of jobs
        return [r for r in self._place.views().jobs() if r.repo_path == repo_path and r.task_id == task_id]

    def _history(self, job_id: str) -> History:
        log_ = self._place.door.log
        records = log_.read(f"job-{job_id}")
        row = self._place.views().job(job_id)
        pattern = log_.read(f"pattern-{row.pattern}") if row.pattern else []
        return History(job_id, records, pattern, self._candidate(row.pattern))

    def _candidate(self, pattern_id: str | None) -> str | None:
        if pattern_id is None:
            return None
        from learnd.library.wanted import wanted  # noqa: PLC0415 - read where a pattern exists at all

        known = wanted(self._place.door.log, self._place.views(), pattern_id)
        folder = FOLDER_OF.get(known.status) if known else None
        return f".agent/patterns/{folder}/{known.file_name}" if known and folder else None

    def repository_patterns(self, repo_id: str, repo_path: str) -> None:
        """Bring a work tree's pattern files and their index to what the log says."""
        with self._lock:
            key = (repo_id, repo_path)
            try:
                self._patterns(repo_path)
                self._late_trees.discard(key)
                self.troubles.pop(repo_path, None)
            except (FolderRefused, IndexTaken) as error:
                self._late_trees.discard(key)
                self.troubles[repo_path] = str(error)
                log.warning("patterns not placed", repository=repo_path, reason=str(error))
            except OSError as error:
                self._late_trees.add(key)
                self.troubles[repo_path] = str(error)

    def _patterns(self, repo_path: str) -> None:
        if not Path(repo_path).is_dir():
            return
        place = self._place
        library = Library(Path(repo_path), place.quarantine_dir)
        shown = wanted_of(place.door.log, place.views(), repo_path)
        done = reconcile(library, shown)
        for edit in done.edited:
            pattern = place.door.pattern(edit.id)
            expected = next(pattern.digest for pattern in shown if pattern.id == edit.id)
            if (
                pattern.status not in (PatternStatus.ACTIVE, PatternStatus.EDITED)
                or pattern.edited_sha256 == edit.digest
            ):
                continue
            outcome = place.door.handle(c.RecordEdit(edit.id, edit.digest, expected), ACTOR)
            if isinstance(outcome, Refused):
                log.info("edit not recorded", pattern=edit.id[:8], reason=outcome.reason)
        for conflict in done.conflicts:
            self.troubles[str(conflict.path)] = str(conflict)
        active = [p for p in wanted_of(place.door.log, place.views(), repo_path) if p.status is PatternStatus.ACTIVE]
        if shown:
            write_index(Path(repo_path), [IndexEntry(p.file_name, p.file_text) for p in active])

    def everything(self) -> None:
        """Bring all files to what the log says: done at every start, because a crash may have come between."""
        views = self._place.views()
        for tree in views.work_trees():
            self.repository_patterns(tree.repo_id, tree.path)
        for row in views.jobs():
            self.job(row.id)

    def late(self) -> None:
        """Try again what could not be written before."""
        for job_id in list(self._late_jobs):
            self.job(job_id)
        for repo_id, repo_path in list(self._late_trees):
            self.repository_patterns(repo_id, repo_path)
