"""Brings files to what the log says: manifests, task files, pattern files, the index.

The log is the truth, these are copies for readers, so publishing is repeatable and may come late: what
cannot be written now (the producer holds its lock, the disk is full) is remembered and written later;
what is gone with its run is not written at all. Nothing is decided here, save that a person's edit of an
active pattern is told to the door, because the files are where it is seen.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import ValidationError

from learnd.clearing import clear_active
from learnd.harvest.commits import last_author
from learnd.harvest.faults import DiskFull, SnapshotError
from learnd.harvest.gitfolder import NotARepository, read_small
from learnd.library.files import FOLDER_OF, PATTERNS, Edited, Library, Look, look_of, reconcile
from learnd.library.folders import FolderRefused
from learnd.library.index import IndexEntry, IndexTaken, write_index
from learnd.library.rule_files import place_rules
from learnd.library.wanted import FOLDED, wanted, wanted_of
from learnd.manifest.block import LearndFile
from learnd.manifest.inside import NotAFile, OutsideRepository, TooLarge
from learnd.manifest.lockfile import LockBusy
from learnd.manifest.tasks import TaskFileBusy, TaskFileRefused, append_metrics, write_state
from learnd.manifest.write import ManifestChanged, ManifestUnwritable, write_learnd_json, write_learning
from learnd.serving.keeping import keep_skills
from learnd.views.learning import History, learnd_file, learning_block, metrics_line, task_state
from learnd.views.queries import JobRow
from learnd.workplace import Workplace
from state import commands as c
from state.job import AT_REST, JobStatus
from state.pattern import PatternStatus
from state.refusal import Refused

ACTOR = "learnd:publisher"
NOT_NOW = (LockBusy, TaskFileBusy, ManifestChanged, OSError)
NEVER = (ManifestUnwritable, TaskFileRefused, NotAFile, OutsideRepository, TooLarge, FolderRefused, IndexTaken)
UNPUBLISHED = (JobStatus.NEW, JobStatus.OBSERVED, JobStatus.RECORDED)
"""Of these a run is told nothing: nothing was learned from it, or not yet begun."""

Late = TypeVar("Late", str, tuple[str, str])

log = structlog.get_logger("learnd.publisher")


class Publisher:
    """Safe to call from any thread; one publication at a time."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self._lock = threading.Lock()
        self._late_jobs: set[str] = set()
        self._late_trees: set[tuple[str, str]] = set()
        self._late_tasks: set[tuple[str, str]] = set()
        self._looked: dict[str, Look] = {}
        """How the pattern folders of a work tree looked when its files were brought to what the log says."""
        self.troubles: dict[str, str] = {}
        """What could not be written and why, by the path or id it is about: shown by `doctor`."""

    def job(self, job_id: str) -> None:
        """Write what the log says of a job into its run's folder and its manifest."""
        with self._lock:
            self._late_jobs.discard(job_id)
            self._attempt(job_id, self._late_jobs, job_id, lambda: self._job(job_id))

    def job_later(self, job_id: str) -> None:
        """The same, but when there is time for it."""
        with self._lock:
            self._late_jobs.add(job_id)

    def _attempt(self, key: Late, late: set[Late], shown: str, publish: Callable[[], None]) -> None:
        """Publish; what cannot be done now comes again, what never can is said once."""
        try:
            publish()
            self.troubles.pop(shown, None)
        except FileNotFoundError:
            self.troubles.pop(shown, None)  # deleted while we looked: there is nobody to tell
        except NEVER as error:
            self.troubles[shown] = str(error)
            log.warning("not published", what=shown, reason=str(error))
        except NOT_NOW as error:
            late.add(key)
            self.troubles[shown] = str(error)

    def _job(self, job_id: str) -> None:
        row = self._place.views().job(job_id)
        if row.status in UNPUBLISHED or not self._is_latest(row) or self._place.views().is_forgotten(row.repo_id):
            return  # a later completion of the same run owns the manifest now; a forgotten repository's is its own
        repo, manifest = Path(row.repo_path), Path(row.manifest_path)
        if not os.path.lexists(manifest):
            return  # the run was deleted, and whom it would have told with it
        history = self._history(row)
        write_learning(manifest, repo, learning_block(history))
        write_learnd_json(manifest.parent, repo, learnd_file(history))
        if row.status in AT_REST:
            append_metrics(repo, row.task_id, metrics_line(history))
            self._late_tasks.add((row.repo_path, row.task_id))

    def _is_latest(self, row: JobRow) -> bool:
        return self._place.views().jobs_of_run(row.repo_id, row.task_id, row.run_id)[-1].id == row.id

    def _task(self, repo_path: str, task_id: str) -> None:
        """The numbers of a task, over all its jobs: written once for many jobs that ended together."""
        views = self._place.views()
        jobs = views.jobs_of_task(repo_path, task_id)
        patterns = views.patterns_of_task(repo_path, task_id)
        newest = max(row.updated_at for row in jobs)
        write_state(
            Path(repo_path), task_id, task_state(self._place.door.log, [row.id for row in jobs], patterns, newest)
        )

    def _history(self, row: JobRow) -> History:
        log_ = self._place.door.log
        pattern = log_.read_types([f"pattern-{row.pattern}"], FOLDED) if row.pattern else []
        return History(row.id, log_.read(f"job-{row.id}"), pattern, self._candidate(row.pattern))

    def _candidate(self, pattern_id: str | None) -> str | None:
        if pattern_id is None:
            return None
        known = wanted(self._place.door.log, self._place.views(), pattern_id)
        folder = FOLDER_OF.get(known.status) if known else None
        return f".agent/patterns/{folder}/{known.file_name}" if known and folder else None

    def repository_patterns(self, repo_id: str, repo_path: str) -> None:
        """Bring a work tree's pattern files and their index to what the log says."""
        with self._lock:
            key = (repo_id, repo_path)
            self._late_trees.discard(key)
            self._attempt(key, self._late_trees, repo_path, lambda: self._patterns(*key))

    def leave_forgotten(self) -> None:
        """Nothing is owed to a forgotten repository any more, and what could not be written there troubles nobody."""
        views = self._place.views()
        for row in views.forgotten():
            jobs = {job.id for job in views.jobs(repo_id=row.id)}
            trees = {str(path) for (path,) in views.rows("SELECT path FROM work_trees")}
            with self._lock:
                self._late_jobs -= jobs
                self._late_trees = {key for key in self._late_trees if key[0] != row.id}
                self._late_tasks = {key for key in self._late_tasks if key[0] in trees}
                for shown in list(self.troubles):
                    if shown in jobs or (shown.startswith(row.path) and row.path not in trees):
                        del self.troubles[shown]

    def _patterns(self, repo_id: str, repo_path: str) -> None:
        if not Path(repo_path).is_dir():
            return
        place = self._place
        library = Library(Path(repo_path), place.quarantine_dir)
        self._looked[repo_path] = look_of(Path(repo_path))  # before: an edit made meanwhile must not be missed
        left = clear_active(place, library, repo_id)
        shown = wanted_of(place.door.log, place.views(), repo_path)
        done = reconcile(library, shown)
        if self._edits_recorded(repo_path, done.edited, {pattern.id: pattern.digest for pattern in shown}):
            # What was edited is served no longer: it leaves the folder that agents look in.
            done = reconcile(library, wanted_of(place.door.log, place.views(), repo_path))
        files = str(Path(repo_path).joinpath(*PATTERNS))
        for mended in [path for path in self.troubles if path.startswith(f"{files}/")]:
            del self.troubles[mended]
        self.troubles.update(left.troubles)
        if left.again:
            self._late_trees.add((repo_id, repo_path))
        for conflict in done.conflicts:
            self.troubles[str(conflict.path)] = str(conflict)
        texts = {row.pattern: row.text for row in place.views().rules(statuses=tuple(PatternStatus))}
        now = wanted_of(place.door.log, place.views(), repo_path)
        for changed in place_rules(library, now, texts):
            self.troubles[str(changed.path)] = str(changed)
        active = [p for p in now if p.status is PatternStatus.ACTIVE]
        if shown:
            write_index(Path(repo_path), [IndexEntry(p.file_name, p.file_text) for p in active])
        self._skills(repo_path)

    def _skills(self, repo_path: str) -> None:
        for folder in self._place.settings.skills:
            for mended in [path for path in self.troubles if path.startswith(f"{repo_path}/{folder}/")]:
                del self.troubles[mended]
        self.troubles.update(keep_skills(self._place, repo_path))

    def _edits_recorded(self, repo_path: str, edits: Sequence[Edited], expected: Mapping[str, str]) -> bool:
        """Tell the door of edits of patterns that were promoted; whether any was news."""
        door = self._place.door
        news = False
        for edit in edits:
            pattern = door.pattern(edit.id)
            judged = pattern.status in (PatternStatus.ACTIVE, PatternStatus.EDITED)
            if not judged or pattern.edited_sha256 == edit.digest:
                continue
            outcome = door.handle(c.RecordEdit(edit.id, edit.digest, expected[edit.id], _by(repo_path, edit)), ACTOR)
            if isinstance(outcome, Refused):
                log.info("edit not recorded", pattern=edit.id[:8], reason=outcome.reason)
            else:
                news = True
        return news

    def notice_edits(self) -> None:
        """Look again at the pattern files of work trees in which something moved since the last look."""
        for tree in self._place.views().work_trees():
            if self._looked.get(tree.path) != look_of(Path(tree.path)):
                self.repository_patterns(tree.repo_id, tree.path)

    def everything(self) -> None:
        """Bring all files to what the log says: done at every start, because a crash may have come between.

        Patterns at once; manifests that are not as the log says by `late`, for there may be many.
        """
        views = self._place.views()
        for tree in views.work_trees():
            self.repository_patterns(tree.repo_id, tree.path)
        # Four columns of each: there may be ten thousand, and whole rows of them all take tens of megabytes.
        jobs = views.rows("SELECT id, status, updated_at, manifest_path FROM jobs")
        with self._lock:
            self._late_jobs.update(str(job[0]) for job in jobs if not _is_told(*map(str, job)))

    def late(self, seconds: float = 1.0) -> None:
        """Publish what had to wait, for about `seconds`; what is left waits on."""
        end = time.monotonic() + seconds
        for job_id in list(self._late_jobs):
            self.job(job_id)
            if time.monotonic() > end:
                return
        for repo_id, repo_path in list(self._late_trees):
            self.repository_patterns(repo_id, repo_path)
        for repo_path, task_id in list(self._late_tasks):
            with self._lock:
                key = (repo_path, task_id)
                self._late_tasks.discard(key)
                shown = f"{repo_path}: task {task_id}"
                self._attempt(key, self._late_tasks, shown, lambda key=key: self._task(*key))  # type: ignore[misc]
            if time.monotonic() > end:
                return


def _by(repo_path: str, edit: Edited) -> str | None:
    """Who edited a pattern's file, by git; None where it was not committed or git cannot say."""
    path = edit.path.relative_to(repo_path).as_posix()
    try:
        return last_author(Path(repo_path), path, edit.path.read_bytes())
    except (NotARepository, SnapshotError, DiskFull, OSError) as error:
        log.info("author of an edit not known", path=str(edit.path), reason=str(error))
        return None


def _is_told(job_id: str, status: str, updated_at: str, manifest_path: str) -> bool:
    """Whether the run's folder holds what the log said last of this job: one small file to read."""
    if status in UNPUBLISHED:
        return True
    told = read_small(Path(manifest_path).parent / "learning/learnd.json")
    if told is None:
        return not Path(manifest_path).exists()
    try:
        known = LearndFile.model_validate_json(told)
    except ValidationError:
        return False
    return (known.job, known.status, known.updated_at) == (job_id, status, updated_at)
