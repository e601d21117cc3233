"""What retention may delete: snapshots of jobs that nothing is owed to and no pattern leans on.

First the files go, then the event says so. A crash in between is harmless: pruning what is gone already
frees nothing and is recorded the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import structlog

from learnd.clock import iso, now, parse
from learnd.harvest.faults import SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.retention import prune
from learnd.workplace import Workplace
from state.commands import RecordSnapshotPruned
from state.job import AT_REST, Job
from state.pattern import PatternStatus
from state.refusal import Refused

ACTOR = "learnd:retention"

LEANING = frozenset(PatternStatus) - {PatternStatus.REJECTED, PatternStatus.EXPIRED, PatternStatus.DEPRECATED}
"""Patterns of these statuses keep their snapshot, however old: their evidence may be asked for again."""

log = structlog.get_logger("learnd.retention")


def prunable(place: Workplace) -> Iterator[Job]:
    """Jobs at rest whose snapshot is older than its own retention says and is leaned on by no pattern."""
    # A few bytes of each: there may be ten thousand, and the list of them all would take tens of megabytes.
    resting = place.views().rows(
        "SELECT jobs.id, jobs.since FROM jobs LEFT JOIN patterns ON patterns.id = jobs.pattern "  # noqa: S608 - marks
        f"WHERE jobs.status IN ({', '.join('?' * len(AT_REST))}) AND jobs.tree IS NOT NULL "
        f"AND (patterns.id IS NULL OR patterns.status NOT IN ({', '.join('?' * len(LEANING))})) ORDER BY jobs.rowid",
        (*AT_REST, *LEANING),
    )
    for job_id, since in resting:
        job = place.door.job(str(job_id))
        if job.snapshot is not None and not job.snapshot_pruned and _is_old(str(since), job.snapshot.retention_days):
            yield job


def _is_old(since: str, days: int) -> bool:
    return since < iso(parse(now()) - timedelta(days=days))


def prune_all(place: Workplace, stopped: Callable[[], bool] = lambda: False) -> int:
    """Prune everything that may go, until `stopped`. Returns the bytes freed."""
    freed = 0
    for job in prunable(place):
        if stopped() or job.snapshot is None:
            break
        if not Path(job.repo_path).is_dir():
            continue  # `learnd forget` is for repositories that are gone
        try:
            gone = prune(job.snapshot, place.store(job.repo_id, job.repo_path), now=now())
        except (SnapshotError, NotARepository, OSError) as error:
            log.warning("snapshot not pruned", job=job.id[:8], reason=str(error))
            continue
        outcome = place.door.handle(RecordSnapshotPruned(job.id, gone), ACTOR)
        if isinstance(outcome, Refused):
            log.info("pruning not recorded", job=job.id[:8], reason=outcome.reason)
        freed += gone
    return freed
