"""A snapshot that does not hold: what is recorded of it, and the reports for whoever looks into it."""

from __future__ import annotations

from learnd.crystalizer.redact import redact_line
from learnd.harvest.faults import SnapshotDamaged, SnapshotError
from learnd.harvest.gitfolder import NotARepository
from learnd.harvest.snapshot import git_reports
from learnd.steps.run_folder import learning_dir
from learnd.workplace import Workplace
from state.commands import RecordStall
from state.job import Job


def stalled(job: Job, place: Workplace, damage: SnapshotDamaged) -> RecordStall:
    """The stall, with what git says of the work tree at this moment where there still is one to ask about.

    Raises DiskFull.
    """
    found = redact_line(damage.found)
    try:
        status, log = git_reports(place.store(job.repo_id, job.repo_path), learning_dir(job))
    except (SnapshotError, NotARepository):
        return RecordStall(job.id, damage.cause, damage.expected, found)
    return RecordStall(job.id, damage.cause, damage.expected, found, status, log)
