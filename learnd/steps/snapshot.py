"""opened -> snapshotted: capture what the run left, once, for good."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from learnd.clock import iso, now, parse
from learnd.crystalizer.redact import redact_line
from learnd.harvest.faults import DiskFull, SnapshotDamaged, SnapshotError, disk_faults
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.snapshot import take_snapshot as take
from learnd.settings import Settings
from learnd.steps.faults import MachineFault
from learnd.steps.run_folder import snapshot_request
from learnd.workplace import Workplace
from state.commands import RecordSnapshot, RecordSnapshotFailure
from state.decide import Command
from state.job import Job

LONGEST_PAUSE_S = 300.0


def take_snapshot(job: Job, place: Workplace, cancel: threading.Event) -> Sequence[Command]:
    """Take the snapshot; what cannot be captured is a counted attempt, a full disk is not."""
    place.progress(job.id, "taking the snapshot")
    try:
        request = snapshot_request(job, place)
        if job.requested:
            # A person vouches for whose work it is: what came after the run's end does not matter.
            request = replace(request, overlapping_runs=())
        with disk_faults():
            record = take(request, place.store(job.repo_id, job.repo_path), place.settings)
    except (SnapshotError, SnapshotDamaged, NotARepository) as error:
        cause = getattr(error, "cause", "not_a_repository")
        return [failure(job, place.settings, "capture", cause, str(error))]
    except DiskFull as error:
        raise MachineFault("disk", str(error)) from error
    except OSError as error:
        return [failure(job, place.settings, "capture", "unreadable", str(error))]
    if job.requested:
        record = record.model_copy(update={"not_attributable": None})
    return [RecordSnapshot(job.id, record, place.views().tombstone(job.repo_id, record.diff.sha256))]


def failure(
    job: Job, settings: Settings, step: Literal["capture", "enqueue"], cause: str, detail: str
) -> RecordSnapshotFailure:
    """A failed attempt. The pause before the next doubles each time, up to LONGEST_PAUSE_S."""
    pause = min(LONGEST_PAUSE_S, settings.snapshot_backoff_seconds * 2**job.attempts)
    retry_at = iso(parse(now()) + timedelta(seconds=pause))
    return RecordSnapshotFailure(job.id, step, cause, redact_line(detail), settings.snapshot_attempts, retry_at)
