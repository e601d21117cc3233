"""A job's files and the request that its snapshot is taken by: what several steps need to say alike."""

from __future__ import annotations

from pathlib import Path

from events.values import FileRef
from learnd.clock import now
from learnd.harvest import places
from learnd.harvest.snapshot import SnapshotRequest
from learnd.ids import short
from learnd.manifest.read import read_run
from learnd.manifest.runs import Run
from learnd.workplace import Workplace
from state.job import Job


class RunGone(Exception):
    """The run's manifest is not there any more, or is no run any more; the message says which."""


def learning_dir(job: Job) -> Path:
    """The run's own `learning/` folder."""
    return Path(job.manifest_path).parent / "learning"


def suffix(job: Job, place: Workplace) -> str:
    """What file names carry: nothing for a run's first completion, the job's id for a later one."""
    jobs = place.views().jobs_of_run(job.repo_id, job.task_id, job.run_id)
    first = next((row.id for row in jobs if row.completed_at is not None), job.id)
    return "" if first == job.id else f"-{short(job.id)}"


def recorded_prompt(job: Job) -> str | None:
    """What the run was asked for; None where no source said, or the file is no longer what was recorded."""
    prompt: FileRef | None = job.queued.prompt if job.queued else None
    content = places.recorded(prompt) if prompt else None
    return content.decode("utf-8", "replace") if content is not None else None


def read_again(job: Job) -> Run:
    """The run as its manifest tells it now. Raises RunGone."""
    found = read_run(Path(job.manifest_path), Path(job.repo_path))
    if not isinstance(found, Run):
        raise RunGone(f"{job.manifest_path}: {found.reason}")
    return found


def snapshot_request(job: Job, place: Workplace) -> SnapshotRequest:
    """How the snapshot of this job is asked for, the same at every attempt but for the time."""
    completed_at = job.completed_at or now()
    overlapping: tuple[str, ...] = ()
    if job.started_at is not None and not job.requested:
        rows = place.views().overlapping(job.repo_path, job.started_at, completed_at, job.id)
        overlapping = tuple(dict.fromkeys(row.run_id for row in rows if row.run_id != job.run_id))
    observed = job.base_tree is not None
    return SnapshotRequest(
        job_id=job.id,
        repo_id=job.repo_id,
        repo_path=Path(job.repo_path),
        manifest_path=Path(job.manifest_path),
        task_id=job.task_id,
        run_id=job.run_id,
        started_at=job.started_at,
        completed_at=completed_at,
        learning_dir=learning_dir(job),
        base_tree=job.base_tree,
        base_commit=job.base_commit if observed else None,
        recorded_base_commit=None if observed else job.base_commit,
        overlapping_runs=overlapping,
        retention_days=place.settings.retention_days,
        now=now(),
        suffix=suffix(job, place),
    )
