"""Given: jobs in any status, each with a real snapshot of its own of a real repository, recorded at any time."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from support import histories as h
from support.repos import make_repo

from events.values import SnapshotRecord
from learnd.clock import iso, now, parse
from learnd.door import Handled
from learnd.engine import Engine
from learnd.harvest.faults import SnapshotDamaged
from learnd.harvest.snapshot import SnapshotRequest, take_snapshot, verify_snapshot
from learnd.harvest.store import SnapshotStore
from learnd.repositories import register
from learnd.views.queries import WorkTreeRow
from state import commands as c
from state.job import Job, JobStatus
from state.pattern import PatternStatus

BIG = 20_000
"""Bytes of each snapshot's own file, which nothing compresses."""


def days_ago(days: float) -> str:
    return iso(parse(now()) - timedelta(days=days))


class KeptStore:
    """A repository and its jobs, behind an engine. `days` says how long ago what is recorded next happened."""

    def __init__(self, engine: Engine, repo: Path, monkeypatch: pytest.MonkeyPatch, days: float = 60) -> None:
        self.engine = engine
        self.days = days
        monkeypatch.setattr("learnd.door.now", lambda: days_ago(self.days))
        monkeypatch.setattr("learnd.repositories.now", lambda: days_ago(self.days + 1))
        self.repo = repo if repo.exists() else make_repo(repo)
        self.tree: WorkTreeRow = register(engine.door, engine.views(), self.repo, "anna")
        self._count = 0

    @property
    def home(self) -> Path:
        return self.engine.settings.state_dir / "repositories" / self.tree.repo_id

    @property
    def store(self) -> SnapshotStore:
        return self.engine.place.store(self.tree.repo_id, str(self.repo))

    def job(
        self, status: JobStatus, pattern: PatternStatus | None = None, run: str | None = None, own: bytes | None = None
    ) -> Job:
        """A job in `status` with a snapshot, and its pattern where it has come to one. `own`: what is in its file."""
        self._count += 1
        run = run or f"run-{self._count}"
        job_id = hashlib.sha256(f"{self.tree.repo_id} {run} {self._count}".encode()).hexdigest()
        pattern_id = hashlib.sha256(f"pattern {job_id}".encode()).hexdigest()
        ref = c.RunRef(self.tree.repo_id, str(self.repo), str(self._run_folder(run) / "manifest.json"), "task", run)
        (self.repo / "own.bin").write_bytes(own or os.urandom(BIG))
        taken = self.take(job_id, run)
        for command in _way(status):
            changed = dataclasses.replace(command, job_id=job_id)
            if isinstance(changed, c.OpenJob | c.ObserveRun):
                changed = dataclasses.replace(changed, run=ref)
            if isinstance(changed, c.RecordSnapshot):
                changed = dataclasses.replace(changed, snapshot=taken)
            if isinstance(changed, c.RecordDraft | c.FinishJob):
                changed = dataclasses.replace(changed, pattern_id=pattern_id)
            self.do(changed)
        for judged in h.PATTERN_WAY_TO[pattern] if pattern else ():
            changed_pattern = dataclasses.replace(judged, pattern_id=pattern_id)
            if isinstance(changed_pattern, c.JudgeDraft):
                origin = dataclasses.replace(
                    changed_pattern.origin, repo_id=self.tree.repo_id, repo_path=str(self.repo), job_id=job_id,
                    manifest_path=ref.manifest_path,
                    body=f"---\nid: {pattern_id}\nstatus: candidate\n---\n# {run}\n",
                )  # fmt: skip
                changed_pattern = dataclasses.replace(changed_pattern, origin=origin)
            self.do(changed_pattern)
        return self.engine.door.job(job_id)

    def do(self, command: c.JobCommand | c.PatternCommand) -> None:
        outcome = self.engine.door.handle(command, "root")
        assert isinstance(outcome, Handled), outcome

    def take(self, job_id: str, run: str) -> SnapshotRecord:
        folder = self._run_folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        request = SnapshotRequest(
            job_id=job_id, repo_id=self.tree.repo_id, repo_path=self.repo, manifest_path=folder / "manifest.json",
            task_id="task", run_id=run, started_at=None, completed_at=now(), learning_dir=folder / "learning",
            base_tree=None, base_commit=None, recorded_base_commit=None, overlapping_runs=(), retention_days=30,
            now=now(),
        )  # fmt: skip
        return take_snapshot(request, self.store, self.engine.settings)

    def _run_folder(self, run: str) -> Path:
        return self.repo / ".runs/task/cli" / run

    def age(self, days: float | None = None) -> None:
        """Let everything in the store be as old as what was recorded."""
        then = time.time() - (days or self.days) * 86_400
        for file in self.home.rglob("*"):
            os.utime(file, (then, then), follow_symlinks=False)

    def objects(self) -> int:
        """Bytes of objects, as git itself counts them."""
        asked = ["git", "-C", str(self.home / "store.git"), "count-objects", "-v"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        sizes = dict(line.split(": ") for line in told.splitlines())
        return (int(sizes["size"]) + int(sizes["size-pack"])) * 1024

    def tags(self) -> set[str]:
        asked = ["git", "-C", str(self.home / "store.git"), "tag", "--list"]
        return set(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split())


def whole(job: Job, store: SnapshotStore, scratch: Path) -> bool:
    """Whether the snapshot restores to the letter: digest, tree, diff, and the files that the tree names."""
    assert job.snapshot is not None
    try:
        verify_snapshot(job.snapshot, store)
    except SnapshotDamaged:
        return False
    dest = scratch / job.id
    store.restore(job.snapshot.tree, dest)
    for entry in store.list_files(job.snapshot.tree):
        content = (dest / entry.path).read_bytes()
        assert hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == entry.object_id  # noqa: S324 - git's
    return True


def gone(job: Job, store: SnapshotStore) -> bool:
    """Whether nothing is left of it: tarball, copy, tag, and the file that it alone had."""
    assert job.snapshot is not None
    assert job.snapshot.storage_copy is not None
    files = [Path(job.snapshot.tarball.path), Path(job.snapshot.storage_copy.path)]
    return not any(file.exists() for file in files) and store.tagged(job.snapshot.tag) is None


def _way(status: JobStatus) -> tuple[c.JobCommand, ...]:
    """A way to `status` that passes through a snapshot."""
    taken = (h.open_job(), h.taken)
    return {
        JobStatus.DISMISSED: (*taken, c.Dismiss(h.JOB, h.ANNA)),
        JobStatus.SUPERSEDED: (*taken, c.ReopenRun(h.JOB, h.RUN.manifest_path)),
    }.get(status, h.WAY_TO[status])
